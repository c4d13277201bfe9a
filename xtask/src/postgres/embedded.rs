//! The workspace's own PostgreSQL cluster: made once, started in a tenth of a second, listening on
//! 127.0.0.1 alone, with a random password.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::scram;
use super::server::{self, Programs};
use super::template::Template;
use super::url::DbUrl;
use super::user::{self, RunAs};
use super::wire::{Connection, WireError};
use crate::config::Database;
use crate::cx::Cx;
use crate::error::Fault;
use crate::fsx;
use crate::hex;
use crate::lock::{self, Lock};
use crate::mask;
use crate::platform;
use crate::probe::port_is_free;
use crate::proc;

/// A first start on a slow disk; a usual one takes a tenth of a second.
const START_TIMEOUT: Duration = Duration::from_secs(60);
const STOP_TIMEOUT_SECS: u64 = 30;
/// How often it is looked whether the server is there at all, while it does not answer.
const LOOK_INTERVAL: Duration = Duration::from_millis(150);
/// How long it may take to write its pid file.
const FIRST_STEPS: Duration = Duration::from_secs(15);
/// How many ports are tried: between the look and the server's own bind, anybody may take one.
const PORT_TRIES: u32 = 3;

/// The cluster of a workspace, whether it exists yet or not.
#[derive(Clone, Debug)]
pub struct Cluster {
    home: PathBuf,
    user: RunAs,
    database: String,
}

/// A cluster that answers.
#[derive(Debug)]
pub struct Running {
    /// The URL of the workspace's database in it.
    pub url: DbUrl,
    /// Whether this call started it.
    pub started: bool,
}

/// What has to be known of a cluster from one start to the next. The file is readable by its owner
/// alone.
#[derive(Clone, Serialize, Deserialize)]
struct Record {
    bin: PathBuf,
    port: u16,
    role: String,
    password: String,
}

/// What `db status` shows.
#[derive(Debug, Serialize)]
pub struct Status {
    /// Whether there is a cluster.
    pub exists: bool,
    /// Whether it answers.
    pub running: bool,
    /// Where it is.
    pub directory: PathBuf,
    /// Its URL, masked.
    pub url: Option<String>,
    /// Where its programs are.
    pub programs: Option<PathBuf>,
    /// Its log.
    pub log: PathBuf,
}

/// The data directory, and the server's log.
const DATA: &str = "data";
const LOG: &str = "server.log";

impl Cluster {
    /// The cluster of this workspace: under the target directory, or, where the server's user
    /// cannot get there, in the system's directory for temporary files.
    ///
    /// # Errors
    /// When we are root and there is no user to run the server as, or no directory to run it in.
    pub fn of(cx: &Cx, facts: &Database) -> anyhow::Result<Cluster> {
        let user = RunAs::decide()?;
        let near = match &facts.data_dir {
            Some(directory) => cx.root.join(directory),
            None => cx.state_dir().join("postgres"),
        };
        let home = if user.reaches(&near) {
            near
        } else {
            let digest = hmac_sha256::Hash::hash(near.as_os_str().as_encoded_bytes());
            let name = hex::encode(&digest[..8]);
            fsx::temporary_directory()?.join(format!("xtask-postgres-{name}"))
        };
        Ok(Cluster {
            home,
            user,
            database: facts.name.clone(),
        })
    }

    fn data(&self) -> PathBuf {
        self.home.join(DATA)
    }

    fn log(&self) -> PathBuf {
        self.home.join(LOG)
    }

    /// Where initdb reads the password.
    fn password_file(&self) -> PathBuf {
        self.home.join("password.tmp")
    }

    fn record_path(&self) -> PathBuf {
        self.home.join("cluster.json")
    }

    fn record(&self) -> anyhow::Result<Option<Record>> {
        if !self.data().join("PG_VERSION").is_file() {
            return Ok(None);
        }
        let Some(text) = fsx::read_optional(&self.record_path())? else {
            return Ok(None);
        };
        let path = self.record_path();
        serde_json::from_str(&text).map(Some).map_err(|_| {
            // serde's own words could show a part of the password.
            Fault::new(format!("`{}` is damaged", path.display()))
                .hint("remove its directory: the next start makes a new cluster")
                .into()
        })
    }

    /// The URL of the workspace's database; `None` when there is no cluster yet.
    ///
    /// # Errors
    /// When the record cannot be read.
    pub fn url(&self) -> anyhow::Result<Option<DbUrl>> {
        Ok(self.record()?.map(|record| self.url_of(&record)))
    }

