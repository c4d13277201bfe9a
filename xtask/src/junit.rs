//! JUnit reports, as the test programs of every language write them. Pure.
//!
//! There is no standard: nextest, pytest, rspec, node, bun and jest each have a dialect of their own,
//! and the parser takes them all. It counts tests, not lines; an error is a failure; what a suite's own
//! totals say beyond what it lists is a failure, too. Entities of a document type are never expanded,
//! nothing recurses, and of each text only the beginning and the end are kept, so that no file can
//! cost more than its own size.

use std::ops::AddAssign;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use serde::Serialize;

use crate::config;
use crate::error::Fault;
use crate::mask::Secrets;

/// Suites nest to this depth at the most; what goes deeper was not written by a test program.
const MAX_DEPTH: usize = 200;
/// What is kept of a suite's name.
const MAX_SUITE_NAME: usize = 1 << 10;
/// What is kept of one text: this many bytes of its beginning...
const HEAD: usize = 4 << 10;
/// ...and this many of its end.
const TAIL: usize = 12 << 10;

/// One report.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// What errors and summaries call it: its path.
    pub name: String,
    /// Its tests, in the order of the file.
    pub tests: Vec<Test>,
    /// Failures that the totals of its suites count and that none of its tests shows: a file that
    /// could not be loaded, a hook that failed.
    pub unlisted: u64,
}

impl Report {
    /// Masks the secrets that tests have printed. Their names stay: a password may be a word of one.
    pub fn mask(&mut self, secrets: &Secrets) {
        for test in &mut self.tests {
            let failure = test.failure.iter_mut();
            let texts = failure.flat_map(|it| [&mut it.message, &mut it.text]);
            for text in texts.chain([&mut test.output]) {
                *text = secrets.mask(text);
            }
        }
    }
}

/// One test.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Test {
    /// The names of the suites around it, from the outside, joined by ` > `.
    pub suite: String,
    /// The class that the report puts it in: nextest's binary, Python's module and class.
    pub class: String,
    /// Its own name.
    pub name: String,
    /// Its file, where the report says it: relative to where the test program ran, or absolute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Its line in that file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Seconds that it took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// How it ended.
    pub outcome: Outcome,
    /// How often it failed and was run again.
    pub retries: u32,
    /// What it failed of; of a flaky one, the first time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// What a failed one printed.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub output: String,
}

/// How a test ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It passed the first time.
    #[default]
    Passed,
    /// It passed after it had failed.
    Flaky,
    /// It failed, or an error kept it from running.
    Failed,
    /// It did not run, or was not expected to pass.
    Skipped,
}

/// What a test failed of.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Failure {
    /// In a few words; may be empty.
    pub message: String,
    /// The class of the error, or how the test's process ended; may be empty.
    pub kind: String,
    /// In full, with the place; may be empty.
    pub text: String,
}

/// How many tests ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Passed, the flaky ones included.
    pub passed: u64,
    /// Failed, errors included.
    pub failed: u64,
    /// Skipped.
    pub skipped: u64,
    /// Those of the passed that had failed before.
    pub flaky: u64,
}

impl Counts {
    /// All of them.
    #[must_use]
    pub fn total(self) -> u64 {
        self.passed + self.failed + self.skipped
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Counts) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.flaky += other.flaky;
    }
}

impl Report {
    /// How many tests ended how. Unlisted failures count as failed.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = Counts {
            failed: self.unlisted,
            ..Counts::default()
        };
        for test in &self.tests {
            match test.outcome {
                Outcome::Passed => counts.passed += 1,
                Outcome::Flaky => {
                    counts.passed += 1;
                    counts.flaky += 1;
                }
                Outcome::Failed => counts.failed += 1,
                Outcome::Skipped => counts.skipped += 1,
            }
        }
        counts
    }
}

impl Test {
    /// The name in full, as far as the dialect has one: `tasker-shared::integration tasks::retry`.
    #[must_use]
    pub fn full_name(&self) -> String {
        // node calls every class `test`; jest repeats the name; bun turns the suites' order round.
        let nested = self.suite.contains(" > ");
        let class = if nested || self.class.is_empty() || self.class == "test" {
            &self.suite
        } else if self.class == self.name {
            ""
        } else {
            &self.class
        };
        match (class, nested) {
            ("", _) => self.name.trim().to_owned(),
            (_, true) => format!("{class} > {}", self.name),
            (_, false) => format!("{class} {}", self.name),
        }
    }
}

