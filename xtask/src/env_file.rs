//! Dotenv text: parsed, expanded, merged and rendered. Pure: text in, text and values out.
//!
//! The grammar is dotenvy's (`export`, comments, `'literal'`, `"escaped $VAR"`, values over several
//! lines), with `${NAME:-default}` and exact line numbers on top. An error never shows the line that
//! it is about: it may hold a secret.
//!
//! Values that we write ourselves are listed with a digest in one comment of the file
//! (`# xtask: managed NAME=…`). A value that no longer fits its digest was changed by a person: it
//! is theirs from then on.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use hmac_sha256::Hash;

use crate::hex;

const MANAGED: &str = "# xtask: managed";
/// No environment is larger than this; expansion that is, is an attack or a mistake.
const MAX_EXPANDED: usize = 1 << 20;
/// Nor do names refer to names that refer to names … more often than this.
const MAX_DEPTH: usize = 100;

/// What is wrong, and in which line (from 1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvFileError {
    /// The line.
    pub line: usize,
    /// What is wrong with it, without its text.
    pub message: &'static str,
}

impl fmt::Display for EnvFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for EnvFileError {}

/// A value before expansion.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Variable {
        name: String,
        default: Option<String>,
    },
}

impl Template {
    /// A value that is what it is.
    pub fn literal(text: impl Into<String>) -> Template {
        Template(vec![Part::Text(text.into())])
    }

    /// A value with `$NAME`, `${NAME}` and `${NAME:-default}` in it.
    #[must_use]
    pub fn with_variables(text: &str) -> Template {
        let mut parser = Parser {
            rest: text,
            line: 1,
        };
        let mut template = Template::default();
        while let Some(c) = parser.next() {
            if c == '$' {
                match parser.variable() {
                    Ok(Some(part)) => template.0.push(part),
                    // An open brace in a plain value is text.
                    Ok(None) | Err(_) => template.push('$'),
                }
            } else {
                template.push(c);
            }
        }
        template
    }

    /// The variables that the text refers to.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Variable { name, .. } => Some(name.as_str()),
        })
    }

    fn push(&mut self, c: char) {
        if let Some(Part::Text(text)) = self.0.last_mut() {
            text.push(c);
        } else {
            self.0.push(Part::Text(c.to_string()));
        }
    }
}

/// One assignment of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The name.
    pub name: String,
    /// The value, not expanded.
    pub value: Template,
    /// The line, from 1.
    pub line: usize,
    /// The assignment's bytes in the text, its line end included.
    span: std::ops::Range<usize>,
}

/// Parses a file's text.
///
/// # Errors
/// The first line that is no assignment, comment or empty.
pub fn parse(text: &str) -> Result<Vec<Assignment>, EnvFileError> {
    let body = text.strip_prefix('\u{feff}').unwrap_or(text);
    let offset = text.len() - body.len();
    let mut parser = Parser {
        rest: body,
        line: 1,
    };
    let mut assignments = Vec::new();
    loop {
        parser.skip_space();
        let start = offset + body.len() - parser.rest.len();
        let line = parser.line;
        match parser.peek() {
            None => return Ok(assignments),
            Some('\n' | '\r') => {
                parser.next();
            }
            Some('#') => parser.skip_line(),
            Some(_) => {
                let (name, value) = parser.assignment()?;
                let end = offset + body.len() - parser.rest.len();
                assignments.push(Assignment {
                    name,
                    value,
                    line,
                    span: start..end,
                });
            }
        }
    }
}

