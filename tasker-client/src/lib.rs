//! Talks to the orchestration service.

use std::time::{Duration, Instant};

use reqwest::{Response, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tasker_shared::{NewTask, TaskView};
use uuid::Uuid;

/// Where the orchestration service listens by default.
pub const DEFAULT_PORT: u16 = 8080;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LAST_PAUSE: Duration = Duration::from_millis(500);

/// Why a request did not work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// No answer, or half of one.
    #[error(
        "cannot reach the orchestration service at {url}: {why}\nhint: `cargo xtask check-services` says which service is down"
    )]
    Unreachable {
        /// Where it was looked for.
        url: String,
        /// The innermost cause.
        why: String,
    },
    /// The service said no.
    #[error("{message} (HTTP {status})")]
    Refused {
        /// The status.
        status: u16,
        /// The service's own words.
        message: String,
    },
    /// The task was not done in time.
    #[error("task {0} was not done after {1:?}")]
    TimedOut(Uuid, Duration),
    /// The client itself could not be made.
    #[error("cannot set up the HTTP client: {0}")]
    Setup(String),
}

/// A client of one orchestration service.
#[derive(Clone, Debug)]
pub struct Client {
    base: String,
    http: reqwest::Client,
}

impl Client {
    /// A client of the service at a base URL, such as `http://127.0.0.1:8080`.
    ///
    /// # Errors
    /// When the HTTP client cannot be set up.
    pub fn new(base: impl Into<String>) -> Result<Self, ClientError> {
        let http = reqwest::Client::builder()
            // A proxy of the environment knows nothing of services on this machine.
            .no_proxy()
            .timeout(REQUEST_TIMEOUT)
            .build()
            .map_err(|error| ClientError::Setup(root_cause(&error)))?;
        Ok(Self {
            base: base.into().trim_end_matches('/').to_owned(),
            http,
        })
    }

    /// The service of the environment: `ORCHESTRATION_URL`, else port `ORCHESTRATION_PORT` here.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn from_env() -> Result<Self, ClientError> {
        Self::new(base_url(|name| std::env::var(name).ok()))
    }

    /// Where the service is.
    pub fn base_url(&self) -> &str {
        &self.base
    }

    /// Submits a task.
    ///
    /// # Errors
    /// When the service refuses it (422 says why) or is not there.
    pub async fn submit(&self, task: &NewTask) -> Result<TaskView, ClientError> {
        self.post(task).await
    }

    /// Submits a task as it is, without checking its shape here.
    ///
    /// # Errors
    /// As [`Self::submit`].
    pub async fn submit_json(&self, task: &Value) -> Result<TaskView, ClientError> {
        self.post(task).await
    }

    async fn post(&self, task: &impl serde::Serialize) -> Result<TaskView, ClientError> {
        let request = self.http.post(format!("{}/v1/tasks", self.base)).json(task);
        self.answer(request.send().await).await
    }

    /// A task with its steps.
    ///
    /// # Errors
    /// When there is none, or the service is not there.
    pub async fn get(&self, id: Uuid) -> Result<TaskView, ClientError> {
        self.answer(
            self.http
                .get(format!("{}/v1/tasks/{id}", self.base))
                .send()
                .await,
        )
        .await
    }

    /// Waits until a task is complete or failed. While the service is away (it may be starting
    /// anew) this waits on.
    ///
    /// # Errors
    /// When that takes longer than `timeout`, or there is no such task.
    pub async fn wait(&self, id: Uuid, timeout: Duration) -> Result<TaskView, ClientError> {
        let start = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            let away = match self.get(id).await {
                Ok(task) if task.state.is_final() => return Ok(task),
                Ok(_) => None,
                Err(
                    error @ (ClientError::Unreachable { .. }
                    | ClientError::Refused { status: 500.., .. }),
                ) => Some(error),
                Err(error) => return Err(error),
            };
            if start.elapsed() >= timeout {
                return Err(away.unwrap_or(ClientError::TimedOut(id, timeout)));
            }
            tokio::time::sleep(pause.min(timeout.saturating_sub(start.elapsed()))).await;
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    /// Whether the service is healthy, and its own words.
    ///
    /// # Errors
    /// When it is not there.
    pub async fn health(&self) -> Result<(bool, Value), ClientError> {
        let response = self.http.get(format!("{}/health", self.base)).send().await;
        let response = response.map_err(|error| self.unreachable(&error))?;
        let healthy = response.status() == StatusCode::OK;
        let body: Value = response
            .json()
            .await
            .map_err(|error| self.unreachable(&error))?;
        Ok((healthy && body["status"] == "healthy", body))
    }

    async fn answer<T: DeserializeOwned>(
        &self,
        response: Result<Response, reqwest::Error>,
    ) -> Result<T, ClientError> {
        let response = response.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        if status.is_success() {
            return response
                .json()
                .await
                .map_err(|error| self.unreachable(&error));
        }
        let text = response.text().await.unwrap_or_default();
        let message = serde_json::from_str::<Value>(&text)
            .ok()
            .and_then(|body| Some(body.get("error")?.as_str()?.to_owned()))
            .unwrap_or(text);
        Err(ClientError::Refused {
            status: status.as_u16(),
            message,
        })
    }

    fn unreachable(&self, error: &reqwest::Error) -> ClientError {
        ClientError::Unreachable {
            url: self.base.clone(),
            why: root_cause(error),
        }
    }
}