/// Reads one report; `name` is what errors call it.
///
/// # Errors
/// When it is no JUnit report, or cut off: with line, column and byte (exit 1).
pub fn parse(bytes: &[u8], name: &str) -> Result<Report, Fault> {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(Fault::new(format!("{name}: is UTF-16; only UTF-8 is read")));
    }
    // Test output may hold anything, and not every reporter cares: a stray byte is no reason to fail.
    let text = String::from_utf8_lossy(bytes);
    if text.trim_start_matches('\u{feff}').trim().is_empty() {
        return Err(Fault::new(format!("{name}: is empty")).hint(CUT_OFF));
    }
    let mut parser = Parser::new(name, &text);
    parser.run()?;
    Ok(Report {
        name: name.to_owned(),
        unlisted: parser.declared.saturating_sub(parser.failures),
        tests: parser.tests,
    })
}

const CUT_OFF: &str =
    "the test program ended while it wrote the report, or never got to it: run the tests again";

/// The element that the parser is in.
enum Element {
    /// `testsuites` or `testsuite`: what it says of its own failures, and its children's sum.
    Suite {
        named: bool,
        own: Option<u64>,
        children: u64,
    },
    Case,
    /// Its text is the failure's.
    Failure,
    /// Its text is the test's output.
    Output,
    Other,
}

struct Parser<'a> {
    name: &'a str,
    text: &'a str,
    stack: Vec<(Element, usize)>,
    suites: Vec<String>,
    seen_root: bool,
    tests: Vec<Test>,
    /// `failure` and `error` elements, against which the suites' totals are held.
    failures: u64,
    declared: u64,
    case: Case,
}

/// The test that is being read.
#[derive(Default)]
struct Case {
    test: Test,
    failed: bool,
    skipped: bool,
    /// node's `todo` and its like: expected not to pass, whatever it does.
    excused: bool,
    flaky: bool,
    text: Clip,
    output: Clip,
}

