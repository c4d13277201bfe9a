//! What goes through the queues.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// A step that a worker is to run once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepMessage {
    /// The task.
    pub task_id: Uuid,
    /// The step.
    pub step_id: Uuid,
    /// The step's name in its task.
    pub step_name: String,
    /// The handler to run.
    pub handler: String,
    /// Which try this is, from 1.
    pub attempt: u32,
    /// How many tries there will be.
    pub max_attempts: u32,
    /// The task's context.
    pub context: Value,
    /// The results of the steps that it depends on, by their names.
    pub dependencies: BTreeMap<String, Value>,
}

/// How a try ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum Outcome {
    /// It worked.
    Success {
        /// What the handler returned.
        result: Value,
    },
    /// It did not.
    Failure {
        /// Why.
        error: String,
        /// Whether another try could help.
        retryable: bool,
    },
}

/// The result of one try.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResultMessage {
    /// The task.
    pub task_id: Uuid,
    /// The step.
    pub step_id: Uuid,
    /// Which try this was; a result of an earlier one is ignored.
    pub attempt: u32,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: Outcome,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_wire_format_is_what_other_languages_see() {
        let message = ResultMessage {
            task_id: Uuid::nil(),
            step_id: Uuid::nil(),
            attempt: 2,
            outcome: Outcome::Failure {
                error: "no".into(),
                retryable: true,
            },
        };
        let nil = "00000000-0000-0000-0000-000000000000";
        let expected = json!({
            "task_id": nil, "step_id": nil, "attempt": 2,
            "outcome": "failure", "error": "no", "retryable": true
        });
        assert_eq!(serde_json::to_value(&message).unwrap(), expected);
        assert_eq!(
            serde_json::from_value::<ResultMessage>(expected).unwrap(),
            message
        );
    }

    #[test]
    fn a_fraction_stays_what_it_is() {
        for number in [907.3038322028689, 0.1, 5e-324, f64::MAX] {
            let text = json!(number).to_string();
            assert_eq!(serde_json::from_str::<f64>(&text).unwrap(), number);
            let value: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(value.as_f64(), Some(number));
        }
    }
}
