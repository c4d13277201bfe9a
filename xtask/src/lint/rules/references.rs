//! Names that must exist, and ways that must end.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::error;
use crate::lint::facts::{self, Call, How, has_alias};
use crate::lint::{Check, Family, Found, Level, Rule, View};
use crate::makefile::{Task, Via};

pub(super) static RULES: &[Rule] = &[
    Rule {
        name: "undefined-task",
        family: Family::References,
        level: Level::Deny,
        what: "a task is named that does not exist",
        why: "cargo-make looks for a name only when it gets there: the tasks before it have run by then",
        mend: "name a task that exists, or define this one",
        fixable: false,
        check: Check::Directory(undefined_task),
    },
    Rule {
        name: "dependency-cycle",
        family: Family::References,
        level: Level::Deny,
        what: "tasks need each other in a circle",
        why: "cargo-make ends with a stack overflow, or runs the tasks in an order that nobody wrote",
        mend: "take one reference out of the circle",
        fixable: false,
        check: Check::Directory(dependency_cycle),
    },
    Rule {
        name: "extend-cycle",
        family: Family::References,
        level: Level::Deny,
        what: "tasks extend each other, or are each other's alias, in a circle",
        why: "no task of the circle can run: on `extend` cargo-make ends with a stack overflow",
        mend: "let one task of the circle stand for itself",
        fixable: false,
        check: Check::Directory(extend_cycle),
    },
    Rule {
        name: "runs-twice",
        family: Family::References,
        level: Level::Warn,
        what: "a task is a dependency and is called by `run_task`, too",
        why: "`run_task` begins a new flow, which knows nothing of what ran before: the task runs twice",
        mend: "call it in one of the two ways",
        fixable: false,
        check: Check::Directory(runs_twice),
    },
    Rule {
        name: "duplicate-dependency",
        family: Family::References,
        level: Level::Warn,
        what: "a task is listed twice in one `dependencies`",
        why: "cargo-make runs it once, at the first place: the second one says an order that does not hold",
        mend: "remove the second one",
        fixable: true,
        check: Check::File(duplicate_dependency),
    },
];

fn undefined_task(view: &View, found: &mut Found) {
    let tasks = &view.directory.makefile.tasks;
    for key in [
        "init_task",
        "end_task",
        "on_error_task",
        "legacy_migration_task",
    ] {
        if let Some(field) = view.directory.makefile.config.get(key)
            && !field.source.is_internal()
            && let Some(name) = field.value.as_str()
            && !tasks.contains_key(name)
        {
            let raw = found.at(
                &field.source,
                field.value.span,
                format!("`{name}` is no task"),
            );
            near(raw, name, tasks.keys().map(|it| &**it));
        }
    }
    // What can run here: what people can call, and what that calls.
    let mut seen: HashSet<Arc<str>> = HashSet::new();
    let mut next: Vec<Arc<str>> = tasks
        .values()
        .filter(|task| !task.is_internal())
        .filter(|task| {
            // A task that cannot be resolved is looked at as it stands.
            view.task(&task.name).is_none_or(|it| !it.is_private())
        })
        .map(|task| task.name.clone())
        .collect();
    // What only another file of this directory could call is looked at where it is written.
    next.extend(
        view.raws()
            .filter(|it| it.text("extend").is_some())
            .filter(|it| {
                it.text("extend")
                    .is_some_and(|base| !tasks.contains_key(base))
            })
            .map(|it| it.name.clone()),
    );
    while let Some(name) = next.pop() {
        if !seen.insert(name.clone()) {
            continue;
        }
        let Some(raw) = view.raw(&name).filter(|task| !task.is_internal()) else {
            continue;
        };
        let resolved = view.task(&name);
        let mut calls = facts::calls(raw, &view.directory.path);
        if let Some(task) = resolved.as_ref().filter(|_| !has_alias(raw)) {
            calls.extend(facts::calls(task, &view.directory.path));
        }
        for call in calls {
            if call.source.is_internal() {
                continue;
            }
            match &call.how {
                How::Make(None) => {}
                How::Make(Some(path)) => elsewhere(view, &call, path, found),
                How::Via(_) | How::Parallel(_) => match tasks.get_key_value(&*call.name) {
                    // What a base names is its children's, unless they replace it.
                    Some(_) if call.how == How::Via(Via::Extend) => {}
                    Some((name, _)) => next.push(name.clone()),
                    None => report(view, &call, found),
                },
            }
        }
    }
}

