//! `cargo xtask services`

use crate::cx::Cx;
use crate::exit::Exit;

/// Manage background services
#[derive(Debug, clap::Args)]
pub struct Services {}

impl Services {
    pub(crate) fn run(self, _cx: &Cx) -> anyhow::Result<Exit> {
        anyhow::bail!("not built yet")
    }
}
