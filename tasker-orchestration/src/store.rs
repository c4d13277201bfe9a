//! Tasks and steps in the database, each change as one transaction.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use pgmq_notify::Queue;
use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{PgConnection, PgPool, Row};
use tasker_shared::messages::{Outcome, ResultMessage, StepMessage};
use tasker_shared::types::worker_queue;
use tasker_shared::{NewTask, StepState, StepView, TaskState, TaskView};
use tracing::{info, warn};
use uuid::Uuid;

/// Doubling ends here.
const LONGEST_BACKOFF: Duration = Duration::from_secs(3600);

/// What became of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// The step is complete.
    Completed,
    /// The step will be tried again.
    Retried,
    /// The step failed for good.
    Failed,
    /// The result is a duplicate, too late, or of no step that is known.
    Ignored,
}

/// Stores a valid task and enqueues the steps that depend on nothing.
///
/// # Errors
/// When the database refuses; then nothing was stored.
pub async fn create_task(pool: &PgPool, task: &NewTask) -> Result<Uuid> {
    // Before the transaction: creating a queue locks what every other submission needs.
    let namespaces: BTreeSet<&str> = task
        .steps
        .iter()
        .map(|step| step.namespace.as_str())
        .collect();
    for namespace in namespaces {
        step_queue(namespace)?.create(pool).await?;
    }
    let task_id = Uuid::new_v4();
    let mut transaction = pool.begin().await.context("begin")?;
    sqlx::query("INSERT INTO tasker.tasks (task_id, name, context) VALUES ($1, $2, $3)")
        .bind(task_id)
        .bind(&task.name)
        .bind(Json(&task.context))
        .execute(&mut *transaction)
        .await
        .context("store the task")?;
    for (position, step) in task.steps.iter().enumerate() {
        sqlx::query(
            "INSERT INTO tasker.steps
                 (step_id, task_id, position, name, handler, namespace, depends_on, max_attempts, state)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'pending')",
        )
        .bind(Uuid::new_v4())
        .bind(task_id)
        .bind(i32::try_from(position)?)
        .bind(&step.name)
        .bind(&step.handler)
        .bind(&step.namespace)
        .bind(&step.depends_on)
        .bind(i32::try_from(step.max_attempts)?)
        .execute(&mut *transaction)
        .await
        .with_context(|| format!("store step `{}`", step.name))?;
    }
    enqueue_ready(&mut transaction, task_id).await?;
    transaction.commit().await.context("commit")?;
    Ok(task_id)
}

/// A task with its steps.
///
/// # Errors
/// When the database refuses.
pub async fn get_task(pool: &PgPool, task_id: Uuid) -> Result<Option<TaskView>> {
    // One snapshot: a task must not look complete with a step that does not.
    let mut transaction = pool.begin().await.context("begin")?;
    sqlx::query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        .execute(&mut *transaction)
        .await?;
    let row = sqlx::query(
        "SELECT task_id, name, state, error, context, created_at, completed_at
         FROM tasker.tasks WHERE task_id = $1",
    )
    .bind(task_id)
    .fetch_optional(&mut *transaction)
    .await
    .context("read the task")?;
    let Some(row) = row else { return Ok(None) };
    let steps = sqlx::query("SELECT * FROM tasker.steps WHERE task_id = $1 ORDER BY position")
        .bind(task_id)
        .fetch_all(&mut *transaction)
        .await
        .context("read the steps")?
        .iter()
        .map(step_view)
        .collect::<Result<_>>()?;
    let Json(context) = row.try_get("context")?;
    Ok(Some(TaskView {
        task_id,
        name: row.try_get("name")?,
        state: task_state(&row)?,
        error: row.try_get("error")?,
        context,
        created_at: row.try_get("created_at")?,
        completed_at: row.try_get("completed_at")?,
        steps,
    }))
}

/// The newest tasks: number, name and state.
///
/// # Errors
/// When the database refuses.
pub async fn list_tasks(pool: &PgPool, limit: i64) -> Result<Vec<(Uuid, String, String)>> {
    sqlx::query_as(
        "SELECT task_id, name, state FROM tasker.tasks ORDER BY created_at DESC, task_id LIMIT $1",
    )
    .bind(limit)
    .fetch_all(pool)
    .await
    .context("list the tasks")
}

