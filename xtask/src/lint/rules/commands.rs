//! What the commands of tasks do: tests that do not run, reports that are lost, crates of strangers.

use std::collections::{BTreeSet, HashMap};

use crate::lint::facts::{self, How};
use crate::lint::names;
use crate::lint::{Check, Family, Found, Level, Rule, View};
use crate::makefile::{Field, Span, Task, Value, Via};

pub(super) static RULES: &[Rule] = &[
    Rule {
        name: "test-can-skip",
        family: Family::Bodies,
        level: Level::Deny,
        what: "a test task with a condition, or one that is disabled",
        why: "cargo-make says \"Skipping Task\" and ends with 0: a variable that is not set turns into a green run of no test",
        mend: "let the test command check what it needs, and fail",
        fixable: false,
        check: Check::Directory(test_can_skip),
    },
    Rule {
        name: "ignored-errors",
        family: Family::Bodies,
        level: Level::Deny,
        what: "a check whose failure is ignored",
        why: "`ignore_errors` lets the task end with 0 whatever it found: a check that cannot fail is none",
        mend: "remove it; what may fail is no check",
        fixable: false,
        check: Check::Directory(ignored_errors),
    },
    Rule {
        name: "stranger-crate",
        family: Family::Bodies,
        level: Level::Deny,
        what: "`cargo X` with an X that is no part of cargo, and no `install_crate`",
        why: "where X is missing, cargo-make installs the crate `cargo-X` from the registry, whoever owns that name",
        mend: "say `install_crate = false` (a base can say it for all), or name the crate that is meant",
        fixable: true,
        check: Check::Directory(stranger_crate),
    },
    Rule {
        name: "overwritten-reports",
        family: Family::Bodies,
        level: Level::Warn,
        what: "several runs of nextest with one profile in a task",
        why: "each run writes its JUnit report to the same file: of all but the last nothing is left",
        mend: "make it one run over the right packages, or give each a profile of its own",
        fixable: false,
        check: Check::Directory(overwritten_reports),
    },
    Rule {
        name: "swallowed-output",
        family: Family::Bodies,
        level: Level::Warn,
        what: "cargo-make called with `--loglevel error` or `--quiet`",
        why: "it then swallows what the tasks themselves print, failures included",
        mend: "leave it out",
        fixable: false,
        check: Check::Directory(swallowed_output),
    },
    Rule {
        name: "whole-workspace",
        family: Family::Bodies,
        level: Level::Warn,
        what: "a member's task that works on the whole workspace",
        why: "`--all` and `--workspace` mean all members wherever cargo stands: the same work is done once for each member",
        mend: "name the member: `--package`",
        fixable: false,
        check: Check::Directory(whole_workspace),
    },
    Rule {
        name: "no-test-target",
        family: Family::Bodies,
        level: Level::Deny,
        what: "`--test` with a pattern at a root without a package",
        why: "cargo looks for test targets in the package of the directory: at a virtual root \"no test target matches\"",
        mend: "name the package with `--package`",
        fixable: false,
        check: Check::Directory(no_test_target),
    },
];

/// Whether a task runs tests.
fn is_test(view: &View, task: &Task) -> bool {
    let facts = view.facts;
    let by_name = names::action(&facts.lint, &task.name).is_some_and(|it| it.starts_with("test"));
    by_name
        || names::any(&facts.test_tasks, &task.name)
        || facts::programs(task).iter().any(|words| {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            matches!(
                words[..],
                ["cargo", "test", ..] | ["cargo", "nextest", "run", ..] | ["pytest" | "rspec", ..]
            )
        })
}

fn test_can_skip(view: &View, found: &mut Found) {
    for task in view.tasks().filter(|task| is_test(view, task)) {
        let mut report = |field: &Field, key: Span, what: &str| {
            if !field.source.is_internal() {
                // Its base's condition is said once, of the base.
                found.at(&field.source, key, format!("`{}` {what}", field.task));
            }
        };
        for name in ["condition", "condition_script"] {
            if let Some(field) = task.get(name) {
                report(
                    field,
                    field.key,
                    "runs no test where this does not hold, and ends with 0",
                );
            }
        }
        if task.flag("disabled")
            && let Some(field) = task.get("disabled")
        {
            report(field, field.key, "is disabled, and ends with 0");
        }
        if let Some(field) = task.get("run_task") {
            let routes = field.value.elements();
            // The last route may be for all the rest.
            let rest = routes.last().is_some_and(|it| {
                it.get("condition").is_none() && it.get("condition_script").is_none()
            });
            if let Some(entry) = routes
                .first()
                .and_then(|it| it.entry("condition"))
                .filter(|_| !rest)
            {
                report(
                    field,
                    entry.key_span,
                    "runs no test where no condition holds, and ends with 0",
                );
            }
        }
    }
}

