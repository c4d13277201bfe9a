//! What holds of each parser, whatever bytes it is given: one function a fuzz target of `fuzz/`.
//!
//! The ordinary tests run the same functions over the kept inputs and over mutations of them, so that
//! what a fuzzer has found once is held by everybody. Nothing here reads or writes a file, but the tests.

// These functions are assertions: where one does not hold, a panic is the report.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::ci::manifest::{Manifests, Workspace, diff_roots};
use crate::ci::{event, git, includes, lock};
use crate::config::Config;
use crate::init::compose;
use crate::lint::facts::{self, Directory, Facts};
use crate::lint::{self, Level, Levels, edit};
use crate::makefile::{self, Makefile, Options, Platform, TaskFile};
use crate::postgres::url::DbUrl;
use crate::postgres::{self, State};
use crate::term::Term;
use crate::{env_file, glob, junit, mask, nextest_config};

/// What a target asserts of bytes.
pub type Property = fn(&[u8]);

/// All targets, by the names of the programs in `fuzz/fuzz_targets/`.
pub const TARGETS: [(&str, Property); 10] = [
    ("compose", compose_file),
    ("config", config),
    ("dotenv", dotenv),
    ("git", git_output),
    ("junit", junit_report),
    ("makefile", task_files),
    ("manifests", manifests),
    ("nextest", nextest),
    ("postgres", postgres_reply),
    ("words", words),
];

/// The parts between bytes 0, as texts.
fn parts(data: &[u8]) -> Vec<String> {
    data.split(|byte| *byte == 0)
        .map(|part| String::from_utf8_lossy(part).into_owned())
        .collect()
}

/// Dotenv files. Input: a value, NUL, a file.
///
/// What is read is rendered so that it reads back; a managed value reads back, is set twice as once, and
/// leaves every other assignment and each byte of others' lines alone; taking it out undoes it.
pub fn dotenv(data: &[u8]) {
    let parts = parts(data);
    let value = &parts[0];
    let text = parts.get(1).map_or("", String::as_str);

    let rendered = format!("NAME={}\n", env_file::render_value(value));
    assert_eq!(
        env_file::get(&rendered, "NAME").as_deref(),
        Some(value.as_str())
    );

    let assignments = match env_file::parse(text) {
        Ok(assignments) => assignments,
        Err(error) => {
            assert!((1..=text.matches('\n').count() + 1).contains(&error.line));
            // What cannot be read is not changed into something else either.
            let kept = env_file::remove_managed(text, "XTASK_FUZZ");
            assert_eq!(env_file::managed_value(&kept, "XTASK_FUZZ"), None);
            return;
        }
    };
    let templates: BTreeMap<_, _> = assignments
        .iter()
        .map(|it| (it.name.clone(), it.value.clone()))
        .collect();
    if let Ok(values) = env_file::expand(&templates, &BTreeMap::new()) {
        let written: String = values
            .iter()
            .map(|(name, value)| format!("{name}={}\n", env_file::render_value(value)))
            .collect();
        for (name, value) in &values {
            assert_eq!(env_file::get(&written, name).as_ref(), Some(value));
        }
    }

    let before = values(text).expect("a file that could be read");
    for name in before.keys().take(2) {
        assert_eq!(env_file::get(text, name), before[name], "{name}");
    }
    let mine = assignments.first().map_or("XTASK_FUZZ", |it| &it.name);
    for name in [mine, "XTASK_FUZZ"] {
        let once = env_file::set_managed(text, name, value);
        assert_eq!(
            env_file::managed_value(&once, name).as_deref(),
            Some(value.as_str()),
            "{once:?}"
        );
        assert_eq!(env_file::set_managed(&once, name, value), once);
        let without = env_file::remove_managed(&once, name);
        assert_eq!(env_file::managed_value(&without, name), None, "{without:?}");
        for changed in [&once, &without] {
            let mut after = values(changed).expect("a file that can be read");
            let mut others = before.clone();
            // An assignment before the last one comes to light.
            after.remove(name);
            others.remove(name);
            assert_eq!(after, others, "{name}: {changed:?}");
        }
        let untouched = !before.contains_key(name) && !text.contains("# xtask: managed");
        if untouched && (text.is_empty() || text.ends_with('\n')) {
            assert_eq!(without, text);
        }
    }
}

