//! The state machine and the API against a real PostgreSQL; this test plays the worker.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a panic is the failure report"
)]

use std::time::Duration;

use pgmq_notify::Queue;
use serde_json::{Value, json};
use sqlx::PgPool;
use tasker_client::{Client, ClientError};
use tasker_orchestration::store::{self, Applied};
use tasker_orchestration::{HEALTH_QUERY, api, results};
use tasker_shared::health::Health;
use tasker_shared::messages::{Outcome, ResultMessage, StepMessage};
use tasker_shared::types::worker_queue;
use tasker_shared::{NewTask, StepState, TaskState};
use uuid::Uuid;
use xtask_db::TempDatabase;

const LONG: Duration = Duration::from_secs(60);
const BASE: Duration = Duration::from_millis(1);

async fn fixture() -> (TempDatabase, PgPool) {
    let url = std::env::var("DATABASE_URL").expect(
        "DATABASE_URL is not set; run `cargo xtask with-services postgres -- cargo nextest run -p tasker-orchestration` or `cargo xtask make test-integration`",
    );
    let migrations = xtask_db::test_root().join("migrations");
    let database = TempDatabase::create(&url, Some(&migrations)).await.unwrap();
    let pool = PgPool::connect(database.url()).await.unwrap();
    (database, pool)
}

fn task(steps: Value) -> NewTask {
    serde_json::from_value(json!({"name": "t", "context": {"n": 1}, "steps": steps})).unwrap()
}

fn diamond() -> NewTask {
    let step = |name: &str, parents: &[&str]| json!({"name": name, "handler": "h", "namespace": "test", "depends_on": parents, "max_attempts": 2});
    task(json!([
        step("a", &[]),
        step("b", &["a"]),
        step("c", &["a"]),
        step("d", &["b", "c"])
    ]))
}

/// What a worker would read now, done with at once.
async fn take(pool: &PgPool) -> Vec<StepMessage> {
    let queue: Queue<StepMessage> = Queue::new(worker_queue("test").unwrap());
    tokio::time::sleep(Duration::from_millis(20)).await;
    let mut steps = Vec::new();
    for message in queue.read(pool, LONG, 10).await.unwrap() {
        queue.archive(pool, message.id).await.unwrap();
        steps.push(message.body.unwrap());
    }
    steps
}

fn success(step: &StepMessage, result: Value) -> ResultMessage {
    let outcome = Outcome::Success { result };
    ResultMessage {
        task_id: step.task_id,
        step_id: step.step_id,
        attempt: step.attempt,
        outcome,
    }
}

fn failure(step: &StepMessage, retryable: bool) -> ResultMessage {
    let outcome = Outcome::Failure {
        error: "no".into(),
        retryable,
    };
    ResultMessage {
        task_id: step.task_id,
        step_id: step.step_id,
        attempt: step.attempt,
        outcome,
    }
}

async fn apply(pool: &PgPool, result: &ResultMessage) -> Applied {
    let mut transaction = pool.begin().await.unwrap();
    let applied = store::apply_result(&mut transaction, result, BASE)
        .await
        .unwrap();
    transaction.commit().await.unwrap();
    applied
}