fn ignored_errors(view: &View, found: &mut Found) {
    for task in view.tasks() {
        let check = is_test(view, &task)
            || names::action(&view.facts.lint, &task.name)
                .is_some_and(|it| matches!(it, "lint" | "format" | "build" | "build-release"));
        if !check {
            continue;
        }
        for name in ["ignore_errors", "force"] {
            if let Some(field) = task.get(name)
                && field.value.as_bool() == Some(true)
                && !field.source.is_internal()
            {
                found.at(
                    &field.source,
                    field.key,
                    format!("`{}` cannot fail", task.name),
                );
            }
        }
    }
}

/// What cargo itself has, as `cargo --list` of a plain toolchain shows it.
const CARGO: [&str; 50] = [
    "add",
    "b",
    "bench",
    "build",
    "c",
    "check",
    "clean",
    "clippy",
    "config",
    "d",
    "doc",
    "fetch",
    "fix",
    "fmt",
    "generate-lockfile",
    "help",
    "info",
    "init",
    "install",
    "locate-project",
    "login",
    "logout",
    "metadata",
    "miri",
    "new",
    "owner",
    "package",
    "pkgid",
    "publish",
    "r",
    "read-manifest",
    "remove",
    "report",
    "rm",
    "run",
    "rustc",
    "rustdoc",
    "search",
    "t",
    "test",
    "tree",
    "uninstall",
    "update",
    "vendor",
    "verify-project",
    "version",
    "yank",
    "read",
    "set",
    "git-checkout",
];

fn stranger_crate(view: &View, found: &mut Found) {
    if view
        .directory
        .makefile
        .config
        .get("disable_install")
        .is_some_and(|it| it.value.as_bool() == Some(true))
    {
        return;
    }
    for task in view.tasks() {
        if task.get("install_crate").is_some() || task.get("script").is_some() {
            continue;
        }
        let (Some(command), Some(args)) = (task.get("command"), task.get("args")) else {
            continue;
        };
        if command.value.as_str() != Some("cargo") || args.source.is_internal() {
            continue;
        }
        let Some(word) = args.value.elements().first() else {
            continue;
        };
        let Some(sub) = word.as_str() else { continue };
        let own = CARGO.contains(&sub) || sub.starts_with(['-', '+', '$']) || sub == "make";
        if own {
            continue;
        }
        // Where the command is written: one line mends all that extend it.
        let (name, source) = (&command.task, &command.source);
        let edit = facts::value_in(view.facts, source, name)
            .and_then(|it| facts::add_key(source, it, "install_crate = false"));
        found
            .at(
                &args.source,
                word.span,
                format!(
                    "where `cargo {sub}` is missing, cargo-make installs a crate `cargo-{sub}`"
                ),
            )
            .fix(
                format!("says `install_crate = false` in `{name}`"),
                edit.into_iter().collect(),
            );
    }
}

fn whole_workspace(view: &View, found: &mut Found) {
    if view.is_root() || !view.directory.member {
        return;
    }
    for task in view.tasks() {
        let Some(args) = task.get("args") else {
            continue;
        };
        if !task.text("command").is_some_and(facts::is_cargo) || args.source.is_internal() {
            continue;
        }
        for element in args.value.elements() {
            match element.as_str() {
                Some("--") => break,
                Some(flag @ ("--all" | "--workspace")) => {
                    found
                        .at(
                            &args.source,
                            element.span,
                            format!("`{flag}` means every member"),
                        )
                        .help("name the member: `--package`");
                }
                _ => {}
            }
        }
    }
}

