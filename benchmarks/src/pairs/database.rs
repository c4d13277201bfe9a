//! A database from nothing, and a warm start; by hand for comparison.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::Deserialize;
use xtask::error::Fault;
use xtask::proc;

use crate::lab::{self, Lab, Pinned};
use crate::pair::{Ready, Side};
use crate::platform;

/// The version of the sqlx that this workspace uses; for PostgreSQL alone, without TLS.
const SQLX: Pinned = Pinned {
    package: "sqlx-cli",
    version: "0.8.6",
    program: "sqlx",
    args: &["--no-default-features", "--features", "postgres"],
};

/// What `db status` says of the copy's cluster.
#[derive(Deserialize)]
struct Status {
    directory: PathBuf,
    programs: Option<PathBuf>,
}

fn status(lab: &Lab) -> anyhow::Result<Status> {
    let mut command = lab.xtask_command(&["db", "status", "--format", "json"])?;
    Ok(serde_json::from_slice(
        &proc::capture_any(&mut command)?.stdout,
    )?)
}

/// Stops and removes the copy's cluster, and what `.env` says of it: "from nothing".
pub(super) fn wipe(lab: &Lab) -> anyhow::Result<()> {
    lab.attempt("db-stop", &mut lab.xtask_command(&["db", "stop"])?)?;
    lab::remove(&status(lab)?.directory)?;
    lab::remove(&lab.copy.join(".env"))
}

/// A cluster made with the server's own programs, as a person would; stopped and removed at the end.
pub(super) struct ByHand<'a> {
    lab: &'a Lab,
    bin: PathBuf,
    directory: PathBuf,
    sqlx: PathBuf,
    pgmq: PathBuf,
    port: u16,
}

impl<'a> ByHand<'a> {
    /// Finds what it needs; says what is not there.
    ///
    /// # Errors
    /// When the copy cannot say where its own cluster would be.
    pub(super) fn find(lab: &'a Lab) -> anyhow::Result<Result<ByHand<'a>, String>> {
        let Some(sqlx) = lab.pinned(&SQLX)? else {
            return Ok(Err("sqlx-cli is not installed yet".to_owned()));
        };
        // The same programs, and the same disk.
        lab.time("setup-db", &mut lab.xtask_command(&["setup-db"])?)?;
        let ours = status(lab)?;
        let bin = ours.programs.unwrap_or_default();
        for tool in ["createdb", "psql"] {
            if !bin.join(tool).is_file() {
                return Ok(Err(format!("there is no `{tool}` in `{}`", bin.display())));
            }
        }
        let directory = ours.directory.with_file_name("by-hand");
        Ok(Ok(ByHand {
            lab,
            bin,
            directory,
            sqlx,
            pgmq: pgmq_sql(lab)?,
            port: lab::free_port()?,
        }))
    }

    pub(super) fn url(&self) -> String {
        let facts = self.lab.config.database.as_ref();
        let (role, name) = facts.map_or(("", ""), |it| (&it.role, &it.name));
        format!("postgres://{role}@127.0.0.1:{}/{name}", self.port)
    }

    /// From nothing to a database with PGMQ and all migrations: the time of the five commands.
    ///
    /// # Errors
    /// When one of them fails.
    pub(super) fn create(&self) -> anyhow::Result<Duration> {
        let Some(facts) = &self.lab.config.database else {
            return Err(Fault::new("this workspace has no [database]").into());
        };
        self.remove()?;
        std::fs::create_dir_all(&self.directory)?;
        let data = self.directory.join("data");
        let port = self.port.to_string();
        let client = |program: &str| {
            let mut command = self.lab.command(self.bin.join(program));
            command.args([
                "--host=127.0.0.1",
                "--port",
                &port,
                "--username",
                &facts.role,
            ]);
            command
        };
        let mut initdb = self.server_program("initdb")?;
        initdb
            .args([
                "--encoding=UTF8",
                "--locale=C",
                "--auth=trust",
                "--username",
            ])
            .arg(&facts.role)
            .arg("--pgdata")
            .arg(&data);
        let mut start = self.server_program("pg_ctl")?;
        start
            .args(["start", "--wait", "--silent", "--pgdata"])
            .arg(&data)
            .arg("--log")
            .arg(self.directory.join("server.log"))
            .arg("--options")
            .arg(format!(
                "-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=''"
            ));
        let mut createdb = client("createdb");
        createdb.arg(&facts.name);
        let mut psql = client("psql");
        psql.args([
            "--quiet",
            "--no-psqlrc",
            "--set",
            "ON_ERROR_STOP=1",
            "--dbname",
        ])
        .arg(&facts.name)
        .arg("--file")
        .arg(&self.pgmq);
        let mut migrate = self.lab.command(&self.sqlx);
        migrate
            .args(["migrate", "run", "--source"])
            .arg(
                facts
                    .migrations
                    .as_deref()
                    .unwrap_or(Path::new("migrations")),
            )
            .env("DATABASE_URL", self.url());
        let mut time = Duration::ZERO;
        for (name, command) in [
            ("by-hand-initdb", &mut initdb),
            ("by-hand-start", &mut start),
            ("by-hand-createdb", &mut createdb),
            ("by-hand-pgmq", &mut psql),
            ("by-hand-migrate", &mut migrate),
        ] {
            time += self.lab.time(name, command)?;
        }
        Ok(time)
    }

    /// A server program, as the user that may run it, in a directory that he can be in.
    fn server_program(&self, program: &str) -> anyhow::Result<Command> {
        server_program(self.lab, &self.bin, program, &self.directory)
    }

    /// Stops it and removes it; what is not there is no error.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub(super) fn remove(&self) -> anyhow::Result<()> {
        if self.directory.exists() {
            let mut stop = self.server_program("pg_ctl")?;
            stop.args(["stop", "--silent", "--mode=immediate", "--pgdata"])
                .arg(self.directory.join("data"));
            // Not through the watcher: it works after Ctrl-C, too.
            proc::capture_any(&mut stop)?;
        }
        lab::remove(&self.directory)
    }
}

