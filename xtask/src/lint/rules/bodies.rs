//! What a task does, and whether that is what its author means.

use std::collections::{HashMap, HashSet};

use crate::lint::facts::{self, How, has_alias, home, is_own};
use crate::lint::names;
use crate::lint::{Check, Facts, Family, File, Found, Level, Rule, View};
use crate::makefile::{Source, Span, Task, Value, Via};

pub(super) static RULES: &[Rule] = &[
    Rule {
        name: "several-actions",
        family: Family::Bodies,
        level: Level::Deny,
        what: "a task with more than one of `command`, `script` and `run_task`, its bases' counted",
        why: "cargo-make refuses to run it: \"Invalid task, contains multiple actions\"",
        mend: "keep one action; put another into a task of its own and make that a dependency",
        fixable: false,
        check: Check::Directory(several_actions),
    },
    Rule {
        name: "does-nothing",
        family: Family::Bodies,
        level: Level::Deny,
        what: "a task that can be called and has neither an action nor dependencies",
        why: "cargo-make ends it with \"Build Done\" and 0: whoever calls it takes nothing for success",
        mend: "give it a body, or say `private = true` if it is there to be extended",
        fixable: false,
        check: Check::Directory(does_nothing),
    },
    Rule {
        name: "args-without-command",
        family: Family::Bodies,
        level: Level::Deny,
        what: "a task with `args` and no `command`, its bases' counted",
        why: "cargo-make ignores the arguments: a script or nothing runs in their place",
        mend: "give the task a `command`, or extend a task that has one",
        fixable: false,
        check: Check::Directory(args_without_command),
    },
    Rule {
        name: "public-base",
        family: Family::Bodies,
        level: Level::Deny,
        what: "a base that is not private",
        why: "it is listed and can be called: it then runs without what its children add, and often ends with 0",
        mend: "say `private = true`; children then say `private = false`",
        fixable: true,
        check: Check::Directory(public_base),
    },
    Rule {
        name: "private-inherited",
        family: Family::Bodies,
        level: Level::Deny,
        what: "a task that is private because what it extends is",
        why: "`extend` inherits `private`: the task is not listed, and calling it is refused",
        mend: "say `private = false`, or `private = true` if it is meant",
        fixable: true,
        check: Check::Directory(private_inherited),
    },
    Rule {
        name: "repeated-field",
        family: Family::Bodies,
        level: Level::Warn,
        what: "a task says again what the task that it extends says already",
        why: "a change of the base then does not reach it, and nobody sees why",
        mend: "remove it",
        fixable: true,
        check: Check::Directory(repeated_field),
    },
    Rule {
        name: "copied-condition",
        family: Family::Bodies,
        level: Level::Warn,
        what: "a condition that stands in several tasks of a file",
        why: "when one copy changes, the tasks run at different times",
        mend: "put it into a base that these tasks extend",
        fixable: false,
        check: Check::File(copied_condition),
    },
    Rule {
        name: "identical-bodies",
        family: Family::Bodies,
        level: Level::Warn,
        what: "a body that another task has, word for word",
        why: "one copy is mended and the others are not: the same word then means different things",
        mend: "write it once, as a private base in a shared file, and extend that",
        fixable: false,
        check: Check::Workspace(identical_bodies),
    },
    Rule {
        name: "parallel-writers",
        family: Family::Bodies,
        level: Level::Deny,
        what: "tasks that write, run at the same time",
        why: "they write over each other's files, or wait for each other's locks: the outcome depends on who is first",
        mend: "run them in turn: as `dependencies`, or with `cargo xtask parallel --jobs 1`",
        fixable: false,
        check: Check::Directory(parallel_writers),
    },
    Rule {
        name: "orphaning-fork",
        family: Family::Bodies,
        level: Level::Deny,
        what: "`run_task` with `parallel = true`",
        why: "the first failure ends cargo-make and leaves the others running as orphans, with output that mixes",
        mend: "use `cargo xtask parallel TASK…`: it waits for all, reports all, then fails",
        fixable: false,
        check: Check::Directory(orphaning_fork),
    },
];

