//! `cargo xtask completions`

use crate::cx::Cx;
use crate::exit::Exit;

/// Print shell completions
///
/// Examples:
///   cargo xtask completions fish > ~/.config/fish/completions/xtask.fish
///   cargo xtask completions bash > ~/.local/share/bash-completion/completions/xtask
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Completions {
    /// The shell to complete for
    shell: clap_complete::Shell,
}

impl Completions {
    pub(crate) fn run(self, cx: &Cx) -> anyhow::Result<Exit> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut (cx.command_line)(), "xtask", &mut script);
        cx.term.data(&String::from_utf8_lossy(&script))?;
        Ok(Exit::Done)
    }
}
