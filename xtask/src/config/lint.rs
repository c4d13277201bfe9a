//! `[lint]`: what `tasks check` holds the task files to.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::check_pattern;
use crate::error::{self, Fault};
use crate::lint;

/// What `tasks check` holds the task files to.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Lint {
    /// The level of rules that `rules` does not name; without it, each has its own.
    pub level: Option<LintLevel>,
    /// Levels by rule (`docs/task-rules.md` has them all).
    pub rules: BTreeMap<String, LintLevel>,
    /// The words that tasks begin with: `build`, or `build-TARGET`.
    pub actions: Vec<String>,
    /// Actions that every member must have.
    pub required: Vec<String>,
    /// The categories that there are; none: any.
    pub categories: Vec<String>,
    /// Tasks that people and CI call, beside the actions and what documents name; `*` is any run of
    /// characters.
    pub entry_points: Vec<String>,
    /// Names that need not begin with an action; `*` is any run of characters.
    pub names: Vec<String>,
    /// The names of tasks that are there to be extended; `*` is any run of characters.
    pub bases: Vec<String>,
    /// Tasks that write, and so never run beside others; `*` is any run of characters.
    pub writers: Vec<String>,
    /// Where the shared files are: paths relative to the root, with `/`; `*` is any run of characters
    /// within a name, `**` any number of directories.
    pub shared: Vec<String>,
    /// Documents and workflows whose task names are checked. The same patterns.
    pub docs: Vec<String>,
    /// Members that need no task file, by directory. The same patterns.
    pub without_tasks: Vec<String>,
    /// Variables that tasks may use and nothing here defines; `*` is any run of characters.
    pub variables: Vec<String>,
    /// How many steps of `extend` lie between a task and its first base, at the most.
    pub max_extend_depth: usize,
    /// How many lines a body has at least for `identical-bodies` to report it where it is a script.
    pub min_copied_lines: usize,
}

/// What a finding does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum LintLevel {
    /// Nothing: the rule does not run.
    Off,
    /// It is reported.
    Warn,
    /// It is reported, and the check fails.
    Deny,
}

/// The words of this list, owned.
fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|&it| it.to_owned()).collect()
}

impl Default for Lint {
    fn default() -> Lint {
        Lint {
            level: None,
            rules: BTreeMap::new(),
            actions: words(&[
                "build",
                "build-release",
                "clean",
                "format",
                "format-fix",
                "lint",
                "lint-fix",
                "test",
                "test-integration",
                "test-e2e",
                "test-docs",
                "run",
                "setup",
                "setup-system",
            ]),
            required: words(&["build", "clean", "format", "lint"]),
            categories: Vec::new(),
            entry_points: words(&["default", "ci-*"]),
            names: words(&["default", "ci-*"]),
            bases: words(&["base-*", "*-base"]),
            writers: words(&[
                "build",
                "build-*",
                "clean",
                "clean-*",
                "format-fix",
                "format-fix-*",
                "lint-fix",
                "lint-fix-*",
                "setup",
                "setup-*",
            ]),
            shared: words(&["cargo-make/*.toml"]),
            docs: words(&[
                "*.md",
                "docs/**/*.md",
                ".ci/*",
                ".github/**/*.md",
                ".github/**/*.yml",
                ".github/**/*.yaml",
            ]),
            without_tasks: Vec::new(),
            variables: Vec::new(),
            max_extend_depth: 2,
            min_copied_lines: 1,
        }
    }
}

impl Lint {
    /// Names must exist, and patterns must be paths.
    pub(super) fn check(&self, name: &str) -> Result<(), Fault> {
        for rule in self.rules.keys() {
            if lint::rule(rule).is_none() {
                let fault = Fault::usage(format!(
                    "{name}: [lint.rules] names `{rule}`, which is no rule"
                ));
                let known = lint::rules().map(|it| it.name);
                return Err(match error::nearest(rule, known) {
                    Some(near) => fault.hint(format!("did you mean `{near}`?")),
                    None => fault.hint("`cargo xtask tasks check --help` lists the rules"),
                });
            }
        }
        for required in &self.required {
            if !self.actions.contains(required) {
                return Err(Fault::usage(format!(
                    "{name}: [lint] requires `{required}`, which is not in its `actions`"
                )));
            }
        }
        for (list, whose) in [
            (&self.shared, "shared"),
            (&self.docs, "docs"),
            (&self.without_tasks, "without_tasks"),
        ] {
            for pattern in list {
                check_pattern(pattern, &format!("{name}: [lint] {whose}"))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn a_rule_that_does_not_exist_is_named_with_the_near_one() {
        let fault =
            Config::parse("[lint.rules]\nundefined-tusk = 'deny'", "xtask.toml").unwrap_err();
        let error = anyhow::Error::from(fault);
        assert!(
            error
                .to_string()
                .contains("[lint.rules] names `undefined-tusk`")
        );
        assert_eq!(
            crate::error::hint_of(&error),
            Some("did you mean `undefined-task`?")
        );
        assert!(Config::parse("[lint.rules]\nundefined-task = 'off'", "x").is_ok());
        assert!(Config::parse("[lint.rules]\nundefined-task = 'loud'", "x").is_err());
        assert!(Config::parse("[lint]\nactions = ['build']\nrequired = ['bild']", "x").is_err());
        assert!(Config::parse("[lint]\ndocs = ['../x']", "x").is_err());
    }
}