struct Parser<'a> {
    rest: &'a str,
    line: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.rest = &self.rest[c.len_utf8()..];
        if c == '\n' {
            self.line += 1;
        }
        Some(c)
    }

    fn fail<T>(&self, message: &'static str) -> Result<T, EnvFileError> {
        Err(EnvFileError {
            line: self.line,
            message,
        })
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(' ' | '\t')) {
            self.next();
        }
    }

    fn skip_line(&mut self) {
        while !matches!(self.next(), None | Some('\n')) {}
    }

    fn name(&mut self) -> String {
        let end = self
            .rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.'))
            .unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        name.to_owned()
    }

    fn assignment(&mut self) -> Result<(String, Template), EnvFileError> {
        let mut name = self.name();
        self.skip_space();
        if name == "export" && self.peek() != Some('=') {
            name = self.name();
            self.skip_space();
        }
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            return self.fail("expected NAME=value, with a name of letters, digits and `_`");
        }
        if self.next() != Some('=') {
            return self.fail("expected `=` after the name");
        }
        self.skip_space();
        let value = self.value()?;
        Ok((name, value))
    }

    /// A value: pieces that stand side by side, quoted or not, up to white space and a comment.
    fn value(&mut self) -> Result<Template, EnvFileError> {
        let mut value = Template::default();
        loop {
            match self.peek() {
                None | Some('\n') => break,
                Some('\r') if self.rest.starts_with("\r\n") || self.rest == "\r" => break,
                Some('\'') => self.single_quoted(&mut value)?,
                Some('"') => self.double_quoted(&mut value)?,
                Some(' ' | '\t') => {
                    let rest = self.rest.trim_start_matches([' ', '\t']);
                    let skipped = &self.rest[..self.rest.len() - rest.len()];
                    if rest.is_empty() || rest.starts_with(['\n', '\r', '#']) {
                        break;
                    }
                    // White space inside an unquoted value belongs to it.
                    skipped.chars().for_each(|c| value.push(c));
                    self.rest = rest;
                }
                Some('\\') => {
                    self.next();
                    match self.next() {
                        Some(c) if c != '\n' && c != '\r' => value.push(c),
                        _ => return self.fail("a backslash at the end of the line"),
                    }
                }
                Some('$') => {
                    self.next();
                    match self.variable()? {
                        Some(part) => value.0.push(part),
                        None => value.push('$'),
                    }
                }
                Some('\0') => return self.fail("a NUL character"),
                Some(c) => {
                    self.next();
                    value.push(c);
                }
            }
        }
        self.skip_line();
        Ok(value)
    }

    fn single_quoted(&mut self, value: &mut Template) -> Result<(), EnvFileError> {
        let opened = self.line;
        self.next();
        // An empty one is a value, too.
        value.0.push(Part::Text(String::new()));
        loop {
            match self.next() {
                Some('\'') => return Ok(()),
                Some('\0') => return self.fail("a NUL character"),
                Some(c) => value.push(c),
                None => {
                    return Err(EnvFileError {
                        line: opened,
                        message: "a single quote that is never closed",
                    });
                }
            }
        }
    }

    fn double_quoted(&mut self, value: &mut Template) -> Result<(), EnvFileError> {
        let opened = self.line;
        self.next();
        value.0.push(Part::Text(String::new()));
        loop {
            match self.next() {
                Some('"') => return Ok(()),
                Some('\\') => match self.next() {
                    Some('n') => value.push('\n'),
                    Some('r') => value.push('\r'),
                    Some('t') => value.push('\t'),
                    Some(c @ ('\\' | '"' | '$' | '\'' | '`' | ' ')) => value.push(c),
                    Some(_) => return self.fail("an unknown escape after a backslash"),
                    None => return self.fail("a backslash at the end of the file"),
                },
                Some('$') => match self.variable()? {
                    Some(part) => value.0.push(part),
                    None => value.push('$'),
                },
                Some('\0') => return self.fail("a NUL character"),
                Some(c) => value.push(c),
                None => {
                    return Err(EnvFileError {
                        line: opened,
                        message: "a double quote that is never closed",
                    });
                }
            }
        }
    }

    /// After a `$`: a variable, or `None` for a `$` that is one.
    fn variable(&mut self) -> Result<Option<Part>, EnvFileError> {
        if self.peek() != Some('{') {
            let name = self.name_after_dollar();
            return Ok((!name.is_empty()).then_some(Part::Variable {
                name,
                default: None,
            }));
        }
        self.next();
        let name = self.name_after_dollar();
        if name.is_empty() {
            return self.fail("`${` without a name");
        }
        let default = if let Some(rest) = self.rest.strip_prefix(":-") {
            let end = rest
                .find(['}', '\n'])
                .filter(|end| rest[*end..].starts_with('}'));
            let Some(end) = end else {
                return self.fail("`${` that is never closed");
            };
            self.rest = &rest[end..];
            Some(rest[..end].to_owned())
        } else {
            None
        };
        if self.next() != Some('}') {
            return self.fail("`${` that is never closed");
        }
        Ok(Some(Part::Variable { name, default }))
    }

    fn name_after_dollar(&mut self) -> String {
        if self.peek().is_some_and(|c| c.is_ascii_digit()) {
            return String::new();
        }
        let end = self
            .rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        name.to_owned()
    }
}

/// A reference that cannot be expanded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExpandError {
    /// Names that refer to each other in a circle.
    Circle(Vec<String>),
    /// The value would be larger than a megabyte.
    TooLarge(String),
    /// More names than a hundred refer to each other in a row; the last one.
    TooDeep(String),
}

