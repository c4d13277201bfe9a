//! JUnit reports of all languages to one summary: for the terminal, for GitHub's summary page, and as
//! annotations at the lines that failed. Pure: what exists on disk is asked through a function.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::github::{escape_data, escape_property};
use crate::junit::{Counts, Outcome, Report, Test};
use crate::mask;
use crate::term::{Style, Term};

/// GitHub shows so many annotations of a kind for each step, and drops the rest in silence.
const ANNOTATIONS: usize = 10;
/// GitHub refuses a step's summary of more than a mebibyte; this leaves room for the step's others.
const SUMMARY_BYTES: usize = 700 << 10;
/// Lines of a failure's text that are shown; of a longer one both ends.
const LINES: usize = 40;
/// Characters of a line that are shown.
const COLUMNS: usize = 400;
/// How many of a text's places are looked up.
const PLACES: usize = 100;

/// A report, and whose it is.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its language; `-` where the configuration does not know.
    pub language: String,
    /// The directory that its paths start from, below the root, with `/`.
    pub directory: String,
    /// Seconds since it was written.
    pub age: u64,
    /// What it says.
    pub report: Report,
}

/// What all reports say together.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// All tests.
    pub total: Counts,
    /// By language.
    pub languages: BTreeMap<String, OfLanguage>,
    /// Languages that the configuration has and that left no report.
    pub missing: Vec<String>,
    /// What failed, in the order of the reports.
    pub failures: Vec<Shown>,
    /// What passed after a retry.
    pub flaky: Vec<Shown>,
    /// What took longest, the slowest first.
    pub slowest: Vec<Slow>,
    /// What is wrong with the reports themselves.
    pub problems: Vec<String>,
}

/// One language's part.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct OfLanguage {
    /// Its tests.
    #[serde(flatten)]
    pub counts: Counts,
    /// The sum of their times: not the time that passed, as they run side by side.
    pub seconds: f64,
    /// Its reports.
    pub reports: Vec<String>,
    /// Seconds since the oldest of them was written.
    pub age: u64,
}

/// A test that failed or was flaky.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Shown {
    /// Its language.
    pub language: String,
    /// The report that lists it.
    pub report: String,
    /// Its name in full.
    pub name: String,
    /// Its failure in one line.
    pub message: String,
    /// Its failure in full, and what it printed; shortened.
    pub text: String,
    /// How often it failed and was run again.
    pub retries: u32,
    /// Where it failed, below the root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
}

/// A line of the repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The file, below the root, with `/`.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
}

/// A test and its time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Slow {
    /// Its language.
    pub language: String,
    /// Its name in full.
    pub name: String,
    /// Seconds.
    pub seconds: f64,
}

impl Summary {
    /// Sums up. `root` is the workspace's root as reports may have it in absolute paths, with `/`;
    /// `exists` says whether a path below it is a file.
    #[must_use]
    pub fn of(
        entries: &[Entry],
        slowest: usize,
        root: &str,
        exists: &dyn Fn(&str) -> bool,
    ) -> Summary {
        let mut summary = Summary::default();
        for entry in entries {
            let report = &entry.report;
            let counts = report.counts();
            if counts.total() == 0 {
                summary
                    .problems
                    .push(format!("{}: lists no test: nothing was run", report.name));
            }
            if report.unlisted > 0 {
                summary.problems.push(format!(
                    "{}: counts {} more failed than it lists: what could not be loaded or set up has no \
                     line of its own",
                    report.name, report.unlisted
                ));
            }
            summary.total += counts;
            let language = summary.languages.entry(entry.language.clone()).or_default();
            language.counts += counts;
            language.reports.push(report.name.clone());
            language.age = language.age.max(entry.age);
            for test in &report.tests {
                language.seconds += test.seconds.unwrap_or(0.0);
                if let Some(seconds) = test.seconds {
                    summary.slowest.push(Slow {
                        language: entry.language.clone(),
                        name: plain(&test.full_name()),
                        seconds,
                    });
                }
                let shown = || Shown {
                    language: entry.language.clone(),
                    report: report.name.clone(),
                    name: plain(&test.full_name()),
                    message: message(test),
                    text: text(test),
                    retries: test.retries,
                    place: place(test, &entry.directory, root, exists),
                };
                match test.outcome {
                    Outcome::Failed => summary.failures.push(shown()),
                    Outcome::Flaky => summary.flaky.push(shown()),
                    Outcome::Passed | Outcome::Skipped => {}
                }
            }
        }
        summary
            .slowest
            .sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        summary.slowest.truncate(slowest);
        summary
    }

