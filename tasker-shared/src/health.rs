//! `GET /health`: runs a query, and says what is wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::database::check;

/// Shorter than the patience of whoever probes.
const TIMEOUT: Duration = Duration::from_secs(1);

/// What `/health` looks at.
#[derive(Clone)]
pub struct Health {
    service: String,
    pool: PgPool,
    query: String,
    ready: Arc<AtomicBool>,
}

impl Health {
    /// A service that is not ready yet. The query is over the tables that it cannot do without.
    pub fn new(service: impl Into<String>, pool: PgPool, query: impl Into<String>) -> Self {
        Self {
            service: service.into(),
            pool,
            query: query.into(),
            ready: Arc::new(AtomicBool::new(false)),
        }
    }

    /// Whether the service does its work: set after its start, unset when it ends.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Release);
    }

    /// The answer and its status.
    pub async fn report(&self) -> (StatusCode, Value) {
        let start = Instant::now();
        let fault = match check(&self.pool, &self.query, TIMEOUT).await {
            Err(error) => Some(format!("database: {}", error.message)),
            Ok(()) if !self.ready.load(Ordering::Acquire) => {
                Some("starting or stopping".to_owned())
            }
            Ok(()) => None,
        };
        match fault {
            None => {
                let latency = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
                let body = json!({
                    "status": "healthy",
                    "service": self.service,
                    "version": env!("CARGO_PKG_VERSION"),
                    "database_ms": latency,
                });
                (StatusCode::OK, body)
            }
            Some(error) => {
                let body = json!({"status": "unhealthy", "service": self.service, "error": error});
                (StatusCode::SERVICE_UNAVAILABLE, body)
            }
        }
    }
}

/// A router with `/health` only.
pub fn router(health: Health) -> Router {
    Router::new()
        .route("/health", get(answer))
        .with_state(health)
}

async fn answer(State(health): State<Health>) -> (StatusCode, Json<Value>) {
    let (status, body) = health.report().await;
    (status, Json(body))
}