    fn url_of(&self, record: &Record) -> DbUrl {
        DbUrl {
            host: "127.0.0.1".to_owned(),
            port: record.port,
            user: record.role.clone(),
            password: record.password.clone(),
            database: self.database.clone(),
            parameters: Vec::new(),
        }
    }

    /// Where it is and whether it answers.
    ///
    /// # Errors
    /// When the record cannot be read.
    pub fn status(&self) -> anyhow::Result<Status> {
        let record = self.record()?;
        Ok(Status {
            exists: record.is_some(),
            running: record
                .as_ref()
                .is_some_and(|record| self.answers(record).is_ok()),
            directory: self.home.clone(),
            url: record
                .as_ref()
                .map(|record| self.url_of(record).to_string()),
            programs: record.map(|record| record.bin),
            log: self.log(),
        })
    }

    /// Whether our server answers on its port. The password is random, so that nobody else's can
    /// pass for it.
    fn answers(&self, record: &Record) -> Result<(), WireError> {
        let url = DbUrl {
            database: "postgres".to_owned(),
            ..self.url_of(record)
        };
        Connection::open(&url, Duration::from_secs(2)).map(|_| ())
    }

    /// Makes the cluster if needed and starts it if needed. Two calls at once end in one server.
    ///
    /// # Errors
    /// When there are no programs, or initdb or the server fails: with the end of its log.
    pub fn start(&self, cx: &Cx, facts: &Database) -> anyhow::Result<Running> {
        self.prepare_home()?;
        let lock = self.lock(cx)?;
        let record = match self.record()? {
            Some(record) if self.answers(&record).is_ok() => {
                return Ok(Running {
                    url: self.url_of(&record),
                    started: false,
                });
            }
            Some(record) if self.comes_up(&record)? => {
                return Ok(Running {
                    url: self.url_of(&record),
                    started: false,
                });
            }
            Some(record) if Programs::at(&record.bin).path("pg_ctl").is_file() => record,
            Some(record) => {
                // The programs have moved (a package was upgraded): the data stays.
                let programs = server::find(cx, &self.home, &self.user)?;
                Record {
                    bin: programs.bin,
                    ..record
                }
            }
            None => return self.start_new(cx, facts, &lock),
        };
        let record = self.launch(cx, facts, record)?;
        Ok(Running {
            url: self.url_of(&record),
            started: true,
        })
    }

