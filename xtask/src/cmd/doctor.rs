//! `cargo xtask doctor`

use crate::config;
use crate::cx::Cx;
use crate::exit::Exit;
use crate::term::Style;
use crate::tools::{self, Found, Health};

/// Check every tool that the workspace needs, and say how to install what is missing
///
/// Exit 1 when a required tool is missing, too old or broken.
///
/// Examples:
///   cargo xtask doctor
///   cargo xtask doctor cargo-nextest
///   cargo xtask doctor --require ruby bundle
///   cargo xtask --format json doctor
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Doctor {
    /// Tools (default: all)
    #[arg(value_name = "TOOL")]
    names: Vec<String>,
    /// Say nothing of the named tools while they are fine: what a task calls before its work
    #[arg(long, requires = "names")]
    require: bool,
}

impl Doctor {
    pub(crate) fn run(self, cx: &Cx) -> anyhow::Result<Exit> {
        let known = &cx.config()?.tools;
        for name in &self.names {
            if !known.contains_key(name) {
                let message = format!("no tool is called `{name}`");
                return Err(config::unknown_name(message, name, known.keys()).into());
            }
        }
        if self.require {
            tools::require(cx, &self.names)?;
            return Ok(Exit::Done);
        }
        let found = tools::look_all(
            &cx.root,
            known
                .iter()
                .filter(|(name, _)| self.names.is_empty() || self.names.contains(name)),
        );
        if cx.term.json() {
            cx.term.json_data(&found)?;
        } else {
            for tool in &found {
                show(cx, tool)?;
            }
        }
        let named = !self.names.is_empty();
        let bad = found
            .iter()
            .filter(|tool| tool.health != Health::Ok && (named || !tool.optional))
            .count();
        if !cx.term.json() {
            let ok = found
                .iter()
                .filter(|tool| tool.health == Health::Ok)
                .count();
            cx.term.status(
                "Checked",
                &format!("{} tools: {ok} fine, {bad} to mend", found.len()),
            );
        }
        Ok(if bad == 0 { Exit::Done } else { Exit::Failed })
    }
}

fn show(cx: &Cx, tool: &Found) -> anyhow::Result<()> {
    let (mark, style) = match (tool.health, tool.optional) {
        (Health::Ok, _) => ("✓", Style::Green),
        (_, true) => ("!", Style::Yellow),
        (_, false) => ("✗", Style::Red),
    };
    let state = tool.state();
    let optional = if tool.optional { " (optional)" } else { "" };
    let purpose = tool.purpose.as_deref().unwrap_or("");
    cx.term.line(&format!(
        "{} {:14} {state:10}  {}",
        cx.term.paint(style, mark),
        tool.name,
        cx.term.paint(Style::Dim, &format!("{purpose}{optional}"))
    ))?;
    if tool.health != Health::Ok
        && let Some(install) = &tool.install
    {
        cx.term.line(&format!("                 → {install}"))?;
    }
    Ok(())
}
