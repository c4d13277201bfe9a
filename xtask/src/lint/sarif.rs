//! Findings as SARIF 2.1.0 (OASIS), which code hosts and editors read. Pure.

use serde_json::{Value, json};

use super::{Finding, Level, Report, Rule, rules};
use crate::makefile::Problem;

impl Report {
    /// One run with all rules, all findings, and what comments allow as suppressed results.
    #[must_use]
    pub fn sarif(&self) -> Value {
        let all: Vec<&Rule> = rules().collect();
        let index = |name: &str| all.iter().position(|rule| rule.name == name);
        let mut results: Vec<Value> = self
            .findings
            .iter()
            .map(|it| result(it, index(it.rule)))
            .collect();
        results.extend(self.suppressed.iter().map(|(it, reason)| {
            let mut value = result(it, index(it.rule));
            value["suppressions"] = json!([{ "kind": "inSource", "justification": reason }]);
            value
        }));
        json!({
            "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
            "version": "2.1.0",
            "runs": [{
                "tool": { "driver": {
                    "name": "xtask",
                    "semanticVersion": env!("CARGO_PKG_VERSION"),
                    "rules": all.iter().map(|rule| descriptor(rule)).collect::<Vec<_>>(),
                }},
                "invocations": [{
                    "executionSuccessful": self.problems.is_empty(),
                    "toolConfigurationNotifications": self.problems.iter().map(unread).collect::<Vec<_>>(),
                }],
                "columnKind": "unicodeCodePoints",
                "originalUriBaseIds": { "SRCROOT": { "description": { "text": "the workspace's root" } } },
                "results": results,
            }],
        })
    }
}

/// A file that cargo-make would refuse.
fn unread(problem: &Problem) -> Value {
    let mut place =
        json!({ "artifactLocation": { "uri": uri(&problem.shown), "uriBaseId": "SRCROOT" } });
    if let Some(at) = problem.position {
        place["region"] = json!({ "startLine": at.line, "startColumn": at.column });
    }
    json!({
        "level": "error",
        "message": { "text": format!("{}. {}", problem.message, problem.hint) },
        "locations": [{ "physicalLocation": place }],
    })
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Deny => "error",
        Level::Warn => "warning",
        Level::Off => "none",
    }
}

fn descriptor(rule: &Rule) -> Value {
    json!({
        "id": rule.name,
        "shortDescription": { "text": rule.what },
        "fullDescription": { "text": rule.why },
        "help": { "text": rule.mend },
        "defaultConfiguration": { "level": level(rule.level) },
        "properties": { "tags": [rule.family.title()] },
    })
}

fn result(it: &Finding, index: Option<usize>) -> Value {
    let message = match &it.help {
        Some(help) => format!("{}. {help}", it.message),
        None => it.message.clone(),
    };
    let mut value = json!({
        "ruleId": it.rule,
        "level": level(it.level),
        "message": { "text": message },
        "locations": [{ "physicalLocation": {
            "artifactLocation": { "uri": uri(&it.file), "uriBaseId": "SRCROOT" },
            "region": {
                "startLine": it.line,
                "startColumn": it.column,
                "endLine": it.end_line,
                "endColumn": it.end_column,
            },
        }}],
    });
    if let Some(index) = index {
        value["ruleIndex"] = json!(index);
    }
    value
}

/// A relative reference: what is no plain character of a path is percent-encoded.
fn uri(path: &str) -> String {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    const OTHERS: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'/')
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~');
    utf8_percent_encode(path, OTHERS).to_string()
}
