//! `cargo xtask with-services`

use super::services::profile;
use crate::cx::Cx;
use crate::environment::{Choice, Environment};
use crate::exit::Exit;
use crate::proc;
use crate::services;

/// Run a command with services up, and stop what was started
///
/// Also after a failure and after Ctrl-C. What was up before stays up. Ends with the command's own
/// exit code.
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
        let started = services::start(cx, &names, profile(self.release))?;
        // Resolved after the start: the database's URL may be new.
        let outcome = Environment::resolve(cx, &Choice::default()).and_then(|environment| {
            environment.apply(&mut command);
            for (name, service) in &cx.config()?.services {
                if let (Some(variable), Some(port)) = (
                    &service.port_env,
                    services::port(name, service, &environment)?,
                ) {
                    command.env(variable, port.to_string());
                }
            }
            proc::run(&mut command)
        });
        let stopped = services::stop_again(cx, &started);
        let exit = outcome?;
        stopped?;
        Ok(exit)
    }
}
