//! How services are: what their files, the process table and their probes say together.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use serde::Serialize;

use super::spawn::stranger_on_port;
use super::state::{self, Home, Record, Sight};
use super::{logs, port, probe_service, secrets};
use crate::config::{Service, ServiceKind};
use crate::cx::Cx;
use crate::environment::{Choice, Environment};
use crate::mask::Secrets;
use crate::platform;
use crate::postgres;
use crate::probe::Finding;

const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
const LOG_LINES: usize = 5;

/// How a service is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It runs, and its probe says that it is well.
    Healthy,
    /// It runs, and its probe says otherwise.
    Unhealthy,
    /// It runs, and has time left to get healthy.
    Starting,
    /// It was started, and has ended by itself.
    Crashed,
    /// It does not run.
    Stopped,
    /// Somebody else's process answers on its port.
    Foreign,
    /// It runs, but the configuration does not have it any more.
    Unconfigured,
}

impl State {
    /// Its name, as JSON has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            State::Healthy => "healthy",
            State::Unhealthy => "unhealthy",
            State::Starting => "starting",
            State::Crashed => "crashed",
            State::Stopped => "stopped",
            State::Foreign => "foreign",
            State::Unconfigured => "unconfigured",
        }
    }
}

/// A service, for `services status`.
#[derive(Debug, Serialize)]
pub struct Status {
    /// The service.
    pub name: String,
    /// How it is.
    pub state: State,
    /// The process that was started, while it lives.
    pub pid: Option<u32>,
    /// All that belong to it and live.
    pub pids: Vec<u32>,
    /// Its port.
    pub port: Option<u16>,
    /// Since when it runs, in seconds.
    pub uptime_seconds: Option<u64>,
    /// How it ended, where somebody saw that: `exit code 3`, `signal 9 (SIGKILL)`.
    pub exit: Option<String>,
    /// More in words.
    pub detail: String,
    /// Whether its program has been built anew since it was started.
    pub outdated: bool,
    /// Whether it ends with the command that it was started for (`with-services`).
    pub transient: bool,
    /// The log of its last run.
    pub log: Option<PathBuf>,
    /// The end of that log, if it crashed.
    pub log_tail: Vec<String>,
}

/// Looks at services (none named: all).
///
/// # Errors
/// A wrong configuration.
pub fn status(cx: &Cx, names: &[String]) -> anyhow::Result<Vec<Status>> {
    let config = cx.config()?;
    let home = Home::of(cx);
    let others = home.unconfigured(config);
    let chosen: Vec<String> = if names.is_empty() {
        config.services.keys().chain(&others).cloned().collect()
    } else {
        names.to_vec()
    };
    let environment = Environment::resolve(cx, &Choice::default())?;
    let secrets = secrets(cx);
    let mut looks = Vec::new();
    for (name, sight) in chosen.iter().zip(home.look(&chosen)) {
        let service = match config.service(name) {
            Ok(service) => Some(service),
            Err(_) if others.contains(name) => None,
            Err(error) => return Err(error),
        };
        let port = match service.filter(|it| it.kind != ServiceKind::Postgres) {
            Some(service) => sight.port(port(name, service, &environment)?),
            None => sight.port(None),
        };
        looks.push((sight, service, port));
    }
    // Probes take their time: all at once.
    thread::scope(|scope| {
        let running: Vec<_> = looks
            .into_iter()
            .map(|(sight, service, port)| {
                let (home, secrets) = (&home, &secrets);
                scope.spawn(move || look(cx, home, sight, service, port, secrets))
            })
            .collect();
        let joined = running.into_iter().map(|it| {
            it.join()
                .unwrap_or_else(|_| Err(anyhow::anyhow!("a probe failed")))
        });
        joined.collect()
    })
}

fn look(
    cx: &Cx,
    home: &Home,
    sight: Sight,
    service: Option<&Service>,
    port: Option<u16>,
    secrets: &Secrets,
) -> anyhow::Result<Status> {
    let (state, detail) = match service {
        None => (
            State::Unconfigured,
            format!(
                "it is not in `.config/xtask.toml` any more; `cargo xtask services stop {}` ends it",
                sight.name
            ),
        ),
        Some(service) if service.kind == ServiceKind::Postgres => database(cx)?,
        Some(service) => {
            let finding = probe_service(service, port, PROBE_TIMEOUT);
            let stranger = match finding {
                Finding::Unreachable(_) => None,
                _ if service.command.is_empty() => None,
                _ => stranger_on_port(home, &sight.name, service, port).map(|it| it.to_string()),
            };
            judge(
                &sight,
                service,
                &finding,
                stranger.as_deref(),
                &platform::boot(),
                age(&sight),
            )
        }
    };
    let leader = sight.leader();
    let record = sight.record.as_ref();
    let log_tail = if state == State::Crashed {
        logs::tail(home, &sight.name, LOG_LINES, secrets)
    } else {
        Vec::new()
    };
    Ok(Status {
        state,
        pid: leader.map(|it| it.pid),
        pids: sight.family.members.iter().map(|it| it.pid).collect(),
        port,
        uptime_seconds: leader.and(age(&sight)).map(|age| age.as_secs()),
        exit: record.and_then(|it| it.ended.clone()),
        detail,
        outdated: leader.is_some() && record.is_some_and(Record::is_outdated),
        transient: home.is_transient(&sight.name),
        log: home.logs(&sight.name).pop().map(|(_, log)| log),
        log_tail,
        name: sight.name,
    })
}