/// What `env_file::get` says of each name; `None` for a file that cannot be read.
fn values(text: &str) -> Option<BTreeMap<String, Option<String>>> {
    let last: BTreeMap<_, _> = env_file::parse(text)
        .ok()?
        .into_iter()
        .map(|it| (it.name, it.value))
        .collect();
    let value = |(name, template): (String, env_file::Template)| {
        let alone = BTreeMap::from([(name.clone(), template)]);
        let expanded = env_file::expand(&alone, &BTreeMap::new()).ok();
        let value = expanded.and_then(|mut it| it.remove(&name));
        (name, value)
    };
    Some(last.into_iter().map(value).collect())
}

/// `.config/xtask.toml`. Input: the file.
///
/// An error names the file and a place in it; what is taken has only names that exist.
pub fn config(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match Config::parse(&text, "FILE") {
        Err(fault) => {
            let said = fault.to_string();
            assert!(said.starts_with("FILE"), "{said}");
            assert!(
                said.len() > "FILE: ".len() && !said.ends_with(": "),
                "{said}"
            );
            let place: Vec<usize> = said["FILE".len()..]
                .trim_start_matches(':')
                .split(':')
                .map_while(|it| it.parse().ok())
                .collect();
            if let [line, column, ..] = place[..] {
                assert!(
                    line <= text.matches('\n').count() + 1 && column > 0,
                    "{said}"
                );
            }
        }
        Ok(config) => {
            for service in config.services.values() {
                let known = |it: &String| config.services.contains_key(it);
                assert!(service.depends_on.iter().all(known));
            }
            let known = |it: &String| config.tools.contains_key(it);
            assert!(config.make.tools.iter().all(known));
            assert!(config.setup.values().all(|it| it.tools.iter().all(known)));
            for task in ["build", "test-rust"] {
                let _ = config.tools_of(task).count();
                let _ = config.tests_of(task);
            }
        }
    }
}

/// Task files. Input: up to three, NUL between them: each extends the one before.
///
/// Places lie in the file; each task resolves or says why not, and plans end; the linter's findings lie
/// in a file of the input; what it mends is still a task file, with no finding less mended twice.
pub fn task_files(data: &[u8]) {
    let mut files = Vec::new();
    for (n, text) in parts(data).into_iter().take(3).enumerate() {
        let shown = format!("f{n}.toml");
        let lines = text.matches('\n').count() + 1;
        let size = text.len();
        match TaskFile::parse(PathBuf::from(&shown), shown, text) {
            Ok(file) => {
                for unknown in &file.unknown {
                    assert!(unknown.span.range().end <= size);
                }
                files.push(Arc::new(file));
            }
            Err(problem) => {
                let position = problem.position.expect("a place in the file");
                assert!(position.line as usize <= lines, "{problem}");
                return;
            }
        }
    }
    let options = Options {
        platform: Platform::Linux,
        ..Options::default()
    };
    let Ok(makefile) = makefile::of_files(&files, &options) else {
        return;
    };
    look_at(&makefile);
    lint_all(&files, makefile);
}

fn look_at(makefile: &Makefile) {
    let own: Vec<_> = makefile.own().take(40).collect();
    for task in own {
        let resolved = makefile.resolve(&task.name);
        assert_eq!(
            resolved.is_ok(),
            makefile.resolve(&task.name).is_ok(),
            "resolving twice"
        );
        if let Ok(task) = resolved {
            let _ = task.summary();
            let _ = task.references();
            let _ = makefile.calls(&task);
            for (_, field) in task.fields.iter() {
                let range = field.value.span.range();
                assert!(range.start <= range.end && range.end <= field.source.text.len());
                let _ = makefile::shown(&makefile::masked(&field.value));
            }
        }
        if let Ok(steps) = makefile.plan(&task.name) {
            assert!(!steps.is_empty());
        }
    }
}