/// Applies a result within the caller's transaction, which also ends the result's message.
///
/// # Errors
/// When the database refuses.
pub async fn apply_result(
    connection: &mut PgConnection,
    message: &ResultMessage,
    retry_base: Duration,
) -> Result<Applied> {
    // The lock on the task: of two parents that finish at once, the second must see the first, or
    // neither would enqueue their child.
    let task = sqlx::query("SELECT state FROM tasker.tasks WHERE task_id = $1 FOR UPDATE")
        .bind(message.task_id)
        .fetch_optional(&mut *connection)
        .await
        .context("lock the task")?;
    let Some(task) = task else {
        warn!(task_id = %message.task_id, "a result for an unknown task");
        return Ok(Applied::Ignored);
    };
    let task_state = task_state(&task)?;
    let step = sqlx::query("SELECT * FROM tasker.steps WHERE step_id = $1 AND task_id = $2")
        .bind(message.step_id)
        .bind(message.task_id)
        .fetch_optional(&mut *connection)
        .await
        .context("read the step")?;
    let Some(step) = step else {
        warn!(task_id = %message.task_id, step_id = %message.step_id, "a result for an unknown step");
        return Ok(Applied::Ignored);
    };
    let step = step_view(&step)?;
    if step.state != StepState::Enqueued || step.attempts != message.attempt {
        info!(
            step_id = %step.step_id, attempt = message.attempt, current = step.attempts,
            state = %step.state, "ignored a late or repeated result"
        );
        return Ok(Applied::Ignored);
    }
    match &message.outcome {
        Outcome::Success { result } => {
            sqlx::query(
                "UPDATE tasker.steps
                 SET state = 'complete', result = $2, error = NULL, updated_at = now()
                 WHERE step_id = $1",
            )
            .bind(step.step_id)
            .bind(Json(result))
            .execute(&mut *connection)
            .await
            .context("complete the step")?;
            if task_state == TaskState::InProgress {
                enqueue_ready(connection, message.task_id).await?;
                complete_task(connection, message.task_id).await?;
            }
            Ok(Applied::Completed)
        }
        Outcome::Failure { error, retryable } => {
            let again = *retryable
                && task_state == TaskState::InProgress
                && step.attempts < step.max_attempts;
            if again {
                let delay = backoff(retry_base, step.attempts);
                info!(step_id = %step.step_id, attempt = step.attempts, ?delay, error, "will try again");
                enqueue(connection, step.step_id, Some(error), delay).await?;
                return Ok(Applied::Retried);
            }
            fail_step(connection, &step, message.task_id, error).await?;
            Ok(Applied::Failed)
        }
    }
}

async fn fail_step(
    connection: &mut PgConnection,
    step: &StepView,
    task_id: Uuid,
    error: &str,
) -> Result<()> {
    sqlx::query(
        "UPDATE tasker.steps SET state = 'failed', error = $2, updated_at = now() WHERE step_id = $1",
    )
    .bind(step.step_id)
    .bind(error)
    .execute(&mut *connection)
    .await
    .context("fail the step")?;
    let tries = if step.attempts == 1 {
        "attempt"
    } else {
        "attempts"
    };
    let reason = format!(
        "step `{}` failed after {} {tries}: {error}",
        step.name, step.attempts
    );
    // The first failure is the task's reason; steps that are already enqueued run to their end.
    let failed = sqlx::query(
        "UPDATE tasker.tasks SET state = 'failed', error = $2, completed_at = now()
         WHERE task_id = $1 AND state = 'in_progress'",
    )
    .bind(task_id)
    .bind(&reason)
    .execute(&mut *connection)
    .await
    .context("fail the task")?;
    if failed.rows_affected() == 1 {
        warn!(%task_id, reason, "task failed");
        sqlx::query(
            "UPDATE tasker.steps SET state = 'cancelled', updated_at = now()
             WHERE task_id = $1 AND state = 'pending'",
        )
        .bind(task_id)
        .execute(connection)
        .await
        .context("cancel the steps that wait")?;
    }
    Ok(())
}

async fn complete_task(connection: &mut PgConnection, task_id: Uuid) -> Result<()> {
    let completed = sqlx::query(
        "UPDATE tasker.tasks SET state = 'complete', completed_at = now()
         WHERE task_id = $1 AND state = 'in_progress' AND NOT EXISTS (
             SELECT FROM tasker.steps WHERE task_id = $1 AND state <> 'complete')",
    )
    .bind(task_id)
    .execute(connection)
    .await
    .context("complete the task")?;
    if completed.rows_affected() == 1 {
        info!(%task_id, "task complete");
    }
    Ok(())
}

