//! Reads the result queue, for ever.

use std::time::Duration;

use anyhow::{Context, Result};
use pgmq_notify::{Listener, Message, Queue, QueueName};
use sqlx::PgPool;
use tasker_shared::ServiceConfig;
use tasker_shared::messages::{Outcome, ResultMessage};
use tasker_shared::serve::Shutdown;
use tasker_shared::types::RESULT_QUEUE;
use tracing::{error, warn};

use crate::store;

const BATCH: usize = 50;

/// A message may be visible but locked by another reader: no busy loop over it.
const SHORTEST_PAUSE: Duration = Duration::from_millis(20);

/// A result that could not be applied this often never will be. Its step fails with the reason,
/// so that the task does not hang.
const MAX_READS: i32 = 10;

/// The result queue.
///
/// # Errors
/// Never: the name is good.
pub fn queue() -> Result<Queue<ResultMessage>> {
    Ok(Queue::new(QueueName::new(RESULT_QUEUE)?))
}

/// Applies results until the shutdown. Errors of the database are logged and waited out.
///
/// # Errors
/// Never: the queue's name is good.
pub async fn run(pool: PgPool, config: ServiceConfig, shutdown: Shutdown) -> Result<()> {
    let queue = queue()?;
    let listener = Listener::start(pool.clone(), queue.name());
    while !shutdown.is_triggered() {
        let pause = match drain(&pool, &queue, &config, &shutdown).await {
            Ok(Some(next)) => next.clamp(SHORTEST_PAUSE, config.poll_interval.max(SHORTEST_PAUSE)),
            Ok(None) => config.poll_interval,
            Err(error) => {
                warn!(
                    error = format!("{error:#}"),
                    "cannot read results, trying again"
                );
                config.poll_interval.min(Duration::from_secs(1))
            }
        };
        tokio::select! {
            () = shutdown.wait() => {}
            _ = listener.wait(pause) => {}
        }
    }
    Ok(())
}

/// Applies what is there; returns when the next message will be visible.
async fn drain(
    pool: &PgPool,
    queue: &Queue<ResultMessage>,
    config: &ServiceConfig,
    shutdown: &Shutdown,
) -> Result<Option<Duration>> {
    while !shutdown.is_triggered() {
        let messages = queue.read(pool, config.visibility_timeout, BATCH).await?;
        if messages.is_empty() {
            return Ok(queue.next_visible(pool).await?);
        }
        for message in &messages {
            // One that fails stays in the queue; the others must not wait for it.
            if let Err(error) = process(pool, queue, message, config.retry_base).await {
                warn!(
                    message = message.id,
                    error = format!("{error:#}"),
                    "cannot apply a result"
                );
            }
        }
    }
    Ok(None)
}

/// Applies one result and ends its message, as one transaction.
///
/// # Errors
/// When the database refuses; then nothing has changed, and the message comes back.
pub async fn process(
    pool: &PgPool,
    queue: &Queue<ResultMessage>,
    message: &Message<ResultMessage>,
    retry_base: Duration,
) -> Result<()> {
    let mut transaction = pool.begin().await.context("begin")?;
    // First of all: it waits for whoever has the same message, and then says who was faster.
    if !queue.archive(&mut *transaction, message.id).await? {
        return Ok(());
    }
    match &message.body {
        Err(why) => {
            error!(message = message.id, %why, body = %message.raw, "archived a malformed result");
        }
        Ok(result) if message.read_count > MAX_READS => {
            error!(message = message.id, step_id = %result.step_id, "gave up on a result");
            let outcome = Outcome::Failure {
                error: "its result could not be recorded".into(),
                retryable: false,
            };
            let result = ResultMessage {
                outcome,
                ..result.clone()
            };
            store::apply_result(&mut transaction, &result, retry_base).await?;
        }
        Ok(result) => {
            store::apply_result(&mut transaction, result, retry_base).await?;
        }
    }
    transaction.commit().await.context("commit")
}
