//! The context that every command gets: built once, passed first.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::Context as _;

use crate::cmd::{self, NoCommands};
use crate::config::Config;
use crate::error::Fault;
use crate::term::Term;
use crate::workspace;

/// What a command may look at: the workspace, the terminal, the process environment.
#[derive(Debug)]
pub struct Cx {
    /// The workspace's root, absolute.
    pub root: PathBuf,
    /// Where the user stands (or `-C`), absolute.
    pub cwd: PathBuf,
    /// Where to talk.
    pub term: Term,
    /// The process environment that is valid Unicode, read once.
    pub env: BTreeMap<String, String>,
    /// The rest of it, whose names or values are not Unicode. Children inherit it.
    pub not_unicode: BTreeMap<OsString, OsString>,
    /// The whole command line: what completions are made of.
    pub(crate) command_line: fn() -> clap::Command,
    config: OnceLock<Config>,
}

/// Where a command can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a workspace, in any of its directories.
    Workspace,
    /// In any directory; outside of a workspace that directory stands for the root.
    Anywhere,
}

impl Cx {
    /// Finds the workspace from `directory`, or from where the process stands.
    ///
    /// # Errors
    /// When the directory or a workspace around it cannot be found.
    pub fn new(term: Term, directory: Option<&Path>) -> anyhow::Result<Cx> {
        Cx::at(term, directory, Place::Workspace)
    }

    /// As [`Cx::new`], for a command that can run where `place` says.
    ///
    /// # Errors
    /// As [`Cx::new`].
    pub fn at(term: Term, directory: Option<&Path>, place: Place) -> anyhow::Result<Cx> {
        let here = std::env::current_dir().context("failed to find the current directory")?;
        let cwd = match directory {
            Some(directory) => {
                let path = here.join(directory);
                if !path.is_dir() {
                    return Err(Fault::usage(format!(
                        "`{}` (of `-C`) is not a directory",
                        directory.display()
                    ))
                    .into());
                }
                path
            }
            None => here,
        };
        let root = match workspace::find_root(&cwd) {
            Err(_) if place == Place::Anywhere => cwd.clone(),
            found => found?,
        };
        if place == Place::Workspace && root.to_str().is_none() {
            // cargo's own `metadata` fails there, and so does cargo-make.
            return Err(Fault::usage(format!(
                "the path of the workspace `{}` is not valid Unicode",
                root.display()
            ))
            .hint("rename the directory: cargo cannot work in it, either")
            .into());
        }
        let mut env = BTreeMap::new();
        let mut not_unicode = BTreeMap::new();
        for (name, value) in std::env::vars_os() {
            if let (Some(name), Some(value)) = (name.to_str(), value.to_str()) {
                env.insert(name.to_owned(), value.to_owned());
            } else {
                not_unicode.insert(name, value);
            }
        }
        Ok(Cx {
            root,
            cwd,
            term,
            env,
            not_unicode,
            command_line: cmd::command_line::<NoCommands>,
            config: OnceLock::new(),
        })
    }

    /// The context of a program with this command line.
    pub(crate) fn with_command_line(self, command_line: fn() -> clap::Command) -> Cx {
        Cx {
            command_line,
            ..self
        }
    }

    /// `.config/xtask.toml`, read and checked once. An absent file is an empty configuration.
    ///
    /// # Errors
    /// When the file is malformed: the message has its line and column.
    pub fn config(&self) -> anyhow::Result<&Config> {
        if let Some(config) = self.config.get() {
            return Ok(config);
        }
        let config = Config::load(&workspace::config_path(&self.root))?;
        Ok(self.config.get_or_init(|| config))
    }

    /// Whether this run is in CI (`CI=true` or `CI=1`).
    #[must_use]
    pub fn ci(&self) -> bool {
        self.env
            .get("CI")
            .is_some_and(|value| value == "true" || value == "1")
    }

    /// Cargo's target directory: `CARGO_TARGET_DIR`, else `target` under the root.
    #[must_use]
    pub fn target_dir(&self) -> PathBuf {
        let named = self.os("CARGO_TARGET_DIR");
        self.root.join(named.unwrap_or("target".as_ref()))
    }

    /// Where we keep state of our own (logs, pid files, the embedded cluster): `target/xtask`.
    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        self.target_dir().join("xtask")
    }

    /// The cargo to call: the one that runs us, else the one on PATH.
    #[must_use]
    pub fn cargo(&self) -> &OsStr {
        self.os("CARGO").unwrap_or("cargo".as_ref())
    }

    /// A variable of the process that names a file or a directory, which need not be Unicode; an empty
    /// one is none.
    #[must_use]
    pub fn os(&self, name: &str) -> Option<&OsStr> {
        let unicode = self.env.get(name).map(OsStr::new);
        let value = unicode.or_else(|| Some(self.not_unicode.get(OsStr::new(name))?.as_os_str()));
        value.filter(|it| !it.is_empty())
    }
}