    /// Waits for a server that is there and does not answer: a run that was killed has just started it,
    /// or asked it to stop. A second one beside it could not use its data directory, and would be waited
    /// for on another port. `false` when there is none in the end.
    fn comes_up(&self, record: &Record) -> anyhow::Result<bool> {
        let since = Instant::now();
        while self.data().join("postmaster.pid").exists()
            && since.elapsed() < FIRST_STEPS
            && self.is_up(record)?
        {
            if platform::interrupted() {
                return Err(Fault::interrupted().into());
            }
            if self.answers(record).is_ok() {
                return Ok(true);
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(false)
    }

    /// The home is ours or the server's user's, and private.
    fn prepare_home(&self) -> anyhow::Result<()> {
        if !self.home.exists() {
            if let Some(parent) = self.home.parent() {
                fsx::create_dir_all(parent)?;
            }
            user::create_private(&self.home)
                .with_context(|| format!("failed to create `{}`", self.home.display()))?;
        }
        if self.user.owns(&self.home) {
            return self.user.give(&self.home);
        }
        Err(Fault::new(format!(
            "`{}` belongs to somebody else",
            self.home.display()
        ))
        .hint("set `data_dir` under [database] in `.config/xtask.toml`")
        .into())
    }

    /// Held while a cluster is made, started or stopped.
    fn lock(&self, cx: &Cx) -> anyhow::Result<Lock> {
        lock::take(
            cx,
            &self.home.join("lock"),
            "works on the embedded PostgreSQL",
        )
    }

    /// Makes the cluster and starts it: a copy of the template, where there is one and it starts.
    fn start_new(&self, cx: &Cx, facts: &Database, lock: &Lock) -> anyhow::Result<Running> {
        let programs = server::find(cx, &self.home, &self.user)?;
        cx.term.status(
            "Creating",
            &format!("a PostgreSQL cluster in `{}`", self.home.display()),
        );
        let template = Template::of(cx, &programs, &facts.role);
        let copied = template
            .as_ref()
            .and_then(|template| self.copy(cx, facts, &programs, template));
        let record = match copied {
            Some(record) => record,
            None => {
                let record = self.create(cx, facts, &programs, template.as_ref(), lock)?;
                self.launch(cx, facts, record)?
            }
        };
        Ok(Running {
            url: self.url_of(&record),
            started: true,
        })
    }

    /// A started copy of the template; `None` where that does not work, for whatever reason.
    fn copy(
        &self,
        cx: &Cx,
        facts: &Database,
        programs: &Programs,
        template: &Template,
    ) -> Option<Record> {
        let started = self.fresh_staging().and_then(|staging| {
            let Some(password) = template.copy_to(&staging, &self.user)? else {
                return Ok(None);
            };
            let record = self.move_into_place(&staging, facts, programs, password)?;
            self.launch(cx, facts, record).map(Some)
        });
        match started {
            Ok(record) => record,
            Err(error) => {
                cx.term.detail(&format!("initdb has to make it: {error:#}"));
                if !platform::interrupted() && !fsx::is_full(&error) {
                    template.forget();
                }
                None
            }
        }
    }

    /// Where a new data directory is made: nothing is there, and no other one is.
    fn fresh_staging(&self) -> anyhow::Result<PathBuf> {
        let staging = self.home.join("data.new");
        // Of an initdb that was killed with us.
        let _ = std::fs::remove_file(self.password_file());
        for leftover in [&staging, &self.data()] {
            if leftover.exists() {
                std::fs::remove_dir_all(leftover)
                    .with_context(|| format!("failed to remove `{}`", leftover.display()))?;
            }
        }
        Ok(staging)
    }

    /// initdb into a temporary name, renamed when it is whole.
    fn create(
        &self,
        cx: &Cx,
        facts: &Database,
        programs: &Programs,
        template: Option<&Template>,
        lock: &Lock,
    ) -> anyhow::Result<Record> {
        if platform::interrupted() {
            return Err(Fault::interrupted().into());
        }
        let staging = self.fresh_staging()?;
        let password = random_password()?;
        let verifier = scram::verifier_of_random(&password, random_bytes()?);
        let password_file = self.password_file();
        fsx::atomic_write(&password_file, verifier.as_bytes(), fsx::Access::Private)?;
        self.user.give(&password_file)?;
        let mut command = self.command(&programs.path("initdb"));
        command
            .args([
                "--no-sync",
                "--encoding=UTF8",
                "--locale=C",
                "--auth=scram-sha-256",
            ])
            .arg(format!("--username={}", facts.role))
            .arg("--pwfile")
            .arg(&password_file)
            .arg("--pgdata")
            .arg(&staging);
        let made = proc::capture(lock.mark(&mut command));
        let _ = std::fs::remove_file(&password_file);
        if platform::interrupted() {
            return Err(Fault::interrupted().into());
        }
        made.context("failed to create the cluster")?;
        if let Some(Err(error)) = template.map(|it| it.keep(&staging, &password)) {
            // The next cluster takes longer to make: no more than that.
            cx.term.detail(&format!("{error:#}"));
        }
        self.move_into_place(&staging, facts, programs, password)
    }

    /// Gives a new data directory its settings file and its record, and its name last.
    fn move_into_place(
        &self,
        staging: &Path,
        facts: &Database,
        programs: &Programs,
        password: String,
    ) -> anyhow::Result<Record> {
        let conf = staging.join("postgresql.conf");
        let mut text = fsx::read_optional(&conf)?.unwrap_or_default();
        text.push_str("\ninclude 'xtask.conf'\n");
        fsx::atomic_write(&conf, text.as_bytes(), fsx::Access::Private)?;
        self.user.give(&conf)?;
        let record = Record {
            bin: programs.bin.clone(),
            port: 0,
            role: facts.role.clone(),
            password,
        };
        self.write_record(&record)?;
        std::fs::rename(staging, self.data()).context("failed to move the cluster into place")?;
        Ok(record)
    }

    fn write_record(&self, record: &Record) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(record)?;
        fsx::atomic_write(&self.record_path(), text.as_bytes(), fsx::Access::Private)
    }

    /// Starts the server and waits until it answers. A port that somebody took in the meantime is
    /// replaced by a free one, also where that happens while the server comes up.
    fn launch(&self, cx: &Cx, facts: &Database, record: Record) -> anyhow::Result<Record> {
        let mut record = record;
        let mut tries = PORT_TRIES;
        loop {
            if record.port == 0 || !port_is_free(record.port) {
                record.port = free_port()?;
            }
            tries -= 1;
            match self.launch_at(cx, facts, &record)? {
                Ok(()) => return Ok(record),
                Err(_) if tries > 0 && !port_is_free(record.port) => cx.term.detail(&format!(
                    "port {} was taken while the server came up",
                    record.port
                )),
                Err(fault) => return Err(fault.into()),
            }
        }
    }

    /// Starts the server on the record's port; the inner error is a server that ended at once.
    fn launch_at(
        &self,
        cx: &Cx,
        facts: &Database,
        record: &Record,
    ) -> anyhow::Result<Result<(), Fault>> {
        let since = Instant::now();
        self.write_record(record)?;
        let conf = self.data().join("xtask.conf");
        let text = settings(record.port, facts);
        fsx::atomic_write(&conf, text.as_bytes(), fsx::Access::Private)?;
        self.user.give(&conf)?;

        // The log of this start alone: an old fault must not be shown as the cause of a new one.
        let _ = std::fs::rename(self.log(), self.home.join("server.log.old"));
        let programs = Programs::at(&record.bin);
        let mut command = self.command(&programs.path("pg_ctl"));
        // Relative to our home, where it runs: pg_ctl puts both into a line for a shell, to which a `$` or
        // a quote in our path would mean something.
        command
            .args(["start", "--silent", "--no-wait", "--pgdata", DATA])
            .args(["--log", LOG]);
        // No pipe: the server would inherit it, and whoever reads it would wait for the server.
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let status = command
            .status()
            .with_context(|| format!("failed to start `{}`", proc::display(&command)))?;
        if !status.success() {
            return Err(self.failed("the embedded PostgreSQL did not start").into());
        }
        let mut told = false;
        let mut missing = 0;
        let mut look_after = LOOK_INTERVAL * 3;
        loop {
            match self.answers(record) {
                Ok(()) => break,
                Err(error) if platform::interrupted() => {
                    drop(error);
                    self.shut_down(record)?;
                    return Err(Fault::interrupted().into());
                }
                Err(_) if since.elapsed() > START_TIMEOUT => {
                    let fault =
                        self.failed("the embedded PostgreSQL does not answer after a minute");
                    // The cause is worth more than what stopping may say on top of it.
                    let _ = self.shut_down(record);
                    return Err(fault.into());
                }
                Err(_) => {}
            }
            if since.elapsed() > look_after {
                // Before the look: what is in the log now was written by a server that was there.
                let wrote = std::fs::metadata(self.log()).is_ok_and(|it| it.len() > 0);
                missing = if self.is_up(record)? { 0 } else { missing + 1 };
                if is_gone(missing, wrote, since.elapsed()) {
                    return Ok(Err(self.failed("the embedded PostgreSQL ended at once")));
                }
                look_after = since.elapsed() + LOOK_INTERVAL;
            }
            if since.elapsed() > Duration::from_secs(1) && !told {
                cx.term.status("Waiting", "for the embedded PostgreSQL");
                told = true;
            }
            thread::sleep(Duration::from_millis(10));
        }
        cx.term.status(
            "Started",
            &format!(
                "PostgreSQL on 127.0.0.1:{} ({:.2}s)",
                record.port,
                since.elapsed().as_secs_f64()
            ),
        );
        Ok(Ok(()))
    }

    fn failed(&self, what: &str) -> Fault {
        let log = std::fs::read_to_string(self.log()).unwrap_or_default();
        let tail = proc::last_lines(&log, 20);
        Fault::new(format!(
            "{what}; the end of its log:\n{}",
            mask::mask_urls(&tail)
        ))
        .hint(format!("the whole log is in `{}`", self.log().display()))
    }

    /// Whether a server runs on our data directory, by pg_ctl (which knows a stale pid file).
    fn is_up(&self, record: &Record) -> anyhow::Result<bool> {
        let mut command = self.command(&Programs::at(&record.bin).path("pg_ctl"));
        command.args(["status", "--pgdata"]).arg(self.data());
        Ok(proc::capture_any(&mut command)?.status.success())
    }

    /// Stops the server; `false` when it was not running.
    ///
    /// # Errors
    /// When it runs on.
    pub fn stop(&self, cx: &Cx) -> anyhow::Result<bool> {
        if !self.home.exists() {
            return Ok(false);
        }
        let _lock = self.lock(cx)?;
        let Some(record) = self.record()? else {
            return Ok(false);
        };
        if !self.is_up(&record)? {
            return Ok(false);
        }
        self.shut_down(&record)?;
        cx.term.status(
            "Stopped",
            &format!("PostgreSQL on 127.0.0.1:{}", record.port),
        );
        Ok(true)
    }

    fn shut_down(&self, record: &Record) -> anyhow::Result<()> {
        let mut command = self.command(&Programs::at(&record.bin).path("pg_ctl"));
        command
            .args(["stop", "--silent", "--wait", "--mode=fast", "--timeout"])
            .arg(STOP_TIMEOUT_SECS.to_string())
            .arg("--pgdata")
            .arg(self.data());
        proc::capture(&mut command)
            .context("failed to stop the embedded PostgreSQL")
            .map(|_| ())
    }

    /// A server program, run as the server's user, in a directory that this user can be in, with
    /// messages that we can read, and in a process group of its own: Ctrl-C is ours to handle.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.home).env("LC_ALL", "C");
        for name in [
            "PGHOST",
            "PGPORT",
            "PGUSER",
            "PGPASSWORD",
            "PGDATABASE",
            "PGDATA",
        ] {
            command.env_remove(name);
        }
        self.user.apply(&mut command);
        platform::own_group(&mut command);
        command
    }
}