fn lint_all(files: &[Arc<TaskFile>], makefile: Makefile) {
    let mut facts = Facts::default();
    facts.files = files
        .iter()
        .map(|file| facts::file(file.clone(), true, true))
        .collect();
    facts.directories = vec![Directory {
        path: String::new(),
        member: true,
        own: files[files.len() - 1].source.clone(),
        makefile: Arc::new(makefile),
    }];
    let report = lint::check(&facts, &Levels::all(Level::Deny));
    for finding in &report.findings {
        let file = files.iter().find(|it| it.source.shown == finding.file);
        let text = &file.expect("a file of the input").source.text;
        assert!(finding.line >= 1 && finding.column >= 1);
        assert!(finding.span.end <= text.len(), "{finding:?}");
        assert!(text.is_char_boundary(finding.span.start), "{finding:?}");
    }
    assert!(report.human(&Term::plain()).len() >= report.findings.len());
    // One line a command of GitHub, whatever stands in a file.
    assert!(report.github().lines().all(|it| it.starts_with("::")));
    let _ = report.sarif();
    let fixes = edit::compatible(report.fixes());
    for file in files {
        let edits: Vec<_> = fixes
            .iter()
            .flat_map(|fix| &fix.edits)
            .filter(|it| it.file == file.source.shown)
            .collect();
        if edits.is_empty() {
            continue;
        }
        let text = &file.source.text;
        let mended = edit::apply(text, edits.iter().copied());
        assert_ne!(&mended, text, "{edits:?}");
        let path = file.source.path.clone();
        let parsed = TaskFile::parse(path, file.source.shown.clone(), mended.clone());
        if let Err(problem) = parsed {
            panic!("{problem}\n{text}\n=>\n{mended}\n{edits:?}");
        }
    }
}

/// `.config/nextest.toml`. Input: the file.
///
/// What is completed is TOML, keeps each value that was there, has each key that is said to be added,
/// and is complete: a second time adds nothing and changes no byte.
pub fn nextest(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(completed) = nextest_config::complete(&text) else {
        return;
    };
    let _ = nextest_config::faults(&text).expect("TOML a moment ago");
    let before = document(&text).expect("TOML a moment ago");
    let Some(after) = document(&completed.text) else {
        panic!("no TOML: {}", completed.text);
    };
    keeps(&before, &after, &completed.text);
    for key in &completed.added {
        let mut path = key.split('.');
        assert!(
            path.clone()
                .try_fold(&after, |it, part| it.get(part))
                .is_some()
        );
        assert!(path.try_fold(&before, |it, part| it.get(part)).is_none());
    }
    let again = nextest_config::complete(&completed.text).expect("TOML");
    assert_eq!(again.added, Vec::<String>::new(), "{}", completed.text);
    assert_eq!(again.text, completed.text);
}

fn document(text: &str) -> Option<serde_json::Value> {
    // Dates and numbers that JSON does not have are texts here; only whether they stay is asked.
    let document: toml_edit::DocumentMut = text.parse().ok()?;
    Some(json(document.as_item()))
}

fn json(item: &toml_edit::Item) -> serde_json::Value {
    use serde_json::Value;
    if let Some(table) = item.as_table_like() {
        let pairs = table.iter().map(|(key, it)| (key.to_owned(), json(it)));
        return Value::Object(pairs.collect());
    }
    if let Some(tables) = item.as_array_of_tables() {
        let all = tables
            .iter()
            .map(|it| json(&toml_edit::Item::Table(it.clone())));
        return Value::Array(all.collect());
    }
    if let Some(array) = item.as_array() {
        let all = array
            .iter()
            .map(|it| json(&toml_edit::Item::Value(it.clone())));
        return Value::Array(all.collect());
    }
    match item.as_str() {
        Some(text) => Value::String(text.to_owned()),
        None => Value::String(item.to_string().trim().to_owned()),
    }
}

fn keeps(before: &serde_json::Value, after: &serde_json::Value, text: &str) {
    match (before.as_object(), after.as_object()) {
        (Some(before), Some(after)) => {
            for (key, value) in before {
                keeps(
                    value,
                    after.get(key).unwrap_or(&serde_json::Value::Null),
                    text,
                );
            }
        }
        _ => assert_eq!(before, after, "{text}"),
    }
}

/// JUnit reports. Input: the file.
///
/// The counts are those of the tests; nothing that is kept is larger than its bound, nor larger
/// altogether than the file; a file that is cut short is no report of more tests.
pub fn junit_report(data: &[u8]) {
    match junit::parse(data, "FILE") {
        Err(fault) => assert!(fault.to_string().starts_with("FILE"), "{fault}"),
        Ok(report) => {
            let counts = report.counts();
            assert_eq!(counts.total(), report.tests.len() as u64 + report.unlisted);
            assert!(counts.flaky <= counts.passed);
            for test in &report.tests {
                let _ = test.full_name();
                assert!(test.output.len() < 17 << 10);
                assert!(test.seconds.is_none_or(|it| it.is_finite() && it >= 0.0));
                if let Some(failure) = &test.failure {
                    assert!(failure.text.len() < 17 << 10 && failure.message.len() < 17 << 10);
                }
            }
            let end = data.len() * 2 / 3;
            if let Ok(shorter) = junit::parse(&data[..end], "FILE") {
                assert!(shorter.tests.len() <= report.tests.len());
            }
        }
    }
}

