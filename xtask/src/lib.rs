//! `cargo xtask`: the typed task layer of a polyglot Rust workspace.
//!
//! Every script body of the workspace is a subcommand here; `cargo-make` files hold names and
//! dependencies only. The crate knows nothing of the workspace that it serves: facts stand in
//! `.config/xtask.toml` ([`config`]).
//!
//! Each command flows one way: **read** (files, environment, processes) → **decide** (a pure
//! function on plain data) → **act** → **report**. Pure modules hold the tests; the edge modules
//! ([`cx`], [`term`], [`proc`], [`fsx`], [`platform`]) are thin.
//!
//! To add a command here: one file in `src/cmd/`, one line in each of the three lists of [`cmd`]. A
//! workspace adds commands of its own with [`run_with`].

#![forbid(unsafe_code)]

pub mod artifacts;
pub mod ci;
pub mod cmd;
pub mod config;
pub mod cx;
pub mod diff;
pub mod env_file;
pub mod environment;
pub mod error;

pub mod exit;
pub mod fan_out;
pub mod fsx;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod github;
pub mod glob;
pub mod hex;
pub mod init;
pub mod install;
pub mod junit;
pub mod launch;
pub mod lint;
pub mod lock;
pub mod makefile;
pub mod mask;
pub mod nextest_config;
pub mod platform;
pub mod postgres;
pub mod probe;
pub mod proc;
pub mod services;
pub mod task_docs;
pub mod task_graph;
pub mod term;
pub mod test_reports;
pub mod tools;
pub mod versions;
pub mod workspace;

use std::process::ExitCode;

pub use {anyhow, clap};

pub use cmd::{Commands, NoCommands};
pub use cx::Cx;
pub use error::Fault;
pub use exit::Exit;

/// The whole program, with the built-in commands alone: parses the command line, runs the command,
/// renders at most one error, and returns the code.
#[must_use]
pub fn main() -> ExitCode {
    run_with::<NoCommands>()
}

/// As [`main`], with a workspace's own commands beside the built-in ones: they share the global
/// flags, `--help`, completions, the rendering of errors and the exit codes. A command that has the
/// name of a built-in one is an error (2).
#[must_use]
pub fn run_with<Own: Commands>() -> ExitCode {
    if let Some(code) = platform::begin() {
        return code;
    }
    let args = match launch::start(std::env::args_os()) {
        launch::Start::Here(args) => args,
        launch::Start::Ended(code) => return code,
    };
    let term = term::Term::new(&cmd::GlobalArgs::default());
    if let Err(error) = cmd::check_names::<Own>() {
        term.error(&error.into());
        return exit::Exit::Usage.into();
    }
    let cli = match cmd::parse::<Own>(args) {
        Ok(cli) => cli,
        Err(error) => {
            // clap renders help and version to stdout, mistakes to stderr; a closed pipe is fine.
            return match error.print() {
                _ if error.use_stderr() => exit::Exit::Usage,
                Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                    term.error(&anyhow::Error::from(error).context("failed to write to stdout"));
                    exit::Exit::Failed
                }
                _ => exit::Exit::Done,
            }
            .into();
        }
    };
    platform::install_interrupt_handler();
    let term = term::Term::new(&cli.global);
    let outcome = cli
        .command
        .check_format(cli.global.format)
        .and_then(|()| {
            let place = cli.command.place();
            cx::Cx::at(term.clone(), cli.global.directory.as_deref(), place)
        })
        .and_then(|cx| {
            cli.command
                .run(&cx.with_command_line(cmd::command_line::<Own>))
        });
    let exit = match outcome {
        Ok(exit) => exit,
        Err(error) => {
            let interrupted = platform::interrupted();
            if !interrupted || error::exit_of(&error) != exit::Exit::Interrupted {
                term.error(&error);
            }
            if interrupted {
                exit::Exit::Interrupted
            } else {
                error::exit_of(&error)
            }
        }
    };
    exit.into()
}
