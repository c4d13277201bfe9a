//! PostgreSQL without a driver: the wire protocol as far as a probe needs it, and the workspace's
//! embedded cluster. What needs a driver (create, PGMQ, migrate) is `xtask-db`, built only when it
//! is called.

pub mod embedded;
mod scram;
mod server;
mod template;
pub mod url;
mod user;
pub(crate) mod wire;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::Deserialize;

use crate::config::Database;
use crate::cx::Cx;
use crate::env_file;
use crate::environment::{Choice, Environment, Origin};
use crate::error::Fault;
use crate::fsx;
use crate::lock::{self, Lock};
use crate::platform;
use crate::proc;
use embedded::Cluster;
use url::DbUrl;
use wire::{Connection, WireError};

/// How long a server that says "starting up" is waited for.
const STARTUP_PATIENCE: Duration = Duration::from_secs(30);
/// How long one probe may take, where nothing else is said.
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// A database that is ready: it runs queries, has PGMQ where the workspace needs it, and no
/// migration is pending.
#[derive(Debug)]
pub struct Ensured {
    /// The URL, with its password.
    pub url: DbUrl,
    /// Whether this call started the embedded cluster (then it is ours to stop).
    pub started: bool,
    /// What was done to the database; `None` when it was ready already.
    pub setup: Option<SetupReport>,
}

/// What `xtask-db setup` did.
#[derive(Clone, Debug, Deserialize, serde::Serialize)]
pub struct SetupReport {
    /// Whether the database was created.
    pub database_created: bool,
    /// How PGMQ came to be there: `extension`, `sql`, `present` or `skipped`.
    pub pgmq: String,
    /// The migrations that this run applied.
    pub migrations_applied: Vec<i64>,
    /// How many migrations there are.
    pub migrations_total: usize,
}

/// Where the database is.
#[derive(Debug)]
pub enum Place {
    /// `DATABASE_URL` names it: used as it is.
    Given(DbUrl),
    /// Nothing names one: the embedded cluster.
    Embedded(Cluster),
}

/// The state of a PostgreSQL, from "nothing listens" to "ready".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing listens there.
    Refused,
    /// No answer in time.
    TimedOut,
    /// It listens, but starts up or shuts down (57P03).
    Starting,
    /// The password, the role or pg_hba.conf said no.
    PasswordRejected(String),
    /// The server runs, the database is not there (3D000).
    NoSuchDatabase(String),
    /// Queries run, PGMQ is missing.
    PgmqMissing,
    /// Queries run, this many migrations are pending.
    MigrationsPending(usize),
    /// What answers does not speak PostgreSQL, or says something else.
    Other(String),
    /// A query ran, and nothing is missing.
    Ready,
}

impl State {
    /// The state in words.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            State::Refused => "connection refused: nothing listens there".to_owned(),
            State::TimedOut => "no answer in time".to_owned(),
            State::Starting => "starting up".to_owned(),
            State::PasswordRejected(message) => format!("password rejected: {message}"),
            State::NoSuchDatabase(name) => format!("no such database: `{name}`"),
            State::PgmqMissing => "PGMQ is missing".to_owned(),
            State::MigrationsPending(1) => "1 migration is pending".to_owned(),
            State::MigrationsPending(n) => format!("{n} migrations are pending"),
            State::Other(message) => message.clone(),
            State::Ready => "ready".to_owned(),
        }
    }

    /// Whether `xtask-db` can mend it.
    fn lacks_setup(&self) -> bool {
        matches!(
            self,
            State::NoSuchDatabase(_) | State::PgmqMissing | State::MigrationsPending(_)
        )
    }
}

/// The workspace's database in the configuration.
///
/// # Errors
/// When there is none (exit 2).
pub fn database(cx: &Cx) -> anyhow::Result<&Database> {
    cx.config()?.database.as_ref().ok_or_else(|| {
        Fault::usage("this workspace has no [database] in `.config/xtask.toml`")
            .hint("add [database] with `name` and `role`")
            .into()
    })
}

