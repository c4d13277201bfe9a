//! Steps run in the order of their dependencies, with data passed between them.

use serde_json::json;
use tasker_shared::types::{StepState, TaskState};

use crate::support::{Api, result, step};

#[tokio::test]
async fn a_line_of_steps_hands_its_data_on() {
    let api = Api::running();
    let steps =
        [step("a", "start", &[]), step("b", "increment", &["a"]), step("c", "double", &["b"])];
    let id = api.submit("linear", json!({"start": 20}), &steps).await;
    let task = api.finished(id).await;
    assert_eq!(task.state, TaskState::Complete, "{task:#?}");
    assert_eq!(result(&task, "a"), &json!({"value": 20}));
    assert_eq!(result(&task, "b"), &json!({"value": 21}));
    assert_eq!(result(&task, "c"), &json!({"value": 42}));
    assert!(task.steps.iter().all(|step| step.state == StepState::Complete && step.attempts == 1));
    assert!(task.completed_at.is_some());
}

#[tokio::test]
async fn a_diamond_joins_both_of_its_sides() {
    let api = Api::running();
    let steps = [
        step("join", "sum", &["left", "right"]),
        step("left", "increment", &["top"]),
        step("right", "double", &["top"]),
        step("top", "start", &[]),
    ];
    let id = api.submit("diamond", json!({"start": 10}), &steps).await;
    let task = api.finished(id).await;
    assert_eq!(task.state, TaskState::Complete, "{task:#?}");
    assert_eq!(result(&task, "join"), &json!({"value": 31}));
    // The steps are shown in the order in which they were submitted.
    let names: Vec<&str> = task.steps.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(names, ["join", "left", "right", "top"]);
}

#[tokio::test]
async fn two_tasks_at_once_do_not_mix() {
    let api = Api::running();
    let steps =
        [step("a", "start", &[]), step("b", "double", &["a"]), step("c", "increment", &["b"])];
    let (one, two) = tokio::join!(
        api.submit("one", json!({"start": 1}), &steps),
        api.submit("two", json!({"start": 100}), &steps),
    );
    let (one, two) = tokio::join!(api.finished(one), api.finished(two));
    assert_eq!(result(&one, "c"), &json!({"value": 3}));
    assert_eq!(result(&two, "c"), &json!({"value": 201}));
}

#[tokio::test]
async fn a_wide_task_completes() {
    let api = Api::running();
    let mut steps = vec![step("top", "start", &[])];
    let names: Vec<String> = (0..40).map(|n| format!("side-{n}")).collect();
    steps.extend(names.iter().map(|name| step(name, "increment", &["top"])));
    let parents: Vec<&str> = names.iter().map(String::as_str).collect();
    steps.push(step("join", "sum", &parents));
    let id = api.submit("wide", json!({"start": 1}), &steps).await;
    assert_eq!(result(&api.finished(id).await, "join"), &json!({"value": 80}));
}
