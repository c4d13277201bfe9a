//! What rules see: every task file once, every directory that people stand in, and what surrounds them.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Range;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use super::edit::Edit;
use super::names::{self, Mention};
use crate::config::lint::Lint;
use crate::makefile::{
    self, Entry, Field, Makefile, Reference, Source, Span, Task, TaskFile, Value, Via,
};

/// All of it.
#[derive(Debug, Default)]
pub struct Facts {
    /// What the files are held to.
    pub lint: Lint,
    /// Every task file, once: those that people stand beside, what they extend, and shared ones that
    /// nobody extends.
    pub files: Vec<File>,
    /// Every directory with a `Makefile.toml`; the root is the first, if it has one.
    pub directories: Vec<Directory>,
    /// The workspace's members.
    pub members: Vec<Member>,
    /// The root's `Cargo.toml`.
    pub manifest: Option<Arc<Source>>,
    /// Whether that has a `[workspace]`.
    pub workspace: bool,
    /// Whether that has a `[package]`, too.
    pub root_package: bool,
    /// Documents and workflows, with the tasks that they name.
    pub documents: Vec<Document>,
    /// Variables that `.config/xtask.toml` and dotenv files define.
    pub variables: BTreeSet<String>,
    /// Dotenv files of `env_files` whose variables are in `variables`, as they are written.
    pub env_files: BTreeSet<String>,
    /// Words of `.config/xtask.toml` that may be tasks.
    pub config_words: BTreeSet<String>,
    /// The tasks that write test reports, by the patterns of `[tests.*] tasks`.
    pub test_tasks: Vec<String>,
    /// Which of `files` a text is, by its address.
    pub(super) by_source: OnceLock<HashMap<usize, usize>>,
    /// What [`Facts::firsts`] says.
    pub(super) firsts: OnceLock<Vec<bool>>,
    /// What [`Facts::shared`] says.
    pub(super) shared: OnceLock<BTreeSet<String>>,
    /// Which of `directories` a path is.
    pub(super) by_path: OnceLock<HashMap<String, usize>>,
}

/// A task file.
#[derive(Debug)]
pub struct File {
    /// What it says.
    pub file: Arc<TaskFile>,
    /// Whether `[lint] shared` means it.
    pub shared: bool,
    /// Whether some directory's tasks come from it.
    pub used: bool,
    /// Its tasks.
    pub tasks: Vec<Def>,
}

/// A task as one file has it.
#[derive(Clone, Debug)]
pub struct Def {
    /// Its name.
    pub name: Box<str>,
    /// Where the name stands.
    pub key: Span,
    /// From its header or key to the end of its last value.
    pub whole: Range<usize>,
}

/// A directory that people stand in.
#[derive(Debug)]
pub struct Directory {
    /// Relative to the root, `/` between its parts; the root is empty.
    pub path: String,
    /// Whether it is a member's, or the root.
    pub member: bool,
    /// Its tasks, as cargo-make merges them.
    pub makefile: Arc<Makefile>,
    /// Its own `Makefile.toml`.
    pub own: Arc<Source>,
}

/// A member of the workspace.
#[derive(Clone, Debug)]
pub struct Member {
    /// Relative to the root, `/` between its parts.
    pub path: String,
    /// Where `Cargo.toml` names it (or the pattern that it fits).
    pub span: Span,
    /// Whether it has a `Makefile.toml`.
    pub makefile: bool,
}

/// A text that may name tasks.
#[derive(Debug)]
pub struct Document {
    /// The text.
    pub source: Arc<Source>,
    /// What it names.
    pub mentions: Vec<Mention>,
}

impl File {
    /// The file's tasks as ranges.
    #[must_use]
    pub fn wholes(&self) -> Vec<Range<usize>> {
        self.tasks.iter().map(|task| task.whole.clone()).collect()
    }

    /// A task's value in this file.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&Value> {
        let entry = self.file.tasks().iter().find(|entry| &*entry.key == name)?;
        Some(&entry.value)
    }
}

