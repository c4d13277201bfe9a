//! `cargo xtask services`

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;

use crate::cx::Cx;
use crate::error::Fault;
use crate::exit::Exit;
use crate::mask;
use crate::platform;
use crate::proc;
use crate::services::{self, Profile};
use crate::term::Style;

/// Manage background services
///
/// Examples:
///   cargo xtask services start
///   cargo xtask services start --all
///   cargo xtask services status
///   cargo xtask services logs orchestration --follow
///   cargo xtask services restart worker-rust
///   cargo xtask services stop
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Services {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Start services and what they depend on, and wait until they are healthy
    Start {
        /// Services (default: those with `autostart`)
        names: Vec<String>,
        /// Every service, those without `autostart` too
        #[arg(long, conflicts_with = "names")]
        all: bool,
        /// Build and run them for release
        #[arg(long)]
        release: bool,
    },
    /// Stop services, with every process below them
    Stop {
        /// Services (default: all, and the embedded PostgreSQL)
        names: Vec<String>,
    },
    /// Stop services and start them again
    Restart {
        /// Services
        #[arg(required = true)]
        names: Vec<String>,
        /// Build and run them for release
        #[arg(long)]
        release: bool,
    },
    /// Show how services are; exit 1 when one has crashed or is unhealthy
    Status {
        /// Services (default: all)
        names: Vec<String>,
    },
    /// Show the logs of the last run
    Logs {
        /// Services (default: all)
        names: Vec<String>,
        /// Go on showing what comes
        #[arg(short, long)]
        follow: bool,
        /// How many lines from the end
        #[arg(short = 'n', long, default_value_t = 50)]
        lines: usize,
    },
}

impl Services {
    pub(crate) fn run(self, cx: &Cx) -> anyhow::Result<Exit> {
        match self.action {
            Action::Start {
                names,
                all,
                release,
            } => {
                let names = if all { services::all(cx)? } else { names };
                services::start(cx, &names, profile(release))?;
                Ok(Exit::Done)
            }
            Action::Stop { names } => {
                services::stop(cx, &names)?;
                Ok(Exit::Done)
            }
            Action::Restart { names, release } => {
                services::stop(cx, &names)?;
                services::start(cx, &names, profile(release))?;
                Ok(Exit::Done)
            }
            Action::Status { names } => status(cx, &names),
            Action::Logs {
                names,
                follow,
                lines,
            } => logs(cx, &names, follow, lines),
        }
    }
}

/// The profile that `--release` means.
pub(super) fn profile(release: bool) -> Profile {
    if release {
        Profile::Release
    } else {
        Profile::Debug
    }
}

fn status(cx: &Cx, names: &[String]) -> anyhow::Result<Exit> {
    let rows = services::status(cx, names)?;
    let bad = rows
        .iter()
        .any(|row| matches!(row.state, "crashed" | "unhealthy"));
    if cx.term.json() {
        cx.term.json_data(&rows)?;
    } else {
        let width = rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
        for row in &rows {
            let style = match row.state {
                "healthy" => Style::Green,
                "crashed" | "unhealthy" => Style::Red,
                "stopped" => Style::Dim,
                _ => Style::Yellow,
            };
            let mut line = format!(
                "{:width$}  {}",
                row.name,
                cx.term.paint(style, &format!("{:9}", row.state))
            );
            if let Some(pid) = row.pid {
                line.push_str(&format!("  pid {pid}"));
            }
            if let Some(port) = row.port {
                line.push_str(&format!("  port {port}"));
            }
            if let Some(uptime) = row.uptime_seconds {
                line.push_str(&format!("  up {uptime} s"));
            }
            if !row.detail.is_empty() {
                line.push_str(&format!("  {}", row.detail));
            }
            cx.term.line(&line)?;
        }
    }
    Ok(if bad { Exit::Failed } else { Exit::Done })
}

fn logs(cx: &Cx, names: &[String], follow: bool, lines: usize) -> anyhow::Result<Exit> {
    let config = cx.config()?;
    let asked = !names.is_empty();
    let names: Vec<String> = if asked {
        names.to_vec()
    } else {
        config.services.keys().cloned().collect()
    };
    let mut open: Vec<(String, PathBuf, u64)> = Vec::new();
    for name in names {
        config.service(&name)?;
        match services::latest_log(cx, &name) {
            Some(log) => open.push((name, log, 0)),
            None if asked => {
                return Err(Fault::new(format!("`{name}` has no log yet"))
                    .hint(format!("run `cargo xtask services start {name}`"))
                    .into());
            }
            None => {}
        }
    }
    if open.is_empty() {
        return Err(Fault::new("no service has a log yet")
            .hint("run `cargo xtask services start`")
            .into());
    }
    let prefixed = open.len() > 1;
    for (name, log, read) in &mut open {
        let bytes =
            std::fs::read(&*log).with_context(|| format!("failed to read `{}`", log.display()))?;
        *read = bytes.len() as u64;
        let text = String::from_utf8_lossy(&bytes);
        show(
            cx,
            prefixed.then_some(name.as_str()),
            &proc::last_lines(&text, lines),
        )?;
    }
    while follow && !platform::interrupted() {
        for (name, log, read) in &mut open {
            let mut file = std::fs::File::open(&*log)?;
            file.seek(SeekFrom::Start(*read))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            // Whole lines only: the rest comes with the next look.
            let whole = bytes
                .iter()
                .rposition(|byte| *byte == b'\n')
                .map_or(0, |at| at + 1);
            *read += whole as u64;
            let text = String::from_utf8_lossy(&bytes[..whole]).into_owned();
            show(
                cx,
                prefixed.then_some(name.as_str()),
                text.trim_end_matches('\n'),
            )?;
        }
        thread::sleep(Duration::from_millis(200));
    }
    Ok(if follow {
        Exit::Interrupted
    } else {
        Exit::Done
    })
}

fn show(cx: &Cx, prefix: Option<&str>, text: &str) -> anyhow::Result<()> {
    for line in text.lines() {
        let line = mask::mask_urls(line);
        match prefix {
            Some(prefix) => {
                cx.term.line(&format!(
                    "{} {line}",
                    cx.term.paint(Style::Cyan, &format!("[{prefix}]"))
                ))?;
            }
            None => cx.term.line(&line)?,
        }
    }
    Ok(())
}