fn report(view: &View, call: &Call, found: &mut Found) {
    let name = &call.name;
    if name.contains("${") {
        return; // Known when it runs.
    }
    let tasks = &view.directory.makefile.tasks;
    let raw = found.at(&call.source, call.span, format!("`{name}` is no task"));
    let own = Arc::ptr_eq(&call.source, &view.directory.own);
    if near(raw, name, tasks.keys().map(|it| &**it)) {
        return;
    }
    if own {
        raw.help(format!(
            "nothing that `{}` extends defines it",
            call.source.shown
        ));
    } else {
        raw.help(format!(
            "{} uses this, and does not have `{name}`: define it there",
            view.shown()
        ));
    }
}

/// The task of another directory.
fn elsewhere(view: &View, call: &Call, path: &str, found: &mut Found) {
    let Some(other) = view.facts.directory(path) else {
        return;
    };
    let tasks = &other.makefile.tasks;
    let name = &call.name;
    if tasks.contains_key(name.as_str()) || name == "default" {
        return;
    }
    let shown = if path.is_empty() { "the root" } else { path };
    let raw = found.at(
        &call.source,
        call.span,
        format!("`{name}` is no task in {shown}"),
    );
    if !near(raw, name, tasks.keys().map(|it| &**it)) {
        raw.help(format!("define it in `{}`", other.own.shown));
    }
}

fn near<'a>(raw: &mut crate::lint::Raw, name: &str, known: impl Iterator<Item = &'a str>) -> bool {
    match error::nearest(name, known) {
        Some(near) => {
            raw.help(format!("did you mean `{near}`?"));
            true
        }
        None => false,
    }
}

/// What a task waits for before it is done, with where that is said.
fn needs(view: &View, task: &Task) -> Vec<Call> {
    facts::calls(task, &view.directory.path)
        .into_iter()
        .filter(|call| match &call.how {
            How::Via(via) => matches!(
                via,
                Via::Dependency | Via::RunTask | Via::RunParallel | Via::Cleanup
            ),
            How::Parallel(_) => true,
            How::Make(path) => path.as_deref() == Some(view.directory.path.as_str()),
        })
        .collect()
}

fn dependency_cycle(view: &View, found: &mut Found) {
    // 1: on the way; 2: done.
    let mut state: HashMap<Arc<str>, u8> = HashMap::new();
    let mut reported: HashSet<Vec<String>> = HashSet::new();
    for start in view.raws() {
        if state.contains_key(&start.name) {
            continue;
        }
        let mut stack: Vec<(Arc<str>, Vec<Call>)> = Vec::new();
        let mut next = Some(start.name.clone());
        loop {
            if let Some(name) = next.take() {
                let calls = view.task(&name).map(|task| needs(view, &task));
                state.insert(name.clone(), 1);
                stack.push((name, calls.unwrap_or_default()));
            }
            let Some((_, calls)) = stack.last_mut() else {
                break;
            };
            let Some(call) = calls.pop() else {
                if let Some((name, _)) = stack.pop() {
                    state.insert(name, 2);
                }
                continue;
            };
            let Some(task) = view.task(&call.name) else {
                continue;
            };
            // An alias is what it stands for.
            let name = task.name.clone();
            match state.get(&name) {
                None => next = Some(name),
                Some(1) => {
                    let at = stack.iter().position(|(it, _)| *it == name).unwrap_or(0);
                    let names: Vec<String> =
                        stack[at..].iter().map(|(it, _)| it.to_string()).collect();
                    let mut key = names.clone();
                    key.sort();
                    if !call.source.is_internal() && reported.insert(key) {
                        let chain = names.join(" -> ");
                        let first = names.first().map_or("", String::as_str);
                        found.at(
                            &call.source,
                            call.span,
                            format!("tasks need each other: {chain} -> {first}"),
                        );
                    }
                }
                Some(_) => {}
            }
        }
    }
}

