//! What cargo-make 0.37.24 takes where: the types of its `types.rs` and `plugin/types.rs`, as data.
//!
//! A value that fits no shape ends cargo-make with "data did not match any variant" and no place; here
//! it is named. A key that no record knows is ignored by cargo-make (in most places with a warning), so
//! it is listed and left out.

use super::value::{Data, Entry, Span, Value};

/// What a value may be.
#[derive(Debug)]
pub enum Shape {
    /// A string.
    Text,
    /// One of these strings.
    Word(&'static [&'static str]),
    /// `true` or `false`.
    Flag,
    /// An integer.
    Number,
    /// An array of one shape.
    List(&'static Shape),
    /// A table with any keys.
    Map(&'static Shape),
    /// A table with known keys.
    Record(&'static Record),
    /// The first of these that fits, as serde's untagged enums do.
    OneOf(&'static [Shape]),
}

/// A table with known keys.
#[derive(Debug)]
pub struct Record {
    /// What it is called in messages.
    pub name: &'static str,
    /// Its keys. serde also takes an array of all of them, in this order.
    pub fields: &'static [Key],
}

/// A key of a record.
#[derive(Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub shape: &'static Shape,
    /// Whether the record needs it.
    pub required: bool,
}

/// A value that fits no shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Mismatch {
    /// Where.
    pub span: Span,
    /// What would fit, in words.
    pub expected: String,
}

/// A key that cargo-make ignores.
#[derive(Clone, Debug, PartialEq)]
pub struct UnknownKey {
    /// The keys that lead to it, itself last.
    pub path: Vec<String>,
    /// Where it stands.
    pub span: Span,
    /// The record that it stands in: `a task`, `[config]`.
    pub record: &'static str,
}

const fn may(name: &'static str, shape: &'static Shape) -> Key {
    Key {
        name,
        shape,
        required: false,
    }
}

const fn must(name: &'static str, shape: &'static Shape) -> Key {
    Key {
        name,
        shape,
        required: true,
    }
}

static TEXT: Shape = Shape::Text;
static FLAG: Shape = Shape::Flag;
static TEXTS: Shape = Shape::List(&TEXT);
static TEXT_MAP: Shape = Shape::Map(&TEXT);

macro_rules! record {
    ($(#[$doc:meta])* $name:ident, $words:literal, [$($field:expr),* $(,)?]) => {
        #[doc = "A record of cargo-make's, by its name in messages."]
        #[doc = ""]
        $(#[$doc])*
        pub static $name: Record = Record { name: $words, fields: &[$($field),*] };
    };
}

record!(
    /// The whole file.
    FILE,
    "a task file",
    [
        may("extend", &EXTEND),
        may("config", &Shape::Record(&CONFIG)),
        may("env_files", &ENV_FILES),
        may("env", &ENV),
        may("env_scripts", &TEXTS),
        may("tasks", &Shape::Map(&TASK_SHAPE)),
        may("plugins", &Shape::Record(&PLUGINS)),
    ]
);

record!(
    EXTEND_OPTIONS,
    "an `extend`",
    [
        must("path", &TEXT),
        may("optional", &FLAG),
        may("relative", &TEXT)
    ]
);
static EXTEND_RECORD: Shape = Shape::Record(&EXTEND_OPTIONS);
static EXTEND: Shape = Shape::OneOf(&[
    Shape::Text,
    Shape::Record(&EXTEND_OPTIONS),
    Shape::List(&EXTEND_RECORD),
]);

record!(
    CONFIG,
    "[config]",
    [
        may("skip_core_tasks", &FLAG),
        may("modify_core_tasks", &Shape::Record(&MODIFY)),
        may("init_task", &TEXT),
        may("end_task", &TEXT),
        may("on_error_task", &TEXT),
        may("legacy_migration_task", &TEXT),
        may("additional_profiles", &TEXTS),
        may("min_version", &TEXT),
        may("default_to_workspace", &FLAG),
        may("skip_git_env_info", &FLAG),
        may("skip_rust_env_info", &FLAG),
        may("skip_crate_env_info", &FLAG),
        may("reduce_output", &FLAG),
        may("time_summary", &FLAG),
        may("load_cargo_aliases", &FLAG),
        may("disable_install", &FLAG),
        may("main_project_member", &TEXT),
        may("load_script", &SCRIPT),
        may("linux_load_script", &SCRIPT),
        may("windows_load_script", &SCRIPT),
        may("mac_load_script", &SCRIPT),
        may("unstable_features", &Shape::List(&UNSTABLE)),
    ]
);
static UNSTABLE: Shape = Shape::Word(&["CTRL_C_HANDLING"]);

record!(
    MODIFY,
    "`modify_core_tasks`",
    [may("private", &FLAG), may("namespace", &TEXT)]
);

record!(
    PLUGINS,
    "[plugins]",
    [
        may("aliases", &TEXT_MAP),
        must("impl", &Shape::Map(&PLUGIN))
    ]
);
static PLUGIN: Shape = Shape::Record(&PLUGIN_RECORD);
record!(PLUGIN_RECORD, "a plugin", [must("script", &TEXT)]);

record!(
    ENV_FILE,
    "an env file",
    [
        must("path", &TEXT),
        may("base_path", &TEXT),
        may("profile", &TEXT),
        may("defaults_only", &FLAG),
    ]
);
static ENV_FILES: Shape = Shape::List(&Shape::OneOf(&[Shape::Text, Shape::Record(&ENV_FILE)]));

static ENV: Shape = Shape::Map(&ENV_VALUE);
/// A value of `[env]`. The last form is a profile: a table of more of these.
pub static ENV_VALUE: Shape = Shape::OneOf(&[
    Shape::Text,
    Shape::Flag,
    Shape::Number,
    Shape::List(&TEXT),
    Shape::Record(&ENV_UNSET),
    Shape::Record(&ENV_SCRIPT),
    Shape::Record(&ENV_DECODE),
    Shape::Record(&ENV_CONDITION),
    Shape::Record(&ENV_GLOB),
    Shape::Map(&ENV_VALUE),
]);
record!(ENV_UNSET, "a variable to unset", [must("unset", &FLAG)]);
record!(
    ENV_SCRIPT,
    "a variable from a script",
    [
        must("script", &TEXTS),
        may("multi_line", &FLAG),
        may("condition", &CONDITION_SHAPE),
        may("depends_on", &TEXTS),
    ]
);
record!(
    ENV_DECODE,
    "a decoded variable",
    [
        must("source", &TEXT),
        may("default_value", &TEXT),
        must("mapping", &TEXT_MAP),
        may("condition", &CONDITION_SHAPE),
    ]
);
record!(
    ENV_CONDITION,
    "a variable with a condition",
    [must("value", &TEXT), may("condition", &CONDITION_SHAPE)]
);
record!(
    ENV_GLOB,
    "a variable of paths",
    [
        must("glob", &TEXT),
        may("include_files", &FLAG),
        may("include_dirs", &FLAG),
        may("ignore_type", &TEXT),
    ]
);

static CONDITION_SHAPE: Shape = Shape::Record(&CONDITION);
record!(
    CONDITION,
    "a condition",
    [
        may("condition_type", &Shape::Word(&["And", "Or", "GroupOr"])),
        may("fail_message", &TEXT),
        may("profiles", &TEXTS),
        may("os", &TEXTS),
        may("platforms", &TEXTS),
        may("channels", &TEXTS),
        may("env_set", &TEXTS),
        may("env_not_set", &TEXTS),
        may("env", &TEXT_MAP),
        may("env_not", &TEXT_MAP),
        may("env_true", &TEXTS),
        may("env_false", &TEXTS),
        may("env_contains", &TEXT_MAP),
        may("rust_version", &Shape::Record(&RUST_VERSION)),
        may("files_exist", &TEXTS),
        may("files_not_exist", &TEXTS),
        may("files_modified", &Shape::Record(&FILES_MODIFIED)),
    ]
);
record!(
    RUST_VERSION,
    "`rust_version`",
    [may("min", &TEXT), may("max", &TEXT), may("equal", &TEXT)]
);
record!(
    FILES_MODIFIED,
    "`files_modified`",
    [must("input", &TEXTS), must("output", &TEXTS)]
);

static SCRIPT: Shape = Shape::OneOf(&[
    Shape::Text,
    Shape::List(&TEXT),
    Shape::Record(&SCRIPT_FILE),
    Shape::Record(&SCRIPT_SECTIONS),
]);
record!(
    SCRIPT_FILE,
    "a script file",
    [must("file", &TEXT), may("absolute_path", &FLAG)]
);
record!(
    /// A script in sections: the only fields that merge part by part.
    SCRIPT_SECTIONS,
    "a script",
    [may("pre", &TEXT), may("main", &TEXT), may("post", &TEXT)]
);
static TEXT_OR_TEXTS: Shape = Shape::OneOf(&[Shape::Text, Shape::List(&TEXT)]);

static INSTALL_CRATE: Shape = Shape::OneOf(&[
    Shape::Flag,
    Shape::Text,
    Shape::Record(&INSTALL_INFO),
    Shape::Record(&INSTALL_RUSTUP),
    Shape::Record(&INSTALL_PLUGIN),
]);
record!(
    INSTALL_INFO,
    "`install_crate`",
    [
        must("crate_name", &TEXT),
        may("rustup_component_name", &TEXT),
        must("binary", &TEXT),
        must("test_arg", &TEXT_OR_TEXTS),
        may("min_version", &TEXT),
        may("version", &TEXT),
        may("install_command", &TEXT),
        may("force", &FLAG),
    ]
);
record!(
    INSTALL_RUSTUP,
    "`install_crate`",
    [
        must("rustup_component_name", &TEXT),
        may("binary", &TEXT),
        may("test_arg", &TEXT_OR_TEXTS),
    ]
);
record!(
    INSTALL_PLUGIN,
    "`install_crate`",
    [
        may("crate_name", &TEXT),
        may("min_version", &TEXT),
        may("install_command", &TEXT),
        may("force", &FLAG),
    ]
);

static RUN_TASK: Shape = Shape::OneOf(&[
    Shape::Text,
    Shape::Record(&RUN_DETAILS),
    Shape::List(&Shape::Record(&RUN_ROUTING)),
]);
record!(
    RUN_DETAILS,
    "`run_task`",
    [
        must("name", &TEXT_OR_TEXTS),
        may("fork", &FLAG),
        may("parallel", &FLAG),
        may("cleanup_task", &TEXT),
    ]
);
record!(
    RUN_ROUTING,
    "`run_task`",
    [
        must("name", &TEXT_OR_TEXTS),
        may("fork", &FLAG),
        may("parallel", &FLAG),
        may("cleanup_task", &TEXT),
        may("condition", &CONDITION_SHAPE),
        may("condition_script", &TEXT_OR_TEXTS),
        may("condition_script_runner_args", &TEXTS),
    ]
);

static WATCH: Shape = Shape::OneOf(&[Shape::Flag, Shape::Record(&WATCH_OPTIONS)]);
record!(
    WATCH_OPTIONS,
    "`watch`",
    [
        may("version", &TEXT),
        may("postpone", &FLAG),
        may("ignore_pattern", &TEXT_OR_TEXTS),
        may("no_git_ignore", &FLAG),
        may("why", &FLAG),
        may("watch", &TEXTS),
    ]
);

static DEPENDENCIES: Shape = Shape::List(&Shape::OneOf(&[Shape::Record(&DEPENDENCY), Shape::Text]));
record!(
    DEPENDENCY,
    "a dependency",
    [must("name", &TEXT), may("path", &TEXT)]
);
static TOOLCHAIN: Shape = Shape::OneOf(&[Shape::Text, Shape::Record(&TOOLCHAIN_RECORD)]);
record!(
    TOOLCHAIN_RECORD,
    "`toolchain`",
    [must("channel", &TEXT), must("min_version", &TEXT)]
);
static DEPRECATED: Shape = Shape::OneOf(&[Shape::Flag, Shape::Text]);

static TASK_SHAPE: Shape = Shape::Record(&TASK);
record!(
    /// A task. Its fields are known by their place in here: [`super::Fields::get`].
    TASK,
    "a task",
    [
        may("clear", &FLAG),
        may("description", &TEXT),
        may("category", &TEXT),
        may("disabled", &FLAG),
        may("private", &FLAG),
        may("deprecated", &DEPRECATED),
        may("extend", &TEXT),
        may("workspace", &FLAG),
        may("plugin", &TEXT),
        may("watch", &WATCH),
        may("condition", &CONDITION_SHAPE),
        may("condition_script", &TEXT_OR_TEXTS),
        may("condition_script_runner_args", &TEXTS),
        may("ignore_errors", &FLAG),
        may("force", &FLAG),
        may("env_files", &ENV_FILES),
        may("env", &ENV),
        may("cwd", &TEXT),
        may("alias", &TEXT),
        may("linux_alias", &TEXT),
        may("windows_alias", &TEXT),
        may("mac_alias", &TEXT),
        may("install_crate", &INSTALL_CRATE),
        may("install_crate_args", &TEXTS),
        may("install_script", &SCRIPT),
        may("command", &TEXT),
        may("args", &TEXTS),
        may("script", &SCRIPT),
        may("script_runner", &TEXT),
        may("script_runner_args", &TEXTS),
        may("script_extension", &TEXT),
        may("run_task", &RUN_TASK),
        may("dependencies", &DEPENDENCIES),
        may("toolchain", &TOOLCHAIN),
        may("linux", &Shape::Record(&PLATFORM)),
        may("windows", &Shape::Record(&PLATFORM)),
        may("mac", &Shape::Record(&PLATFORM)),
    ]
);

record!(
    /// What stands in `[tasks.x.linux]`.
    PLATFORM,
    "a platform's override",
    [
        may("clear", &FLAG),
        may("disabled", &FLAG),
        may("private", &FLAG),
        may("deprecated", &DEPRECATED),
        may("extend", &TEXT),
        may("plugin", &TEXT),
        may("watch", &WATCH),
        may("condition", &CONDITION_SHAPE),
        may("condition_script", &TEXT_OR_TEXTS),
        may("condition_script_runner_args", &TEXTS),
        may("ignore_errors", &FLAG),
        may("force", &FLAG),
        may("env_files", &ENV_FILES),
        may("env", &ENV),
        may("cwd", &TEXT),
        may("install_crate", &INSTALL_CRATE),
        may("install_crate_args", &TEXTS),
        may("install_script", &SCRIPT),
        may("command", &TEXT),
        may("args", &TEXTS),
        may("script", &SCRIPT),
        may("script_runner", &TEXT),
        may("script_runner_args", &TEXTS),
        may("script_extension", &TEXT),
        may("run_task", &RUN_TASK),
        may("dependencies", &DEPENDENCIES),
        may("toolchain", &TOOLCHAIN),
    ]
);

/// The records below [`FILE`], [`CONFIG`], [`TASK`], [`PLATFORM`] and [`CONDITION`].
pub fn others() -> impl Iterator<Item = &'static Record> {
    [
        &EXTEND_OPTIONS,
        &MODIFY,
        &PLUGINS,
        &PLUGIN_RECORD,
        &ENV_FILE,
        &ENV_UNSET,
        &ENV_SCRIPT,
        &ENV_DECODE,
        &ENV_CONDITION,
        &ENV_GLOB,
        &RUST_VERSION,
        &FILES_MODIFIED,
        &SCRIPT_FILE,
        &SCRIPT_SECTIONS,
        &INSTALL_INFO,
        &INSTALL_RUSTUP,
        &INSTALL_PLUGIN,
        &RUN_DETAILS,
        &RUN_ROUTING,
        &WATCH_OPTIONS,
        &DEPENDENCY,
        &TOOLCHAIN_RECORD,
    ]
    .into_iter()
}

/// A value as cargo-make takes it: keys that it ignores left out, an array of all a record's fields
/// made a table. What was left out is added to `unknown`.
///
/// # Errors
/// The first value that fits no shape.
pub fn take(
    value: Value,
    shape: &'static Shape,
    path: &mut Vec<String>,
    unknown: &mut Vec<UnknownKey>,
) -> Result<Value, Mismatch> {
    let span = value.span;
    let wrong = |what: &dyn std::fmt::Display| Mismatch {
        span,
        expected: what.to_string(),
    };
    match (shape, value.data) {
        (Shape::Text, Data::String(text)) => Ok(at(span, Data::String(text))),
        (Shape::Flag, data @ Data::Boolean(_)) | (Shape::Number, data @ Data::Integer(_)) => {
            Ok(at(span, data))
        }
        (Shape::Word(words), Data::String(text)) if words.contains(&&*text) => {
            Ok(at(span, Data::String(text)))
        }
        (Shape::List(of), Data::Array(elements)) => {
            let elements = elements
                .into_iter()
                .map(|element| take(element, of, path, unknown));
            Ok(at(span, Data::Array(elements.collect::<Result<_, _>>()?)))
        }
        // serde hands a date over as a table of one string.
        (Shape::Map(_), data @ Data::Datetime(_)) => Ok(at(span, data)),
        (Shape::Map(of), Data::Table(entries)) => {
            let entries = entries
                .into_iter()
                .map(|entry| take_entry(entry, of, path, unknown));
            Ok(at(span, Data::Table(entries.collect::<Result<_, _>>()?)))
        }
        (Shape::Record(record), Data::Table(entries)) => {
            take_record(span, record, entries, path, unknown)
        }
        (Shape::Record(record), Data::Array(elements)) if elements.len() == record.fields.len() => {
            let pairs = record.fields.iter().zip(elements);
            let entries = pairs.map(|(field, value)| Entry {
                key: field.name.into(),
                key_span: value.span,
                value,
            });
            take_record(span, record, entries.collect(), path, unknown)
        }
        (Shape::OneOf(shapes), data) => {
            let value = at(span, data);
            // The likeliest reason is in the form that the value is nearest to: of its own type.
            let mut nearest = None;
            for shape in *shapes {
                if !same_type(shape, &value.data) {
                    continue;
                }
                let mut inner = Vec::new();
                match take(value.clone(), shape, path, &mut inner) {
                    Ok(value) => {
                        unknown.extend(inner);
                        return Ok(value);
                    }
                    Err(mismatch) => nearest = nearest.or(Some(mismatch)),
                }
            }
            Err(match nearest {
                Some(inner) if inner.span != span => inner,
                Some(inner)
                    if shapes
                        .iter()
                        .filter(|it| same_type(it, &value.data))
                        .count()
                        == 1 =>
                {
                    inner
                }
                _ => wrong(&words(shape)),
            })
        }
        (shape, _) => Err(wrong(&words(shape))),
    }
}

fn at(span: Span, data: Data) -> Value {
    Value { span, data }
}

fn take_entry(
    entry: Entry,
    shape: &'static Shape,
    path: &mut Vec<String>,
    unknown: &mut Vec<UnknownKey>,
) -> Result<Entry, Mismatch> {
    path.push(entry.key.to_string());
    let value = take(entry.value, shape, path, unknown);
    path.pop();
    Ok(Entry {
        value: value?,
        ..entry
    })
}

fn take_record(
    span: Span,
    record: &'static Record,
    entries: Vec<Entry>,
    path: &mut Vec<String>,
    unknown: &mut Vec<UnknownKey>,
) -> Result<Value, Mismatch> {
    let mut kept = Vec::with_capacity(entries.len());
    for entry in entries {
        match record.fields.iter().find(|it| *it.name == *entry.key) {
            Some(field) => kept.push(take_entry(entry, field.shape, path, unknown)?),
            None => unknown.push(UnknownKey {
                path: path
                    .iter()
                    .cloned()
                    .chain([entry.key.to_string()])
                    .collect(),
                span: entry.key_span,
                record: record.name,
            }),
        }
    }
    for field in record.fields.iter().filter(|field| field.required) {
        if !kept.iter().any(|entry| *entry.key == *field.name) {
            return Err(Mismatch {
                span,
                expected: format!("{} with `{}`", record.name, field.name),
            });
        }
    }
    Ok(at(span, Data::Table(kept)))
}

fn same_type(shape: &Shape, data: &Data) -> bool {
    match shape {
        Shape::Text | Shape::Word(_) => matches!(data, Data::String(_)),
        Shape::Flag => matches!(data, Data::Boolean(_)),
        Shape::Number => matches!(data, Data::Integer(_)),
        Shape::List(_) => matches!(data, Data::Array(_)),
        Shape::Map(_) => matches!(data, Data::Table(_) | Data::Datetime(_)),
        Shape::Record(record) => match data {
            Data::Table(_) => true,
            Data::Array(elements) => elements.len() == record.fields.len(),
            _ => false,
        },
        Shape::OneOf(shapes) => shapes.iter().any(|shape| same_type(shape, data)),
    }
}

/// A shape in words: `a string, or an array of strings`.
#[must_use]
pub fn words(shape: &Shape) -> String {
    match shape {
        Shape::Text => "a string".to_owned(),
        Shape::Word(words) => format!("one of \"{}\"", words.join("\", \"")),
        Shape::Flag => "true or false".to_owned(),
        Shape::Number => "an integer".to_owned(),
        Shape::List(of) => format!("an array, of which each is {}", words(of)),
        Shape::Map(_) => "a table".to_owned(),
        Shape::Record(record) => {
            let needed = record.fields.iter().filter(|field| field.required);
            let needed: Vec<String> = needed.map(|field| format!("`{}`", field.name)).collect();
            if needed.is_empty() {
                "a table".to_owned()
            } else {
                format!("a table with {}", needed.join(" and "))
            }
        }
        Shape::OneOf(shapes) => {
            let mut all: Vec<String> = Vec::new();
            for shape in *shapes {
                let words = words(shape);
                if !all.contains(&words) {
                    all.push(words);
                }
            }
            all.join(", or ")
        }
    }
}
