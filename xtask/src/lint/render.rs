//! Findings for people, for machines and for GitHub. Pure but for the colour, which [`Term`] decides.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde::Serialize;

use super::{Finding, Level, Report, rule};
use crate::github;
use crate::mask;
use crate::term::{Style, Term};

/// How much of a source line is shown.
const WIDTH: usize = 120;

impl Report {
    /// As rustc shows them: the place, the line with a caret, why (once a rule), the mend.
    #[must_use]
    pub fn human(&self, term: &Term) -> String {
        let mut out = String::new();
        let mut explained = BTreeSet::new();
        for finding in &self.findings {
            let first = explained.insert(finding.rule);
            write_finding(&mut out, finding, first, term);
        }
        out
    }

    /// How many there are, of what.
    #[must_use]
    pub fn summary(&self) -> String {
        let read = format!(
            "{} in {}",
            count(self.tasks, "task", "tasks"),
            count(self.files, "file", "files")
        );
        let (denied, warned) = (self.count(Level::Deny), self.count(Level::Warn));
        let mut parts = Vec::new();
        if denied > 0 {
            parts.push(count(denied, "error", "errors"));
        }
        if warned > 0 {
            parts.push(count(warned, "warning", "warnings"));
        }
        if parts.is_empty() {
            parts.push("no findings".to_owned());
        }
        if !self.problems.is_empty() {
            parts.push(count(
                self.problems.len(),
                "file that cannot be read",
                "files that cannot be read",
            ));
        }
        if !self.suppressed.is_empty() {
            parts.push(format!("{} allowed by comments", self.suppressed.len()));
        }
        let fixable = self.findings.iter().filter(|it| it.fix.is_some()).count();
        if fixable > 0 {
            parts.push(format!("{fixable} that `--fix` mends"));
        }
        format!("{read}: {}", parts.join(", "))
    }

    /// Workflow commands that become annotations of a change.
    #[must_use]
    pub fn github(&self) -> String {
        let mut out = String::new();
        let property = github::escape_property;
        for it in &self.problems {
            let place = it.position.map_or_else(String::new, |at| {
                format!(",line={},col={}", at.line, at.column)
            });
            let _ = writeln!(
                out,
                "::error file={}{place},title=task file::{}",
                property(&it.shown),
                github::escape_data(&clean(&format!("{}\n{}", it.message, it.hint)))
            );
        }
        for it in &self.findings {
            let word = match it.level {
                Level::Deny => "error",
                Level::Warn | Level::Off => "warning",
            };
            let mut message = it.message.clone();
            if let Some(help) = &it.help {
                let _ = write!(message, "\n{help}");
            }
            let _ = write!(message, "\n{}", rule(it.rule).map_or("", |rule| rule.why));
            let _ = writeln!(
                out,
                "::{word} file={},line={},col={},endLine={},endColumn={},title={}::{}",
                property(&it.file),
                it.line,
                it.column,
                it.end_line,
                it.end_column,
                property(it.rule),
                github::escape_data(&clean(&message))
            );
        }
        out
    }

    /// For `--format json`.
    #[must_use]
    pub fn json(&self) -> impl Serialize {
        #[derive(Serialize)]
        struct One<'a> {
            #[serde(flatten)]
            finding: &'a Finding,
            why: &'a str,
        }
        #[derive(Serialize)]
        struct Unread<'a> {
            file: &'a str,
            line: Option<u32>,
            column: Option<u32>,
            message: &'a str,
            help: &'a str,
        }
        #[derive(Serialize)]
        struct All<'a> {
            passed: bool,
            files: usize,
            tasks: usize,
            denied: usize,
            warned: usize,
            suppressed: usize,
            unread: Vec<Unread<'a>>,
            findings: Vec<One<'a>>,
        }
        All {
            passed: self.passed(),
            files: self.files,
            tasks: self.tasks,
            denied: self.count(Level::Deny),
            warned: self.count(Level::Warn),
            suppressed: self.suppressed.len(),
            unread: self
                .problems
                .iter()
                .map(|it| Unread {
                    file: &it.shown,
                    line: it.position.map(|at| at.line),
                    column: it.position.map(|at| at.column),
                    message: &it.message,
                    help: &it.hint,
                })
                .collect(),
            findings: self
                .findings
                .iter()
                .map(|finding| One {
                    finding,
                    why: rule(finding.rule).map_or("", |it| it.why),
                })
                .collect(),
        }
    }
}