fn quoted(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

fn several_actions(view: &View, found: &mut Found) {
    for task in view.tasks() {
        let actions = task.actions();
        let Some((source, key)) = home(&task) else {
            continue;
        };
        if actions.len() > 1 {
            let from: Vec<String> = actions
                .iter()
                .filter_map(|name| Some((name, task.get(name)?)))
                .map(|(name, field)| format!("`{name}` is from {}", field.place()))
                .collect();
            found
                .at(
                    source,
                    key,
                    format!("`{}` has {}", task.name, quoted(&actions)),
                )
                .help(format!("keep one: {}", from.join(", ")));
        }
    }
}

/// Whether a task has something that happens when it runs.
fn acts(task: &Task) -> bool {
    let some = |name: &str| {
        task.get(name)
            .is_some_and(|it| !it.value.elements().is_empty())
    };
    !task.actions().is_empty()
        || some("dependencies")
        || task
            .get("install_crate")
            .is_some_and(|it| it.value.as_bool() != Some(false))
        || task.get("install_script").is_some()
        || task.get("plugin").is_some()
        || task.get("env_files").is_some()
        || task.get("env").is_some()
}

fn does_nothing(view: &View, found: &mut Found) {
    // By an override, another platform may do something.
    for task in view.tasks().filter(|it| !it.is_private() && !acts(it)) {
        let own = ["linux", "windows", "mac"];
        let raw = view.raw(&task.name);
        let overridden = raw.is_some_and(|it| own.iter().any(|key| it.get(key).is_some()));
        // One of cargo-make's own, emptied; or one that says that it is gone.
        let hook = raw.is_some_and(|it| it.definitions.iter().any(|it| it.source.is_internal()))
            || task.get("deprecated").is_some();
        let base = names::is_base(&view.facts.lint, &task.name);
        if let Some((source, key)) = home(&task)
            && !overridden
            && !hook
            && !base
            && task.get("args").is_none()
            && task.get("disabled").is_none()
        {
            found.at(source, key, format!("`{}` does nothing", task.name));
        }
    }
}

fn args_without_command(view: &View, found: &mut Found) {
    for task in view.tasks() {
        let Some(args) = task.get("args") else {
            continue;
        };
        let takes = task.get("command").is_some()
            || task.get("plugin").is_some()
            || task.get("script").is_some();
        if !takes && !args.source.is_internal() {
            found.at(
                &args.source,
                args.key,
                format!("`{}` has arguments and no command", task.name),
            );
        }
    }
}

fn public_base(view: &View, found: &mut Found) {
    for task in view.tasks().filter(|it| !it.is_private()) {
        if !names::is_base(&view.facts.lint, &task.name) {
            continue;
        }
        let Some((source, key)) = home(&task) else {
            continue;
        };
        let edit = facts::value_in(view.facts, source, &task.name)
            .filter(|it| it.get("private").is_none())
            .and_then(|it| facts::add_key(source, it, "private = true"));
        found
            .at(
                source,
                key,
                format!("`{}` is there to be extended, and can be called", task.name),
            )
            .fix("says `private = true`", edit.into_iter().collect());
    }
}

fn private_inherited(view: &View, found: &mut Found) {
    for task in view.tasks().filter(|it| it.is_private()) {
        let lint = &view.facts.lint;
        if names::is_base(lint, &task.name) || task.extended.is_empty() {
            continue;
        }
        let Some(private) = task.get("private") else {
            continue;
        };
        let Some((source, key)) = home(&task) else {
            continue;
        };
        if is_own(&task, private) {
            continue;
        }
        let edit = facts::value_in(view.facts, source, &task.name)
            .and_then(|it| facts::add_key(source, it, "private = false"));
        found
            .at(source, key, format!("`{}` cannot be called", task.name))
            .help(format!(
                "it inherits `private` from `{}` ({}): say `private = false`, or `true` if it is meant",
                private.task,
                private.place()
            ))
            .fix("says `private = false`", edit.into_iter().collect());
    }
}

fn repeated_field(view: &View, found: &mut Found) {
    for raw in view.raws().filter(|it| !has_alias(it)) {
        let Some(base) = raw.text("extend").filter(|base| **base != *raw.name) else {
            continue;
        };
        let Some(base) = view.task(base) else {
            continue;
        };
        if raw.flag("clear") {
            continue;
        }
        for (name, field) in raw.fields.iter() {
            let structural = matches!(
                name,
                "extend"
                    | "clear"
                    | "linux"
                    | "windows"
                    | "mac"
                    | "script"
                    | "install_script"
                    | "category"
                    | "private"
            );
            let Some(old) = base.get(name).filter(|_| !structural) else {
                continue;
            };
            // A field of the base's own platform override is not always there.
            if old.platform || field.source.is_internal() || !same(&old.value, &field.value) {
                continue;
            }
            // What a file of the same name below says is not what this line repeats.
            if raw.definitions.len() > 1 {
                continue;
            }
            let edit = facts::value_in(view.facts, &field.source, &raw.name)
                .and_then(|task| facts::remove_key(&field.source, task, task.entry(name)?));
            found
                .at(
                    &field.source,
                    field.key,
                    format!("`{}` says the same", base.name),
                )
                .help(format!("it is at {}", old.place()))
                .fix("removes it", edit.into_iter().collect());
        }
    }
}

/// Whether two values say the same, wherever they stand.
fn same(a: &Value, b: &Value) -> bool {
    a.to_json() == b.to_json()
}

fn copied_condition(_: &Facts, file: &File, found: &mut Found) {
    let mut first: HashMap<String, (&str, Span)> = HashMap::new();
    for task in file.file.tasks() {
        let Some(condition) = task.value.entry("condition") else {
            continue;
        };
        let key = condition.value.to_json().to_string();
        match first.get(&key) {
            None => {
                first.insert(key, (&task.key, condition.key_span));
            }
            // It repeats its base's: `repeated-field` says so.
            Some((name, _)) if task.value.get("extend").and_then(Value::as_str) == Some(name) => {}
            Some((name, span)) => {
                let source = &file.file.source;
                found
                    .at(
                        source,
                        condition.key_span,
                        format!("`{name}` has the same condition"),
                    )
                    .help(format!(
                        "put it into a base for both; the first is at {}",
                        source.place(*span)
                    ));
            }
        }
    }
}

/// What makes a body, and is not a matter of a member's own.
const BODY: [&str; 8] = [
    "command",
    "args",
    "script",
    "script_runner",
    "run_task",
    "cwd",
    "env",
    "plugin",
];

fn identical_bodies(facts: &Facts, found: &mut Found) {
    struct First<'a> {
        name: &'a str,
        source: &'a std::sync::Arc<Source>,
        key: Span,
    }
    let mut first: HashMap<&str, First> = HashMap::new();
    let all = facts.in_each_directory(|view| {
        let bodies = view.raws().filter_map(|raw| {
            let (source, key) = home(raw)?;
            let own = ["args", "command", "script", "run_task"]
                .iter()
                .filter_map(|name| raw.get(name))
                .any(|field| std::sync::Arc::ptr_eq(&field.source, source));
            let task = view.task(&raw.name).filter(|_| own)?;
            let text = body(&task, facts.lint.min_copied_lines)?;
            let inherited = view.shared_file().map(str::to_owned);
            Some((text, raw.clone(), source.clone(), key, inherited))
        });
        bodies.collect::<Vec<_>>()
    });
    let places = facts.files.iter().filter(|file| file.shared);
    let shared: Vec<&str> = places.map(|it| it.file.source.shown.as_str()).collect();
    let mut said = HashSet::new();
    for (text, raw, source, key, inherited) in all.iter().flatten() {
        // A shared task is seen from every directory.
        if !said.insert((std::sync::Arc::as_ptr(source) as usize, key)) {
            continue;
        }
        let Some(one) = first.get(text.as_str()) else {
            let one = First {
                name: &raw.name,
                source,
                key: *key,
            };
            first.insert(text, one);
            continue;
        };
        let here = std::sync::Arc::ptr_eq(one.source, source);
        let is_base = names::is_base(&facts.lint, one.name);
        let place = if here {
            source.shown.as_str()
        } else {
            let inherited = inherited.as_deref();
            inherited
                .or(shared.first().copied())
                .unwrap_or("a file that both extend")
        };
        let help = if is_base {
            format!("extend `{}` ({})", one.name, one.source.place(one.key))
        } else {
            format!(
                "write it once, as a private base in {place}; the first is at {}",
                one.source.place(one.key)
            )
        };
        found
            .at(
                source,
                *key,
                format!("`{}` has the body of `{}`", raw.name, one.name),
            )
            .help(help);
    }
}

