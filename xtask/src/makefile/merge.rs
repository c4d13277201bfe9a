//! How cargo-make 0.37.24 puts files and tasks on top of each other. Pure.
//!
//! The order of the merges matters (a `clear` that stays on a merged task clears again in the next
//! merge), so each function here is one of cargo-make's: `merge_external_configs`, `merge_tasks`,
//! `Task::extend`, `Task::get_normalized_task`, `merge_env`.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::task::{Field, Fields, Task, index_of};
use super::value::{Data, Entry, Source, Span, Value};
use super::{Options, Platform, Problem, ProblemKind, TaskFile, schema};

/// What a file and all that it extends come to.
#[derive(Clone, Debug, Default)]
pub(super) struct Layer {
    pub(super) config: BTreeMap<Arc<str>, Field>,
    pub(super) env: BTreeMap<Arc<str>, Field>,
    pub(super) env_files: Vec<Field>,
    pub(super) env_scripts: Vec<Field>,
    pub(super) tasks: BTreeMap<Arc<str>, Arc<Task>>,
    pub(super) plugins: BTreeMap<Arc<str>, Field>,
    pub(super) plugin_aliases: BTreeMap<Arc<str>, Field>,
    /// The least first. A file that is reached twice stands twice.
    pub(super) files: Vec<Arc<TaskFile>>,
    /// Whether some `extend` in it looks upwards from where it was reached.
    pub(super) depends_on_place: bool,
}

/// What a file itself says.
pub(super) fn of_file(file: &Arc<TaskFile>) -> Layer {
    let source = &file.source;
    let empty: Arc<str> = "".into();
    let field = |entry: &Entry| Field {
        value: Arc::new(entry.value.clone()),
        key: entry.key_span,
        source: source.clone(),
        task: empty.clone(),
        platform: false,
    };
    let map = |entries: &[Entry]| {
        let pairs = entries.iter();
        pairs
            .map(|entry| (Arc::from(&*entry.key), field(entry)))
            .collect::<BTreeMap<Arc<str>, Field>>()
    };
    let list = |name: &str| {
        let elements = file.root.get(name).map_or(&[][..], Value::elements);
        elements
            .iter()
            .map(|value| Field {
                value: Arc::new(value.clone()),
                key: value.span,
                source: source.clone(),
                task: empty.clone(),
                platform: false,
            })
            .collect::<Vec<_>>()
    };
    let plugins = file.root.get("plugins");
    let part = |name: &str| {
        plugins
            .and_then(|it| it.get(name))
            .map_or(&[][..], Value::entries)
    };
    Layer {
        config: map(file.section("config")),
        env: map(file.section("env")),
        env_files: list("env_files"),
        env_scripts: list("env_scripts"),
        tasks: file
            .tasks()
            .iter()
            .map(|entry| (Arc::from(&*entry.key), Arc::new(task_of(entry, source))))
            .collect(),
        plugins: map(part("impl")),
        plugin_aliases: map(part("aliases")),
        files: vec![file.clone()],
        depends_on_place: file
            .extends
            .iter()
            .any(|it| it.relative != super::RelativeTo::Makefile),
    }
}

fn task_of(entry: &Entry, source: &Arc<Source>) -> Task {
    let name: Arc<str> = Arc::from(&*entry.key);
    let mut fields = Fields::default();
    for field in entry.value.entries() {
        if let Some(index) = index_of(&field.key) {
            fields.set(
                index,
                Field {
                    value: Arc::new(field.value.clone()),
                    key: field.key_span,
                    source: source.clone(),
                    task: name.clone(),
                    platform: false,
                },
            );
        }
    }
    Task {
        name,
        fields,
        definitions: vec![super::Definition {
            source: source.clone(),
            key: entry.key_span,
        }],
        located: (!source.is_internal()).then(|| source.clone()),
        extended: Vec::new(),
    }
}