impl Drop for ByHand<'_> {
    fn drop(&mut self) {
        let _ = self.remove();
    }
}

fn server_program(
    lab: &Lab,
    bin: &Path,
    program: &str,
    directory: &Path,
) -> anyhow::Result<Command> {
    let mut command = lab.command(bin.join(program));
    command.current_dir(directory);
    platform::as_server_user(&mut command, directory)?;
    Ok(command)
}

/// The SQL that the pgmq crate carries: a person would fetch the same file.
fn pgmq_sql(lab: &Lab) -> anyhow::Result<PathBuf> {
    let mut command = lab.cargo(&["metadata", "--format-version", "1"]);
    let metadata: serde_json::Value = serde_json::from_str(&proc::capture(&mut command)?)?;
    let manifest = metadata["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|package| package["name"] == "pgmq")
        .and_then(|package| package["manifest_path"].as_str())
        .ok_or_else(|| Fault::new("the workspace does not depend on `pgmq`"))?;
    let path = ["src", "install", "embedded", "sql", "pgmq.sql"]
        .iter()
        .fold(PathBuf::from(manifest).with_file_name(""), |dir, part| {
            dir.join(part)
        });
    anyhow::ensure!(path.is_file(), "there is no `{}`", path.display());
    Ok(path)
}

/// With the template that an earlier cluster has left; the warm-up sees to it.
pub(super) fn cold(lab: &Lab) -> anyhow::Result<Ready<'_>> {
    from_nothing(lab, &[])
}

/// By initdb, as for a user's first cluster.
pub(super) fn first(lab: &Lab) -> anyhow::Result<Ready<'_>> {
    from_nothing(lab, &[("XTASK_PG_TEMPLATE", "0")])
}

fn from_nothing<'a>(
    lab: &'a Lab,
    env: &'static [(&'static str, &'static str)],
) -> anyhow::Result<Ready<'a>> {
    let by_hand = match ByHand::find(lab)? {
        Ok(by_hand) => by_hand,
        Err(why) => return Ok(Ready::NotThere(why)),
    };
    Ok(Ready::Yes(Box::new(move |side| match side {
        Side::Ours => {
            wipe(lab)?;
            platform::settle();
            let mut command = lab.xtask_command(&["setup-db"])?;
            let time = lab.time("db-cold", command.envs(env.iter().copied()))?;
            lab.time("db-stop", &mut lab.xtask_command(&["db", "stop"])?)?;
            Ok(time)
        }
        Side::Theirs => {
            by_hand.remove()?;
            platform::settle();
            let time = by_hand.create()?;
            by_hand.remove()?;
            Ok(time)
        }
    })))
}

pub(super) fn warm(lab: &Lab) -> anyhow::Result<Ready<'_>> {
    lab.time("setup-db", &mut lab.xtask_command(&["setup-db"])?)?;
    let ours = status(lab)?;
    let bin = ours.programs.unwrap_or_default();
    Ok(Ready::Yes(Box::new(move |side| {
        lab.attempt("db-stop", &mut lab.xtask_command(&["db", "stop"])?)?;
        let mut command = match side {
            Side::Ours => lab.xtask_command(&["setup-db"])?,
            Side::Theirs => {
                let mut command = server_program(lab, &bin, "pg_ctl", &ours.directory)?;
                command
                    .args(["start", "--wait", "--silent", "--pgdata"])
                    .arg(ours.directory.join("data"))
                    .arg("--log")
                    .arg(ours.directory.join("server.log"));
                command
            }
        };
        lab.time("db-warm", &mut command)
    })))
}
