//! What the REST API refuses, and how it says so.

use serde_json::json;
use uuid::Uuid;

use crate::support::{Api, step};

#[tokio::test]
async fn a_task_that_cannot_be_run_is_refused_with_the_fault() {
    let api = Api::running();
    for (steps, fault) in [
        (json!([]), "no steps"),
        (json!([step("a", "start", &["b"])]), "`b`"),
        (json!([step("a", "start", &["b"]), step("b", "start", &["a"])]), "circle"),
        (json!([step("a", "start", &[]), step("a", "start", &[])]), "`a`"),
    ] {
        let task = json!({"name": "bad", "steps": steps});
        let (status, body) = api.request("POST", "/v1/tasks", Some(&task)).await;
        assert_eq!(status, 422, "{body}");
        let error = body["error"].as_str().unwrap_or_default();
        assert!(error.contains(fault), "{error}");
    }
}

#[tokio::test]
async fn a_task_that_is_not_there_is_404() {
    let (status, _) =
        Api::running().request("GET", &format!("/v1/tasks/{}", Uuid::new_v4()), None).await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn the_service_that_runs_is_healthy() {
    let (status, body) = Api::running().request("GET", "/health", None).await;
    assert_eq!((status, &body["status"]), (200, &json!("healthy")), "{body}");
}