/// A file with what the rules ask of it.
#[must_use]
pub fn file(file: Arc<TaskFile>, shared: bool, used: bool) -> File {
    let tasks = file
        .tasks()
        .iter()
        .map(|entry| Def {
            name: entry.key.clone(),
            key: entry.key_span,
            whole: whole(&file.source.text, entry),
        })
        .collect();
    File {
        file,
        shared,
        used,
        tasks,
    }
}

/// From an entry's header or key to the end of its last value.
fn whole(text: &str, entry: &Entry) -> Range<usize> {
    let mut start = entry.key_span.range().start;
    let mut end = entry.key_span.range().end;
    reach(&entry.value, &mut start, &mut end);
    // A header begins at its bracket.
    let line = text[..start].rfind('\n').map_or(0, |at| at + 1);
    if text[line..start].trim_start().starts_with('[') {
        start = line;
    }
    start..end
}

fn reach(value: &Value, start: &mut usize, end: &mut usize) {
    let own = value.span.range();
    if !own.is_empty() {
        *start = (*start).min(own.start);
        *end = (*end).max(own.end);
    }
    for element in value.elements() {
        reach(element, start, end);
    }
    for entry in value.entries() {
        *end = (*end).max(entry.key_span.range().end);
        reach(&entry.value, start, end);
    }
}

/// A directory, with its tasks resolved once, while the rules look at it.
#[derive(Debug)]
pub struct View<'a> {
    /// All there is.
    pub facts: &'a Facts,
    /// The directory.
    pub directory: &'a Directory,
    /// Whether what it inherits was not looked at in another directory.
    first: bool,
    resolved: RefCell<HashMap<Arc<str>, Option<Rc<Task>>>>,
}

impl<'a> View<'a> {
    /// The view from the `n`th directory.
    fn new(facts: &'a Facts, n: usize, directory: &'a Directory) -> View<'a> {
        View {
            facts,
            directory,
            first: facts.firsts().get(n).copied().unwrap_or(true),
            resolved: RefCell::default(),
        }
    }

    /// A task as it stands here, files merged.
    #[must_use]
    pub fn raw(&self, name: &str) -> Option<&'a Arc<Task>> {
        self.directory.makefile.tasks.get(name)
    }

    /// A task as cargo-make runs it here; none where it cannot be resolved.
    #[must_use]
    pub fn task(&self, name: &str) -> Option<Rc<Task>> {
        if let Some(known) = self.resolved.borrow().get(name) {
            return known.clone();
        }
        let task = self.directory.makefile.resolve(name).ok().map(Rc::new);
        self.resolved.borrow_mut().insert(name.into(), task.clone());
        task
    }

    /// The tasks to look at here: each that this directory's own file has a part in, and what it
    /// inherits, unless another directory inherits the same. Never cargo-make's own.
    pub fn raws(&self) -> impl Iterator<Item = &'a Arc<Task>> {
        let (own, first) = (&self.directory.own, self.first);
        self.directory
            .makefile
            .tasks
            .values()
            .filter(|task| !task.is_internal())
            .filter(move |task| {
                first
                    || task
                        .definitions
                        .iter()
                        .any(|it| Arc::ptr_eq(&it.source, own))
            })
    }

    /// The same, resolved, without those that are an alias of another.
    pub fn tasks(&self) -> impl Iterator<Item = Rc<Task>> {
        self.raws()
            .filter(|task| !has_alias(task))
            .filter_map(|task| self.task(&task.name))
    }

    /// Whether people can call a task here.
    #[must_use]
    pub fn is_public(&self, name: &str) -> bool {
        self.task(name).is_some_and(|task| !task.is_private())
    }

    /// Whether this is the root.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.directory.path.is_empty()
    }

    /// The directory, for messages.
    #[must_use]
    pub fn shown(&self) -> &str {
        if self.is_root() {
            "the root"
        } else {
            &self.directory.path
        }
    }

    /// The first file that this directory inherits tasks from: where shared bodies go.
    #[must_use]
    pub fn shared_file(&self) -> Option<&'a str> {
        let files = self.directory.makefile.files.iter();
        files
            .map(|file| &file.source)
            .find(|source| !source.is_internal() && !Arc::ptr_eq(source, &self.directory.own))
            .map(|source| source.shown.as_str())
    }
}