/// What a PostgreSQL says to a probe. Input: its bytes, from the first answer on.
///
/// The conversation ends, in a state with words, and never in "ready" unless the server has let us in and
/// answered the questions; the words never hold the password. A DataRow is what its bytes say.
pub fn postgres_reply(data: &[u8]) {
    const PASSWORD: &str = "hunter2-canary";
    let url = DbUrl::parse(&format!("postgresql://u:{PASSWORD}@127.0.0.1:1/d")).expect("a URL");
    let since = Instant::now();
    let state = postgres::state_after(&url, data, Duration::from_secs(1));
    assert!(since.elapsed() < Duration::from_secs(5));
    let words = format!("{} {state:?}", state.describe());
    let said = data
        .windows(PASSWORD.len())
        .any(|it| it == PASSWORD.as_bytes());
    assert!(said || !words.contains(PASSWORD), "{words}");
    if state == State::Ready {
        let ends = data
            .windows(5)
            .filter(|it| **it == [b'Z', 0, 0, 0, 5])
            .count();
        let logged_in = data.windows(9).any(|it| it == b"R\0\0\0\x08\0\0\0\0");
        // After the login, and after each of the two questions.
        assert!(ends >= 3 && logged_in, "ready without an answer");
    }
    if let Some(columns) = postgres::wire::data_row(data) {
        assert_eq!(
            columns.len(),
            usize::from(u16::from_be_bytes([data[0], data[1]]))
        );
        // Written as the server would, it reads the same.
        let mut row = data[..2].to_vec();
        for column in &columns {
            match column {
                None => row.extend_from_slice(&(-1_i32).to_be_bytes()),
                Some(text) => {
                    row.extend_from_slice(&u32::try_from(text.len()).expect("short").to_be_bytes());
                    row.extend_from_slice(text.as_bytes());
                }
            }
        }
        assert_eq!(postgres::wire::data_row(&row), Some(columns));
    }
}

/// What git prints. Input: a prefix, newline, then output.
///
/// Each parser gives back what is in the bytes, and never more; a path seen from a directory leads back to
/// itself.
pub fn git_output(data: &[u8]) {
    let cut = data.iter().position(|it| *it == b'\n').unwrap_or(0);
    let (prefix, output) = (&data[..cut], data.get(cut + 1..).unwrap_or_default());
    let records = git::records(output);
    assert!(
        records
            .iter()
            .all(|it| !it.is_empty() && !it.contains('\0'))
    );
    let changes = git::parse_name_status(output);
    assert_eq!(changes.len(), records.len() / 2);
    if let Some(contents) = git::parse_batch(output) {
        let size: usize = contents.iter().map(|it| it.len() + 1).sum();
        assert!(size <= output.len());
    }
    // Contents come back whatever they are.
    let mut batch = Vec::new();
    let pieces: Vec<&[u8]> = output.chunks(7).take(9).collect();
    for piece in &pieces {
        batch.extend_from_slice(format!("0123 blob {}\n", piece.len()).as_bytes());
        batch.extend_from_slice(piece);
        batch.push(b'\n');
    }
    assert_eq!(git::parse_batch(&batch).expect("whole"), pieces);

    let clean = |it: &str| {
        let parts = it.split('/').filter(|it| !matches!(*it, "" | "." | ".."));
        parts.collect::<Vec<_>>().join("/")
    };
    let mut prefix = clean(&String::from_utf8_lossy(prefix));
    if !prefix.is_empty() {
        prefix.push('/');
    }
    for (path, _) in changes.iter().take(8) {
        let path = clean(path);
        if path.is_empty() || prefix.starts_with(&format!("{path}/")) {
            continue;
        }
        let seen = git::below(&prefix, &path);
        let mut at: Vec<&str> = prefix.split('/').filter(|it| !it.is_empty()).collect();
        for part in seen.split('/') {
            if part == ".." {
                assert!(at.pop().is_some(), "{prefix} {path} {seen}");
            } else {
                at.push(part);
            }
        }
        assert_eq!(at.join("/"), path, "{prefix} {seen}");
    }
    let payload = String::from_utf8_lossy(output);
    for name in ["pull_request", "push", "merge_group"] {
        let env = BTreeMap::from([("GITHUB_EVENT_NAME".to_owned(), name.to_owned())]);
        let _ = event::base(&env, Some(&payload));
    }
}