impl<'a> Parser<'a> {
    fn new(name: &'a str, text: &'a str) -> Parser<'a> {
        Parser {
            name,
            text,
            stack: Vec::new(),
            suites: Vec::new(),
            seen_root: false,
            tests: Vec::new(),
            failures: 0,
            declared: 0,
            case: Case::default(),
        }
    }

    fn run(&mut self) -> Result<(), Fault> {
        let mut reader = Reader::from_str(self.text);
        // An `&` that nobody escaped is text.
        reader.config_mut().allow_dangling_amp = true;
        loop {
            let at = offset(reader.buffer_position());
            let event = reader.read_event().map_err(|error| {
                let at = offset(reader.error_position());
                let fault = Fault::new(format!("{}: {}", self.place(at), reason(&error)));
                if matches!(error, quick_xml::Error::Syntax(_)) {
                    fault.hint(CUT_OFF)
                } else {
                    fault
                }
            })?;
            match event {
                Event::Start(tag) => self.open(&tag, at)?,
                Event::Empty(tag) => {
                    self.open(&tag, at)?;
                    self.close();
                }
                Event::End(_) => self.close(),
                Event::Text(text) => self.add(&text.into_inner(), at)?,
                Event::CData(text) => self.add(&text.into_inner(), at)?,
                Event::GeneralRef(entity) => {
                    let entity = entity.into_inner();
                    match resolve(&entity) {
                        Some(c) => self.add(c.encode_utf8(&mut [0; 4]), at)?,
                        // What a document type may define stays as it stands.
                        None => self.add(&format!("&{entity};"), at)?,
                    }
                }
                Event::Eof => break,
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
            }
        }
        if let Some((_, opened)) = self.stack.last() {
            let tag: String = self
                .text
                .get(*opened..)
                .unwrap_or_default()
                .trim_start_matches(['\u{feff}', '<'])
                .chars()
                .take_while(|c| !c.is_whitespace() && !matches!(c, '>' | '/'))
                .collect();
            return Err(Fault::new(format!(
                "{}: the file ends at byte {} inside of this `<{tag}>`",
                self.place(*opened),
                self.text.len()
            ))
            .hint(CUT_OFF));
        }
        if !self.seen_root {
            return Err(Fault::new(format!("{}: has no XML element", self.name)));
        }
        Ok(())
    }

    /// `name:line:column (byte N)`.
    fn place(&self, at: usize) -> String {
        format!(
            "{}{} (byte {at})",
            self.name,
            config::place(self.text, at.min(self.text.len()))
        )
    }

    fn open(&mut self, tag: &BytesStart<'_>, at: usize) -> Result<(), Fault> {
        let name = tag.local_name();
        let name: &str = name.as_ref();
        let parent = self.stack.last().map(|(element, _)| element);
        let element = match (name, parent) {
            ("testsuites" | "testsuite", None) if !self.seen_root => {
                self.suite(tag, at, name == "testsuite")?
            }
            ("testsuites" | "testsuite", Some(Element::Suite { .. })) => {
                self.suite(tag, at, name == "testsuite")?
            }
            (_, None) => {
                let what = if self.seen_root {
                    "a second root element"
                } else {
                    "is no JUnit report: the root element is neither `testsuites` nor `testsuite` but"
                };
                return Err(Fault::new(format!("{}: {what} `{name}`", self.place(at))));
            }
            ("testcase", Some(Element::Suite { .. })) => {
                self.begin_case(tag, at)?;
                Element::Case
            }
            (_, Some(Element::Case)) => self.part(name, tag, at)?,
            // Surefire's `flakyFailure` has its text one level deeper.
            ("stackTrace", Some(Element::Failure)) => Element::Failure,
            _ => Element::Other,
        };
        self.seen_root = true;
        if self.stack.len() == MAX_DEPTH {
            return Err(Fault::new(format!(
                "{}: elements nest more than {MAX_DEPTH} deep",
                self.place(at)
            )));
        }
        self.stack.push((element, at));
        Ok(())
    }

    fn suite(&mut self, tag: &BytesStart<'_>, at: usize, named: bool) -> Result<Element, Fault> {
        let mut own = None;
        let mut name = String::new();
        self.attributes(tag, at, |key, value| match key {
            "failures" | "errors" => {
                if let Ok(n) = value.trim().parse::<u32>() {
                    *own.get_or_insert(0) += u64::from(n);
                }
            }
            "name" => name = value,
            _ => {}
        })?;
        if named {
            // Every test repeats it.
            name.truncate(boundary(&name, MAX_SUITE_NAME));
            self.suites.push(name);
        }
        Ok(Element::Suite {
            named,
            own,
            children: 0,
        })
    }

    fn begin_case(&mut self, tag: &BytesStart<'_>, at: usize) -> Result<(), Fault> {
        let mut test = Test {
            suite: self.suites.join(" > "),
            ..Test::default()
        };
        self.attributes(tag, at, |key, value| match key {
            "name" => test.name = value,
            "classname" => test.class = value,
            "file" if !value.is_empty() => test.file = Some(value),
            "line" => test.line = value.trim().parse().ok(),
            "time" => test.seconds = seconds(&value),
            _ => {}
        })?;
        self.case = Case {
            test,
            ..Case::default()
        };
        Ok(())
    }

    /// A child of `testcase`.
    fn part(&mut self, name: &str, tag: &BytesStart<'_>, at: usize) -> Result<Element, Fault> {
        let mut failure = Failure::default();
        self.attributes(tag, at, |key, value| match key {
            "message" => failure.message = clipped(&value),
            "type" => failure.kind = clipped(&value),
            _ => {}
        })?;
        let case = &mut self.case;
        Ok(match name {
            "failure" | "error" => {
                self.failures += 1;
                if !case.failed {
                    // Of a flaky test that failed in the end, this is what counts.
                    case.test.failure = Some(failure);
                    case.text = Clip::default();
                }
                case.failed = true;
                Element::Failure
            }
            "flakyFailure" | "flakyError" => {
                case.test.retries += 1;
                case.flaky = true;
                if case.test.failure.is_some() {
                    return Ok(Element::Other);
                }
                case.test.failure = Some(failure);
                Element::Failure
            }
            "rerunFailure" | "rerunError" => {
                case.test.retries += 1;
                Element::Other
            }
            "skipped" => {
                case.skipped = true;
                case.excused |= failure.kind == "todo";
                Element::Other
            }
            "system-out" | "system-err" => Element::Output,
            _ => Element::Other,
        })
    }

    fn close(&mut self) {
        match self.stack.pop() {
            Some((Element::Case, _)) => self.end_case(),
            Some((
                Element::Suite {
                    named,
                    own,
                    children,
                },
                _,
            )) => {
                if named {
                    self.suites.pop();
                }
                // Some sum up what is below them, some count only what is theirs: at least this.
                let declared = own.unwrap_or(0).max(children);
                match self.stack.last_mut() {
                    Some((Element::Suite { children, .. }, _)) => *children += declared,
                    _ => self.declared = declared,
                }
            }
            _ => {}
        }
    }

    fn end_case(&mut self) {
        let case = std::mem::take(&mut self.case);
        let mut test = case.test;
        test.outcome = match (case.failed, case.skipped, case.flaky) {
            (_, true, _) if case.excused => Outcome::Skipped,
            (true, ..) => Outcome::Failed,
            (false, true, _) => Outcome::Skipped,
            (false, false, true) => Outcome::Flaky,
            // Surefire and nextest write `rerunFailure` only beside a `failure`.
            (false, false, false) if test.retries > 0 => Outcome::Failed,
            (false, false, false) => Outcome::Passed,
        };
        // nextest lists its setup scripts beside the tests; one that failed is worth a line.
        if test.suite.starts_with("@setup-script:") && test.outcome == Outcome::Passed {
            return;
        }
        if let Some(failure) = &mut test.failure {
            failure.text = case.text.finish();
        }
        if test.outcome == Outcome::Failed {
            test.output = case.output.finish();
        } else if test.outcome != Outcome::Flaky {
            test.failure = None;
        }
        self.tests.push(test);
    }

    fn add(&mut self, text: &str, at: usize) -> Result<(), Fault> {
        match self.stack.last() {
            Some((Element::Failure, _)) => self.case.text.push(text),
            Some((Element::Output, _)) => self.case.output.push(text),
            Some(_) => {}
            None if text.trim().is_empty() => {}
            None => {
                return Err(Fault::new(format!(
                    "{}: text outside of the root element",
                    self.place(at)
                )));
            }
        }
        Ok(())
    }

    fn attributes(
        &self,
        tag: &BytesStart<'_>,
        at: usize,
        mut take: impl FnMut(&str, String),
    ) -> Result<(), Fault> {
        for attribute in tag.attributes().with_checks(false) {
            let attribute =
                attribute.map_err(|error| Fault::new(format!("{}: {error}", self.place(at))))?;
            take(attribute.key.as_ref(), unescape(&attribute.value));
        }
        Ok(())
    }
}