/// Whether a task is another's alias, on some platform.
#[must_use]
pub fn has_alias(task: &Task) -> bool {
    ["alias", "linux_alias", "windows_alias", "mac_alias"]
        .iter()
        .any(|name| task.get(name).is_some())
}

/// Where a task's name stands in the file that says most about it: the last that defines it.
#[must_use]
pub fn home(task: &Task) -> Option<(&Arc<Source>, Span)> {
    let definition = task
        .definitions
        .iter()
        .rev()
        .find(|it| !it.source.is_internal())?;
    Some((&definition.source, definition.key))
}

/// The tasks that a task calls: through its references, through `cargo xtask parallel`, and through
/// `cargo make` in another directory.
#[derive(Clone, Debug)]
pub struct Call {
    /// The task.
    pub name: String,
    /// How.
    pub how: How,
    /// Where the name stands.
    pub span: Span,
    /// In which file.
    pub source: Arc<Source>,
}

/// How a task calls another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
    /// By a reference of cargo-make.
    Via(Via),
    /// By `cargo xtask parallel`; whether at once.
    Parallel(bool),
    /// By `cargo make` or `cargo xtask make`, in this directory (relative to the root).
    Make(Option<String>),
}

/// What a task calls. `directory`: where it runs.
#[must_use]
pub fn calls(task: &Task, directory: &str) -> Vec<Call> {
    let mut found: Vec<Call> = task
        .references()
        .into_iter()
        .filter(|it| it.path.is_none())
        .map(|it: Reference| Call {
            name: it.name,
            how: How::Via(it.via),
            span: it.span,
            source: it.source,
        })
        .collect();
    let Some(args) = task.get("args") else {
        return found;
    };
    let elements: Vec<&Value> = args.value.elements().iter().collect();
    let words: Vec<&str> = elements
        .iter()
        .map(|it| it.as_str().unwrap_or(""))
        .collect();
    let program = task.text("command").unwrap_or_default();
    for it in makefile::named(program, &words, task.text("cwd")) {
        let how = if it.parallel {
            How::Parallel(it.together)
        } else if it.elsewhere {
            How::Make(None)
        } else {
            How::Make(in_directory(directory, it.cwd.as_deref()))
        };
        found.push(Call {
            name: words[it.at].to_owned(),
            how,
            span: elements[it.at].span,
            source: args.source.clone(),
        });
    }
    found
}

/// Whether a command is cargo.
#[must_use]
pub fn is_cargo(command: &str) -> bool {
    matches!(command, "cargo" | "cargo.exe" | "${CARGO}")
}

/// `cwd` seen from `directory`: relative to the root; none where it leaves it or has variables.
#[must_use]
pub fn in_directory(directory: &str, cwd: Option<&str>) -> Option<String> {
    let Some(cwd) = cwd else {
        return Some(directory.to_owned());
    };
    if cwd.contains('$') || cwd.starts_with(['/', '\\']) || cwd.contains(':') {
        return None;
    }
    let mut parts: Vec<&str> = directory.split('/').filter(|it| !it.is_empty()).collect();
    for part in cwd.split(['/', '\\']) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// The words of a task's command line, with what it wraps (`cargo xtask with-services … -- CMD`) as
/// further ones.
#[must_use]
pub fn programs(task: &Task) -> Vec<Vec<String>> {
    let Some(command) = task.text("command") else {
        return Vec::new();
    };
    let args = task.texts("args").into_iter().map(str::to_owned);
    let mut words: Vec<String> = std::iter::once(command.to_owned()).chain(args).collect();
    let mut found = Vec::new();
    loop {
        let wraps = is_cargo(&words[0])
            && words.get(1).is_some_and(|it| it == "xtask")
            && words
                .get(2)
                .is_some_and(|it| matches!(it.as_str(), "with-services" | "exec"));
        let inner = words.iter().position(|it| it == "--").filter(|_| wraps);
        let rest = inner.map(|at| words.split_off(at + 1));
        found.push(words);
        match rest {
            Some(rest) if !rest.is_empty() => words = rest,
            _ => return found,
        }
    }
}

/// The entry of a task in the file that a field stands in.
#[must_use]
pub fn value_in<'a>(facts: &'a Facts, source: &Arc<Source>, name: &str) -> Option<&'a Value> {
    let address = |source: &Arc<Source>| Arc::as_ptr(source) as usize;
    let known = facts.by_source.get_or_init(|| {
        let files = facts.files.iter().enumerate();
        files
            .map(|(n, file)| (address(&file.file.source), n))
            .collect()
    });
    facts.files.get(*known.get(&address(source))?)?.value(name)
}

