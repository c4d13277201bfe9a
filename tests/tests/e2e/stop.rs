//! SIGTERM is no kill.
#![cfg(unix)]

use serde_json::json;
use tasker_shared::TaskState;

use crate::support::{EFFECTS, EXECUTIONS, PATIENCE, World, task};

#[tokio::test]
async fn a_worker_finishes_its_step_before_it_ends() {
    let mut world = World::started(&[]).await;
    let new = task(
        json!({"sleep_ms": 1000}),
        &[("work", "record_effect", &[], 1)],
    );
    let id = world.client().submit(&new).await.unwrap().task_id;
    world.wait_count(EXECUTIONS, 1).await;
    let mut worker = world.worker.take().unwrap();
    worker.terminate();
    assert_eq!(worker.exit_status().code(), Some(0));
    assert_eq!(world.count(EFFECTS).await, 1);
    let done = world.client().wait(id, PATIENCE).await.unwrap();
    assert_eq!(
        done.state,
        TaskState::Complete,
        "without any worker left: {done:?}"
    );
    assert_eq!(world.count(EXECUTIONS).await, 1);

    let mut orchestration = world.orchestration.take().unwrap();
    orchestration.terminate();
    assert_eq!(orchestration.exit_status().code(), Some(0));
}
