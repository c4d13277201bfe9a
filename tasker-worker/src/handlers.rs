//! Handlers that are of use in any namespace.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{HandlerError, StepContext, WorkerBuilder};

/// Registers all of them: `echo`, `sleep`, `fail`.
#[must_use]
pub fn register(builder: WorkerBuilder) -> WorkerBuilder {
    builder
        .handler("echo", echo)
        .handler("sleep", sleep)
        .handler("fail", fail)
}

/// Returns the task's context and the results of the parents.
///
/// # Errors
/// Never.
pub async fn echo(step: StepContext) -> Result<Value, HandlerError> {
    Ok(json!({ "context": step.context(), "dependencies": step.dependencies() }))
}

/// Waits for `sleep_ms` milliseconds.
///
/// # Errors
/// When that is no number.
pub async fn sleep(step: StepContext) -> Result<Value, HandlerError> {
    let milliseconds = step.param_u64("sleep_ms")?.unwrap_or(100);
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    Ok(json!({ "slept_ms": milliseconds }))
}

/// Fails with the `message`, at every try.
///
/// # Errors
/// Always.
pub async fn fail(step: StepContext) -> Result<Value, HandlerError> {
    let message = step
        .param("message")
        .and_then(Value::as_str)
        .unwrap_or("asked to fail");
    Err(HandlerError::new(message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handler::test_step;

    #[tokio::test]
    async fn they_do_what_they_say() {
        let step = test_step("a", json!({"sleep_ms": 1, "message": "because"}));
        assert_eq!(sleep(step.clone()).await.unwrap(), json!({"slept_ms": 1}));
        assert_eq!(fail(step.clone()).await.unwrap_err().message, "because");
        assert_eq!(echo(step).await.unwrap()["context"]["message"], "because");
    }
}
