//! Every command on one screen. A command is one file in `cmd/`, and one line in each of the three
//! lists below; rustc reports a forgotten one.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand};

use crate::cx::Cx;
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
pub struct Cli {
    /// Flags of every command.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Cmd,
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
    InstallLauncher(install_launcher::InstallLauncher),
    Completions(completions::Completions),
}

impl Cmd {
    /// Two formats are for findings alone.
    ///
    /// # Errors
    /// When the command has none.
    pub fn check_format(&self, format: Format) -> anyhow::Result<()> {
        let general = matches!(format, Format::Human | Format::Json);
        if general || matches!(self, Cmd::Tasks(it) if it.has_findings()) {
            return Ok(());
        }
        Err(
            Fault::usage("this command writes `--format human` or `json`")
                .hint("`github` and `sarif` are for `cargo xtask tasks check`")
                .into(),
        )
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
            Cmd::InstallLauncher(it) => it.run(cx),
            Cmd::Completions(it) => it.run(cx),
        }
    }
}
