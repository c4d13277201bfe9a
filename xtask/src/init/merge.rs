//! Ours beside what is there: a task file that somebody wrote keeps every task, and gets what it lacks.
//! Pure.
//!
//! cargo-make merges tasks of one name field by field, so ours never takes a name that is in use. What a
//! file leans on (cargo-make's core tasks, runs in every member, variables of git and rustc) stays on
//! for it, although the shared files switch it off.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::Value;
use toml_edit::{Document, DocumentMut, Item};

use super::taskfile::{self, Mode, Task, TaskFile};
use super::{Kind, Options, Plan, Survey, tasks};
use crate::config;
use crate::error::Fault;

/// Members that a run in every member leaves out, in a task file's `[env]`.
const SKIP: &str = "CARGO_MAKE_WORKSPACE_SKIP_MEMBERS";

/// A task that was there before.
#[derive(Clone, Debug)]
struct Theirs {
    /// The file that has it.
    file: String,
    /// From 1.
    line: usize,
    value: Value,
}

/// A file as it is there.
struct Existing<'a> {
    path: &'a str,
    text: &'a str,
    value: Value,
    /// The lines of its tasks.
    lines: BTreeMap<String, usize>,
}

impl<'a> Existing<'a> {
    fn read(path: &'a str, text: &'a str) -> Result<Existing<'a>, Fault> {
        let bad = |message: &str, span: Option<std::ops::Range<usize>>| {
            let place = span.map_or_else(String::new, |it| config::place(text, it.start));
            Fault::usage(format!(
                "{path}{place}: {}",
                message.trim().replace('\n', "; ")
            ))
            .hint("mend it first: nothing was written")
        };
        let document = Document::parse(text).map_err(|error| bad(error.message(), error.span()))?;
        let value: Value =
            toml_edit::de::from_str(text).map_err(|error| bad(error.message(), error.span()))?;
        let mut lines = BTreeMap::new();
        if let Some(tasks) = document.get("tasks").and_then(Item::as_table_like) {
            for (name, item) in tasks.iter() {
                let key = tasks.key(name).and_then(toml_edit::Key::span);
                let at = key.or_else(|| item.span()).map_or(0, |it| it.start);
                lines.insert(name.to_owned(), text[..at].matches('\n').count() + 1);
            }
        }
        Ok(Existing {
            path,
            text,
            value,
            lines,
        })
    }

    fn tasks(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.value
            .get("tasks")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
    }

    fn config(&self, key: &str) -> Option<bool> {
        self.value.get("config")?.get(key)?.as_bool()
    }
}

/// The files below the root that a task file extends, as paths below the root.
pub(super) fn extended(path: &str, text: &str) -> Vec<String> {
    let Ok(value) = toml_edit::de::from_str::<Value>(text) else {
        return Vec::new();
    };
    let directory: Vec<&str> = match path.rsplit_once('/') {
        Some((directory, _)) => directory.split('/').collect(),
        None => Vec::new(),
    };
    paths(value.get("extend"))
        .filter_map(|it| {
            let mut parts = directory.clone();
            for part in it.split('/') {
                match part {
                    "" | "." => {}
                    ".." => {
                        parts.pop()?;
                    }
                    part => parts.push(part),
                }
            }
            Some(parts.join("/"))
        })
        .collect()
}

/// The paths of `extend`: a string, a table, or a list of them.
fn paths(extend: Option<&Value>) -> impl Iterator<Item = &str> {
    let all: Vec<&Value> = match extend {
        Some(Value::Array(items)) => items.iter().collect(),
        other => other.into_iter().collect(),
    };
    all.into_iter()
        .filter_map(|it| it.as_str().or_else(|| it.get("path")?.as_str()))
}

/// What ours is, in each way in which it may have been written: with the task's name, as a value.
fn variants(task: &Task) -> Vec<Value> {
    let value = |text: String| {
        let file: Value = toml_edit::de::from_str(&text).ok()?;
        file.get("tasks")?.get(&task.name).cloned()
    };
    Mode::ALL
        .iter()
        .filter_map(|mode| value(taskfile::render(task, *mode)))
        .collect()
}

