//! The pool, and waiting for the database at start.

use std::time::{Duration, Instant};

use sqlx::ConnectOptions;
use sqlx::postgres::{PgPool, PgPoolOptions};
use tracing::{info, warn};

use crate::config::{ConfigError, DatabaseUrl, ServiceConfig};

/// The SQLSTATEs of a wrong password, a wrong role, or a forbidden host: waiting cures none.
const REJECTED: [&str; 2] = ["28P01", "28000"];

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
/// # Errors
/// When that takes longer than the configuration allows, or the password is wrong.
pub async fn wait_ready(
    pool: &PgPool,
    config: &ServiceConfig,
    query: &str,
) -> Result<(), NotReady> {
    let start = Instant::now();
    let mut told = false;
    loop {
        let error = match check(pool, query, Duration::from_secs(5)).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        let rejected = error
            .sqlstate
            .as_deref()
            .is_some_and(|state| REJECTED.contains(&state));
        if rejected || start.elapsed() >= config.startup_timeout {
            return Err(NotReady {
                url: config.database_url.clone(),
                waited: start.elapsed().as_secs(),
                hint: match error.sqlstate.as_deref() {
                    Some("28P01" | "28000") => "correct user and password in DATABASE_URL",
                    Some("42P01" | "3F000" | "3D000" | "42883") => "run `cargo xtask setup-db`",
                    _ => "run `cargo xtask check-services`",
                }
                .into(),
                why: error.message,
            });
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

/// Runs a query, within a time.
///
/// # Errors
/// When it fails or takes longer.
pub async fn check(pool: &PgPool, query: &str, timeout: Duration) -> Result<(), CheckError> {
    match tokio::time::timeout(timeout, sqlx::query(query).fetch_optional(pool)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(sqlx::Error::PoolTimedOut)) | Err(_) => Err(CheckError {
            message: "no answer from the database in time".into(),
            sqlstate: None,
        }),
        Ok(Err(error)) => Err(CheckError {
            sqlstate: error
                .as_database_error()
                .and_then(|e| e.code())
                .map(|code| code.into_owned()),
            message: match &error {
                sqlx::Error::Database(database) => database.message().to_owned(),
                sqlx::Error::Io(io) => io.to_string(),
                other => other.to_string(),
            },
        }),
    }
}

/// Says once that the service can work.
pub fn log_ready(config: &ServiceConfig) {
    info!(url = %config.database_url, "the database is ready");
}