fn extend_cycle(view: &View, found: &mut Found) {
    let tasks = &view.directory.makefile.tasks;
    let mut done: HashSet<Arc<str>> = HashSet::new();
    for start in view.raws() {
        let mut way: Vec<Arc<str>> = Vec::new();
        let mut task: &Arc<Task> = start;
        loop {
            if let Some(at) = way.iter().position(|it| *it == task.name) {
                let names: Vec<&str> = way[at..].iter().map(|it| &**it).collect();
                let last = tasks.get(&way[way.len() - 1]);
                if let Some(field) =
                    last.and_then(|it| it.get("extend").or_else(|| it.get("alias")))
                    && !field.source.is_internal()
                {
                    let chain = names.join(" -> ");
                    found.at(
                        &field.source,
                        field.value.span,
                        format!("tasks stand for each other: {chain} -> {}", names[0]),
                    );
                }
                break;
            }
            if !done.insert(task.name.clone()) {
                break;
            }
            way.push(task.name.clone());
            let leads = task.get("alias").or_else(|| task.get("extend"));
            let Some(next) = leads
                .and_then(|it| it.value.as_str())
                .and_then(|name| tasks.get(name))
            else {
                break;
            };
            task = next;
        }
    }
}

fn runs_twice(view: &View, found: &mut Found) {
    for task in view.tasks() {
        let calls = facts::calls(&task, &view.directory.path);
        let dependencies: HashSet<&str> = calls
            .iter()
            .filter(|it| it.how == How::Via(Via::Dependency))
            .map(|it| it.name.as_str())
            .collect();
        for call in &calls {
            let flow = matches!(
                call.how,
                How::Via(Via::RunTask | Via::RunParallel) | How::Parallel(_)
            );
            if flow && dependencies.contains(call.name.as_str()) && !call.source.is_internal() {
                found.at(
                    &call.source,
                    call.span,
                    format!("`{}` is a dependency of `{}`, too", call.name, task.name),
                );
            }
        }
    }
}

fn duplicate_dependency(_: &crate::lint::Facts, file: &crate::lint::File, found: &mut Found) {
    for entry in file.file.tasks() {
        let Some(list) = entry.value.get("dependencies") else {
            continue;
        };
        let mut seen: HashSet<(&str, Option<&str>)> = HashSet::new();
        for element in list.elements() {
            let name = element.get("name").unwrap_or(element).as_str();
            let path = element.get("path").and_then(|it| it.as_str());
            let Some(name) = name else { continue };
            if seen.insert((name, path)) {
                continue;
            }
            let source = &file.file.source;
            let text = &source.text;
            let span = element.span.range();
            let edit = removed(text, &span).map(|range| crate::lint::Edit {
                file: source.shown.clone(),
                range,
                text: String::new(),
            });
            found
                .at(source, element.span, format!("`{name}` is listed before"))
                .fix("removes it", edit.into_iter().collect());
        }
    }
}

/// The bytes of an element of a list with its comma: its whole line where it has one of its own.
fn removed(text: &str, span: &std::ops::Range<usize>) -> Option<std::ops::Range<usize>> {
    let line = text[..span.start].rfind('\n').map_or(0, |at| at + 1);
    let end = text[span.end..].find('\n').map(|at| span.end + at + 1);
    let rest = end.map(|end| text[span.end..end].trim_start_matches(',').trim());
    if let (Some(end), Some(rest)) = (end, rest)
        && text[line..span.start].trim().is_empty()
        && (rest.is_empty() || rest.starts_with('#'))
    {
        return Some(line..end);
    }
    let before = text[..span.start].trim_end();
    before.ends_with(',').then(|| before.len() - 1..span.end)
}