/// What a task file and those that it extends have of their own.
fn theirs(
    survey: &Survey,
    options: &Options,
    start: &str,
    ours: &[TaskFile],
) -> Result<BTreeMap<String, Theirs>, Fault> {
    let mut found = BTreeMap::new();
    let mut queue = vec![start.to_owned()];
    let mut seen = BTreeSet::new();
    while let Some(path) = queue.pop() {
        let Some((path, text)) = survey.files.get_key_value(&path) else {
            continue;
        };
        if !seen.insert(path.clone()) {
            continue;
        }
        let own = ours.iter().find(|it| it.path == *path);
        if own.is_some_and(|it| it.text == *text) {
            queue.extend(extended(path, text));
            continue;
        }
        let existing = Existing::read(path, text)?;
        for (name, value) in existing.tasks() {
            let of_ours = own.and_then(|it| it.tasks.iter().find(|it| it.name == *name));
            // A part in another language that was here before may have brought a base that is used no more.
            let stale = *path == tasks::BASES && name.starts_with("base-");
            let replaced = options.force && path != start && of_ours.is_some();
            if stale || replaced || of_ours.is_some_and(|it| variants(it).contains(value)) {
                continue;
            }
            found.entry(name.clone()).or_insert_with(|| Theirs {
                file: path.clone(),
                line: existing.lines.get(name).copied().unwrap_or(0),
                value: value.clone(),
            });
        }
        queue.extend(extended(path, text));
    }
    Ok(found)
}

/// Makes room for what is there: a task of the root keeps its name, and the shared files go without.
pub(super) fn yield_names(
    survey: &Survey,
    options: &Options,
    files: &mut [TaskFile],
) -> Result<(), Fault> {
    let root = theirs(survey, options, "Makefile.toml", files)?;
    let (mode, _) = mode(survey, "Makefile.toml", &root, files)?;
    let shared: Vec<String> = files
        .iter()
        .find(|it| it.path == "Makefile.toml")
        .map_or_else(Vec::new, |it| it.extend.clone());
    for file in files
        .iter_mut()
        .filter(|it| shared.contains(&it.path) && it.path != tasks::BASES)
    {
        file.mode = mode;
        let stays = |task: &Task| {
            root.get(&task.name)
                .is_none_or(|it| it.file == file.path || options.force)
        };
        file.yielded = file
            .tasks
            .iter()
            .filter(|it| !stays(it))
            .map(|it| it.name.clone())
            .collect();
        file.tasks.retain(stays);
    }
    for file in files {
        file.text = file.render();
    }
    Ok(())
}

/// The files that a file extends, and what those extend.
fn chain(survey: &Survey, path: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut queue = vec![path.to_owned()];
    while let Some(path) = queue.pop() {
        let text = survey.files.get(&path).map_or("", String::as_str);
        let new = extended(&path, text)
            .into_iter()
            .filter(|it| found.insert(it.clone()));
        queue.extend(new);
    }
    found
}

/// How ours has to be written beside these tasks, and whether they lean on cargo-make's core tasks.
fn mode(
    survey: &Survey,
    path: &str,
    theirs: &BTreeMap<String, Theirs>,
    files: &[TaskFile],
) -> Result<(Mode, bool), Fault> {
    let Some(text) = survey.files.get(path) else {
        return Ok((Mode::default(), false));
    };
    let existing = Existing::read(path, text)?;
    let leans = |it: &Theirs| {
        let bodies = [
            "command",
            "script",
            "run_task",
            "dependencies",
            "extend",
            "alias",
            "disabled",
        ];
        let partial = !bodies.iter().any(|key| it.value.get(key).is_some());
        let ours = |name: &str| {
            files
                .iter()
                .any(|it| it.tasks.iter().any(|it| it.name == name))
        };
        let unknown = |name: &str| !theirs.contains_key(name) && !ours(name);
        partial || references(&it.value).into_iter().any(unknown)
    };
    let core = existing.config("skip_core_tasks") != Some(true) && theirs.values().any(leans);
    let below = chain(survey, path);
    let clear = core
        || files
            .iter()
            .any(|it| it.path.ends_with("Makefile.toml") && below.contains(&it.path));
    let has_members = survey.members.iter().any(|it| !it.directory.is_empty());
    let default = existing.config("default_to_workspace");
    let fans_out = |it: &Theirs| it.value.get("workspace").is_none();
    let members = path == "Makefile.toml"
        && has_members
        && default != Some(false)
        && theirs.values().any(fans_out);
    Ok((Mode { clear, members }, core))
}

/// The tasks that a task names.
fn references(task: &Value) -> Vec<&str> {
    let mut found = Vec::new();
    for key in [
        "dependencies",
        "run_task",
        "extend",
        "alias",
        "linux_alias",
        "mac_alias",
        "windows_alias",
    ] {
        collect_names(task.get(key), &mut found);
    }
    found
}

fn collect_names<'a>(value: Option<&'a Value>, found: &mut Vec<&'a str>) {
    match value {
        Some(Value::String(name)) => found.push(name),
        Some(Value::Array(items)) => items.iter().for_each(|it| collect_names(Some(it), found)),
        Some(Value::Object(table)) => collect_names(table.get("name"), found),
        _ => {}
    }
}

