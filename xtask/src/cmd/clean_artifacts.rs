//! `cargo xtask clean-artifacts`

use crate::cx::Cx;
use crate::exit::Exit;

/// Remove build products of each language
#[derive(Debug, clap::Args)]
pub struct CleanArtifacts {}

impl CleanArtifacts {
    pub(crate) fn run(self, _cx: &Cx) -> anyhow::Result<Exit> {
        anyhow::bail!("not built yet")
    }
}
