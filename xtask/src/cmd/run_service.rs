//! `cargo xtask run-service`

use crate::cx::Cx;
use crate::exit::Exit;

/// Build a service and run it in the foreground
#[derive(Debug, clap::Args)]
pub struct RunService {}

impl RunService {
    pub(crate) fn run(self, _cx: &Cx) -> anyhow::Result<Exit> {
        anyhow::bail!("not built yet")
    }
}