/// `over` on top of `base`.
///
/// # Errors
/// When variables need each other in a circle.
pub(super) fn layers(
    base: &Layer,
    over: &Layer,
    core: bool,
    options: &Options,
) -> Result<Layer, Problem> {
    Ok(Layer {
        config: on_top(&base.config, &over.config, config_field),
        env: env(&base.env, &over.env, options)?,
        env_files: [&over.env_files[..], &base.env_files].concat(),
        env_scripts: [&over.env_scripts[..], &base.env_scripts].concat(),
        tasks: on_top(&base.tasks, &over.tasks, |_, old, new| {
            Arc::new(merge_task(old, new, core))
        }),
        plugins: on_top(&base.plugins, &over.plugins, |_, _, new| new.clone()),
        plugin_aliases: on_top(&base.plugin_aliases, &over.plugin_aliases, |_, _, new| {
            new.clone()
        }),
        files: [&base.files[..], &over.files].concat(),
        depends_on_place: base.depends_on_place || over.depends_on_place,
    })
}

/// Two maps as one: what both have is merged. The greater one is copied, the lesser one is walked.
fn on_top<T: Clone>(
    base: &BTreeMap<Arc<str>, T>,
    over: &BTreeMap<Arc<str>, T>,
    merge: impl Fn(&str, &T, &T) -> T,
) -> BTreeMap<Arc<str>, T> {
    if base.len() < over.len() {
        let mut merged = over.clone();
        for (key, old) in base {
            let value = match over.get(key) {
                Some(new) => merge(key, old, new),
                None => old.clone(),
            };
            merged.insert(key.clone(), value);
        }
        return merged;
    }
    let mut merged = base.clone();
    for (key, new) in over {
        let value = match base.get(key) {
            Some(old) => merge(key, old, new),
            None => new.clone(),
        };
        merged.insert(key.clone(), value);
    }
    merged
}

fn config_field(key: &str, old: &Field, new: &Field) -> Field {
    if key.ends_with("load_script") {
        return script(old, new);
    }
    if key != "unstable_features" {
        return new.clone();
    }
    let mut features = old.value.elements().to_vec();
    for feature in new.value.elements() {
        if !features.iter().any(|it| it.data == feature.data) {
            features.push(feature.clone());
        }
    }
    with_data(new, Data::Array(features))
}

fn with_data(field: &Field, data: Data) -> Field {
    Field {
        value: Arc::new(Value {
            span: field.value.span,
            data,
        }),
        ..field.clone()
    }
}

/// A task of the same name in a file that extends.
fn merge_task(old: &Task, new: &Task, core: bool) -> Task {
    let mut merged = old.clone();
    extend(&mut merged, new, has_env(new));
    merged.name = new.name.clone();
    merged.definitions.extend(new.definitions.iter().cloned());
    let keeps_env = core && has_env(old) && is_only_located(new) && !new.flag("clear");
    if keeps_env {
        copy_env(&mut merged, old);
    }
    merged
}

/// Whether cargo-make's task has an `env` at all.
fn has_env(task: &Task) -> bool {
    task.get("env").is_some() || task.located.is_some()
}

/// Whether the `env` has the two variables of the file alone.
fn is_only_located(task: &Task) -> bool {
    let own = task
        .get("env")
        .is_some_and(|env| !env.value.entries().is_empty());
    task.located.is_some() && !own
}

fn copy_env(to: &mut Task, from: &Task) {
    to.fields.remove("env");
    if let (Some(index), Some(field)) = (index_of("env"), from.get("env")) {
        to.fields.set(index, field.clone());
    }
    to.located.clone_from(&from.located);
}

/// `Task::extend`: what `over` sets replaces; with `clear` in `over`, the rest goes. `env`: whether that of
/// `over` counts.
fn extend(base: &mut Task, over: &Task, env: bool) {
    let scripts: Vec<(&str, Field)> = ["script", "install_script"]
        .into_iter()
        .filter_map(|name| Some((name, base.get(name)?.clone())))
        .collect();
    if over.flag("clear") {
        base.fields.retain(|name| name == "clear");
        base.located = None;
    }
    for (index, field) in over.fields.indexed() {
        let name = super::task::name_of(index);
        // Also under `clear`: cargo-make merges scripts with what was there.
        let old = scripts.iter().find(|(it, _)| *it == name);
        let field = match old {
            Some((_, old)) => script(old, field),
            None => field.clone(),
        };
        if name != "env" {
            base.fields.set(index, field);
        }
    }
    if env {
        copy_env(base, over);
    }
}

