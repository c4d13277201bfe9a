//! `cargo xtask with-services`

use crate::cx::Cx;
use crate::exit::Exit;

/// Run a command with services up, and stop what was started
#[derive(Debug, clap::Args)]
pub struct WithServices {}

impl WithServices {
    pub(crate) fn run(self, _cx: &Cx) -> anyhow::Result<Exit> {
        anyhow::bail!("not built yet")
    }
}
