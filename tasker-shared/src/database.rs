//! The pool, and waiting for the database at start.

use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Connection};
use tracing::{info, warn};

use crate::config::{ConfigError, DatabaseUrl, ServiceConfig};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const NO_ANSWER: &str = "no answer from the database in time";

/// The database was not ready in time.
#[derive(Debug, thiserror::Error)]
#[error("the database at {url} is not ready after {waited} s: {why}\nhint: {hint}")]
pub struct NotReady {
    url: DatabaseUrl,
    waited: u64,
    why: String,
    hint: String,
}

/// A pool that connects when it is first used, so that a service can say that it is unhealthy
/// while its database is away.
///
/// # Errors
/// When the URL cannot be read.
pub fn lazy_pool(config: &ServiceConfig, name: &str) -> Result<PgPool, ConfigError> {
    let options = config
        .database_url
        .options()?
        .application_name(name)
        .disable_statement_logging();
    // Each running step may hold one connection to record its result and one for its own work;
    // reader, listener, health and heartbeats need some too.
    let connections = u32::try_from(config.concurrency * 2 + 6).unwrap_or(100);
    Ok(PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(5))
        .connect_lazy_with(options))
}

/// Waits until a query over the service's own tables works.
///
/// It connects by itself: a pool hides "connection refused" behind a timeout of its own.
///
/// # Errors
/// When that takes longer than the configuration allows, or the password is wrong.
pub async fn wait_ready(config: &ServiceConfig, query: &str) -> Result<(), NotReady> {
    let start = Instant::now();
    let not_ready = |error: CheckError| NotReady {
        url: config.database_url.clone(),
        waited: start.elapsed().as_secs(),
        hint: error.hint().into(),
        why: error.message,
    };
    let options = config.database_url.options().map_err(|error| {
        not_ready(CheckError {
            message: error.to_string(),
            sqlstate: None,
        })
    })?;
    let mut told = false;
    loop {
        let error = match within(CONNECT_TIMEOUT, connect_and_ask(&options, query)).await {
            Ok(()) => {
                info!(url = %config.database_url, "the database is ready");
                return Ok(());
            }
            Err(error) => error,
        };
        if error.is_rejected() || start.elapsed() >= config.startup_timeout {
            return Err(not_ready(error));
        }
        if !told {
            warn!(url = %config.database_url, error = %error.message, "waiting for the database");
            told = true;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Why a query did not work.
#[derive(Clone, Debug)]
pub struct CheckError {
    /// In words.
    pub message: String,
    /// The database's code, where it answered.
    pub sqlstate: Option<String>,
}

impl CheckError {
    /// A wrong password, a wrong role, or a forbidden host: waiting cures none.
    fn is_rejected(&self) -> bool {
        matches!(self.sqlstate.as_deref(), Some("28P01" | "28000"))
    }

    fn hint(&self) -> &'static str {
        match self.sqlstate.as_deref() {
            Some("28P01" | "28000") => "correct user and password in DATABASE_URL",
            Some("42P01" | "3F000" | "3D000" | "42883") => "run `cargo xtask setup-db`",
            _ => "run `cargo xtask check-services`",
        }
    }
}

impl From<sqlx::Error> for CheckError {
    fn from(error: sqlx::Error) -> Self {
        let database = error.as_database_error();
        Self {
            sqlstate: database
                .and_then(|error| error.code())
                .map(|code| code.into_owned()),
            message: match &error {
                sqlx::Error::Database(database) => database.message().to_owned(),
                sqlx::Error::Io(io) => io.to_string(),
                sqlx::Error::PoolTimedOut => NO_ANSWER.to_owned(),
                other => other.to_string(),
            },
        }
    }
}

/// Runs a query, within a time.
///
/// # Errors
/// When it fails or takes longer.
pub async fn check(pool: &PgPool, query: &str, timeout: Duration) -> Result<(), CheckError> {
    within(timeout, async {
        sqlx::query(query).fetch_optional(pool).await.map(drop)
    })
    .await
}

async fn connect_and_ask(options: &PgConnectOptions, query: &str) -> Result<(), sqlx::Error> {
    let mut connection = options.connect().await?;
    sqlx::query(query).fetch_optional(&mut connection).await?;
    connection.close().await
}

async fn within(
    timeout: Duration,
    work: impl Future<Output = Result<(), sqlx::Error>>,
) -> Result<(), CheckError> {
    match tokio::time::timeout(timeout, work).await {
        Ok(result) => result.map_err(CheckError::from),
        Err(_) => Err(CheckError {
            message: NO_ANSWER.into(),
            sqlstate: None,
        }),
    }
}
