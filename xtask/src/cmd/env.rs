//! `cargo xtask env`

use serde::Serialize;

use crate::cx::Cx;
use crate::environment::{Choice, Environment};
use crate::exit::Exit;
use crate::mask;
use crate::term::Style;

/// Show the resolved environment, and where each value came from
///
/// Precedence: process > .env > target > profile > [env.ci] when CI=true > [env.defaults].
/// Secrets are never shown.
///
/// Examples:
///   cargo xtask env
///   cargo xtask env --explain
///   cargo xtask --format json env --profile test
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Env {
    #[command(flatten)]
    choice: Choice,
    /// Show what each value shadows, too
    #[arg(long)]
    explain: bool,
}

#[derive(Serialize)]
struct Row {
    name: String,
    value: String,
    origin: String,
    shadows: Vec<String>,
}

impl Env {
    pub(crate) fn run(self, cx: &Cx) -> anyhow::Result<Exit> {
        let environment = Environment::resolve(cx, &self.choice)?;
        let rows: Vec<Row> = environment
            .iter()
            .map(|(name, entry)| Row {
                name: name.to_owned(),
                value: mask::mask_value(name, &entry.value).into_owned(),
                origin: entry.origin.to_string(),
                shadows: entry.shadows.iter().map(ToString::to_string).collect(),
            })
            .collect();
        if cx.term.json() {
            cx.term.json_data(&rows)?;
            return Ok(Exit::Done);
        }
        for row in rows {
            // One line a name, whatever is in the value.
            let value = row
                .value
                .escape_debug()
                .to_string()
                .replace("\\\"", "\"")
                .replace("\\'", "'");
            let origin = cx.term.paint(Style::Dim, &format!("# {}", row.origin));
            cx.term.line(&format!("{}={value}  {origin}", row.name))?;
            if self.explain {
                for shadowed in row.shadows {
                    let line = format!("    shadows {shadowed}");
                    cx.term.line(&cx.term.paint(Style::Dim, &line))?;
                }
            }
        }
        Ok(Exit::Done)
    }
}
