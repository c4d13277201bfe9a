//! Task files, read as cargo-make 0.37.24 reads them. Nothing in them is run.
//!
//! # How to use it
//!
//! ```no_run
//! use xtask::makefile::{Model, Options};
//! # fn main() -> anyhow::Result<()> {
//! let model = Model::load(std::path::Path::new("."), Options::default())?;
//! for member in &model.members {
//!     let makefile = match &member.makefile {
//!         Ok(makefile) => makefile,
//!         Err(problem) => { eprintln!("{problem}"); continue }
//!     };
//!     for name in makefile.tasks.keys() {
//!         let Ok(task) = makefile.resolve(name) else { continue };
//!         if let Some(command) = task.get("command") {
//!             println!("{}: {} ({})", name, command.value, command.place());
//!         }
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What is there
//!
//! - [`Model`]: all task files of a workspace. A [`Member`] is a directory: the root, a member of cargo's,
//!   or any other with a `Makefile.toml`. [`Model::files`] are all files that were read, the shared ones
//!   too: of each, [`TaskFile`] has the raw tables with spans ([`TaskFile::tasks`]), what it extends
//!   ([`TaskFile::extends`]) and the keys that cargo-make ignores ([`TaskFile::unknown`]).
//! - [`Makefile`]: what `cargo make` sees in a directory. [`Makefile::files`] is the chain of extended
//!   files, the least first; `config`, `env`, `tasks` are merged, and each [`Field`] knows its file and
//!   span.
//! - [`Task`]: in [`Makefile::tasks`] with the files merged, and nothing else; after
//!   [`Makefile::resolve`] what cargo-make runs: alias followed, the platform's override laid over,
//!   `extend` done. Fields by name: [`Task::get`], [`Task::text`], [`Task::texts`], [`Task::flag`]. What
//!   it names: [`Task::references`].
//! - [`Makefile::calls`]: the tasks that a resolved task starts, those too that its command names
//!   (`cargo make NAME`, `cargo xtask parallel NAME…`). [`Task::summary`]: what it does, in a line.
//! - [`Makefile::plan`]: the steps that a task comes to, as `cargo make --print-steps` shows them.
//! - [`Loader`]: single directories. Each file is parsed once, and shared.
//! - [`Problem`]: a file that cargo-make would refuse, with its place; `?` makes it a [`Fault`].
//! - [`schema`]: what cargo-make takes where.
//!
//! # What surprises in cargo-make
//!
//! - Over a task of the same name in an extended file, `env` is always replaced as a whole, also by a
//!   task that sets none: cargo-make adds two variables to each task before it merges
//!   ([`Task::located`]). Only over its own core tasks does it make an exception.
//! - `extend` at a task takes the named task after its own alias and platform override, and inherits
//!   `private`.
//! - A platform's override drops `alias`; `clear` in it keeps description, category and workspace.
//! - `clear` stays on the merged task, and clears again when that is merged over another one.
//! - Of list forms only `unstable_features`, and of scripts only those in sections, merge; all other
//!   fields replace.
//! - `modify_core_tasks` that modifies nothing leaves the core tasks out.
//! - A list at `extend` takes tables only; a string in it is refused.

mod calls;
mod discover;
mod load;
mod merge;
pub mod parse;
mod plan;
pub mod schema;
mod task;
#[cfg(test)]
mod tests;
pub mod value;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use calls::{Named, WITH_VALUE, masked, named, shown};
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use load::of_files;
pub use load::{Loader, Member, Model};
pub use merge::{Form, Unresolved, braced, form, variables_of};
pub use parse::{ExtendRef, RelativeTo, TaskFile};
pub use plan::{Step, Unplanned};
pub use schema::UnknownKey;
pub use task::{Definition, Field, Fields, Reference, Task, Via};
pub use value::{Data, Entry, Position, Source, Span, Value};

use crate::error::Fault;

/// What loading depends on, beside the files.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Whose aliases and overrides hold.
    pub platform: Platform,
    /// The names in the environment of the process: a variable that is there may read itself.
    pub process_env: BTreeSet<String>,
    /// A file under the task file: `CARGO_MAKE_WORKSPACE_MAKEFILE`, which cargo-make sets for members in a
    /// workspace flow with `CARGO_MAKE_EXTEND_WORKSPACE_MAKEFILE`.
    pub workspace_makefile: Option<PathBuf>,
}

impl Options {
    fn process_has(&self, name: &str) -> bool {
        self.process_env.contains(name)
    }
}

/// A platform, as cargo-make tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Platform {
    /// Linux, and all that is none of the others.
    Linux,
    /// Windows.
    Windows,
    /// macOS and iOS.
    Mac,
}

impl Default for Platform {
    /// This one.
    fn default() -> Platform {
        match std::env::consts::OS {
            "windows" => Platform::Windows,
            "macos" | "ios" => Platform::Mac,
            _ => Platform::Linux,
        }
    }
}

impl Platform {
    /// All of them.
    pub const ALL: [Platform; 3] = [Platform::Linux, Platform::Windows, Platform::Mac];

