//! One queue, with messages of one type.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sqlx::types::Json;
use sqlx::{PgConnection, PgExecutor, PgPool};

use crate::{Error, QueueName};

/// A message as it was read; it stays in the queue, invisible for a while.
#[derive(Debug)]
pub struct Message<T> {
    /// Its number in this queue.
    pub id: i64,
    /// How often it has been read, this time included.
    pub read_count: i32,
    /// The body. A message of another shape is for the reader to put away, so it must be able to
    /// see it.
    pub body: Result<T, serde_json::Error>,
    /// The body as it was sent.
    pub raw: Value,
}

/// How full a queue is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Depth {
    /// Messages in the queue, those being worked on and the delayed ones included.
    pub total: i64,
    /// Messages that a reader would get now.
    pub visible: i64,
    /// Messages in the archive.
    pub archived: i64,
}

/// A typed queue. Cheap to clone; it holds no connection.
pub struct Queue<T> {
    name: QueueName,
    message: PhantomData<fn(T) -> T>,
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self {
            name: self.name.clone(),
            message: PhantomData,
        }
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Queue").field(&self.name.as_str()).finish()
    }
}

impl<T> Queue<T> {
    /// A queue by its name; it need not exist yet.
    pub fn new(name: QueueName) -> Self {
        Self {
            name,
            message: PhantomData,
        }
    }

    /// Its name.
    pub fn name(&self) -> &QueueName {
        &self.name
    }

    fn failed(&self, action: &'static str) -> impl FnOnce(sqlx::Error) -> Error {
        move |source| Error::Database {
            queue: self.name.to_string(),
            action,
            source,
        }
    }

    /// Creates it where it is missing; safe from several processes at once.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn create(&self, pool: &PgPool) -> Result<(), Error> {
        // Looked up first: creating takes locks that every start would otherwise wait for.
        let exists: bool =
            sqlx::query_scalar("SELECT EXISTS (SELECT FROM pgmq.meta WHERE queue_name = $1)")
                .bind(self.name.as_str())
                .fetch_one(pool)
                .await
                .map_err(self.failed("look for it"))?;
        if exists {
            return Ok(());
        }
        sqlx::query("SELECT pgmq.create($1)")
            .bind(self.name.as_str())
            .execute(pool)
            .await
            .map(drop)
            .map_err(self.failed("create it"))
    }

    /// Moves a message to the archive. `false` when it is not in the queue any more: then somebody
    /// else has finished it, and whatever the transaction did for it must be rolled back.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn archive(&self, executor: impl PgExecutor<'_>, id: i64) -> Result<bool, Error> {
        sqlx::query_scalar("SELECT pgmq.archive($1, $2)")
            .bind(self.name.as_str())
            .bind(id)
            .fetch_one(executor)
            .await
            .map_err(self.failed("archive a message"))
    }

    /// Keeps a message invisible for this long from now on. `false` when it is gone.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn set_visibility(
        &self,
        executor: impl PgExecutor<'_>,
        id: i64,
        timeout: Duration,
    ) -> Result<bool, Error> {
        let row = sqlx::query("SELECT msg_id FROM pgmq.set_vt($1, $2, $3::integer)")
            .bind(self.name.as_str())
            .bind(id)
            .bind(seconds(timeout))
            .fetch_optional(executor)
            .await
            .map_err(self.failed("extend a message"))?;
        Ok(row.is_some())
    }

    /// How long until the next message becomes visible; zero when one is, `None` when the queue is
    /// empty. A delayed message, and one whose reader died, makes no notification when its time
    /// has come: a reader sleeps no longer than this.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn next_visible(
        &self,
        executor: impl PgExecutor<'_>,
    ) -> Result<Option<Duration>, Error> {
        // The name is checked, so it can stand in the statement.
        let sql = format!(
            "SELECT extract(epoch FROM min(vt) - clock_timestamp())::double precision FROM pgmq.q_{}",
            self.name
        );
        let seconds: Option<f64> = sqlx::query_scalar(&sql)
            .fetch_one(executor)
            .await
            .map_err(self.failed("look for the next message"))?;
        Ok(
            seconds
                .map(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or_default()),
        )
    }

    /// How full it is.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn depth(&self, executor: impl PgExecutor<'_>) -> Result<Depth, Error> {
        let sql = format!(
            "SELECT count(*), count(*) FILTER (WHERE vt <= clock_timestamp()),
                    (SELECT count(*) FROM pgmq.a_{name}) FROM pgmq.q_{name}",
            name = self.name
        );
        let (total, visible, archived) = sqlx::query_as(&sql)
            .fetch_one(executor)
            .await
            .map_err(self.failed("count its messages"))?;
        Ok(Depth {
            total,
            visible,
            archived,
        })
    }
}

impl<T: Serialize> Queue<T> {
    /// Sends a message that is visible at once, and wakes the readers when the transaction commits.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn send(&self, connection: &mut PgConnection, message: &T) -> Result<i64, Error> {
        self.send_delayed(connection, message, Duration::ZERO).await
    }

    /// Sends a message that becomes visible after a delay. Readers are woken all the same, to learn
    /// when that will be.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn send_delayed(
        &self,
        connection: &mut PgConnection,
        message: &T,
        delay: Duration,
    ) -> Result<i64, Error> {
        let body = serde_json::to_value(message).map_err(|source| Error::Encode {
            queue: self.name.to_string(),
            source,
        })?;
        // One statement, one round trip. The payload is empty, so that PostgreSQL folds the
        // notifications of one transaction into one.
        sqlx::query_scalar(
            "SELECT sent FROM pgmq.send($1, $2, clock_timestamp() + make_interval(secs => $3)) AS sent,
                    pg_notify($4, '')",
        )
        .bind(self.name.as_str())
        .bind(Json(body))
        .bind(delay.as_secs_f64())
        .bind(self.name.channel())
        .fetch_one(connection)
        .await
        .map_err(self.failed("send a message"))
    }
}

impl<T: DeserializeOwned> Queue<T> {
    /// Reads up to `limit` visible messages and hides them from other readers for `timeout`.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn read(
        &self,
        executor: impl PgExecutor<'_>,
        timeout: Duration,
        limit: usize,
    ) -> Result<Vec<Message<T>>, Error> {
        let rows: Vec<(i64, i32, Json<Value>)> =
            sqlx::query_as("SELECT msg_id, read_ct, message FROM pgmq.read($1, $2, $3)")
                .bind(self.name.as_str())
                .bind(seconds(timeout))
                .bind(i32::try_from(limit).unwrap_or(i32::MAX))
                .fetch_all(executor)
                .await
                .map_err(self.failed("read messages"))?;
        Ok(rows
            .into_iter()
            .map(|(id, read_count, Json(raw))| Message {
                id,
                read_count,
                body: T::deserialize(&raw),
                raw,
            })
            .collect())
    }
}

/// Whole seconds, rounded up: PGMQ knows no others, and zero would hide nothing.
fn seconds(timeout: Duration) -> i32 {
    let whole = timeout
        .as_secs()
        .saturating_add(u64::from(timeout.subsec_nanos() > 0));
    i32::try_from(whole).unwrap_or(i32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn visibility_is_never_rounded_to_nothing() {
        assert_eq!(seconds(Duration::ZERO), 1);
        assert_eq!(seconds(Duration::from_millis(1)), 1);
        assert_eq!(seconds(Duration::from_millis(1500)), 2);
        assert_eq!(seconds(Duration::from_secs(30)), 30);
        assert_eq!(seconds(Duration::MAX), i32::MAX);
    }
}
