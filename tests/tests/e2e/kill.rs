//! A kill at any moment loses nothing, and does nothing twice.

use std::time::Duration;

use serde_json::json;
use tasker_shared::TaskState;

use crate::support::{EFFECTS, EXECUTIONS, PATIENCE, World, task};

#[tokio::test]
async fn a_worker_killed_in_the_middle_of_a_step_loses_nothing() {
    let mut world = World::started(&[]).await;
    let new = task(
        json!({"sleep_ms": 1000}),
        &[
            ("work", "record_effect", &[], 1),
            ("after", "echo", &["work"], 1),
        ],
    );
    let id = world.client().submit(&new).await.unwrap().task_id;
    world.wait_count(EXECUTIONS, 1).await;
    world.worker.take().unwrap().kill();
    assert_eq!(world.count(EFFECTS).await, 0, "it was killed in the middle");

    world.start_worker().await;
    let done = world.client().wait(id, PATIENCE).await.unwrap();
    assert_eq!(done.state, TaskState::Complete, "{done:?}");
    assert_eq!(
        done.step("work").unwrap().attempts,
        1,
        "a kill is no failed try"
    );
    assert_eq!(world.count(EFFECTS).await, 1);
    assert_eq!(world.count(EXECUTIONS).await, 2);
    world.assert_queues(2, 2).await;
}

#[tokio::test]
async fn an_orchestration_killed_in_the_middle_of_a_task_loses_nothing() {
    let mut world = World::started(&[]).await;
    let new = task(
        json!({"sleep_ms": 300}),
        &[
            ("a", "record_effect", &[], 1),
            ("b", "record_effect", &["a"], 1),
            ("c", "record_effect", &["a"], 1),
            ("d", "record_effect", &["b", "c"], 1),
        ],
    );
    let id = world.client().submit(&new).await.unwrap().task_id;
    // Once before any result, and once with results on the way.
    for executions in [1, 3] {
        world.wait_count(EXECUTIONS, executions).await;
        world.orchestration.take().unwrap().kill();
        tokio::time::sleep(Duration::from_millis(400)).await;
        world.start_orchestration().await;
    }
    let done = world.client().wait(id, PATIENCE).await.unwrap();
    assert_eq!(done.state, TaskState::Complete, "{done:?}");
    assert_eq!(world.count(EFFECTS).await, 4);
    assert_eq!(world.count(EXECUTIONS).await, 4, "each step ran once");
    world.assert_queues(4, 4).await;
}

#[tokio::test]
async fn both_killed_again_and_again_still_finish_the_work() {
    let mut world = World::started(&[]).await;
    let steps: Vec<(String, Vec<String>)> = (0..6)
        .map(|n| {
            (
                format!("s{n}"),
                if n == 0 {
                    vec![]
                } else {
                    vec![format!("s{}", n - 1)]
                },
            )
        })
        .collect();
    let parents: Vec<Vec<&str>> = steps
        .iter()
        .map(|(_, parents)| parents.iter().map(String::as_str).collect())
        .collect();
    let list: Vec<(&str, &str, &[&str], u32)> = steps
        .iter()
        .zip(&parents)
        .map(|((name, _), parents)| (name.as_str(), "record_effect", parents.as_slice(), 1))
        .collect();
    let new = task(json!({"sleep_ms": 100}), &list);
    let id = world.client().submit(&new).await.unwrap().task_id;
    // Different moments of the protocol, whatever they turn out to be.
    for pause in [30, 110, 170, 250, 90] {
        tokio::time::sleep(Duration::from_millis(pause)).await;
        world.worker.take().unwrap().kill();
        world.orchestration.take().unwrap().kill();
        world.start_orchestration().await;
        world.start_worker().await;
    }
    let done = world.client().wait(id, PATIENCE).await.unwrap();
    assert_eq!(done.state, TaskState::Complete, "{done:?}");
    assert_eq!(world.count(EFFECTS).await, 6);
    assert!(done.steps.iter().all(|step| step.attempts == 1), "{done:?}");
    world.assert_queues(6, 6).await;
}

#[tokio::test]
async fn a_step_longer_than_the_visibility_timeout_runs_once() {
    let mut world = World::new(&[("TASKER_VISIBILITY_TIMEOUT_SECS", "1")]).await;
    world.start_orchestration().await;
    world.start_worker().await;
    let new = task(
        json!({"sleep_ms": 2500}),
        &[("long", "record_effect", &[], 1)],
    );
    let id = world.client().submit(&new).await.unwrap().task_id;
    let done = world.client().wait(id, PATIENCE).await.unwrap();
    assert_eq!(done.state, TaskState::Complete, "{done:?}");
    assert_eq!(
        world.count(EXECUTIONS).await,
        1,
        "heartbeats kept it from coming back"
    );
}