    /// Whether everything that was to be shown was shown to pass.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.total.failed == 0 && self.total.total() > 0 && self.problems.is_empty()
    }

    /// `312 passed, 2 failed, 1 skipped, 1 flaky`.
    #[must_use]
    pub fn headline(&self) -> String {
        let mut parts = Vec::new();
        let total = self.total;
        for (count, what) in [
            (total.passed, "passed"),
            (total.failed, "failed"),
            (total.skipped, "skipped"),
            (total.flaky, "flaky"),
        ] {
            if count > 0 || ["passed", "failed"].contains(&what) {
                parts.push(format!("{count} {what}"));
            }
        }
        parts.join(", ")
    }

    /// For a terminal: what failed stands last but for the counts, where the eye is.
    #[must_use]
    pub fn render(&self, term: &Term) -> String {
        let mut out = String::new();
        let title = |out: &mut String, text: &str| {
            out.push_str(&format!("{}\n", term.paint(Style::Bold, text)));
        };
        if !self.slowest.is_empty() {
            title(&mut out, "slowest");
            for test in &self.slowest {
                let seconds = format!("{:.3}s", test.seconds);
                out.push_str(&format!(
                    "  {seconds:>10}  {}  {}\n",
                    term.paint(Style::Dim, &test.language),
                    test.name
                ));
            }
            out.push('\n');
        }
        if !self.flaky.is_empty() {
            title(&mut out, "flaky");
            for test in &self.flaky {
                out.push_str(&format!(
                    "  {}  {}  {}\n",
                    term.paint(Style::Yellow, &test.language),
                    test.name,
                    term.paint(
                        Style::Dim,
                        &format!("{}: {}", times(test.retries), test.message)
                    ),
                ));
            }
            out.push('\n');
        }
        for test in &self.failures {
            let at = test
                .place
                .as_ref()
                .map_or_else(String::new, |it| format!("  {}:{}", it.file, it.line));
            out.push_str(&format!(
                "{}  {}  {}{}\n",
                term.paint(Style::Red, "failed"),
                test.language,
                term.paint(Style::Bold, &test.name),
                term.paint(Style::Cyan, &at),
            ));
            let text = if test.text.is_empty() {
                &test.message
            } else {
                &test.text
            };
            for line in excerpt(text, LINES).lines() {
                out.push_str(&format!("    {line}\n"));
            }
            out.push('\n');
        }
        out.push_str(&self.table(term));
        let style = if self.passed() {
            Style::Green
        } else {
            Style::Red
        };
        out.push_str(&format!(
            "\n{} {}\n",
            term.paint(style, "Tests:"),
            self.headline()
        ));
        out
    }

    fn table(&self, term: &Term) -> String {
        let width = self
            .languages
            .keys()
            .chain(&self.missing)
            .map(|it| it.chars().count());
        let width = width.max().unwrap_or(0).max("total".len());
        let mut out = format!(
            "{:width$}  {:>7}  {:>7}  {:>7}  {:>7}  {:>10}\n",
            "", "passed", "failed", "skipped", "flaky", "test time"
        );
        let mut row = |name: &str, counts: Counts, seconds: f64, more: &str| {
            let number = |count: u64, style: Style| {
                let text = format!("{count:>7}");
                if count == 0 {
                    text
                } else {
                    term.paint(style, &text)
                }
            };
            out.push_str(&format!(
                "{name:width$}  {}  {}  {}  {}  {:>10}{}\n",
                number(counts.passed, Style::Green),
                number(counts.failed, Style::Red),
                number(counts.skipped, Style::Yellow),
                number(counts.flaky, Style::Yellow),
                format!("{seconds:.2}s"),
                term.paint(Style::Dim, more),
            ));
        };
        for (name, language) in &self.languages {
            let n = language.reports.len();
            let reports = if n == 1 { "report" } else { "reports" };
            let more = format!("  {n} {reports}, {} old", duration(language.age));
            row(name, language.counts, language.seconds, &more);
        }
        if self.languages.len() > 1 {
            let seconds = self.languages.values().map(|it| it.seconds).sum();
            row("total", self.total, seconds, "");
        }
        for name in &self.missing {
            out.push_str(&format!(
                "{name:width$}  {}\n",
                term.paint(Style::Yellow, "NO REPORT")
            ));
        }
        out
    }

    /// For GitHub's summary page.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mark = if self.passed() { "✅" } else { "❌" };
        let mut out = format!("## {mark} Tests: {}\n\n", self.headline());
        for problem in &self.problems {
            out.push_str(&format!("- ⚠️ {}\n", inline(problem)));
        }
        if !self.problems.is_empty() {
            out.push('\n');
        }
        out.push_str(
            "| | passed | failed | skipped | flaky | test time |\n|---|--:|--:|--:|--:|--:|\n",
        );
        for (name, language) in &self.languages {
            let counts = language.counts;
            out.push_str(&format!(
                "| {} | {} | {} | {} | {} | {:.2}s |\n",
                inline(name),
                counts.passed,
                counts.failed,
                counts.skipped,
                counts.flaky,
                language.seconds
            ));
        }
        for name in &self.missing {
            out.push_str(&format!("| {} | no report | | | | |\n", inline(name)));
        }
        out.push('\n');
        for (n, test) in self.failures.iter().enumerate() {
            let at = test
                .place
                .as_ref()
                .map_or_else(String::new, |it| format!(" at {}:{}", it.file, it.line));
            let text = if test.text.is_empty() {
                &test.message
            } else {
                &test.text
            };
            let text = excerpt(text, LINES);
            let fence = "`".repeat(longest_run(&text, '`').max(2) + 1);
            let details = format!(
                "<details><summary>❌ {} <code>{}</code>{}</summary>\n\n{fence}text\n{text}\n{fence}\n\n</details>\n\n",
                html(&test.language),
                html(&test.name),
                html(&at)
            );
            if out.len() + details.len() > SUMMARY_BYTES {
                out.push_str(&format!(
                    "... and {} more failures: see the log\n\n",
                    self.failures.len() - n
                ));
                break;
            }
            out.push_str(&details);
        }
        let list = |out: &mut String, title: &str, rows: Vec<String>| {
            if !rows.is_empty() {
                out.push_str(&format!("<details><summary>{title}</summary>\n\n"));
                for row in rows.iter().take(100) {
                    out.push_str(&format!("- {row}\n"));
                }
                out.push_str("\n</details>\n\n");
            }
        };
        let flaky = self.flaky.iter().map(|it| {
            format!(
                "{} {}: {}, {}",
                inline(&it.language),
                inline(&it.name),
                times(it.retries),
                inline(&it.message)
            )
        });
        list(
            &mut out,
            &format!("⚠️ {} flaky", self.flaky.len()),
            flaky.collect(),
        );
        let slowest = self.slowest.iter().map(|it| {
            format!(
                "{:.3}s {} {}",
                it.seconds,
                inline(&it.language),
                inline(&it.name)
            )
        });
        list(&mut out, "Slowest", slowest.collect());
        out
    }

    /// Workflow commands: an error at each failure, a warning at each flaky test; as many as GitHub
    /// shows.
    #[must_use]
    pub fn annotations(&self) -> String {
        let mut out = String::new();
        for (command, tests) in [("error", &self.failures), ("warning", &self.flaky)] {
            for test in tests.iter().take(ANNOTATIONS) {
                let mut properties = Vec::new();
                if let Some(place) = &test.place {
                    properties.push(format!("file={}", escape_property(&place.file)));
                    properties.push(format!("line={}", place.line));
                    if let Some(column) = place.column {
                        properties.push(format!("col={column}"));
                    }
                }
                let title = format!("{}: {}", test.language, test.name);
                properties.push(format!("title={}", escape_property(&title)));
                let text = if command == "error" && !test.text.is_empty() {
                    excerpt(&test.text, 15)
                } else if test.message.is_empty() {
                    "failed".to_owned()
                } else {
                    test.message.clone()
                };
                let text = if command == "warning" {
                    format!("flaky: {}: {text}", times(test.retries))
                } else {
                    text
                };
                out.push_str(&format!(
                    "::{command} {}::{}\n",
                    properties.join(","),
                    escape_data(&text)
                ));
            }
        }
        out
    }
}