/// Whether a server that was started is gone, after so many looks in a row that found none. On a busy
/// machine its very first steps, up to its pid file, take long: then it has written nothing yet.
fn is_gone(missing: u32, wrote: bool, since: Duration) -> bool {
    missing >= 2 && (wrote || since > FIRST_STEPS)
}

/// What the server is told on top of its defaults.
fn settings(port: u16, facts: &Database) -> String {
    let mut text = format!(
        "# Written at each start by `cargo xtask db start`; set more in [database.settings].\n\
         listen_addresses = '127.0.0.1'\n\
         port = {port}\n\
         max_connections = 200\n\
         # What a process has written is safe whichever process ends. Only a crash of the whole machine\n\
         # can damage the cluster, and `db` and `setup-db` make a new one: not worth a wait for the disk.\n\
         fsync = off\n\
         full_page_writes = off\n"
    );
    if cfg!(unix) {
        text.push_str("unix_socket_directories = ''\n");
    }
    for (name, value) in &facts.settings {
        text.push_str(&format!("{name} = '{}'\n", value.replace('\'', "''")));
    }
    text
}

fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("no free port on 127.0.0.1")?;
    Ok(listener.local_addr()?.port())
}

/// 32 letters and digits from the operating system's generator: 190 bits.
fn random_bytes<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no random numbers: {error}"))?;
    Ok(bytes)
}

