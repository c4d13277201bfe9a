//! `cargo xtask env`

use crate::cx::Cx;
use crate::exit::Exit;

/// Show the resolved environment
#[derive(Debug, clap::Args)]
pub struct Env {}

impl Env {
    pub(crate) fn run(self, _cx: &Cx) -> anyhow::Result<Exit> {
        anyhow::bail!("not built yet")
    }
}
