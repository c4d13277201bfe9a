//! Background services: started in dependency order, ready when a probe says so, and stopped whole.
//!
//! `docs/services.md` has the states, files, guarantees and limits. There is no daemon: what is
//! remembered stands in one file a service ([`state`]), and what is true stands in the process table,
//! where all that belongs to a service carries its mark ([`family`]).

mod family;
mod graph;
mod logs;
mod plan;
mod session;
mod spawn;
mod start;
mod state;
mod status;
mod stop;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub use graph::order;
pub use logs::{Follower, Seen};
pub use start::{Options, Up, restart, start};
pub use status::{State, Status, status};
pub use stop::{Outcome, Stopped, stop};

use crate::config::{Config, Service, ServiceKind};
use crate::cx::Cx;
use crate::environment::{Choice, Environment};
use crate::error::Fault;
use crate::mask::Secrets;
use crate::platform;
use crate::probe::{self, Finding};
use crate::proc;
use state::Home;

/// How services are built and run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Fast to build.
    Debug,
    /// Fast to run.
    Release,
}

impl Profile {
    /// What `--release` means, or that it was not given.
    #[must_use]
    pub fn of(release: bool) -> Profile {
        if release {
            Profile::Release
        } else {
            Profile::Debug
        }
    }

    /// Its directory below cargo's target directory.
    #[must_use]
    pub fn directory(self) -> &'static str {
        match self {
            Profile::Debug => "debug",
            Profile::Release => "release",
        }
    }
}

/// Where the programs of services come from.
#[derive(Clone, Copy, Debug)]
pub struct Programs<'a> {
    /// How they are built, or were.
    pub profile: Profile,
    /// A target directory in which they were built before, as an archive of tests holds it: nothing is
    /// built then.
    pub prebuilt: Option<&'a Path>,
}

impl Programs<'_> {
    /// Built here, for debugging or for release.
    #[must_use]
    pub fn built(release: bool) -> Self {
        Programs {
            profile: Profile::of(release),
            prebuilt: None,
        }
    }
}

/// The names that a command means: those that were given, else all that we can start.
///
/// # Errors
/// A name that is no service (exit 2).
pub fn chosen(cx: &Cx, names: &[String]) -> anyhow::Result<Vec<String>> {
    let config = cx.config()?;
    for name in names {
        config.service(name)?;
    }
    if !names.is_empty() {
        return Ok(names.to_vec());
    }
    Ok(startable(config, |service| service.autostart))
}

/// Every service that we can start, those without `autostart` too: what `--all` means.
///
/// # Errors
/// When the configuration cannot be read (exit 2).
pub fn all(cx: &Cx) -> anyhow::Result<Vec<String>> {
    Ok(startable(cx.config()?, |_| true))
}

fn startable(config: &Config, wanted: impl Fn(&Service) -> bool) -> Vec<String> {
    config
        .services
        .iter()
        .filter(|(_, it)| it.kind == ServiceKind::Postgres || !it.command.is_empty())
        .filter(|(_, it)| wanted(it))
        .map(|(name, _)| name.clone())
        .collect()
}

/// The port of a service: its variable's value, else the configured one.
///
/// # Errors
/// When the variable's value is no port (exit 2).
pub fn port(
    name: &str,
    service: &Service,
    environment: &Environment,
) -> Result<Option<u16>, Fault> {
    let Some(variable) = &service.port_env else {
        return Ok(service.port);
    };
    match environment.get(variable) {
        Some(value) => value.trim().parse().map(Some).map_err(|_| {
            Fault::usage(format!(
                "{variable} is `{value}`, which is no port (service `{name}`)"
            ))
        }),
        None => Ok(service.port),
    }
}

/// The error for a port that somebody else has.
pub fn port_taken(name: &str, service: &Service, port: u16) -> Fault {
    let holder = match platform::port_holder(port) {
        Some(holder) => format!("is held by {holder}"),
        None => "is in use".to_owned(),
    };
    let other = match &service.port_env {
        Some(variable) => format!(", or choose another port with {variable}"),
        None => String::new(),
    };
    Fault::new(format!("port {port} of `{name}` {holder}")).hint(format!("end that process{other}"))
}

