//! The REST API.

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use sqlx::PgPool;
use tasker_shared::health::{self, Health};
use tasker_shared::{NewTask, TaskView};
use tracing::error;
use uuid::Uuid;

use crate::store;

const LISTED: i64 = 100;

/// An answer that is no success: a status, and why.
#[derive(Debug)]
pub struct ApiError(StatusCode, String);

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

impl From<anyhow::Error> for ApiError {
    fn from(error: anyhow::Error) -> Self {
        // The details are for the log: a caller can do nothing about them but try again.
        error!(error = format!("{error:#}"), "a request failed");
        Self(
            StatusCode::SERVICE_UNAVAILABLE,
            "the database is not available; try again".into(),
        )
    }
}

/// All routes, `/health` included.
pub fn router(pool: PgPool, health: Health) -> Router {
    Router::new()
        .route("/v1/tasks", post(submit).get(list))
        .route("/v1/tasks/{id}", get(show))
        .with_state(pool)
        .merge(health::router(health))
        .fallback(async || ApiError(StatusCode::NOT_FOUND, "no such path".into()))
}

async fn submit(
    State(pool): State<PgPool>,
    task: Result<Json<NewTask>, JsonRejection>,
) -> Result<(StatusCode, Json<TaskView>), ApiError> {
    let Json(task) =
        task.map_err(|rejection| ApiError(rejection.status(), rejection.body_text()))?;
    task.validate()
        .map_err(|fault| ApiError(StatusCode::UNPROCESSABLE_ENTITY, fault.to_string()))?;
    let id = store::create_task(&pool, &task).await?;
    Ok((StatusCode::CREATED, Json(find(&pool, id).await?)))
}

async fn show(
    State(pool): State<PgPool>,
    Path(id): Path<String>,
) -> Result<Json<TaskView>, ApiError> {
    let id = id.parse().map_err(|_| {
        ApiError(
            StatusCode::BAD_REQUEST,
            format!("`{id}` is no task number (a UUID)"),
        )
    })?;
    find(&pool, id).await.map(Json)
}

async fn find(pool: &PgPool, id: Uuid) -> Result<TaskView, ApiError> {
    store::get_task(pool, id)
        .await?
        .ok_or_else(|| ApiError(StatusCode::NOT_FOUND, format!("no task {id}")))
}

async fn list(State(pool): State<PgPool>) -> Result<Json<Value>, ApiError> {
    let tasks: Vec<Value> = store::list_tasks(&pool, LISTED)
        .await?
        .into_iter()
        .map(|(id, name, state)| json!({ "task_id": id, "name": name, "state": state }))
        .collect();
    Ok(Json(json!({ "tasks": tasks })))
}
