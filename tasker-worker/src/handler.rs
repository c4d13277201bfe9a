//! What a handler is, and what it gets.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use serde_json::Value;
use tasker_shared::messages::StepMessage;
use uuid::Uuid;

/// The step that a handler is to run. Cheap to clone.
#[derive(Clone, Debug)]
pub struct StepContext {
    message: Arc<StepMessage>,
}

impl StepContext {
    /// The context of a message.
    pub fn new(message: StepMessage) -> Self {
        Self {
            message: Arc::new(message),
        }
    }

    /// The task's number.
    pub fn task_id(&self) -> Uuid {
        self.message.task_id
    }

    /// The step's number: the same for every try, so it is the key for effects that must happen
    /// once.
    pub fn step_id(&self) -> Uuid {
        self.message.step_id
    }

    /// The step's name in its task.
    pub fn step_name(&self) -> &str {
        &self.message.step_name
    }

    /// The name under which the handler was registered.
    pub fn handler(&self) -> &str {
        &self.message.handler
    }

    /// Which try this is, from 1. A run after a worker's death has the same number.
    pub fn attempt(&self) -> u32 {
        self.message.attempt
    }

    /// How many tries there will be.
    pub fn max_attempts(&self) -> u32 {
        self.message.max_attempts
    }

    /// The task's context, as it was submitted.
    pub fn context(&self) -> &Value {
        &self.message.context
    }

    /// The results of the steps that this one depends on, by their names.
    pub fn dependencies(&self) -> &BTreeMap<String, Value> {
        &self.message.dependencies
    }

    /// A parameter: `context.<step name>.<key>` if there is one, else `context.<key>`. So that
    /// two steps with the same handler can differ.
    pub fn param(&self, key: &str) -> Option<&Value> {
        let context = self.context();
        context
            .get(self.step_name())
            .and_then(|own| own.get(key))
            .or_else(|| context.get(key))
    }

    /// A parameter that is a non-negative number.
    ///
    /// # Errors
    /// When it is there and is something else; another try would find the same.
    pub fn param_u64(&self, key: &str) -> Result<Option<u64>, HandlerError> {
        self.param(key)
            .map(|value| {
                value.as_u64().ok_or_else(|| {
                    HandlerError::permanent(format!(
                        "`{key}` is {value}, it has to be a non-negative number"
                    ))
                })
            })
            .transpose()
    }
}

/// Why a try failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandlerError {
    /// In words.
    pub message: String,
    /// Whether another try could help.
    pub retryable: bool,
}

impl HandlerError {
    /// Another try may help.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            retryable: true,
        }
    }

    /// Another try cannot help: the step fails at once.
    pub fn permanent(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            retryable: false,
        }
    }
}

impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for HandlerError {}

impl From<anyhow::Error> for HandlerError {
    fn from(error: anyhow::Error) -> Self {
        Self::new(format!("{error:#}"))
    }
}

/// What a handler returns.
pub type HandlerFuture = Pin<Box<dyn Future<Output = Result<Value, HandlerError>> + Send>>;

/// Runs one kind of step. Every `Fn(StepContext) -> impl Future` is one.
pub trait Handler: Send + Sync + 'static {
    /// Runs a step once. A panic is a failed try.
    fn call(&self, step: StepContext) -> HandlerFuture;
}

impl<F, R> Handler for F
where
    F: Fn(StepContext) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Value, HandlerError>> + Send + 'static,
{
    fn call(&self, step: StepContext) -> HandlerFuture {
        Box::pin(self(step))
    }
}

/// A handler that blocks, such as one in another language: it runs on a thread for such work, so
/// that heartbeats go on meanwhile.
pub struct Blocking<F>(Arc<F>);

impl<F> Blocking<F>
where
    F: Fn(StepContext) -> Result<Value, HandlerError> + Send + Sync + 'static,
{
    /// Wraps a plain function.
    pub fn new(function: F) -> Self {
        Self(Arc::new(function))
    }
}

impl<F> Handler for Blocking<F>
where
    F: Fn(StepContext) -> Result<Value, HandlerError> + Send + Sync + 'static,
{
    fn call(&self, step: StepContext) -> HandlerFuture {
        let function = Arc::clone(&self.0);
        Box::pin(async move {
            match tokio::task::spawn_blocking(move || function(step)).await {
                Ok(result) => result,
                Err(error) => Err(panic_error(error)),
            }
        })
    }
}

/// A task that ended without a result: its panic's message, or that it was cancelled.
pub(crate) fn panic_error(error: tokio::task::JoinError) -> HandlerError {
    let Ok(payload) = error.try_into_panic() else {
        return HandlerError::new("the handler was cancelled");
    };
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned());
    HandlerError::new(format!("the handler panicked: {text}"))
}

#[cfg(test)]
pub(crate) fn test_step(name: &str, context: Value) -> StepContext {
    StepContext::new(StepMessage {
        task_id: Uuid::nil(),
        step_id: Uuid::nil(),
        step_name: name.into(),
        handler: "test".into(),
        attempt: 1,
        max_attempts: 3,
        context,
        dependencies: BTreeMap::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_steps_own_parameter_goes_before_the_tasks() {
        let step = test_step("a", json!({"n": 1, "m": 2, "a": {"n": 3}}));
        assert_eq!(step.param("n"), Some(&json!(3)));
        assert_eq!(step.param("m"), Some(&json!(2)));
        assert_eq!(step.param("x"), None);
        assert_eq!(step.param_u64("n").unwrap(), Some(3));
        let wrong = test_step("a", json!({"n": "many"}))
            .param_u64("n")
            .unwrap_err();
        assert!(!wrong.retryable && wrong.message.contains("\"many\""));
    }

    #[tokio::test]
    async fn a_blocking_handler_that_panics_is_a_failure_with_its_message() {
        let handler = Blocking::new(|_| panic!("no such account"));
        let error = handler.call(test_step("a", json!({}))).await.unwrap_err();
        assert_eq!(error.message, "the handler panicked: no such account");
        assert!(error.retryable);
    }
}