fn times(retries: u32) -> String {
    match retries {
        1 => "failed once before it passed".to_owned(),
        n => format!("failed {n} times before it passed"),
    }
}

/// A failure in one line.
fn message(test: &Test) -> String {
    let Some(failure) = &test.failure else {
        return String::new();
    };
    let lines = [&failure.message, &failure.text, &failure.kind];
    let first = lines.iter().find_map(|text| {
        let mut lines = text.lines().map(str::trim);
        lines.find(|line| !line.is_empty())
    });
    excerpt(&plain(first.unwrap_or_default()), 1)
}

/// A failure in full: its text, and what the test printed where that is not in the text already.
fn text(test: &Test) -> String {
    let failure = test.failure.clone().unwrap_or_default();
    let mut parts = Vec::new();
    if failure.text.is_empty() {
        parts.extend(
            [failure.message, failure.kind]
                .into_iter()
                .filter(|it| !it.is_empty()),
        );
    } else {
        parts.push(failure.text.clone());
    }
    let output = test.output.trim_matches('\n');
    if !output.trim().is_empty() && !failure.text.contains(output) {
        parts.push(format!("--- output ---\n{output}"));
    }
    plain(&parts.join("\n"))
}

/// A text without what moves a cursor or rings a bell, and with passwords in URLs masked.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => match chars.peek() {
                // CSI: up to a final byte. OSC: up to BEL or ESC.
                Some('[') => {
                    chars.next();
                    while chars
                        .next()
                        .is_some_and(|c| !('\u{40}'..='\u{7e}').contains(&c))
                    {}
                }
                Some(']') => while chars.next().is_some_and(|c| c != '\u{7}' && c != '\u{1b}') {},
                _ => {
                    chars.next();
                }
            },
            '\r' if chars.peek() == Some(&'\n') => {}
            '\r' => out.push('\n'),
            '\n' | '\t' => out.push(c),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    mask::mask_urls(&out).into_owned()
}