/// The innermost error: "connection refused" says more than "error sending request".
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

fn base_url(lookup: impl Fn(&str) -> Option<String>) -> String {
    let set = |name: &str| lookup(name).filter(|value| !value.is_empty());
    set("ORCHESTRATION_URL").unwrap_or_else(|| {
        let port = set("ORCHESTRATION_PORT").unwrap_or_else(|| DEFAULT_PORT.to_string());
        format!("http://127.0.0.1:{port}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::extract::Path;
    use axum::routing::{get, post};
    use axum::{Json, Router};
    use serde_json::json;

    #[test]
    fn the_environment_names_the_service() {
        let url = |pairs: &'static [(&str, &str)]| {
            base_url(|name| {
                pairs
                    .iter()
                    .find(|(key, _)| *key == name)
                    .map(|(_, v)| (*v).to_owned())
            })
        };
        assert_eq!(url(&[]), "http://127.0.0.1:8080");
        assert_eq!(url(&[("ORCHESTRATION_PORT", "9")]), "http://127.0.0.1:9");
        assert_eq!(
            url(&[
                ("ORCHESTRATION_URL", "http://h:1"),
                ("ORCHESTRATION_PORT", "9")
            ]),
            "http://h:1"
        );
    }

    async fn serve(router: Router) -> Client {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Client::new(format!("http://{address}/")).unwrap()
    }

    #[tokio::test]
    async fn a_refusal_has_the_services_own_words() {
        let refuse = post(async || {
            (
                axum::http::StatusCode::UNPROCESSABLE_ENTITY,
                Json(json!({"error": "two steps"})),
            )
        });
        let client = serve(Router::new().route("/v1/tasks", refuse)).await;
        let error = client.submit_json(&json!({})).await.unwrap_err();
        assert_eq!(error.to_string(), "two steps (HTTP 422)");
    }

    #[tokio::test]
    async fn a_task_that_is_never_done_times_out() {
        let show = get(async |Path(id): Path<String>| {
            Json(json!({
                "task_id": id, "name": "t", "state": "in_progress", "error": null, "context": {},
                "created_at": "2026-01-01T00:00:00Z", "completed_at": null, "steps": []
            }))
        });
        let client = serve(Router::new().route("/v1/tasks/{id}", show)).await;
        let error = client
            .wait(Uuid::nil(), Duration::from_millis(100))
            .await
            .unwrap_err();
        assert!(matches!(error, ClientError::TimedOut(..)), "{error}");
    }

    #[tokio::test]
    async fn a_service_that_is_down_is_named() {
        let error = Client::new("http://127.0.0.1:1")
            .unwrap()
            .health()
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("http://127.0.0.1:1: ") && error.contains("hint: "),
            "{error}"
        );
    }
}
