//! `cargo xtask db`

use crate::cx::Cx;
use crate::exit::Exit;

/// Manage the embedded PostgreSQL cluster and its migrations
#[derive(Debug, clap::Args)]
pub struct Db {}

impl Db {
    pub(crate) fn run(self, _cx: &Cx) -> anyhow::Result<Exit> {
        anyhow::bail!("not built yet")
    }
}
