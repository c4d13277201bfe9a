//! What a task runs, in words; and the tasks that it starts by a command: `cargo make NAME`, and `make` and
//! `parallel` of `cargo xtask`.

use super::task::{Reference, Task, Via};
use super::value::{Data, Value};
use super::{Makefile, Platform};
use crate::mask;

impl Makefile {
    /// The tasks that a resolved task starts: `dependencies`, `run_task`, and those that its command names.
    /// A name after `cargo make` or `cargo xtask make` and `parallel` is one if it is a task, or if the
    /// command runs in another directory (then [`Reference::path`] is that).
    #[must_use]
    pub fn calls(&self, task: &Task) -> Vec<Reference> {
        let mut found = task.calls();
        found.extend(self.commanded(task));
        found
    }

    fn commanded(&self, task: &Task) -> Vec<Reference> {
        let Some(args) = task.get("args") else {
            return Vec::new();
        };
        let words: Vec<(&str, &Value)> = args
            .value
            .elements()
            .iter()
            .filter_map(|value| Some((value.as_str()?, value)))
            .collect();
        let plain: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let program = task.text("command").unwrap_or_default();
        let mut cwd = task.text("cwd").map(str::to_owned);
        let mut found = Vec::new();
        let mut listening = match program {
            "makers" | "cargo-make" => Listening::Make,
            _ => Listening::No,
        };
        let mut skip = false;
        for (at, (word, value)) in words.iter().enumerate() {
            let before = match at {
                0 => program,
                at => plain[at - 1],
            };
            match (*word, before) {
                ("make", "cargo" | "xtask") => {
                    listening = Listening::Make;
                    continue;
                }
                ("parallel", "xtask") => {
                    listening = Listening::Names;
                    continue;
                }
                ("cargo" | "--", _) => {
                    listening = Listening::No;
                    continue;
                }
                _ => {}
            }
            if std::mem::take(&mut skip) || listening == Listening::No {
                continue;
            }
            if word.starts_with('-') {
                let (flag, inner) = word.split_once('=').unwrap_or((word, ""));
                let takes_value = matches!(
                    flag,
                    "--cwd"
                        | "--makefile"
                        | "--profile"
                        | "-p"
                        | "--env"
                        | "-e"
                        | "--env-file"
                        | "--loglevel"
                        | "-l"
                        | "--jobs"
                        | "-j"
                        | "-C"
                        | "--format"
                        | "--color"
                );
                skip = takes_value && inner.is_empty();
                if flag == "--cwd" {
                    let given = if inner.is_empty() {
                        plain.get(at + 1).copied()
                    } else {
                        Some(inner)
                    };
                    cwd = given.map(str::to_owned);
                }
                continue;
            }
            // A directory that a variable names is not known here.
            if word.contains("${") {
                continue;
            }
            if cwd.is_some() || self.tasks.contains_key(*word) {
                found.push(Reference {
                    name: (*word).to_owned(),
                    via: Via::Command,
                    path: cwd.clone(),
                    field: "args",
                    span: value.span,
                    source: args.source.clone(),
                });
            }
            if listening == Listening::Make {
                // What follows the task are its arguments.
                listening = Listening::No;
            }
        }
        found
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Listening {
    No,
    /// One name.
    Make,
    /// Any number.
    Names,
}

/// A command and its arguments as a line to read, secrets masked.
fn line(words: &[&str]) -> String {
    let quoted: Vec<String> = words
        .iter()
        .map(|word| {
            let plain = !word.is_empty() && !word.contains([' ', '\t', '\n', '"', '\'', '\\']);
            if plain {
                (*word).to_owned()
            } else {
                format!("'{}'", word.replace('\n', "\\n").replace('\'', r"'\''"))
            }
        })
        .collect();
    mask::mask_urls(&quoted.join(" ")).into_owned()
}

/// A list in words, of which a long one is cut.
fn listed(names: &[String]) -> String {
    const MOST: usize = 6;
    if names.len() <= MOST {
        return names.join(", ");
    }
    let more = names.len() - (MOST - 1);
    format!("{} and {more} more", names[..MOST - 1].join(", "))
}

impl Makefile {
    /// A text in which `${NAME}` is replaced where the task's `env`, or the file's, has a plain value for
    /// it: to show what a task does here. Values of secret names stay hidden.
    #[must_use]
    pub fn filled(&self, task: &Task, text: &str) -> String {
        let mut filled = text.to_owned();
        for name in super::braced(text) {
            // One of the task's that has a condition may not hold: the file's does then.
            let own = task
                .get("env")
                .and_then(|env| env.value.get(name)?.as_str());
            let Some(value) = own.or_else(|| self.env.get(name)?.value.as_str()) else {
                continue;
            };
            if !mask::is_secret_name(name) && !value.contains("${") {
                filled = filled.replace(&format!("${{{name}}}"), &mask::mask_urls(value));
            }
        }
        filled
    }
}

impl Task {
    /// `command` and `args` as a line, secrets masked; nothing for a task without a command.
    #[must_use]
    pub fn command_line(&self) -> Option<String> {
        let command = self.text("command")?;
        let words: Vec<&str> = std::iter::once(command).chain(self.texts("args")).collect();
        Some(line(&words))
    }

    /// What a resolved task does of itself, in one line: its command, its script, the tasks that it runs.
    /// Empty if it does nothing.
    #[must_use]
    pub fn action(&self) -> String {
        if self.flag("disabled") {
            return "disabled".to_owned();
        }
        if let Some(line) = self.command_line() {
            return match self.text("cwd") {
                Some(cwd) => format!("{line} (in {cwd})"),
                None => line,
            };
        }
        if let Some(script) = self.get("script") {
            return described(&script.value);
        }
        let runs: Vec<String> = self
            .calls()
            .into_iter()
            .filter(|it| matches!(it.via, Via::RunTask | Via::RunParallel))
            .map(|it| it.name)
            .collect();
        if runs.is_empty() {
            return String::new();
        }
        let parallel = self.calls().iter().any(|it| it.via == Via::RunParallel);
        let how = if parallel { " in parallel" } else { "" };
        format!("runs {}{how}", listed(&runs))
    }

    /// What a resolved task comes to, in one line: its dependencies, then [`Task::action`].
    #[must_use]
    pub fn summary(&self) -> String {
        let dependencies: Vec<String> = self
            .calls()
            .into_iter()
            .filter(|it| it.via == Via::Dependency)
            .map(|it| match it.path {
                Some(path) => format!("{} of {path}", it.name),
                None => it.name,
            })
            .collect();
        match (dependencies.is_empty(), self.action()) {
            (true, action) if action.is_empty() => "does nothing".to_owned(),
            (true, action) => action,
            (false, action) if action.is_empty() => format!("-> {}", listed(&dependencies)),
            (false, action) => format!("{action}, after {}", listed(&dependencies)),
        }
    }

    /// Whether it is an alias on a platform, and of what.
    #[must_use]
    pub fn alias_of(&self, platform: Platform) -> Option<&str> {
        self.alias(platform).and_then(|field| field.value.as_str())
    }
}

fn described(script: &Value) -> String {
    let count = |n: usize| format!("a script of {n} line{}", if n == 1 { "" } else { "s" });
    match &script.data {
        Data::String(text) => count(text.trim().lines().count()),
        Data::Array(lines) => count(lines.len()),
        _ => match script.get("file").and_then(Value::as_str) {
            Some(file) => format!("the script file {file}"),
            None => {
                let parts = script.entries().iter();
                let texts = parts.filter_map(|entry| entry.value.as_str());
                count(texts.map(|it| it.trim().lines().count()).sum())
            }
        },
    }
}

/// A value to show: as TOML, with secrets masked by the name of their key and within URLs.
#[must_use]
pub fn shown(value: &Value) -> String {
    mask::mask_urls(&masked(value).to_string()).into_owned()
}

/// A value without its secrets.
#[must_use]
pub fn masked(value: &Value) -> Value {
    let data = match &value.data {
        Data::Array(elements) => Data::Array(elements.iter().map(masked).collect()),
        Data::Table(entries) => Data::Table(
            entries
                .iter()
                .map(|entry| {
                    let secret = mask::is_secret_name(&entry.key) && entry.value.as_str().is_some();
                    super::Entry {
                        value: if secret {
                            Value::made(Data::String(mask::MASK.into()))
                        } else {
                            masked(&entry.value)
                        },
                        ..entry.clone()
                    }
                })
                .collect(),
        ),
        Data::String(text) => Data::String(mask::mask_urls(text).into()),
        other => other.clone(),
    };
    Value {
        span: value.span,
        data,
    }
}