/// Whether a field was written at this very task, in one of its files.
#[must_use]
pub fn is_own(task: &Task, field: &Field) -> bool {
    *field.task == *task.name
}

/// An edit that adds `line` (`private = true`) to a task of a file; none where its form is unusual.
#[must_use]
pub fn add_key(source: &Source, task: &Value, line: &str) -> Option<Edit> {
    let span = task.span.range();
    let text = &source.text;
    let edit = |range: Range<usize>, text: String| {
        Some(Edit {
            file: source.shown.clone(),
            range,
            text,
        })
    };
    match text.get(span.clone())?.chars().next()? {
        '{' => {
            let inner = text[span.start + 1..span.end - 1].trim_end();
            let at = span.start + 1 + inner.len();
            if inner.trim().is_empty() {
                return edit(span, format!("{{ {line} }}"));
            }
            edit(at..at, format!(", {line}"))
        }
        '[' => {
            // A description comes first.
            let above: &[&str] = if line.starts_with("description") {
                &["extend"]
            } else {
                &["private", "category", "description", "extend"]
            };
            let after = above
                .iter()
                .filter_map(|key| task.entry(key))
                .map(|entry| entry.value.span.range())
                .find(|range| !range.is_empty() && !text[range.clone()].contains('\n'))
                .map_or(span.end, |range| range.end);
            let end = text[after..].find('\n').map(|at| after + at + 1);
            match end {
                Some(at) => edit(at..at, format!("{line}{}", line_end(text))),
                None => {
                    let at = text.len();
                    edit(at..at, format!("\n{line}\n"))
                }
            }
        }
        _ => None,
    }
}

/// An edit that takes an entry of a task away, with its line where it has one of its own.
#[must_use]
pub fn remove_key(source: &Source, task: &Value, entry: &Entry) -> Option<Edit> {
    let text = &source.text;
    let (start, end) = (entry.key_span.range().start, entry.value.span.range().end);
    if start >= end {
        return None;
    }
    let range = match text.get(task.span.range())?.chars().next()? {
        '{' => {
            let before = text[..start].trim_end();
            let after = &text[end..];
            let blank = after.len() - after.trim_start().len();
            if before.ends_with(',') {
                before.len() - 1..end
            } else if after.trim_start().starts_with(',') {
                let next = &after[blank + 1..];
                start..end + blank + 1 + (next.len() - next.trim_start().len())
            } else {
                start..end
            }
        }
        '[' => {
            let line = text[..start].rfind('\n').map_or(0, |at| at + 1);
            if !text[line..start].trim().is_empty() {
                return None;
            }
            let stop = text[end..].find('\n').map_or(text.len(), |at| end + at + 1);
            let rest = text[end..stop].trim();
            if !rest.is_empty() && !rest.starts_with('#') {
                return None;
            }
            line..stop
        }
        _ => return None,
    };
    Some(Edit {
        file: source.shown.clone(),
        range,
        text: String::new(),
    })
}

/// How the lines of a text end.
#[must_use]
pub fn line_end(text: &str) -> &'static str {
    if text.contains("\r\n") { "\r\n" } else { "\n" }
}

impl Facts {
    /// The directory of this path.
    #[must_use]
    pub fn directory(&self, path: &str) -> Option<&Directory> {
        let known = self.by_path.get_or_init(|| {
            let all = self.directories.iter().enumerate();
            all.map(|(n, it)| (it.path.clone(), n)).collect()
        });
        self.directories.get(*known.get(path)?)
    }