    /// The key of its overrides.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Platform::Linux => "linux",
            Platform::Windows => "windows",
            Platform::Mac => "mac",
        }
    }

    /// The key of its aliases.
    #[must_use]
    pub fn alias_key(self) -> &'static str {
        match self {
            Platform::Linux => "linux_alias",
            Platform::Windows => "windows_alias",
            Platform::Mac => "mac_alias",
        }
    }
}

/// What `cargo make` sees in a directory.
#[derive(Debug)]
pub struct Makefile {
    /// The directory.
    pub directory: PathBuf,
    /// Its own file, if it has one.
    pub file: Option<Arc<TaskFile>>,
    /// Its file and all that it extends, each once, the least first. cargo-make's own are not in it.
    pub files: Vec<Arc<TaskFile>>,
    /// Whether cargo-make's core tasks are underneath.
    pub core_tasks: bool,
    /// Whose aliases and overrides hold.
    pub platform: Platform,
    /// `[config]`, key by key.
    pub config: BTreeMap<Arc<str>, Field>,
    /// `[env]`; profiles are tables in it ([`form`]).
    pub env: BTreeMap<Arc<str>, Field>,
    /// `env_files`, in cargo-make's order: those of the file itself before what it extends.
    pub env_files: Vec<Field>,
    /// `env_scripts`, in the same order.
    pub env_scripts: Vec<Field>,
    /// The tasks, files merged, nothing resolved.
    pub tasks: BTreeMap<Arc<str>, Arc<Task>>,
    /// `[plugins.impl]`.
    pub plugins: BTreeMap<Arc<str>, Field>,
    /// `[plugins.aliases]`.
    pub plugin_aliases: BTreeMap<Arc<str>, Field>,
}

impl Makefile {
    /// What cargo-make runs for a name. Its `name` is that of the task that the aliases lead to.
    ///
    /// # Errors
    /// When the task, or one that it is an alias of or extends, is not there, or these lead in a circle.
    pub fn resolve(&self, name: &str) -> Result<Task, Unresolved> {
        merge::resolve(&self.tasks, name, self.platform, true)
    }

    /// The tasks that the directory's own file defines or adds to. Of a thousand members that extend the same
    /// files, these are what differs.
    pub fn own(&self) -> impl Iterator<Item = &Arc<Task>> {
        let own = self.file.as_ref().map(|file| &file.source);
        self.tasks.values().filter(move |task| {
            let last = task.definitions.last().map(|it| &it.source);
            own.zip(last)
                .is_some_and(|(own, last)| Arc::ptr_eq(own, last))
        })
    }

    /// The tasks that people see in `cargo make --list-all-steps`: neither private, nor cargo-make's own.
    #[must_use]
    pub fn is_listed(&self, task: &Task) -> bool {
        !task.is_private() && !task.is_internal()
    }

    /// The member's own or inherited names that are near a mistyped one, the nearest first.
    #[must_use]
    pub fn near(&self, name: &str) -> Option<&str> {
        crate::error::nearest(name, self.tasks.keys().map(|it| &**it))
    }
}

/// What is wrong with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    /// The file cannot be read.
    Unreadable,
    /// It has more than [`parse::LIMIT`] bytes.
    TooLarge,
    /// It is not UTF-8.
    NotUtf8,
    /// It is no TOML 1.0.
    Malformed,
    /// A value has a form that cargo-make does not take.
    WrongType,
    /// A file that it extends is not there.
    MissingExtend,
    /// Files extend each other in a circle.
    ExtendCycle,
    /// Variables need each other in a circle.
    EnvCycle,
}

/// A file that cargo-make would refuse: where, why, and what to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// What is wrong.
    pub kind: ProblemKind,
    /// The file.
    pub path: PathBuf,
    /// The file, as it is shown.
    pub shown: String,
    /// Where in it, if it is at one place.
    pub position: Option<Position>,
    /// Why.
    pub message: String,
    /// What to do.
    pub hint: String,
}

impl Problem {
    fn at(
        kind: ProblemKind,
        source: &Arc<Source>,
        span: Span,
        message: impl Into<String>,
    ) -> Problem {
        Problem {
            kind,
            path: source.path.clone(),
            shown: source.shown.clone(),
            position: Some(source.position(span.start)),
            message: message.into(),
            hint: String::new(),
        }
    }

    fn of_file(kind: ProblemKind, path: &Path, shown: &str, message: impl Into<String>) -> Problem {
        Problem {
            kind,
            path: path.to_path_buf(),
            shown: shown.to_owned(),
            position: None,
            message: message.into(),
            hint: String::new(),
        }
    }

    fn nowhere(kind: ProblemKind, message: impl Into<String>) -> Problem {
        Problem::of_file(kind, Path::new(""), "task files", message)
    }

    fn hint(mut self, hint: &str) -> Problem {
        hint.clone_into(&mut self.hint);
        self
    }

    /// `file:line:column`, or the file alone.
    #[must_use]
    pub fn place(&self) -> String {
        match self.position {
            Some(at) => format!("{}:{}:{}", self.shown, at.line, at.column),
            None => self.shown.clone(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place(), self.message)
    }
}

impl std::error::Error for Problem {}

impl From<Problem> for Fault {
    fn from(problem: Problem) -> Fault {
        Fault::usage(problem.to_string()).hint(problem.hint)
    }
}