fn offset(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}

/// What the parser says, without the name of its own error class.
fn reason(error: &quick_xml::Error) -> String {
    match error {
        quick_xml::Error::Syntax(error) => error.to_string(),
        quick_xml::Error::IllFormed(error) => error.to_string(),
        other => other.to_string(),
    }
}

/// Seconds as reporters write them: `0.012`, and `1,234.5` of some.
fn seconds(text: &str) -> Option<f64> {
    let value: f64 = text.trim().replace(',', "").parse().ok()?;
    (value.is_finite() && value >= 0.0).then_some(value)
}

/// An attribute's value with XML's five entities and character references resolved; others stay.
fn unescape(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let mut rest = value;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        // No entity is longer than `#x10FFFF`.
        let end = rest.bytes().take(9).position(|byte| byte == b';');
        match end.and_then(|end| Some((resolve(&rest[..end])?, end))) {
            Some((c, end)) => {
                out.push(c);
                rest = &rest[end + 1..];
            }
            None => out.push('&'),
        }
    }
    out.push_str(rest);
    out
}

/// The character of `lt`, `#10`, `#xA`.
fn resolve(entity: &str) -> Option<char> {
    match entity {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "apos" => Some('\''),
        "quot" => Some('"'),
        _ => {
            let number = entity.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => number.parse(),
            };
            code.ok().and_then(char::from_u32)
        }
    }
}

fn clipped(text: &str) -> String {
    let mut clip = Clip::default();
    clip.push(text);
    clip.finish()
}

/// A text of which the beginning and the end are kept.
#[derive(Default)]
struct Clip {
    head: String,
    tail: String,
    left_out: usize,
}

impl Clip {
    fn push(&mut self, text: &str) {
        let mut text = text;
        if self.tail.is_empty() {
            let room = HEAD.saturating_sub(self.head.len());
            let (kept, rest) = text.split_at(boundary(text, room));
            self.head.push_str(kept);
            text = rest;
        }
        self.tail.push_str(text);
        // Cut only now and then: this stays linear however small the pieces are.
        if self.tail.len() > 2 * TAIL {
            self.cut();
        }
    }

