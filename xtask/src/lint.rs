//! `tasks check`: a linter for cargo-make files.
//!
//! Each rule is one entry in a table ([`rules`]): its name, what it finds, why that matters, the mend,
//! and the function that looks. Help, `docs/task-rules.md` and SARIF read that table. Rules are pure:
//! they see [`Facts`] and leave [`Finding`]s; [`read`] alone reads files.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Range;
use std::sync::Arc;

use serde::Serialize;

use crate::config::lint::{Lint, LintLevel};
use crate::makefile::{Problem, Source, Span};

#[cfg(test)]
mod docs;
pub mod edit;
pub mod facts;
pub mod names;
pub mod read;
mod render;
mod rules;
mod sarif;
pub mod shell;
mod suppress;
#[cfg(test)]
mod tests;

pub use edit::{Edit, Fix};
pub use facts::{Facts, File, View};

/// What a finding does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The rule does not run.
    Off,
    /// It is reported.
    Warn,
    /// It is reported, and the check fails.
    Deny,
}

impl Level {
    /// The word that stands in `.config/xtask.toml`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Level::Off => "off",
            Level::Warn => "warn",
            Level::Deny => "deny",
        }
    }
}

impl From<LintLevel> for Level {
    fn from(level: LintLevel) -> Level {
        match level {
            LintLevel::Off => Level::Off,
            LintLevel::Warn => Level::Warn,
            LintLevel::Deny => Level::Deny,
        }
    }
}

/// What rules are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// Names that must exist.
    References,
    /// Keys that cargo-make does not know, or not there.
    Keys,
    /// What a task does.
    Bodies,
    /// Scripts.
    Scripts,
    /// The environment.
    Environment,
    /// What a task is called, and what is said about it.
    Conventions,
    /// What the files of a workspace are to each other.
    Workspace,
    /// The linter's own comments.
    Comments,
}

impl Family {
    /// A heading.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Family::References => "references",
            Family::Keys => "keys",
            Family::Bodies => "bodies",
            Family::Scripts => "scripts",
            Family::Environment => "environment",
            Family::Conventions => "conventions",
            Family::Workspace => "workspace",
            Family::Comments => "comments",
        }
    }
}

/// A rule.
#[derive(Debug)]
pub struct Rule {
    /// Kebab-case; unique.
    pub name: &'static str,
    /// What it is about.
    pub family: Family,
    /// What it does where the configuration says nothing.
    pub level: Level,
    /// What it finds, in one line.
    pub what: &'static str,
    /// Why that matters: what cargo-make does then.
    pub why: &'static str,
    /// How it is mended.
    pub mend: &'static str,
    /// Whether `--fix` mends it (where it is safe).
    pub fixable: bool,
    /// Looks for it.
    pub check: Check,
}

/// What a rule looks at.
#[derive(Debug)]
pub enum Check {
    /// Each task file, once.
    File(fn(&Facts, &File, &mut Found)),
    /// Each directory with what cargo-make sees there.
    Directory(fn(&View, &mut Found)),
    /// Everything at once.
    Workspace(fn(&Facts, &mut Found)),
    /// The comments, when all other rules have run.
    Comments,
}

/// All rules, in the order of the documentation.
pub fn rules() -> impl Iterator<Item = &'static Rule> {
    rules::FAMILIES.iter().flat_map(|family| family.iter())
}

/// The rule of this name.
#[must_use]
pub fn rule(name: &str) -> Option<&'static Rule> {
    rules().find(|rule| rule.name == name)
}

/// Something that a rule has found.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// The rule's name.
    pub rule: &'static str,
    /// What it does.
    pub level: Level,
    /// Relative to the root, `/` between its parts.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// The line in which it ends.
    pub end_line: usize,
    /// One past its last character.
    pub end_column: usize,
    /// In bytes.
    pub span: Range<usize>,
    /// The line's text.
    #[serde(skip)]
    pub text: String,
    /// What is wrong: lowercase, values in backticks, no final dot.
    pub message: String,
    /// The mend, for this very place; without it the rule's own holds.
    pub help: Option<String>,
    /// What `--fix` does.
    pub fix: Option<Fix>,
}

/// What a rule says, before its place is looked up.
#[derive(Clone, Debug)]
pub struct Raw {
    rule: &'static str,
    source: Arc<Source>,
    span: Span,
    message: String,
    help: Option<String>,
    fix: Option<Fix>,
}

impl Raw {
    /// The mend for this very place.
    pub fn help(&mut self, help: impl Into<String>) -> &mut Raw {
        self.help = Some(help.into());
        self
    }

    /// What mends it.
    pub fn fix(&mut self, what: impl Into<String>, edits: Vec<Edit>) -> &mut Raw {
        if !edits.is_empty() {
            self.fix = Some(Fix {
                what: what.into(),
                edits,
            });
        }
        self
    }
}

/// Where rules leave what they find.
#[derive(Debug, Default)]
pub struct Found {
    rule: &'static str,
    all: Vec<Raw>,
}

