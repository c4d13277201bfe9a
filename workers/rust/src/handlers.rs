//! The handlers, small enough to read, and such that their effects can be counted.

use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};
use sqlx::PgPool;
use sqlx::types::Json;
use tasker_worker::{HandlerError, StepContext, WorkerBuilder};

type Result = std::result::Result<Value, HandlerError>;

pub(crate) fn register(builder: WorkerBuilder, pool: &PgPool) -> WorkerBuilder {
    let pool = pool.clone();
    builder
        .handler("add", |step| async move {
            arithmetic(&step, "add", 0, i64::checked_add)
        })
        .handler("multiply", |step| async move {
            arithmetic(&step, "multiply", 1, i64::checked_mul)
        })
        .handler("flaky", |step| async move { flaky(&step) })
        .handler("always_fails", |step| async move { always_fails(&step) })
        .handler("panics", |step: StepContext| async move {
            panic!("step `{}` panics", step.step_name())
        })
        .handler("record_effect", move |step| {
            record_effect(pool.clone(), step)
        })
}

/// Folds the numbers of the parents, and the step's own `value`, into `{"value": n}`.
fn arithmetic(
    step: &StepContext,
    what: &str,
    start: i64,
    fold: fn(i64, i64) -> Option<i64>,
) -> Result {
    let own = step
        .context()
        .get(step.step_name())
        .and_then(|own| own.get("value"));
    let parents = step
        .dependencies()
        .iter()
        .map(|(name, result)| (name.as_str(), result.get("value")));
    let mut total = start;
    for (name, value) in parents.chain(own.map(|value| (step.step_name(), Some(value)))) {
        let number = value.and_then(Value::as_i64).ok_or_else(|| {
            HandlerError::permanent(format!(
                "{what}: `{name}` gives no whole number as its `value`"
            ))
        })?;
        total = fold(total, number).ok_or_else(|| {
            HandlerError::permanent(format!("{what}: the result is out of range"))
        })?;
    }
    Ok(json!({ "value": total }))
}

/// Fails at the first `fail_times` tries.
fn flaky(step: &StepContext) -> Result {
    let times = step.param_u64("fail_times")?.unwrap_or(1);
    if u64::from(step.attempt()) <= times {
        return Err(HandlerError::new(format!(
            "flaky: failed at attempt {}",
            step.attempt()
        )));
    }
    Ok(json!({ "succeeded_at": step.attempt() }))
}

fn always_fails(step: &StepContext) -> Result {
    let message = step
        .param("message")
        .and_then(Value::as_str)
        .unwrap_or("it always does");
    Err(HandlerError::new(format!("always_fails: {message}")))
}

/// Logs that it started, waits for `sleep_ms`, and leaves its effect: one row for each step, which
/// is how a handler that may run twice has its effect once.
async fn record_effect(pool: PgPool, step: StepContext) -> Result {
    let attempt = i32::try_from(step.attempt()).unwrap_or(i32::MAX);
    sqlx::query(
        "INSERT INTO reference.executions (step_id, task_id, attempt, worker_pid) VALUES ($1, $2, $3, $4)",
    )
    .bind(step.step_id())
    .bind(step.task_id())
    .bind(attempt)
    .bind(i64::from(std::process::id()))
    .execute(&pool)
    .await
    .context("log the execution")?;
    let milliseconds = step.param_u64("sleep_ms")?.unwrap_or(0);
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    sqlx::query(
        "INSERT INTO reference.effects (step_id, task_id, payload) VALUES ($1, $2, $3)
         ON CONFLICT (step_id) DO NOTHING",
    )
    .bind(step.step_id())
    .bind(step.task_id())
    .bind(Json(json!({ "step": step.step_name() })))
    .execute(&pool)
    .await
    .context("leave the effect")?;
    Ok(json!({ "recorded": step.step_name() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use tasker_shared::messages::StepMessage;

    fn step(attempt: u32, context: Value, dependencies: &[(&str, Value)]) -> StepContext {
        StepContext::new(StepMessage {
            task_id: Default::default(),
            step_id: Default::default(),
            step_name: "own".into(),
            handler: "h".into(),
            attempt,
            max_attempts: 5,
            context,
            dependencies: dependencies
                .iter()
                .map(|(k, v)| ((*k).to_owned(), v.clone()))
                .collect::<BTreeMap<_, _>>(),
        })
    }

    #[test]
    fn numbers_of_the_parents_are_folded() {
        let parents = [("a", json!({"value": 3})), ("b", json!({"value": 4}))];
        let step = step(1, json!({"own": {"value": 5}}), &parents);
        assert_eq!(
            arithmetic(&step, "add", 0, i64::checked_add).unwrap(),
            json!({"value": 12})
        );
        assert_eq!(
            arithmetic(&step, "multiply", 1, i64::checked_mul).unwrap(),
            json!({"value": 60})
        );
    }

    #[test]
    fn what_is_no_number_fails_for_good() {
        let error = arithmetic(
            &step(1, json!({}), &[("a", json!("x"))]),
            "add",
            0,
            i64::checked_add,
        )
        .unwrap_err();
        assert!(!error.retryable && error.message.contains("`a`"), "{error}");
        let huge = [
            ("a", json!({"value": i64::MAX})),
            ("b", json!({"value": 1})),
        ];
        assert!(arithmetic(&step(1, json!({}), &huge), "add", 0, i64::checked_add).is_err());
    }

    #[test]
    fn flaky_counts_its_tries() {
        let context = json!({"fail_times": 2});
        assert!(flaky(&step(2, context.clone(), &[])).is_err());
        assert_eq!(
            flaky(&step(3, context, &[])).unwrap(),
            json!({"succeeded_at": 3})
        );
    }
}
