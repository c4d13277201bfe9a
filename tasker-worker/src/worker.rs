//! The worker: builder, loop, and one step's run.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pgmq_notify::{Listener, Message, Queue, QueueName};
use sqlx::PgPool;
use tasker_shared::ServiceConfig;
use tasker_shared::messages::{Outcome, ResultMessage, StepMessage};
use tasker_shared::serve::Shutdown;
use tasker_shared::types::{DEEPEST, RESULT_QUEUE, holds_nul, is_shallow, worker_queue};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinHandle, JoinSet};
use tracing::{debug, error, info, warn};

use crate::handler::{Handler, HandlerError, StepContext, panic_error};

/// A message that was delivered this often and never got a result kills its workers: its step
/// fails, instead of killing them for ever.
const MAX_DELIVERIES: i32 = 10;

/// A message may be visible but locked by another reader: no busy loop over it.
const SHORTEST_PAUSE: Duration = Duration::from_millis(20);

/// How often a result is offered to a database that answers and refuses.
const RECORD_TRIES: u32 = 10;

/// A worker that cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct WorkerError(String);

/// Collects the handlers of a [`Worker`].
#[derive(Default)]
pub struct WorkerBuilder {
    namespace: String,
    handlers: BTreeMap<String, Arc<dyn Handler>>,
    twice: Option<String>,
}

impl WorkerBuilder {
    /// Which steps it runs.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// Registers a handler.
    #[must_use]
    pub fn handler(self, name: impl Into<String>, handler: impl Handler) -> Self {
        self.shared_handler(name, Arc::new(handler))
    }

    /// Registers a handler that exists already, such as one of another language.
    #[must_use]
    pub fn shared_handler(mut self, name: impl Into<String>, handler: Arc<dyn Handler>) -> Self {
        let name = name.into();
        if self.handlers.insert(name.clone(), handler).is_some() {
            self.twice = Some(name);
        }
        self
    }

    /// Checks all of it.
    ///
    /// # Errors
    /// A bad namespace, no handler, or two of one name.
    pub fn build(self) -> Result<Worker, WorkerError> {
        let queue =
            worker_queue(&self.namespace).map_err(|error| WorkerError(error.to_string()))?;
        let results =
            QueueName::new(RESULT_QUEUE).map_err(|error| WorkerError(error.to_string()))?;
        if let Some(name) = self.twice {
            return Err(WorkerError(format!("two handlers have the name `{name}`")));
        }
        if self.handlers.is_empty() {
            return Err(WorkerError(format!(
                "the worker of namespace `{}` has no handlers",
                self.namespace
            )));
        }
        Ok(Worker {
            namespace: self.namespace,
            handlers: self.handlers,
            queue: Queue::new(queue),
            results: Queue::new(results),
        })
    }
}

/// A namespace with its handlers, ready to start.
pub struct Worker {
    namespace: String,
    handlers: BTreeMap<String, Arc<dyn Handler>>,
    queue: Queue<StepMessage>,
    results: Queue<ResultMessage>,
}

impl Worker {
    /// Starts to build one.
    pub fn builder() -> WorkerBuilder {
        WorkerBuilder::default()
    }

    /// Its namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Starts to work in the background of the current runtime.
    pub fn start(self, pool: PgPool, config: ServiceConfig) -> RunningWorker {
        self.start_guarded(pool, config, ())
    }

    /// As [`Self::start`]; the guard is dropped when the work ends, by whatever cause.
    pub(crate) fn start_guarded(
        self,
        pool: PgPool,
        config: ServiceConfig,
        guard: impl Send + 'static,
    ) -> RunningWorker {
        let shutdown = Shutdown::new();
        info!(namespace = self.namespace, handlers = ?self.handlers.keys(), "worker starts");
        let core = Arc::new(Core {
            worker: self,
            pool,
            config,
        });
        let stop = shutdown.clone();
        let task = tokio::spawn(async move {
            let _guard = guard;
            run(core, stop).await;
        });
        RunningWorker { shutdown, task }
    }
}

/// A worker at work. Dropping it lets it run on.
pub struct RunningWorker {
    shutdown: Shutdown,
    task: JoinHandle<()>,
}

impl RunningWorker {
    /// Takes no more steps, and waits for the running ones as long as the configuration allows.
    pub async fn stop(self) {
        self.shutdown.trigger();
        self.task.await.ok();
    }

    /// Whether it still works.
    pub fn is_running(&self) -> bool {
        !self.task.is_finished()
    }

    /// Waits for its end, which only comes by a fault.
    pub async fn ended(&mut self) {
        (&mut self.task).await.ok();
    }
}

struct Core {
    worker: Worker,
    pool: PgPool,
    config: ServiceConfig,
}

