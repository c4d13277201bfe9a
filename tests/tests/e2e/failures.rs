//! Steps that fail: retried with backoff, up to their last attempt.

use serde_json::json;
use tasker_shared::types::{StepState, TaskState};

use crate::support::{Api, result, step, step_with_attempts};

#[tokio::test]
async fn a_step_that_fails_twice_then_works_completes_its_task() {
    let api = Api::running();
    let steps = [step_with_attempts("wobble", "flaky", 3), step("after", "record_effect", &["wobble"])];
    let id = api.submit("flaky", json!({"failures": 2}), &steps).await;
    let task = api.finished(id).await;
    assert_eq!(task.state, TaskState::Complete, "{task:#?}");
    assert_eq!(result(&task, "wobble"), &json!({"attempt": 3}));
    assert_eq!(task.step("wobble").unwrap().attempts, 3);
    assert_eq!(task.step("after").unwrap().attempts, 1);
}

#[tokio::test]
async fn a_step_that_exhausts_its_attempts_fails_its_task_with_the_reason() {
    let api = Api::running();
    let steps = [step_with_attempts("doomed", "always_fails", 2), step("after", "sum", &["doomed"])];
    let id = api.submit("doomed", json!({}), &steps).await;
    let task = api.finished(id).await;
    assert_eq!(task.state, TaskState::Failed, "{task:#?}");
    let reason = task.error.clone().unwrap_or_default();
    assert!(reason.contains("doomed") && reason.contains("always fails, as asked"), "{reason}");
    let doomed = task.step("doomed").unwrap();
    assert_eq!((doomed.state, doomed.attempts), (StepState::Failed, 2));
    let after = task.step("after").unwrap();
    assert_eq!((after.state, after.attempts), (StepState::Cancelled, 0));
}

#[tokio::test]
async fn a_panic_is_a_failed_attempt_and_the_worker_lives_on() {
    let api = Api::running();
    let id = api.submit("panic", json!({}), &[step_with_attempts("bang", "panics", 1)]).await;
    let task = api.finished(id).await;
    assert_eq!(task.state, TaskState::Failed, "{task:#?}");
    assert!(task.error.unwrap_or_default().contains("handler panicked, as asked"));
    let id = api.submit("after", json!({"start": 1}), &[step("a", "start", &[])]).await;
    assert_eq!(api.finished(id).await.state, TaskState::Complete);
}

#[tokio::test]
async fn an_unknown_handler_fails_with_its_name() {
    let api = Api::running();
    let id = api.submit("unknown", json!({}), &[step_with_attempts("a", "no_such_one", 1)]).await;
    let task = api.finished(id).await;
    assert_eq!(task.state, TaskState::Failed, "{task:#?}");
    assert!(task.error.unwrap_or_default().contains("no_such_one"));
}
