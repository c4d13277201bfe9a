//! One file: read with a bound, parsed as cargo-make's TOML 1.0, typed, with the place of everything.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml_edit::{Document, InlineTable, Item, RawString, TableLike};

use super::schema::{self, Record, Shape, UnknownKey};
use super::value::{Data, Entry, Source, Span, Value};
use super::{Problem, ProblemKind};

/// No task file that people write is larger, in bytes. A larger one is refused before it is parsed.
pub const LIMIT: u64 = 4 << 20;

/// One task file, as it stands: nothing merged.
#[derive(Debug)]
pub struct TaskFile {
    /// Its text and lines.
    pub source: Arc<Source>,
    /// All that cargo-make takes of it, in the file's order; unknown keys left out.
    pub root: Value,
    /// What it extends, the least first: a later one wins, and the file itself over all.
    pub extends: Vec<ExtendRef>,
    /// The keys that cargo-make ignores.
    pub unknown: Vec<UnknownKey>,
}

/// One file that a file extends.
#[derive(Clone, Debug, PartialEq)]
pub struct ExtendRef {
    /// As it is written.
    pub path: String,
    /// Where the path stands.
    pub span: Span,
    /// A missing file is then no error.
    pub optional: bool,
    /// What the path is relative to.
    pub relative: RelativeTo,
    /// Where `relative` stands, if it has a value that cargo-make does not know (and takes for
    /// `makefile`, with a warning).
    pub unknown_relative: Option<Span>,
}

/// What an `extend` is relative to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RelativeTo {
    /// The file that extends (the default).
    #[default]
    Makefile,
    /// The nearest directory upwards with `.git`.
    Git,
    /// The nearest directory upwards with `Cargo.toml`.
    Crate,
    /// The nearest directory above the crate's with `Cargo.toml`.
    Workspace,
}

impl TaskFile {
    /// Reads and parses a file. `shown` is what places call it.
    ///
    /// # Errors
    /// When it cannot be read, is too large, not UTF-8, malformed, or has a value that cargo-make
    /// does not take.
    pub fn read(path: &Path, shown: &str) -> Result<TaskFile, Problem> {
        let bytes = read_bounded(path, shown)?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let valid = String::from_utf8_lossy(valid).into_owned();
            let end = valid.len();
            let source = Source::new(path.to_path_buf(), shown.to_owned(), valid);
            Problem::at(
                ProblemKind::NotUtf8,
                &Arc::new(source),
                Span::from(end..end),
                "this byte is not UTF-8",
            )
            .hint("save the file as UTF-8")
        })?;
        TaskFile::parse(path.to_path_buf(), shown.to_owned(), text)
    }

    /// Parses a text. Without a path it is one of cargo-make's own.
    ///
    /// # Errors
    /// As [`TaskFile::read`].
    pub fn parse(path: PathBuf, shown: String, text: String) -> Result<TaskFile, Problem> {
        let source = Arc::new(Source::new(path, shown, text));
        let document = Document::parse(source.text.as_str()).map_err(|error| {
            let span = error.span().unwrap_or(0..0);
            let message = error.message().lines().collect::<Vec<_>>().join(", ");
            Problem::at(ProblemKind::Malformed, &source, span.into(), message)
                .hint("mend the TOML there; cargo-make refuses the whole file")
        })?;
        let mut reader = Reader {
            text: &source.text,
            escapes: source.text.contains("\\e") || source.text.contains("\\x"),
            too_new: None,
        };
        let root = Value {
            span: Span::default(),
            data: Data::Table(reader.table(document.as_table())),
        };
        if let Some((span, what)) = reader.too_new {
            return Err(Problem::at(
                ProblemKind::Malformed,
                &source,
                span,
                format!("{what}: cargo-make reads TOML 1.0, which has no such thing"),
            )
            .hint("write it in the older way"));
        }
        drop(document);
        let mut unknown = Vec::new();
        static FILE: Shape = Shape::Record(&schema::FILE);
        let root = schema::take(root, &FILE, &mut Vec::new(), &mut unknown).map_err(|error| {
            Problem::at(
                ProblemKind::WrongType,
                &source,
                error.span,
                format!("expected {}", error.expected),
            )
            .hint("mend the value; cargo-make refuses the whole file")
        })?;
        let extends = extends(&root);
        Ok(TaskFile {
            source,
            root,
            extends,
            unknown,
        })
    }

    /// The entries of a top-level table: `tasks`, `env`, `config`, `plugins`.
    #[must_use]
    pub fn section(&self, name: &str) -> &[Entry] {
        self.root.get(name).map_or(&[], Value::entries)
    }

    /// The tasks that this file itself defines or adds to.
    #[must_use]
    pub fn tasks(&self) -> &[Entry] {
        self.section("tasks")
    }
}