/// A body as text; none where it says nothing, or is a script of fewer lines than count.
fn body(task: &Task, least: usize) -> Option<String> {
    if let Some(script) = task.get("script") {
        let lines = super::scripts::lines(&script.value);
        if lines.len() < least {
            return None;
        }
    }
    // A command without arguments is what bases are made of.
    if ["args", "script", "run_task"]
        .iter()
        .all(|name| task.get(name).is_none())
    {
        return None;
    }
    let mut parts = serde_json::Map::new();
    for name in BODY {
        if let Some(field) = task.get(name) {
            parts.insert(name.to_owned(), field.value.to_json());
        }
    }
    Some(serde_json::Value::Object(parts).to_string())
}

/// Why a task writes what another may read, itself or by what it calls; none where it does not.
fn writes(view: &View, name: &str) -> Option<String> {
    let mut seen = HashSet::new();
    let mut next = vec![name.to_owned()];
    while let Some(it) = next.pop() {
        if !seen.insert(it.clone()) {
            continue;
        }
        let Some(task) = view.task(&it) else { continue };
        let named = names::any(&view.facts.lint.writers, &it).then(|| format!("`{it}` writes"));
        let programs = facts::programs(&task);
        let mut by_command = programs.iter().filter_map(|words| written_by(words));
        let why = named.or_else(|| Some(format!("`{it}` runs {}", by_command.next()?)));
        if let Some(why) = why {
            return Some(if it == name {
                why
            } else {
                format!("{why}, and `{name}` calls it")
            });
        }
        let calls = facts::calls(&task, &view.directory.path).into_iter();
        let parts = calls.filter(|call| match &call.how {
            How::Via(via) => !matches!(via, Via::Extend | Via::Alias),
            How::Parallel(_) => true,
            How::Make(_) => false,
        });
        next.extend(parts.map(|call| call.name));
    }
    None
}

