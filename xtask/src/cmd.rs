//! Every command on one screen. A command is one file in `cmd/`, and one line in each of the three
//! lists below; rustc reports a forgotten one. A workspace's own commands stand beside them
//! ([`Commands`]).

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, Args, CommandFactory as _, Parser, Subcommand};

use crate::cx::{Cx, Place};
use crate::error::Fault;
use crate::exit::Exit;
use crate::term::{ColorChoice, Format};

mod build_extension;
mod check_services;
mod ci;
mod clean_artifacts;
mod completions;
mod db;
mod doctor;
mod env;
mod exec;
mod init;
mod install_launcher;
mod make;
mod parallel;
mod run_service;
mod services;
mod setup;
mod setup_db;
mod setup_env;
mod setup_nextest;
mod tasks;
mod with_services;

/// The typed task layer of this workspace
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    version,
    propagate_version = false
)]
pub struct Cli<Own: Commands> {
    /// Flags of every command.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: AnyCmd<Own>,
}

/// The commands that a workspace adds to the built-in ones: an enum like [`Cmd`], and its dispatch.
pub trait Commands: Subcommand {
    /// Runs the command.
    ///
    /// # Errors
    /// What the command reports; a [`Fault`] says the exit code, and the next command to run.
    fn run(self, cx: &Cx) -> anyhow::Result<Exit>;
}

/// No commands beside the built-in ones.
#[derive(Debug, Subcommand)]
pub enum NoCommands {}

impl Commands for NoCommands {
    fn run(self, _: &Cx) -> anyhow::Result<Exit> {
        match self {}
    }
}

/// A command of either kind.
#[derive(Debug, Subcommand)]
pub enum AnyCmd<Own: Commands> {
    /// Built-in.
    #[command(flatten)]
    BuiltIn(Cmd),
    /// The workspace's own.
    #[command(flatten)]
    Own(Own),
}

impl<Own: Commands> AnyCmd<Own> {
    /// Where the command can run.
    #[must_use]
    pub fn place(&self) -> Place {
        match self {
            AnyCmd::BuiltIn(Cmd::Init(_) | Cmd::Completions(_)) => Place::Anywhere,
            AnyCmd::BuiltIn(_) | AnyCmd::Own(_) => Place::Workspace,
        }
    }

    /// Refuses a format that the command does not have.
    pub(crate) fn check_format(&self, format: Format) -> anyhow::Result<()> {
        match self {
            AnyCmd::BuiltIn(it) => it.check_format(format),
            AnyCmd::Own(_) => general(format),
        }
    }

    /// Runs the command.
    ///
    /// # Errors
    /// What the command reports.
    pub fn run(self, cx: &Cx) -> anyhow::Result<Exit> {
        match self {
            AnyCmd::BuiltIn(it) => it.run(cx),
            AnyCmd::Own(it) => it.run(cx),
        }
    }
}

/// The whole command line, for parsing, `--help` and completions.
#[must_use]
pub fn command_line<Own: Commands>() -> clap::Command {
    Cli::<Own>::command()
}

/// Parses the process's arguments.
pub(crate) fn parse<Own: Commands>(args: Vec<OsString>) -> Result<Cli<Own>, clap::Error> {
    Cli::try_parse_from(args)
}

/// A command of the workspace must not have the name of a built-in one: clap would panic.
pub(crate) fn check_names<Own: Commands>() -> Result<(), Fault> {
    let names = |command: clap::Command| -> Vec<String> {
        let own = |it: &clap::Command| {
            let aliases = it.get_all_aliases().map(str::to_owned);
            aliases
                .chain([it.get_name().to_owned()])
                .collect::<Vec<_>>()
        };
        command.get_subcommands().flat_map(own).collect()
    };
    let own = names(Own::augment_subcommands(clap::Command::new("own")));
    if own.is_empty() {
        return Ok(());
    }
    let built_in = names(Cmd::augment_subcommands(clap::Command::new("built-in")));
    match own.iter().find(|name| built_in.contains(name)) {
        Some(name) => Err(Fault::usage(format!(
            "this workspace's own command `{name}` has the name of a built-in one"
        ))
        .hint("give it another name: `#[command(name = \"...\")]`")),
        None => Ok(()),
    }
}

/// Flags of every command.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArgs {
    /// How results are written to stdout
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "FORMAT"
    )]
    pub format: Format,
    /// Say more (repeat for more)
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// Say less
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub quiet: u8,
    /// When to use colour (also: NO_COLOR, CLICOLOR_FORCE)
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub color: ColorChoice,
    /// Run as if started in DIR
    #[arg(short = 'C', global = true, value_name = "DIR")]
    pub directory: Option<PathBuf>,
}