/// Probes a service that is no PostgreSQL.
#[must_use]
pub fn probe_service(service: &Service, port: Option<u16>, timeout: Duration) -> Finding {
    let Some(port) = port else {
        return Finding::Unreachable("it has no port".to_owned());
    };
    match service.kind {
        ServiceKind::Http => probe::http(&service.host, port, &service.health, timeout),
        ServiceKind::Tcp | ServiceKind::Postgres => probe::tcp(&service.host, port, timeout),
    }
}

/// Builds services; equal build commands run once.
///
/// # Errors
/// When a build fails: its own words are on stderr.
pub fn build<'a>(
    cx: &Cx,
    services: impl Iterator<Item = &'a Service>,
    programs: Programs,
) -> anyhow::Result<()> {
    build_unless(cx, services, programs, &AtomicBool::new(false))
}

/// As [`build`], until another thread has something better to say.
fn build_unless<'a>(
    cx: &Cx,
    services: impl Iterator<Item = &'a Service>,
    programs: Programs,
    cancelled: &AtomicBool,
) -> anyhow::Result<()> {
    if programs.prebuilt.is_some() {
        return Ok(());
    }
    let mut done = BTreeSet::new();
    for service in services {
        let words = match programs.profile {
            Profile::Release if !service.build_release.is_empty() => &service.build_release,
            _ => &service.build,
        };
        if words.is_empty() || !done.insert((words, &service.directory)) {
            continue;
        }
        if platform::interrupted() || cancelled.load(Ordering::SeqCst) {
            return Err(Fault::interrupted().into());
        }
        let mut command = proc::command(cx, words, &cx.root.join(&service.directory))?;
        cx.term.status("Building", &words.join(" "));
        proc::step_unless(&mut command, cancelled)?;
    }
    Ok(())
}

/// The command that runs a service, with its environment.
///
/// # Errors
/// When the service has none (exit 2), or its program is not there.
pub fn command(
    cx: &Cx,
    name: &str,
    service: &Service,
    programs: Programs,
    environment: &Environment,
) -> anyhow::Result<Command> {
    let target = programs
        .prebuilt
        .map_or_else(|| cx.target_dir(), Path::to_path_buf);
    let target = target.display().to_string();
    let words: Vec<String> = service
        .command
        .iter()
        .map(|word| {
            word.replace("{target}", &target)
                .replace("{profile}", programs.profile.directory())
        })
        .collect();
    let Some((program, args)) = words.split_first() else {
        return Err(Fault::usage(format!("service `{name}` has no `command`"))
            .hint("add one to it in `.config/xtask.toml`")
            .into());
    };
    let directory = cx.root.join(&service.directory);
    let path = which::which_in(program, std::env::var_os("PATH"), &directory).map_err(|_| {
        Fault::new(format!("the program of `{name}` is not there: `{program}`"))
            .hint("build it, or run `cargo xtask doctor` for what this workspace needs")
    })?;
    let mut command = Command::new(path);
    command.args(args).current_dir(directory);
    environment.apply(&mut command);
    for (name, value) in &service.env {
        if !cx.env.contains_key(name) {
            command.env(name, value);
        }
    }
    if let (Some(variable), Some(port)) = (&service.port_env, port(name, service, environment)?) {
        command.env(variable, port.to_string());
    }
    Ok(command)
}

/// The secrets that logs may show: what the environment of this workspace holds.
#[must_use]
pub fn secrets(cx: &Cx) -> Secrets {
    // A dotenv file that cannot be read is reported by whatever needs it.
    let environment = Environment::resolve(cx, &Choice::default()).unwrap_or_default();
    let layers = environment
        .iter()
        .map(|(name, entry)| (name, entry.value.as_str()));
    let process = cx
        .env
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    let services = cx
        .config()
        .ok()
        .into_iter()
        .flat_map(|it| it.services.values());
    let own = services
        .flat_map(|it| &it.env)
        .map(|(name, value)| (name.as_str(), value.as_str()));
    Secrets::of(layers.chain(process).chain(own))
}

/// The pid of a service that runs in the background.
#[must_use]
pub fn running(cx: &Cx, name: &str) -> Option<u32> {
    Home::of(cx).look_at(name).leader().map(|it| it.pid)
}
