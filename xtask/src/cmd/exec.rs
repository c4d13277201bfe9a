//! `cargo xtask exec`

use crate::cx::Cx;
use crate::environment::{Choice, Environment};
use crate::exit::Exit;
use crate::proc;

/// Run a command in the resolved environment
///
/// Ends with the command's own exit code.
///
/// Examples:
///   cargo xtask exec -- cargo run -p tasker-client -- health
///   cargo xtask exec --profile test -- psql
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Exec {
    #[command(flatten)]
    choice: Choice,
    /// The command and its arguments
    #[arg(required = true, last = true, value_name = "CMD")]
    command: Vec<String>,
}

impl Exec {
    pub(crate) fn run(self, cx: &Cx) -> anyhow::Result<Exit> {
        let environment = Environment::resolve(cx, &self.choice)?;
        let mut command = proc::command(cx, &self.command, &cx.cwd)?;
        environment.apply(&mut command);
        proc::run(&mut command)
    }
}
