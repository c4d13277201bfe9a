//! Background services: started in dependency order, ready when a probe says so, and stopped whole.
//!
//! What is remembered of a service is one file under the state directory, written right after the
//! start, so that even a killed xtask leaves nothing that `services stop` cannot find. A process is
//! only ours while its pid *and* its start time are those of the file: a later process of the same
//! number is never touched.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::config::{Config, Service, ServiceKind};
use crate::cx::Cx;
use crate::environment::{Choice, Environment};
use crate::error::Fault;
use crate::fsx;
use crate::lock;
use crate::mask;
use crate::platform;
use crate::postgres;
use crate::probe::{self, Finding};
use crate::proc;

/// Logs of this many runs are kept.
const KEPT_LOGS: usize = 5;
const LOG_TAIL: usize = 20;
/// The variable by which descendants are found that have left their process group.
const MARKER: &str = "XTASK_SERVICE_RUN";

/// What is remembered of a running service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The service.
    pub name: String,
    /// The leader of its process group.
    pub pid: u32,
    /// When that process started, in the platform's terms.
    pub start_time: String,
    /// This run's own name; its descendants carry it in their environment.
    pub run: String,
    /// The port that it was told.
    pub port: Option<u16>,
    /// Its log.
    pub log: PathBuf,
    /// When it was started, in seconds since 1970.
    pub started_at: u64,
}

/// What a call has started, and so has to stop.
#[derive(Debug, Default)]
pub struct Started {
    /// Services, in the order of their start.
    pub services: Vec<String>,
    /// Whether the embedded PostgreSQL is among it.
    pub database: bool,
}

/// How services are built and run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Fast to build.
    Debug,
    /// Fast to run.
    Release,
}

/// The chosen services and all that they need, each after what it depends on.
///
/// # Errors
/// A circle of dependencies (exit 2).
pub fn order(config: &Config, chosen: &[String]) -> Result<Vec<String>, Fault> {
    fn visit(
        config: &Config,
        name: &str,
        path: &mut Vec<String>,
        done: &mut Vec<String>,
    ) -> Result<(), Fault> {
        if done.iter().any(|it| it == name) {
            return Ok(());
        }
        if let Some(start) = path.iter().position(|it| it == name) {
            let mut circle = path.split_off(start);
            circle.push(name.to_owned());
            return Err(Fault::usage(format!(
                "services depend on each other in a circle: {}",
                circle.join(" -> ")
            )));
        }
        path.push(name.to_owned());
        for needed in config
            .services
            .get(name)
            .into_iter()
            .flat_map(|it| &it.depends_on)
        {
            visit(config, needed, path, done)?;
        }
        path.pop();
        done.push(name.to_owned());
        Ok(())
    }
    let mut done = Vec::new();
    for name in chosen {
        visit(config, name, &mut Vec::new(), &mut done)?;
    }
    Ok(done)
}

/// Groups an order into waves: what is in one wave depends on earlier waves alone.
fn waves(config: &Config, order: &[String]) -> Vec<Vec<String>> {
    let mut depth: BTreeMap<&str, usize> = BTreeMap::new();
    let mut waves: Vec<Vec<String>> = Vec::new();
    for name in order {
        let needed = config
            .services
            .get(name)
            .into_iter()
            .flat_map(|it| &it.depends_on);
        let level = needed
            .filter_map(|it| depth.get(it.as_str()))
            .map(|it| it + 1)
            .max();
        let level = level.unwrap_or(0);
        depth.insert(name, level);
        if waves.len() <= level {
            waves.resize(level + 1, Vec::new());
        }
        waves[level].push(name.clone());
    }
    waves
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

/// The directory of everything that we remember of services.
fn home(cx: &Cx) -> PathBuf {
    cx.state_dir().join("services")
}

fn record_path(cx: &Cx, name: &str) -> PathBuf {
    home(cx).join(name).join("state.json")
}

/// What is remembered of a service.
///
/// # Errors
/// When the file cannot be read. A damaged one counts as none: it names no process that we trust.
pub fn record(cx: &Cx, name: &str) -> anyhow::Result<Option<Record>> {
    let text = fsx::read_optional(&record_path(cx, name))?;
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
}

/// Whether the process of a record is still that process.
#[must_use]
pub fn is_alive(record: &Record) -> bool {
    platform::start_time(record.pid).is_some_and(|start| start == record.start_time)
}

fn forget(cx: &Cx, name: &str) {
    // A file that stays names a process that is gone: harmless, and said by `services status`.
    let _ = std::fs::remove_file(record_path(cx, name));
}

/// Held while services are started or stopped: two calls at once take turns.
fn lock(cx: &Cx) -> anyhow::Result<File> {
    lock::take(cx, &home(cx).join("lock"), "starts or stops services")
}

fn check_interrupt() -> anyhow::Result<()> {
    if platform::interrupted() {
        Err(Fault::interrupted().into())
    } else {
        Ok(())
    }
}

/// A service that is about to be started.
struct Launch<'a> {
    name: String,
    service: &'a Service,
    port: Option<u16>,
}