/// Decides where the database is: what `DATABASE_URL` names (in the process, `.env` or a layer), else
/// the embedded cluster. A value in `.env` that we wrote ourselves and nobody changed is the latter.
///
/// # Errors
/// A malformed URL or configuration.
pub fn place(cx: &Cx) -> anyhow::Result<Place> {
    let facts = database(cx)?;
    let environment = Environment::resolve(cx, &Choice::default())?;
    let Some(value) = environment.get(&facts.url_env) else {
        return Ok(Place::Embedded(Cluster::of(cx, facts)?));
    };
    let ours = matches!(environment.origin(&facts.url_env), Some(Origin::File(file, _)) if file == ".env")
        && fsx::read_optional(&cx.root.join(".env"))?
            .and_then(|text| env_file::managed_value(&text, &facts.url_env))
            .is_some();
    if ours {
        Ok(Place::Embedded(Cluster::of(cx, facts)?))
    } else {
        Ok(Place::Given(
            DbUrl::parse(value).context(facts.url_env.clone())?,
        ))
    }
}

/// Makes sure that the workspace's database is ready: the one that `DATABASE_URL` names, else the
/// embedded cluster, which is started where needed.
///
/// # Errors
/// When the database cannot be reached, started, created or migrated.
pub fn ensure(cx: &Cx) -> anyhow::Result<Ensured> {
    let facts = database(cx)?;
    let mut setup = None;
    let place = place(cx)?;
    if let Place::Given(url) = &place
        && probe_url(cx, facts, url, PROBE_TIMEOUT)? == State::Ready
    {
        // Nothing is written, not even a lock file.
        return Ok(Ensured {
            url: url.clone(),
            started: false,
            setup: None,
        });
    }
    let lock = setup_lock(cx)?;
    let (url, started) = match place {
        Place::Given(url) => (url, false),
        Place::Embedded(cluster) => {
            if cluster.url()?.is_none() {
                // A new cluster has no database: what makes one is built while the server starts.
                setup = Some(Building::start(cx, facts)?);
            }
            start_embedded(cx, facts, &cluster)?
        }
    };
    let result = make_ready(cx, facts, &url, setup, &lock);
    if result.is_err() && started {
        // What this call started does not outlive its failure.
        stop_embedded(cx)?;
    }
    Ok(Ensured {
        url,
        started,
        setup: result?,
    })
}

/// Starts the embedded cluster where needed, whatever is in it. Returns its URL, and whether it was
/// started.
///
/// # Errors
/// When it cannot be made or started, or its URL not be written to `.env`.
pub fn start_embedded(
    cx: &Cx,
    facts: &Database,
    cluster: &Cluster,
) -> anyhow::Result<(DbUrl, bool)> {
    let running = cluster.start(cx, facts)?;
    if let Err(error) = remember_url(cx, facts, &running.url) {
        if running.started {
            stop_embedded(cx)?;
        }
        return Err(error);
    }
    Ok((running.url, running.started))
}

fn make_ready(
    cx: &Cx,
    facts: &Database,
    url: &DbUrl,
    setup: Option<Building>,
    lock: &Lock,
) -> anyhow::Result<Option<SetupReport>> {
    let state = settled_state(cx, facts, url)?;
    match state {
        State::Ready => Ok(None),
        state if state.lacks_setup() => {
            cx.term
                .detail(&format!("{}: {}", url.endpoint(), state.describe()));
            let program = match setup {
                Some(setup) => setup.finish()?,
                None => Building::start(cx, facts)?.finish()?,
            };
            let report = run_setup(cx, facts, url, &program, &[], lock)?;
            match probe_url(cx, facts, url, PROBE_TIMEOUT)? {
                State::Ready => Ok(Some(report)),
                state => Err(not_ready(facts, url, &state).into()),
            }
        }
        state => Err(not_ready(facts, url, &state).into()),
    }
}

