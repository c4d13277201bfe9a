//! A workspace's `xtask` with a command of its own.

use std::process::ExitCode;

use xtask::{Commands, Cx, Exit, Fault, anyhow, clap};

fn main() -> ExitCode {
    xtask::run_with::<Own>()
}

/// Every command of this workspace: one line here, and one in the dispatch below.
#[derive(clap::Subcommand)]
enum Own {
    ReleaseNotes(ReleaseNotes),
}

impl Commands for Own {
    fn run(self, cx: &Cx) -> anyhow::Result<Exit> {
        match self {
            Own::ReleaseNotes(it) => it.run(cx),
        }
    }
}

/// Print the notes of a version, from CHANGELOG.md
#[derive(clap::Args)]
struct ReleaseNotes {
    /// The version, as in its heading: `## 1.2.3`
    version: String,
}

impl ReleaseNotes {
    fn run(self, cx: &Cx) -> anyhow::Result<Exit> {
        let path = cx.root.join("CHANGELOG.md");
        let changelog = xtask::fsx::read_optional(&path)?.unwrap_or_default();
        let heading = format!("## {}", self.version);
        let notes: Vec<&str> = changelog
            .lines()
            .skip_while(|line| *line != heading)
            .skip(1)
            .take_while(|line| !line.starts_with("## "))
            .collect();
        if notes.is_empty() {
            let message = format!("CHANGELOG.md has no notes of `{}`", self.version);
            let hint = format!("add `{heading}` and what changed");
            return Err(Fault::new(message).hint(hint).into());
        }
        if cx.term.json() {
            cx.term.json_data(&notes)?;
        } else {
            cx.term.line(notes.join("\n").trim())?;
        }
        Ok(Exit::Done)
    }
}
