//! `cargo xtask setup-db`

use crate::cx::Cx;
use crate::exit::Exit;

/// Create database, PGMQ and migrations where they are missing
#[derive(Debug, clap::Args)]
pub struct SetupDb {}

impl SetupDb {
    pub(crate) fn run(self, _cx: &Cx) -> anyhow::Result<Exit> {
        anyhow::bail!("not built yet")
    }
}