impl Found {
    /// Something in a file, at these bytes.
    pub fn at(&mut self, source: &Arc<Source>, span: Span, message: impl Into<String>) -> &mut Raw {
        self.all.push(Raw {
            rule: self.rule,
            source: source.clone(),
            span,
            message: message.into(),
            help: None,
            fix: None,
        });
        let last = self.all.len() - 1;
        &mut self.all[last]
    }
}

/// What the linter has to say.
#[derive(Debug, Default)]
pub struct Report {
    /// In the order of files and lines.
    pub findings: Vec<Finding>,
    /// What comments allow, with their reasons.
    pub suppressed: Vec<(Finding, String)>,
    /// Files that cargo-make would refuse.
    pub problems: Vec<Problem>,
    /// How many files were read as task files.
    pub files: usize,
    /// How many tasks stand in them.
    pub tasks: usize,
}

impl Report {
    /// Whether nothing is denied, and every file could be read.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.count(Level::Deny) == 0 && self.problems.is_empty()
    }

    /// How many findings have this level.
    #[must_use]
    pub fn count(&self, level: Level) -> usize {
        self.findings.iter().filter(|it| it.level == level).count()
    }

    /// All fixes, in the order of the findings.
    pub fn fixes(&self) -> impl Iterator<Item = &Fix> {
        self.findings.iter().filter_map(|it| it.fix.as_ref())
    }
}

/// The level of each rule.
#[derive(Clone, Debug)]
pub struct Levels {
    by_name: BTreeMap<&'static str, Level>,
}

impl Levels {
    /// `[lint]`'s; where it says nothing, the rule's own.
    #[must_use]
    pub fn new(lint: &Lint) -> Levels {
        let by_name = rules()
            .map(|rule| {
                let set = lint.rules.get(rule.name).copied().or(lint.level);
                (rule.name, set.map_or(rule.level, Level::from))
            })
            .collect();
        Levels { by_name }
    }

    /// One level for all rules.
    #[must_use]
    pub fn all(level: Level) -> Levels {
        Levels {
            by_name: rules().map(|rule| (rule.name, level)).collect(),
        }
    }

    /// The rules of `names` alone; all where there are none.
    #[must_use]
    pub fn only(mut self, names: &[String]) -> Levels {
        if !names.is_empty() {
            for (name, level) in &mut self.by_name {
                if !names.iter().any(|it| it == name) {
                    *level = Level::Off;
                }
            }
        }
        self
    }

    fn of(&self, rule: &str) -> Level {
        self.by_name.get(rule).copied().unwrap_or(Level::Off)
    }
}

/// Runs the rules that are on.
#[must_use]
pub fn check(facts: &Facts, levels: &Levels) -> Report {
    let on: Vec<&Rule> = rules()
        .filter(|rule| levels.of(rule.name) != Level::Off)
        .collect();
    let mut found = Found::default();
    for file in &facts.files {
        for rule in &on {
            if let Check::File(check) = rule.check {
                found.rule = rule.name;
                check(facts, file, &mut found);
            }
        }
    }
    let by_directory = facts.in_each_directory(|view| {
        let mut found = Found::default();
        for rule in &on {
            if let Check::Directory(check) = rule.check {
                found.rule = rule.name;
                check(view, &mut found);
            }
        }
        found.all
    });
    found.all.extend(by_directory.into_iter().flatten());
    for rule in &on {
        if let Check::Workspace(check) = rule.check {
            found.rule = rule.name;
            check(facts, &mut found);
        }
    }
    let on: BTreeSet<&str> = on.iter().map(|rule| rule.name).collect();
    let (kept, suppressed) = rules::comments::allow(facts, distinct(found.all), &on);
    let finish = |raw: Raw| finding(raw, levels);
    let mut report = Report {
        findings: kept.into_iter().map(finish).collect(),
        suppressed: suppressed
            .into_iter()
            .map(|(raw, reason)| (finish(raw), reason))
            .collect(),
        problems: Vec::new(),
        files: facts.files.len(),
        tasks: facts.files.iter().map(|file| file.tasks.len()).sum(),
    };
    report.findings.sort_by(|a, b| {
        (&a.file, a.span.start, a.span.end, a.rule, &a.message).cmp(&(
            &b.file,
            b.span.start,
            b.span.end,
            b.rule,
            &b.message,
        ))
    });
    report
}

/// A shared file is read by many: what is said twice of one place is said once.
fn distinct(all: Vec<Raw>) -> Vec<Raw> {
    let mut seen: HashSet<(&'static str, usize, Span, String)> = HashSet::new();
    all.into_iter()
        .filter(|raw| {
            let source = Arc::as_ptr(&raw.source) as usize;
            seen.insert((raw.rule, source, raw.span, raw.message.clone()))
        })
        .collect()
}

fn finding(raw: Raw, levels: &Levels) -> Finding {
    let source = &raw.source;
    let (start, end) = (
        source.position(raw.span.start),
        source.position(raw.span.end.max(raw.span.start)),
    );
    Finding {
        rule: raw.rule,
        level: levels.of(raw.rule),
        file: source.shown.clone(),
        line: start.line as usize,
        column: start.column as usize,
        end_line: end.line as usize,
        end_column: end.column as usize,
        text: source.line(start.line).to_owned(),
        span: raw.span.range(),
        message: raw.message,
        help: raw.help,
        fix: raw.fix,
    }
}
