//! `cargo xtask make`

use crate::cx::Cx;
use crate::exit::Exit;

/// Make sure that tasks can run here, then run them with cargo-make
#[derive(Debug, clap::Args)]
pub struct Make {}

impl Make {
    pub(crate) fn run(self, _cx: &Cx) -> anyhow::Result<Exit> {
        anyhow::bail!("not built yet")
    }
}
