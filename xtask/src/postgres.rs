//! PostgreSQL without a driver: the wire protocol as far as a probe needs it, and the workspace's
//! embedded cluster.

use crate::cx::Cx;

/// A database that is ready: it runs queries, has PGMQ where the workspace needs it, and no
/// migration is pending.
#[derive(Debug)]
pub struct Ensured {
    /// The URL, with its password: for children's environment, never for print.
    pub url: String,
    /// Whether this call started the embedded cluster (then it is ours to stop).
    pub started: bool,
}

/// Makes sure that the workspace's database is ready: the one that `DATABASE_URL` names, else the
/// embedded cluster, which is started where needed.
///
/// # Errors
/// When the database cannot be reached, started, created or migrated.
pub fn ensure(_cx: &Cx) -> anyhow::Result<Ensured> {
    anyhow::bail!("not built yet")
}

/// Stops the embedded cluster; `false` when it was not running.
///
/// # Errors
/// When it runs on after being asked to stop.
pub fn stop_embedded(_cx: &Cx) -> anyhow::Result<bool> {
    anyhow::bail!("not built yet")
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

/// Probes the workspace's database once. `None` when no `DATABASE_URL` is set and there is no
/// embedded cluster. The second value is what to call the endpoint (`host:port/name`).
///
/// # Errors
/// A malformed URL or configuration.
pub fn probe(_cx: &Cx, _timeout: std::time::Duration) -> anyhow::Result<Option<(State, String)>> {
    anyhow::bail!("not built yet")
}
