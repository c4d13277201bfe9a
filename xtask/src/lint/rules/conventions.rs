//! What tasks are called, and what is said about them.

use crate::error;
use crate::lint::facts::{self, has_alias, home};
use crate::lint::{Check, Family, Found, Level, Rule, View, names};
use crate::makefile::Task;

pub(super) static RULES: &[Rule] = &[
    Rule {
        name: "missing-description",
        family: Family::Conventions,
        level: Level::Warn,
        what: "a task that does not say what it does",
        why: "`cargo make --list-all-steps` shows \"No Description.\": people read its body, or ask",
        mend: "say it in `description`, in a few words",
        fixable: true,
        check: Check::Directory(missing_description),
    },
    Rule {
        name: "missing-category",
        family: Family::Conventions,
        level: Level::Warn,
        what: "a task without a category",
        why: "lists show it under \"No Category\", where nobody looks",
        mend: "say its `category`: the one of the other tasks of its action",
        fixable: true,
        check: Check::Directory(missing_category),
    },
    Rule {
        name: "unknown-category",
        family: Family::Conventions,
        level: Level::Warn,
        what: "a category that [lint] categories does not list",
        why: "one thing under two headings is found under neither",
        mend: "use one of the listed categories",
        fixable: false,
        check: Check::Directory(unknown_category),
    },
    Rule {
        name: "action-name",
        family: Family::Conventions,
        level: Level::Warn,
        what: "a task whose name does not begin with an action",
        why: "the same words work in every directory only where they are the same words",
        mend: "begin it with one of [lint] actions, `action` or `action-target`, or list it in [lint] names",
        fixable: false,
        check: Check::Directory(action_name),
    },
    Rule {
        name: "target-first",
        family: Family::Conventions,
        level: Level::Warn,
        what: "`python-lint` for `lint-python`",
        why: "people type the action and complete the target; the other way round they have to know the name",
        mend: "put the action first",
        fixable: false,
        check: Check::Directory(target_first),
    },
    Rule {
        name: "missing-action",
        family: Family::Conventions,
        level: Level::Warn,
        what: "a member without one of [lint] required",
        why: "the word that works in every other directory is \"not found\" in this one",
        mend: "define the action, or extend the file that does",
        fixable: false,
        check: Check::Directory(missing_action),
    },
    Rule {
        name: "deep-extend",
        family: Family::Conventions,
        level: Level::Warn,
        what: "a task that is more steps away from its last base than [lint] max_extend_depth",
        why: "whoever reads it has to open each of them to know what runs",
        mend: "write a base in the middle out, so that it extends nothing",
        fixable: false,
        check: Check::Directory(deep_extend),
    },
];

/// Whether people see it, and so need words about it.
fn is_listed(view: &View, task: &Task) -> bool {
    !task.is_private() && !names::is_base(&view.facts.lint, &task.name)
}

fn missing_description(view: &View, found: &mut Found) {
    for task in view.tasks() {
        let said = task.description().is_some_and(|it| !it.trim().is_empty());
        let hidden = task.is_private() && !names::is_base(&view.facts.lint, &task.name);
        if said || hidden || task.text("alias").is_some() {
            continue;
        }
        let Some((source, key)) = home(&task) else {
            continue;
        };
        let edit = described(&task)
            .filter(|_| task.get("description").is_none())
            .zip(facts::value_in(view.facts, source, &task.name))
            .and_then(|(words, it)| {
                let words = toml_edit::Value::from(words);
                facts::add_key(
                    source,
                    it,
                    &format!("description = {}", words.to_string().trim()),
                )
            });
        found
            .at(source, key, format!("`{}` has no description", task.name))
            .fix("says which tasks it runs", edit.into_iter().collect());
    }
}

/// What can be said of a task without knowing it: of one that only calls others, which.
fn described(task: &Task) -> Option<String> {
    if !task.actions().is_empty() {
        return None;
    }
    let mut names = task.texts("dependencies");
    let all = task.get("dependencies")?.value.elements().len();
    let written = names.len();
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| seen.insert(*name));
    if names.is_empty() || written != all || names.len() > 4 {
        return None;
    }
    let (last, rest) = names.split_last()?;
    Some(match rest {
        [] => format!("Run {last}"),
        rest => format!("Run {} and {last}", rest.join(", ")),
    })
}

fn missing_category(view: &View, found: &mut Found) {
    for task in view.tasks() {
        let said = task.category().is_some_and(|it| !it.trim().is_empty());
        let hidden = task.is_private() && !names::is_base(&view.facts.lint, &task.name);
        if said || hidden {
            continue;
        }
        let Some((source, key)) = home(&task) else {
            continue;
        };
        let usual = usual_category(view, &task.name);
        let edit = usual
            .as_ref()
            .filter(|_| task.get("category").is_none())
            .zip(facts::value_in(view.facts, source, &task.name))
            .and_then(|(category, it)| {
                let words = toml_edit::Value::from(category.as_str());
                facts::add_key(
                    source,
                    it,
                    &format!("category = {}", words.to_string().trim()),
                )
            });
        let raw = found.at(source, key, format!("`{}` has no category", task.name));
        if let Some(category) = usual {
            raw.help(format!("other tasks of its action are in \"{category}\""))
                .fix("says it", edit.into_iter().collect());
        }
    }
}