/// Manifests and lock files. Input, NUL between: the root's manifest, those of `a` and `b`, a lock file,
/// another.
///
/// Indices are those of packages; what is compared with itself does not differ.
pub fn manifests(data: &[u8]) {
    let parts = parts(data);
    let mut manifests = Manifests::new();
    for (path, text) in ["Cargo.toml", "a/Cargo.toml", "b/Cargo.toml"]
        .iter()
        .zip(&parts)
    {
        if !text.is_empty() {
            manifests.insert((*path).to_owned(), text.clone());
        }
    }
    if let Ok(diff) = diff_roots(&parts[0], &parts[0]) {
        assert_eq!(diff, Default::default());
    }
    if let Some(other) = parts.get(1) {
        let (one, two) = (diff_roots(&parts[0], other), diff_roots(other, &parts[0]));
        assert_eq!(one.is_ok(), two.is_ok());
        if let (Ok(one), Ok(two)) = (one, two) {
            assert_eq!(one, two);
        }
    }
    let Ok(workspace) = Workspace::read(&manifests) else {
        return;
    };
    let count = workspace.packages.len();
    assert_eq!(workspace.dependents().len(), count);
    for (index, package) in workspace.packages.iter().enumerate() {
        assert!(package.dependencies.iter().all(|(on, _)| *on < count));
        assert!(workspace.named(&package.name).is_some());
        if !package.directory.is_empty() {
            let file = format!("{}/src/lib.rs", package.directory);
            assert!(workspace.owner(&file).is_some_and(|it| it < count));
        }
        assert_eq!(workspace.members().any(|it| it == index), package.member);
    }
    let (old, new) = (parts.get(3), parts.get(4));
    if let Some(old) = old
        && let Ok(diff) = lock::diff(old, old, &workspace)
    {
        assert_eq!(diff.moved, BTreeMap::new(), "{old}");
    }
    if let (Some(old), Some(new)) = (old, new)
        && let Ok(diff) = lock::diff(old, new, &workspace)
    {
        assert!(diff.moved.keys().all(|it| *it < count));
        assert!(diff.edges.iter().all(|(a, b, _)| *a < count && *b < count));
    }
}

/// Compose files. Input: the file.
///
/// A place is a line of the file. What is read, written as JSON (which is YAML), reads the same.
pub fn compose_file(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let lines = text.lines().count().max(1);
    match compose::services(&text) {
        Err((line, why)) => {
            assert!((1..=lines).contains(&line), "{line}: {why}");
            assert!(!why.is_empty());
        }
        Ok(services) => {
            for service in services {
                assert!((1..=lines).contains(&service.line), "{service:?}");
            }
        }
    }
    if let Ok(node) = compose::parse(&text)
        && let Some(json) = json_of(&node.value)
    {
        let written = format!("all: {json}\n");
        let again = compose::parse(&written)
            .unwrap_or_else(|(line, why)| panic!("{line}: {why}\n{written}"));
        let again = again.get("all").and_then(|it| json_of(&it.value));
        assert_eq!(again.as_ref(), Some(&json), "{written}");
    }
}

/// The value as JSON; `None` where something is not understood, or JSON has no such thing.
fn json_of(value: &compose::Value) -> Option<serde_json::Value> {
    use compose::Value;
    Some(match value {
        Value::Unknown => return None,
        Value::Scalar(text) => serde_json::Value::from(text.as_str()),
        Value::List(items) => {
            let all: Option<Vec<_>> = items.iter().map(|it| json_of(&it.value)).collect();
            serde_json::Value::from(all?)
        }
        Value::Map(entries) => {
            let mut map = serde_json::Map::new();
            for (key, it) in entries {
                if map.insert(key.clone(), json_of(&it.value)?).is_some() {
                    return None;
                }
            }
            serde_json::Value::from(map)
        }
    })
}

