//! Variables: which are there, and whose values win.

use std::collections::HashSet;

use crate::error;
use crate::lint::facts::{self, How, home, is_own};
use crate::lint::{Check, Edit, Family, Found, Level, Rule, View, names};
use crate::makefile::{Field, Form, Source, Span, Task, Value, Via, braced, form};
use crate::mask;

pub(super) static RULES: &[Rule] = &[
    Rule {
        name: "undefined-variable",
        family: Family::Environment,
        level: Level::Deny,
        what: "`${X}` with an X that nothing defines",
        why: "cargo-make hands the text `${X}` on as it is: a program then looks for a package of that name",
        mend: "define it in [env] or in [env.defaults] of .config/xtask.toml, or list it in [lint] variables",
        fixable: false,
        check: Check::Directory(undefined_variable),
    },
    Rule {
        name: "env-overrides-user",
        family: Family::Environment,
        level: Level::Warn,
        what: "a task's `env` sets a variable whatever the user has set",
        why: "`X=1 cargo make TASK` then does not do what it says: the task's value wins over the process",
        mend: "give it a condition `env_not_set`, or put the value into [env.defaults] of .config/xtask.toml",
        fixable: true,
        check: Check::Directory(env_overrides_user),
    },
    Rule {
        name: "env-after-dependencies",
        family: Family::Environment,
        level: Level::Deny,
        what: "`env` on a task with `dependencies` and nothing of its own to run",
        why: "it is set when the task's turn comes, and by then the dependencies have run without it",
        mend: "set it at the tasks that read it, or call them by `run_task`",
        fixable: false,
        check: Check::Directory(env_after_dependencies),
    },
    Rule {
        name: "env-replaced",
        family: Family::Environment,
        level: Level::Warn,
        what: "a task's `env` leaves out variables of the `env` that it replaces",
        why: "`env` does not merge: with one variable of its own, a task loses all of its base's",
        mend: "repeat what is meant to stay, or set variables in the file's [env]",
        fixable: false,
        check: Check::Directory(env_replaced),
    },
    Rule {
        name: "misnamed-variable",
        family: Family::Environment,
        level: Level::Warn,
        what: "a variable that no program reads, for one that is meant",
        why: "nothing says so: the program goes on with its default",
        mend: "use the name that the program reads",
        fixable: false,
        check: Check::File(misnamed_variable),
    },
    Rule {
        name: "env-files-override",
        family: Family::Environment,
        level: Level::Warn,
        what: "an env file that wins over the process",
        why: "what the user set on the command line, or CI in its job, is replaced by the file's value",
        mend: "say `{ path = \"…\", defaults_only = true }`",
        fixable: true,
        check: Check::File(env_files_override),
    },
];

/// Variables that are there without anybody's doing, or set by programs around.
const KNOWN: [&str; 38] = [
    "@",
    "APPDATA",
    "CARGO",
    "CI",
    "COLUMNS",
    "COMSPEC",
    "DISPLAY",
    "EDITOR",
    "HOME",
    "HOSTNAME",
    "LANG",
    "LANGUAGE",
    "LINES",
    "LOCALAPPDATA",
    "LOGNAME",
    "NO_COLOR",
    "OS",
    "PAGER",
    "PATH",
    "PATHEXT",
    "PROGRAMDATA",
    "PROGRAMFILES",
    "PWD",
    "RUSTC",
    "RUSTDOCFLAGS",
    "RUSTFLAGS",
    "SHELL",
    "SHLVL",
    "SYSTEMROOT",
    "TEMP",
    "TERM",
    "TMP",
    "TMPDIR",
    "TZ",
    "USER",
    "USERNAME",
    "USERPROFILE",
    "VIRTUAL_ENV",
];
const KNOWN_PREFIXES: [&str; 8] = [
    "CARGO_", "CI_", "GITHUB_", "GITLAB_", "LC_", "RUNNER_", "RUSTUP_", "XDG_",
];

fn is_known(view: &View, name: &str) -> bool {
    // `${@, prefix}` and functions of cargo-make.
    name.is_empty()
        || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        || KNOWN.contains(&name)
        || KNOWN_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || view.facts.variables.contains(name)
        || names::any(&view.facts.lint.variables, name)
        || view.directory.makefile.env.iter().any(|(key, field)| {
            **key == *name || form(&field.value) == Form::Profile && field.value.get(name).is_some()
        })
}

/// Whether a task's own `env`, or its condition, speaks of a variable.
fn speaks_of(task: &Task, name: &str) -> bool {
    let env = task
        .get("env")
        .is_some_and(|it| it.value.get(name).is_some());
    let guarded = task
        .get("condition")
        .and_then(|it| it.value.get("env_set"))
        .is_some_and(|it| it.elements().iter().any(|it| it.as_str() == Some(name)));
    env || guarded
}