/// The state, once the server is past "starting up".
fn settled_state(cx: &Cx, facts: &Database, url: &DbUrl) -> anyhow::Result<State> {
    let deadline = Instant::now() + STARTUP_PATIENCE;
    let mut told = false;
    loop {
        let state = probe_url(cx, facts, url, PROBE_TIMEOUT)?;
        if state != State::Starting || Instant::now() >= deadline {
            return Ok(state);
        }
        if platform::interrupted() {
            return Err(Fault::interrupted().into());
        }
        if !told {
            cx.term.status(
                "Waiting",
                &format!("for {}: it is starting up", url.endpoint()),
            );
            told = true;
        }
        thread::sleep(Duration::from_millis(100));
    }
}

fn not_ready(facts: &Database, url: &DbUrl, state: &State) -> Fault {
    Fault::new(format!(
        "the PostgreSQL at `{}` is not ready: {}",
        url.endpoint(),
        state.describe()
    ))
    .hint(hint(facts, state, true))
}

/// What to do about a state.
#[must_use]
pub fn hint(facts: &Database, state: &State, given: bool) -> String {
    let variable = &facts.url_env;
    match state {
        State::Ready => String::new(),
        State::Starting => "wait for it: `cargo xtask check-services --wait 30`".to_owned(),
        State::Refused | State::TimedOut if given => format!(
            "start that server, correct {variable}, or unset it to use the embedded PostgreSQL"
        ),
        State::Refused | State::TimedOut => "run `cargo xtask db start`".to_owned(),
        State::PasswordRejected(_) => format!("correct the user and password in {variable}"),
        State::NoSuchDatabase(_) | State::PgmqMissing | State::MigrationsPending(_) => {
            "run `cargo xtask setup-db`".to_owned()
        }
        // PostgreSQL's word for one whose removal broke off: it can only be removed.
        State::Other(message) if message.contains("invalid database") => {
            "nothing is left in it: make it anew by `cargo xtask setup-db --reset`".to_owned()
        }
        State::Other(_) => format!("look at that server's log, or correct {variable}"),
    }
}

/// Stops the embedded cluster; `false` when it was not running.
///
/// # Errors
/// When it runs on after being asked to stop.
pub fn stop_embedded(cx: &Cx) -> anyhow::Result<bool> {
    Cluster::of(cx, database(cx)?)?.stop(cx)
}

/// Probes the workspace's database once. `None` when nothing names one and there is no embedded
/// cluster yet. The second value is what to call the endpoint (`host:port/name`).
///
/// # Errors
/// A malformed URL or configuration.
pub fn probe(cx: &Cx, timeout: Duration) -> anyhow::Result<Option<(State, String)>> {
    let facts = database(cx)?;
    let url = match place(cx)? {
        Place::Given(url) => url,
        Place::Embedded(cluster) => match cluster.url()? {
            Some(url) => url,
            None => return Ok(None),
        },
    };
    Ok(Some((probe_url(cx, facts, &url, timeout)?, url.endpoint())))
}

/// Probes one database: logs in, runs queries, and looks for what the workspace needs in it.
///
/// # Errors
/// When the directory of migrations cannot be read.
pub fn probe_url(
    cx: &Cx,
    facts: &Database,
    url: &DbUrl,
    timeout: Duration,
) -> anyhow::Result<State> {
    let wanted = match &facts.migrations {
        Some(directory) => migration_files(&cx.root.join(directory))?,
        None => Vec::new(),
    };
    Ok(Connection::open(url, timeout)
        .and_then(|mut connection| inspect(&mut connection, facts.pgmq, &wanted))
        .unwrap_or_else(|error| state_of(error, url)))
}

fn inspect(connection: &mut Connection, pgmq: bool, wanted: &[i64]) -> Result<State, WireError> {
    let rows = connection.query(
        "SELECT to_regprocedure('pgmq.create(text)') IS NOT NULL, \
         to_regclass('_sqlx_migrations') IS NOT NULL",
    )?;
    let has = |column: usize| {
        rows.first()
            .and_then(|row| row.get(column))
            .is_some_and(|it| it.as_deref() == Some("t"))
    };
    if pgmq && !has(0) {
        return Ok(State::PgmqMissing);
    }
    if wanted.is_empty() {
        return Ok(State::Ready);
    }
    let applied: Vec<i64> = if has(1) {
        connection
            .query("SELECT version FROM _sqlx_migrations WHERE success")?
            .iter()
            .filter_map(|row| row.first()?.as_deref()?.parse().ok())
            .collect()
    } else {
        Vec::new()
    };
    match wanted
        .iter()
        .filter(|version| !applied.contains(version))
        .count()
    {
        0 => Ok(State::Ready),
        pending => Ok(State::MigrationsPending(pending)),
    }
}