/// Starts the services and what they need, and waits until all are healthy. What runs already stays.
///
/// # Errors
/// A service that does not build, ends at once, or does not get healthy: with the end of its log.
/// What this call had started is stopped then.
pub fn start(cx: &Cx, names: &[String], profile: Profile) -> anyhow::Result<Started> {
    let _lock = lock(cx)?;
    let mut started = Started::default();
    let result = start_all(cx, names, profile, &mut started);
    if let Err(error) = result {
        stop_started(cx, &started)?;
        return Err(error);
    }
    Ok(started)
}

fn start_all(
    cx: &Cx,
    names: &[String],
    profile: Profile,
    started: &mut Started,
) -> anyhow::Result<()> {
    let config = cx.config()?;
    let order = order(config, &chosen(cx, names)?)?;
    let mut database_url = None;
    if order
        .iter()
        .any(|name| config.services[name].kind == ServiceKind::Postgres)
    {
        let ensured = postgres::ensure(cx)?;
        started.database = ensured.started;
        database_url = Some(ensured.url.reveal());
    }
    let environment = Environment::resolve(cx, &Choice::default())?;
    let mut launches = Vec::new();
    for name in &order {
        let service = &config.services[name];
        if service.kind == ServiceKind::Postgres {
            continue;
        }
        let port = port(name, service, &environment)?;
        if service.command.is_empty() {
            // Somebody else's to start: all we can do is look.
            check_foreign(name, service, port)?;
            continue;
        }
        if let Some(record) = record(cx, name)? {
            if is_alive(&record) {
                cx.term
                    .status("Running", &format!("{name} (pid {}) already", record.pid));
                continue;
            }
            // Its leader is gone; what it left behind would hold the port.
            end(cx, &record, Duration::from_secs(service.stop_timeout));
            forget(cx, name);
        }
        launches.push(Launch {
            name: name.clone(),
            service,
            port,
        });
    }
    build(cx, launches.iter().map(|it| it.service), profile)?;
    for launch in &launches {
        check_port(launch)?;
    }
    for wave in waves(config, &order) {
        let mut children = Vec::new();
        for launch in launches.iter().filter(|launch| wave.contains(&launch.name)) {
            check_interrupt()?;
            let spawned = spawn(cx, launch, profile, &environment, database_url.as_deref())?;
            started.services.push(launch.name.clone());
            children.push((launch, spawned));
        }
        await_ready(cx, children)?;
    }
    Ok(())
}

fn check_foreign(name: &str, service: &Service, port: Option<u16>) -> anyhow::Result<()> {
    match probe_service(service, port, Duration::from_secs(5)) {
        Finding::Healthy => Ok(()),
        Finding::Unhealthy(why) | Finding::Unreachable(why) => Err(Fault::new(format!(
            "`{name}` is not healthy ({why}), and has no `command` to start it by"
        ))
        .hint("start it yourself, or give it a `command` in `.config/xtask.toml`")
        .into()),
    }
}

