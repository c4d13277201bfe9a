//! Killing any process at any moment loses nothing.
//!
//! The promise: a handler runs at least once per attempt that was not cut off, each step's result is
//! recorded exactly once, and a message is archived only after its effect is committed.

use std::time::Duration;

use serde_json::json;
use tasker_shared::types::TaskState;

use crate::support::{Stack, eventually, result, step};

const RESULTS: &str = "orchestration_step_results";
const STEPS: &str = "worker_rust_queue";

/// A killed worker's message comes back after the visibility timeout.
const SETTINGS: &[(&str, &str)] = &[
    ("TASKER_VISIBILITY_TIMEOUT_SECS", "2"),
    ("TASKER_POLL_INTERVAL_MS", "500"),
    ("TASKER_RETRY_BASE_MS", "100"),
];

#[tokio::test]
async fn a_worker_killed_in_the_middle_of_a_step_loses_nothing() {
    let stack = Stack::new(SETTINGS).await;
    let _orchestration = stack.orchestration().await;
    let worker = stack.worker().await;
    let api = stack.api();
    let steps = [step("slow", "sleep", &[]), step("after", "record_effect", &["slow"])];
    let id = api.submit("killed", json!({"sleep_ms": 1500}), &steps).await;
    let slow = api.task(id).await.step("slow").unwrap().step_id;
    eventually("the step runs", async || stack.count("effect_attempts", slow).await == 1).await;

    worker.kill();
    assert_eq!(stack.count("effects", slow).await, 0, "the handler was cut off before its effect");
    assert_eq!(stack.queue(STEPS).await, 1, "the message is still in the queue");

    let _worker = stack.worker().await;
    let task = api.finished(id).await;
    assert_eq!(task.state, TaskState::Complete, "{task:#?}");
    assert_eq!(stack.count("effect_attempts", slow).await, 2, "run a second time");
    assert_eq!(stack.count("effects", slow).await, 1, "and visible exactly once");
    let after = task.step("after").unwrap().step_id;
    assert_eq!(stack.count("effect_attempts", after).await, 1);
    nothing_left(&stack, 2).await;
}

#[tokio::test]
async fn an_orchestration_killed_in_the_middle_of_a_task_loses_nothing() {
    let stack = Stack::new(SETTINGS).await;
    let orchestration = stack.orchestration().await;
    let _worker = stack.worker().await;
    let api = stack.api();
    let steps = [
        step("a", "sleep", &[]),
        step("b", "sleep", &["a"]),
        step("c", "record_effect", &["b"]),
    ];
    let id = api.submit("orphaned", json!({"sleep_ms": 400}), &steps).await;
    let task = api.task(id).await;
    let first = task.step("a").unwrap().step_id;
    eventually("the first step runs", async || stack.count("effect_attempts", first).await == 1).await;

    orchestration.kill();
    // The worker goes on without it: its result waits in the queue.
    eventually("the worker is done", async || stack.count("effects", first).await == 1).await;
    eventually("its result waits", async || stack.queue(RESULTS).await == 1).await;

    let _orchestration = stack.orchestration().await;
    let task = api.finished(id).await;
    assert_eq!(task.state, TaskState::Complete, "{task:#?}");
    for step in &task.steps {
        assert_eq!(stack.count("effects", step.step_id).await, 1, "{}", step.name);
        assert_eq!(stack.count("effect_attempts", step.step_id).await, 1, "{}", step.name);
    }
    nothing_left(&stack, 3).await;
}

#[tokio::test]
async fn both_killed_again_and_again_lose_nothing() {
    let stack = Stack::new(SETTINGS).await;
    let mut orchestration = stack.orchestration().await;
    let mut worker = stack.worker().await;
    let api = stack.api();
    let mut steps = vec![step("s0", "start", &[])];
    let names: Vec<String> = (0..12).map(|n| format!("s{n}")).collect();
    for pair in names.windows(2) {
        steps.push(step(&pair[1], "increment", &[&pair[0]]));
    }
    let id = api.submit("storm", json!({"start": 0}), &steps).await;
    // Uneven pauses, so that the kills land at different points of the work.
    for pause in [15, 60, 140, 35] {
        tokio::time::sleep(Duration::from_millis(pause)).await;
        worker.kill();
        tokio::time::sleep(Duration::from_millis(pause / 2)).await;
        orchestration.kill();
        orchestration = stack.orchestration().await;
        worker = stack.worker().await;
    }
    let task = api.finished(id).await;
    assert_eq!(task.state, TaskState::Complete, "{task:#?}");
    assert_eq!(result(&task, "s11"), &json!({"value": 11}));
    nothing_left(&stack, 12).await;
    drop((orchestration, worker));
}

/// Every message was worked off and archived: `steps` of them, and as many results.
async fn nothing_left(stack: &Stack, steps: i64) {
    eventually("empty queues", async || {
        stack.queue(STEPS).await == 0 && stack.queue(RESULTS).await == 0
    })
    .await;
    assert_eq!(stack.archive(STEPS).await, steps);
    assert_eq!(stack.archive(RESULTS).await, steps);
}