/// Whether a task that runs before this one in its flow, or calls it, sets a variable.
fn set_on_the_way(view: &View, task: &Task, name: &str) -> bool {
    let mut seen: HashSet<String> = HashSet::new();
    let mut next: Vec<String> = dependencies(view, task);
    while let Some(it) = next.pop() {
        if !seen.insert(it.clone()) {
            continue;
        }
        if let Some(task) = view.task(&it) {
            // What these set is known only when they have run.
            let opaque = task.get("plugin").is_some()
                || task
                    .text("script_runner")
                    .is_some_and(|it| it.starts_with('@'));
            if opaque || speaks_of(&task, name) {
                return true;
            }
            next.extend(dependencies(view, &task));
        }
    }
    // A caller's variables are the process's by then.
    view.directory.makefile.tasks.values().any(|caller| {
        !caller.is_internal()
            && caller.get("run_task").is_some()
            && caller
                .get("env")
                .is_some_and(|it| it.value.get(name).is_some())
    })
}

fn dependencies(view: &View, task: &Task) -> Vec<String> {
    facts::calls(task, &view.directory.path)
        .into_iter()
        .filter(|call| call.how == How::Via(Via::Dependency))
        .map(|call| call.name)
        .collect()
}

fn undefined_variable(view: &View, found: &mut Found) {
    let makefile = &view.directory.makefile;
    // What these bring is known only when they have run.
    let opaque = !makefile.env_scripts.is_empty()
        || makefile
            .config
            .keys()
            .any(|key| key.ends_with("load_script"))
        || makefile.env_files.iter().any(|field| {
            let path = field.value.get("path").unwrap_or(&field.value);
            path.as_str()
                .is_none_or(|path| !view.facts.env_files.contains(path))
        });
    if opaque {
        return;
    }
    for task in view.tasks() {
        if names::is_base(&view.facts.lint, &task.name) || task.get("env_files").is_some() {
            continue; // A base's variables are its children's.
        }
        if task.is_private() && !referred(view, &task.name) {
            continue;
        }
        for name in ["command", "args", "cwd", "script"] {
            let Some(field) = task.get(name).filter(|it| !it.source.is_internal()) else {
                continue;
            };
            let value = match name {
                "script" => field.value.get("file"),
                _ => Some(&*field.value),
            };
            if let Some(value) = value {
                undefined_in(view, &task, field, value, found);
            }
        }
    }
    for (key, field) in makefile
        .env
        .iter()
        .filter(|(_, it)| !it.source.is_internal())
    {
        for (name, span) in variables(&field.source, &field.value) {
            if name != **key && !is_known(view, &name) && form(&field.value) != Form::Script {
                report(view, &field.source, span, &name, found);
            }
        }
    }
}

/// Whether a task of this directory names it.
fn referred(view: &View, name: &str) -> bool {
    view.directory
        .makefile
        .tasks
        .values()
        .filter(|task| !task.is_internal())
        .flat_map(|task| task.references())
        .any(|it| it.name == name && it.via != Via::Extend)
}

fn undefined_in(view: &View, task: &Task, field: &Field, value: &Value, found: &mut Found) {
    for (name, span) in variables(&field.source, value) {
        if !is_known(view, &name) && !speaks_of(task, &name) && !set_on_the_way(view, task, &name) {
            report(view, &field.source, span, &name, found);
        }
    }
}

fn report(view: &View, source: &std::sync::Arc<Source>, span: Span, name: &str, found: &mut Found) {
    let env = view.directory.makefile.env.keys().map(|it| &**it);
    let known = env.chain(view.facts.variables.iter().map(String::as_str));
    let near = error::nearest(name, known).map(str::to_owned);
    let raw = found.at(source, span, format!("nothing defines `{name}`"));
    match near {
        Some(near) => raw.help(format!("did you mean `{near}`?")),
        None => raw.help(format!(
            "define it in [env] of `{}`, or list it in [lint] variables of .config/xtask.toml",
            view.directory.own.shown
        )),
    };
}

/// The names in `${NAME}` of every string in a value, with where they stand.
fn variables(source: &Source, value: &Value) -> Vec<(String, Span)> {
    let mut all = Vec::new();
    if let Some(text) = value.as_str() {
        for name in braced(text) {
            let range = value.span.range();
            let raw = source.text.get(range.clone()).unwrap_or_default();
            let span = match raw.find(&format!("${{{name}}}")) {
                Some(at) => {
                    let start = range.start + at;
                    Span::from(start..start + name.len() + 3)
                }
                None => value.span,
            };
            all.push((name.to_owned(), span));
        }
    }
    for element in value.elements() {
        all.extend(variables(source, element));
    }
    for entry in value.entries() {
        if !matches!(&*entry.key, "condition" | "script") {
            all.extend(variables(source, &entry.value));
        }
    }
    all
}