/// What is looked for in texts. Input: a pattern, NUL, a text.
///
/// Masking a text again changes nothing; a database's URL reads back, and never shows its password; patterns, scripts and sources are read to their end.
pub fn words(data: &[u8]) {
    let parts = parts(data);
    let pattern = &parts[0];
    let text = parts.get(1).map_or("", String::as_str);
    let _ = glob::matches(pattern, text);
    assert!(glob::matches("*", text));
    let _ = glob::matches_path(pattern, text);
    assert!(glob::matches_path("**", text) || text.is_empty());
    for bashism in lint::shell::bashisms(text) {
        assert!(
            text.get(bashism.offset..bashism.offset + bashism.len)
                .is_some()
        );
    }
    let _ = includes::find("a/src/lib.rs", "a", text);
    let masked = mask::mask_urls(text);
    // Without its value, `password=` may bring to light what looks like another URL.
    if !text.contains("password=") {
        assert_eq!(mask::mask_urls(&masked), masked);
    }
    for found in [pattern.as_str(), text] {
        match DbUrl::parse(found) {
            Ok(url) => {
                let again = DbUrl::parse(&url.reveal()).expect("what is revealed is a URL");
                assert_eq!(again, url, "{found:?}");
                const CANARY: &str = "c4n4ry";
                let mut url = url;
                url.password = CANARY.to_owned();
                assert!(found.contains(CANARY) || !format!("{url} {url:?}").contains(CANARY));
                let raw = found.replacen("://", &format!("://u:{CANARY}/ @"), 1);
                if let Err(fault) = DbUrl::parse(&raw) {
                    assert!(found.contains(CANARY) || !fault.to_string().contains(CANARY));
                }
            }
            Err(fault) => assert!(!fault.to_string().is_empty()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::fsx;

    /// The inputs that are kept for a target, by their paths.
    fn kept(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
        let package = fsx::test_package();
        let fuzz = package.parent().unwrap_or(Path::new("..")).join("fuzz");
        let mut all = Vec::new();
        for directory in ["seeds", "corpus"] {
            for entry in fs::read_dir(fuzz.join(directory).join(target)).unwrap() {
                let path = entry.unwrap().path();
                let bytes = fs::read(&path).unwrap();
                all.push((path, bytes));
            }
        }
        all.sort();
        all
    }

    #[test]
    fn every_kept_input_holds() {
        for (target, property) in TARGETS {
            let inputs = kept(target);
            assert!(inputs.len() >= 3, "{target} has {} inputs", inputs.len());
            for (path, bytes) in inputs {
                let outcome = std::panic::catch_unwind(|| property(&bytes));
                assert!(outcome.is_ok(), "{}", path.display());
            }
        }
    }

    /// Inputs longer and deeper than a fuzzer's: one thing again and again, and what refers to the next.
    fn long_inputs(target: &str) -> Vec<String> {
        let again = [
            "[",
            "{",
            "(",
            "<",
            "$",
            "${A:-",
            "\"",
            "'",
            "\\",
            "a.",
            "<a>",
            "- ",
            "\0",
            "\n",
            " ",
            "*",
            "/",
            "**/",
            ",",
            "#",
            "a: ",
            "a=1\n",
            "[[a]]\n",
            "[a]\n",
            "&a ",
            "a\\\n",
            "://",
            "../",
            "\"$(",
            "== ",
            "[ a == ",
            "<<a ",
            "source ",
            "password=",
        ];
        let mut all: Vec<String> = again.iter().map(|it| it.repeat(6_000)).collect();
        for open in [
            "a = ",
            "a: ",
            "<testsuites>",
            "[tasks.a]\nenv = ",
            "[package]\na = ",
        ] {
            for deep in ["[", "{a = ", "{a: ", "<testsuite>", "{\"a\":"] {
                all.push(format!("{open}{}", deep.repeat(2_000)));
            }
        }
        let chain = |line: &dyn Fn(usize) -> String| (0..1_000).map(line).collect::<String>();
        match target {
            "dotenv" => {
                all.push(format!("v\0{}", chain(&|n| format!("A{n}=$A{}\n", n + 1))));
            }
            "config" => all.push(chain(&|n| {
                format!("[services.s{n}]\nport = 1\ndepends_on = [\"s{}\"]\n", n + 1)
            })),
            "makefile" => {
                // 2^60 ways through 120 tasks.
                let both = |n: usize| {
                    ["a", "b"].map(|it| {
                        format!(
                            "[tasks.{it}{n}]\ndependencies = [\"a{0}\", \"b{0}\"]\n",
                            n + 1
                        )
                    })
                };
                let last = "[tasks.a60]\n[tasks.b60]\n".to_owned();
                all.push((0..60).flat_map(both).chain([last]).collect());
                let tasks = |count: usize, line: &dyn Fn(usize) -> String| -> String {
                    let task = |n| format!("[tasks.t{n}]\n{}\n", line(n + 1));
                    (0..count).map(task).collect()
                };
                // Each of these is what all below it come to, and the linter looks at each.
                all.push(tasks(150, &|next| format!("extend = \"t{next}\"")));
                all.push(tasks(150, &|next| format!("alias = \"t{next}\"")));
                all.push(tasks(1_000, &|next| format!("run_task = \"t{next}\"")));
                all.push(tasks(1_000, &|next| {
                    format!("dependencies = [\"t{next}\"]")
                }));
                all.push(format!(
                    "[env]\n{}",
                    chain(&|n| format!("A{n} = \"${{A{}}}\"\n", n + 1))
                ));
            }
            _ => {}
        }
        all
    }

    /// With as little stack as a main thread has on Windows, where it has the least.
    #[test]
    fn long_inputs_come_to_their_end() {
        for (target, property) in TARGETS {
            for input in long_inputs(target) {
                let shown: String = input.chars().take(60).collect();
                // An overflow of the stack ends the process: the last line tells of what.
                eprintln!("{target}: {shown:?}");
                let since = Instant::now();
                let thread = std::thread::Builder::new().stack_size(1 << 20);
                let outcome = thread
                    .spawn(move || property(input.as_bytes()))
                    .unwrap()
                    .join();
                assert!(outcome.is_ok(), "{target}: {shown:?}");
                let took = since.elapsed();
                assert!(
                    took < Duration::from_secs(30),
                    "{target}: {shown:?}: {took:?}"
                );
            }
        }
    }

    /// Each target is a program, and each program calls the function of its name.
    #[test]
    fn each_target_has_its_program() {
        let fuzz = fsx::test_package().parent().unwrap().join("fuzz");
        let manifest = fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
        let mut programs: Vec<String> = fs::read_dir(fuzz.join("fuzz_targets"))
            .unwrap()
            .map(|it| {
                it.unwrap()
                    .path()
                    .file_stem()
                    .unwrap()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        programs.sort();
        assert_eq!(programs, TARGETS.map(|(name, _)| name.to_owned()));
        for (name, _) in TARGETS {
            assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
        }
    }

    /// Pieces of kept inputs, put together anew.
    fn spliced(
        inputs: &[Vec<u8>],
        cuts: &[(prop::sample::Index, prop::sample::Index, u8)],
    ) -> Vec<u8> {
        let mut out = Vec::new();
        for (which, at, byte) in cuts {
            let piece = which.get(inputs);
            let at = at.index(piece.len() + 1);
            out.extend_from_slice(if byte % 2 == 0 {
                &piece[..at]
            } else {
                &piece[at..]
            });
            if byte % 5 == 0 {
                out.push(*byte);
            }
        }
        out.truncate(4096);
        out
    }

    fn cuts() -> impl Strategy<Value = Vec<(prop::sample::Index, prop::sample::Index, u8)>> {
        prop::collection::vec(
            any::<(prop::sample::Index, prop::sample::Index, u8)>(),
            1..4,
        )
    }

    /// One test a target.
    macro_rules! properties {
        ($($test:ident: $target:literal;)*) => {
            $(
                #[test]
                fn $test() {
                    let property = TARGETS.iter().find(|it| it.0 == $target).unwrap().1;
                    let inputs: Vec<Vec<u8>> = kept($target).into_iter().map(|it| it.1).collect();
                    proptest!(|(cuts in cuts())| property(&spliced(&inputs, &cuts)));
                }
            )*
            #[test]
            fn no_target_is_without_its_property_test() {
                assert_eq!([$($target),*], TARGETS.map(|it| it.0));
            }
        };
    }

    properties! {
        compose_files_hold: "compose";
        configurations_hold: "config";
        dotenv_files_hold: "dotenv";
        what_git_prints_holds: "git";
        junit_reports_hold: "junit";
        task_files_hold: "makefile";
        manifests_and_lock_files_hold: "manifests";
        nextests_files_hold: "nextest";
        what_postgres_says_holds: "postgres";
        words_hold: "words";
    }
}