/// Expands every value. A reference means the value of that name in `templates`, whatever its layer,
/// else in `outside` (the process environment); an unknown name is empty.
///
/// # Errors
/// A circle, values that grow without bound, or a long row of references.
pub fn expand(
    templates: &BTreeMap<String, Template>,
    outside: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, ExpandError> {
    let mut done = BTreeMap::new();
    for name in templates.keys() {
        expand_one(name, templates, outside, &mut done, &mut Vec::new())?;
    }
    Ok(done)
}

fn expand_one(
    name: &str,
    templates: &BTreeMap<String, Template>,
    outside: &BTreeMap<String, String>,
    done: &mut BTreeMap<String, String>,
    path: &mut Vec<String>,
) -> Result<String, ExpandError> {
    if let Some(value) = done.get(name) {
        return Ok(value.clone());
    }
    let Some(template) = templates.get(name) else {
        return Ok(outside.get(name).cloned().unwrap_or_default());
    };
    if let Some(start) = path.iter().position(|seen| seen == name) {
        let mut circle = path.split_off(start);
        circle.push(name.to_owned());
        return Err(ExpandError::Circle(circle));
    }
    if path.len() == MAX_DEPTH {
        return Err(ExpandError::TooDeep(name.to_owned()));
    }
    path.push(name.to_owned());
    let mut value = String::new();
    for part in &template.0 {
        match part {
            Part::Text(text) => value.push_str(text),
            Part::Variable {
                name: other,
                default,
            } => {
                let found = expand_one(other, templates, outside, done, path)?;
                match default {
                    Some(default) if found.is_empty() => value.push_str(default),
                    _ => value.push_str(&found),
                }
            }
        }
        if value.len() > MAX_EXPANDED {
            return Err(ExpandError::TooLarge(name.to_owned()));
        }
    }
    path.pop();
    done.insert(name.to_owned(), value.clone());
    Ok(value)
}

/// A value as it stands in a dotenv file; [`parse`] and dotenvy read it back unchanged.
#[must_use]
pub fn render_value(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:@%+,=".contains(c);
    if value.chars().all(plain) {
        value.to_owned()
    } else if !value.contains(['\'', '\\', '\n', '\r']) {
        // dotenvy stumbles over a backslash before the closing quote.
        format!("'{value}'")
    } else {
        let mut text = String::from("\"");
        for c in value.chars() {
            match c {
                '\\' | '"' | '$' => text.extend(['\\', c]),
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                c => text.push(c),
            }
        }
        text.push('"');
        text
    }
}

/// The value of a name in a file's text, its last assignment, without expansion of other names.
#[must_use]
pub fn get(text: &str, name: &str) -> Option<String> {
    let assignments = parse(text).ok()?;
    let found = assignments
        .iter()
        .rev()
        .find(|assignment| assignment.name == name)?;
    let templates = BTreeMap::from([(name.to_owned(), found.value.clone())]);
    expand(&templates, &BTreeMap::new()).ok()?.remove(name)
}

/// The value of a name, if it is one that we wrote and nobody has changed since.
#[must_use]
pub fn managed_value(text: &str, name: &str) -> Option<String> {
    let value = get(text, name)?;
    (digests(text).get(name)? == &digest(&value)).then_some(value)
}

/// The names whose values we wrote and nobody has changed since.
#[must_use]
pub fn managed_names(text: &str) -> BTreeSet<String> {
    digests(text)
        .into_keys()
        .filter(|name| managed_value(text, name).is_some())
        .collect()
}

/// Sets a value and remembers that it is ours. What else stands in the text stays, to the byte.
#[must_use]
pub fn set_managed(text: &str, name: &str, value: &str) -> String {
    if managed_value(text, name).as_deref() == Some(value) {
        return text.to_owned();
    }
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let line = format!("{name}={}{end}", render_value(value));
    let mut updated = match last_span(text, name) {
        Some(span) => format!("{}{line}{}", &text[..span.start], &text[span.end..]),
        None => format!("{}{line}", with_line_end(text, end)),
    };
    let mut digests = digests(&updated);
    digests.insert(name.to_owned(), digest(value));
    updated = with_digests(&updated, &digests, end);
    updated
}

/// Takes a value of ours out; one that a person has changed stays.
#[must_use]
pub fn remove_managed(text: &str, name: &str) -> String {
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let ours = managed_value(text, name).is_some();
    let mut updated = text.to_owned();
    if ours && let Some(span) = last_span(text, name) {
        updated.replace_range(span, "");
    }
    let mut digests = digests(&updated);
    if digests.remove(name).is_some() {
        updated = with_digests(&updated, &digests, end);
    }
    updated
}

fn last_span(text: &str, name: &str) -> Option<std::ops::Range<usize>> {
    let assignments = parse(text).ok()?;
    assignments
        .into_iter()
        .rev()
        .find(|it| it.name == name)
        .map(|it| it.span)
}

fn with_line_end(text: &str, end: &str) -> String {
    if text.is_empty() || text.ends_with('\n') {
        text.to_owned()
    } else if text.ends_with('\r') {
        // Half a line end, which a whole one behind it would make part of the value.
        format!("{text}\n")
    } else {
        format!("{text}{end}")
    }
}

/// The bytes of the assignments: a value over several lines may have one that looks like our comment.
fn held(text: &str) -> Vec<std::ops::Range<usize>> {
    let assignments = parse(text).unwrap_or_default();
    assignments.into_iter().map(|it| it.span).collect()
}

fn is_held(held: &[std::ops::Range<usize>], at: usize) -> bool {
    let after = held.partition_point(|span| span.start <= at);
    after > 0 && at < held[after - 1].end
}

/// The lines with their ends, and where each begins.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split_inclusive('\n').scan(0, |next, line| {
        let at = *next;
        *next += line.len();
        Some((at, line))
    })
}

