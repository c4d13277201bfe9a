//! What the files of a workspace are to each other, to cargo-make, and to what is written about them.

use std::collections::HashSet;

use crate::error;
use crate::lint::facts::{Facts, home};
use crate::lint::{Check, Family, Found, Level, Rule, View, names};
use crate::makefile::{Source, Span};

pub(super) static RULES: &[Rule] = &[
    Rule {
        name: "member-without-tasks",
        family: Family::Workspace,
        level: Level::Warn,
        what: "a member without a `Makefile.toml`",
        why: "`cargo make build` there runs cargo-make's own tasks, not this workspace's",
        mend: "give it one that extends the shared files, or list it in [lint] without_tasks",
        fixable: false,
        check: Check::Workspace(member_without_tasks),
    },
    Rule {
        name: "member-goes-alone",
        family: Family::Workspace,
        level: Level::Warn,
        what: "a member's file that extends none of the shared files",
        why: "what is mended in the shared files does not reach it, nor does their [config]",
        mend: "extend a shared file",
        fixable: false,
        check: Check::Directory(member_goes_alone),
    },
    Rule {
        name: "unused-shared-file",
        family: Family::Workspace,
        level: Level::Warn,
        what: "a shared file that nothing extends",
        why: "it is read, mended and reviewed, and no task comes from it",
        mend: "extend it where its tasks are meant, or remove it",
        fixable: false,
        check: Check::Workspace(unused_shared_file),
    },
    Rule {
        name: "unreachable-task",
        family: Family::Workspace,
        level: Level::Warn,
        what: "a task that nothing names: no task, no document, no action, no entry point",
        why: "nobody runs it, so nobody sees that it is broken",
        mend: "remove it, or list it in [lint] entry_points",
        fixable: false,
        check: Check::Workspace(unreachable_task),
    },
    Rule {
        name: "core-task-underneath",
        family: Family::Workspace,
        level: Level::Warn,
        what: "a task with the name of one of cargo-make's own, which is merged in underneath",
        why: "fields that this one does not set come from cargo-make's: its dependencies run, its command is \"another action\"",
        mend: "say `skip_core_tasks = true` under [config] of a file that all extend, or `clear = true` at the task",
        fixable: false,
        check: Check::Directory(core_task_underneath),
    },
    Rule {
        name: "runs-in-every-member",
        family: Family::Workspace,
        level: Level::Warn,
        what: "tasks at a workspace's root, and no `default_to_workspace = false`",
        why: "at the root cargo-make runs a task once in each member, and not the root's own",
        mend: "say `default_to_workspace = false` under [config]",
        fixable: false,
        check: Check::Directory(runs_in_every_member),
    },
    Rule {
        name: "slow-start",
        family: Family::Workspace,
        level: Level::Warn,
        what: "cargo-make looks up what no task reads",
        why: "at each start it runs git, rustc and a whole `cargo metadata`: 28 ms become 173 in a small workspace, and a second in a large one",
        mend: "say `skip_git_env_info`, `skip_rust_env_info` and `skip_crate_env_info` `= true` under [config] of a file that all extend",
        fixable: false,
        check: Check::Workspace(slow_start),
    },
    Rule {
        name: "stale-docs",
        family: Family::Workspace,
        level: Level::Warn,
        what: "a document or a workflow names a task that does not exist",
        why: "people type it, CI runs it, and both get \"not found\"",
        mend: "name a task that exists",
        fixable: false,
        check: Check::Workspace(stale_docs),
    },
];

/// The first line.
fn top(source: &Source) -> Span {
    Span::from(0..source.line(1).len())
}

fn member_without_tasks(facts: &Facts, found: &mut Found) {
    let Some(manifest) = &facts.manifest else {
        return;
    };
    for member in facts.members.iter().filter(|it| !it.makefile) {
        let excepted = facts
            .lint
            .without_tasks
            .iter()
            .any(|pattern| crate::glob::matches_path(pattern, &member.path));
        if !excepted {
            found
                .at(
                    manifest,
                    member.span,
                    format!("`{}` has no `Makefile.toml`", member.path),
                )
                .help(match facts.files.iter().find(|it| it.shared) {
                    Some(file) => format!("give it one that extends `{}`", file.file.source.shown),
                    None => "give it one, or list it in [lint] without_tasks".to_owned(),
                });
        }
    }
}

fn member_goes_alone(view: &View, found: &mut Found) {
    if !view.directory.member || view.is_root() {
        return;
    }
    let shared = view.facts.shared();
    let Some(one) = shared.first() else {
        return;
    };
    let extends = view
        .directory
        .makefile
        .files
        .iter()
        .any(|it| shared.contains(&it.source.shown));
    if !extends {
        let own = &view.directory.own;
        found
            .at(
                own,
                top(own),
                format!("`{}` extends no shared file", own.shown),
            )
            .help(format!("there is `{one}`"));
    }
}

fn unused_shared_file(facts: &Facts, found: &mut Found) {
    for file in facts.files.iter().filter(|it| it.shared && !it.used) {
        let source = &file.file.source;
        found.at(
            source,
            top(source),
            format!("nothing extends `{}`", source.shown),
        );
    }
}

