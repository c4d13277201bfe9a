//! `cargo xtask with-services`

use std::path::PathBuf;
use std::process::Command;

use crate::cx::Cx;
use crate::exit::Exit;
use crate::proc;
use crate::services::{self, Options, Programs};

/// Run a command with services up, and stop what was started
///
/// Also after a failure and after Ctrl-C. What was up before stays up, and what another run of this
/// command still uses ends with that one. The command finds the services by their port variables and
/// the database by its URL, and its own exit code is the end.
///
/// Examples:
///   cargo xtask with-services -- cargo nextest run --package tasker-e2e
///   cargo xtask with-services postgres -- cargo nextest run --workspace --test integration
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct WithServices {
    /// Services (default: those with `autostart`)
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Every service, those without `autostart` too
    #[arg(long, conflicts_with = "names")]
    all: bool,
    /// Build and run them for release
    #[arg(long)]
    release: bool,
    /// Build nothing: run what was built before in DIR, a target directory
    #[arg(long, value_name = "DIR")]
    prebuilt: Option<PathBuf>,
    /// The command and its arguments
    #[arg(required = true, last = true, value_name = "CMD")]
    command: Vec<String>,
}

impl WithServices {
    pub(crate) fn run(self, cx: &Cx) -> anyhow::Result<Exit> {
        // A command that is not there is no reason to start anything.
        let mut command = proc::command(cx, &self.command, &cx.cwd)?;
        let names = if self.all {
            services::all(cx)?
        } else {
            self.names
        };
        let prebuilt = self.prebuilt.map(|it| cx.cwd.join(it));
        let programs = Programs {
            prebuilt: prebuilt.as_deref(),
            ..Programs::built(self.release)
        };
        run_with(cx, &names, programs, &mut command)
    }
}

/// Runs a command with these services up (none named: those with `autostart`), and stops what was started.
///
/// # Errors
/// When services do not start, or the command cannot be started.
pub(super) fn run_with(
    cx: &Cx,
    names: &[String],
    programs: Programs,
    command: &mut Command,
) -> anyhow::Result<Exit> {
    let options = Options {
        programs,
        transient: true,
    };
    let mut up = services::start(cx, names, options)?;
    let outcome = up
        .apply(cx, command)
        .and_then(|()| up.during(cx, || proc::run(command)));
    finish(cx, outcome, up.release(cx))
}

/// The command's own end counts; that something could not be stopped fails only what went well.
pub(super) fn finish(
    cx: &Cx,
    outcome: anyhow::Result<Exit>,
    released: anyhow::Result<()>,
) -> anyhow::Result<Exit> {
    match (outcome, released) {
        (outcome, Ok(())) => outcome,
        (Ok(Exit::Done), Err(error)) => Err(error),
        (outcome, Err(error)) => {
            cx.term.error(&error);
            outcome
        }
    }
}
