//! `xtask-db`: a thin command line over the library.
//!
//! The URL comes from the environment, never from the arguments, which every user of the machine
//! can read. stdout carries one JSON document, stderr the progress.

use std::env;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use serde::Serialize;
use xtask_db::{SetupOptions, migrate, setup, status};

/// Creates, resets and migrates the PostgreSQL database that DATABASE_URL names.
#[derive(Parser)]
#[command(
    name = "xtask-db",
    version,
    after_help = "\
Environment:
  DATABASE_URL        the database and the role that owns it (required)
  XTASK_DB_ADMIN_URL  credentials that may create role and database, if that role may not"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Create role and database where missing, install PGMQ, run the migrations
    Setup {
        /// Run the migrations of this directory
        #[arg(long, value_name = "DIR")]
        migrations: Option<PathBuf>,
        /// Install PGMQ: as an extension where the server has it, else by its SQL
        #[arg(long)]
        pgmq: bool,
        /// Drop the database first; only on this machine
        #[arg(long)]
        reset: bool,
    },
    /// Run the migrations in a database that is there
    Migrate {
        /// The directory of the migrations
        #[arg(long, value_name = "DIR")]
        migrations: PathBuf,
    },
    /// Tell which migrations are applied, pending, modified or missing
    Status {
        /// The directory of the migrations
        #[arg(long, value_name = "DIR")]
        migrations: PathBuf,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli.command) {
        Ok(json) => {
            println!("{json}");
            ExitCode::SUCCESS
        }
        Err((message, code)) => {
            eprintln!("error: {message}");
            ExitCode::from(code)
        }
    }
}

fn run(command: Command) -> Result<String, (String, u8)> {
    let url = env::var("DATABASE_URL").ok().filter(|url| !url.is_empty()).ok_or_else(|| {
        let message = "DATABASE_URL is not set\nhint: set it to postgres://user:password@127.0.0.1:5432/database";
        (message.to_owned(), 2)
    })?;
    let options = SetupOptions {
        url,
        admin_url: env::var("XTASK_DB_ADMIN_URL")
            .ok()
            .filter(|url| !url.is_empty()),
        // Whoever closed stderr does not want to hear it: no reason to end.
        progress: Some(|message| drop(writeln!(std::io::stderr(), "{message}"))),
        ..SetupOptions::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| (format!("cannot start the async runtime: {error}"), 1))?;
    let result = runtime.block_on(async {
        match command {
            Command::Setup {
                migrations,
                pgmq,
                reset,
            } => json(
                &setup(&SetupOptions {
                    migrations,
                    pgmq,
                    reset,
                    ..options
                })
                .await?,
            ),
            Command::Migrate { migrations } => json(
                &migrate(&SetupOptions {
                    migrations: Some(migrations),
                    ..options
                })
                .await?,
            ),
            Command::Status { migrations } => json(&status(&options.url, &migrations).await?),
        }
    });
    result.map_err(|error: xtask_db::Error| (error.to_string(), error.exit_code()))
}

fn json(value: &impl Serialize) -> Result<String, xtask_db::Error> {
    // These types hold strings, numbers and lists only: they always serialize.
    Ok(serde_json::to_string(value).unwrap_or_default())
}
