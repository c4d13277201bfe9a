//! Tasks and steps, as the REST API speaks of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// The queue on which every worker sends its results.
pub const RESULT_QUEUE: &str = "orchestration_step_results";

/// With its prefix and suffix, the namespace has to fit into a queue name.
pub const MAX_NAMESPACE: usize = 30;
const MAX_NAME: usize = 200;
const MAX_STEPS: usize = 1000;
const MAX_ATTEMPTS: u32 = 100;

/// A task as it is submitted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewTask {
    /// What people call it.
    pub name: String,
    /// Handed to each step as it is.
    #[serde(default = "empty_object")]
    pub context: Value,
    /// The steps, in any order.
    pub steps: Vec<NewStep>,
}

/// One step of a [`NewTask`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewStep {
    /// Unique in the task.
    pub name: String,
    /// The name under which a worker registered the function to run.
    pub handler: String,
    /// Which workers run it.
    pub namespace: String,
    /// The steps whose results it needs.
    #[serde(default)]
    pub depends_on: Vec<String>,
    /// How often it is tried before the task fails.
    #[serde(default = "default_attempts")]
    pub max_attempts: u32,
}

fn empty_object() -> Value {
    Value::Object(serde_json::Map::new())
}

fn default_attempts() -> u32 {
    3
}

/// Why a task was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidTask(String);

fn invalid(message: impl Into<String>) -> Result<(), InvalidTask> {
    Err(InvalidTask(message.into()))
}

impl NewTask {
    /// Checks that the task can be run to its end.
    ///
    /// # Errors
    /// With the first fault, in words for whoever wrote the task.
    pub fn validate(&self) -> Result<(), InvalidTask> {
        check_name("the task's name", &self.name)?;
        if self.steps.is_empty() {
            return invalid("the task has no steps");
        }
        if self.steps.len() > MAX_STEPS {
            return invalid(format!(
                "the task has {} steps, {MAX_STEPS} at the most",
                self.steps.len()
            ));
        }
        if holds_nul(&self.context) {
            return invalid(
                "the context holds the character U+0000, which PostgreSQL cannot store",
            );
        }
        if !is_shallow(&self.context) {
            return invalid(format!(
                "the context is nested deeper than {DEEPEST} levels"
            ));
        }
        let mut names = BTreeSet::new();
        for step in &self.steps {
            check_name("a step's name", &step.name)?;
            let name = &step.name;
            check_name(&format!("the handler of step `{name}`"), &step.handler)?;
            check_namespace(&step.namespace)
                .map_err(|error| InvalidTask(format!("step `{name}`: {error}")))?;
            if step.max_attempts == 0 || step.max_attempts > MAX_ATTEMPTS {
                return invalid(format!(
                    "step `{name}`: max_attempts is {}, it has to be from 1 to {MAX_ATTEMPTS}",
                    step.max_attempts
                ));
            }
            if !names.insert(name.as_str()) {
                return invalid(format!("two steps have the name `{name}`"));
            }
        }
        for step in &self.steps {
            let mut seen = BTreeSet::new();
            for parent in &step.depends_on {
                if !names.contains(parent.as_str()) {
                    return invalid(format!(
                        "step `{}` depends on `{parent}`, which is no step of this task",
                        step.name
                    ));
                }
                if !seen.insert(parent) {
                    return invalid(format!(
                        "step `{}` names `{parent}` twice in depends_on",
                        step.name
                    ));
                }
            }
        }
        match self.cycle() {
            Some(cycle) => invalid(format!(
                "the steps depend on each other in a circle: {}",
                cycle.join(" -> ")
            )),
            None => Ok(()),
        }
    }

    /// A circle among the steps, its first step repeated at the end.
    fn cycle(&self) -> Option<Vec<&str>> {
        let mut waiting: BTreeMap<&str, &NewStep> = self
            .steps
            .iter()
            .map(|step| (step.name.as_str(), step))
            .collect();
        loop {
            let before = waiting.len();
            let left: BTreeSet<&str> = waiting.keys().copied().collect();
            waiting.retain(|_, step| {
                step.depends_on
                    .iter()
                    .any(|parent| left.contains(parent.as_str()))
            });
            if waiting.len() == before {
                break;
            }
        }
        // Each step that is left waits for another one that is left: following them closes a circle.
        let mut path = vec![*waiting.keys().next()?];
        loop {
            let step = waiting.get(path.last()?)?;
            let parent = step
                .depends_on
                .iter()
                .find(|parent| waiting.contains_key(parent.as_str()))?;
            if let Some(start) = path.iter().position(|name| name == parent) {
                path.push(parent);
                return Some(path.split_off(start));
            }
            path.push(parent);
        }
    }
}