/// `extend_script_value`: sections merge part by part, and no other form replaces them.
fn script(old: &Field, new: &Field) -> Field {
    let sections = |value: &Value| value.is_table() && value.get("file").is_none();
    if !sections(&old.value) {
        return new.clone();
    }
    if !sections(&new.value) {
        return old.clone();
    }
    let parts = schema::SCRIPT_SECTIONS.fields.iter();
    let entries = parts.filter_map(|part| {
        let entry = new.value.entry(part.name);
        entry.or_else(|| old.value.entry(part.name)).cloned()
    });
    with_data(new, Data::Table(entries.collect()))
}

/// `get_normalized_task`: the task with its override for a platform, if it has one.
fn normalize(task: &Task, platform: Platform) -> Cow<'_, Task> {
    let Some(over) = task.get(platform.key()).cloned() else {
        return Cow::Borrowed(task);
    };
    let own = |name: &str| over.value.entry(name);
    let clear = own("clear").and_then(|it| it.value.as_bool()) == Some(true);
    let mut normal = task.clone();
    normal.fields.retain(|name| {
        matches!(name, "clear" | "description" | "category" | "workspace")
            || (!clear && schema::PLATFORM.fields.iter().any(|it| it.name == name))
    });
    if clear {
        normal.located = None;
    }
    for entry in over.value.entries() {
        if &*entry.key == "clear" {
            continue;
        }
        if &*entry.key == "env" {
            normal.located = None;
        }
        if let Some(index) = index_of(&entry.key) {
            normal.fields.set(
                index,
                Field {
                    value: Arc::new(entry.value.clone()),
                    key: entry.key_span,
                    platform: true,
                    ..over.clone()
                },
            );
        }
    }
    Cow::Owned(normal)
}

/// Why a task cannot be resolved.
#[derive(Clone, Debug, PartialEq)]
pub enum Unresolved {
    /// There is no task of this name. `from`: the task that refers to it, if it is not the one asked for.
    Unknown {
        /// The name.
        name: String,
        /// Who says it.
        from: Option<String>,
    },
    /// Aliases lead in a circle: the names, the first again at the end.
    AliasCycle(Vec<String>),
    /// `extend` leads in a circle, on which cargo-make ends with a stack overflow.
    ExtendCycle(Vec<String>),
}

impl std::fmt::Display for Unresolved {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Unresolved::Unknown { name, from: None } => write!(f, "there is no task `{name}`"),
            Unresolved::Unknown {
                name,
                from: Some(from),
            } => write!(f, "there is no task `{name}`, which `{from}` names"),
            Unresolved::AliasCycle(names) => {
                write!(f, "aliases lead in a circle: {}", names.join(" -> "))
            }
            Unresolved::ExtendCycle(names) => {
                write!(f, "`extend` leads in a circle: {}", names.join(" -> "))
            }
        }
    }
}

type Tasks = BTreeMap<Arc<str>, Arc<Task>>;

/// The name that a task has after its aliases.
pub(super) fn actual_name<'a>(
    tasks: &'a Tasks,
    name: &str,
    platform: Platform,
) -> Result<&'a Arc<Task>, Unresolved> {
    let mut seen = vec![name.to_owned()];
    loop {
        let last = seen.last().map_or(name, String::as_str);
        let Some(task) = tasks.get(last) else {
            let from = seen.len().checked_sub(2).map(|at| seen[at].clone());
            return Err(Unresolved::Unknown {
                name: last.to_owned(),
                from,
            });
        };
        let Some(alias) = task.alias(platform).and_then(|it| it.value.as_str()) else {
            return Ok(task);
        };
        let again = seen.iter().position(|it| it == alias);
        seen.push(alias.to_owned());
        if let Some(at) = again {
            return Err(Unresolved::AliasCycle(seen.split_off(at)));
        }
    }
}

