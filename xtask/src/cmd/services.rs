//! `cargo xtask services`

use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;

use crate::cx::Cx;
use crate::error::Fault;
use crate::exit::Exit;
use crate::mask::Secrets;
use crate::platform;
use crate::services::{self, Follower, Options, Outcome, Programs, Seen, State, Status};
use crate::term::{Style, seconds};

/// Manage background services
///
/// What starts together starts together or not at all: a failure is shown at once, with the end of the
/// log, and what the same call had started is stopped again. What was up before stays up.
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
    /// Stop services, with every process below them; exit 1 when one runs on
    ///
    /// What depends on them and is not named stays up, with a warning.
    Stop {
        /// Services (default: all, and the embedded PostgreSQL)
        names: Vec<String>,
    },
    /// Build services, then stop them and start them again
    ///
    /// What does not build leaves the old ones running. What depends on them stays up.
    Restart {
        /// Services (default: those that run)
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
    /// Show the logs of the last run, secrets masked
    Logs {
        /// Services (default: all)
        names: Vec<String>,
        /// Go on showing what comes, new runs too
        #[arg(short, long)]
        follow: bool,
        /// How many lines from the end
        #[arg(short = 'n', long, default_value_t = 50)]
        lines: usize,
        /// The run before the last
        #[arg(long, conflicts_with = "follow")]
        previous: bool,
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
                let options = Options {
                    programs: Programs::built(release),
                    transient: false,
                };
                let up = services::start(cx, &names, options)?;
                as_json(cx, &up.names)
            }
            Action::Stop { names } => {
                let stopped = services::stop(cx, &names)?;
                if cx.term.json() {
                    cx.term.json_data(&stopped)?;
                }
                let failed = stopped.iter().any(|it| it.outcome == Outcome::Failed);
                Ok(if failed { Exit::Failed } else { Exit::Done })
            }
            Action::Restart { names, release } => {
                let up = services::restart(cx, &names, Programs::built(release))?;
                as_json(cx, &up.names)
            }
            Action::Status { names } => status(cx, &names),
            Action::Logs {
                names,
                follow,
                lines,
                previous,
            } => logs(cx, &names, follow, lines, previous),
        }
    }
}

/// People have seen it happen; machines get the state that it led to.
fn as_json(cx: &Cx, names: &[String]) -> anyhow::Result<Exit> {
    if cx.term.json() {
        cx.term.json_data(&services::status(cx, names)?)?;
    }
    Ok(Exit::Done)
}

fn status(cx: &Cx, names: &[String]) -> anyhow::Result<Exit> {
    let rows = services::status(cx, names)?;
    if cx.term.json() {
        cx.term.json_data(&rows)?;
    } else {
        let width = rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
        for row in &rows {
            cx.term.line(&line(cx, row, width))?;
            for line in &row.log_tail {
                let line = format!("{:width$}  {line}", "");
                cx.term.line(&cx.term.paint(Style::Dim, &line))?;
            }
        }
    }
    let bad = |row: &Status| matches!(row.state, State::Crashed | State::Unhealthy);
    Ok(if rows.iter().any(bad) {
        Exit::Failed
    } else {
        Exit::Done
    })
}

fn line(cx: &Cx, row: &Status, width: usize) -> String {
    let style = match row.state {
        State::Healthy => Style::Green,
        State::Crashed | State::Unhealthy => Style::Red,
        State::Stopped => Style::Dim,
        State::Starting | State::Foreign | State::Unconfigured => Style::Yellow,
    };
    let state = cx.term.paint(style, &format!("{:9}", row.state.name()));
    let mut words = vec![format!("{:width$}  {state}", row.name)];
    words.extend(row.pid.map(|pid| format!("pid {pid}")));
    words.extend(row.port.map(|port| format!("port {port}")));
    let uptime = row.uptime_seconds.map(Duration::from_secs);
    words.extend(uptime.map(|uptime| format!("up {}", seconds(uptime))));
    if row.outdated {
        words.push("outdated: its program was built anew".to_owned());
    }
    if row.transient {
        words.push("ends with the command that it was started for".to_owned());
    }
    if !row.detail.is_empty() {
        words.push(row.detail.clone());
    }
    words.join("  ")
}

fn logs(
    cx: &Cx,
    names: &[String],
    follow: bool,
    lines: usize,
    previous: bool,
) -> anyhow::Result<Exit> {
    let config = cx.config()?;
    let asked = !names.is_empty();
    let names: Vec<&String> = if asked {
        names.iter().collect()
    } else {
        config.services.keys().collect()
    };
    let mut followers = Vec::new();
    for name in names {
        config.service(name)?;
        let mut follower = Follower::new(cx, name);
        let begun = follower
            .begin(lines, previous)
            .with_context(|| format!("failed to read the log of `{name}`"))?;
        // What has no log yet may get one while it is followed.
        if begun || follow {
            followers.push(follower);
        } else if asked {
            let which = if previous {
                "only one log"
            } else {
                "no log yet"
            };
            return Err(Fault::new(format!("`{name}` has {which}"))
                .hint(format!("run `cargo xtask services start {name}`"))
                .into());
        }
    }
    if followers.is_empty() {
        return Err(Fault::new("no service has a log yet")
            .hint("run `cargo xtask services start`")
            .into());
    }
    let mut shown = Shown {
        cx,
        secrets: services::secrets(cx),
        width: followers.iter().map(|it| it.name.len()).max().unwrap_or(0),
        prefixed: followers.len() > 1,
        outcome: Ok(true),
    };
    loop {
        for follower in &mut followers {
            let name = follower.name.clone();
            let mut see = |seen: Seen| shown.see(&name, seen);
            let read = if follow {
                follower.follow(&mut see)
            } else {
                follower.read(&mut see)
            };
            read.with_context(|| format!("failed to read the log of `{name}`"))?;
            if !follow || platform::interrupted() {
                follower.finish(&mut see);
            }
            // Nobody reads it any more (`| head`): a normal end.
            if !std::mem::replace(&mut shown.outcome, Ok(true))? {
                return Ok(Exit::Done);
            }
        }
        if !follow {
            return Ok(Exit::Done);
        }
        if platform::interrupted() {
            return Ok(Exit::Interrupted);
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// A line of a log, as `--format json` shows it: one object a line.
#[derive(Serialize)]
struct LogLine<'a> {
    service: &'a str,
    line: &'a str,
}

/// Where lines go, with what is done to them.
struct Shown<'a> {
    cx: &'a Cx,
    secrets: Secrets,
    width: usize,
    prefixed: bool,
    /// Whether somebody reads on.
    outcome: anyhow::Result<bool>,
}

impl Shown<'_> {
    fn see(&mut self, service: &str, seen: Seen) {
        if !matches!(self.outcome, Ok(true)) {
            return;
        }
        match seen {
            Seen::Line(line) => self.outcome = self.line(service, &self.secrets.mask(line)),
            Seen::Anew(why) => self
                .cx
                .term
                .status("Following", &format!("{service}: {why}")),
        }
    }

    fn line(&self, service: &str, line: &str) -> anyhow::Result<bool> {
        let term = &self.cx.term;
        if term.json() {
            let text = serde_json::to_string(&LogLine { service, line })?;
            return term.stream(&format!("{text}\n"));
        }
        if !self.prefixed {
            return term.stream(&format!("{line}\n"));
        }
        let prefix = format!("{:1$}", format!("[{service}]"), self.width + 2);
        term.stream(&format!("{} {line}\n", term.paint(Style::Cyan, &prefix)))
    }
}