fn count(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

fn write_finding(out: &mut String, it: &Finding, first: bool, term: &Term) {
    let (word, style) = match it.level {
        Level::Deny => ("error", Style::Red),
        Level::Warn | Level::Off => ("warning", Style::Yellow),
    };
    let head = term.paint(style, &format!("{word}[{}]", it.rule));
    let gutter = " ".repeat(it.line.to_string().len());
    let bar = term.paint(Style::Cyan, "|");
    let _ = writeln!(out, "{head}: {}", clean(&it.message));
    let arrow = term.paint(Style::Cyan, &format!("{gutter}-->"));
    let _ = writeln!(out, "{arrow} {}:{}:{}", it.file, it.line, it.column);
    let hidden = masked(&it.text);
    if hidden != it.text {
        // With other letters in it the line has no place to point at.
        let shown: String = hidden.chars().map(printable).take(WIDTH).collect();
        let number = term.paint(Style::Cyan, &it.line.to_string());
        let _ = writeln!(
            out,
            "{gutter} {bar}\n{number} {bar} {shown}\n{gutter} {bar}"
        );
    } else if !it.text.trim().is_empty() {
        let (line, lead, carets) = excerpt(it);
        let _ = writeln!(out, "{gutter} {bar}");
        let number = term.paint(Style::Cyan, &it.line.to_string());
        let _ = writeln!(out, "{number} {bar} {line}");
        let marks = term.paint(style, &"^".repeat(carets));
        let _ = writeln!(out, "{gutter} {bar} {}{marks}", " ".repeat(lead));
    }
    let note = |out: &mut String, word: &str, text: &str| {
        let word = term.paint(Style::Bold, word);
        let text = clean(text).replace('\n', &format!("\n{gutter}         "));
        let _ = writeln!(out, "{gutter} = {word}: {text}");
    };
    if first && let Some(rule) = rule(it.rule) {
        note(out, "why", rule.why);
    }
    match &it.help {
        Some(help) => note(out, "help", help),
        None => {
            if first && let Some(rule) = rule(it.rule) {
                note(out, "help", rule.mend);
            }
        }
    }
    if let Some(fix) = &it.fix {
        note(out, "fix", &format!("`--fix` {}", fix.what));
    }
    out.push('\n');
}

/// The line, as much of it as is shown; how many columns stand before the carets; how many carets.
fn excerpt(it: &Finding) -> (String, usize, usize) {
    let chars: Vec<char> = it.text.chars().collect();
    let column = (it.column - 1).min(chars.len());
    let end = if it.end_line == it.line {
        (it.end_column - 1).clamp(column, chars.len())
    } else {
        chars.len()
    };
    // A window around the place, where the line is long.
    let from = if chars.len() <= WIDTH {
        0
    } else {
        column.saturating_sub(WIDTH / 3)
    };
    let to = (from + WIDTH).min(chars.len());
    let shown: String = chars[from..to].iter().copied().map(printable).collect();
    let (before, after) = (
        if from > 0 { "…" } else { "" },
        if to < chars.len() { "…" } else { "" },
    );
    let lead = column - from + before.chars().count();
    let carets = (end.min(to) - column.min(to)).max(1);
    (format!("{before}{shown}{after}"), lead, carets)
}

/// A line without passwords in URLs, and without the strings that are values of secret names.
fn masked(line: &str) -> String {
    let line = mask::mask_urls(line);
    let mut out = String::new();
    let mut rest: &str = &line;
    while let Some(at) = rest.find('=') {
        let (before, after) = rest.split_at(at + 1);
        out.push_str(before);
        rest = after;
        let name = before[..at].trim_end().trim_end_matches(['"', '\'']);
        let other = |c: char| !c.is_ascii_alphanumeric() && c != '_';
        let name = name.rsplit(other).next().unwrap_or_default();
        let value = rest.trim_start();
        let quote = value.chars().next().filter(|it| matches!(it, '"' | '\''));
        if let Some(quote) = quote.filter(|_| mask::is_secret_name(name)) {
            let end = value[1..].find(quote).map_or(value.len(), |at| at + 2);
            out.push_str(&format!(" {quote}{}{quote}", mask::MASK));
            rest = &value[end..];
        }
    }
    out.push_str(rest);
    out
}

/// A control character could tell the terminal something.
fn printable(c: char) -> char {
    if c.is_control() { ' ' } else { c }
}

/// The same for a message, which keeps its lines.
fn clean(text: &str) -> String {
    mask::mask_urls(text)
        .chars()
        .map(|c| if c == '\n' { c } else { printable(c) })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_a_line_are_not_shown() {
        for (line, expected) in [
            ("API_TOKEN = \"abc\" # x", "API_TOKEN = \"***\" # x"),
            (
                "env = { A = \"b\", DB_PASSWORD = 'c', \"MY_KEY\" = \"d\" }",
                "env = { A = \"b\", DB_PASSWORD = '***', \"MY_KEY\" = \"***\" }",
            ),
            (
                "U = \"postgres://a:hunter2@h/d\"",
                "U = \"postgres://a:***@h/d\"",
            ),
            ("args = [\"a=b\"]", "args = [\"a=b\"]"),
            ("SECRET = \"open", "SECRET = \"***\""),
        ] {
            assert_eq!(masked(line), expected);
        }
    }

    proptest::proptest! {
        #[test]
        fn every_line_is_shown(line in "(KEY|=|\"|'| |ö|\u{1b}|a){0,30}", column in 1_usize..40, end in 1_usize..40) {
            let it = Finding {
                rule: "undefined-task",
                level: Level::Deny,
                file: "a".to_owned(),
                line: 1,
                column,
                end_line: 1,
                end_column: end,
                span: 0..0,
                text: line,
                message: "x".to_owned(),
                help: None,
                fix: None,
            };
            let mut out = String::new();
            write_finding(&mut out, &it, true, &Term::plain());
            let escape = out.contains('\u{1b}');
            proptest::prop_assert!(!escape, "{out:?}");
        }
    }
}
