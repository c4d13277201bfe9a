//! Typed PGMQ queues whose readers wake at once.
//!
//! PGMQ alone has to be polled. Here whoever sends also notifies, in the same transaction, so a
//! reader learns of a message when it is committed, and not before. Notifications are a hint only:
//! they are lost while nobody listens, so every wait also ends by itself ([`Listener::wait`]).
//!
//! What makes the queues lossless: [`Queue::send`] and [`Queue::archive`] take any executor, so
//! that "the effect and the end of the message" are one transaction.

mod listener;
mod name;
mod queue;

pub use crate::listener::{Listener, Wake};
pub use crate::name::{InvalidQueueName, MAX_QUEUE_NAME, QueueName};
pub use crate::queue::{Depth, Message, Queue};

/// What can go wrong with a queue.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The database said no, or is not there.
    #[error("queue `{queue}`: cannot {action}: {source}")]
    Database {
        /// The queue.
        queue: String,
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: sqlx::Error,
    },
    /// A message could not be written as JSON.
    #[error("queue `{queue}`: the message cannot be written as JSON: {source}")]
    Encode {
        /// The queue.
        queue: String,
        /// Why it failed.
        source: serde_json::Error,
    },
}

impl Error {
    /// The SQLSTATE, where the database gave one.
    pub fn sqlstate(&self) -> Option<String> {
        match self {
            Self::Database { source, .. } => source
                .as_database_error()?
                .code()
                .map(|code| code.into_owned()),
            Self::Encode { .. } => None,
        }
    }

    /// Whether the queue itself is missing (its tables, or PGMQ).
    pub fn is_missing_queue(&self) -> bool {
        matches!(
            self.sqlstate().as_deref(),
            Some("42P01" | "3F000" | "42883")
        )
    }
}
