//! `cargo xtask with-services`

use super::services::profile;
use crate::cx::Cx;
use crate::exit::Exit;
use crate::proc;
use crate::services::{self, Options};

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
        let options = Options {
            profile: profile(self.release),
            transient: true,
        };
        let mut up = services::start(cx, &names, options)?;
        let outcome = up
            .apply(cx, &mut command)
            .and_then(|()| up.during(cx, || proc::run(&mut command)));
        finish(cx, outcome, up.release(cx))
    }
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
