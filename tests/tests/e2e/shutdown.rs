//! SIGTERM: a service ends what it has begun, then itself.
#![cfg(unix)]

use serde_json::json;
use tasker_shared::types::TaskState;

use crate::support::{Stack, eventually, step};

#[tokio::test]
async fn a_worker_finishes_its_step_before_it_ends() {
    let stack = Stack::new(&[]).await;
    let _orchestration = stack.orchestration().await;
    let worker = stack.worker().await;
    let api = stack.api();
    let id = api.submit("graceful", json!({"sleep_ms": 700}), &[step("slow", "sleep", &[])]).await;
    let slow = api.task(id).await.step("slow").unwrap().step_id;
    eventually("the step runs", async || stack.count("effect_attempts", slow).await == 1).await;

    worker.terminate();
    assert_eq!(worker.ended().await.code(), Some(0));
    assert_eq!(stack.count("effects", slow).await, 1, "the step was not cut off");
    // Its result was sent before it ended: no worker is needed any more.
    assert_eq!(api.finished(id).await.state, TaskState::Complete);
}

#[tokio::test]
async fn an_orchestration_ends_with_zero() {
    let stack = Stack::new(&[]).await;
    let orchestration = stack.orchestration().await;
    orchestration.terminate();
    assert_eq!(orchestration.ended().await.code(), Some(0));
}
