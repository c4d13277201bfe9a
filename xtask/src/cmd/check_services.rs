//! `cargo xtask check-services`

use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::config::{Service, ServiceKind};
use crate::cx::Cx;
use crate::environment::{Choice, Environment};
use crate::error::Fault;
use crate::exit::Exit;
use crate::fan_out::fan_out;
use crate::platform;
use crate::postgres::{self, State};
use crate::probe::{self, Finding};
use crate::services;
use crate::term::Style;

/// Probe the services that the workspace needs, all at once
///
/// Without names: every service; one that is not `required` is a warning when it is down, unless
/// --all (or CHECK_ALL_SERVICES=true) makes it count. A named service counts.
///
/// Examples:
///   cargo xtask check-services
///   cargo xtask check-services postgres --wait 30
///   cargo xtask --format json check-services --all
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct CheckServices {
    /// Services to probe
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Optional services count as required, too
    #[arg(long)]
    all: bool,
    /// Probe again until all that count are healthy, for so many seconds
    #[arg(long, value_name = "SECS")]
    wait: Option<u64>,
    /// How long one probe may take
    #[arg(long, value_name = "MS", default_value_t = 2000, value_parser = clap::value_parser!(u64).range(1..=600_000))]
    timeout: u64,
}

/// One service, as `--format json` shows it.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    kind: &'static str,
    endpoint: String,
    required: bool,
    status: &'static str,
    latency_ms: f64,
    detail: String,
    hint: String,
}

impl Row {
    fn healthy(&self) -> bool {
        self.status == "healthy"
    }
}

impl CheckServices {
    pub(crate) fn run(self, cx: &Cx) -> anyhow::Result<Exit> {
        let config = cx.config()?;
        for name in &self.names {
            config.service(name)?;
        }
        if config.services.is_empty() {
            // "Nothing was checked" must not look like "all is well".
            return Err(
                Fault::usage("this workspace has no [services] in `.config/xtask.toml`")
                    .hint("add a service: [services.NAME] with `kind` and `port`")
                    .into(),
            );
        }
        let all = self.all
            || cx
                .env
                .get("CHECK_ALL_SERVICES")
                .is_some_and(|value| value == "true");
        let deadline = Instant::now() + Duration::from_secs(self.wait.unwrap_or(0));
        let since = Instant::now();
        let mut told = false;
        let mut pause = Duration::from_millis(50);
        let rows = loop {
            let rows = self.probe_all(cx, all)?;
            let done = rows.iter().all(|row| row.healthy() || !row.required);
            if done || Instant::now() + pause >= deadline {
                break rows;
            }
            if platform::interrupted() {
                return Err(Fault::interrupted().into());
            }
            if !told && since.elapsed() > Duration::from_secs(1) {
                let names: Vec<&str> = rows
                    .iter()
                    .filter(|row| row.required && !row.healthy())
                    .map(|row| row.name.as_str())
                    .collect();
                cx.term
                    .status("Waiting", &format!("for {}", names.join(", ")));
                told = true;
            }
            thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(500));
        };
        report(cx, &rows)?;
        let down = rows
            .iter()
            .filter(|row| row.required && !row.healthy())
            .count();
        Ok(if down == 0 { Exit::Done } else { Exit::Failed })
    }

    /// Probes every service, all at once.
    fn probe_all(&self, cx: &Cx, all: bool) -> anyhow::Result<Vec<Row>> {
        let config = cx.config()?;
        let environment = Environment::resolve(cx, &Choice::default())?;
        let timeout = Duration::from_millis(self.timeout);
        let chosen = config
            .services
            .iter()
            .filter(|(name, _)| self.names.is_empty() || self.names.contains(name));
        let mut jobs: Vec<Job> = Vec::new();
        for (name, service) in chosen {
            let port = match service.kind {
                ServiceKind::Postgres => None,
                ServiceKind::Http | ServiceKind::Tcp => {
                    services::port(name, service, &environment)?
                }
            };
            jobs.push(Job {
                name,
                service,
                port,
                required: service.required || all || !self.names.is_empty(),
            });
        }
        // A login takes longest.
        jobs.sort_by_key(|job| job.service.kind != ServiceKind::Postgres);
        let rows = fan_out(&jobs, |job| match job.service.kind {
            ServiceKind::Postgres => database_row(cx, job.name, job.required, timeout),
            ServiceKind::Http | ServiceKind::Tcp => Ok(job.probe(timeout)),
        });
        let mut rows = rows.into_iter().collect::<anyhow::Result<Vec<Row>>>()?;
        // In the order of the configuration, whatever came first.
        rows.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(rows)
    }
}