/// What a probe makes of a server that says just this.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn state_after(url: &DbUrl, answers: &[u8], timeout: Duration) -> State {
    Connection::scripted(url, answers.to_vec(), timeout)
        .and_then(|mut connection| inspect(&mut connection, true, &[1, 2]))
        .unwrap_or_else(|error| state_of(error, url))
}

fn state_of(error: WireError, url: &DbUrl) -> State {
    match error {
        WireError::Refused => State::Refused,
        WireError::TimedOut => State::TimedOut,
        WireError::Protocol(message) => State::Other(message),
        // SQLSTATEs: "PostgreSQL Error Codes" in its documentation.
        WireError::Server { code, message } => match code.as_str() {
            "57P03" | "57P01" | "57P02" => State::Starting,
            "28P01" | "28000" => State::PasswordRejected(message),
            "3D000" => State::NoSuchDatabase(url.database.clone()),
            _ => State::Other(format!("{message} ({code})")),
        },
    }
}

/// The versions of the migrations in a directory, as sqlx names them: `<version>_<name>.sql`,
/// reversible ones `.up.sql` (with a `.down.sql` that is no step of its own).
fn migration_files(directory: &Path) -> anyhow::Result<Vec<i64>> {
    let entries = std::fs::read_dir(directory)
        .with_context(|| format!("failed to read the migrations in `{}`", directory.display()))?;
    let mut versions = Vec::new();
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        versions.extend(migration_version(&name));
    }
    versions.sort_unstable();
    Ok(versions)
}

fn migration_version(file: &str) -> Option<i64> {
    let stem = file.strip_suffix(".sql")?;
    if stem.ends_with(".down") {
        return None;
    }
    stem.split_once('_')?.0.parse().ok()
}

/// The embedded cluster's URL goes into `.env`, where every tool finds it; whoever sets an own value
/// there keeps it (then [`place`] does not lead here).
///
/// # Errors
/// When `.env` cannot be read or written.
fn remember_url(cx: &Cx, facts: &Database, url: &DbUrl) -> anyhow::Result<()> {
    let path = cx.root.join(".env");
    let text = fsx::read_optional(&path)?.unwrap_or_default();
    let updated = env_file::set_managed(&text, &facts.url_env, &url.reveal());
    if updated != text {
        fsx::atomic_write(&path, updated.as_bytes(), fsx::Access::Private)?;
    }
    Ok(())
}

/// Builds `xtask-db` if needed and runs `xtask-db setup` with these further arguments. The URL goes
/// through the environment, where other users cannot read it.
///
/// # Errors
/// When it fails: its own words are on stderr then.
pub fn run_xtask_db(
    cx: &Cx,
    facts: &Database,
    url: &DbUrl,
    further: &[&str],
) -> anyhow::Result<SetupReport> {
    let lock = setup_lock(cx)?;
    let program = Building::start(cx, facts)?.finish()?;
    run_setup(cx, facts, url, &program, further, &lock)
}

/// Held while the database is looked at, made and migrated: nobody else resets it meanwhile, and an
/// `xtask-db` that a killed run has left is at work no longer.
fn setup_lock(cx: &Cx) -> anyhow::Result<Lock> {
    let path = cx.state_dir().join("setup-db.lock");
    lock::take(cx, &path, "sets up the database")
}