#[tokio::test]
async fn parents_that_finish_at_once_enqueue_their_child_once() {
    let (_database, pool) = fixture().await;
    let id = store::create_task(&pool, &diamond()).await.unwrap();
    let [a] = &take(&pool).await[..] else {
        panic!("only a is ready")
    };
    assert_eq!(
        (a.step_name.as_str(), a.attempt, &a.context),
        ("a", 1, &json!({"n": 1}))
    );
    apply(&pool, &success(a, json!("A"))).await;
    let [b, c] = &take(&pool).await[..] else {
        panic!("b and c are ready")
    };
    assert_eq!(b.dependencies["a"], "A");

    // Two orchestrations, each with one parent's result, neither committed yet.
    let mut left = pool.begin().await.unwrap();
    store::apply_result(&mut left, &success(b, json!("B")), BASE)
        .await
        .unwrap();
    let right = tokio::spawn({
        let (pool, result) = (pool.clone(), success(c, Value::Null));
        async move { apply(&pool, &result).await }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!right.is_finished(), "it has to wait, or d would never run");
    left.commit().await.unwrap();
    assert_eq!(right.await.unwrap(), Applied::Completed);

    let [d] = &take(&pool).await[..] else {
        panic!("d is ready, once")
    };
    assert_eq!(json!(d.dependencies), json!({"b": "B", "c": null}));
    apply(&pool, &success(d, json!("D"))).await;
    let done = store::get_task(&pool, id).await.unwrap().unwrap();
    assert_eq!(done.state, TaskState::Complete);
}

#[tokio::test]
async fn duplicates_and_late_results_change_nothing() {
    let (_database, pool) = fixture().await;
    let id = store::create_task(&pool, &diamond()).await.unwrap();
    let first = take(&pool).await.remove(0);
    assert_eq!(apply(&pool, &failure(&first, true)).await, Applied::Retried);
    assert_eq!(
        apply(&pool, &failure(&first, true)).await,
        Applied::Ignored,
        "repeated"
    );
    let second = take(&pool).await.remove(0);
    assert_eq!(second.attempt, 2);
    assert_eq!(
        apply(&pool, &success(&first, json!(1))).await,
        Applied::Ignored,
        "late"
    );
    assert_eq!(
        apply(&pool, &success(&second, json!(2))).await,
        Applied::Completed
    );
    assert_eq!(
        apply(&pool, &success(&second, json!(3))).await,
        Applied::Ignored,
        "repeated"
    );
    let task = store::get_task(&pool, id).await.unwrap().unwrap();
    assert_eq!(task.step("a").unwrap().result, Some(json!(2)));
    assert_eq!(take(&pool).await.len(), 2, "b and c, once");
}

#[tokio::test]
async fn the_last_failure_fails_the_task_and_siblings_end_by_themselves() {
    let (_database, pool) = fixture().await;
    let id = store::create_task(&pool, &diamond()).await.unwrap();
    apply(&pool, &success(&take(&pool).await[0], json!(1))).await;
    let siblings = take(&pool).await;
    let error = Outcome::Failure {
        error: "no".into(),
        retryable: false,
    };
    let permanent = ResultMessage {
        outcome: error,
        ..success(&siblings[0], json!(null))
    };
    assert_eq!(
        apply(&pool, &permanent).await,
        Applied::Failed,
        "no second try"
    );
    assert_eq!(
        apply(&pool, &success(&siblings[1], json!(1))).await,
        Applied::Completed
    );
    assert!(take(&pool).await.is_empty());
    let task = store::get_task(&pool, id).await.unwrap().unwrap();
    assert_eq!(task.state, TaskState::Failed);
    assert_eq!(
        task.error.as_deref(),
        Some("step `b` failed after 1 attempt: no")
    );
    let states: Vec<StepState> = task.steps.iter().map(|step| step.state).collect();
    assert_eq!(
        states,
        [
            StepState::Complete,
            StepState::Failed,
            StepState::Complete,
            StepState::Cancelled
        ]
    );
}

#[tokio::test]
async fn no_result_can_poison_the_queue() {
    let (_database, pool) = fixture().await;
    let queue = results::queue().unwrap();
    sqlx::query("SELECT pgmq.send('orchestration_step_results', '{\"no\": \"result\"}')")
        .execute(&pool)
        .await
        .unwrap();
    let unknown = ResultMessage {
        task_id: Uuid::new_v4(),
        step_id: Uuid::new_v4(),
        attempt: 1,
        outcome: Outcome::Success { result: json!(1) },
    };
    queue
        .send(&mut pool.acquire().await.unwrap(), &unknown)
        .await
        .unwrap();
    for message in queue.read(&pool, LONG, 10).await.unwrap() {
        results::process(&pool, &queue, &message, BASE)
            .await
            .unwrap();
    }
    let depth = queue.depth(&pool).await.unwrap();
    assert_eq!((depth.total, depth.archived), (0, 2));
}

#[tokio::test]
async fn a_result_that_cannot_be_applied_stays_in_the_queue() {
    let (_database, pool) = fixture().await;
    let queue = results::queue().unwrap();
    let id = store::create_task(&pool, &diamond()).await.unwrap();
    let step = take(&pool).await.remove(0);
    queue
        .send(
            &mut pool.acquire().await.unwrap(),
            &success(&step, json!(1)),
        )
        .await
        .unwrap();
    let message = queue.read(&pool, LONG, 1).await.unwrap().remove(0);
    // The database refuses to enqueue the next steps: nothing of the result may be left.
    sqlx::query("ALTER TABLE pgmq.q_worker_test_queue RENAME TO hidden")
        .execute(&pool)
        .await
        .unwrap();
    assert!(
        results::process(&pool, &queue, &message, BASE)
            .await
            .is_err()
    );
    let task = store::get_task(&pool, id).await.unwrap().unwrap();
    assert_eq!(task.step("a").unwrap().state, StepState::Enqueued);
    assert_eq!(queue.depth(&pool).await.unwrap().total, 1);
    sqlx::query("ALTER TABLE pgmq.hidden RENAME TO q_worker_test_queue")
        .execute(&pool)
        .await
        .unwrap();
    results::process(&pool, &queue, &message, BASE)
        .await
        .unwrap();
    assert_eq!(take(&pool).await.len(), 2);
    // Two that read the same message: the second finds it done.
    results::process(&pool, &queue, &message, BASE)
        .await
        .unwrap();
    assert!(take(&pool).await.is_empty());
}

#[tokio::test]
async fn the_api_takes_shows_lists_and_refuses() {
    let (_database, pool) = fixture().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = Client::new(format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let health = Health::new("test", pool.clone(), HEALTH_QUERY);
    health.set_ready(true);
    let router = api::router(pool.clone(), health);
    tokio::spawn(async move { axum::serve(listener, router).await });

    assert!(client.health().await.unwrap().0);
    let task = client.submit(&diamond()).await.unwrap();
    assert_eq!((task.state, task.steps.len()), (TaskState::InProgress, 4));
    assert_eq!(
        client.get(task.task_id).await.unwrap().steps[0].state,
        StepState::Enqueued
    );
    assert_eq!(
        store::list_tasks(&pool, 10).await.unwrap()[0].0,
        task.task_id
    );

    for (body, status, words) in [
        (json!({"name": "t", "steps": []}), 422, "no steps"),
        (json!({"name": "t"}), 422, "steps"),
        (
            json!({"name": "t", "steps": [{"name": "a", "handler": "h", "namespace": "No"}]}),
            422,
            "`No`",
        ),
        (
            json!({"name": "t", "steps": [{"name": "a", "handler": "h", "namespace": "n", "max_attempts": -1}]}),
            422,
            "-1",
        ),
    ] {
        let ClientError::Refused {
            status: got,
            message,
        } = client.submit_json(&body).await.unwrap_err()
        else {
            panic!("{body} was not refused");
        };
        assert_eq!(got, status, "{message}");
        assert!(message.contains(words), "{message}");
    }
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM tasker.tasks")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(count, 1, "a refused task leaves nothing");
}

#[tokio::test]
async fn the_database_knows_the_same_states() {
    let (_database, pool) = fixture().await;
    let known = |table: &str| {
        format!(
            "SELECT string_agg(pg_get_constraintdef(oid), ' ') FROM pg_constraint WHERE conrelid = '{table}'::regclass AND contype = 'c'"
        )
    };
    let tasks: String = sqlx::query_scalar(&known("tasker.tasks"))
        .fetch_one(&pool)
        .await
        .unwrap();
    assert!(
        TaskState::ALL
            .iter()
            .all(|state| tasks.contains(&format!("'{state}'"))),
        "{tasks}"
    );
    let steps: String = sqlx::query_scalar(&known("tasker.steps"))
        .fetch_one(&pool)
        .await
        .unwrap();
    assert!(
        StepState::ALL
            .iter()
            .all(|state| steps.contains(&format!("'{state}'"))),
        "{steps}"
    );
}
