//! `cargo xtask doctor`

use std::thread;

use crate::config;
use crate::cx::Cx;
use crate::error::Fault;
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
        let path = std::env::var_os("PATH");
        let root = &cx.root;
        let found: Vec<Found> = thread::scope(|scope| {
            let running: Vec<_> = known
                .iter()
                .filter(|(name, _)| self.names.is_empty() || self.names.contains(name))
                .map(|(name, tool)| scope.spawn(|| tools::look(root, name, tool, path.as_deref())))
                .collect();
            running
                .into_iter()
                .filter_map(|it| it.join().ok())
                .collect()
        });
        if self.require {
            return required(&found);
        }
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

/// Nothing, or an error that names each tool that is not fine and the command that mends it.
fn required(found: &[Found]) -> anyhow::Result<Exit> {
    let bad: Vec<&Found> = found.iter().filter(|it| it.health != Health::Ok).collect();
    if bad.is_empty() {
        return Ok(Exit::Done);
    }
    let what: Vec<String> = bad
        .iter()
        .map(|tool| format!("`{}` {}", tool.name, state(tool)))
        .collect();
    let fault = Fault::new(format!("needed here: {}", what.join(", ")));
    let commands: Vec<&str> = bad.iter().filter_map(|it| it.install.as_deref()).collect();
    Err(match commands.as_slice() {
        [] => fault,
        commands => fault.hint(format!("install it: `{}`", commands.join("`, `"))),
    }
    .into())
}

/// A tool's version, or what is wrong with it.
fn state(tool: &Found) -> String {
    let version = tool.version.as_deref().unwrap_or("");
    match tool.health {
        Health::Ok => format!("{version:10}"),
        Health::Old => {
            let needed = tool.required.as_deref().unwrap_or("a newer one");
            format!("{version}, needs {needed}")
        }
        Health::Missing => "missing".to_owned(),
        Health::Broken => "does not run".to_owned(),
    }
}

fn show(cx: &Cx, tool: &Found) -> anyhow::Result<()> {
    let (mark, style) = match (tool.health, tool.optional) {
        (Health::Ok, _) => ("✓", Style::Green),
        (_, true) => ("!", Style::Yellow),
        (_, false) => ("✗", Style::Red),
    };
    let state = state(tool);
    let optional = if tool.optional { " (optional)" } else { "" };
    let purpose = tool.purpose.as_deref().unwrap_or("");
    cx.term.line(&format!(
        "{} {:14} {state}  {}",
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