struct Job<'a> {
    name: &'a str,
    service: &'a Service,
    port: Option<u16>,
    required: bool,
}

impl Job<'_> {
    fn probe(&self, timeout: Duration) -> Row {
        let probed = probe::timed(|| services::probe_service(self.service, self.port, timeout));
        let held = !probed.finding.nobody_listens();
        let (status, detail) = match probed.finding {
            Finding::Healthy => ("healthy", String::new()),
            Finding::Unhealthy(why) => ("unhealthy", self.with_holder(why)),
            Finding::Unreachable(why) if held => ("unreachable", self.with_holder(why)),
            Finding::Unreachable(why) => ("unreachable", why),
        };
        let start = if self.service.command.is_empty() {
            format!("start it; it is looked for at {}", self.endpoint())
        } else {
            format!("run `cargo xtask services start {}`", self.name)
        };
        let hint = match status {
            "healthy" => String::new(),
            "unreachable" => start,
            _ => format!("look at `cargo xtask services logs {}`", self.name),
        };
        Row {
            name: self.name.to_owned(),
            kind: if self.service.kind == ServiceKind::Http {
                "http"
            } else {
                "tcp"
            },
            endpoint: self.endpoint(),
            required: self.required,
            status,
            latency_ms: milliseconds(probed.latency),
            detail,
            hint,
        }
    }

    fn endpoint(&self) -> String {
        let port = self.port.map_or("?".to_owned(), |port| port.to_string());
        match self.service.kind {
            ServiceKind::Http => {
                format!("http://{}:{port}{}", self.service.host, self.service.health)
            }
            _ => format!("{}:{port}", self.service.host),
        }
    }

    /// Who holds the port, where somebody does: it may be a stranger that answers.
    fn with_holder(&self, why: String) -> String {
        match self.port.and_then(platform::port_holder) {
            Some(holder) => format!("{why} (the port is held by {holder})"),
            None => why,
        }
    }
}

fn database_row(cx: &Cx, name: &str, required: bool, timeout: Duration) -> anyhow::Result<Row> {
    let facts = postgres::database(cx)?;
    let since = Instant::now();
    let probed = postgres::probe(cx, timeout)?;
    let latency_ms = milliseconds(since.elapsed());
    let (status, endpoint, detail, hint) = match probed {
        None => (
            "unreachable",
            "embedded".to_owned(),
            format!(
                "{} is not set, and there is no embedded PostgreSQL yet",
                facts.url_env
            ),
            "run `cargo xtask setup-db`".to_owned(),
        ),
        Some((state, endpoint)) => {
            let given = matches!(postgres::place(cx)?, postgres::Place::Given(_));
            let hint = postgres::hint(facts, &state, given);
            let status = match state {
                State::Ready => "healthy",
                State::Refused | State::TimedOut => "unreachable",
                _ => "unhealthy",
            };
            let detail = if state == State::Ready {
                String::new()
            } else {
                state.describe()
            };
            (status, endpoint, detail, hint)
        }
    };
    let name = name.to_owned();
    Ok(Row {
        name,
        kind: "postgres",
        endpoint,
        required,
        status,
        latency_ms,
        detail,
        hint,
    })
}

fn milliseconds(latency: Duration) -> f64 {
    (latency.as_secs_f64() * 100_000.0).round() / 100.0
}

fn report(cx: &Cx, rows: &[Row]) -> anyhow::Result<()> {
    if cx.term.json() {
        return cx.term.json_data(&rows);
    }
    let width = rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
    for row in rows {
        let (mark, style) = match (row.healthy(), row.required) {
            (true, _) => ("✓", Style::Green),
            (false, true) => ("✗", Style::Red),
            (false, false) => ("!", Style::Yellow),
        };
        let mut line = format!(
            "{} {:width$}  {:11}  {}  {:.1} ms",
            cx.term.paint(style, mark),
            row.name,
            row.status,
            row.endpoint,
            row.latency_ms
        );
        if !row.healthy() && !row.required {
            line.push_str("  (optional)");
        }
        cx.term.line(&line)?;
        if !row.detail.is_empty() {
            cx.term.line(&format!("  {:width$}  {}", "", row.detail))?;
        }
        if !row.hint.is_empty() {
            cx.term.line(&format!("  {:width$}  → {}", "", row.hint))?;
        }
    }
    Ok(())
}
