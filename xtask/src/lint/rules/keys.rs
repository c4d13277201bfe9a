//! Keys that cargo-make does not know, or not there. It ignores them, at most with a warning that
//! scrolls by.

use crate::error;
use crate::lint::facts::{self, Facts, File};
use crate::lint::{Check, Edit, Family, Found, Level, Rule, edit};
use crate::makefile::schema::{self, UnknownKey};
use crate::makefile::{Source, TaskFile, Value};

pub(super) static RULES: &[Rule] = &[
    Rule {
        name: "unknown-key",
        family: Family::Keys,
        level: Level::Deny,
        what: "a key that cargo-make does not know",
        why: "cargo-make ignores it: what it says does not happen",
        mend: "mend the spelling, or remove it",
        fixable: false,
        check: Check::File(unknown_key),
    },
    Rule {
        name: "misplaced-key",
        family: Family::Keys,
        level: Level::Deny,
        what: "a key that cargo-make knows, but not in this table",
        why: "cargo-make ignores it there: an `extend` under [config] extends nothing, and every task of that file is then \"not found\"",
        mend: "move it to its place",
        fixable: true,
        check: Check::File(misplaced_key),
    },
    Rule {
        name: "unknown-value",
        family: Family::Keys,
        level: Level::Deny,
        what: "a word that cargo-make does not know where only some mean anything",
        why: "cargo-make takes it without an error: an unknown `relative` means `makefile`, a platform that does not exist never is this one",
        mend: "use one of the words that it knows",
        fixable: false,
        check: Check::File(unknown_value),
    },
    Rule {
        name: "deprecated-key",
        family: Family::Keys,
        level: Level::Warn,
        what: "a key that another one has replaced",
        why: "cargo-make may drop it in any release, and readers do not find it in the manual",
        mend: "use the key that replaced it",
        fixable: true,
        check: Check::File(deprecated_key),
    },
];

/// Where a key belongs.
fn place_of(unknown: &UnknownKey) -> Option<&'static str> {
    let key = unknown.path.last()?.as_str();
    let has = |record: &schema::Record| record.fields.iter().any(|field| field.name == key);
    let here = unknown.record;
    // The nearest table first.
    if here == schema::TASK.name || here == schema::PLATFORM.name {
        if has(&schema::CONDITION) {
            return Some("in the task's `condition`");
        }
        if matches!(key, "fork" | "parallel" | "cleanup_task") {
            return Some("in the task's `run_task`");
        }
        if has(&schema::TASK) {
            return Some("in the task itself, for all platforms");
        }
    }
    if here == schema::CONDITION.name && has(&schema::TASK) {
        return Some("in the task itself");
    }
    if has(&schema::FILE) && here != schema::FILE.name {
        return Some("at the top of the file, before the first table");
    }
    if has(&schema::CONFIG) && here != schema::CONFIG.name {
        return Some("under `[config]`");
    }
    if has(&schema::TASK) && here != schema::TASK.name {
        return Some("in a task");
    }
    None
}

fn unknown_key(_: &Facts, file: &File, found: &mut Found) {
    for unknown in &file.file.unknown {
        if place_of(unknown).is_some() {
            continue;
        }
        let Some(key) = unknown.path.last() else {
            continue;
        };
        // What begins so is meant for people and other programs.
        if unknown.path.len() == 1 && key.starts_with("x-") {
            continue;
        }
        let raw = found.at(
            &file.file.source,
            unknown.span,
            format!("{} has no key `{key}`", unknown.record),
        );
        let known = records()
            .filter(|record| record.name == unknown.record)
            .flat_map(|record| record.fields)
            .map(|field| field.name);
        match error::nearest(key, known) {
            Some(near) => raw.help(format!("did you mean `{near}`?")),
            None => raw.help("remove it; cargo-make ignores it"),
        };
    }
}

fn records() -> impl Iterator<Item = &'static schema::Record> {
    [
        &schema::FILE,
        &schema::CONFIG,
        &schema::TASK,
        &schema::PLATFORM,
        &schema::CONDITION,
    ]
    .into_iter()
    .chain(schema::others())
}

fn misplaced_key(_: &Facts, file: &File, found: &mut Found) {
    for unknown in &file.file.unknown {
        let (Some(place), Some(key)) = (place_of(unknown), unknown.path.last()) else {
            continue;
        };
        let source = &file.file.source;
        let edits = move_up(source, &file.file.root, unknown);
        found
            .at(
                source,
                unknown.span,
                format!("`{key}` does nothing in {}", unknown.record),
            )
            .help(format!("its place is {place}"))
            .fix("moves it there", edits);
    }
    // A variable may have any name: only what reads like a path of a task file is an `extend`.
    for entry in file.file.section("env") {
        let path = |value: &Value| {
            let text = value.get("path").unwrap_or(value).as_str();
            text.is_some_and(|it| it.ends_with(".toml"))
        };
        let extends = path(&entry.value)
            || (!entry.value.elements().is_empty() && entry.value.elements().iter().all(path));
        if &*entry.key == "extend" && extends {
            let source = &file.file.source;
            let unknown = UnknownKey {
                path: vec!["env".to_owned(), "extend".to_owned()],
                span: entry.key_span,
                record: "[env]",
            };
            let edits = move_up(source, &file.file.root, &unknown);
            found
                .at(
                    source,
                    entry.key_span,
                    "`extend` in [env] is a variable, and extends nothing",
                )
                .help("its place is at the top of the file, before the first table")
                .fix("moves it there", edits);
        }
    }
}