/// Plans a task file: ours as it is where there is none, else what is there and what it lacks.
pub(super) fn write(
    survey: &Survey,
    options: &Options,
    files: &[TaskFile],
    file: &TaskFile,
    plan: &mut Plan,
) -> Result<(), Fault> {
    if !file.yielded.is_empty() {
        let root = self::theirs(survey, options, "Makefile.toml", files)?;
        for (name, it) in root.iter().filter(|it| file.yielded.contains(it.0)) {
            plan.note(Kind::Conflict, &it.file, it.line, stays(name));
        }
    }
    let Some((path, text)) = survey.files.get_key_value(&file.path) else {
        plan.write(survey, &file.path, file.text.clone());
        return Ok(());
    };
    if file.text == *text {
        return Ok(());
    }
    let existing = Existing::read(path, text)?;
    let theirs = theirs(survey, options, path, files)?;
    let (mode, core) = mode(survey, path, &theirs, files)?;
    let mut edits = Edits {
        document: text.parse().map_err(|error: toml_edit::TomlError| {
            Fault::usage(format!("{path}: {}", error.message()))
        })?,
        added: String::new(),
    };
    let mut added: Vec<&Task> = Vec::new();
    for task in &file.tasks {
        match theirs.get(&task.name) {
            None if existing.lines.contains_key(&task.name) => {}
            None => added.push(task),
            Some(it) if it.file == *path && options.force => {
                edits.remove(&task.name);
                added.push(task);
            }
            Some(it) => plan.note(Kind::Conflict, &it.file, it.line, stays(&task.name)),
        }
    }
    for (name, it) in theirs.iter().filter(|(name, it)| {
        it.file == *path && !(options.force && file.tasks.iter().any(|task| task.name == **name))
    }) {
        let what = untranslated(&it.value);
        plan.note(
            Kind::Untranslated,
            path,
            it.line,
            format!("task `{name}`: {what}"),
        );
    }
    edits.extend(file, &existing);
    edits.settings(file, &existing, &theirs, (mode, core), &options.name);
    let skips = existing.value.get("env").and_then(|it| it.get(SKIP));
    if skips.is_some_and(|it| mode.members && !it.to_string().contains(&options.name)) {
        let message = format!(
            "`{SKIP}` lacks `{}`: tasks that run in every member fail in it",
            options.name
        );
        plan.note(Kind::Left, path, 0, message);
    }
    for task in added {
        edits.added.push('\n');
        edits.added.push_str(&taskfile::render(task, mode));
    }
    let new = edits.finish(file, &existing);
    if toml_edit::de::from_str::<Value>(&new).is_err() {
        // `tasks.a.command = …` at the top, or `tasks = { … }`: nothing can be added behind it.
        plan.note(
            Kind::Conflict,
            path,
            0,
            "writes `tasks` in a way that nothing can be added to; write them as `[tasks.NAME]`",
        );
        return Ok(());
    }
    plan.write(survey, path, new);
    Ok(())
}

fn stays(name: &str) -> String {
    format!("task `{name}` is there already, and stays as it is; `--force` replaces it")
}

/// What of a task a person has to move, in words.
fn untranslated(task: &Value) -> String {
    let mut what = Vec::new();
    match task.get("script") {
        Some(Value::String(script)) => what.push(format!(
            "an inline script of {}",
            lines(script.lines().count())
        )),
        Some(Value::Array(script)) => {
            let count = script
                .iter()
                .filter_map(Value::as_str)
                .map(|it| it.lines().count().max(1))
                .sum();
            what.push(format!("an inline script of {}", lines(count)));
        }
        Some(Value::Object(table)) => {
            let file = table
                .get("file")
                .and_then(Value::as_str)
                .unwrap_or("a file");
            what.push(format!("the script `{file}`"));
        }
        _ => {}
    }
    let has = |key: &str| task.get(key).is_some();
    if let Some(runner) = task.get("script_runner").and_then(Value::as_str) {
        what.push(format!("run by `{runner}`"));
    }
    if has("condition") || has("condition_script") {
        what.push("a condition, which can skip it silently".to_owned());
    }
    if has("env_files") || has("env") {
        what.push("an environment of its own, which overrides the user's".to_owned());
    }
    for key in [
        "linux",
        "mac",
        "windows",
        "install_script",
        "watch",
        "init",
        "plugin",
    ] {
        if has(key) {
            what.push(format!("`{key}`"));
        }
    }
    if what.is_empty() {
        what.push("a body of its own".to_owned());
    }
    let advice = if task.get("script").is_some() {
        "; it works as before. To move it: a command of your own crate, and `args = [\"xtask\", …]` here"
    } else {
        "; it works as before"
    };
    format!("{}{advice}", what.join(", "))
}

fn lines(count: usize) -> String {
    match count {
        1 => "1 line".to_owned(),
        count => format!("{count} lines"),
    }
}

