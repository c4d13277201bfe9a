//! `cargo xtask tasks`

use crate::cx::Cx;
use crate::exit::Exit;

mod check;

/// The task files of this workspace, read as cargo-make reads them
///
/// Examples:
///   cargo xtask tasks check
///   cargo xtask tasks check --fix
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Tasks {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Check(check::Check),
}

impl Tasks {
    /// Whether it reports findings, which have formats of their own.
    pub(crate) fn has_findings(&self) -> bool {
        matches!(self.action, Action::Check(_))
    }

    pub(crate) fn run(self, cx: &Cx) -> anyhow::Result<Exit> {
        match self.action {
            Action::Check(it) => it.run(cx),
        }
    }
}