fn unreachable_task(facts: &Facts, found: &mut Found) {
    let mut referred = facts.referred();
    // cargo-make's own tasks call each other, also where a file replaces one.
    let core = facts.directories.iter().find(|it| it.makefile.core_tasks);
    let core = core.into_iter().flat_map(|it| it.makefile.tasks.values());
    referred.extend(
        core.filter(|task| task.definitions.iter().any(|it| it.source.is_internal()))
            .map(|task| &*task.name),
    );
    // A name that is defined in several files is one task with parts in each.
    for file in &facts.files {
        if file.shared && !file.used {
            continue; // The whole file is reported.
        }
        for task in &file.tasks {
            let name = &*task.name;
            if referred.contains(name) || matches!(name, "init" | "end" | "empty") {
                continue;
            }
            let value = file.value(name);
            let private = value
                .and_then(|it| it.get("private"))
                .and_then(crate::makefile::Value::as_bool)
                == Some(true);
            let base = names::is_base(&facts.lint, name);
            if !private && !base && facts.is_entry(name) {
                continue;
            }
            let source = &file.file.source;
            let what = if base {
                format!("nothing extends `{name}`")
            } else if private {
                format!("nothing calls `{name}`, which is private")
            } else {
                format!("nothing names `{name}`")
            };
            found.at(source, task.key, what);
        }
    }
}

fn core_task_underneath(view: &View, found: &mut Found) {
    if !view.directory.makefile.core_tasks {
        return;
    }
    for raw in view.raws() {
        let core = raw.definitions.iter().any(|it| it.source.is_internal());
        // These are there to be filled.
        let hook = matches!(&*raw.name, "init" | "end" | "empty" | "default")
            || raw.name.starts_with("pre-")
            || raw.name.starts_with("post-");
        if !core || hook || raw.flag("clear") {
            continue;
        }
        if let Some((source, key)) = home(raw) {
            found.at(
                source,
                key,
                format!("`{}` is cargo-make's own name, too", raw.name),
            );
        }
    }
}

fn runs_in_every_member(view: &View, found: &mut Found) {
    let facts = view.facts;
    if !view.is_root() || !facts.workspace || facts.members.is_empty() {
        return;
    }
    let makefile = &view.directory.makefile;
    let says = |key: &str| makefile.config.get(key).and_then(|it| it.value.as_bool());
    if says("default_to_workspace").is_some() || says("skip_crate_env_info") == Some(true) {
        return;
    }
    let own = &view.directory.own;
    // A task can say it for itself.
    let all = view.tasks().filter(|it| !it.is_private());
    let undecided = all.filter(|it| it.get("workspace").is_none()).count();
    if undecided > 0 {
        found.at(
            own,
            top(own),
            format!("{undecided} tasks of the root run in every member, and not here"),
        );
    }
}

fn slow_start(facts: &Facts, found: &mut Found) {
    // Once for the workspace: what one shared file says holds for all that extend it.
    let Some(directory) = facts.directories.first() else {
        return;
    };
    let config = &directory.makefile.config;
    let says = |key: &str| config.get(key).and_then(|it| it.value.as_bool()) == Some(true);
    let reads = |words: &str| {
        facts
            .files
            .iter()
            .any(|file| file.file.source.text.contains(words))
    };
    let in_members = config
        .get("default_to_workspace")
        .is_none_or(|it| it.value.as_bool() != Some(false))
        && facts.workspace
        && directory.path.is_empty();
    let missing: Vec<&str> = [
        ("skip_git_env_info", "CARGO_MAKE_GIT_"),
        ("skip_rust_env_info", "CARGO_MAKE_RUST_"),
        ("skip_crate_env_info", "CARGO_MAKE_CRATE_"),
    ]
    .into_iter()
    .filter(|(key, read)| !says(key) && !reads(read))
    // Without it cargo-make knows of no members to run a task in.
    .filter(|(key, _)| *key != "skip_crate_env_info" || !in_members)
    .map(|(key, _)| key)
    .collect();
    if missing.is_empty() {
        return;
    }
    let source = &directory.own;
    let header = directory
        .makefile
        .files
        .iter()
        .find_map(|file| {
            let span = file.root.get("config")?.span;
            Some((file.source.clone(), span))
        })
        .unwrap_or_else(|| (source.clone(), top(source)));
    let lines: Vec<String> = missing
        .iter()
        .map(|key| format!("`{key} = true`"))
        .collect();
    found
        .at(
            &header.0,
            header.1,
            "each start looks up what no task reads",
        )
        .help(format!("say {} under [config]", lines.join(", ")));
}

fn stale_docs(facts: &Facts, found: &mut Found) {
    if facts.directories.is_empty() {
        return;
    }
    let mut known: HashSet<&str> = HashSet::new();
    for directory in &facts.directories {
        known.extend(directory.makefile.tasks.keys().map(|it| &**it));
    }
    for document in &facts.documents {
        for mention in &document.mentions {
            if known.contains(mention.name.as_str()) {
                continue;
            }
            let raw = found.at(
                &document.source,
                mention.span.clone().into(),
                format!("no directory has a task `{}`", mention.name),
            );
            let mut all: Vec<&str> = known.iter().copied().collect();
            all.sort_unstable();
            if let Some(near) = error::nearest(&mention.name, all) {
                raw.help(format!("did you mean `{near}`?"));
            }
        }
    }
}