/// How long it has been running, by the process where it can be told: clocks jump.
fn age(sight: &Sight) -> Option<Duration> {
    let by_clock = || {
        let record = sight.record.as_ref()?;
        Some(Duration::from_secs(
            state::now().saturating_sub(record.started_at),
        ))
    };
    platform::age(sight.leader()?.pid).or_else(by_clock)
}

/// Decides how a service is. `stranger` is somebody else who answers on its port.
fn judge(
    sight: &Sight,
    service: &Service,
    finding: &Finding,
    stranger: Option<&str>,
    boot: &str,
    age: Option<Duration>,
) -> (State, String) {
    let ours = !service.command.is_empty();
    if let Some(leader) = sight.leader() {
        if leader.suspended {
            return (
                State::Unhealthy,
                "it is suspended (SIGSTOP): restart it".to_owned(),
            );
        }
        if let Some(stranger) = stranger {
            return (
                State::Unhealthy,
                format!("on its port, {stranger} answers instead of it"),
            );
        }
        let late = age.is_some_and(|age| age > Duration::from_secs(service.ready_timeout));
        return match finding {
            Finding::Healthy => (State::Healthy, String::new()),
            Finding::Unhealthy(why) => (State::Unhealthy, why.clone()),
            Finding::Unreachable(why) if late => (State::Unhealthy, why.clone()),
            Finding::Unreachable(why) => (State::Starting, why.clone()),
        };
    }
    if let Some(record) = sight.record.as_ref().filter(|it| it.pid.is_some()) {
        if record.boot == boot {
            return (State::Crashed, crashed(sight, record, stranger));
        }
        if *finding == Finding::Healthy && stranger.is_none() {
            return (State::Foreign, "another process answers there".to_owned());
        }
        return (
            State::Stopped,
            "it ran until the machine was restarted".to_owned(),
        );
    }
    match finding {
        Finding::Healthy if !ours => (State::Healthy, "not started by us".to_owned()),
        Finding::Unhealthy(why) if !ours => (State::Unhealthy, why.clone()),
        Finding::Unreachable(_) if !sight.family.members.is_empty() => {
            (State::Crashed, "what it had left behind runs on".to_owned())
        }
        Finding::Unreachable(_) if sight.damaged => (
            State::Stopped,
            "its state file is damaged or was edited".to_owned(),
        ),
        Finding::Unreachable(_) => (State::Stopped, String::new()),
        Finding::Healthy | Finding::Unhealthy(_) => (
            State::Foreign,
            format!(
                "{} answers there, not started by us",
                stranger.unwrap_or("another process")
            ),
        ),
    }
}

fn crashed(sight: &Sight, record: &Record, stranger: Option<&str>) -> String {
    let pid = record.pid.unwrap_or_default();
    let mut detail = match &record.ended {
        Some(how) => format!("pid {pid} ended with {how}"),
        None => format!("pid {pid} has ended; nobody saw how"),
    };
    let left: Vec<String> = sight
        .family
        .members
        .iter()
        .map(|it| it.pid.to_string())
        .collect();
    if !left.is_empty() {
        detail.push_str(&format!("; it left pid {} behind", left.join(",")));
    } else if let Some(stranger) = stranger {
        detail.push_str(&format!("; {stranger} has its port"));
    }
    detail
}

fn database(cx: &Cx) -> anyhow::Result<(State, String)> {
    Ok(match postgres::probe(cx, PROBE_TIMEOUT)? {
        None => (State::Stopped, "not made yet".to_owned()),
        Some((postgres::State::Ready, endpoint)) => (State::Healthy, endpoint),
        Some((postgres::State::Refused, endpoint)) => (State::Stopped, endpoint),
        Some((postgres::State::Starting, endpoint)) => (State::Starting, endpoint),
        Some((state, endpoint)) => (
            State::Unhealthy,
            format!("{endpoint}: {}", state.describe()),
        ),
    })
}