/// What a command line writes beside build products.
fn written_by(words: &[String]) -> Option<&'static str> {
    let has = |flag: &str| words.iter().any(|word| word == flag);
    if has("--check") || has("--dry-run") {
        return None;
    }
    if facts::is_cargo(words.first()?) {
        match words.get(1).map(String::as_str) {
            Some("fmt") => return Some("`cargo fmt`"),
            Some("clean") => return Some("`cargo clean`"),
            Some("fix") => return Some("`cargo fix`"),
            Some("update" | "add" | "install") => return Some("a cargo command that writes"),
            _ => {}
        }
    }
    ["--fix", "--write", "--autocorrect", "--autocorrect-all"]
        .into_iter()
        .find(|flag| has(flag))
        .map(|flag| match flag {
            "--fix" => "with `--fix`",
            "--write" => "with `--write`",
            _ => "with `--autocorrect`",
        })
}

fn parallel_writers(view: &View, found: &mut Found) {
    for task in view.tasks() {
        let calls: Vec<_> = facts::calls(&task, &view.directory.path)
            .into_iter()
            .filter(|it| matches!(it.how, How::Parallel(true) | How::Via(Via::RunParallel)))
            .collect();
        if calls.len() < 2 {
            continue; // Alone, nothing is at its side.
        }
        for call in calls.iter().filter(|it| !it.source.is_internal()) {
            if let Some(why) = writes(view, &call.name) {
                found
                    .at(
                        &call.source,
                        call.span,
                        format!("`{}` writes while others run", call.name),
                    )
                    .help(format!("{why}: run these in turn"));
            }
        }
    }
}

fn orphaning_fork(view: &View, found: &mut Found) {
    for raw in view.raws() {
        let Some(field) = raw.get("run_task") else {
            continue;
        };
        let routes = match field.value.elements() {
            [] => std::slice::from_ref(&*field.value),
            routes => routes,
        };
        for route in routes {
            if let Some(entry) = route.entry("parallel")
                && entry.value.as_bool() == Some(true)
                && !field.source.is_internal()
            {
                let names = route.get("name").map(|it| {
                    let one = std::slice::from_ref(it);
                    let all = if it.elements().is_empty() {
                        one
                    } else {
                        it.elements()
                    };
                    let all: Vec<&str> = all.iter().filter_map(Value::as_str).collect();
                    all.join(" ")
                });
                found
                    .at(
                        &field.source,
                        entry.key_span,
                        format!("`{}` forks", raw.name),
                    )
                    .help(format!(
                        "`cargo xtask parallel {}` waits for all of them",
                        names.unwrap_or_default()
                    ));
            }
        }
    }
}
