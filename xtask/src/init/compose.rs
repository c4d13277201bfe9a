//! Services of a compose file. Pure.
//!
//! YAML is read as far as compose files use it: block and flow mappings and sequences, plain and quoted
//! scalars, comments. What is not understood (anchors' aliases, merges, tags) is not guessed at: the
//! service that has it says so.

/// A value, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// From 1.
    pub line: usize,
    /// What it is.
    pub value: Value,
}

/// A YAML value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Text, numbers and truths alike.
    Scalar(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in its order.
    Map(Vec<(String, Node)>),
    /// An alias, a merge or a tag.
    Unknown,
}

impl Node {
    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries().find(|(name, _)| name == key).map(|it| &it.1)
    }

    /// The entries of a mapping; none of anything else.
    pub fn entries(&self) -> impl Iterator<Item = &(String, Node)> {
        let entries = match &self.value {
            Value::Map(entries) => entries.as_slice(),
            _ => &[],
        };
        entries.iter()
    }

    /// The items of a sequence; none of anything else.
    #[must_use]
    pub fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// The text of a scalar.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(text) => Some(text),
            _ => None,
        }
    }

    fn is_known(&self) -> bool {
        match &self.value {
            Value::Unknown => false,
            Value::Scalar(_) => true,
            Value::List(items) => items.iter().all(Node::is_known),
            Value::Map(entries) => entries.iter().all(|(key, it)| key != "<<" && it.is_known()),
        }
    }
}

/// A port that a service publishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// On this machine.
    pub published: u16,
    /// The variable that says otherwise: `${NAME:-5432}`.
    pub variable: Option<String>,
    /// In the container.
    pub target: u16,
}

/// A service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// Where it stands, from 1.
    pub line: usize,
    /// Its image, where it has one.
    pub image: Option<String>,
    /// TCP ports that it publishes, and that are known.
    pub ports: Vec<Port>,
    /// Services that it starts after.
    pub depends_on: Vec<String>,
    /// The path of its HTTP health check, where it has one.
    pub health: Option<String>,
    /// Its environment, as far as it is literal.
    pub environment: Vec<(String, String)>,
    /// Whether all of it was understood.
    pub known: bool,
}

/// The services of a compose file.
///
/// # Errors
/// The line (from 1) that is no YAML as it is read here, and why.
pub fn services(text: &str) -> Result<Vec<Service>, (usize, String)> {
    let root = parse(text)?;
    let Some(services) = root.get("services") else {
        return Ok(Vec::new());
    };
    Ok(services
        .entries()
        .map(|(name, it)| service(name, it))
        .collect())
}

fn service(name: &str, node: &Node) -> Service {
    let text = |key: &str| node.get(key).and_then(Node::text).map(str::to_owned);
    let ports = node.get("ports");
    let published: Vec<Option<Port>> =
        ports.map_or_else(Vec::new, |it| it.items().iter().map(port).collect());
    let relevant = ["image", "ports", "depends_on", "environment", "<<"];
    let understood = |key: &str| node.get(key).is_none_or(|it| key != "<<" && it.is_known());
    let depends_on = node.get("depends_on").map_or_else(Vec::new, |it| {
        let listed = it.items().iter().filter_map(Node::text).map(str::to_owned);
        listed
            .chain(it.entries().map(|(name, _)| name.clone()))
            .collect()
    });
    let environment = node.get("environment").map_or_else(Vec::new, |it| {
        let listed = it
            .items()
            .iter()
            .filter_map(|it| it.text()?.split_once('='));
        let mapped = it
            .entries()
            .filter_map(|(key, it)| Some((key.as_str(), it.text()?)));
        listed
            .chain(mapped)
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    });
    Service {
        name: name.to_owned(),
        line: node.line,
        image: text("image"),
        known: relevant.into_iter().all(understood) && published.iter().all(Option::is_some),
        ports: published
            .into_iter()
            .flatten()
            .filter(|it| it.published != 0)
            .collect(),
        depends_on,
        health: node
            .get("healthcheck")
            .and_then(|it| it.get("test"))
            .and_then(health),
        environment,
    }
}