/// What cargo-make runs for a name. `aliases`: whether aliases are followed (they are, but for the
/// tasks that `[config]` names).
pub(super) fn resolve(
    tasks: &Tasks,
    name: &str,
    platform: Platform,
    aliases: bool,
) -> Result<Task, Unresolved> {
    // From the asked one down to its last base.
    let mut chain: Vec<Cow<'_, Task>> = Vec::new();
    let mut next = Some(name.to_owned());
    while let Some(name) = next {
        let found = if aliases {
            actual_name(tasks, &name, platform)
        } else {
            tasks.get(&*name).ok_or(Unresolved::Unknown {
                name: name.clone(),
                from: None,
            })
        };
        let task = found.map_err(|error| match error {
            Unresolved::Unknown { name, from: None } => Unresolved::Unknown {
                name,
                from: chain.last().map(|it| it.name.to_string()),
            },
            other => other,
        })?;
        if let Some(at) = chain.iter().position(|it| it.name == task.name) {
            let names = chain[at..].iter().map(|it| it.name.to_string());
            let names = names.chain([task.name.to_string()]).collect();
            return Err(Unresolved::ExtendCycle(names));
        }
        let task = normalize(task, platform);
        next = task.text("extend").map(str::to_owned);
        chain.push(task);
    }
    let names: Vec<Arc<str>> = chain.iter().map(|it| it.name.clone()).collect();
    let mut chain = chain.into_iter().rev();
    let Some(last) = chain.next() else {
        return Err(Unresolved::Unknown {
            name: name.to_owned(),
            from: None,
        });
    };
    let mut task = last.into_owned();
    for over in chain {
        let env = has_env(&over) && !is_only_located(&over);
        extend(&mut task, &over, env);
        task.name.clone_from(&over.name);
        task.definitions.clone_from(&over.definitions);
    }
    task.extended = names.into_iter().skip(1).collect();
    Ok(task)
}

/// The variables that cargo-make sets itself; of the user's it keeps the least.
const OWN_PREFIX: &str = "CARGO_MAKE_CURRENT_TASK_";

fn env(
    base: &BTreeMap<Arc<str>, Field>,
    over: &BTreeMap<Arc<str>, Field>,
    options: &Options,
) -> Result<BTreeMap<Arc<str>, Field>, Problem> {
    let mut merged = base.clone();
    for (name, field) in over {
        match merged.get_mut(name) {
            Some(_) if name.starts_with(OWN_PREFIX) => {}
            None if name.starts_with(OWN_PREFIX) => {}
            Some(old) if is_profile(&old.value) && is_profile(&field.value) => {
                *old = merge_profile(old, field, options)?;
            }
            Some(old) => *old = field.clone(),
            None => {
                merged.insert(name.clone(), field.clone());
            }
        }
    }
    // Where nothing was added, nothing new can need each other in a circle.
    if !over.is_empty() {
        let values = merged.iter().map(|(name, field)| (&**name, &*field.value));
        if let Some(names) = circle(&values.collect(), options) {
            let field = merged.get(&*names[0]);
            let message = format!("variables need each other: {}", names.join(" -> "));
            return Err(match field {
                Some(field) => {
                    Problem::at(ProblemKind::EnvCycle, &field.source, field.key, message)
                }
                None => Problem::nowhere(ProblemKind::EnvCycle, message),
            }
            .hint("give one of them a value without the other"));
        }
    }
    Ok(merged)
}

/// A table that is none of the other forms of a variable's value.
fn is_profile(value: &Value) -> bool {
    form(value) == Form::Profile
}

/// The form of a variable's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A string, flag, or number.
    Plain,
    /// An array of strings.
    List,
    /// `{ unset = … }`.
    Unset,
    /// `{ script = […] }`.
    Script,
    /// `{ source, mapping }`.
    Decode,
    /// `{ value, condition }`.
    Condition,
    /// `{ glob = … }`.
    Glob,
    /// Variables of a profile.
    Profile,
}