/// The category of the other tasks of the same action here, where they agree.
fn usual_category(view: &View, name: &str) -> Option<String> {
    let lint = &view.facts.lint;
    let action = names::action(lint, name)?;
    let mut found: Option<String> = None;
    for task in view.directory.makefile.tasks.values() {
        if task.is_internal()
            || *task.name == *name
            || names::action(lint, &task.name) != Some(action)
        {
            continue;
        }
        let task = view.task(&task.name)?;
        match (&found, task.category()) {
            (_, None) => {}
            (None, Some(category)) => found = Some(category.to_owned()),
            (Some(one), Some(other)) if one == other => {}
            _ => return None,
        }
    }
    found
}

fn unknown_category(view: &View, found: &mut Found) {
    let known = &view.facts.lint.categories;
    if known.is_empty() {
        return;
    }
    for task in view.tasks() {
        let Some(field) = task.get("category").filter(|it| !it.source.is_internal()) else {
            continue;
        };
        let Some(category) = field.value.as_str() else {
            continue;
        };
        if known.iter().any(|it| it == category) {
            continue;
        }
        let near = error::nearest(category, known.iter().map(String::as_str));
        found
            .at(
                &field.source,
                field.value.span,
                format!("there is no category \"{category}\""),
            )
            .help(match near {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("there are: {}", known.join(", ")),
            });
    }
}

fn action_name(view: &View, found: &mut Found) {
    let lint = &view.facts.lint;
    for raw in view.raws() {
        let name = &*raw.name;
        let known = names::action(lint, name).is_some()
            || names::any(&lint.names, name)
            || names::is_base(lint, name)
            || names::turned(lint, name).is_some();
        let private = view.task(name).is_none_or(|it| it.is_private());
        // What replaces one of cargo-make's own has its name from there.
        let hook = raw.definitions.iter().any(|it| it.source.is_internal());
        if known || private || hook {
            continue;
        }
        if let Some((source, key)) = home(raw) {
            let near = error::nearest(
                name.split('-').next().unwrap_or(name),
                lint.actions.iter().map(String::as_str),
            );
            let raw = found.at(source, key, format!("`{name}` begins with no action"));
            if let Some(near) = near {
                raw.help(format!("did you mean `{near}`?"));
            }
        }
    }
}

fn target_first(view: &View, found: &mut Found) {
    let lint = &view.facts.lint;
    for raw in view.raws() {
        let name = &*raw.name;
        if names::any(&lint.names, name) || names::is_base(lint, name) {
            continue;
        }
        let Some(turned) = names::turned(lint, name) else {
            continue;
        };
        // What replaces one of cargo-make's own has its name from there.
        let hook = raw.definitions.iter().any(|it| it.source.is_internal());
        if hook || view.task(name).is_none_or(|it| it.is_private()) {
            continue;
        }
        if let Some((source, key)) = home(raw) {
            found
                .at(source, key, format!("`{name}` has its action at the end"))
                .help(format!("call it `{turned}`"));
        }
    }
}

fn missing_action(view: &View, found: &mut Found) {
    let lint = &view.facts.lint;
    if !view.directory.member {
        return;
    }
    let missing: Vec<String> = lint
        .required
        .iter()
        .filter(|action| {
            view.task(action).is_none_or(|task| task.is_private())
                || view.raw(action).is_some_and(|it| it.is_internal())
        })
        .map(|action| format!("`{action}`"))
        .collect();
    if missing.is_empty() {
        return;
    }
    let own = &view.directory.own;
    let start = crate::makefile::Span::from(0..own.line_start(1).saturating_sub(1));
    found.at(
        own,
        start,
        format!("{} has no {}", view.shown(), missing.join(", ")),
    );
}

fn deep_extend(view: &View, found: &mut Found) {
    let most = view.facts.lint.max_extend_depth;
    for task in view
        .tasks()
        .filter(|it| is_listed(view, it) || !it.extended.is_empty())
    {
        let depth = task.extended.len();
        if depth <= most {
            continue;
        }
        let raw = view.raw(&task.name);
        let Some(field) = raw.and_then(|it| it.get("extend")) else {
            continue;
        };
        if has_alias(&task) || field.source.is_internal() {
            continue;
        }
        let way: Vec<&str> = task.extended.iter().map(|it| &**it).collect();
        found
            .at(
                &field.source,
                field.value.span,
                format!(
                    "`{}` is {depth} steps from its last base, {most} at the most",
                    task.name
                ),
            )
            .help(format!(
                "{} -> {}: let `{}` extend nothing",
                task.name,
                way.join(" -> "),
                way.get(most.saturating_sub(1)).copied().unwrap_or_default()
            ));
    }
}
