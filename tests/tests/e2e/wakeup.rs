//! NOTIFY wakes the readers; polling is the fallback.

use std::time::{Duration, Instant};

use serde_json::json;
use tasker_shared::types::TaskState;

use crate::support::{Stack, step};

/// Three steps one after the other need six wake-ups; with polls 30 s apart, only NOTIFY can be that
/// fast.
#[tokio::test]
async fn a_notification_wakes_the_readers_long_before_the_next_poll() {
    let stack = Stack::new(&[("TASKER_POLL_INTERVAL_MS", "30000")]).await;
    let _orchestration = stack.orchestration().await;
    let _worker = stack.worker().await;
    let api = stack.api();
    let steps =
        [step("a", "start", &[]), step("b", "increment", &["a"]), step("c", "increment", &["b"])];
    let since = Instant::now();
    let id = api.submit("awake", json!({"start": 1}), &steps).await;
    let task = api.finished(id).await;
    let took = since.elapsed();
    assert_eq!(task.state, TaskState::Complete, "{task:#?}");
    assert!(took < Duration::from_secs(5), "took {took:?}: somebody waited for a poll");
}

/// A message that nobody was notified of is found by the next poll.
#[tokio::test]
async fn polling_finds_what_no_notification_told() {
    let stack = Stack::new(&[("TASKER_POLL_INTERVAL_MS", "300")]).await;
    let _orchestration = stack.orchestration().await;
    let _worker = stack.worker().await;
    let api = stack.api();
    // PGMQ's own send: no NOTIFY of ours goes with it. A step that no task has is archived.
    let message = json!({
        "task_id": uuid::Uuid::new_v4(), "step_id": uuid::Uuid::new_v4(), "attempt": 1,
        "outcome": "success", "result": {}
    });
    sqlx::query("SELECT pgmq.send('orchestration_step_results', $1)")
        .bind(message)
        .execute(&stack.pool)
        .await
        .unwrap();
    crate::support::eventually("archived", async || {
        stack.archive("orchestration_step_results").await == 1
    })
    .await;
    let id = api.submit("next", json!({"start": 1}), &[step("a", "start", &[])]).await;
    assert_eq!(api.finished(id).await.state, TaskState::Complete);
}
