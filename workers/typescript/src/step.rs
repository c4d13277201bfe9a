//! A step as the JSON text that JavaScript reads, and the text of its result.
//!
//! A JavaScript number is a double, and above 2^53 not every whole number is one. A number reaches
//! the other side as exactly what it was, or the step fails and says why.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Number, Value};
use tasker_worker::{HandlerError, StepContext};

/// The arguments of `Step` in `lib/step.ts`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RawStep<'a> {
    task_id: String,
    step_id: String,
    name: &'a str,
    handler: &'a str,
    attempt: u32,
    max_attempts: u32,
    context: &'a Value,
    dependencies: &'a BTreeMap<String, Value>,
}

/// The step's text.
///
/// # Errors
/// Where JavaScript would read another number than was sent.
pub(crate) fn to_json(step: &StepContext) -> Result<String, HandlerError> {
    let strays = std::iter::once(("context", step.context())).chain(
        step.dependencies()
            .iter()
            .map(|(name, value)| (name.as_str(), value)),
    );
    for (place, value) in strays {
        if let Some((path, number)) = inexact(value) {
            return Err(HandlerError::permanent(format!(
                "`{place}{path}` is {number}, which a JavaScript number cannot hold exactly; send it as a string"
            )));
        }
    }
    let raw = RawStep {
        task_id: step.task_id().to_string(),
        step_id: step.step_id().to_string(),
        name: step.step_name(),
        handler: step.handler(),
        attempt: step.attempt(),
        max_attempts: step.max_attempts(),
        context: step.context(),
        dependencies: step.dependencies(),
    };
    serde_json::to_string(&raw)
        .map_err(|error| HandlerError::permanent(format!("the step is no JSON: {error}")))
}

/// What `JSON.stringify` made of a result.
///
/// # Errors
/// When the text is no JSON: a string may hold half a character.
pub(crate) fn from_json(text: &str) -> Result<Value, HandlerError> {
    let mut value = serde_json::from_str(text).map_err(|error| {
        HandlerError::permanent(format!("the handler's result is no JSON: {error}"))
    })?;
    restore(&mut value);
    Ok(value)
}

/// JavaScript writes as few digits as tell one double from the next: 2^60 as 1152921504606847000,
/// which is another whole number. This makes it 2^60 again.
fn restore(value: &mut Value) {
    match value {
        Value::Number(number) => {
            if let Some(whole) = number.as_i64() {
                *number = Number::from(whole as f64 as i64);
            } else if let Some(whole) = number.as_u64() {
                *number = Number::from(whole as f64 as u64);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(restore),
        Value::Object(fields) => fields.values_mut().for_each(restore),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// The first whole number that no double is equal to, and where it is. 2^53 is one that a double
/// can hold, 2^53 + 1 would silently be 2^53.
fn inexact(value: &Value) -> Option<(String, i128)> {
    match value {
        Value::Number(number) => {
            let whole = number
                .as_i64()
                .map(i128::from)
                .or_else(|| number.as_u64().map(i128::from))?;
            (whole as f64 as i128 != whole).then(|| (String::new(), whole))
        }
        Value::Array(items) => items.iter().enumerate().find_map(|(index, item)| {
            let (path, number) = inexact(item)?;
            Some((format!("[{index}]{path}"), number))
        }),
        Value::Object(fields) => fields.iter().find_map(|(key, field)| {
            let (path, number) = inexact(field)?;
            Some((format!(".{key}{path}"), number))
        }),
        Value::Null | Value::Bool(_) | Value::String(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use tasker_shared::messages::StepMessage;

    fn step(context: Value, dependencies: &[(&str, Value)]) -> StepContext {
        StepContext::new(StepMessage {
            task_id: Default::default(),
            step_id: Default::default(),
            step_name: "own".into(),
            handler: "h".into(),
            attempt: 2,
            max_attempts: 5,
            context,
            dependencies: dependencies
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone()))
                .collect(),
        })
    }

    #[test]
    fn a_step_is_the_arguments_of_the_class() {
        let text = to_json(&step(json!({"a": "ü\u{2028}"}), &[("p", json!(1.5))])).unwrap();
        let nil = "00000000-0000-0000-0000-000000000000";
        let expected = json!({
            "taskId": nil, "stepId": nil, "name": "own", "handler": "h", "attempt": 2, "maxAttempts": 5,
            "context": {"a": "ü\u{2028}"}, "dependencies": {"p": 1.5},
        });
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected);
    }

    #[test]
    fn only_a_number_that_javascript_would_change_is_refused() {
        let limit = 1_u64 << 53;
        for kept in [
            json!(limit - 1),
            json!(limit),
            json!(limit + 2),
            json!(-(1_i64 << 53)),
            json!(i64::MIN),
            json!(1_u64 << 63),
            json!(0.1),
            json!(1e300),
        ] {
            assert!(to_json(&step(kept.clone(), &[])).is_ok(), "{kept}");
        }
        for changed in [
            json!(limit + 1),
            json!(-(1_i64 << 53) - 1),
            json!(i64::MAX),
            json!(u64::MAX),
        ] {
            let error = to_json(&step(changed.clone(), &[])).unwrap_err();
            assert!(!error.retryable, "{error}");
            assert!(error.message.contains(&changed.to_string()), "{error}");
        }
    }

    #[test]
    fn the_refusal_says_where_the_number_is() {
        let deep = json!({"a": [0, {"b": i64::MAX}]});
        let message = |step| to_json(&step).unwrap_err().message;
        assert!(
            message(step(deep.clone(), &[]))
                .starts_with("`context.a[1].b` is 9223372036854775807,")
        );
        assert!(message(step(json!(null), &[("p", deep)])).starts_with("`p.a[1].b` is "));
    }

    #[test]
    fn a_result_is_the_number_that_javascript_had() {
        for (text, number) in [
            ("1152921504606847000", 1_u64 << 60),
            ("9007199254740992", 1 << 53),
            ("9223372036854776000", 1 << 63),
            ("18446744073709550000", u64::MAX - 2047),
        ] {
            let result = from_json(&format!("[{{\"n\": {text}}}]")).unwrap();
            assert_eq!(result, json!([{"n": number}]));
            assert_eq!(
                from_json(&format!("-{text}")).unwrap().as_f64(),
                Some(-(number as f64))
            );
        }
        for text in [
            "0.1",
            "907.3038322028689",
            "1e+300",
            "5e-324",
            "18446744073709552000",
        ] {
            let expected = text.parse::<f64>().unwrap();
            assert_eq!(from_json(text).unwrap().as_f64(), Some(expected), "{text}");
        }
    }

    #[test]
    fn a_result_that_is_no_json_fails_for_good() {
        let error = from_json(r#""\ud800""#).unwrap_err();
        assert!(
            !error.retryable && error.message.contains("no JSON"),
            "{error}"
        );
    }
}
