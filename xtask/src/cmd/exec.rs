//! `cargo xtask exec`

use std::process::Command;

use crate::cx::Cx;
use crate::environment::{Choice, Environment};
use crate::error::Fault;
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
        let mut command = user_command(cx, &self.command)?;
        environment.apply(&mut command);
        proc::run(&mut command)
    }
}

/// A command that the user named, in the directory where the user stands. Resolved by `which`, so
/// that `npm` finds `npm.cmd` on Windows.
pub(crate) fn user_command(cx: &Cx, words: &[String]) -> anyhow::Result<Command> {
    let Some((program, args)) = words.split_first() else {
        return Err(Fault::usage("no command was given")
            .hint("put it after `--`")
            .into());
    };
    let path = which::which_in(program, std::env::var_os("PATH"), &cx.cwd).map_err(|_| {
        Fault::new(format!("command not found: `{program}`"))
            .hint("run `cargo xtask doctor` to see what this workspace needs")
    })?;
    let mut command = Command::new(path);
    command.args(args).current_dir(&cx.cwd);
    Ok(command)
}