fn check_name(what: &str, name: &str) -> Result<(), InvalidTask> {
    if name.is_empty() || name.chars().count() > MAX_NAME || name.chars().any(char::is_control) {
        return invalid(format!(
            "{what} is `{}`: it needs 1 to {MAX_NAME} characters, none of them a control character",
            name.escape_debug()
        ));
    }
    Ok(())
}

/// Checks a namespace: a lower-case letter, then lower-case letters, digits and `_`.
///
/// # Errors
/// With the rule that it breaks.
pub fn check_namespace(namespace: &str) -> Result<(), InvalidTask> {
    let good = namespace.len() <= MAX_NAMESPACE
        && namespace.starts_with(|c: char| c.is_ascii_lowercase())
        && namespace
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if good {
        return Ok(());
    }
    invalid(format!(
        "the namespace `{}` has to start with a lower-case letter and go on with lower-case letters, digits and `_`, {MAX_NAMESPACE} characters at the most",
        namespace.escape_debug()
    ))
}

/// The queue that the workers of a namespace read.
///
/// # Errors
/// When the namespace is none.
pub fn worker_queue(namespace: &str) -> Result<pgmq_notify::QueueName, InvalidTask> {
    check_namespace(namespace)?;
    pgmq_notify::QueueName::new(format!("worker_{namespace}_queue"))
        .map_err(|error| InvalidTask(error.to_string()))
}

/// Arrays and objects of a context or a result lie no deeper than this in each other: what they travel in (messages,
/// answers of the API, the results of parents) adds some levels, and serde_json reads no more than 128.
pub const DEEPEST: usize = 100;

/// Whether arrays and objects lie at most [`DEEPEST`] levels deep in each other.
pub fn is_shallow(value: &Value) -> bool {
    fn within(value: &Value, levels: usize) -> bool {
        let below = |it: &Value| levels > 0 && within(it, levels - 1);
        match value {
            Value::Array(items) => items.iter().all(below),
            Value::Object(map) => map.values().all(below),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
        }
    }
    within(value, DEEPEST)
}

/// Whether a string in it has the one character that PostgreSQL cannot store.
pub fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(holds_nul),
        Value::Object(map) => map
            .iter()
            .any(|(key, value)| key.contains('\0') || holds_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

macro_rules! states {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $text)] $variant,)+
        }

        impl $name {
            /// All of them: the database's CHECK constraint has the same list.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// As it stands in the database and in JSON.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// The state of that name.
            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|state| state.as_str() == text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

states! {
    /// Where a task stands.
    TaskState {
        /// Steps are waiting or running.
        InProgress = "in_progress",
        /// Every step is complete.
        Complete = "complete",
        /// A step failed for good.
        Failed = "failed",
    }
}

states! {
    /// Where a step stands.
    StepState {
        /// Waits for the steps that it depends on.
        Pending = "pending",
        /// Is in its worker queue, or a worker runs it.
        Enqueued = "enqueued",
        /// Has a result.
        Complete = "complete",
        /// Failed for good.
        Failed = "failed",
        /// Will not run, because another step failed.
        Cancelled = "cancelled",
    }
}

impl TaskState {
    /// Whether nothing will change any more.
    pub fn is_final(self) -> bool {
        self != Self::InProgress
    }
}

/// A task as `GET /v1/tasks/{id}` shows it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TaskView {
    /// Its number.
    pub task_id: Uuid,
    /// What people call it.
    pub name: String,
    /// Where it stands.
    pub state: TaskState,
    /// Why it failed.
    pub error: Option<String>,
    /// As it was submitted.
    pub context: Value,
    /// When it was submitted.
    pub created_at: DateTime<Utc>,
    /// When it reached its final state.
    pub completed_at: Option<DateTime<Utc>>,
    /// The steps, in the order in which they were submitted.
    pub steps: Vec<StepView>,
}

/// One step of a [`TaskView`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StepView {
    /// Its number.
    pub step_id: Uuid,
    /// Its name.
    pub name: String,
    /// The handler that runs it.
    pub handler: String,
    /// Which workers run it.
    pub namespace: String,
    /// The steps whose results it needs.
    pub depends_on: Vec<String>,
    /// Where it stands.
    pub state: StepState,
    /// How often it has been tried; the current try counts.
    pub attempts: u32,
    /// How often it may be tried.
    pub max_attempts: u32,
    /// What its handler returned.
    pub result: Option<Value>,
    /// Why the last try failed.
    pub error: Option<String>,
}