async fn run(core: Arc<Core>, shutdown: Shutdown) {
    let queue = &core.worker.queue;
    let listener = Listener::start(core.pool.clone(), queue.name());
    let slots = Arc::new(Semaphore::new(core.config.concurrency));
    let mut steps = JoinSet::new();
    while !shutdown.is_triggered() {
        let slot = tokio::select! {
            () = shutdown.wait() => break,
            slot = Arc::clone(&slots).acquire_owned() => slot,
        };
        let Ok(slot) = slot else { break };
        while steps.try_join_next().is_some() {}
        // Only what can run at once is read: a message that waits here would lose its time.
        let room = slots.available_permits() + 1;
        let pause = match queue
            .read(&core.pool, core.config.visibility_timeout, room)
            .await
        {
            Ok(messages) if !messages.is_empty() => {
                let mut slot = Some(slot);
                for message in messages {
                    let slot = slot
                        .take()
                        .or_else(|| Arc::clone(&slots).try_acquire_owned().ok());
                    steps.spawn(run_step(Arc::clone(&core), message, slot));
                }
                continue;
            }
            Ok(_) => next_pause(&core).await,
            Err(error) => {
                if !error.is_missing_queue() {
                    warn!(%error, "cannot read steps, trying again");
                } else if let Err(error) = queue.create(&core.pool).await {
                    warn!(%error, "cannot create the queue, trying again");
                }
                core.config.poll_interval.min(Duration::from_secs(1))
            }
        };
        drop(slot);
        tokio::select! {
            () = shutdown.wait() => {}
            _ = listener.wait(pause) => {}
        }
    }
    drop(listener);
    if !steps.is_empty() {
        info!(running = steps.len(), "waiting for the running steps");
    }
    let rest = async { while steps.join_next().await.is_some() {} };
    if tokio::time::timeout(core.config.shutdown_grace, rest)
        .await
        .is_err()
    {
        warn!("steps were cut off; they run again when their messages come back");
        steps.shutdown().await;
    }
}

/// Until the next message is due, but never longer than the polling interval.
async fn next_pause(core: &Core) -> Duration {
    let longest = core.config.poll_interval.max(SHORTEST_PAUSE);
    match core.worker.queue.next_visible(&core.pool).await {
        Ok(Some(next)) => next.clamp(SHORTEST_PAUSE, longest),
        Ok(None) => longest,
        Err(error) => {
            warn!(%error, "cannot look for the next step");
            longest.min(Duration::from_secs(1))
        }
    }
}

async fn run_step(
    core: Arc<Core>,
    message: Message<StepMessage>,
    slot: Option<OwnedSemaphorePermit>,
) {
    let id = message.id;
    match message.body {
        Ok(step) => {
            let work = async {
                let outcome = call_handler(&core, &step, message.read_count).await;
                let result = ResultMessage {
                    task_id: step.task_id,
                    step_id: step.step_id,
                    attempt: step.attempt,
                    outcome: storable(outcome),
                };
                record(&core, id, result).await;
            };
            tokio::select! {
                () = work => {}
                () = heartbeat(&core, id) => {}
            }
        }
        Err(why) => {
            error!(message = id, %why, body = %message.raw, "archived a malformed step");
            if let Err(error) = core.worker.queue.archive(&core.pool, id).await {
                warn!(%error, "cannot archive it");
            }
        }
    }
    drop(slot);
}

/// Keeps the message away from other workers while this one lives.
async fn heartbeat(core: &Core, id: i64) {
    let timeout = core.config.visibility_timeout;
    loop {
        tokio::time::sleep(timeout / 3).await;
        match core
            .worker
            .queue
            .set_visibility(&core.pool, id, timeout)
            .await
        {
            Ok(true) => {}
            // Another worker was faster, or this one is just about to be done.
            Ok(false) => debug!(message = id, "the message is gone"),
            Err(error) => warn!(message = id, %error, "cannot extend a message"),
        }
    }
}

async fn call_handler(core: &Core, step: &StepMessage, read_count: i32) -> Outcome {
    let Worker {
        namespace,
        handlers,
        ..
    } = &core.worker;
    let Some(handler) = handlers.get(&step.handler) else {
        let known: Vec<&str> = handlers.keys().map(String::as_str).collect();
        return failure(HandlerError::new(format!(
            "no handler `{}` in namespace `{namespace}`; it has: {}",
            step.handler,
            known.join(", ")
        )));
    };
    if read_count > MAX_DELIVERIES {
        return failure(HandlerError::permanent(format!(
            "delivered {MAX_DELIVERIES} times without a result: the handler seems to kill its worker"
        )));
    }
    debug!(step_id = %step.step_id, attempt = step.attempt, handler = step.handler, "step starts");
    let context = StepContext::new(step.clone());
    let handler = Arc::clone(handler);
    // A set of one: it contains a panic, and ends the handler when this future is dropped.
    let mut run = JoinSet::new();
    run.spawn(async move { handler.call(context).await });
    match run.join_next().await {
        Some(Ok(Ok(result))) => Outcome::Success { result },
        Some(Ok(Err(error))) => failure(error),
        Some(Err(error)) => failure(panic_error(error)),
        None => failure(HandlerError::new("the handler did not run")),
    }
}

