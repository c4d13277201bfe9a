//! TOML values that know where they stand, and files that know their lines.
//!
//! A document is turned into these once and then dropped: they are a fraction of its size, and can be
//! shared between threads.

use std::fmt;
use std::path::{Path, PathBuf};

/// A range of bytes in a file. Task files have a bound (see [`super::parse::LIMIT`]), so 32 bits do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The first byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl From<std::ops::Range<usize>> for Span {
    fn from(range: std::ops::Range<usize>) -> Span {
        let narrow = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Span {
            start: narrow(range.start),
            end: narrow(range.end),
        }
    }
}

impl Span {
    /// As a range to slice the text with.
    #[must_use]
    pub fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// A value, and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    /// Of a string: with its quotes. Of a table with a header: of the header.
    pub span: Span,
    /// What it is.
    pub data: Data,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// A string, decoded.
    String(Box<str>),
    /// An integer.
    Integer(i64),
    /// A float.
    Float(f64),
    /// A boolean.
    Boolean(bool),
    /// A date or time, as it is written.
    Datetime(Box<str>),
    /// An array; also of tables.
    Array(Vec<Value>),
    /// A table of any form, in the order of the file.
    Table(Vec<Entry>),
}

/// A key of a table and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key, decoded.
    pub key: Box<str>,
    /// Where the key stands (the last part of a dotted key or of a header).
    pub key_span: Span,
    /// Its value.
    pub value: Value,
}

impl Value {
    /// A string's text.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match &self.data {
            Data::String(text) => Some(text),
            _ => None,
        }
    }

    /// A boolean.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self.data {
            Data::Boolean(it) => Some(it),
            _ => None,
        }
    }

    /// An array's elements; of anything else none.
    #[must_use]
    pub fn elements(&self) -> &[Value] {
        match &self.data {
            Data::Array(elements) => elements,
            _ => &[],
        }
    }

    /// A table's entries; of anything else none.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        match &self.data {
            Data::Table(entries) => entries,
            _ => &[],
        }
    }

    /// Whether it is a table.
    #[must_use]
    pub fn is_table(&self) -> bool {
        matches!(self.data, Data::Table(_))
    }

    /// A table's entry of this key.
    #[must_use]
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| &*entry.key == key)
    }

    /// A table's value of this key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The same as JSON, without the places.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match &self.data {
            Data::String(text) | Data::Datetime(text) => Json::from(&**text),
            Data::Integer(it) => Json::from(*it),
            Data::Float(it) => Json::from(*it),
            Data::Boolean(it) => Json::from(*it),
            Data::Array(elements) => elements.iter().map(Value::to_json).collect(),
            Data::Table(entries) => entries
                .iter()
                .map(|entry| (entry.key.to_string(), entry.value.to_json()))
                .collect(),
        }
    }

    /// A value that stands in no file.
    pub(crate) fn made(data: Data) -> Value {
        Value {
            span: Span::default(),
            data,
        }
    }
}

/// As one would write it in a line of TOML.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.data {
            Data::String(text) => write!(f, "{}", toml_edit::Value::from(&**text)),
            Data::Integer(it) => write!(f, "{it}"),
            Data::Float(it) => write!(f, "{it}"),
            Data::Boolean(it) => write!(f, "{it}"),
            Data::Datetime(text) => f.write_str(text),
            Data::Array(elements) => {
                f.write_str("[")?;
                for (n, element) in elements.iter().enumerate() {
                    write!(f, "{}{element}", if n == 0 { "" } else { ", " })?;
                }
                f.write_str("]")
            }
            Data::Table(entries) if entries.is_empty() => f.write_str("{}"),
            Data::Table(entries) => {
                f.write_str("{ ")?;
                for (n, entry) in entries.iter().enumerate() {
                    let key = toml_edit::Key::new(&*entry.key);
                    let comma = if n == 0 { "" } else { ", " };
                    write!(f, "{comma}{} = {}", key.display_repr(), entry.value)?;
                }
                f.write_str(" }")
            }
        }
    }
}

/// A file that was read.
#[derive(Debug)]
pub struct Source {
    /// Where it is: absolute, with no link in its directory.
    pub path: PathBuf,
    /// As it is shown: below the workspace's root, with `/`; elsewhere absolute. What cargo-make
    /// itself brings is `cargo-make:NAME`.
    pub shown: String,
    /// What it says.
    pub text: String,
    lines: Vec<u32>,
}

/// Line and column, both from 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct Position {
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

impl Source {
    pub(crate) fn new(path: PathBuf, shown: String, text: String) -> Source {
        let starts = text.bytes().zip(1u32..);
        let lines = std::iter::once(0)
            .chain(starts.filter_map(|(byte, next)| (byte == b'\n').then_some(next)))
            .collect();
        Source {
            path,
            shown,
            text,
            lines,
        }
    }

    /// Where a byte offset is.
    #[must_use]
    pub fn position(&self, offset: u32) -> Position {
        let line = self.lines.partition_point(|start| *start <= offset).max(1);
        let start = self.lines[line - 1] as usize;
        let before = self.text.get(start..offset as usize).unwrap_or("");
        Position {
            line: u32::try_from(line).unwrap_or(u32::MAX),
            column: u32::try_from(before.chars().count() + 1).unwrap_or(u32::MAX),
        }
    }

    /// `file:line:column`.
    #[must_use]
    pub fn place(&self, span: Span) -> String {
        let Position { line, column } = self.position(span.start);
        format!("{}:{line}:{column}", self.shown)
    }

    /// A line's text, from 1, without its end.
    #[must_use]
    pub fn line(&self, number: u32) -> &str {
        let Some(start) = number
            .checked_sub(1)
            .and_then(|index| self.lines.get(index as usize))
        else {
            return "";
        };
        self.text[*start as usize..].lines().next().unwrap_or("")
    }

    /// The line that a byte stands in, from 0.
    #[must_use]
    pub fn line_at(&self, offset: usize) -> usize {
        let reached = |start: &u32| *start as usize <= offset;
        self.lines.partition_point(reached).saturating_sub(1)
    }

    /// Where a line, from 0, begins; the text's end for one that is not there.
    #[must_use]
    pub fn line_start(&self, line: usize) -> usize {
        let start = self.lines.get(line).map(|start| *start as usize);
        start.unwrap_or(self.text.len())
    }

    /// Whether it is one of the files that cargo-make itself brings.
    #[must_use]
    pub fn is_internal(&self) -> bool {
        self.path.as_os_str().is_empty()
    }

    /// The directory that it is in.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }
}
