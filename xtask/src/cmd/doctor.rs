//! `cargo xtask doctor`

use crate::cx::Cx;
use crate::exit::Exit;

/// Check every tool that the workspace needs
#[derive(Debug, clap::Args)]
pub struct Doctor {}

impl Doctor {
    pub(crate) fn run(self, _cx: &Cx) -> anyhow::Result<Exit> {
        anyhow::bail!("not built yet")
    }
}