fn read_bounded(path: &Path, shown: &str) -> Result<Vec<u8>, Problem> {
    let failed = |error: std::io::Error| {
        Problem::of_file(
            ProblemKind::Unreadable,
            path,
            shown,
            format!("failed to read it: {error}"),
        )
        .hint("see that the file can be read")
    };
    let file = File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(LIMIT + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > LIMIT {
        return Err(Problem::of_file(
            ProblemKind::TooLarge,
            path,
            shown,
            format!(
                "it has more than {} MiB, which is no task file",
                LIMIT >> 20
            ),
        )
        .hint("see what is in it; `extend` splits tasks over files"));
    }
    Ok(bytes)
}

fn extends(root: &Value) -> Vec<ExtendRef> {
    let one = |value: &Value| -> Option<ExtendRef> {
        let path = value.get("path").unwrap_or(value);
        let relative = value.get("relative");
        let known = relative.map(|it| match it.as_str() {
            Some("git") => Some(RelativeTo::Git),
            Some("crate") => Some(RelativeTo::Crate),
            Some("workspace") => Some(RelativeTo::Workspace),
            Some("makefile") => Some(RelativeTo::Makefile),
            _ => None,
        });
        Some(ExtendRef {
            path: path.as_str()?.to_owned(),
            span: path.span,
            optional: value.get("optional").and_then(Value::as_bool) == Some(true),
            relative: known.flatten().unwrap_or_default(),
            unknown_relative: match known {
                Some(None) => relative.map(|it| it.span),
                _ => None,
            },
        })
    };
    match root.get("extend") {
        None => Vec::new(),
        Some(list) if !list.elements().is_empty() => {
            list.elements().iter().filter_map(one).collect()
        }
        Some(value) => one(value).into_iter().collect(),
    }
}

/// Turns a document into [`Value`]s, and notes what TOML 1.0 does not have.
struct Reader<'a> {
    text: &'a str,
    /// Whether the text has anything that looks like a newer escape.
    escapes: bool,
    too_new: Option<(Span, &'static str)>,
}

impl Reader<'_> {
    fn table(&mut self, table: &dyn TableLike) -> Vec<Entry> {
        let mut entries = Vec::with_capacity(table.len());
        for (name, item) in table.iter() {
            let key_span = table
                .key(name)
                .and_then(toml_edit::Key::span)
                .unwrap_or(0..0);
            if self.escapes {
                self.look_at_escapes(&key_span);
            }
            if let Some(value) = self.item(item) {
                entries.push(Entry {
                    key: name.into(),
                    key_span: key_span.into(),
                    value,
                });
            }
        }
        entries
    }

    fn item(&mut self, item: &Item) -> Option<Value> {
        let span = item.span().unwrap_or(0..0).into();
        let data = match item {
            Item::None => return None,
            Item::Value(value) => return Some(self.value(value)),
            Item::Table(table) => Data::Table(self.table(table)),
            Item::ArrayOfTables(tables) => Data::Array(
                tables
                    .iter()
                    .map(|table| Value {
                        span: table.span().unwrap_or(0..0).into(),
                        data: Data::Table(self.table(table)),
                    })
                    .collect(),
            ),
        };
        Some(Value { span, data })
    }

    fn value(&mut self, value: &toml_edit::Value) -> Value {
        use toml_edit::Value as Toml;
        let range = value.span().unwrap_or(0..0);
        let data = match value {
            Toml::String(text) => {
                if self.escapes {
                    self.look_at_escapes(&range);
                }
                Data::String(text.value().as_str().into())
            }
            Toml::Integer(it) => Data::Integer(*it.value()),
            Toml::Float(it) => Data::Float(*it.value()),
            Toml::Boolean(it) => Data::Boolean(*it.value()),
            Toml::Datetime(it) => Data::Datetime(it.value().to_string().into()),
            Toml::Array(array) => Data::Array(array.iter().map(|it| self.value(it)).collect()),
            Toml::InlineTable(table) => {
                self.look_at_inline(table, &range);
                Data::Table(self.table(table))
            }
        };
        Value {
            span: range.into(),
            data,
        }
    }

    /// Newlines and a last comma in inline tables came with TOML 1.1.
    fn look_at_inline(&mut self, table: &InlineTable, range: &std::ops::Range<usize>) {
        if self.too_new.is_some() || !self.text[range.clone()].contains(['\n', ',']) {
            return;
        }
        if table.trailing_comma() {
            self.too_new = Some((range.clone().into(), "a comma before `}`"));
        }
        if !self.text[range.clone()].contains('\n') {
            return;
        }
        let text = self.text;
        let broken = |raw: Option<&RawString>| {
            raw.and_then(RawString::span)
                .and_then(|span| text.get(span))
                .is_some_and(|blank| blank.contains('\n'))
        };
        let mut found = broken(Some(table.trailing()));
        for (name, item) in TableLike::iter(table) {
            if let Some(key) = TableLike::key(table, name) {
                for decor in [key.leaf_decor(), key.dotted_decor()] {
                    found |= broken(decor.prefix()) || broken(decor.suffix());
                }
            }
            if let Some(decor) = item.as_value().map(toml_edit::Value::decor) {
                found |= broken(decor.prefix()) || broken(decor.suffix());
            }
        }
        if found {
            self.too_new = Some((range.clone().into(), "an inline table over several lines"));
        }
    }

    /// `\e` and `\xHH` came with TOML 1.1.
    fn look_at_escapes(&mut self, range: &std::ops::Range<usize>) {
        let Some(raw) = self.text.get(range.clone()) else {
            return;
        };
        if !raw.starts_with('"') {
            return;
        }
        let mut bytes = raw.bytes().zip(range.start..);
        while let Some((byte, at)) = bytes.next() {
            if byte == b'\\'
                && let Some((b'e' | b'x', _)) = bytes.next()
            {
                self.too_new
                    .get_or_insert((Span::from(at..at + 2), "this escape"));
            }
        }
    }
}

/// The field of a record by its name.
pub(super) fn field_index(record: &Record, name: &str) -> Option<usize> {
    record.fields.iter().position(|field| field.name == name)
}
