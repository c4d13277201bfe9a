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
    // The alias last: it leans on the others.
    let alias = manifest::Alias::of(survey, options)?;
    manifest::write_root(survey, options, &alias, &mut plan)?;
    alias.write(survey, options, &mut plan);
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::init::survey::Member;

    fn options() -> Options {
        Options {
            name: "xtask".to_owned(),
            library: Library::Version("1".to_owned()),
            database_crate: None,
            force: false,
        }
    }

    /// A virtual workspace of one member with these further files.
    fn survey(files: &[(&str, &str)]) -> Survey {
        let mut survey = Survey {
            name: "w".to_owned(),
            members: vec![Member {
                name: "a".to_owned(),
                directory: "crates/a".to_owned(),
                unit_tests: true,
                default: true,
                ..Member::default()
            }],
            ..Survey::default()
        };
        let manifest = ("Cargo.toml", "[workspace]\nmembers = [\"crates/*\"]\n");
        for (path, text) in files.iter().chain([&manifest]) {
            survey.names.insert((*path).to_owned());
            survey.files.insert((*path).to_owned(), (*text).to_owned());
        }
        survey
    }

    /// The workspace after a plan, as it would be read again.
    fn after(survey: &Survey, plan: &Plan) -> Survey {
        let mut survey = survey.clone();
        for change in &plan.changes {
            survey.names.insert(change.path.clone());
            survey.files.insert(change.path.clone(), change.new.clone());
        }
        survey.has_default_members = survey.files["Cargo.toml"].contains("default-members");
        survey.members.push(Member {
            name: options().package(),
            directory: "xtask".to_owned(),
            programs: vec!["xtask".to_owned()],
            ..Member::default()
        });
        survey
    }

    fn text_of(plan: &Plan, path: &str) -> String {
        let change = plan.changes.iter().find(|it| it.path == path);
        change.map_or_else(String::new, |it| it.new.clone())
    }

    #[test]
    fn the_new_crate_comes_before_the_manifest_that_makes_it_a_member() {
        let plan = plan(&survey(&[]), &options()).unwrap();
        let paths: Vec<&str> = plan.changes.iter().map(|it| it.path.as_str()).collect();
        let at = |path: &str| paths.iter().position(|it| *it == path).unwrap();
        assert!(at("xtask/src/main.rs") < at("xtask/Cargo.toml"));
        assert!(at("xtask/Cargo.toml") < at("Cargo.toml"));
        assert!(at("cargo-make/base-tasks.toml") < at("crates/a/Makefile.toml"));
        assert!(at("cargo-make/ci-integration.toml") < at("Makefile.toml"));
    }

    #[test]
    fn lists_of_members_keep_their_layout_and_comments() {
        for (before, expected) in [
            (
                "[workspace]\nmembers = [\"crates/a\"]\ndefault-members = [\"crates/a\"]\n",
                "[workspace]\nmembers = [\"crates/a\", \"xtask\"]\ndefault-members = [\"crates/a\"]\n",
            ),
            (
                "[workspace]\nmembers = [\n  \"crates/a\", # one\n  # the end\n]\n",
                "[workspace]\nmembers = [\n  \"crates/a\", # one\n  # the end\n  \"xtask\",\n]\ndefault-members = [\"crates/a\"]\n",
            ),
            (
                "[workspace]\nmembers = [\n  \"crates/a\" # one\n]\n",
                "[workspace]\nmembers = [\n  \"crates/a\", # one\n  \"xtask\"\n]\ndefault-members = [\"crates/a\"]\n",
            ),
            // The pattern has the new crate already, and must not be what a plain build means.
            (
                "[workspace]\nmembers = [\"*\", \"crates/*\"]\n",
                "[workspace]\nmembers = [\"*\", \"crates/*\"]\ndefault-members = [\"crates/*\"]\n",
            ),
            (
                "[workspace]\nmembers = [\"**\"]\n",
                "[workspace]\nmembers = [\"**\"]\ndefault-members = [\"crates/a\"]\n",
            ),
        ] {
            let mut survey = survey(&[]);
            survey.has_default_members = before.contains("default-members");
            survey
                .files
                .insert("Cargo.toml".to_owned(), before.to_owned());
            let plan = plan(&survey, &options()).unwrap();
            let new = text_of(&plan, "Cargo.toml");
            let (members, profile) = new
                .split_once("\n# What `cargo xtask` is built with")
                .unwrap();
            assert_eq!(members, expected);
            assert!(profile.contains("[profile.tool]\ninherits = \"dev\"\n"));
        }
    }

    #[test]
    fn the_profile_is_added_where_our_alias_needs_it() {
        let manifest = |text: &str, aliases: &str| {
            let text = format!("[workspace]\nmembers = [\"a\", \"xtask\"]\n{text}");
            let mut survey = survey(&[(".cargo/config.toml", aliases)]);
            survey.files.insert("Cargo.toml".to_owned(), text.clone());
            let plan = plan(&survey, &options()).unwrap();
            let new = text_of(&plan, "Cargo.toml");
            if new.is_empty() { text } else { new }
        };
        for (before, tables) in [
            ("", true),
            ("[profile.dev]\ndebug = 1\n", true),
            ("profile.dev.debug = 1\n", true),
            ("[profile]\ndev = { debug = 1 }\n", true),
            ("[profile.tool]\ninherits = \"release\"\n", false),
        ] {
            let new = manifest(before, "");
            let read: toml_edit::DocumentMut = new.parse().unwrap();
            let tool = &read["profile"]["tool"];
            let expected = if tables { "dev" } else { "release" };
            assert_eq!(tool["inherits"].as_str(), Some(expected), "{new}");
        }
        let inline = "profile = { dev = { debug = 1 } }\n";
        let text = format!("{inline}[workspace]\nmembers = [\"a\", \"xtask\"]\n");
        let mut survey = survey(&[]);
        survey.files.insert("Cargo.toml".to_owned(), text);
        let plan = plan(&survey, &options()).unwrap();
        let read: toml_edit::DocumentMut = text_of(&plan, "Cargo.toml").parse().unwrap();
        assert_eq!(read["profile"]["tool"]["inherits"].as_str(), Some("dev"));
        assert_eq!(read["profile"]["dev"]["debug"].as_integer(), Some(1));
        assert!(!manifest("", "[alias]\nxtask = \"run -p mine\"\n").contains("tool"));
    }

    #[test]
    fn an_old_alias_file_without_suffix_is_the_one_that_cargo_reads() {
        let survey = survey(&[(".cargo/config", "[alias]\nb = \"build\"\n")]);
        let plan = plan(&survey, &options()).unwrap();
        assert!(text_of(&plan, ".cargo/config").contains("b = \"build\"\nxtask = "));
        assert_eq!(text_of(&plan, ".cargo/config.toml"), "");
    }

    #[test]
    fn a_password_is_never_copied() {
        let survey = survey(&[
            (
                ".env",
                "DATABASE_URL=postgres://me:hush@localhost/x\nAPI_KEY=hush\n",
            ),
            (
                "compose.yaml",
                "services:\n  db:\n    image: postgres\n    environment: { POSTGRES_PASSWORD: hush }\n",
            ),
        ]);
        let plan = plan(&survey, &options()).unwrap();
        assert!(text_of(&plan, CONFIG).contains("name = \"x\"\nrole = \"me\""));
        assert!(
            !format!(
                "{:?}{:?}",
                plan.changes.iter().map(|it| &it.new).collect::<Vec<_>>(),
                plan.notes
            )
            .contains("hush")
        );
    }

    /// Names that are ours, theirs and cargo-make's, with bodies of every kind.
    fn legacy() -> impl Strategy<Value = String> {
        let names = prop_oneof![
            Just("build"),
            Just("test"),
            Just("ci-flow"),
            Just("check-services"),
            Just("deploy"),
            Just("base-cargo"),
            Just("format"),
        ];
        let bodies = prop_oneof![
            Just("script = '''\necho a\n'''\n"),
            Just("script = [\"echo a\"]\nscript_runner = \"bash\"\n"),
            Just("dependencies = [\"pre-build\", \"build\"]\n"),
            Just("args = [\"a\"]\n"),
            Just("workspace = false\ncommand = \"echo\"\n# inside\nargs = [\"a\"]\n"),
            Just("run_task = { name = [\"build\"] }\n"),
            Just("extend = \"deploy\"\n[tasks.NAME.env]\nA = \"1\"\n"),
        ];
        let tops = prop_oneof![
            Just(""),
            Just("# top\n\n"),
            Just("# near\n"),
            Just("extend = \"other.toml\"\n"),
            Just(
                "extend = [{ path = \"other.toml\" }, { path = \"cargo-make/base-tasks.toml\" }]\n"
            ),
            Just("[config]\nskip_core_tasks = true\n"),
            Just("# c\n[env]\nA = \"1\" # one\n\n[config]\ndefault_to_workspace = true\n"),
        ];
        (tops, proptest::collection::btree_map(names, bodies, 0..5)).prop_map(|(top, tasks)| {
            let tasks: String = tasks
                .into_iter()
                .map(|(name, body)| {
                    format!(
                        "\n# about {name}\n[tasks.{name}]\n{}",
                        body.replace("NAME", name)
                    )
                })
                .collect();
            format!("{top}{tasks}")
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_is_there_stays_and_twice_is_once(root in legacy(), member in legacy()) {
            let before = survey(&[
                ("Makefile.toml", &root),
                ("crates/a/Makefile.toml", &member.replace("cargo-make/", "../../cargo-make/")),
                ("other.toml", "[tasks.deploy]\ncommand = \"echo\"\n"),
                ("crates/a/other.toml", "[tasks.lint]\ncommand = \"echo\"\n"),
            ]);
            let first = plan(&before, &options()).unwrap();
            let later = after(&before, &first);
            for (path, text) in &before.files {
                let mut lines = later.files[path].lines();
                let grows = |it: &&str| it.starts_with("extend = [{") || it.starts_with("extend = \"other") || it.starts_with("members");
                for line in text.lines().filter(|it| !it.is_empty() && !grows(it)) {
                    prop_assert!(lines.any(|it| it == line), "{path} lost {line}\n{}", later.files[path]);
                }
            }
            let second = plan(&later, &options()).unwrap();
            prop_assert_eq!(second.changes, Vec::new());
            // No task of ours came under a name that the file has otherwise.
            let text = &later.files["Makefile.toml"];
            prop_assert!(toml_edit::de::from_str::<serde_json::Value>(text).is_ok(), "{text}");
        }
    }
}
