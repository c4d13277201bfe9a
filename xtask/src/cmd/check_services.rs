//! `cargo xtask check-services`

use crate::cx::Cx;
use crate::exit::Exit;

/// Probe the services that the workspace needs
#[derive(Debug, clap::Args)]
pub struct CheckServices {}

impl CheckServices {
    pub(crate) fn run(self, _cx: &Cx) -> anyhow::Result<Exit> {
        anyhow::bail!("not built yet")
    }
}