/// 192 bits.
fn random_password() -> anyhow::Result<String> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    let bytes: [u8; 32] = random_bytes()?;
    Ok(bytes
        .iter()
        .map(|byte| char::from(ALPHABET[usize::from(byte % 64)]))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_slow_to_begin_is_not_taken_for_one_that_has_ended() {
        let ms = Duration::from_millis;
        assert!(
            !is_gone(2, false, ms(900)),
            "it has not written its pid file yet"
        );
        assert!(
            !is_gone(1, true, ms(900)),
            "between its first words and its pid file"
        );
        assert!(is_gone(2, true, ms(600)));
        assert!(is_gone(90, false, FIRST_STEPS + ms(1)));
    }

    #[test]
    fn settings_are_quoted() {
        let facts = Database {
            url_env: "DATABASE_URL".into(),
            name: "d".into(),
            role: "r".into(),
            pgmq: false,
            migrations: None,
            data_dir: None,
            xtask_db: None,
            settings: [("log_line_prefix".to_owned(), "it's %m".to_owned())].into(),
        };
        let text = settings(5433, &facts);
        assert!(
            text.contains("listen_addresses = '127.0.0.1'\nport = 5433\n"),
            "{text}"
        );
        assert!(text.ends_with("log_line_prefix = 'it''s %m'\n"), "{text}");
    }

    #[test]
    fn passwords_differ_and_need_no_escape() {
        let (one, two) = (random_password().unwrap(), random_password().unwrap());
        assert!(one != two && one.len() == 32);
        assert!(
            one.chars()
                .all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
        );
    }
}
