//! Creates, resets and migrates a PostgreSQL database, with PGMQ in it.
//!
//! The order is the point: database, then PGMQ, then migrations, because migrations may use
//! queues. Everything is safe to run twice, and from two processes at once.

mod error;
mod migrations;
mod pgmq;
mod temp;
mod url;

use std::path::PathBuf;
use std::str::FromStr;
use std::time::{Duration, Instant};

use serde::Serialize;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Connection};

pub use crate::error::Error;
pub use crate::migrations::{MigrationState, MigrationStatus, Status, migrate, status};
pub use crate::pgmq::PgmqState;
pub use crate::temp::{TempDatabase, test_root};
pub use crate::url::mask;

use crate::error::{sqlstate, words};

/// An arbitrary constant: whoever sets up the same database waits for the other one.
const LOCK: i64 = 0x7874_6173_6b64_6201;

/// A server that has just been started says "starting up" (57P03) for a moment.
const STARTUP_PATIENCE: Duration = Duration::from_secs(20);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What [`setup`] is to do.
#[derive(Clone, Default)]
pub struct SetupOptions {
    /// The database, with the role that will own it.
    pub url: String,
    /// Credentials that may create the role and the database, where the role itself may not.
    pub admin_url: Option<String>,
    /// The directory of migrations to run.
    pub migrations: Option<PathBuf>,
    /// Whether to install PGMQ.
    pub pgmq: bool,
    /// Whether to drop the database first. Refused unless the server is on this machine.
    pub reset: bool,
    /// Told about each step as it happens.
    pub progress: Option<fn(&str)>,
}

impl SetupOptions {
    fn say(&self, message: &str) {
        if let Some(progress) = self.progress {
            progress(message);
        }
    }
}

/// What [`setup`] did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether the database was created (with `reset`: created anew).
    pub database_created: bool,
    /// Whether the role was created.
    pub role_created: bool,
    /// How PGMQ came to be there.
    pub pgmq: PgmqState,
    /// Its version, where it can be told.
    pub pgmq_version: Option<String>,
    /// The migrations that this run applied.
    pub migrations_applied: Vec<i64>,
    /// How many migrations there are.
    pub migrations_total: usize,
}

/// Creates role and database where they are missing, installs PGMQ, then runs the migrations.
///
/// # Errors
/// When the server refuses one of these, or the options make no sense.
pub async fn setup(options: &SetupOptions) -> Result<Report, Error> {
    let target = Target::parse(&options.url)?;
    if let Some(directory) = &options.migrations {
        migrations::check_directory(directory)?;
    }
    let (database_created, role_created) = ensure_database(options, &target).await?;

    let mut lock = target
        .connect()
        .await
        .map_err(|error| target.unreachable(&error))?;
    hold_lock(&mut lock).await?;
    let pool = target.pool();
    let (pgmq, pgmq_version) = if options.pgmq {
        pgmq::ensure(&pool, options).await?
    } else {
        (PgmqState::Skipped, None)
    };
    let (migrations_applied, migrations_total) = match &options.migrations {
        Some(directory) => {
            options.say(&format!(
                "running migrations from `{}`",
                directory.display()
            ));
            migrations::run(&pool, directory).await?
        }
        None => (Vec::new(), 0),
    };
    pool.close().await;
    // Ending the session gives the lock back; an error here changes nothing that was done.
    lock.close().await.ok();
    Ok(Report {
        database_created,
        role_created,
        pgmq,
        pgmq_version,
        migrations_applied,
        migrations_total,
    })
}

/// Drops the database, whoever is connected to it.
///
/// # Errors
/// When the server is not on this machine, or refuses.
pub async fn drop_database(url: &str) -> Result<(), Error> {
    let target = Target::parse(url)?;
    target.refuse_foreign()?;
    let mut maintenance = target.maintenance().await?;
    target.drop(&mut maintenance).await?;
    maintenance.close().await.ok();
    Ok(())
}

/// A parsed URL.
#[derive(Clone)]
struct Target {
    options: PgConnectOptions,
    database: String,
    /// `host:port/database`, for messages.
    label: String,
}

