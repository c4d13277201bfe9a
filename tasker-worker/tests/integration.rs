//! Workers against a real PostgreSQL; this test plays the orchestration.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a panic is the failure report"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use pgmq_notify::{Queue, QueueName};
use serde_json::{Value, json};
use sqlx::PgPool;
use tasker_shared::ServiceConfig;
use tasker_shared::messages::{Outcome, ResultMessage, StepMessage};
use tasker_shared::types::{RESULT_QUEUE, worker_queue};
use tasker_worker::service::{BlockingService, Identity};
use tasker_worker::{Blocking, HandlerError, StepContext, Worker, WorkerBuilder};
use uuid::Uuid;
use xtask_db::TempDatabase;

const LONG: Duration = Duration::from_secs(60);

struct Fixture {
    pool: PgPool,
    steps: Queue<StepMessage>,
    results: Queue<ResultMessage>,
    database: TempDatabase,
}

impl Fixture {
    async fn new() -> Self {
        let url = std::env::var("DATABASE_URL").expect(
            "DATABASE_URL is not set; run `cargo xtask with-services postgres -- cargo nextest run -p tasker-worker` or `cargo xtask make test-integration`",
        );
        let migrations = xtask_db::test_root().join("migrations");
        let database = TempDatabase::create(&url, Some(&migrations)).await.unwrap();
        let pool = PgPool::connect(database.url()).await.unwrap();
        let steps: Queue<StepMessage> = Queue::new(worker_queue("test").unwrap());
        steps.create(&pool).await.unwrap();
        let results = Queue::new(QueueName::new(RESULT_QUEUE).unwrap());
        Self {
            pool,
            steps,
            results,
            database,
        }
    }