fn run_setup(
    cx: &Cx,
    facts: &Database,
    url: &DbUrl,
    program: &Path,
    further: &[&str],
    lock: &Lock,
) -> anyhow::Result<SetupReport> {
    let mut command = Command::new(program);
    command.arg("setup").args(further).current_dir(&cx.root);
    if facts.pgmq {
        command.arg("--pgmq");
    }
    if let Some(directory) = &facts.migrations {
        command.arg("--migrations").arg(cx.root.join(directory));
    }
    command
        .env("DATABASE_URL", url.reveal())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    cx.term
        .status("Setting up", &format!("the database `{}`", url.endpoint()));
    let report = match proc::step_output(lock.mark(&mut command)) {
        Ok(report) => report,
        Err(error) if platform::interrupted() => return Err(error),
        Err(error) => {
            return Err(Fault::new(format!("{error:#}"))
                .hint(
                    "its own words are above; `cargo xtask check-services` tells the database's state",
                )
                .into());
        }
    };
    serde_json::from_str(&report).context("failed to read the report of `xtask-db`")
}

/// `xtask-db`, while cargo builds it where it is missing or stale. Dropped before its end, the build
/// ends: whoever failed meanwhile does not wait for it.
struct Building {
    program: PathBuf,
    build: Option<(Child, String)>,
}

impl Building {
    fn start(cx: &Cx, facts: &Database) -> anyhow::Result<Building> {
        if let Some(program) = cx.os("XTASK_DB") {
            let program = program.into();
            return Ok(Building {
                program,
                build: None,
            });
        }
        let mut build = Command::new(cx.cargo());
        build
            .args(["build", "--package", "xtask-db", "--bin", "xtask-db"])
            .current_dir(&cx.root);
        if let Some(directory) = &facts.xtask_db {
            // Another workspace's member, with that one's lock file; its products are ours.
            build
                .arg("--manifest-path")
                .arg(cx.root.join(directory).join("Cargo.toml"))
                .arg("--target-dir")
                .arg(cx.target_dir());
        }
        let program = cx
            .target_dir()
            .join("debug")
            .join(format!("xtask-db{}", std::env::consts::EXE_SUFFIX));
        if program.is_file() {
            build.arg("--quiet");
        } else {
            cx.term
                .status("Building", "xtask-db, which speaks to the database (once)");
        }
        // stdout may be somebody's JSON: cargo talks on stderr alone.
        build.stdin(Stdio::null());
        let shown = proc::display(&build);
        let child = platform::spawn_group(&mut build)
            .with_context(|| format!("failed to start `{shown}`"))?;
        Ok(Building {
            program,
            build: Some((child, shown)),
        })
    }

    fn finish(mut self) -> anyhow::Result<PathBuf> {
        let mut pause = Duration::from_millis(1);
        while let Some((child, shown)) = &mut self.build {
            if platform::interrupted() {
                return Err(Fault::interrupted().into());
            }
            match child.try_wait()? {
                Some(status) if status.success() => self.build = None,
                Some(_) => {
                    let fault = Fault::new(format!("`{shown}` failed"));
                    self.build = None;
                    return Err(fault.into());
                }
                None => {
                    thread::sleep(pause);
                    pause = (pause * 2).min(Duration::from_millis(10));
                }
            }
        }
        Ok(std::mem::take(&mut self.program))
    }
}

impl Drop for Building {
    fn drop(&mut self) {
        if let Some((child, _)) = &mut self.build
            && !child.try_wait().is_ok_and(|status| status.is_some())
        {
            platform::kill_group(child.id());
            let _ = child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_are_counted_as_sqlx_does() {
        for (file, version) in [
            ("20260101000000_create.sql", Some(20_260_101_000_000)),
            ("1_a.up.sql", Some(1)),
            ("1_a.down.sql", None),
            ("README.md", None),
            ("a_b.sql", None),
        ] {
            assert_eq!(migration_version(file), version, "{file}");
        }
    }

    #[test]
    fn a_state_follows_the_code_not_the_words() {
        let url = DbUrl::parse("postgresql://u@h/shop").unwrap();
        let state = |code: &str| {
            state_of(
                WireError::Server {
                    code: code.to_owned(),
                    message: "m".to_owned(),
                },
                &url,
            )
        };
        assert_eq!(state("57P03"), State::Starting);
        assert_eq!(state("28P01"), State::PasswordRejected("m".to_owned()));
        assert_eq!(state("3D000"), State::NoSuchDatabase("shop".to_owned()));
        assert_eq!(state("53300"), State::Other("m (53300)".to_owned()));
    }
}
