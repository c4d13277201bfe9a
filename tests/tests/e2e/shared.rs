//! What the services promise, asked of those that the task runner has started.

use serde_json::{Value, json};
use tasker_client::{Client, ClientError};
use tasker_shared::{StepState, TaskState};

use crate::support::{run, task};

async fn client() -> Client {
    let client = Client::from_env().unwrap();
    match client.health().await {
        Ok((true, _)) => client,
        other => panic!(
            "the orchestration service at {} is not healthy: {other:?}; run `cargo xtask make test-e2e`, which starts the services",
            client.base_url()
        ),
    }
}

fn value(task: &tasker_shared::TaskView, step: &str) -> Value {
    task.step(step).unwrap().result.as_ref().unwrap()["value"].clone()
}

#[tokio::test]
async fn a_chain_hands_data_from_step_to_step() {
    let new = task(
        json!({"a": {"value": 2}, "b": {"value": 3}, "c": {"value": 4}}),
        &[
            ("c", "add", &["b"], 1),
            ("b", "multiply", &["a"], 1),
            ("a", "add", &[], 1),
        ],
    );
    let done = run(&client().await, &new).await;
    assert_eq!(done.state, TaskState::Complete, "{done:?}");
    assert!(done.completed_at.is_some() && done.error.is_none());
    assert_eq!(
        (value(&done, "a"), value(&done, "b"), value(&done, "c")),
        (json!(2), json!(6), json!(10))
    );
}

#[tokio::test]
async fn a_diamond_joins_the_results_of_both_sides() {
    let new = task(
        json!({"top": {"value": 10}, "left": {"value": 2}, "right": {"value": 5}}),
        &[
            ("top", "add", &[], 1),
            ("left", "multiply", &["top"], 1),
            ("right", "add", &["top"], 1),
            ("bottom", "add", &["left", "right"], 1),
        ],
    );
    let done = run(&client().await, &new).await;
    assert_eq!(done.state, TaskState::Complete, "{done:?}");
    assert_eq!(value(&done, "bottom"), json!(35));
    assert!(done.steps.iter().all(|step| step.attempts == 1), "{done:?}");
}

#[tokio::test]
async fn a_step_that_fails_twice_is_tried_a_third_time() {
    let new = task(
        json!({"fail_times": 2}),
        &[("shaky", "flaky", &[], 3), ("after", "echo", &["shaky"], 1)],
    );
    let done = run(&client().await, &new).await;
    assert_eq!(done.state, TaskState::Complete, "{done:?}");
    let shaky = done.step("shaky").unwrap();
    assert_eq!(
        (shaky.attempts, shaky.result.clone()),
        (3, Some(json!({"succeeded_at": 3})))
    );
    let after = done.step("after").unwrap().result.as_ref().unwrap();
    assert_eq!(after["dependencies"]["shaky"]["succeeded_at"], 3);
}

#[tokio::test]
async fn a_step_without_attempts_left_fails_the_task_with_the_reason() {
    let new = task(
        json!({"message": "no such account"}),
        &[
            ("bad", "always_fails", &[], 2),
            ("child", "echo", &["bad"], 1),
            ("grandchild", "echo", &["child"], 1),
        ],
    );
    let done = run(&client().await, &new).await;
    assert_eq!(done.state, TaskState::Failed);
    assert_eq!(
        done.error.as_deref(),
        Some("step `bad` failed after 2 attempts: always_fails: no such account")
    );
    let states: Vec<StepState> = done.steps.iter().map(|step| step.state).collect();
    assert_eq!(
        states,
        [
            StepState::Failed,
            StepState::Cancelled,
            StepState::Cancelled
        ]
    );
    assert_eq!(done.step("child").unwrap().attempts, 0, "it never ran");
}

#[tokio::test]
async fn a_panic_and_an_unknown_handler_are_failures_with_their_reasons() {
    let client = client().await;
    let panics = run(&client, &task(json!({}), &[("p", "panics", &[], 1)])).await;
    assert!(
        panics
            .error
            .unwrap()
            .contains("the handler panicked: step `p` panics")
    );
    let unknown = run(&client, &task(json!({}), &[("u", "nosuch", &[], 1)])).await;
    assert!(
        unknown
            .error
            .unwrap()
            .contains("no handler `nosuch` in namespace `rust`")
    );
}

#[tokio::test]
async fn tasks_at_once_do_not_mix() {
    let client = client().await;
    let one = task(
        json!({"a": {"value": 1}}),
        &[("a", "add", &[], 1), ("b", "add", &["a"], 1)],
    );
    let two = task(
        json!({"a": {"value": 2}}),
        &[("a", "add", &[], 1), ("b", "add", &["a"], 1)],
    );
    let (one, two) = tokio::join!(run(&client, &one), run(&client, &two));
    assert_eq!((value(&one, "b"), value(&two, "b")), (json!(1), json!(2)));
    assert_ne!(one.task_id, two.task_id);
}

#[tokio::test]
async fn a_task_that_makes_no_sense_is_refused_in_words() {
    let client = client().await;
    let circle = task(
        json!({}),
        &[("a", "echo", &["b"], 1), ("b", "echo", &["a"], 1)],
    );
    match client.submit(&circle).await.unwrap_err() {
        ClientError::Refused { status, message } => {
            assert_eq!(status, 422);
            assert!(message.contains("a -> b -> a"), "{message}");
        }
        other => panic!("{other}"),
    }
    let unknown = client.get(uuid::Uuid::nil()).await.unwrap_err();
    assert!(
        matches!(unknown, ClientError::Refused { status: 404, .. }),
        "{unknown}"
    );
}