/// So many lines of a text, none of them too long; of a longer text the beginning and the end.
fn excerpt(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    let short = |line: &&str| match line.char_indices().nth(COLUMNS) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => (*line).to_owned(),
    };
    if all.len() <= lines.max(1) {
        return all.iter().map(short).collect::<Vec<_>>().join("\n");
    }
    let head = lines.div_ceil(2);
    let tail = lines - head;
    let mut kept: Vec<String> = all[..head].iter().map(short).collect();
    if lines > 1 {
        kept.push(format!(
            "[... {} lines left out ...]",
            all.len() - head - tail
        ));
    }
    kept.extend(all[all.len() - tail..].iter().map(short));
    kept.join("\n")
}

fn longest_run(text: &str, wanted: char) -> usize {
    let runs = text.split(|c| c != wanted).map(|run| run.chars().count());
    runs.max().unwrap_or(0)
}

/// Text inside of an HTML element of Markdown.
fn html(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('\n', " ")
}

/// Text in a line or a table's cell of Markdown, whatever it holds.
fn inline(text: &str) -> String {
    let mut out = String::new();
    for c in html(text).chars() {
        if matches!(
            c,
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' | '!'
        ) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}min", seconds / 60),
        3600..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// Where a test failed: the first place in its failure that is a file of the repository, else where
/// the report says that the test is.
fn place(test: &Test, directory: &str, root: &str, exists: &dyn Fn(&str) -> bool) -> Option<Place> {
    let failure = test.failure.as_ref();
    let texts = [
        failure.map(|it| &it.text),
        failure.map(|it| &it.message),
        Some(&test.output),
    ];
    let mut places = texts
        .into_iter()
        .flatten()
        .flat_map(|text| places(text))
        .take(PLACES);
    places
        .find_map(|(path, line, column)| {
            Some(Place {
                file: resolve(path, directory, root, exists)?,
                line,
                column,
            })
        })
        .or_else(|| {
            Some(Place {
                file: resolve(test.file.as_deref()?, directory, root, exists)?,
                line: test.line.unwrap_or(1).max(1),
                column: None,
            })
        })
}

/// A path of a report as one below the root, if there is such a file.
fn resolve(
    path: &str,
    directory: &str,
    root: &str,
    exists: &dyn Fn(&str) -> bool,
) -> Option<String> {
    let path = path.replace('\\', "/");
    let path = path.strip_prefix("file://").unwrap_or(&path);
    // `file:///C:/x`
    let path = match path.strip_prefix('/') {
        Some(rest) if rest.get(1..2) == Some(":") => rest,
        _ => path,
    };
    if let Some(inside) = path
        .strip_prefix(root)
        .and_then(|rest| rest.strip_prefix('/'))
    {
        return exists(inside).then(|| inside.to_owned());
    }
    ["", directory]
        .iter()
        .filter_map(|directory| super::manifest::join(directory, path))
        .find(|path| !path.is_empty() && exists(path))
}

/// Every `path:line` and `path:line:column` of a text, as compilers, panics and stack traces write it.
fn places(text: &str) -> impl Iterator<Item = (&str, u32, Option<u32>)> {
    text.split(|c: char| {
        c.is_whitespace()
            || matches!(
                c,
                '(' | ')' | '[' | ']' | '"' | '\'' | '`' | '<' | '>' | ','
            )
    })
    .filter_map(|word| {
        // From the left: the first colon with a number behind it. `C:\` has none.
        let (at, rest) = word.match_indices(':').find_map(|(at, _)| {
            let rest = &word[at + 1..];
            rest.starts_with(|c: char| c.is_ascii_digit())
                .then_some((at, rest))
        })?;
        let mut numbers = rest.split(':').map(|part| part.parse::<u32>().ok());
        let line = numbers.next().flatten().filter(|line| *line > 0)?;
        let column = numbers.next().flatten().filter(|column| *column > 0);
        (at > 0).then_some((&word[..at], line, column))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::junit;

    fn entry(language: &str, xml: &str) -> Entry {
        Entry {
            language: language.to_owned(),
            directory: "workers/py".to_owned(),
            age: 90,
            report: junit::parse(xml.as_bytes(), &format!("{language}.xml")).unwrap(),
        }
    }

    fn summary(entries: &[Entry]) -> Summary {
        let files = [
            "src/lib.rs",
            "workers/py/test_a.py",
            "ui/a.test.ts",
            "sp ace,1:2.rs",
        ];
        Summary::of(entries, 2, "/home/me/ws", &|path| files.contains(&path))
    }

    fn failing(text: &str) -> Summary {
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        summary(&[entry(
            "rust",
            &format!(
                "<testsuite><testcase name='t' classname='c'><failure>{text}</failure></testcase></testsuite>"
            ),
        )])
    }

    #[test]
    fn all_languages_are_summed_up() {
        let it = summary(&[
            entry(
                "rust",
                "<testsuite><testcase name='a' time='1.5'/><testcase name='b' time='0.5'><flakyFailure message='once'/></testcase></testsuite>",
            ),
            entry(
                "python",
                "<testsuite><testcase name='c' classname='m' time='3'><error message='boom'/></testcase><testcase name='d'><skipped/></testcase></testsuite>",
            ),
            entry("python", "<testsuite><testcase name='e'/></testsuite>"),
        ]);
        assert_eq!(it.headline(), "3 passed, 1 failed, 1 skipped, 1 flaky");
        assert!(!it.passed());
        assert_eq!(it.languages["python"].counts.total(), 3);
        assert_eq!(it.languages["python"].reports.len(), 2);
        let slowest: Vec<&str> = it.slowest.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(slowest, ["m c", "a"]);
        let shown = it.render(&Term::plain());
        for part in [
            "flaky\n  rust  b  failed once before it passed: once\n",
            "failed  python  m c\n    boom\n",
            "\npython        1        1        1        0       3.00s  2 reports, 1min old\n",
            "\ntotal         3        1        1        1       5.00s\n",
        ] {
            assert!(shown.contains(part), "{part:?}\n{shown}");
        }
    }

    #[test]
    fn a_report_without_tests_is_no_success() {
        let it = summary(&[entry("rust", "<testsuite/>")]);
        assert!(!it.passed());
        assert_eq!(it.problems, ["rust.xml: lists no test: nothing was run"]);
        let it = summary(&[
            entry("rust", "<testsuite><testcase/></testsuite>"),
            entry("ruby", "<testsuite errors='1'><testcase/></testsuite>"),
        ]);
        assert!(!it.passed() && it.problems[0].contains("1 more failed than it lists"));
        assert!(!Summary::default().passed());
    }

    #[test]
    fn failures_are_placed_in_every_dialect() {
        for (text, expected) in [
            (
                "thread 't' (1) panicked at src/lib.rs:4:53:\nassertion",
                Some(("src/lib.rs", 4, Some(53))),
            ),
            (
                "E  assert\n\ntest_a.py:5: AssertionError",
                Some(("workers/py/test_a.py", 5, None)),
            ),
            (
                "./test_a.py:3:in `block'",
                Some(("workers/py/test_a.py", 3, None)),
            ),
            (
                "at Object.<anonymous> (file:///home/me/ws/ui/a.test.ts:7:9)",
                Some(("ui/a.test.ts", 7, Some(9))),
            ),
            (
                "at /usr/lib/x.rs:1:1\nat /home/me/ws/src/lib.rs:2",
                Some(("src/lib.rs", 2, None)),
            ),
            ("src\\lib.rs:8:1", Some(("src/lib.rs", 8, Some(1)))),
            ("../../../etc/passwd:1", None),
            ("src/lib.rs:0 127.0.0.1:8080 12:30:00 a:b", None),
        ] {
            let place = failing(text).failures[0].place.clone();
            let place = place
                .as_ref()
                .map(|it| (it.file.as_str(), it.line, it.column));
            assert_eq!(place, expected, "{text}");
        }
        let it = summary(&[entry(
            "x",
            "<testsuite><testcase file='ui/a.test.ts' line='3'><failure/></testcase></testsuite>",
        )]);
        assert_eq!(it.failures[0].place.as_ref().map(|it| it.line), Some(3));
        let windows = Summary::of(
            &[entry(
                "x",
                "<testsuite><testcase><failure>at C:\\ws\\src\\lib.rs:2:3 (file:///C:/ws/src/lib.rs:4)</failure></testcase></testsuite>",
            )],
            0,
            "C:/ws",
            &|path| path == "src/lib.rs",
        );
        assert_eq!(
            windows.failures[0].place.as_ref().map(|it| it.line),
            Some(2)
        );
    }

    #[test]
    fn annotations_are_escaped_and_as_many_as_github_shows() {
        let it = summary(&[entry(
            "rust",
            "<testsuite><testcase name='t, 100%: x'><failure>src/lib.rs:3:1: 50%&#10;::error::no</failure></testcase>\
             <testcase name='f'><flakyFailure message='m'/><flakyFailure/></testcase></testsuite>",
        )]);
        assert_eq!(
            it.annotations(),
            "::error file=src/lib.rs,line=3,col=1,title=rust%3A t%2C 100%25%3A x::src/lib.rs:3:1: 50%25%0A::error::no\n\
             ::warning title=rust%3A f::flaky: failed 2 times before it passed: m\n"
        );
        let many = "<testcase><failure/></testcase>".repeat(25);
        let it = summary(&[entry("rust", &format!("<testsuite>{many}</testsuite>"))]);
        assert_eq!(it.annotations().lines().count(), ANNOTATIONS);
    }

    #[test]
    fn markdown_holds_whatever_a_name_or_a_text_holds() {
        let it = summary(&[entry(
            "rust",
            "<testsuite><testcase name='a|b &lt;img&gt; `c`' time='1'><failure>```&#10;&lt;/details&gt;</failure></testcase></testsuite>",
        )]);
        let text = it.markdown();
        assert!(
            text.starts_with("## ❌ Tests: 0 passed, 1 failed\n"),
            "{text}"
        );
        assert!(text.contains("<code>a|b &lt;img&gt; `c`</code>"), "{text}");
        assert!(text.contains("````text\n```\n</details>\n````\n"), "{text}");
        assert!(
            text.contains("- 1.000s rust a\\|b &lt;img&gt; \\`c\\`\n"),
            "{text}"
        );
    }

    #[test]
    fn a_summary_stays_below_what_github_takes() {
        let line = "x".repeat(300);
        let case = format!(
            "<testcase name='t'><failure>{}</failure></testcase>",
            format!("{line}\n").repeat(40)
        );
        let it = summary(&[entry(
            "rust",
            &format!("<testsuite>{}</testsuite>", case.repeat(200)),
        )]);
        let text = it.markdown();
        assert!(text.len() < 1 << 20, "{}", text.len());
        let more: usize = text
            .split_once("... and ")
            .and_then(|(_, rest)| rest.split_once(' '))
            .and_then(|(n, _)| n.parse().ok())
            .unwrap();
        assert_eq!(more + text.matches("<summary>❌").count(), 200);
    }

    #[test]
    fn passwords_and_escape_sequences_are_not_shown() {
        let it = failing(
            "\u{1b}[31mred\u{1b}[0m \u{7}postgresql://u:secret@h/d\r\nnext\u{1b}]0;title\u{7}!",
        );
        let shown = it.render(&Term::plain()) + &it.markdown() + &it.annotations();
        assert!(
            !shown.contains("secret") && !shown.contains('\u{1b}') && !shown.contains("title\u{7}"),
            "{shown}"
        );
        assert_eq!(it.failures[0].text, "red postgresql://u:***@h/d\nnext!");
    }

    #[test]
    fn of_a_long_text_both_ends_are_shown() {
        let long: String = (0..100).map(|n| format!("line {n}\n")).collect();
        let shown = excerpt(&long, 4);
        assert_eq!(
            shown,
            "line 0\nline 1\n[... 96 lines left out ...]\nline 98\nline 99"
        );
        assert_eq!(excerpt("a\nb", 2), "a\nb");
        assert_eq!(excerpt("a\nb", 1), "a");
        assert_eq!(
            excerpt(&"é".repeat(COLUMNS + 1), 1),
            "é".repeat(COLUMNS) + "..."
        );
    }

    #[test]
    fn what_a_test_printed_is_added_where_the_failure_does_not_have_it() {
        let text = |failure: &str, output: &str| {
            let xml = format!(
                "<testsuite><testcase><failure type='exit 3'>{failure}</failure><system-out>{output}</system-out></testcase></testsuite>"
            );
            summary(&[entry("rust", &xml)]).failures[0].text.clone()
        };
        assert_eq!(text("", "said"), "exit 3\n--- output ---\nsaid");
        assert_eq!(text("all: said it", "said"), "all: said it");
        assert_eq!(text("boom", " \n"), "boom");
    }

    proptest! {
        #[test]
        fn nothing_in_a_report_breaks_out_of_a_command(name in "\\PC{0,20}", text in "[ -~\n\r%:,é]{0,60}") {
            let test = Test {
                name,
                outcome: Outcome::Failed,
                failure: Some(junit::Failure { text, ..junit::Failure::default() }),
                ..Test::default()
            };
            let report = Report { name: "x".to_owned(), tests: vec![test], unlisted: 0 };
            let entry = Entry { language: "l".to_owned(), directory: String::new(), age: 0, report };
            let it = Summary::of(&[entry], 1, "/r", &|_| true);
            let annotations = it.annotations();
            prop_assert_eq!(annotations.lines().count(), 1, "{}", annotations);
            prop_assert!(annotations.starts_with("::error "));
            let _ = (it.render(&Term::plain()), it.markdown());
        }

        #[test]
        fn no_text_makes_places_panic(text in "[a-z:0-9()\\\\/. é]{0,60}") {
            let _ = places(&text).count();
        }
    }
}
