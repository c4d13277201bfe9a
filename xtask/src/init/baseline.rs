//! What the linter would say of the workspace as it will be, settled before it is written: a task that
//! was there before gets a comment that allows what it does, so that every rule can be held at deny from
//! the first day, and what is left to do can be found by one word.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use toml_edit::{Document, Item};

use super::{CONFIG, Kind, Plan, Survey};
use crate::config::Config;
use crate::fsx;
use crate::lint::{self, Finding, Level, Levels, read};

/// The reason that the comments give.
const REASON: &str = "here before the task layer, to be moved";
/// After so many looks, what is still found is for a person.
const LOOKS: usize = 3;

/// Adds to a plan what makes the result pass `tasks check`.
///
/// # Errors
/// When the configuration that is there is malformed, or the scratch copy of the task files cannot be
/// written.
pub fn settle(root: &Path, survey: &Survey, plan: &mut Plan) -> anyhow::Result<()> {
    for look in 1..=LOOKS {
        let Looked { findings, problems } = lint(root, survey, plan)?;
        for (file, message) in problems {
            plan.note(
                Kind::Left,
                &file,
                0,
                format!("cargo-make would refuse it: {message}"),
            );
        }
        if findings.is_empty() {
            break;
        }
        if look == LOOKS || !allow(survey, plan, &findings) {
            for finding in findings {
                let message = format!("tasks check: {} ({})", finding.message, finding.rule);
                plan.note(Kind::Left, &finding.file, finding.line, message);
            }
            break;
        }
    }
    plan.notes.sort();
    plan.notes.dedup();
    Ok(())
}

/// What a look has found.
struct Looked {
    /// What is denied.
    findings: Vec<Finding>,
    /// What cargo-make would refuse: the file, and why.
    problems: Vec<(String, String)>,
}

/// What is denied in a scratch copy of all that the linter reads, and what cargo-make would refuse.
fn lint(root: &Path, survey: &Survey, plan: &Plan) -> anyhow::Result<Looked> {
    let config = Config::parse(plan.text(survey, CONFIG).unwrap_or_default(), CONFIG)?;
    let scratch = Scratch::new()?;
    let mut texts: BTreeMap<String, String> = survey.files.clone();
    for pattern in &config.lint.docs {
        for path in fsx::files_matching(root, pattern)? {
            let text = std::fs::read_to_string(below(root, &path)).unwrap_or_default();
            texts.insert(path, text);
        }
    }
    for change in &plan.changes {
        texts.insert(change.path.clone(), change.new.clone());
    }
    for path in survey.names.iter().filter_map(|it| it.rsplit_once('/')) {
        fsx::create_dir_all(&below(&scratch.0, path.0))?;
    }
    for (path, text) in &texts {
        let path = below(&scratch.0, path);
        fsx::create_dir_all(path.parent().unwrap_or(&scratch.0))?;
        std::fs::write(&path, text)
            .with_context(|| format!("failed to write `{}`", path.display()))?;
    }
    let input = read::read(&scratch.0, &config)?;
    let report = lint::check(&input.facts, &Levels::new(&config.lint));
    let findings = report
        .findings
        .into_iter()
        .filter(|it| it.level == Level::Deny)
        .collect();
    let problems = input
        .problems
        .into_iter()
        .map(|it| (it.shown, it.message))
        .collect();
    Ok(Looked { findings, problems })
}

/// Allows what is found: at the task that was here before, else for the whole workspace as a warning.
/// Whether that changed anything.
fn allow(survey: &Survey, plan: &mut Plan, findings: &[Finding]) -> bool {
    let mut at_tasks: BTreeMap<(String, usize), BTreeSet<&str>> = BTreeMap::new();
    let mut rules: BTreeSet<&str> = BTreeSet::new();
    for finding in findings {
        match theirs(survey, plan, finding) {
            Some(line) => {
                let place = (finding.file.clone(), line);
                at_tasks.entry(place).or_default().insert(finding.rule);
            }
            None => {
                rules.insert(finding.rule);
                let message = format!("tasks check: {} ({})", finding.message, finding.rule);
                plan.note(Kind::Left, &finding.file, finding.line, message);
            }
        }
    }
    let mut changed = !at_tasks.is_empty();
    // From the last line up, so that the lines above keep their numbers.
    for ((file, line), rules) in at_tasks.into_iter().rev() {
        let Some(text) = plan.text(survey, &file) else {
            continue;
        };
        let rules: Vec<&str> = rules.into_iter().collect();
        let new = commented(
            text,
            line,
            &format!("# xtask: allow({}): {REASON}", rules.join(", ")),
        );
        plan.replace(survey, &file, new);
    }
    let created = plan.changes.iter_mut().find(|it| it.path == CONFIG);
    if let Some(config) = created.filter(|_| !rules.is_empty()) {
        changed = true;
        config.new.push_str("\n# Found where no comment can allow it; mend it, and take the line away.\n[lint.rules]\n");
        for rule in rules {
            config.new.push_str(&format!("{rule} = \"warn\"\n"));
        }
    }
    changed
}

/// The first line (from 1) of the task that a finding lies in, where that is none of ours.
fn theirs(survey: &Survey, plan: &Plan, finding: &Finding) -> Option<usize> {
    let text = plan.text(survey, &finding.file)?;
    let document = Document::parse(text).ok()?;
    let tasks = document.get("tasks").and_then(Item::as_table_like)?;
    let line_of = |offset: usize| text[..offset].matches('\n').count() + 1;
    let (line, name) = tasks
        .iter()
        .filter_map(|(name, item)| {
            let key = tasks.key(name)?.span();
            let start = key.or_else(|| item.span())?.start;
            Some((line_of(start), name))
        })
        .filter(|(line, _)| *line <= finding.line)
        .max()?;
    let ours = plan
        .ours
        .get(&finding.file)
        .is_some_and(|it| it.contains(name));
    let kept = plan.notes.iter().any(|it| {
        it.kind == Kind::Untranslated
            && it.file == finding.file
            && it.message.starts_with(&format!("task `{name}`"))
    });
    (!ours || kept).then_some(line)
}

/// The text with a line above another one (from 1), as far in as that is.
fn commented(text: &str, line: usize, comment: &str) -> String {
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let mut new = String::new();
    for (index, it) in text.split_inclusive('\n').enumerate() {
        if index + 1 == line {
            new.push_str(&it[..it.len() - it.trim_start().len()]);
            new.push_str(comment);
            new.push_str(end);
        }
        new.push_str(it);
    }
    new
}

fn below(root: &Path, path: &str) -> PathBuf {
    path.split('/')
        .fold(root.to_path_buf(), |at, part| at.join(part))
}

/// A directory of our own among the system's temporary files, which ends with the value.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> anyhow::Result<Scratch> {
        let mut random = [0_u8; 8];
        getrandom::fill(&mut random)
            .map_err(|error| anyhow::anyhow!("no random numbers: {error}"))?;
        let name = format!("xtask-init-{}", crate::hex::encode(&random));
        let path = fsx::temporary_directory()?.join(name);
        std::fs::create_dir(&path)
            .with_context(|| format!("failed to create `{}`", path.display()))?;
        // As the model will name the files.
        Ok(Scratch(path.canonicalize().unwrap_or(path)))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