fn check_port(launch: &Launch) -> anyhow::Result<()> {
    let Some(port) = launch.port else {
        return Ok(());
    };
    if probe::port_is_free(port) {
        return Ok(());
    }
    Err(port_taken(&launch.name, launch.service, port).into())
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
    profile: Profile,
) -> anyhow::Result<()> {
    let mut done = BTreeSet::new();
    for service in services {
        let words = match profile {
            Profile::Release if !service.build_release.is_empty() => &service.build_release,
            _ => &service.build,
        };
        if words.is_empty() || !done.insert((words, &service.directory)) {
            continue;
        }
        check_interrupt()?;
        let mut command = proc::command(cx, words, &cx.root.join(&service.directory))?;
        cx.term.status("Building", &words.join(" "));
        proc::step(&mut command)?;
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
    profile: Profile,
    environment: &Environment,
) -> anyhow::Result<Command> {
    let profile = match profile {
        Profile::Debug => "debug",
        Profile::Release => "release",
    };
    let target = cx.target_dir().display().to_string();
    let words: Vec<String> = service
        .command
        .iter()
        .map(|word| {
            word.replace("{target}", &target)
                .replace("{profile}", profile)
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

fn spawn(
    cx: &Cx,
    launch: &Launch,
    profile: Profile,
    environment: &Environment,
    database_url: Option<&str>,
) -> anyhow::Result<(Child, Record)> {
    let name = &launch.name;
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let run = format!("{name}-{}-{}", now.as_millis(), std::process::id());
    let log = home(cx).join(name).join(format!("{}.log", now.as_millis()));
    fsx::create_dir_all(&home(cx).join(name))?;
    rotate_logs(&home(cx).join(name));
    let output =
        File::create(&log).with_context(|| format!("failed to create `{}`", log.display()))?;
    let mut command = command(cx, name, launch.service, profile, environment)?;
    if let (Some(url), Some(database)) = (database_url, &cx.config()?.database) {
        command.env(&database.url_env, url);
    }
    command
        .env(MARKER, &run)
        .stdin(Stdio::null())
        .stdout(output.try_clone().context("failed to share the log")?)
        .stderr(output);
    platform::own_group(&mut command);
    let mut child = command
        .spawn()
        .with_context(|| format!("failed to start `{}`", proc::display(&command)))?;
    let record = Record {
        name: name.clone(),
        pid: child.id(),
        // Not to be read for a process that has ended already: then it is not alive anyway.
        start_time: platform::start_time(child.id()).unwrap_or_default(),
        run,
        port: launch.port,
        log,
        started_at: now.as_secs(),
    };
    let text = serde_json::to_string_pretty(&record)?;
    if let Err(error) = fsx::atomic_write(
        &record_path(cx, name),
        text.as_bytes(),
        fsx::Access::Default,
    ) {
        // A process that nobody remembers would outlive us.
        platform::kill_group(child.id());
        let _ = child.wait();
        return Err(error);
    }
    cx.term
        .detail(&format!("started {name} (pid {})", record.pid));
    Ok((child, record))
}

/// Logs are named by their time: the oldest go first.
fn rotate_logs(directory: &Path) {
    let mut logs: Vec<PathBuf> = std::fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|suffix| suffix == "log"))
        .collect();
    logs.sort();
    for old in logs.iter().rev().skip(KEPT_LOGS - 1) {
        let _ = std::fs::remove_file(old);
    }
}

/// The log of the last run of a service.
#[must_use]
pub fn latest_log(cx: &Cx, name: &str) -> Option<PathBuf> {
    std::fs::read_dir(home(cx).join(name))
        .ok()?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|suffix| suffix == "log"))
        .max()
}