/// The form of a variable's value, as cargo-make takes it: the first that fits.
#[must_use]
pub fn form(value: &Value) -> Form {
    let text = |key: &str| value.get(key).is_some_and(|it| it.as_str().is_some());
    match &value.data {
        Data::Array(_) => Form::List,
        Data::Datetime(_) => Form::Profile,
        Data::Table(_) => {
            let script = value.get("script");
            if value.get("unset").is_some_and(|it| it.as_bool().is_some()) {
                Form::Unset
            } else if script.is_some_and(|it| matches!(it.data, Data::Array(_))) {
                Form::Script
            } else if text("source") && value.get("mapping").is_some_and(Value::is_table) {
                Form::Decode
            } else if text("value") {
                Form::Condition
            } else if text("glob") {
                Form::Glob
            } else {
                Form::Profile
            }
        }
        _ => Form::Plain,
    }
}

fn merge_profile(old: &Field, new: &Field, options: &Options) -> Result<Field, Problem> {
    let fields = |field: &Field| -> BTreeMap<Arc<str>, Field> {
        let entries = field.value.entries().iter();
        entries
            .map(|entry| {
                let value = Field {
                    value: Arc::new(entry.value.clone()),
                    key: entry.key_span,
                    ..field.clone()
                };
                (Arc::from(&*entry.key), value)
            })
            .collect()
    };
    let merged = env(&fields(old), &fields(new), options)?;
    let entries = merged.iter().map(|(name, field)| Entry {
        key: (**name).into(),
        // A span of the other file would lead astray.
        key_span: if Arc::ptr_eq(&field.source, &new.source) {
            field.key
        } else {
            Span::default()
        },
        value: (*field.value).clone(),
    });
    Ok(with_data(new, Data::Table(entries.collect())))
}

/// The variables that a value reads.
#[must_use]
pub fn variables_of(value: &Value) -> Vec<&str> {
    match form(value) {
        Form::Plain => value.as_str().map(braced).unwrap_or_default(),
        Form::List => value
            .elements()
            .iter()
            .filter_map(Value::as_str)
            .flat_map(braced)
            .collect(),
        Form::Decode => text_of(value, "source"),
        Form::Condition => text_of(value, "value"),
        Form::Glob => text_of(value, "glob"),
        Form::Script => {
            let texts = |key: &str| value.get(key).map_or(&[][..], Value::elements).iter();
            if value.get("depends_on").is_some() {
                return texts("depends_on").filter_map(Value::as_str).collect();
            }
            texts("script")
                .filter_map(Value::as_str)
                .flat_map(shell_parameters)
                .collect()
        }
        Form::Unset | Form::Profile => Vec::new(),
    }
}

fn text_of<'a>(value: &'a Value, key: &str) -> Vec<&'a str> {
    let text = value.get(key).and_then(Value::as_str);
    text.map(braced).unwrap_or_default()
}

/// The names in `${NAME}`.
#[must_use]
pub fn braced(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        rest = &rest[at + 2..];
        match rest.find(['}', '\n']) {
            Some(end) if rest[end..].starts_with('}') => {
                found.push(rest[..end].trim());
                rest = &rest[end + 1..];
            }
            _ => {}
        }
    }
    found
}

/// The names in `$NAME`, `${NAME}` and `${#NAME}`: of a shell line, without regard for quotes.
fn shell_parameters(text: &str) -> Vec<&str> {
    let word = |it: char| it.is_alphanumeric() || it == '_' || it == '-';
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        rest = &rest[at + 1..];
        let braces = rest.strip_prefix('{');
        let inner = braces.map_or(rest, |it| it.strip_prefix('#').unwrap_or(it));
        let end = inner.find(|it| !word(it)).unwrap_or(inner.len());
        let closed = braces.is_none() || inner[end..].starts_with('}');
        if end > 0 && closed {
            found.push(&inner[..end]);
        }
    }
    found
}