/// A file that changes: what is edited in place, and what comes at its end.
struct Edits {
    document: DocumentMut,
    added: String,
}

impl Edits {
    fn remove(&mut self, task: &str) {
        if let Some(tasks) = self
            .document
            .get_mut("tasks")
            .and_then(Item::as_table_like_mut)
        {
            tasks.remove(task);
        }
    }

    /// Ours come first, so that what theirs extend wins.
    fn extend(&mut self, file: &TaskFile, existing: &Existing<'_>) {
        let known = extended(existing.path, existing.text);
        let ours: Vec<&String> = file
            .extend
            .iter()
            .zip(extended(&file.path, &file.render()))
            .filter(|(_, path)| !known.contains(path))
            .map(|(written, _)| written)
            .collect();
        let Some(before) = self.document.get_mut("extend").filter(|_| !ours.is_empty()) else {
            return;
        };
        let mut all = toml_edit::Array::new();
        let table = |path: &str| {
            let mut table = toml_edit::InlineTable::new();
            table.insert("path", path.into());
            toml_edit::Value::from(table)
        };
        for path in ours {
            all.push_formatted(table(path));
        }
        match before.as_value() {
            Some(toml_edit::Value::Array(items)) => {
                for item in items {
                    match item.as_str() {
                        Some(path) => all.push_formatted(table(path)),
                        None => all.push_formatted(item.clone()),
                    }
                }
            }
            Some(toml_edit::Value::String(path)) => all.push_formatted(table(path.value())),
            Some(other) => all.push_formatted(other.clone()),
            None => {}
        }
        for item in all.iter_mut() {
            item.decor_mut().set_prefix("\n  ");
            item.decor_mut().set_suffix("");
        }
        all.set_trailing("\n");
        all.set_trailing_comma(true);
        *before = toml_edit::value(all);
    }

    /// `[config]` and `[env]`: what ours need, and what theirs lean on.
    fn settings(
        &mut self,
        file: &TaskFile,
        existing: &Existing<'_>,
        theirs: &BTreeMap<String, Theirs>,
        (mode, core): (Mode, bool),
        crate_directory: &str,
    ) {
        let Ok(mut wanted) = file.settings.parse::<DocumentMut>() else {
            return;
        };
        let mut config: Vec<(&str, bool)> = Vec::new();
        if !theirs.is_empty() {
            if core {
                config.push(("skip_core_tasks", false));
            }
            if mode.members {
                config.push(("default_to_workspace", true));
            }
            for (word, key) in [
                ("CARGO_MAKE_GIT_", "skip_git_env_info"),
                ("CARGO_MAKE_RUST_", "skip_rust_env_info"),
                ("CARGO_MAKE_CRATE_", "skip_crate_env_info"),
            ] {
                if existing.text.contains(word) {
                    config.push((key, false));
                }
            }
        }
        for (key, value) in config {
            wanted["config"][key] = toml_edit::value(value);
        }
        if !theirs.is_empty() && mode.members {
            // What runs in every member does not know the new one.
            let skipped = toml_edit::Array::from_iter([crate_directory]);
            wanted["env"][SKIP] = toml_edit::value(skipped);
        }
        for (section, item) in wanted.iter() {
            let Some(table) = item.as_table_like() else {
                continue;
            };
            let there = self
                .document
                .get_mut(section)
                .and_then(Item::as_table_like_mut);
            match there {
                Some(there) => {
                    for (key, value) in table
                        .iter()
                        .filter(|(key, _)| existing.value[section].get(key).is_none())
                    {
                        there.insert(key, value.clone());
                    }
                }
                None => {
                    let _ = write!(self.added, "\n[{section}]\n");
                    for (key, value) in table.iter() {
                        let _ = writeln!(self.added, "{key} = {}", value.to_string().trim());
                    }
                }
            }
        }
    }

    fn finish(self, file: &TaskFile, existing: &Existing<'_>) -> String {
        let mut text = self.document.to_string();
        if !existing
            .value
            .as_object()
            .is_some_and(|it| it.contains_key("extend"))
            && !file.extend.is_empty()
        {
            let head = TaskFile {
                extend: file.extend.clone(),
                ..TaskFile::default()
            }
            .render();
            text.insert_str(top(&text), &format!("{head}\n"));
        }
        if !self.added.is_empty() {
            if !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
            text.push_str(&self.added);
        }
        if existing.text.contains("\r\n") {
            text = text.replace("\r\n", "\n").replace('\n', "\r\n");
        }
        text
    }
}

/// Where the first key goes: behind the comment that a file begins with, if a blank line ends it.
fn top(text: &str) -> usize {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        match line.trim() {
            "" if at > 0 => return at + line.len(),
            comment if comment.starts_with('#') => at += line.len(),
            _ => return 0,
        }
    }
    0
}