/// A port in its short or long form; `None` for a range or what is not understood. One that is not
/// published has the number 0.
fn port(node: &Node) -> Option<Port> {
    if let Value::Map(_) = node.value {
        let number = |key: &str| node.get(key).and_then(Node::text);
        let target = number("target")?.parse().ok()?;
        return match number("published") {
            None => Some(Port {
                published: 0,
                variable: None,
                target,
            }),
            Some(text) => {
                let (published, variable) = default(text)?;
                Some(Port {
                    published,
                    variable,
                    target,
                })
            }
        };
    }
    let text = node.text()?;
    let text = text.strip_suffix("/tcp").unwrap_or(text);
    if text.ends_with("/udp") {
        return Some(Port {
            published: 0,
            variable: None,
            target: 0,
        });
    }
    // The colon of `${NAME:-5432}` parts nothing.
    let mut parts = vec![String::new()];
    let mut depth = 0_usize;
    for c in text.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ':' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(last) = parts.last_mut() {
            last.push(c);
        }
    }
    let target = default(parts.last()?)?.0;
    if parts.len() == 1 {
        return Some(Port {
            published: 0,
            variable: None,
            target,
        });
    }
    let (published, variable) = default(parts.get(parts.len() - 2)?)?;
    Some(Port {
        published,
        variable,
        target,
    })
}

/// `5432`, `${NAME:-5432}` or `${NAME-5432}`.
fn default(text: &str) -> Option<(u16, Option<String>)> {
    let Some(inner) = text.strip_prefix("${").and_then(|it| it.strip_suffix('}')) else {
        return Some((text.parse().ok()?, None));
    };
    let (name, value) = inner.split_once(":-").or_else(|| inner.split_once('-'))?;
    Some((value.parse().ok()?, Some(name.to_owned())))
}

/// The path in `curl -f http://localhost:8080/health`, as a string or a list.
fn health(node: &Node) -> Option<String> {
    let words = match &node.value {
        Value::Scalar(text) => text.clone(),
        _ => node
            .items()
            .iter()
            .filter_map(Node::text)
            .collect::<Vec<_>>()
            .join(" "),
    };
    let rest = words.split_once("http://")?.1;
    let url = rest.split([' ', '"', '\'', '|', ';']).next()?;
    Some(
        url.split_once('/')
            .map_or_else(|| "/".to_owned(), |(_, path)| format!("/{path}")),
    )
}

/// A line that says something.
struct Line<'a> {
    number: usize,
    indent: usize,
    text: &'a str,
}

/// A document.
///
/// # Errors
/// The line (from 1) that is not understood, and why.
pub fn parse(text: &str) -> Result<Node, (usize, String)> {
    let mut lines = Vec::new();
    for (index, raw) in text.lines().enumerate() {
        let content = without_comment(raw).trim_end();
        if content.trim().is_empty() || content.starts_with('%') {
            continue;
        }
        if content == "---" || content == "..." {
            if lines.is_empty() {
                continue;
            }
            break; // Of several documents, the first.
        }
        let trimmed = content.trim_start_matches(' ');
        if trimmed.starts_with('\t') {
            return Err((index + 1, "a tab at the start of a line".to_owned()));
        }
        lines.push(Line {
            number: index + 1,
            indent: content.len() - trimmed.len(),
            text: trimmed,
        });
    }
    let mut reader = Reader { lines, at: 0 };
    let Some(first) = reader.lines.first() else {
        return Ok(Node {
            line: 1,
            value: Value::Map(Vec::new()),
        });
    };
    let indent = first.indent;
    let node = reader.block(indent, 0)?;
    match reader.lines.get(reader.at) {
        Some(line) => Err((line.number, "the indentation fits no line above".to_owned())),
        None => Ok(node),
    }
}

/// How deep values may lie in each other.
const DEEPEST: usize = 64;

struct Reader<'a> {
    lines: Vec<Line<'a>>,
    at: usize,
}

impl<'a> Reader<'a> {
    fn block(&mut self, indent: usize, depth: usize) -> Result<Node, (usize, String)> {
        let Some(first) = self.lines.get(self.at) else {
            return Ok(Node {
                line: 0,
                value: Value::Scalar(String::new()),
            });
        };
        let line = first.number;
        if depth > DEEPEST {
            return Err((line, "too many values lie in each other".to_owned()));
        }
        if is_item(first.text) {
            return self.list(indent, depth);
        }
        if key_of(first.text).is_none() {
            let text = first.text;
            self.at += 1;
            return self.scalar(text, line, indent.saturating_sub(1));
        }
        let mut entries: Vec<(String, Node)> = Vec::new();
        while let Some(next) = self.lines.get(self.at).filter(|it| it.indent == indent) {
            let (number, text) = (next.number, next.text);
            if is_item(text) {
                break;
            }
            let Some((key, rest)) = key_of(text) else {
                return Err((
                    number,
                    "neither `key: value` nor an item of a list".to_owned(),
                ));
            };
            self.at += 1;
            let mut node = self.value(rest, number, indent, depth)?;
            node.line = number;
            if key == "<<" {
                node.value = Value::Unknown;
            }
            entries.push((key, node));
        }
        Ok(Node {
            line,
            value: Value::Map(entries),
        })
    }