fn env_overrides_user(view: &View, found: &mut Found) {
    for task in view.tasks() {
        let Some(env) = task.get("env").filter(|it| !it.source.is_internal()) else {
            continue;
        };
        // What the task's own arguments read is its parameter, no setting of the user's.
        let mut read: Vec<(String, Span)> = Vec::new();
        for name in ["command", "args", "cwd"] {
            if let Some(field) = task.get(name) {
                read.extend(variables(&field.source, &field.value));
            }
        }
        for entry in env.value.entries() {
            let plain = matches!(form(&entry.value), Form::Plain | Form::List);
            let parameter = read.iter().any(|(name, _)| *name == *entry.key);
            let reads_itself = entry
                .value
                .as_str()
                .is_some_and(|text| braced(text).contains(&&*entry.key));
            if !plain || parameter || reads_itself || names::is_base(&view.facts.lint, &task.name) {
                continue;
            }
            let edit = entry.value.as_str().is_some().then(|| Edit {
                file: env.source.shown.clone(),
                range: entry.value.span.range(),
                text: format!(
                    "{{ value = {}, condition = {{ env_not_set = [\"{}\"] }} }}",
                    entry.value, entry.key
                ),
            });
            // What is long, or a secret, is moved by a person.
            let text = entry.value.to_string();
            let plain = text.len() < 80
                && !mask::is_secret_name(&entry.key)
                && mask::mask_urls(&text) == text;
            let edit = edit.filter(|_| plain);
            found
                .at(
                    &env.source,
                    entry.key_span,
                    format!("`{}` replaces the user's `{}`", task.name, entry.key),
                )
                .fix("gives it a condition", edit.into_iter().collect());
        }
    }
}

fn env_after_dependencies(view: &View, found: &mut Found) {
    for task in view.tasks() {
        let (Some(env), Some(_)) = (task.get("env"), task.get("dependencies")) else {
            continue;
        };
        if env.source.is_internal() || env.value.entries().is_empty() || !task.actions().is_empty()
        {
            continue;
        }
        if home(&task).is_some() {
            found.at(
                &env.source,
                env.key,
                format!("`{}` sets this when its dependencies have run", task.name),
            );
        }
    }
}

fn env_replaced(view: &View, found: &mut Found) {
    for raw in view.raws() {
        let Some(env) = raw.get("env").filter(|it| is_own(raw, it)) else {
            continue;
        };
        let Some(base) = raw
            .text("extend")
            .filter(|base| **base != *raw.name)
            .and_then(|base| view.task(base))
        else {
            continue;
        };
        let Some(old) = base.get("env").filter(|_| !raw.flag("clear")) else {
            continue;
        };
        let lost: Vec<String> = old
            .value
            .entries()
            .iter()
            .filter(|entry| env.value.get(&entry.key).is_none())
            .map(|entry| format!("`{}`", entry.key))
            .collect();
        if !lost.is_empty() && !env.source.is_internal() {
            found
                .at(
                    &env.source,
                    env.key,
                    format!("`{}` loses {}", raw.name, lost.join(", ")),
                )
                .help(format!(
                    "`{}` sets it at {}: repeat it here",
                    base.name,
                    old.place()
                ));
        }
    }
}

fn env_files_override(_: &facts::Facts, file: &facts::File, found: &mut Found) {
    let lists = std::iter::once(file.file.root.get("env_files")).chain(
        file.file
            .tasks()
            .iter()
            .map(|task| task.value.get("env_files")),
    );
    for value in lists.flatten().flat_map(Value::elements) {
        let defaults = value.get("defaults_only").and_then(Value::as_bool);
        if defaults == Some(true) {
            continue;
        }
        let source = &file.file.source;
        let edit = value.as_str().map(|_| Edit {
            file: source.shown.clone(),
            range: value.span.range(),
            text: format!("{{ path = {value}, defaults_only = true }}"),
        });
        found
            .at(source, value.span, "this file's values win over the user's")
            .fix("says `defaults_only = true`", edit.into_iter().collect());
    }
}

/// Names that people give, and what the programs read.
const MISNAMED: [(&str, &str); 9] = [
    ("CARGO_FLAGS", "CARGO_BUILD_RUSTFLAGS"),
    ("CARGO_JOBS", "CARGO_BUILD_JOBS"),
    ("CARGO_NEXTEST_PROFILE", "NEXTEST_PROFILE"),
    ("CARGO_NEXTEST_RETRIES", "NEXTEST_RETRIES"),
    ("CARGO_RUSTFLAGS", "RUSTFLAGS"),
    ("CARGO_TARGET", "CARGO_BUILD_TARGET"),
    ("NEXTEST_THREADS", "NEXTEST_TEST_THREADS"),
    ("RUST_BACK_TRACE", "RUST_BACKTRACE"),
    ("RUST_FLAGS", "RUSTFLAGS"),
];

fn misnamed_variable(_: &facts::Facts, file: &facts::File, found: &mut Found) {
    let source = &file.file.source;
    let tasks = file.file.tasks().iter();
    let envs = tasks
        .filter_map(|task| task.value.get("env"))
        .chain(file.file.root.get("env"));
    for entry in envs.flat_map(Value::entries) {
        let Some((name, meant)) = MISNAMED.iter().find(|(name, _)| *name == &*entry.key) else {
            continue;
        };
        // Whoever reads it here gave it its name.
        if !source.text.contains(&format!("${{{name}}}")) {
            found
                .at(source, entry.key_span, format!("no program reads `{name}`"))
                .help(format!("did you mean `{meant}`?"));
        }
    }
}