/// Enqueues every pending step whose parents are all complete.
async fn enqueue_ready(connection: &mut PgConnection, task_id: Uuid) -> Result<()> {
    let ready: Vec<Uuid> = sqlx::query_scalar(
        "SELECT step_id FROM tasker.steps AS child
         WHERE task_id = $1 AND state = 'pending' AND NOT EXISTS (
             SELECT FROM tasker.steps AS parent
             WHERE parent.task_id = $1 AND parent.name = ANY (child.depends_on)
               AND parent.state <> 'complete')
         ORDER BY position",
    )
    .bind(task_id)
    .fetch_all(&mut *connection)
    .await
    .context("look for steps that are ready")?;
    for step_id in ready {
        enqueue(connection, step_id, None, Duration::ZERO).await?;
    }
    Ok(())
}

/// Starts the next try of a step: counts it, and sends its message.
async fn enqueue(
    connection: &mut PgConnection,
    step_id: Uuid,
    last_error: Option<&str>,
    delay: Duration,
) -> Result<()> {
    let row = sqlx::query(
        "UPDATE tasker.steps AS step
         SET state = 'enqueued', attempt = attempt + 1, error = $2, updated_at = now()
         FROM tasker.tasks AS task
         WHERE step.step_id = $1 AND task.task_id = step.task_id
         RETURNING step.*, task.context",
    )
    .bind(step_id)
    .bind(last_error)
    .fetch_one(&mut *connection)
    .await
    .context("start a try")?;
    let step = step_view(&row)?;
    let task_id: Uuid = row.try_get("task_id")?;
    let Json(context): Json<Value> = row.try_get("context")?;
    let dependencies: Vec<(String, Json<Value>)> = sqlx::query_as(
        "SELECT name, result FROM tasker.steps WHERE task_id = $1 AND name = ANY ($2)",
    )
    .bind(task_id)
    .bind(&step.depends_on)
    .fetch_all(&mut *connection)
    .await
    .context("read the results of its parents")?;
    let dependencies: BTreeMap<String, Value> = dependencies
        .into_iter()
        .map(|(name, Json(result))| (name, result))
        .collect();
    let message = StepMessage {
        task_id,
        step_id,
        step_name: step.name,
        handler: step.handler,
        attempt: step.attempts,
        max_attempts: step.max_attempts,
        context,
        dependencies,
    };
    step_queue(&step.namespace)?
        .send_delayed(connection, &message, delay)
        .await?;
    Ok(())
}

/// The pause before the try after `attempt`.
fn backoff(base: Duration, attempt: u32) -> Duration {
    let factor = 2u32.saturating_pow(attempt.saturating_sub(1));
    base.saturating_mul(factor).min(LONGEST_BACKOFF)
}

fn step_queue(namespace: &str) -> Result<Queue<StepMessage>> {
    Ok(Queue::new(worker_queue(namespace)?))
}

fn task_state(row: &PgRow) -> Result<TaskState> {
    let state: String = row.try_get("state")?;
    TaskState::parse(&state).ok_or_else(|| anyhow!("unknown task state `{state}`"))
}

fn step_view(row: &PgRow) -> Result<StepView> {
    let state: String = row.try_get("state")?;
    let result: Option<Json<Value>> = row.try_get("result")?;
    Ok(StepView {
        step_id: row.try_get("step_id")?,
        name: row.try_get("name")?,
        handler: row.try_get("handler")?,
        namespace: row.try_get("namespace")?,
        depends_on: row.try_get("depends_on")?,
        state: StepState::parse(&state).ok_or_else(|| anyhow!("unknown step state `{state}`"))?,
        attempts: u32::try_from(row.try_get::<i32, _>("attempt")?)?,
        max_attempts: u32::try_from(row.try_get::<i32, _>("max_attempts")?)?,
        result: result.map(|Json(result)| result),
        error: row.try_get("error")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_up_to_an_hour() {
        let base = Duration::from_millis(100);
        let pauses: Vec<u128> = (1..=4)
            .map(|attempt| backoff(base, attempt).as_millis())
            .collect();
        assert_eq!(pauses, [100, 200, 400, 800]);
        assert_eq!(backoff(base, 100), LONGEST_BACKOFF);
        assert_eq!(backoff(Duration::ZERO, 3), Duration::ZERO);
    }
}