    /// What `look` finds in each directory, in their order; several threads look.
    pub fn in_each_directory<T: Send>(&self, look: impl Fn(&View) -> T + Sync) -> Vec<T> {
        self.firsts();
        let all: Vec<(usize, &Directory)> = self.directories.iter().enumerate().collect();
        let look_at = |part: &[(usize, &Directory)]| -> Vec<T> {
            // One view at a time: what is resolved for it goes with it.
            let views = part.iter().map(|(n, it)| View::new(self, *n, it));
            views.map(|view| look(&view)).collect()
        };
        let available = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = available.min(all.len() / 32).min(8);
        if threads < 2 {
            return look_at(&all);
        }
        std::thread::scope(|scope| {
            let parts: Vec<_> = all
                .chunks(all.len().div_ceil(threads))
                .map(|part| (part, scope.spawn(|| look_at(part))))
                .collect();
            let done = parts.into_iter();
            // A thread that ended badly is done over, where the failure is shown.
            done.flat_map(|(part, thread)| thread.join().unwrap_or_else(|_| look_at(part)))
                .collect()
        })
    }

    /// Of each directory, whether it is the first that inherits from just these files.
    fn firsts(&self) -> &[bool] {
        self.firsts.get_or_init(|| {
            let mut seen: HashSet<Vec<usize>> = HashSet::new();
            let inherited = |it: &Directory| -> Vec<usize> {
                let files = it.makefile.files.iter().map(|file| &file.source);
                files
                    .filter(|source| !Arc::ptr_eq(source, &it.own))
                    .map(|source| Arc::as_ptr(source) as usize)
                    .collect()
            };
            let directories = self.directories.iter();
            directories.map(|it| seen.insert(inherited(it))).collect()
        })
    }

    /// The shared files, as they are shown.
    #[must_use]
    pub fn shared(&self) -> &BTreeSet<String> {
        self.shared.get_or_init(|| {
            let files = self.files.iter().filter(|it| it.shared);
            files.map(|it| it.file.source.shown.clone()).collect()
        })
    }

    /// Every name that something refers to, whatever it means there: by whom is not asked.
    #[must_use]
    pub fn referred(&self) -> HashSet<&str> {
        let mut all: HashSet<&str> = HashSet::new();
        for document in &self.documents {
            all.extend(document.mentions.iter().map(|it| it.name.as_str()));
        }
        all.extend(self.config_words.iter().map(String::as_str));
        for file in &self.files {
            for entry in file.file.tasks() {
                strings_of(&entry.value, &mut all);
            }
            for entry in file.file.section("config") {
                all.extend(entry.value.as_str());
            }
        }
        all
    }

    /// Whether a task is where people or CI begin.
    #[must_use]
    pub fn is_entry(&self, name: &str) -> bool {
        names::action(&self.lint, name).is_some() || names::any(&self.lint.entry_points, name)
    }
}

/// The strings in a task that may name other tasks.
fn strings_of<'a>(task: &'a Value, all: &mut HashSet<&'a str>) {
    for entry in task.entries() {
        match &*entry.key {
            "extend" | "alias" | "linux_alias" | "windows_alias" | "mac_alias" | "dependencies"
            | "run_task" | "args" => every_string(&entry.value, all),
            "linux" | "windows" | "mac" => strings_of(&entry.value, all),
            _ => {}
        }
    }
}

fn every_string<'a>(value: &'a Value, all: &mut HashSet<&'a str>) {
    all.extend(value.as_str());
    for element in value.elements() {
        every_string(element, all);
    }
    for entry in value.entries() {
        every_string(&entry.value, all);
    }
}

/// Counts, by name.
pub type Counts<'a> = BTreeMap<&'a str, usize>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_working_directory_is_seen_from_where_the_task_runs() {
        assert_eq!(in_directory("", Some("a/b")).as_deref(), Some("a/b"));
        assert_eq!(in_directory("a/b", Some("../c")).as_deref(), Some("a/c"));
        assert_eq!(in_directory("a", None).as_deref(), Some("a"));
        assert_eq!(in_directory("a", Some("../../c")), None);
        assert_eq!(in_directory("", Some("${X}/c")), None);
    }
}