/// Waits until each is healthy; the first that has ended, or takes too long, is the error.
fn await_ready(cx: &Cx, mut waiting: Vec<(&Launch, (Child, Record))>) -> anyhow::Result<()> {
    let since = Instant::now();
    let mut pause = Duration::from_millis(5);
    let mut told = false;
    while !waiting.is_empty() {
        check_interrupt()?;
        let findings: Vec<Finding> = thread::scope(|scope| {
            let probes: Vec<_> = waiting
                .iter()
                .map(|(launch, _)| {
                    scope.spawn(|| {
                        probe_service(launch.service, launch.port, Duration::from_secs(1))
                    })
                })
                .collect();
            probes
                .into_iter()
                .map(|it| {
                    it.join()
                        .unwrap_or(Finding::Unreachable("the probe failed".to_owned()))
                })
                .collect()
        });
        let mut still = Vec::new();
        for ((launch, (mut child, record)), finding) in waiting.into_iter().zip(findings) {
            // Looked at after the probe: who answered on the port of a dead service was not it.
            if let Some(status) = child.try_wait()? {
                return Err(died(launch, &record, &proc::describe_status(status)).into());
            }
            let took = since.elapsed();
            match finding {
                Finding::Healthy => {
                    let place = launch.port.map(|port| format!(" on port {port}"));
                    cx.term.status(
                        "Healthy",
                        &format!(
                            "{}{} ({:.2}s)",
                            launch.name,
                            place.unwrap_or_default(),
                            took.as_secs_f64()
                        ),
                    );
                }
                Finding::Unhealthy(why) | Finding::Unreachable(why) => {
                    if took > Duration::from_secs(launch.service.ready_timeout) {
                        return Err(never_healthy(launch, &record, &why).into());
                    }
                    still.push((launch, (child, record)));
                }
            }
        }
        waiting = still;
        if since.elapsed() > Duration::from_secs(1) && !told && !waiting.is_empty() {
            let names: Vec<&str> = waiting
                .iter()
                .map(|(launch, _)| launch.name.as_str())
                .collect();
            cx.term
                .status("Waiting", &format!("for {}", names.join(", ")));
            told = true;
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(100));
    }
    Ok(())
}

fn died(launch: &Launch, record: &Record, how: &str) -> Fault {
    Fault::new(format!(
        "`{}` ended with {how} before it was healthy{}",
        launch.name,
        tail(record)
    ))
    .hint(format!(
        "the whole log: `cargo xtask services logs {}`",
        launch.name
    ))
}

fn never_healthy(launch: &Launch, record: &Record, why: &str) -> Fault {
    Fault::new(format!(
        "`{}` is not healthy after {} s: {why}{}",
        launch.name,
        launch.service.ready_timeout,
        tail(record)
    ))
    .hint(format!(
        "the whole log: `cargo xtask services logs {}`; or give it a longer `ready_timeout`",
        launch.name
    ))
}

fn tail(record: &Record) -> String {
    let bytes = std::fs::read(&record.log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let tail = proc::last_lines(&text, LOG_TAIL);
    if tail.is_empty() {
        "; its log is empty".to_owned()
    } else {
        format!("; the end of its log:\n{}", mask::mask_urls(&tail))
    }
}

/// What stopping a service came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// It ran, and is gone.
    Stopped,
    /// It did not run.
    NotRunning,
    /// The process of that number is somebody else's: it was left alone.
    NotOurs,
}

/// Stops what a call has started, in reverse order.
///
/// # Errors
/// When something runs on.
pub fn stop_started(cx: &Cx, started: &Started) -> anyhow::Result<()> {
    for name in started.services.iter().rev() {
        stop_one(cx, name)?;
    }
    if started.database {
        postgres::stop_embedded(cx)?;
    }
    Ok(())
}

/// As [`stop_started`], for a call that no longer holds the lock.
///
/// # Errors
/// When something runs on.
pub fn stop_again(cx: &Cx, started: &Started) -> anyhow::Result<()> {
    if started.services.is_empty() && !started.database {
        return Ok(());
    }
    // A second call may hold the lock for long; what we started must end all the same.
    let _lock = lock(cx).ok();
    stop_started(cx, started)
}