/// A circle among variables that read each other, the first again at the end.
fn circle(values: &HashMap<&str, &Value>, options: &Options) -> Option<Vec<String>> {
    let mut done: HashMap<&str, bool> = HashMap::new();
    let mut names: Vec<&str> = values.keys().copied().collect();
    names.sort_unstable();
    for name in names {
        // Depth first, with a stack of our own: names, and what is left to look at.
        let mut stack: Vec<(&str, Vec<&str>)> = Vec::new();
        let mut next = Some(name);
        loop {
            if let Some(name) = next.take() {
                match done.get(name) {
                    Some(true) => {}
                    Some(false) => {
                        let at = stack.iter().position(|(it, _)| *it == name)?;
                        let names = stack[at..].iter().map(|(it, _)| (*it).to_owned());
                        return Some(names.chain([name.to_owned()]).collect());
                    }
                    None => {
                        done.insert(name, false);
                        let used = values.get(name).map(|it| variables_of(it));
                        let mut used = used.unwrap_or_default();
                        // What the process has may be read by its own new value: PATH.
                        let outside = options.process_has(name);
                        used.retain(|it| (*it != name || !outside) && values.contains_key(it));
                        stack.push((name, used));
                    }
                }
            }
            match stack.last_mut() {
                Some((name, left)) => match left.pop() {
                    Some(it) => next = Some(it),
                    None => {
                        done.insert(name, true);
                        stack.pop();
                    }
                },
                None => break,
            }
        }
    }
    None
}

/// `Config::apply`: core tasks made private or renamed, with what they refer to.
pub(super) fn modify_core(layer: &mut Layer, private: bool, namespace: &str) {
    let prefixed = |name: &str| -> String {
        if namespace.is_empty() {
            name.to_owned()
        } else {
            format!("{namespace}::{name}")
        }
    };
    for key in [
        "init_task",
        "end_task",
        "on_error_task",
        "legacy_migration_task",
    ] {
        if let Some(field) = layer.config.get_mut(key)
            && let Some(name) = field.value.as_str()
        {
            *field = with_data(field, Data::String(prefixed(name).into()));
        }
    }
    let tasks = std::mem::take(&mut layer.tasks);
    for (name, task) in tasks {
        let mut task = (*task).clone();
        if private && let Some(index) = index_of("private") {
            let template = Field {
                value: Arc::new(Value::made(Data::Boolean(true))),
                key: task.definitions[0].key,
                source: task.definitions[0].source.clone(),
                task: name.clone(),
                platform: false,
            };
            task.fields.set(index, template);
        }
        let fields: Vec<(u8, Field)> = task
            .fields
            .indexed()
            .map(|(index, field)| (index, field.clone()))
            .collect();
        for (index, field) in fields {
            let renamed = rename(super::task::name_of(index), &field.value, &prefixed);
            if let Some(value) = renamed {
                task.fields.set(index, with_data(&field, value.data));
            }
        }
        let name: Arc<str> = prefixed(&name).into();
        task.name = name.clone();
        layer.tasks.insert(name, Arc::new(task));
    }
}

/// The value of a field with the tasks in it renamed.
fn rename(field: &str, value: &Value, prefixed: &dyn Fn(&str) -> String) -> Option<Value> {
    let all = |value: &Value| -> Value {
        let renamed = |it: &Value| match it.as_str() {
            Some(name) => Value {
                span: it.span,
                data: Data::String(prefixed(name).into()),
            },
            None => it.clone(),
        };
        match &value.data {
            Data::Array(names) => Value {
                span: value.span,
                data: Data::Array(names.iter().map(renamed).collect()),
            },
            _ => renamed(value),
        }
    };
    let in_table = |value: &Value| -> Value {
        let Data::Table(entries) = &value.data else {
            return all(value);
        };
        let entries = entries.iter().map(|entry| Entry {
            value: if &*entry.key == "name" {
                all(&entry.value)
            } else {
                entry.value.clone()
            },
            ..entry.clone()
        });
        Value {
            span: value.span,
            data: Data::Table(entries.collect()),
        }
    };
    match field {
        "extend" | "alias" | "linux_alias" | "windows_alias" | "mac_alias" => Some(all(value)),
        "run_task" | "dependencies" => Some(match &value.data {
            Data::Array(elements) => Value {
                span: value.span,
                data: Data::Array(elements.iter().map(in_table).collect()),
            },
            _ => in_table(value),
        }),
        _ => None,
    }
}