    fn list(&mut self, indent: usize, depth: usize) -> Result<Node, (usize, String)> {
        let mut items = Vec::new();
        let mut line = 0;
        while let Some(next) = self
            .lines
            .get(self.at)
            .filter(|it| it.indent == indent && is_item(it.text))
        {
            let (number, text) = (next.number, next.text);
            line = if line == 0 { number } else { line };
            let rest = text[1..].trim_start();
            if !rest.is_empty() && (key_of(rest).is_some() || is_item(rest)) {
                // What follows the dash is a block of its own, as deep as it stands.
                let inner = indent + (text.len() - rest.len());
                self.lines[self.at] = Line {
                    number,
                    indent: inner,
                    text: rest,
                };
                items.push(self.block(inner, depth + 1)?);
            } else {
                self.at += 1;
                items.push(self.value(rest, number, indent, depth)?);
            }
        }
        Ok(Node {
            line,
            value: Value::List(items),
        })
    }

    /// What stands after a key or a dash, or below it.
    fn value(
        &mut self,
        rest: &'a str,
        number: usize,
        indent: usize,
        depth: usize,
    ) -> Result<Node, (usize, String)> {
        let rest = match rest.strip_prefix('&') {
            Some(anchor) => anchor
                .split_once(' ')
                .map_or("", |(_, rest)| rest.trim_start()),
            None => rest,
        };
        if !rest.is_empty() {
            return self.scalar(rest, number, indent);
        }
        match self.lines.get(self.at) {
            Some(next) if next.indent > indent => {
                let indent = next.indent;
                self.block(indent, depth + 1)
            }
            // A list may stand as deep as the key that it belongs to.
            Some(next) if next.indent == indent && is_item(next.text) && !self.in_list(number) => {
                self.list(indent, depth + 1)
            }
            _ => Ok(Node {
                line: number,
                value: Value::Scalar(String::new()),
            }),
        }
    }

    /// Whether the line of this number is itself an item.
    fn in_list(&self, number: usize) -> bool {
        self.lines
            .iter()
            .any(|it| it.number == number && is_item(it.text))
    }

    fn scalar(
        &mut self,
        rest: &str,
        number: usize,
        indent: usize,
    ) -> Result<Node, (usize, String)> {
        let mut text = rest.to_owned();
        let deeper = |it: &&Line<'_>| it.indent > indent;
        if text.starts_with(['|', '>']) {
            text.clear();
        } else if text.starts_with(['[', '{', '"', '\'']) {
            while !is_closed(&text) {
                let Some(next) = self.lines.get(self.at) else {
                    return Err((number, "what is opened here is never closed".to_owned()));
                };
                text.push(' ');
                text.push_str(next.text);
                self.at += 1;
            }
            let flow = Flow {
                text: &text,
                at: 0,
                line: number,
            };
            let value = flow
                .whole()
                .ok_or_else(|| (number, "brackets or quotes that do not fit".to_owned()))?;
            return Ok(located(value, number));
        }
        // What is deeper and no key of its own goes on with the text.
        while let Some(next) = self.lines.get(self.at).filter(deeper) {
            text.push('\n');
            text.push_str(next.text);
            self.at += 1;
        }
        let value = if text.starts_with(['*', '!']) {
            Value::Unknown
        } else {
            Value::Scalar(text)
        };
        Ok(Node {
            line: number,
            value,
        })
    }
}

fn located(value: Value, line: usize) -> Node {
    Node { line, value }
}

fn is_item(text: &str) -> bool {
    text == "-" || text.starts_with("- ")
}