/// The commands.
#[derive(Debug, Subcommand)]
#[allow(missing_docs)] // Each variant's text is the doc of the struct that it holds.
pub enum Cmd {
    Make(make::Make),
    CheckServices(check_services::CheckServices),
    Services(services::Services),
    WithServices(with_services::WithServices),
    RunService(run_service::RunService),
    Setup(setup::Setup),
    BuildExtension(build_extension::BuildExtension),
    SetupDb(setup_db::SetupDb),
    Db(db::Db),
    SetupEnv(setup_env::SetupEnv),
    Env(env::Env),
    Exec(exec::Exec),
    SetupNextest(setup_nextest::SetupNextest),
    CleanArtifacts(clean_artifacts::CleanArtifacts),
    Doctor(doctor::Doctor),
    Parallel(parallel::Parallel),
    Tasks(tasks::Tasks),
    Ci(ci::Ci),
    Init(init::Init),
    InstallLauncher(install_launcher::InstallLauncher),
    Completions(completions::Completions),
}

/// Refuses a format that only some commands have.
fn general(format: Format) -> anyhow::Result<()> {
    match format {
        Format::Human | Format::Json => Ok(()),
        Format::Github | Format::Sarif => Err(Fault::usage(
            "this command writes `--format human` or `json`",
        )
        .hint("`github` and `sarif` are for `cargo xtask tasks check`")
        .into()),
    }
}

impl Cmd {
    /// Two formats are for findings alone.
    ///
    /// # Errors
    /// When the command has none.
    pub fn check_format(&self, format: Format) -> anyhow::Result<()> {
        match self {
            Cmd::Tasks(it) if it.has_findings() => Ok(()),
            _ => general(format),
        }
    }

    /// Runs the command.
    ///
    /// # Errors
    /// What the command reports.
    pub fn run(self, cx: &Cx) -> anyhow::Result<Exit> {
        match self {
            Cmd::Make(it) => it.run(cx),
            Cmd::CheckServices(it) => it.run(cx),
            Cmd::Services(it) => it.run(cx),
            Cmd::WithServices(it) => it.run(cx),
            Cmd::RunService(it) => it.run(cx),
            Cmd::Setup(it) => it.run(cx),
            Cmd::BuildExtension(it) => it.run(cx),
            Cmd::SetupDb(it) => it.run(cx),
            Cmd::Db(it) => it.run(cx),
            Cmd::SetupEnv(it) => it.run(cx),
            Cmd::Env(it) => it.run(cx),
            Cmd::Exec(it) => it.run(cx),
            Cmd::SetupNextest(it) => it.run(cx),
            Cmd::CleanArtifacts(it) => it.run(cx),
            Cmd::Doctor(it) => it.run(cx),
            Cmd::Parallel(it) => it.run(cx),
            Cmd::Tasks(it) => it.run(cx),
            Cmd::Ci(it) => it.run(cx),
            Cmd::Init(it) => it.run(cx),
            Cmd::InstallLauncher(it) => it.run(cx),
            Cmd::Completions(it) => it.run(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error;

    #[derive(Debug, Subcommand)]
    enum Own {
        #[command(alias = "doctor")]
        Greet,
    }

    impl Commands for Own {
        fn run(self, _: &Cx) -> anyhow::Result<Exit> {
            Ok(Exit::Done)
        }
    }

    #[test]
    fn a_name_of_a_built_in_command_is_refused_in_words() {
        let fault = anyhow::Error::from(check_names::<Own>().unwrap_err());
        assert!(fault.to_string().contains("`doctor`"), "{fault}");
        assert!(error::hint_of(&fault).is_some());
        check_names::<NoCommands>().unwrap();
    }

    /// One would get the other's value, without a word: clap hands global flags down by these names.
    #[test]
    fn no_argument_of_a_command_has_the_name_of_a_global_flag() {
        fn check(command: &clap::Command, global: &[&str]) {
            for argument in command.get_arguments().filter(|it| !it.is_global_set()) {
                let (name, id) = (command.get_name(), argument.get_id().as_str());
                assert!(!global.contains(&id), "`{id}` of `{name}`");
            }
            for command in command.get_subcommands() {
                check(command, global);
            }
        }
        let line = command_line::<NoCommands>();
        let global: Vec<&str> = line
            .get_arguments()
            .filter(|it| it.is_global_set())
            .map(|it| it.get_id().as_str())
            .collect();
        assert!(global.contains(&"directory"), "{global:?}");
        for command in line.get_subcommands() {
            check(command, &global);
        }
    }

    #[test]
    fn clap_has_nothing_against_the_command_line() {
        command_line::<NoCommands>().debug_assert();
    }
}
