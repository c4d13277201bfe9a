//! A task: fields that know where they come from, and what they refer to.

use std::sync::Arc;

use super::schema;
use super::value::{Data, Position, Source, Span, Value};

/// A field of a task, of `[config]`, or a variable: its value, and where it was written.
#[derive(Clone, Debug)]
pub struct Field {
    /// The value.
    pub value: Arc<Value>,
    /// Where the key stands.
    pub key: Span,
    /// The file that it stands in.
    pub source: Arc<Source>,
    /// The task that it was written in; after `extend` that may be another one. Empty outside of tasks.
    pub task: Arc<str>,
    /// Whether it was written in the override of a platform.
    pub platform: bool,
}

impl Field {
    /// `file:line:column` of the key.
    #[must_use]
    pub fn place(&self) -> String {
        self.source.place(self.key)
    }

    /// Line and column of the key.
    #[must_use]
    pub fn position(&self) -> Position {
        self.source.position(self.key.start)
    }
}

/// The index of a field of a task in [`schema::TASK`].
pub(super) type Index = u8;

/// The fields of a task that are set, in the order of [`schema::TASK`].
#[derive(Clone, Debug, Default)]
pub struct Fields(Vec<(Index, Field)>);

impl Fields {
    /// The field of this name, if it is set.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Field> {
        self.0
            .iter()
            .find(|(index, _)| name_of(*index) == name)
            .map(|(_, field)| field)
    }

    /// Names and fields.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Field)> {
        self.0.iter().map(|(index, field)| (name_of(*index), field))
    }

    pub(super) fn set(&mut self, index: Index, field: Field) {
        match self.0.binary_search_by_key(&index, |(at, _)| *at) {
            Ok(at) => self.0[at].1 = field,
            Err(at) => self.0.insert(at, (index, field)),
        }
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.0.retain(|(index, _)| name_of(*index) != name);
    }

    pub(super) fn retain(&mut self, mut keep: impl FnMut(&'static str) -> bool) {
        self.0.retain(|(index, _)| keep(name_of(*index)));
    }

    pub(super) fn indexed(&self) -> impl Iterator<Item = (Index, &Field)> {
        self.0.iter().map(|(index, field)| (*index, field))
    }
}

pub(super) fn name_of(index: Index) -> &'static str {
    schema::TASK
        .fields
        .get(usize::from(index))
        .map_or("", |field| field.name)
}

pub(super) fn index_of(name: &str) -> Option<Index> {
    super::parse::field_index(&schema::TASK, name).and_then(|at| Index::try_from(at).ok())
}

/// Where a task is defined or added to.
#[derive(Clone, Debug)]
pub struct Definition {
    /// The file.
    pub source: Arc<Source>,
    /// The task's name in it.
    pub key: Span,
}

impl Definition {
    /// `file:line:column`.
    #[must_use]
    pub fn place(&self) -> String {
        self.source.place(self.key)
    }
}

/// A task. As [`super::Makefile::tasks`] has it: files merged, nothing else. As
/// [`super::Makefile::resolve`] gives it: what cargo-make runs, with alias, platform and `extend` done.
#[derive(Clone, Debug)]
pub struct Task {
    /// Its name.
    pub name: Arc<str>,
    /// What is set. `env` is what people wrote: cargo-make adds two variables of its own, see
    /// [`Task::located`].
    pub fields: Fields,
    /// The files that define it, the least first.
    pub definitions: Vec<Definition>,
    /// The file that cargo-make names in `CARGO_MAKE_CURRENT_TASK_INITIAL_MAKEFILE`. These two
    /// variables are an `env` of the task: over a task of the same name in an extended file they
    /// replace its whole `env`.
    pub located: Option<Arc<Source>>,
    /// After [`super::Makefile::resolve`]: the tasks that `extend` went through, the nearest first.
    pub extended: Vec<Arc<str>>,
}

/// How a task refers to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Via {
    /// `dependencies`.
    Dependency,
    /// `run_task`.
    RunTask,
    /// `run_task` with `parallel = true`.
    RunParallel,
    /// `run_task.cleanup_task`.
    Cleanup,
    /// `alias`, or that of a platform.
    Alias,
    /// `extend`.
    Extend,
    /// The task's own command: [`super::Makefile::calls`].
    Command,
}

impl Via {
    /// In words: "`a` … `b`".
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Via::Dependency => "depends on",
            Via::RunTask => "runs",
            Via::RunParallel => "runs in parallel",
            Via::Cleanup => "cleans up with",
            Via::Alias => "is an alias of",
            Via::Extend => "extends",
            Via::Command => "calls",
        }
    }
}