/// 48 bits: enough to notice a change; the value itself stands beside it.
fn digest(value: &str) -> String {
    hex::encode(&Hash::hash(value.as_bytes())[..6])
}

fn digests(text: &str) -> BTreeMap<String, String> {
    let held = held(text);
    lines(text)
        .filter(|(at, _)| !is_held(&held, *at))
        .filter_map(|(_, line)| line.strip_prefix(MANAGED))
        .flat_map(str::split_whitespace)
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, digest)| (name.to_owned(), digest.to_owned()))
        .collect()
}

/// The text with its one comment of digests brought up to date.
fn with_digests(text: &str, digests: &BTreeMap<String, String>, end: &str) -> String {
    let pairs: Vec<String> = digests
        .iter()
        .map(|(name, digest)| format!("{name}={digest}"))
        .collect();
    let comment = if pairs.is_empty() {
        String::new()
    } else {
        format!("{MANAGED} {}{end}", pairs.join(" "))
    };
    let mut updated = String::new();
    let mut placed = false;
    let held = held(text);
    for (at, line) in lines(text) {
        if line.starts_with(MANAGED) && !is_held(&held, at) {
            if !placed {
                updated.push_str(&comment);
            }
            placed = true;
        } else {
            updated.push_str(line);
        }
    }
    if !placed && !comment.is_empty() {
        updated = with_line_end(&updated, end);
        updated.push_str(&comment);
    }
    updated
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values(text: &str) -> BTreeMap<String, String> {
        let templates = parse(text)
            .unwrap()
            .into_iter()
            .map(|it| (it.name, it.value))
            .collect::<BTreeMap<_, _>>();
        expand(
            &templates,
            &BTreeMap::from([("HOME".to_owned(), "/h".to_owned())]),
        )
        .unwrap()
    }

    #[test]
    fn the_grammar() {
        for (text, value) in [
            ("A=1", "1"),
            ("export A=1", "1"),
            ("\u{feff}A=1\r\nB=2\r\n", "1"),
            ("A = spaced out  # comment", "spaced out"),
            ("A=no#comment", "no#comment"),
            ("A='$HOME \\n' # c", "$HOME \\n"),
            (r#"A="$HOME\n\"\$""#, "/h\n\"$"),
            ("A=${HOME}/x", "/h/x"),
            ("A=${NOPE:-d e}", "d e"),
            ("A=$NOPE$", "$"),
            ("A='one\ntwo'\nB=3", "one\ntwo"),
            ("A=", ""),
            ("A=''", ""),
            ("A=1\nA=2", "2"),
            ("A=$1", "$1"),
        ] {
            assert_eq!(values(text)["A"], value, "{text:?}");
        }
    }

    #[test]
    fn a_backslash_at_the_end_is_no_escape_of_the_quote() {
        assert_eq!(render_value("a b\\"), r#""a b\\""#);
    }

    #[test]
    fn faults_have_a_line_and_never_the_text() {
        for (text, line, part) in [
            ("A=1\nsecret stuff\n", 2, "expected `=`"),
            ("A=1\nB='open\nC=1", 2, "single quote"),
            ("A=\"open", 1, "double quote"),
            ("=1", 1, "NAME"),
            ("1A=1", 1, "NAME"),
            ("A=${B", 1, "never closed"),
            (r#"A="\q""#, 1, "escape"),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.line, line, "{text:?}");
            assert!(error.message.contains(part), "{text:?}: {error}");
            assert!(!error.to_string().contains("secret"));
        }
    }

    #[test]
    fn circles_and_bombs_end() {
        let template = |text: &str| Template::with_variables(text);
        let circle = BTreeMap::from([
            ("A".to_owned(), template("$B")),
            ("B".to_owned(), template("${A}")),
        ]);
        let names = ["A", "B", "A"].map(str::to_owned).to_vec();
        assert_eq!(
            expand(&circle, &BTreeMap::new()),
            Err(ExpandError::Circle(names))
        );
        let row = |n: usize| -> BTreeMap<String, Template> {
            let one = |n: usize| (format!("V{n}"), template(&format!("$V{}", n + 1)));
            (0..n).map(one).collect()
        };
        assert!(expand(&row(MAX_DEPTH), &BTreeMap::new()).is_ok());
        assert_eq!(
            expand(&row(100_000), &BTreeMap::new()),
            Err(ExpandError::TooDeep(format!("V{MAX_DEPTH}")))
        );
        let mut bomb = BTreeMap::from([("V00".to_owned(), template(&"x".repeat(1000)))]);
        for n in 1..40 {
            let text = format!("$V{:02}", n - 1).repeat(10);
            bomb.insert(format!("V{n:02}"), template(&text));
        }
        assert!(matches!(
            expand(&bomb, &BTreeMap::new()),
            Err(ExpandError::TooLarge(_))
        ));
    }

    #[test]
    fn a_persons_lines_stay_and_ours_are_replaced() {
        let text = "# mine\nFOO=1 # why\n\nDATABASE_URL=old\n";
        let once = set_managed(text, "PORT", "1");
        assert_eq!(
            once,
            format!("{text}PORT=1\n# xtask: managed PORT={}\n", digest("1"))
        );
        let twice = set_managed(&once, "PORT", "22");
        assert_eq!(managed_value(&twice, "PORT").as_deref(), Some("22"));
        assert!(twice.starts_with(text));
        // A person changes it: theirs from now on.
        let theirs = twice.replace("PORT=22", "PORT=33");
        assert_eq!(managed_value(&theirs, "PORT"), None);
        assert_eq!(
            get(&remove_managed(&theirs, "PORT"), "PORT").as_deref(),
            Some("33")
        );
        assert_eq!(remove_managed(&twice, "PORT"), text);
    }

    /// Found by fuzzing.
    #[test]
    fn half_a_line_end_does_not_become_part_of_the_value() {
        for text in ["A=1\r", "B=1\r\nA=1\r"] {
            let once = set_managed(text, "PORT", "1");
            assert_eq!(get(&once, "A").as_deref(), Some("1"), "{once:?}");
        }
    }

    /// Found by fuzzing: the comment's look-alike in a person's value was brought up to date.
    #[test]
    fn a_line_of_a_value_is_no_comment_of_ours() {
        let text = "A='one\n# xtask: managed B=000000000000\ntwo'\nB=2\n";
        let once = set_managed(text, "PORT", "1");
        assert!(once.starts_with(text), "{once}");
        assert_eq!(managed_value(&once, "PORT").as_deref(), Some("1"));
        assert_eq!(remove_managed(&once, "PORT"), text);
    }

    proptest! {
        #[test]
        fn what_is_rendered_reads_back(value in "[^\\x00]{0,40}") {
            let text = format!("A={}\n", render_value(&value));
            prop_assert_eq!(&values(&text)["A"], &value, "{}", text);
        }

        #[test]
        fn dotenvy_reads_it_too(value in "[ -~\n\t\u{e9}]{0,40}") {
            let text = format!("A={}\n", render_value(&value));
            let read = dotenvy::from_read_iter(text.as_bytes()).next().unwrap().unwrap();
            prop_assert_eq!(read.1, value, "{}", text);
        }

        #[test]
        fn setting_twice_changes_no_byte(
            text in "([A-D]=[a-z0-9]{0,4}( # [a-z]{0,5})?\r?\n|# [a-z]{0,5}\n|\n){0,6}",
            name in "[A-F]", value in "[^\\x00]{0,12}",
        ) {
            let once = set_managed(&text, &name, &value);
            prop_assert_eq!(&set_managed(&once, &name, &value), &once);
            prop_assert_eq!(managed_value(&once, &name), Some(value));
            for other in parse(&text).unwrap() {
                if other.name != name {
                    prop_assert_eq!(get(&once, &other.name), get(&text, &other.name));
                }
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,100}|[A-Z=\"'$\\{\\}\\\\\n #]{0,60}") {
            let _ = parse(&text);
            let _ = set_managed(&text, "A", "b");
            let _ = remove_managed(&text, "A");
        }
    }
}
