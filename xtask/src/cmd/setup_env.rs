//! `cargo xtask setup-env`

use crate::cx::Cx;
use crate::exit::Exit;

/// Compose the environment from layers and write .env
#[derive(Debug, clap::Args)]
pub struct SetupEnv {}

impl SetupEnv {
    pub(crate) fn run(self, _cx: &Cx) -> anyhow::Result<Exit> {
        anyhow::bail!("not built yet")
    }
}
