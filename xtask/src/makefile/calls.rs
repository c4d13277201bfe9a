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
        named(program, &plain, task.text("cwd"))
            .into_iter()
            .filter(|it| it.cwd.is_some() || self.tasks.contains_key(plain[it.at]))
            .map(|it| Reference {
                name: plain[it.at].to_owned(),
                via: Via::Command,
                path: it.cwd,
                field: "args",
                span: words[it.at].1.span,
                source: args.source.clone(),
            })
            .collect()
    }
}

/// A task that a command line names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Which word it is.
    pub at: usize,
    /// The directory that the command runs in, if it is another one.
    pub cwd: Option<String>,
    /// Whether `cargo xtask parallel` runs it.
    pub parallel: bool,
    /// Whether others run at the same time: `parallel` without `--jobs 1`.
    pub together: bool,
    /// Whether a `--makefile` says that it is another file's.
    pub elsewhere: bool,
}

/// The tasks that a command line names, wherever in it: after `cargo make` one, after `cargo xtask make`
/// and `parallel` any number.
#[must_use]
pub fn named(program: &str, words: &[&str], cwd: Option<&str>) -> Vec<Named> {
    let mut found: Vec<Named> = Vec::new();
    let mut cwd = cwd.map(str::to_owned);
    let mut listening = match program {
        "makers" | "cargo-make" => Listening::One,
        _ => Listening::No,
    };
    let (mut parallel, mut together, mut elsewhere) = (false, true, false);
    // The flag whose value comes next.
    let mut flag = "";
    for (at, word) in words.iter().copied().enumerate() {
        let before = match at {
            0 => program,
            at => words[at - 1],
        };
        match (word, before) {
            ("make", "cargo") => {
                (listening, parallel) = (Listening::One, false);
                continue;
            }
            ("make", "xtask") => {
                (listening, parallel) = (Listening::Any, false);
                continue;
            }
            ("parallel", "xtask") => {
                (listening, parallel, together) = (Listening::Any, true, true);
                continue;
            }
            ("cargo" | "--", _) => {
                listening = Listening::No;
                continue;
            }
            _ => {}
        }
        if listening == Listening::No {
            continue;
        }
        let mut value = None;
        if !flag.is_empty() {
            value = Some((std::mem::take(&mut flag), word));
        } else if let Some((flag, inner)) = word.split_once('=').filter(|_| word.starts_with('-')) {
            value = Some((flag, inner));
        } else if word.starts_with('-') {
            if WITH_VALUE.contains(&word) {
                flag = word;
            }
            continue;
        }
        match value {
            Some(("--cwd" | "-C", directory)) => cwd = Some(directory.to_owned()),
            Some(("--makefile", _)) => elsewhere = true,
            Some(("--jobs" | "-j", "1")) => {
                together = false;
                // Also for those before it.
                for it in found.iter_mut().filter(|it| it.parallel) {
                    it.together = false;
                }
            }
            Some(_) => {}
            // What a variable names is not known here.
            None if word.contains("${") || word.is_empty() => {}
            None => {
                found.push(Named {
                    at,
                    cwd: cwd.clone(),
                    parallel,
                    together: parallel && together,
                    elsewhere,
                });
                if listening == Listening::One {
                    // What follows the task are its arguments.
                    listening = Listening::No;
                }
            }
        }
    }
    found
}

/// Flags of the two that take a value.
pub const WITH_VALUE: [&str; 14] = [
    "--cwd",
    "--makefile",
    "--profile",
    "-p",
    "--env",
    "-e",
    "--env-file",
    "--loglevel",
    "-l",
    "--jobs",
    "-j",
    "-C",
    "--format",
    "--color",
];

#[derive(Clone, Copy, PartialEq)]
enum Listening {
    No,
    One,
    Any,
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