/// Moves a line of `[config]` or `[env]` that is a top-level key before the first table, and a
/// top-level line that is a key of `[config]` into it.
fn move_up(source: &Source, root: &Value, unknown: &UnknownKey) -> Vec<Edit> {
    let text = &source.text;
    let (Some(key), Some(line)) = (unknown.path.last(), statement(text, unknown)) else {
        return Vec::new();
    };
    let top = schema::FILE.fields.iter().any(|field| field.name == key);
    let at = match (unknown.path.len(), top) {
        (2, true) if root.get(key).is_none() => first_table(text),
        (1, false) => {
            let header = root.get("config").map(|it| it.span.range());
            let header = header.filter(|it| text[it.clone()].starts_with('['));
            let already = root.get("config").and_then(|it| it.get(key)).is_some();
            match header {
                Some(header) if !already => {
                    text[header.end..].find('\n').map(|at| header.end + at + 1)
                }
                _ => None,
            }
        }
        _ => None,
    };
    let Some(at) = at else {
        return Vec::new();
    };
    let mut moved = text[line.clone()].to_owned();
    if !moved.ends_with('\n') {
        moved.push_str(facts::line_end(text));
    }
    // Before a table, a blank line.
    if unknown.path.len() == 2 && !text[..at].is_empty() && !text[..at].ends_with("\n\n") {
        moved.insert_str(0, facts::line_end(text));
    }
    if unknown.path.len() == 2 {
        moved.push_str(facts::line_end(text));
    }
    let change = |range, text| Edit {
        file: source.shown.clone(),
        range,
        text,
    };
    let edits = vec![change(at..at, moved), change(line, String::new())];
    // There, it may have to be something else: `skip_core_tasks = {}` only gets a warning at the top of a
    // file, but in [config] cargo-make refuses the file.
    let mended = edit::apply(text, &edits);
    match TaskFile::parse(source.path.clone(), source.shown.clone(), mended) {
        Ok(_) => edits,
        Err(_) => Vec::new(),
    }
}

/// The whole lines of `key = value`, where they hold nothing else.
fn statement(text: &str, unknown: &UnknownKey) -> Option<std::ops::Range<usize>> {
    let document = toml_edit::Document::parse(text).ok()?;
    let mut item = document.as_item();
    for key in &unknown.path {
        item = item.get(key)?;
    }
    let value = item.as_value()?.span()?;
    let start = text[..unknown.span.range().start]
        .rfind('\n')
        .map_or(0, |at| at + 1);
    let end = text[value.end..]
        .find('\n')
        .map_or(text.len(), |at| value.end + at + 1);
    let rest = text[value.end..end].trim();
    let alone = text[start..unknown.span.range().start].trim().is_empty()
        && (rest.is_empty() || rest.starts_with('#'));
    alone.then_some(start..end)
}

/// Where the first table begins, with the comments above it.
fn first_table(text: &str) -> Option<usize> {
    let document = toml_edit::Document::parse(text).ok()?;
    let mut first: Option<usize> = None;
    for (_, item) in document.iter() {
        let span = match item {
            toml_edit::Item::Table(table) => smallest(table),
            toml_edit::Item::ArrayOfTables(tables) => tables.iter().filter_map(smallest).min(),
            _ => None,
        };
        first = match (first, span) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }
    let mut at = first?;
    while let Some(line) = text[..at].strip_suffix('\n') {
        let start = line.rfind('\n').map_or(0, |at| at + 1);
        if start == 0 || !line[start..].trim_start().starts_with('#') {
            break;
        }
        at = start;
    }
    Some(at)
}

/// Where a table's header begins, or that of the first one in it.
fn smallest(table: &toml_edit::Table) -> Option<usize> {
    let own = if table.is_implicit() || table.is_dotted() {
        None
    } else {
        table.span().map(|it| it.start)
    };
    let below = table
        .iter()
        .filter_map(|(_, item)| item.as_table())
        .filter_map(smallest)
        .min();
    [own, below].into_iter().flatten().min()
}

fn unknown_value(_: &Facts, file: &File, found: &mut Found) {
    let source = &file.file.source;
    for extend in &file.file.extends {
        if let Some(span) = extend.unknown_relative {
            found
                .at(source, span, "`relative` has a word that cargo-make does not know")
                .help("it knows `makefile`, `crate`, `workspace` and `git`, and takes this for `makefile`");
        }
    }
    for entry in file.file.tasks() {
        conditions(&entry.value, &mut |condition| {
            for (key, words) in [
                ("platforms", &["linux", "windows", "mac"][..]),
                ("channels", &["stable", "beta", "nightly"]),
            ] {
                for value in condition.get(key).map_or(&[][..], Value::elements) {
                    let Some(word) = value.as_str() else { continue };
                    if !words.contains(&word) {
                        found
                            .at(source, value.span, format!("`{word}` is none of the {key}"))
                            .help(format!("there are: {}", words.join(", ")));
                    }
                }
            }
        });
    }
}

/// Every condition in a task: its own, its platforms', its routes', its variables'.
fn conditions(value: &Value, see: &mut impl FnMut(&Value)) {
    for entry in value.entries() {
        if &*entry.key == "condition" {
            see(&entry.value);
        } else {
            conditions(&entry.value, see);
        }
    }
    for element in value.elements() {
        conditions(element, see);
    }
}

fn deprecated_key(_: &Facts, file: &File, found: &mut Found) {
    for task in file.file.tasks() {
        let Some(entry) = task.value.entry("force") else {
            continue;
        };
        let source = &file.file.source;
        let mut edits = Vec::new();
        if task.value.entry("ignore_errors").is_none() {
            edits.push(Edit {
                file: source.shown.clone(),
                range: entry.key_span.range(),
                text: "ignore_errors".to_owned(),
            });
        }
        found
            .at(
                source,
                entry.key_span,
                "`force` is now called `ignore_errors`",
            )
            .fix("renames it", edits);
    }
}
