//! `cargo xtask setup-nextest`

use crate::cx::Cx;
use crate::exit::Exit;

/// Make sure that nextest has the profiles default, ci and local
#[derive(Debug, clap::Args)]
pub struct SetupNextest {}

impl SetupNextest {
    pub(crate) fn run(self, _cx: &Cx) -> anyhow::Result<Exit> {
        anyhow::bail!("not built yet")
    }
}