/// `key: rest`; quotes around the key are not part of it.
fn key_of(text: &str) -> Option<(String, &str)> {
    if text.starts_with(['"', '\'']) {
        let (key, end) = quoted(text)?;
        let rest = text[end..].strip_prefix(':')?;
        return (rest.is_empty() || rest.starts_with(' ')).then(|| (key, rest.trim()));
    }
    if text.starts_with(['[', '{', '|', '>', '&', '*', '!', '#']) {
        return None;
    }
    let at = text
        .find(": ")
        .or_else(|| text.strip_suffix(':').map(str::len))?;
    Some((text[..at].trim_end().to_owned(), text[at + 1..].trim()))
}

/// Where the quotes end that a text begins with: one past the closing one.
fn quoted_end(text: &str) -> Option<usize> {
    let quote = text.chars().next()?;
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c == '\\' && quote == '"' {
            chars.next();
        } else if c == quote {
            // In single quotes, two of them are one.
            if quote == '\'' && chars.next_if(|it| it.1 == quote).is_some() {
                continue;
            }
            return Some(at + 1);
        }
    }
    None
}

/// The text in the quotes that a text begins with, and one past the closing one.
fn quoted(text: &str) -> Option<(String, usize)> {
    let end = quoted_end(text)?;
    let inner = text.get(1..end - 1)?;
    if text.starts_with('\'') {
        return Some((inner.replace("''", "'"), end));
    }
    let mut out = String::new();
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        out.push(if c == '\\' { escaped(&mut chars)? } else { c });
    }
    Some((out, end))
}

/// What stands behind a backslash (YAML 1.2.2, section 5.7); `None` for what YAML does not have.
fn escaped(chars: &mut std::str::Chars<'_>) -> Option<char> {
    let digits = match chars.next()? {
        '0' => return Some('\0'),
        'a' => return Some('\u{7}'),
        'b' => return Some('\u{8}'),
        't' | '\t' => return Some('\t'),
        'n' => return Some('\n'),
        'v' => return Some('\u{b}'),
        'f' => return Some('\u{c}'),
        'r' => return Some('\r'),
        'e' => return Some('\u{1b}'),
        c @ (' ' | '"' | '/' | '\\') => return Some(c),
        'N' => return Some('\u{85}'),
        '_' => return Some('\u{a0}'),
        'L' => return Some('\u{2028}'),
        'P' => return Some('\u{2029}'),
        'x' => 2,
        'u' => 4,
        'U' => 8,
        _ => return None,
    };
    let code: String = chars.by_ref().take(digits).collect();
    let whole = code.len() == digits && code.bytes().all(|it| it.is_ascii_hexdigit());
    u32::from_str_radix(&code, 16)
        .ok()
        .filter(|_| whole)
        .and_then(char::from_u32)
}

/// Whether a quote may open after this character.
fn opens_after(before: char) -> bool {
    matches!(before, ' ' | '[' | '{' | ',' | ':')
}

/// The line without its comment: from a `#` at its start or after a blank, outside of quotes.
fn without_comment(line: &str) -> &str {
    let mut before = ' ';
    let mut at = 0;
    while let Some(c) = line[at..].chars().next() {
        match c {
            '"' | '\'' if opens_after(before) => match quoted_end(&line[at..]) {
                Some(end) => {
                    at += end;
                    before = c;
                    continue;
                }
                None => return line, // It goes on in the next line.
            },
            '#' if before == ' ' || before == '\t' => return &line[..at],
            _ => {}
        }
        before = c;
        at += c.len_utf8();
    }
    line
}

/// Whether brackets and quotes that a flow value opens are closed.
fn is_closed(text: &str) -> bool {
    let (mut depth, mut before, mut at) = (0_i32, ' ', 0);
    while let Some(c) = text[at..].chars().next() {
        match c {
            '"' | '\'' if opens_after(before) => match quoted_end(&text[at..]) {
                Some(end) => {
                    at += end;
                    before = c;
                    continue;
                }
                None => return false,
            },
            '[' | '{' => depth += 1,
            ']' | '}' => depth -= 1,
            _ => {}
        }
        before = c;
        at += c.len_utf8();
    }
    depth <= 0
}

/// A value in brackets, braces or quotes.
struct Flow<'a> {
    text: &'a str,
    at: usize,
    /// Where it begins: what is in it is said to stand there, too.
    line: usize,
}