fn failure(error: HandlerError) -> Outcome {
    Outcome::Failure {
        error: error.message,
        retryable: error.retryable,
    }
}

/// PostgreSQL cannot store U+0000, and nobody could read a result that is nested too deep: without this, such a
/// result would come back for ever.
fn storable(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Success { result } if !is_shallow(&result) => failure(HandlerError::permanent(
            format!("the result is nested deeper than {DEEPEST} levels"),
        )),
        Outcome::Success { result } if holds_nul(&result) => failure(HandlerError::permanent(
            "the result holds the character U+0000, which PostgreSQL cannot store",
        )),
        Outcome::Failure { error, retryable } => Outcome::Failure {
            error: error.replace('\0', "\u{fffd}"),
            retryable,
        },
        success => success,
    }
}

/// Sends the result and ends the step's message, as one transaction, as soon as the database lets
/// us: the work is done, so it waits rather than being done again.
async fn record(core: &Core, id: i64, mut result: ResultMessage) {
    let mut pause = Duration::from_millis(100);
    let mut refused = 0;
    loop {
        let error = match try_record(core, id, &result).await {
            Ok(true) => return,
            // Also the answer when the last try did commit, but the connection broke meanwhile.
            Ok(false) => {
                info!(step_id = %result.step_id, "another worker recorded this step");
                return;
            }
            Err(error) => error,
        };
        warn!(step_id = %result.step_id, %error, "cannot record a result, trying again");
        if error.is_missing_queue() {
            return;
        }
        match error.sqlstate() {
            // Data that the database will never take (22: wrong, 54: too much).
            Some(state) if state.starts_with("22") || state.starts_with("54") => {
                result.outcome = failure(HandlerError::permanent(format!(
                    "its result cannot be stored: {error}"
                )));
            }
            Some(_) => refused += 1,
            None => {}
        }
        if refused >= RECORD_TRIES {
            error!(step_id = %result.step_id, "gave up; the step runs again when its message comes back");
            return;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(5));
    }
}

async fn try_record(
    core: &Core,
    id: i64,
    result: &ResultMessage,
) -> Result<bool, pgmq_notify::Error> {
    let failed = |action| {
        move |source| pgmq_notify::Error::Database {
            queue: core.worker.queue.name().to_string(),
            action,
            source,
        }
    };
    let mut transaction = core.pool.begin().await.map_err(failed("begin"))?;
    // First of all: it waits for whoever has the same message, and then says who was faster.
    if !core.worker.queue.archive(&mut *transaction, id).await? {
        return Ok(false);
    }
    core.worker.results.send(&mut transaction, result).await?;
    transaction.commit().await.map_err(failed("commit"))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    async fn echo(step: StepContext) -> Result<serde_json::Value, HandlerError> {
        Ok(step.context().clone())
    }

    #[test]
    fn a_builder_checks_what_it_is_given() {
        let fault = |builder: WorkerBuilder| builder.build().err().unwrap().to_string();
        assert!(fault(Worker::builder().namespace("Bad").handler("e", echo)).contains("`Bad`"));
        assert!(fault(Worker::builder().namespace("ok")).contains("no handlers"));
        let twice = Worker::builder()
            .namespace("ok")
            .handler("e", echo)
            .handler("e", echo);
        assert!(fault(twice).contains("two handlers have the name `e`"));
        let worker = Worker::builder()
            .namespace("ok")
            .handler("e", echo)
            .build()
            .unwrap();
        assert_eq!(worker.queue.name().as_str(), "worker_ok_queue");
    }

    #[test]
    fn what_nobody_could_read_becomes_a_failure() {
        let nested = |levels| {
            let result = (0..levels).fold(json!(1), |inner, _| json!([inner]));
            storable(Outcome::Success { result })
        };
        assert!(matches!(nested(DEEPEST), Outcome::Success { .. }));
        let Outcome::Failure { error, retryable } = nested(DEEPEST + 1) else {
            panic!("too deep");
        };
        assert!(!retryable && error.contains("100 levels"), "{error}");
    }

    #[test]
    fn what_postgresql_cannot_store_becomes_a_failure() {
        let outcome = storable(Outcome::Success {
            result: json!({"a": "x\0"}),
        });
        assert!(matches!(
            outcome,
            Outcome::Failure {
                retryable: false,
                ..
            }
        ));
        let Outcome::Failure { error, retryable } = storable(Outcome::Failure {
            error: "a\0b".into(),
            retryable: true,
        }) else {
            panic!("a failure stays one");
        };
        assert_eq!((error.as_str(), retryable), ("a\u{fffd}b", true));
    }
}
