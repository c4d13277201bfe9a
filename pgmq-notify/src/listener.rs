//! Wakes a reader, and never lets it sleep for ever.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::PgListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tracing::{debug, warn};

use crate::QueueName;

const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(5);

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// A notification came, or the connection was lost and is back: look at the queue.
    Notified,
    /// Nothing came in time: look at the queue all the same.
    Polled,
}

/// Listens on a queue's channel in the background, reconnecting as often as needed.
///
/// It holds one connection of the pool. Dropping it ends the listening.
#[derive(Debug)]
pub struct Listener {
    wake: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Listener {
    /// Starts to listen. It need not succeed at once: while there is no connection, waits end by
    /// polling.
    pub fn start(pool: PgPool, queue: &QueueName) -> Self {
        let wake = Arc::new(Notify::new());
        let task = tokio::spawn(listen(pool, queue.channel(), Arc::clone(&wake)));
        Self { wake, task }
    }

    /// Waits for a notification, at most for `next_poll`. One that came since the last wait counts,
    /// so nothing is missed between reading a queue and waiting for it.
    pub async fn wait(&self, next_poll: Duration) -> Wake {
        match tokio::time::timeout(next_poll, self.wake.notified()).await {
            Ok(()) => Wake::Notified,
            Err(_) => Wake::Polled,
        }
    }

    /// Wakes the waiter by hand.
    pub fn wake(&self) {
        self.wake.notify_one();
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen(pool: PgPool, channel: String, wake: Arc<Notify>) {
    let mut retry = FIRST_RETRY;
    loop {
        match connect(&pool, &channel).await {
            Ok(mut listener) => {
                debug!(channel, "listening");
                retry = FIRST_RETRY;
                // What was sent while nobody listened made no notification.
                wake.notify_one();
                loop {
                    match listener.try_recv().await {
                        Ok(Some(_)) => wake.notify_one(),
                        // `None`: the connection was lost. The driver would only reconnect at the
                        // next call, so this starts over, to look at the queue afterwards.
                        Ok(None) => break,
                        Err(error) => {
                            warn!(channel, %error, "lost the notifications, polling meanwhile");
                            break;
                        }
                    }
                }
            }
            Err(error) => {
                if pool.is_closed() {
                    return;
                }
                debug!(channel, %error, "cannot listen, polling meanwhile");
            }
        }
        tokio::time::sleep(retry).await;
        retry = (retry * 2).min(LAST_RETRY);
    }
}

async fn connect(pool: &PgPool, channel: &str) -> Result<PgListener, sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(channel).await?;
    Ok(listener)
}