impl Target {
    fn parse(url: &str) -> Result<Self, Error> {
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(
                Error::usage(format!("`{}` is not a PostgreSQL URL", mask(url))).hint(
                    "DATABASE_URL looks like postgres://user:password@127.0.0.1:5432/database",
                ),
            );
        }
        let options = PgConnectOptions::from_str(url)
            .map_err(|error| {
                let why = match error {
                    sqlx::Error::Configuration(inner) => inner.to_string(),
                    other => words(&other),
                };
                Error::usage(format!("cannot read the database URL `{}`: {why}", mask(url)))
                    .hint("DATABASE_URL looks like postgres://user:password@127.0.0.1:5432/database; percent-encode special characters of the password")
            })?
            .application_name("xtask-db")
            .disable_statement_logging();
        let options = with_fixed_schema(options);
        let Some(database) = options.get_database().filter(|name| !name.is_empty()) else {
            return Err(Error::usage(format!("`{}` names no database", mask(url)))
                .hint("append its name: postgres://user:password@127.0.0.1:5432/database"));
        };
        let database = database.to_owned();
        let host = options.get_socket().map_or_else(
            || options.get_host().to_owned(),
            |path| path.display().to_string(),
        );
        let label = format!("{host}:{}/{database}", options.get_port());
        Ok(Self {
            options,
            database,
            label,
        })
    }

    /// Connects, waiting for a server that is still starting up.
    async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        connect(&self.options).await
    }

    fn pool(&self) -> PgPool {
        PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(CONNECT_TIMEOUT)
            .connect_lazy_with(self.options.clone())
    }

    fn role(&self) -> &str {
        self.options.get_username()
    }

    /// The same server with the same credentials, in a database that is always there.
    async fn maintenance(&self) -> Result<PgConnection, Error> {
        let mut first = None;
        for name in ["postgres", "template1"] {
            match connect(&self.options.clone().database(name)).await {
                Ok(connection) => return Ok(connection),
                Err(error) => first = first.or(Some(error)),
            }
        }
        Err(match first {
            Some(error) => self.unreachable(&error),
            None => Error::failed(format!("cannot connect to {}", self.label)),
        })
    }

    fn refuse_foreign(&self) -> Result<(), Error> {
        let local =
            self.options.get_socket().is_some() || url::is_loopback(self.options.get_host());
        if !local {
            return Err(Error::usage(format!(
                "refused to drop database `{}` at {}: that server is not on this machine",
                self.database, self.label
            ))
            .hint("only databases on localhost, 127.0.0.1 or ::1 are ever dropped; do this one by hand"));
        }
        if ["postgres", "template0", "template1"].contains(&self.database.as_str()) {
            return Err(Error::usage(format!(
                "refused to drop `{}`: the server itself needs it",
                self.database
            ))
            .hint("name a database of your own in DATABASE_URL"));
        }
        Ok(())
    }

    async fn drop(&self, connection: &mut PgConnection) -> Result<(), Error> {
        let sql = format!(
            "DROP DATABASE IF EXISTS {} WITH (FORCE)",
            quoted(&self.database)
        );
        sqlx::query(&sql)
            .execute(connection)
            .await
            .map(drop)
            .map_err(|error| {
                Error::failed(format!(
                    "cannot drop database {}: {}",
                    self.label,
                    words(&error)
                ))
            })
    }

    /// Creates the database; `false` when another process was faster.
    async fn create(
        &self,
        connection: &mut PgConnection,
        owner: bool,
    ) -> Result<bool, sqlx::Error> {
        let mut sql = format!("CREATE DATABASE {}", quoted(&self.database));
        if owner {
            sql.push_str(&format!(" OWNER {}", quoted(self.role())));
        }
        match sqlx::query(&sql).execute(connection).await {
            Ok(_) => Ok(true),
            // 42P04 duplicate_database, 23505 the same race one step later.
            Err(error) if matches!(sqlstate(&error).as_deref(), Some("42P04" | "23505")) => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    fn unreachable(&self, error: &sqlx::Error) -> Error {
        let state = sqlstate(error);
        let message = format!(
            "cannot connect to PostgreSQL at {}: {}",
            self.label,
            words(error)
        );
        let hint = match state.as_deref() {
            Some("28P01" | "28000") => format!(
                "check user `{}` and its password in DATABASE_URL; to let this command create the role, set XTASK_DB_ADMIN_URL",
                self.role()
            ),
            Some("3D000") => "create the database: xtask-db setup".into(),
            _ => {
                "is the server running, and does DATABASE_URL name the right host and port?".into()
            }
        };
        Error::failed(message).hint(hint)
    }
}

/// Without this, the table of applied migrations is looked for in a schema that is named like the role, if
/// there is one: when a migration has made such a schema, they would all seem pending. A URL that says
/// `search_path` itself is left alone.
fn with_fixed_schema(options: PgConnectOptions) -> PgConnectOptions {
    let said = options
        .get_options()
        .is_some_and(|options| options.contains("search_path"));
    if said {
        options
    } else {
        options.options([("search_path", "public")])
    }
}

async fn connect(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    let start = Instant::now();
    loop {
        let attempt = tokio::time::timeout(CONNECT_TIMEOUT, options.connect()).await;
        let error = match attempt {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(error)) => error,
            Err(_) => {
                return Err(sqlx::Error::Io(std::io::Error::new(
                    std::io::ErrorKind::TimedOut,
                    format!("no answer in {} s", CONNECT_TIMEOUT.as_secs()),
                )));
            }
        };
        let starting = sqlstate(&error).as_deref() == Some("57P03");
        if !starting || start.elapsed() > STARTUP_PATIENCE {
            return Err(error);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn hold_lock(connection: &mut PgConnection) -> Result<(), Error> {
    sqlx::query("SELECT pg_advisory_lock($1)")
        .bind(LOCK)
        .execute(connection)
        .await
        .map(drop)
        .map_err(|error| Error::failed(format!("cannot take the setup lock: {}", words(&error))))
}

/// (database created, role created)
async fn ensure_database(options: &SetupOptions, target: &Target) -> Result<(bool, bool), Error> {
    if options.reset {
        target.refuse_foreign()?;
    } else {
        match target.connect().await {
            Ok(connection) => {
                connection.close().await.ok();
                return Ok((false, false));
            }
            Err(error) => match sqlstate(&error).as_deref() {
                Some("3D000") => {}
                Some("28P01" | "28000") if options.admin_url.is_some() => {}
                _ => return Err(target.unreachable(&error)),
            },
        }
    }
    let role_created = match &options.admin_url {
        Some(admin_url) => ensure_role(options, target, admin_url).await?,
        None => false,
    };

    let mut maintenance = target.maintenance().await?;
    // Two processes at once: the second one finds the database there.
    hold_lock(&mut maintenance).await?;
    if options.reset {
        options.say(&format!("dropping database `{}`", target.database));
        target.drop(&mut maintenance).await?;
    }
    options.say(&format!("creating database `{}`", target.database));
    let created = match (
        target.create(&mut maintenance, false).await,
        &options.admin_url,
    ) {
        (Ok(created), _) => created,
        (Err(error), Some(admin_url)) if sqlstate(&error).as_deref() == Some("42501") => {
            let mut admin = connect_admin(admin_url).await?;
            target
                .create(&mut admin, true)
                .await
                .map_err(|error| cannot_create(target, &error))?
        }
        (Err(error), _) => return Err(cannot_create(target, &error)),
    };
    maintenance.close().await.ok();
    Ok((created, role_created))
}

fn cannot_create(target: &Target, error: &sqlx::Error) -> Error {
    let failed = Error::failed(format!(
        "cannot create database {} as `{}`: {}",
        target.label,
        target.role(),
        words(error)
    ));
    match sqlstate(error).as_deref() {
        Some("42501") => failed.hint(format!(
            "let the role do it (ALTER ROLE {} CREATEDB), or set XTASK_DB_ADMIN_URL to a role that may",
            quoted(target.role())
        )),
        _ => failed,
    }
}

async fn connect_admin(admin_url: &str) -> Result<PgConnection, Error> {
    let admin = Target::parse(admin_url)?;
    admin.connect().await.map_err(|error| {
        Error::failed(format!(
            "cannot connect with XTASK_DB_ADMIN_URL to {}: {}",
            admin.label,
            words(&error)
        ))
    })
}

/// Creates the role of the URL where it is missing.
async fn ensure_role(
    options: &SetupOptions,
    target: &Target,
    admin_url: &str,
) -> Result<bool, Error> {
    let mut admin = connect_admin(admin_url).await?;
    let failed = |error: sqlx::Error| {
        Error::failed(format!(
            "cannot create role `{}`: {}",
            target.role(),
            words(&error)
        ))
    };
    let exists: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)")
            .bind(target.role())
            .fetch_one(&mut admin)
            .await
            .map_err(failed)?;
    if exists {
        return Ok(false);
    }
    options.say(&format!("creating role `{}`", target.role()));
    // The server quotes the name and the password: utility statements take no parameters.
    let sql: String =
        sqlx::query_scalar("SELECT format('CREATE ROLE %I LOGIN PASSWORD %L', $1, $2)")
            .bind(target.role())
            .bind(password_of(&options.url))
            .fetch_one(&mut admin)
            .await
            .map_err(failed)?;
    match sqlx::query(&sql).execute(&mut admin).await {
        Ok(_) => Ok(true),
        Err(error) if matches!(sqlstate(&error).as_deref(), Some("42710" | "23505")) => Ok(false),
        Err(error) => Err(failed(error)),
    }
}

/// The password of a URL, percent-decoded: the driver keeps its own copy to itself.
fn password_of(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let (authority, query) = rest.split_once('?').unwrap_or((rest, ""));
    let from_query = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("password="));
    let from_user = authority
        .split('/')
        .next()
        .and_then(|authority| authority.rsplit_once('@'))
        .and_then(|(user, _)| user.split_once(':'))
        .map(|(_, password)| password);
    from_query.or(from_user).map(percent_decoded)
}

fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = text
            .get(at + 1..at + 3)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (bytes[at], hex) {
            (b'%', Some(byte)) => {
                decoded.push(byte);
                at += 3;
            }
            (byte, _) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_url_is_a_usage_error_that_hides_the_password() {
        for url in [
            "mysql://bob:s3cret@db/app",
            "postgres://bob:s3cret@db:notaport/app",
            "postgres://bob:s3cret@127.0.0.1:5432",
            "bob:s3cret@db",
        ] {
            let error = Target::parse(url).err().expect(url);
            assert_eq!(error.exit_code(), 2, "{url}");
            assert!(!error.to_string().contains("s3cret"), "{error}");
            assert!(error.to_string().contains("hint: "), "{error}");
        }
    }

    #[test]
    fn only_local_databases_are_dropped() {
        let refused = |url: &str| Target::parse(url).unwrap().refuse_foreign().err();
        assert!(refused("postgres://bob@127.0.0.1/app").is_none());
        assert!(refused("postgres://bob@localhost/app").is_none());
        assert!(refused("postgres://bob@[::1]/app").is_none());
        assert!(refused("postgres://bob@10.0.0.1/app").is_some());
        assert!(refused("postgres://bob@localhost/app?host=db.internal").is_some());
        assert!(refused("postgres://bob@localhost/postgres").is_some());
        let error = refused("postgres://bob:s3cret@db.internal/app").unwrap();
        assert_eq!(error.exit_code(), 2);
        assert!(!error.to_string().contains("s3cret"));
    }

    #[test]
    fn the_password_for_a_new_role_is_decoded() {
        assert_eq!(
            password_of("postgres://bob:a%40b%2fc@db/app").as_deref(),
            Some("a@b/c")
        );
        assert_eq!(
            password_of("postgres://bob@db/app?password=x%20y").as_deref(),
            Some("x y")
        );
        assert_eq!(password_of("postgres://bob@db/app"), None);
    }
}