    fn config(&self, own: &[(&str, &str)]) -> ServiceConfig {
        ServiceConfig::from_lookup("TEST_PORT", 0, |name| match name {
            "DATABASE_URL" => Some(self.database.url().to_owned()),
            _ => own
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned()),
        })
        .unwrap()
    }

    async fn send(&self, handler: &str) -> Uuid {
        let step = StepMessage {
            task_id: Uuid::new_v4(),
            step_id: Uuid::new_v4(),
            step_name: "s".into(),
            handler: handler.into(),
            attempt: 1,
            max_attempts: 1,
            context: json!({"x": 1}),
            dependencies: BTreeMap::from([("parent".to_owned(), json!("P"))]),
        };
        self.steps
            .send(&mut self.pool.acquire().await.unwrap(), &step)
            .await
            .unwrap();
        step.step_id
    }

    /// The next results, by their steps.
    async fn results(&self, count: usize) -> BTreeMap<Uuid, Outcome> {
        let start = Instant::now();
        let mut results = BTreeMap::new();
        while results.len() < count {
            assert!(
                start.elapsed() < LONG,
                "{} of {count} results",
                results.len()
            );
            for message in self.results.read(&self.pool, LONG, 100).await.unwrap() {
                self.results.archive(&self.pool, message.id).await.unwrap();
                let result = message.body.unwrap();
                assert!(
                    results.insert(result.step_id, result.outcome).is_none(),
                    "two results"
                );
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        results
    }

    async fn result(&self) -> Outcome {
        self.results(1).await.into_values().next().unwrap()
    }
}

fn builder() -> WorkerBuilder {
    Worker::builder().namespace("test")
}

async fn echo(step: StepContext) -> Result<Value, HandlerError> {
    Ok(json!({"context": step.context(), "parent": step.dependencies()["parent"]}))
}

fn error_of(outcome: Outcome) -> String {
    match outcome {
        Outcome::Failure { error, .. } => error,
        Outcome::Success { result } => panic!("it worked: {result}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_way_to_end_is_a_result() {
    let fixture = Fixture::new().await;
    let worker = builder()
        .handler("echo", echo)
        .handler("panics", |_| async { panic!("oh no") })
        .handler("nul", |_| async { Ok(json!("\0")) })
        .handler(
            "blocking",
            Blocking::new(|step| Err(HandlerError::permanent(step.handler()))),
        )
        .build()
        .unwrap()
        .start(fixture.pool.clone(), fixture.config(&[]));

    fixture.send("echo").await;
    let Outcome::Success { result } = fixture.result().await else {
        panic!("echo works")
    };
    assert_eq!(result, json!({"context": {"x": 1}, "parent": "P"}));
    fixture.send("panics").await;
    assert_eq!(
        error_of(fixture.result().await),
        "the handler panicked: oh no"
    );
    fixture.send("nul").await;
    assert!(error_of(fixture.result().await).contains("U+0000"));
    fixture.send("nosuch").await;
    let unknown = error_of(fixture.result().await);
    assert!(
        unknown.contains("no handler `nosuch`") && unknown.contains("blocking, echo"),
        "{unknown}"
    );
    fixture.send("blocking").await;
    let Outcome::Failure { error, retryable } = fixture.result().await else {
        panic!("it fails")
    };
    assert_eq!((error.as_str(), retryable), ("blocking", false));

    sqlx::query(
        "SELECT pgmq.send('worker_test_queue', '{}'), pg_notify('pgmq_worker_test_queue', '')",
    )
    .execute(&fixture.pool)
    .await
    .unwrap();
    fixture.send("echo").await;
    fixture.result().await;
    worker.stop().await;
    let depth = fixture.steps.depth(&fixture.pool).await.unwrap();
    assert_eq!(
        (depth.total, depth.archived),
        (0, 7),
        "the malformed one is put away, too"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_share_the_steps_within_their_limits() {
    let fixture = Fixture::new().await;
    let running = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let worker = || {
        let (running, most) = (Arc::clone(&running), Arc::clone(&most));
        let count = move |_| {
            let (running, most) = (Arc::clone(&running), Arc::clone(&most));
            async move {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(20)).await;
                running.fetch_sub(1, Ordering::SeqCst);
                Ok(json!(1))
            }
        };
        let config = fixture.config(&[("TASKER_CONCURRENCY", "3")]);
        builder()
            .handler("count", count)
            .build()
            .unwrap()
            .start(fixture.pool.clone(), config)
    };
    let (one, two) = (worker(), worker());
    for _ in 0..40 {
        fixture.send("count").await;
    }
    assert_eq!(fixture.results(40).await.len(), 40);
    one.stop().await;
    two.stop().await;
    assert!(most.load(Ordering::SeqCst) <= 6);
    assert_eq!(
        fixture.results.depth(&fixture.pool).await.unwrap().archived,
        40,
        "one result each"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_runs_of_one_message_one_result_is_recorded() {
    let fixture = Fixture::new().await;
    fixture.send("slow").await;
    let worker = || {
        let slow = |_| async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            Ok(json!(1))
        };
        builder()
            .handler("slow", slow)
            .build()
            .unwrap()
            .start(fixture.pool.clone(), fixture.config(&[]))
    };
    let one = worker();
    tokio::time::sleep(Duration::from_millis(200)).await;
    // As if the first worker had been away for longer than the visibility timeout.
    sqlx::query("UPDATE pgmq.q_worker_test_queue SET vt = now()")
        .execute(&fixture.pool)
        .await
        .unwrap();
    let two = worker();
    fixture.result().await;
    one.stop().await;
    two.stop().await;
    assert_eq!(
        fixture.results.depth(&fixture.pool).await.unwrap().total,
        0,
        "no second result"
    );
    let depth = fixture.steps.depth(&fixture.pool).await.unwrap();
    assert_eq!((depth.total, depth.archived), (0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_kills_its_workers_fails_in_the_end() {
    let fixture = Fixture::new().await;
    fixture.send("echo").await;
    sqlx::query("UPDATE pgmq.q_worker_test_queue SET read_ct = 10")
        .execute(&fixture.pool)
        .await
        .unwrap();
    let worker = builder()
        .handler("echo", echo)
        .build()
        .unwrap()
        .start(fixture.pool.clone(), fixture.config(&[]));
    assert!(error_of(fixture.result().await).contains("delivered 10 times"));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_waits_for_the_running_step_but_not_for_ever() {
    let fixture = Fixture::new().await;
    let sleeper = |milliseconds: u64| {
        move |_| async move {
            tokio::time::sleep(Duration::from_millis(milliseconds)).await;
            Ok(json!(1))
        }
    };
    let config = fixture.config(&[("TASKER_SHUTDOWN_GRACE_SECS", "1")]);
    let worker = builder()
        .handler("short", sleeper(500))
        .handler("endless", sleeper(600_000))
        .build()
        .unwrap()
        .start(fixture.pool.clone(), config);
    fixture.send("short").await;
    fixture.send("endless").await;
    while fixture.steps.depth(&fixture.pool).await.unwrap().visible > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let start = Instant::now();
    worker.stop().await;
    assert!(start.elapsed() < Duration::from_secs(20));
    assert!(matches!(fixture.result().await, Outcome::Success { .. }));
    assert_eq!(
        fixture.steps.depth(&fixture.pool).await.unwrap().total,
        1,
        "the other one comes back"
    );
}

/// As the bindings use it: no runtime of the caller's, start, health, stop, all from plain code.
#[test]
fn a_blocking_service_needs_no_runtime_of_its_caller() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let fixture = runtime.block_on(Fixture::new());
    let identity = Identity {
        name: "test",
        port_variable: "TEST_PORT",
        default_port: 0,
    };
    let start = || {
        let make = |_: &PgPool| {
            Ok(builder()
                .handler("plain", Blocking::new(|_| Ok(json!("done"))))
                .build()?)
        };
        BlockingService::start_with(identity, fixture.config(&[]), make).unwrap()
    };
    let mut service = start();
    let (healthy, body) = service.health().unwrap();
    assert!(healthy, "{body}");
    runtime.block_on(fixture.send("plain"));
    assert!(matches!(
        runtime.block_on(fixture.result()),
        Outcome::Success { .. }
    ));
    service.stop();
    service.stop();
    assert!(service.health().is_none() && !service.is_running());
    let again = start();
    assert!(again.health().unwrap().0 && again.is_running());
}