fn no_test_target(view: &View, found: &mut Found) {
    let facts = view.facts;
    if !view.is_root() || !facts.workspace || facts.root_package {
        return;
    }
    for task in view.tasks() {
        let Some(args) = task.get("args") else {
            continue;
        };
        if !task.text("command").is_some_and(facts::is_cargo) || args.source.is_internal() {
            continue;
        }
        let elements = args.value.elements();
        let word = |at: usize| elements.get(at).and_then(Value::as_str).unwrap_or("");
        let named = (0..elements.len()).any(|at| {
            matches!(word(at), "--package" | "-p" | "--workspace" | "--all")
                || word(at).starts_with("--package=")
        });
        for at in 0..elements.len() {
            if word(at) == "--test" && word(at + 1).contains('*') && !named {
                found.at(
                    &args.source,
                    elements[at + 1].span,
                    "there is no package here to have test targets",
                );
            }
        }
    }
}

/// The runs of nextest that a task comes to: profile, and whose run it is.
type Runs = BTreeSet<(String, String)>;

fn runs_of(view: &View, name: &str, known: &mut HashMap<String, Runs>) -> Runs {
    if let Some(runs) = known.get(name) {
        return runs.clone();
    }
    // A circle has no more runs than its tasks.
    known.insert(name.to_owned(), Runs::new());
    let mut runs = Runs::new();
    let Some(task) = view.task(name) else {
        return runs;
    };
    for words in facts::programs(&task) {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        if let ["cargo", "nextest", "run", rest @ ..] = &words[..] {
            let at = rest.iter().position(|it| matches!(*it, "--profile" | "-P"));
            let profile = at.and_then(|at| rest.get(at + 1)).unwrap_or(&"default");
            runs.insert(((*profile).to_owned(), task.name.to_string()));
        }
    }
    for call in flow(view, &task) {
        runs.extend(runs_of(view, &call.name, known));
    }
    known.insert(name.to_owned(), runs.clone());
    runs
}

/// What runs as a part of a task, in this directory.
fn flow(view: &View, task: &Task) -> Vec<facts::Call> {
    let mut calls = facts::calls(task, &view.directory.path);
    calls.retain(|call| match &call.how {
        How::Via(via) => !matches!(via, Via::Extend | Via::Alias),
        How::Parallel(_) => true,
        How::Make(path) => path.as_deref() == Some(view.directory.path.as_str()),
    });
    calls
}

fn overwritten_reports(view: &View, found: &mut Found) {
    let mut known = HashMap::new();
    for task in view.tasks() {
        let calls = flow(view, &task);
        if calls.len() < 2 {
            continue;
        }
        // What one call brings with it is that task's own matter.
        let mut before: HashMap<String, String> = HashMap::new();
        for call in calls {
            let runs = runs_of(view, &call.name, &mut known);
            let clash = runs.iter().find_map(|(profile, whose)| {
                let first = before.get(profile).filter(|first| *first != whose)?;
                Some((profile, whose, first))
            });
            if let Some((profile, whose, first)) = clash
                && !call.source.is_internal()
            {
                found
                    .at(
                        &call.source,
                        call.span,
                        format!("`{whose}` writes its report over that of `{first}`"),
                    )
                    .help(format!(
                        "both run nextest with the profile `{profile}`: give one another"
                    ));
            }
            for (profile, whose) in runs {
                before.entry(profile).or_insert(whose);
            }
        }
    }
}

fn swallowed_output(view: &View, found: &mut Found) {
    for task in view.tasks() {
        let Some(args) = task.get("args").filter(|it| !it.source.is_internal()) else {
            continue;
        };
        let elements = args.value.elements();
        let word = |at: usize| elements.get(at).and_then(Value::as_str).unwrap_or("");
        if !task.text("command").is_some_and(facts::is_cargo) || word(0) != "make" {
            continue;
        }
        for (at, element) in elements.iter().enumerate().skip(1) {
            let quiet = matches!(
                word(at),
                "--quiet" | "--silent" | "--loglevel=error" | "--loglevel=off"
            ) || matches!(word(at), "--loglevel" | "-l")
                && matches!(word(at + 1), "error" | "off");
            if quiet {
                found.at(
                    &args.source,
                    element.span,
                    format!("`{}` does not say why it fails", task.name),
                );
            }
        }
    }
}