impl TaskView {
    /// The step of that name.
    pub fn step(&self, name: &str) -> Option<&StepView> {
        self.steps.iter().find(|step| step.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn step(name: &str, depends_on: &[&str]) -> NewStep {
        NewStep {
            name: name.into(),
            handler: "echo".into(),
            namespace: "rust".into(),
            depends_on: depends_on.iter().map(|&name| name.into()).collect(),
            max_attempts: 3,
        }
    }

    fn task(steps: Vec<NewStep>) -> NewTask {
        NewTask {
            name: "t".into(),
            context: json!({}),
            steps,
        }
    }

    fn fault(task: &NewTask) -> String {
        task.validate().unwrap_err().to_string()
    }

    #[test]
    fn a_diamond_is_fine_in_any_order() {
        let steps = vec![
            step("d", &["b", "c"]),
            step("b", &["a"]),
            step("c", &["a"]),
            step("a", &[]),
        ];
        task(steps).validate().unwrap();
    }

    #[test]
    fn circles_are_shown() {
        assert_eq!(
            fault(&task(vec![
                step("a", &["b"]),
                step("b", &["a"]),
                step("c", &["a"])
            ])),
            "the steps depend on each other in a circle: a -> b -> a"
        );
        assert!(fault(&task(vec![step("a", &["a"])])).ends_with("a -> a"));
        // The walk starts outside of the circle and shows the circle only.
        assert!(
            fault(&task(vec![
                step("a", &["y"]),
                step("x", &["y"]),
                step("y", &["x"])
            ]))
            .ends_with("y -> x -> y")
        );
    }

    #[test]
    fn faults_are_told_in_words() {
        assert!(fault(&task(vec![])).contains("no steps"));
        assert!(
            fault(&task(vec![step("a", &[]), step("a", &[])]))
                .contains("two steps have the name `a`")
        );
        assert!(fault(&task(vec![step("a", &["x"])])).contains("`x`, which is no step"));
        assert!(fault(&task(vec![step("a", &[]), step("b", &["a", "a"])])).contains("twice"));
        assert!(fault(&task(vec![step("", &[])])).contains("a step's name"));
        let zero = NewStep {
            max_attempts: 0,
            ..step("a", &[])
        };
        assert!(fault(&task(vec![zero])).contains("max_attempts is 0"));
        let nul = NewTask {
            context: json!({"a": ["\0"]}),
            ..task(vec![step("a", &[])])
        };
        assert!(fault(&nul).contains("U+0000"));
    }

    #[test]
    fn what_is_nested_too_deep_to_be_read_again_is_refused() {
        let nested = |levels| NewTask {
            context: (0..levels).fold(json!(1), |inner, _| json!({"a": inner})),
            ..task(vec![step("a", &[])])
        };
        nested(DEEPEST).validate().unwrap();
        assert!(fault(&nested(DEEPEST + 1)).contains("deeper than 100 levels"));
    }

    #[test]
    fn namespaces_fit_into_queue_names() {
        for namespace in [
            "",
            "Rust",
            "1a",
            "a-b",
            "a b",
            "é",
            &"a".repeat(MAX_NAMESPACE + 1),
        ] {
            assert!(check_namespace(namespace).is_err(), "{namespace}");
        }
        let longest = "a".repeat(MAX_NAMESPACE);
        assert_eq!(
            worker_queue(&longest).unwrap().as_str().len(),
            MAX_NAMESPACE + 13
        );
        assert_eq!(worker_queue("rust").unwrap().as_str(), "worker_rust_queue");
    }

    #[test]
    fn a_submission_has_defaults_and_no_unknown_fields() {
        let task: NewTask = serde_json::from_value(json!({
            "name": "t", "steps": [{"name": "a", "handler": "echo", "namespace": "rust"}]
        }))
        .unwrap();
        assert_eq!(task.steps[0].max_attempts, 3);
        assert_eq!(task.context, json!({}));
        let typo = json!({"name": "t", "steps": [], "contxt": {}});
        assert!(serde_json::from_value::<NewTask>(typo).is_err());
    }

    #[test]
    fn states_have_one_spelling() {
        for &state in StepState::ALL {
            assert_eq!(StepState::parse(state.as_str()), Some(state));
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
        assert_eq!(TaskState::parse("done"), None);
    }
}