/// Stops services by name, those that depend on others first.
///
/// # Errors
/// When something runs on.
pub fn stop(cx: &Cx, names: &[String]) -> anyhow::Result<()> {
    let _lock = lock(cx)?;
    let config = cx.config()?;
    let everything = names.is_empty();
    let names: Vec<String> = if everything {
        config.services.keys().cloned().collect()
    } else {
        names.to_vec()
    };
    for name in &names {
        config.service(name)?;
    }
    let ordered = order(config, &names)?;
    for name in ordered.iter().rev().filter(|name| names.contains(name)) {
        if config.services[name].kind == ServiceKind::Postgres {
            if !postgres::stop_embedded(cx)? && !everything {
                cx.term
                    .status("Stopped", &format!("{name} was not running"));
            }
        } else if stop_one(cx, name)? == Stopped::NotRunning && !everything {
            cx.term
                .status("Stopped", &format!("{name} was not running"));
        }
    }
    Ok(())
}

fn stop_one(cx: &Cx, name: &str) -> anyhow::Result<Stopped> {
    let Some(record) = record(cx, name)? else {
        return Ok(Stopped::NotRunning);
    };
    let patience = cx
        .config()?
        .services
        .get(name)
        .map_or(10, |service| service.stop_timeout);
    let outcome = end(cx, &record, Duration::from_secs(patience));
    match outcome {
        Stopped::Stopped => cx
            .term
            .status("Stopped", &format!("{name} (pid {})", record.pid)),
        Stopped::NotRunning => {
            cx.term.warn(&format!(
                "`{name}` (pid {}) had ended by itself",
                record.pid
            ));
        }
        Stopped::NotOurs => cx.term.warn(&format!(
            "pid {} is no longer `{name}` but another process, which is left alone",
            record.pid
        )),
    }
    let left = remains(&record);
    if !left.is_empty() {
        return Err(Fault::new(format!("`{name}` runs on: pid {left:?}")).into());
    }
    forget(cx, name);
    Ok(outcome)
}

/// The living processes of a record: its group while the leader is ours, and whoever has its mark.
fn remains(record: &Record) -> Vec<u32> {
    let mut left = platform::processes_with_env(&format!("{MARKER}={}", record.run));
    if is_alive(record) {
        left.extend(platform::group_members(record.pid));
    }
    left.sort_unstable();
    left.dedup();
    left
}