/// A task that a task refers to.
#[derive(Clone, Debug)]
pub struct Reference {
    /// The name that is written.
    pub name: String,
    /// How.
    pub via: Via,
    /// Another task file or its directory (`dependencies = [{ name, path }]`), as it is written:
    /// relative to where cargo-make runs.
    pub path: Option<String>,
    /// The field that it stands in: `dependencies`, `linux_alias`.
    pub field: &'static str,
    /// Where the name stands.
    pub span: Span,
    /// The file that it stands in.
    pub source: Arc<Source>,
}

impl Reference {
    /// `file:line:column`.
    #[must_use]
    pub fn place(&self) -> String {
        self.source.place(self.span)
    }
}

impl Task {
    /// The field of this name, if it is set.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Field> {
        self.fields.get(name)
    }

    /// A string field.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.value.as_str()
    }

    /// Whether a flag is set and true.
    #[must_use]
    pub fn flag(&self, name: &str) -> bool {
        self.get(name).and_then(|field| field.value.as_bool()) == Some(true)
    }

    /// The strings of an array field.
    #[must_use]
    pub fn texts(&self, name: &str) -> Vec<&str> {
        let elements = self.get(name).map_or(&[][..], |it| it.value.elements());
        elements.iter().filter_map(Value::as_str).collect()
    }

    /// `description`.
    #[must_use]
    pub fn description(&self) -> Option<&str> {
        self.text("description")
    }

    /// `category`.
    #[must_use]
    pub fn category(&self) -> Option<&str> {
        self.text("category")
    }

    /// Whether it is hidden from lists and cannot be called by its name.
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.flag("private")
    }

    /// Whether only cargo-make itself defines it.
    #[must_use]
    pub fn is_internal(&self) -> bool {
        self.definitions.iter().all(|it| it.source.is_internal())
    }

    /// Which of `run_task`, `command` and `script` are set: cargo-make refuses to run a task with
    /// more than one.
    #[must_use]
    pub fn actions(&self) -> Vec<&'static str> {
        ["run_task", "command", "script"]
            .into_iter()
            .filter(|name| self.get(name).is_some())
            .collect()
    }

    /// The alias that holds on a platform.
    #[must_use]
    pub fn alias(&self, platform: super::Platform) -> Option<&Field> {
        self.get(platform.alias_key()).or_else(|| self.get("alias"))
    }

    /// Every task that the fields name, whatever the platform; the fields of platform overrides, too.
    #[must_use]
    pub fn references(&self) -> Vec<Reference> {
        self.references_in(|_| true)
    }

    /// The tasks that a resolved task names on its platform: what overrides say for others, and the
    /// `extend` that is done, left out.
    #[must_use]
    pub fn calls(&self) -> Vec<Reference> {
        self.references_in(|name| matches!(name, "dependencies" | "run_task"))
    }

    fn references_in(&self, wanted: impl Fn(&str) -> bool) -> Vec<Reference> {
        let mut found = Vec::new();
        for (name, field) in self.fields.iter().filter(|(name, _)| wanted(name)) {
            collect(name, &field.value, &field.source, &mut found);
        }
        found
    }
}

fn collect(name: &'static str, value: &Value, source: &Arc<Source>, found: &mut Vec<Reference>) {
    let mut add = |value: &Value, via, path: Option<&Value>| {
        if let Some(text) = value.as_str() {
            found.push(Reference {
                name: text.to_owned(),
                via,
                path: path.and_then(Value::as_str).map(str::to_owned),
                field: name,
                span: value.span,
                source: source.clone(),
            });
        }
    };
    match name {
        "extend" => add(value, Via::Extend, None),
        "alias" | "linux_alias" | "windows_alias" | "mac_alias" => add(value, Via::Alias, None),
        "dependencies" => {
            for dependency in value.elements() {
                let named = dependency.get("name").unwrap_or(dependency);
                add(named, Via::Dependency, dependency.get("path"));
            }
        }
        "run_task" => {
            let routes = match &value.data {
                Data::Array(routes) => &routes[..],
                _ => std::slice::from_ref(value),
            };
            for route in routes {
                let named = route.get("name").unwrap_or(route);
                let names = match &named.data {
                    Data::Array(names) => &names[..],
                    _ => std::slice::from_ref(named),
                };
                let parallel = route.get("parallel").and_then(Value::as_bool) == Some(true);
                let via = if parallel {
                    Via::RunParallel
                } else {
                    Via::RunTask
                };
                for name in names {
                    add(name, via, None);
                }
                if let Some(cleanup) = route.get("cleanup_task") {
                    add(cleanup, Via::Cleanup, None);
                }
            }
        }
        "linux" | "windows" | "mac" => {
            for entry in value.entries() {
                let known = schema::PLATFORM.fields.iter();
                if let Some(field) = known.map(|it| it.name).find(|it| *it == &*entry.key) {
                    collect(field, &entry.value, source, found);
                }
            }
        }
        _ => {}
    }
}
