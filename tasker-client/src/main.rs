//! `tasker-client`: submits a task and looks at it. stdout carries JSON only.

use std::io::Read;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use serde::Serialize;
use serde_json::Value;
use tasker_client::Client;
use tasker_shared::{TaskState, TaskView};
use uuid::Uuid;

/// Talks to the orchestration service.
#[derive(Parser)]
#[command(
    name = "tasker-client",
    version,
    after_help = "\
Exit codes: 0 done; 1 the task failed or the service said no; 2 wrong use.
Environment: ORCHESTRATION_URL, else ORCHESTRATION_PORT (8080) on 127.0.0.1."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Submit the task in a JSON file
    Submit {
        /// The file, or `-` for standard input
        file: String,
    },
    /// Show a task
    Get {
        /// Its number
        id: Uuid,
    },
    /// Wait until a task is complete (0) or failed (1)
    Wait {
        /// Its number
        id: Uuid,
        /// How long, in seconds
        #[arg(long, default_value_t = 60)]
        timeout: u64,
    },
    /// Show the service's health
    Health,
}

/// What went wrong, and whether the user could have known.
enum Failure {
    Usage(anyhow::Error),
    Failed(anyhow::Error),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let (error, code) = match run(Cli::parse().command).await {
        Ok(code) => return code,
        Err(Failure::Usage(error)) => (error, 2),
        Err(Failure::Failed(error)) => (error, 1),
    };
    eprintln!("error: {error:#}");
    ExitCode::from(code)
}

async fn run(command: Command) -> Result<ExitCode, Failure> {
    let failed = |error: tasker_client::ClientError| Failure::Failed(error.into());
    let client = Client::from_env().map_err(failed)?;
    match command {
        Command::Submit { file } => {
            let task = read_task(&file).map_err(Failure::Usage)?;
            print(&client.submit_json(&task).await.map_err(failed)?);
        }
        Command::Get { id } => print(&client.get(id).await.map_err(failed)?),
        Command::Wait { id, timeout } => {
            let timeout = Duration::from_secs(timeout);
            let task: TaskView = client.wait(id, timeout).await.map_err(failed)?;
            print(&task);
            if task.state == TaskState::Failed {
                return Ok(ExitCode::from(1));
            }
        }
        Command::Health => {
            let (healthy, body) = client.health().await.map_err(failed)?;
            print(&body);
            if !healthy {
                return Ok(ExitCode::from(1));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn read_task(file: &str) -> Result<Value> {
    let text = if file == "-" {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .context("read standard input")?;
        text
    } else {
        std::fs::read_to_string(file).with_context(|| format!("read `{file}`"))?
    };
    serde_json::from_str(&text).with_context(|| format!("`{file}` is no JSON"))
}

fn print(value: &impl Serialize) {
    // Both types always serialize.
    println!(
        "{}",
        serde_json::to_string_pretty(value).unwrap_or_default()
    );
}