/// Asks the whole tree to end, waits, then ends it.
fn end(cx: &Cx, record: &Record, patience: Duration) -> Stopped {
    let leader_is_ours = is_alive(record);
    let foreign = !leader_is_ours && platform::start_time(record.pid).is_some();
    if !leader_is_ours && remains(record).is_empty() {
        return if foreign {
            Stopped::NotOurs
        } else {
            Stopped::NotRunning
        };
    }
    if leader_is_ours {
        platform::terminate_group(record.pid);
    }
    let since = Instant::now();
    let mut pause = Duration::from_millis(2);
    let mut hard = false;
    loop {
        platform::reap(record.pid);
        let left = remains(record);
        if left.is_empty() {
            return if leader_is_ours {
                Stopped::Stopped
            } else {
                Stopped::NotRunning
            };
        }
        // What outlived its leader has been told nothing: its leader was to do that.
        let impatient = since.elapsed() > patience || !leader_is_ours || !is_alive(record);
        if impatient || platform::interrupts() > 1 {
            if !hard && leader_is_ours && since.elapsed() > patience {
                cx.term.warn(&format!(
                    "`{}` does not end within {} s: it is killed",
                    record.name,
                    patience.as_secs()
                ));
            }
            hard = true;
            left.iter().for_each(|process| platform::kill(*process));
        }
        if since.elapsed() > patience + Duration::from_secs(5) {
            return Stopped::Stopped; // The caller looks at what remains.
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// How a service is, for `services status`.
#[derive(Debug, Serialize)]
pub struct Status {
    /// The service.
    pub name: String,
    /// `healthy`, `unhealthy`, `starting`, `crashed`, `stopped` or `foreign` (it answers, but we did
    /// not start it).
    pub state: &'static str,
    /// The leader of its process group.
    pub pid: Option<u32>,
    /// Its port.
    pub port: Option<u16>,
    /// Since when it runs, in seconds.
    pub uptime_seconds: Option<u64>,
    /// More in words.
    pub detail: String,
}

/// Looks at services.
///
/// # Errors
/// A wrong configuration.
pub fn status(cx: &Cx, names: &[String]) -> anyhow::Result<Vec<Status>> {
    let config = cx.config()?;
    let environment = Environment::resolve(cx, &Choice::default())?;
    let names: Vec<String> = if names.is_empty() {
        config.services.keys().cloned().collect()
    } else {
        names.to_vec()
    };
    let mut rows = Vec::new();
    for name in names {
        let service = config.service(&name)?;
        if service.kind == ServiceKind::Postgres {
            rows.push(database_status(cx, name)?);
            continue;
        }
        let port = port(&name, service, &environment)?;
        let finding = probe_service(service, port, Duration::from_secs(1));
        let record = record(cx, &name)?;
        let alive = record.as_ref().is_some_and(is_alive);
        let (state, detail) = match (&record, alive, &finding) {
            (_, true, Finding::Healthy) => ("healthy", String::new()),
            (_, true, Finding::Unhealthy(why)) => ("unhealthy", why.clone()),
            (_, true, Finding::Unreachable(why)) => ("starting", why.clone()),
            (Some(record), false, _) => (
                "crashed",
                format!("pid {} has ended; `services logs {name}`", record.pid),
            ),
            (None, false, Finding::Unreachable(_)) => ("stopped", String::new()),
            (None, false, _) => {
                let holder = port.and_then(platform::port_holder);
                let holder = holder.map_or("another process".to_owned(), |it| it.to_string());
                (
                    "foreign",
                    format!("{holder} answers there, not started by us"),
                )
            }
        };
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let running = record.filter(|_| alive);
        rows.push(Status {
            name,
            state,
            pid: running.as_ref().map(|record| record.pid),
            port,
            uptime_seconds: running.map(|record| now.as_secs().saturating_sub(record.started_at)),
            detail,
        });
    }
    Ok(rows)
}

fn database_status(cx: &Cx, name: String) -> anyhow::Result<Status> {
    let (state, detail) = match postgres::probe(cx, Duration::from_secs(2))? {
        None => ("stopped", "not made yet".to_owned()),
        Some((postgres::State::Ready, endpoint)) => ("healthy", endpoint),
        Some((postgres::State::Refused, endpoint)) => ("stopped", endpoint),
        Some((postgres::State::Starting, endpoint)) => ("starting", endpoint),
        Some((state, endpoint)) => ("unhealthy", format!("{endpoint}: {}", state.describe())),
    };
    Ok(Status {
        name,
        state,
        pid: None,
        port: None,
        uptime_seconds: None,
        detail,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pairs: &[(&str, &[&str])]) -> Config {
        let mut text = String::new();
        for (name, needs) in pairs {
            text.push_str(&format!(
                "[services.{name}]\nkind='tcp'\nport=1\ndepends_on={needs:?}\n"
            ));
        }
        Config::parse(&text, "x").unwrap()
    }

    #[test]
    fn what_is_needed_comes_first_and_what_is_not_stays_out() {
        let config = config(&[("a", &["b", "c"]), ("b", &["c"]), ("c", &[]), ("d", &[])]);
        let order = order(&config, &["a".to_owned()]).unwrap();
        assert_eq!(order, ["c", "b", "a"]);
        assert_eq!(waves(&config, &order), [["c"], ["b"], ["a"]]);
    }

    #[test]
    fn independent_services_share_a_wave() {
        let config = config(&[("a", &["c"]), ("b", &["c"]), ("c", &[])]);
        let order = order(&config, &["a".to_owned(), "b".to_owned()]).unwrap();
        assert_eq!(waves(&config, &order), [vec!["c"], vec!["a", "b"]]);
    }

    #[test]
    fn a_circle_is_shown() {
        let config = config(&[("a", &["b"]), ("b", &["a"])]);
        let message = order(&config, &["a".to_owned()]).unwrap_err().to_string();
        assert!(message.ends_with("a -> b -> a"), "{message}");
    }
}
