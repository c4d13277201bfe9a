//! `cargo xtask exec`

use crate::cx::Cx;
use crate::exit::Exit;

/// Run a command in the resolved environment
#[derive(Debug, clap::Args)]
pub struct Exec {}

impl Exec {
    pub(crate) fn run(self, _cx: &Cx) -> anyhow::Result<Exit> {
        anyhow::bail!("not built yet")
    }
}