    fn cut(&mut self) {
        if self.tail.len() > TAIL {
            let end = boundary(&self.tail, self.tail.len() - TAIL);
            self.left_out += end;
            self.tail.drain(..end);
        }
    }

    fn finish(mut self) -> String {
        self.cut();
        if self.left_out > 0 {
            self.head
                .push_str(&format!("\n[... {} bytes left out ...]\n", self.left_out));
        }
        self.head.push_str(&self.tail);
        self.head.trim_matches(['\n', '\r']).trim_end().to_owned()
    }
}

/// The greatest index up to `at` where a character begins.
fn boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len()))
        .rev()
        .find(|index| text.is_char_boundary(*index))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fixture(name: &str) -> Report {
        let path = crate::fsx::test_package()
            .join("tests")
            .join("fixtures")
            .join("junit")
            .join(name);
        parse(&std::fs::read(path).unwrap(), name).unwrap()
    }

    fn read(xml: &str) -> Report {
        parse(xml.as_bytes(), "x.xml").unwrap_or_else(|error| panic!("{error}\n{xml}"))
    }

    fn error(xml: &str) -> String {
        parse(xml.as_bytes(), "x.xml").unwrap_err().to_string()
    }

    fn names(report: &Report, outcome: Outcome) -> Vec<String> {
        let of = report.tests.iter().filter(|test| test.outcome == outcome);
        of.map(Test::full_name).collect()
    }

    fn counts(passed: u64, failed: u64, skipped: u64, flaky: u64) -> Counts {
        Counts {
            passed,
            failed,
            skipped,
            flaky,
        }
    }

    #[test]
    fn nextest_with_retries_a_timeout_and_a_setup_script() {
        let report = fixture("nextest.xml");
        assert_eq!(report.counts(), counts(2, 5, 0, 1));
        assert_eq!(names(&report, Outcome::Flaky), ["demo tests::flaky"]);
        let fails = &report.tests[1];
        assert_eq!((fails.retries, fails.seconds), (1, Some(0.08)));
        let failure = fails.failure.as_ref().unwrap();
        assert!(
            failure.text.contains("numbers & <things>\n  left: 1"),
            "{failure:?}"
        );
        assert_eq!(failure.kind, "test failure with exit code 101");
        assert!(fails.output.contains("before ]]> it"), "{}", fails.output);
        // What the rerun printed is not shown a second time.
        assert_eq!(fails.output.matches("before").count(), 1);
        let slow = report
            .tests
            .iter()
            .find(|test| test.name.ends_with("slow"))
            .unwrap();
        assert_eq!(slow.failure.as_ref().unwrap().kind, "test timeout");
        let flaky = report
            .tests
            .iter()
            .find(|test| test.outcome == Outcome::Flaky)
            .unwrap();
        assert!(flaky.failure.as_ref().unwrap().text.contains("first time"));
        assert_eq!(flaky.output, "");
    }

    #[test]
    fn pytest_counts_an_error_of_a_fixture_as_a_failure() {
        let report = fixture("pytest.xml");
        assert_eq!(report.counts(), counts(4, 6, 2, 0));
        assert_eq!(report.unlisted, 0);
        assert_eq!(
            names(&report, Outcome::Skipped),
            ["test_a test_skip", "test_a test_xfail"]
        );
        assert_eq!(report.tests[1].file.as_deref(), Some("test_a.py"));
    }

    #[test]
    fn rspec_is_one_suite_without_a_root() {
        let report = fixture("rspec.xml");
        assert_eq!(report.counts(), counts(2, 2, 2, 0));
        let failed = names(&report, Outcome::Failed);
        assert_eq!(
            failed,
            [
                "spec.a_spec Adder fails <&>",
                "spec.a_spec Adder deep raises"
            ]
        );
        assert_eq!(fixture("rspec-load-error.xml").counts().total(), 0);
    }

    #[test]
    fn nodes_todo_does_not_fail_and_its_suites_nest() {
        let report = fixture("node.xml");
        assert_eq!(report.counts(), counts(2, 3, 3, 0));
        assert_eq!(
            names(&report, Outcome::Failed),
            [
                "top fails",
                "outer > inner > deep fails",
                "/home/me/b.test.mjs"
            ]
        );
        assert_eq!(report.unlisted, 0);
    }

    #[test]
    fn bun_and_jest() {
        let report = fixture("bun.xml");
        assert_eq!(report.counts(), counts(2, 2, 2, 0));
        assert_eq!(
            names(&report, Outcome::Failed),
            [
                "a.test.ts top fails",
                "a.test.ts > outer > inner > deep fails"
            ]
        );
        assert_eq!(
            (report.tests[1].line, report.tests[1].seconds),
            (Some(3), Some(0.000126))
        );
        let report = fixture("jest.xml");
        assert_eq!(report.counts(), counts(3, 2, 1, 0));
        assert_eq!(
            names(&report, Outcome::Failed),
            ["top fails", "outer inner deep fails"]
        );
    }

    #[test]
    fn tests_are_counted_not_lines() {
        let report = read(
            "<testsuites><testsuite><testcase name='a'/><testcase name='b'/><testcase\nname='c'>\
             <error/></testcase><properties><property value='&lt;testcase name=x'/></properties>\
             <system-out><![CDATA[<testcase name='no'/>]]></system-out></testsuite></testsuites>",
        );
        assert_eq!(report.counts(), counts(2, 1, 0, 0));
    }

    #[test]
    fn what_the_totals_count_beyond_the_tests_is_a_failure() {
        for (xml, unlisted) in [
            ("<testsuite errors='1'/>", 1),
            (
                "<testsuites errors='2' failures='1'><testsuite errors='1'/></testsuites>",
                3,
            ),
            (
                "<testsuites><testsuite errors='1'/><testsuite failures='2'/></testsuites>",
                3,
            ),
            (
                "<testsuite failures='1'><testcase><failure/></testcase></testsuite>",
                0,
            ),
            // node counts the inner suite as one failed test of the outer one.
            (
                "<testsuite failures='1'><testsuite failures='2'><testcase><failure/></testcase><testcase><failure/></testcase></testsuite></testsuite>",
                0,
            ),
            ("<testsuite failures='-1' errors='many'/>", 0),
        ] {
            let report = read(xml);
            assert_eq!(report.unlisted, unlisted, "{xml}");
            assert!(report.counts().failed >= unlisted);
        }
    }

    #[test]
    fn outcomes_of_all_mixtures() {
        use Outcome::{Failed, Flaky, Passed, Skipped};
        for (children, outcome, retries) in [
            ("", Passed, 0),
            ("<skipped/>", Skipped, 0),
            ("<failure/>", Failed, 0),
            ("<error/>", Failed, 0),
            ("<skipped/><error/>", Failed, 0),
            ("<failure/><skipped type='todo'/>", Skipped, 0),
            ("<flakyFailure/><flakyError/>", Flaky, 2),
            ("<flakyFailure/><failure/>", Failed, 1),
            ("<failure/><rerunFailure/><rerunError/>", Failed, 2),
            ("<rerunFailure/>", Failed, 1),
            ("<system-out>x</system-out><properties/>", Passed, 0),
        ] {
            let report = read(&format!(
                "<testsuite><testcase>{children}</testcase></testsuite>"
            ));
            let test = &report.tests[0];
            assert_eq!(
                (test.outcome, test.retries),
                (outcome, retries),
                "{children}"
            );
        }
    }

    #[test]
    fn text_comes_whole_from_cdata_entities_and_references() {
        let report = read(
            "<testsuite><testcase name=\"a &lt;&#x62;&gt; &unknown; & b\" line='7' time='1,234.5'>\
             <failure message='one&#10;two'>a &lt; b<![CDATA[ <raw> & ]]>&#xe9; &custom; R&D</failure>\
             <system-err>e</system-err><system-out>o</system-out></testcase></testsuite>",
        );
        let test = &report.tests[0];
        assert_eq!(test.name, "a <b> &unknown; & b");
        assert_eq!((test.line, test.seconds), (Some(7), Some(1234.5)));
        let failure = test.failure.as_ref().unwrap();
        assert_eq!(failure.message, "one\ntwo");
        assert_eq!(failure.text, "a < b <raw> & \u{e9} &custom; R&D");
        assert_eq!(test.output, "eo");
    }

    #[test]
    fn surefires_stack_traces_stand_one_level_deeper() {
        let report = read(
            "<testsuite><testcase><flakyFailure message='m'><stackTrace>trace</stackTrace>\
             <system-out>no</system-out></flakyFailure></testcase></testsuite>",
        );
        assert_eq!(report.tests[0].failure.as_ref().unwrap().text, "trace");
    }

    #[test]
    fn a_report_that_is_cut_off_names_file_and_place() {
        let whole =
            "<testsuites>\n<testsuite name='s'>\n <testcase name='a'/>\n</testsuite></testsuites>";
        let at = whole.find("<testcase").unwrap();
        assert_eq!(
            error(&whole[..at + 5]),
            format!("x.xml:3:2 (byte {at}): tag not closed: `>` not found before end of input")
        );
        let at = whole.find("</testsuite>").unwrap();
        assert_eq!(
            error(&whole[..at]),
            format!("x.xml:2:1 (byte 13): the file ends at byte {at} inside of this `<testsuite>`")
        );
        assert_eq!(error(""), "x.xml: is empty");
        assert_eq!(error("\u{feff} \n"), "x.xml: is empty");
        assert_eq!(
            error("<?xml version='1.0'?>\n"),
            "x.xml: has no XML element"
        );
    }

    #[test]
    fn what_is_no_report_is_said_to_be_none() {
        for (xml, said) in [
            (
                "<html/>",
                "x.xml:1:1 (byte 0): is no JUnit report: the root element is neither",
            ),
            ("not xml", "text outside of the root element"),
            (
                "<testsuite/><testsuite/>",
                "x.xml:1:13 (byte 12): a second root element",
            ),
            ("<testsuite/>left", "text outside of the root element"),
            ("<testsuite></testsuites>", "testsuites"),
            ("<testsuite a=b/>", "x.xml:1:1"),
        ] {
            assert!(error(xml).contains(said), "{xml}: {}", error(xml));
        }
        assert!(
            parse(b"\xff\xfe<\0", "x")
                .unwrap_err()
                .to_string()
                .contains("UTF-16")
        );
    }

    #[test]
    fn a_mark_at_the_beginning_and_stray_bytes_do_no_harm() {
        let report = parse(
            b"\xef\xbb\xbf<testsuite><testcase name='a\xff'/></testsuite>",
            "x",
        );
        assert_eq!(report.unwrap().tests[0].name, "a\u{fffd}");
        assert!(error("\u{feff}<testsuite>").contains("inside of this `<testsuite>`"));
    }

    #[test]
    fn entity_bombs_stay_text() {
        let report = read(
            "<!DOCTYPE x [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;&a;'><!ENTITY c '&b;&b;&b;&b;'>]>\
             <testsuite><testcase name='&c;'><failure>&c;&c;</failure></testcase></testsuite>",
        );
        assert_eq!(report.tests[0].name, "&c;");
        assert_eq!(report.tests[0].failure.as_ref().unwrap().text, "&c;&c;");
    }

    #[test]
    fn deep_nesting_is_an_error_and_no_overflow() {
        let deep = "<testsuite>".repeat(1_000_000);
        assert!(error(&deep).contains("nest more than 200 deep"));
        let fine = "<testsuite>".repeat(150) + &"</testsuite>".repeat(150);
        assert_eq!(read(&fine).counts().total(), 0);
    }

    #[test]
    fn of_a_long_text_the_beginning_and_the_end_stay() {
        let long = format!("begin{}é{}end", "a".repeat(HEAD - 6), "b".repeat(1_000_000));
        let report = read(&format!(
            "<testsuite><testcase><failure>{long}</failure><system-out>{long}</system-out></testcase></testsuite>"
        ));
        let text = &report.tests[0].failure.as_ref().unwrap().text;
        assert!(text.starts_with("begin") && text.ends_with("end"));
        assert!(text.len() < HEAD + TAIL + 100);
        let left: usize = text
            .split_once("[... ")
            .and_then(|(_, rest)| rest.split_once(' '))
            .and_then(|(n, _)| n.parse().ok())
            .unwrap();
        let mark = format!("\n[... {left} bytes left out ...]\n");
        assert_eq!(text.len() - mark.len() + left, long.len());
    }

    /// What the renderer of the property test is given.
    fn tests() -> impl Strategy<Value = Vec<(String, Outcome, String)>> {
        let outcome = prop_oneof![
            Just(Outcome::Passed),
            Just(Outcome::Flaky),
            Just(Outcome::Failed),
            Just(Outcome::Skipped),
        ];
        prop::collection::vec(("[ -~é\n\t]{0,20}", outcome, "[ -~é\n]{0,40}"), 0..12)
    }

    /// Every writer escapes in its own way.
    fn escape(text: &str, style: usize) -> String {
        text.chars()
            .map(|c| match (c, style % 3) {
                ('<', _) => "&lt;".to_owned(),
                ('&', 0) => "&amp;".to_owned(),
                ('&', _) => "&#38;".to_owned(),
                ('\'' | '"' | '>' | '\n' | '\t', 0 | 1) => format!("&#{};", c as u32),
                ('\'' | '"' | '\n' | '\t', _) => format!("&#x{:X};", c as u32),
                (c, _) => c.to_string(),
            })
            .collect()
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(tests in tests(), style in 0_usize..6, nested in any::<bool>(), cut in any::<prop::sample::Index>()) {
            let mut xml = String::from("<?xml version=\"1.0\"?>\n<testsuites>");
            for (n, (name, outcome, text)) in tests.iter().enumerate() {
                let (name, escaped) = (escape(name, style), escape(text, style + 1));
                let attributes = match (style + n) % 2 {
                    0 => format!("name=\"{name}\" time='0.5'"),
                    _ => format!("time='0.5'\n  name='{name}'"),
                };
                let body = if style >= 3 && !text.contains("]]>") {
                    format!("<![CDATA[{text}]]>")
                } else {
                    escaped
                };
                let element = match outcome {
                    Outcome::Passed => "system-out",
                    Outcome::Flaky => "flakyFailure",
                    Outcome::Failed => ["failure", "error"][n % 2],
                    Outcome::Skipped => "skipped",
                };
                let suite = if nested { "<testsuite name='s'><testsuite>" } else { "<testsuite>" };
                let end = if nested { "</testsuite></testsuite>" } else { "</testsuite>" };
                xml.push_str(&format!(
                    "{suite}<testcase {attributes}><{element}>{body}</{element}></testcase>{end}"
                ));
            }
            xml.push_str("</testsuites>");
            let report = parse(xml.as_bytes(), "x").unwrap();
            prop_assert_eq!(report.tests.len(), tests.len());
            for (read, (name, outcome, text)) in report.tests.iter().zip(&tests) {
                prop_assert_eq!(&read.name, name);
                prop_assert_eq!(read.outcome, *outcome);
                if let Some(failure) = &read.failure {
                    prop_assert_eq!(&failure.text, text.trim_matches('\n').trim_end());
                }
            }
            // Cut off anywhere, it is an error.
            let end = (1..=cut.index(xml.len() - 1) + 1).rev().find(|end| xml.is_char_boundary(*end)).unwrap();
            prop_assume!(end < xml.len());
            prop_assert!(parse(&xml.as_bytes()[..end], "x").is_err(), "{}", &xml[..end]);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes, "x");
        }

        #[test]
        fn no_xml_soup_makes_it_panic(parts in prop::collection::vec(prop::sample::select(vec![
            "<testsuites>", "</testsuites>", "<testsuite name='é'>", "</testsuite>", "<testcase", " name='a'",
            ">", "/>", "</testcase>", "<failure>", "</failure>", "&", "&lt;", "&#x", ";", "<![CDATA[", "]]>",
            "<!--", "-->", "<!DOCTYPE", "[", "]", "é", "'", "\"", "\u{feff}", " ",
        ]), 0..30)) {
            let _ = parse(parts.concat().as_bytes(), "x");
        }

        #[test]
        fn a_clip_is_the_same_however_the_pieces_come(text in "[a-zé]{0,40}", repeat in 1_usize..2000, piece in 1_usize..5000) {
            let text = text.repeat(repeat);
            let mut whole = Clip::default();
            whole.push(&text);
            let mut parts = Clip::default();
            let mut rest = text.as_str();
            while !rest.is_empty() {
                let (next, left) = rest.split_at(boundary(rest, piece).max(boundary(rest, 4)).max(1));
                parts.push(next);
                rest = left;
            }
            let (whole, parts) = (whole.finish(), parts.finish());
            if text.len() <= HEAD + TAIL {
                prop_assert_eq!(&whole, &text);
                prop_assert_eq!(&parts, &text);
            }
            prop_assert!(parts.len() < HEAD + TAIL + 64);
        }
    }
}
