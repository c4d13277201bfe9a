//! `init`: the task layer in a workspace that does not have it yet.
//!
//! [`survey`] alone reads (files, and cargo's view of the members). All that is decided is decided on
//! that plain data by [`plan`], and a [`Plan`] is a list of files to write, in an order in which any
//! beginning of it can be finished by a second run: what is referred to comes before what refers to it,
//! and the manifest that makes the new crate a member after that crate.

pub mod baseline;
pub mod compose;
mod config_file;
mod manifest;
mod merge;
mod parts;
pub mod survey;
mod taskfile;
mod tasks;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Serialize;

use crate::error::Fault;
use crate::fsx;
use crate::platform;

pub use manifest::Library;
pub use survey::Survey;

/// The facts of a workspace.
const CONFIG: &str = ".config/xtask.toml";

/// What the user chose.
#[derive(Clone, Debug)]
pub struct Options {
    /// The directory, the binary and the alias of the new crate: `xtask`.
    pub name: String,
    /// Where the new crate finds this library.
    pub library: Library,
    /// The directory of the crate `xtask-db`, relative to the root, where it is known.
    pub database_crate: Option<String>,
    /// Whether what is there and differs is replaced.
    pub force: bool,
}

impl Options {
    /// The new crate's package name: not the library's, which cargo would find ambiguous.
    #[must_use]
    pub fn package(&self) -> String {
        format!("workspace-{}", self.name)
    }
}

/// A file to write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Relative to the root, `/` between its parts.
    pub path: String,
    /// What is there.
    #[serde(skip)]
    pub old: Option<String>,
    /// What will be.
    #[serde(skip)]
    pub new: String,
}

/// What a note is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Something is there already and differs: it stays, unless `--force` says otherwise.
    Conflict,
    /// A task that works as before, but is not translated: a person has to.
    Untranslated,
    /// Something that was not understood, or that the plan leaves to a person.
    Left,
    /// Something that was found, and where.
    Found,
}

/// Something to know about a plan.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Note {
    /// What it is about.
    pub kind: Kind,
    /// Where: relative to the root, `/` between its parts.
    pub file: String,
    /// From 1; 0 for the whole file.
    pub line: usize,
    /// What there is to say.
    pub message: String,
}

impl Note {
    fn new(kind: Kind, file: &str, line: usize, message: impl Into<String>) -> Note {
        Note {
            kind,
            file: file.to_owned(),
            line,
            message: message.into(),
        }
    }

    /// `file:line`, or the file alone.
    #[must_use]
    pub fn place(&self) -> String {
        match self.line {
            0 => self.file.clone(),
            line => format!("{}:{line}", self.file),
        }
    }
}

/// What there is to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Files to write, in this order. None that would stay as it is.
    pub changes: Vec<Change>,
    /// What to know about it, sorted.
    pub notes: Vec<Note>,
    /// The tasks of ours, by file.
    ours: BTreeMap<String, BTreeSet<String>>,
}

impl Plan {
    /// Adds a file, unless it stays as it is.
    fn write(&mut self, survey: &Survey, path: &str, new: String) {
        let old = survey.files.get(path).cloned();
        if old.as_deref() != Some(new.as_str()) {
            self.changes.push(Change {
                path: path.to_owned(),
                old,
                new,
            });
        }
    }

    /// The text of a file as it will be.
    fn text<'a>(&'a self, survey: &'a Survey, path: &str) -> Option<&'a str> {
        let changed = self.changes.iter().find(|it| it.path == path);
        changed
            .map(|it| &it.new)
            .or_else(|| survey.files.get(path))
            .map(String::as_str)
    }

    /// Another text for a file.
    fn replace(&mut self, survey: &Survey, path: &str, new: String) {
        match self.changes.iter_mut().find(|it| it.path == path) {
            Some(change) => change.new = new,
            None => self.write(survey, path, new),
        }
    }

    /// Adds a file where there is none; another one is a conflict.
    fn create(&mut self, survey: &Survey, options: &Options, path: &str, new: String) {
        match survey.files.get(path) {
            Some(old) if *old != new && !options.force => {
                self.note(
                    Kind::Conflict,
                    path,
                    0,
                    "is there already, and stays as it is",
                );
            }
            _ => self.write(survey, path, new),
        }
    }

    fn note(&mut self, kind: Kind, file: &str, line: usize, message: impl Into<String>) {
        self.notes.push(Note::new(kind, file, line, message));
    }
}

/// Decides what to write. Pure.
///
/// # Errors
/// When a file that has to be understood is malformed, with its place; when the name of the new crate
/// is taken.
pub fn plan(survey: &Survey, options: &Options) -> Result<Plan, Fault> {
    let mut plan = Plan::default();
    // After a first run the new crate is a member; it is to be treated as before that.
    let mut survey = survey.clone();
    let package = options.package();
    survey.members.retain(|it| it.name != package);
    let survey = &survey;
    let facts = config_file::Facts::find(survey, options, &mut plan);
    manifest::check_name(survey, options)?;
    let mut files = tasks::files(survey, options, &facts);
    merge::yield_names(survey, options, &mut files)?;
    for file in &files {
        merge::write(survey, options, &files, file, &mut plan)?;
        let names = file.tasks.iter().map(|it| it.name.clone()).collect();
        plan.ours.insert(file.path.clone(), names);
    }
    let nextest = config_file::nextest(survey, &mut plan.notes)?;
    plan.write(survey, ".config/nextest.toml", nextest);
    let config = survey.files.get(CONFIG).map_or("", String::as_str);
    if !config.starts_with(config_file::MARK) || options.force {
        plan.create(survey, options, CONFIG, facts.render(survey, options));
    }
    manifest::write_crate(survey, options, &mut plan);
    manifest::write_alias(survey, options, &mut plan)?;
    manifest::write_members(survey, options, &mut plan)?;
    plan.notes.sort();
    plan.notes.dedup();
    Ok(plan)
}

/// Writes the files of a plan, each whole or not at all. Returns how many.
///
/// # Errors
/// At the first that fails, or after Ctrl-C: a second run does the rest.
pub fn apply(root: &Path, changes: &[Change]) -> anyhow::Result<usize> {
    for change in changes {
        if platform::interrupted() {
            return Err(Fault::interrupted().into());
        }
        let path = change
            .path
            .split('/')
            .fold(root.to_path_buf(), |path, part| path.join(part));
        fsx::atomic_write(&path, change.new.as_bytes(), fsx::Access::Default)?;
    }
    Ok(changes.len())
}