impl Flow<'_> {
    fn whole(mut self) -> Option<Value> {
        let value = self.value(0)?;
        self.blank();
        (self.at == self.text.len()).then_some(value)
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn blank(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn take(&mut self, c: char) -> bool {
        self.blank();
        let there = self.rest().starts_with(c);
        if there {
            self.at += c.len_utf8();
        }
        there
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        if depth > DEEPEST {
            return None;
        }
        if self.take('[') {
            let mut items = Vec::new();
            while !self.take(']') {
                items.push(located(self.value(depth + 1)?, self.line));
                if !self.take(',') && !self.rest().starts_with(']') {
                    return None;
                }
            }
            return Some(Value::List(items));
        }
        if self.take('{') {
            let mut entries = Vec::new();
            while !self.take('}') {
                let Value::Scalar(key) = self.word(&[':', ',', '}'])? else {
                    return None;
                };
                let value = if self.take(':') {
                    self.value(depth + 1)?
                } else {
                    Value::Scalar(String::new())
                };
                entries.push((key, located(value, self.line)));
                if !self.take(',') && !self.rest().starts_with('}') {
                    return None;
                }
            }
            return Some(Value::Map(entries));
        }
        self.word(&[',', ']', '}'])
    }

    /// A scalar up to one of these, or in quotes. The colon within a plain word ends it before a blank.
    fn word(&mut self, ends: &[char]) -> Option<Value> {
        self.blank();
        if self.rest().starts_with(['"', '\'']) {
            let (text, end) = quoted(self.rest())?;
            self.at += end;
            return Some(Value::Scalar(text));
        }
        let rest = self.rest();
        let mut braces = 0_usize;
        let end = rest
            .char_indices()
            .find(|(at, c)| {
                // `${NAME:-1}` is one word.
                if *c == '{' && rest[..*at].ends_with('$') {
                    braces += 1;
                    return false;
                }
                if *c == '}' && braces > 0 {
                    braces -= 1;
                    return false;
                }
                let colon = *c == ':' && !rest[at + 1..].starts_with([' ', '[', '{', '"']);
                braces == 0 && ends.contains(c) && !colon
            })
            .map_or(rest.len(), |it| it.0);
        let word = rest[..end].trim().to_owned();
        if end == 0 {
            return None;
        }
        self.at += end;
        Some(if word.starts_with(['*', '!']) {
            Value::Unknown
        } else {
            Value::Scalar(word)
        })
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use proptest::prelude::*;

    use super::*;

    const FILE: &str = r#"
# Everything local.
version: "3.9"
x-common: &common
  restart: unless-stopped
services:
  db:
    image: ghcr.io/pgmq/pg17-pgmq:v1.5.0   # with queues
    ports:
      - "${PG_PORT:-5433}:5432"
    environment:
      POSTGRES_DB: shop
      POSTGRES_PASSWORD: "a#b: c"
    healthcheck: { test: ["CMD-SHELL", "pg_isready -U shop"], interval: 2s }
  cache:
    image: 'redis:7'
    ports: ["127.0.0.1:6379:6379", "9000/udp"]
    command: >
      redis-server
      --save ""
  web:
    build: .
    depends_on:
      db: { condition: service_healthy }
      cache:
        condition: service_started
    ports:
    - target: 80
      published: 8080
      protocol: tcp
    healthcheck:
      test: curl -f http://localhost:80/healthz || exit 1
    environment:
      - MODE=dev
      - EMPTY=
  odd:
    <<: *common
    ports:
      - "3000-3005:3000-3005"
volumes:
  data:
"#;

    #[test]
    fn a_usual_file_is_understood() {
        let shown: String = services(FILE)
            .unwrap()
            .into_iter()
            .map(|it| {
                let ports: Vec<String> = it
                    .ports
                    .iter()
                    .map(|it| format!("{}({:?})>{}", it.published, it.variable, it.target))
                    .collect();
                format!(
                    "{}:{} {:?} {ports:?} after {:?} health {:?} known {}\n",
                    it.line, it.name, it.image, it.depends_on, it.health, it.known
                )
            })
            .collect();
        expect![[r#"
            7:db Some("ghcr.io/pgmq/pg17-pgmq:v1.5.0") ["5433(Some(\"PG_PORT\"))>5432"] after [] health None known true
            15:cache Some("redis:7") ["6379(None)>6379"] after [] health None known true
            21:web None ["8080(None)>80"] after ["db", "cache"] health Some("/healthz") known true
            36:odd None [] after [] health None known false
        "#]]
        .assert_eq(&shown);
        let db = &services(FILE).unwrap()[0];
        assert_eq!(
            db.environment,
            [
                ("POSTGRES_DB".to_owned(), "shop".to_owned()),
                ("POSTGRES_PASSWORD".to_owned(), "a#b: c".to_owned())
            ]
        );
    }

    #[test]
    fn what_is_no_yaml_is_placed() {
        for (text, line) in [
            ("services:\n  a: [1, 2\n", 2),
            ("services:\n\ta: 1\n", 2),
            ("services:\n  a: 1\n  just words\n", 3),
            ("services:\n    a:\n      b: 1\n  c: 1\n", 4),
        ] {
            assert_eq!(services(text).unwrap_err().0, line, "{text}");
        }
    }

    #[test]
    fn escapes_are_yamls() {
        let node = parse(r#""a\tb": "\x41\u00e9\n\/\U0001F600""#).unwrap();
        assert_eq!(
            node.get("a\tb").and_then(Node::text),
            Some("A\u{e9}\n/\u{1f600}")
        );
        assert!(parse(r#"a: "\q""#).is_err());
        assert!(parse(r#"a: "\ud800""#).is_err());
    }

    /// A warning about it says where.
    #[test]
    fn what_stands_in_braces_has_a_line() {
        let found = services("# c\nservices: {a: {image: x}, b: {}}\n").unwrap();
        assert_eq!([found[0].line, found[1].line], [2, 2]);
    }

    fn value() -> impl Strategy<Value = serde_json::Value> {
        let leaf = "[a-z:#'\"{}\\[\\], \\\\-]{0,8}".prop_map(serde_json::Value::from);
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
                proptest::collection::btree_map("[a-z]{1,4}", inner, 0..4).prop_map(|it| {
                    serde_json::Value::from(it.into_iter().collect::<serde_json::Map<_, _>>())
                }),
            ]
        })
    }

    fn same(node: &Value, json: &serde_json::Value) -> bool {
        match (node, json) {
            (Value::Scalar(a), serde_json::Value::String(b)) => a == b,
            (Value::List(a), serde_json::Value::Array(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(&a.value, b))
            }
            (Value::Map(a), serde_json::Value::Object(b)) => {
                a.len() == b.len()
                    && a.iter()
                        .all(|(key, it)| b.get(key).is_some_and(|b| same(&it.value, b)))
            }
            _ => false,
        }
    }

    /// The value as block YAML, its texts in double quotes.
    fn block(json: &serde_json::Value, indent: usize) -> String {
        let pad = " ".repeat(indent);
        match json {
            serde_json::Value::Array(items) if !items.is_empty() => items
                .iter()
                .map(|it| match it {
                    serde_json::Value::Object(map) if !map.is_empty() => {
                        let text = block(it, indent + 2);
                        format!("{pad}- {}", &text[indent + 2..])
                    }
                    serde_json::Value::Array(list) if !list.is_empty() => {
                        format!("{pad}-\n{}", block(it, indent + 2))
                    }
                    _ => format!("{pad}- {it}\n"),
                })
                .collect(),
            serde_json::Value::Object(map) if !map.is_empty() => map
                .iter()
                .map(|(key, it)| match it {
                    serde_json::Value::Array(list) if !list.is_empty() => {
                        format!("{pad}{key}:\n{}", block(it, indent))
                    }
                    serde_json::Value::Object(map) if !map.is_empty() => {
                        format!("{pad}{key}:\n{}", block(it, indent + 3))
                    }
                    _ => format!("{pad}{key}: {it}   # {key}: x\n"),
                })
                .collect(),
            _ => format!("{pad}{json}\n"),
        }
    }

    proptest! {
        #[test]
        fn json_is_read_as_what_it_is(json in value()) {
            let text = format!("services: {json}\n");
            let node = parse(&text).unwrap();
            prop_assert!(same(&node.get("services").unwrap().value, &json), "{text}\n{node:?}");
        }

        #[test]
        fn blocks_are_read_as_what_they_are(json in value()) {
            let text = block(&serde_json::json!({"services": json}), 0);
            let node = parse(&text).map_err(|it| TestCaseError::fail(format!("{text}\n{it:?}")))?;
            prop_assert!(same(&node.get("services").unwrap().value, &json), "{text}\n{node:?}");
        }

        #[test]
        fn no_text_brings_it_down(text in "[a-z:\\-\\[\\]{}\"'#&*!|> \n\t]{0,80}") {
            let _ = services(&text);
        }
    }
}
