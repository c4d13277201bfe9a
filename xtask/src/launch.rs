//! Starting xtask without cargo, where nothing has changed since cargo built it.
//!
//! `cargo xtask` asks cargo each time, and cargo reads the whole workspace to answer. This module answers
//! by a stamp: what the program was built from, as sizes and times of files. Whatever it is not sure of,
//! cargo decides. `docs/launching.md` says who starts what.
//!
//! Two words make a program of ours a launcher: the name `cargo-xt`, and `xtask` as the first argument
//! (where a task's command is the program instead of `cargo`).

mod alias;
mod stamp;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::SystemTime;

pub use alias::{Alias, executable};

use crate::cmd::GlobalArgs;
use crate::term::Term;
use crate::{platform, proc, workspace};
use stamp::Stamp;

/// The launcher's name: a subcommand of cargo, `cargo xt`.
pub const PROGRAM: &str = "cargo-xt";

/// What a start means.
#[derive(Debug)]
pub enum Start {
    /// Go on in this process, with these arguments.
    Here(Vec<OsString>),
    /// Another program has done the work.
    Ended(ExitCode),
}

/// Decides by the arguments (with the program's own name first), and launches where it has to.
#[must_use]
pub fn start(args: impl IntoIterator<Item = OsString>) -> Start {
    let args: Vec<OsString> = args.into_iter().collect();
    match asked_for(&args) {
        None => Start::Here(args),
        Some(rest) => launch(rest),
    }
}

/// The arguments of a launch, or that this is none.
fn asked_for(args: &[OsString]) -> Option<&[OsString]> {
    let (program, rest) = args.split_first()?;
    let word = |word: &str| rest.split_first().filter(|(first, _)| *first == word);
    if Path::new(program).file_stem() == Some(OsStr::new(PROGRAM)) {
        // `cargo xt ARGS` is `cargo-xt xt ARGS`.
        return Some(word("xt").map_or(rest, |(_, rest)| rest));
    }
    word("xtask").map(|(_, rest)| rest)
}

fn launch(args: &[OsString]) -> Start {
    let Some(place) = Place::find() else {
        return Start::Ended(ask_cargo(args));
    };
    let program = place.program();
    if place.current(&program) {
        if platform::runs(&program) {
            let program = std::iter::once(program.into_os_string());
            return Start::Here(program.chain(args.iter().cloned()).collect());
        }
        return Start::Ended(become_of(Command::new(program).args(args)));
    }
    Start::Ended(match place.build() {
        // Never on in this process: it may be what was there before.
        Ok(program) => become_of(Command::new(program).args(args)),
        Err(code) => code,
    })
}

/// `cargo xtask`, by whatever that means there.
fn ask_cargo(args: &[OsString]) -> ExitCode {
    let mut command = Command::new(cargo());
    // It may lead to us.
    command
        .arg("xtask")
        .args(args)
        .env_remove("CARGO_ALIAS_XTASK");
    become_of(&mut command)
}

fn become_of(command: &mut Command) -> ExitCode {
    platform::become_of(command).map_or_else(
        |error| {
            failure(&format!(
                "failed to start `{}`: {error:#}",
                proc::display(command)
            ))
        },
        ExitCode::from,
    )
}

/// Says why it ends; a stderr that takes nothing is no reason to end otherwise.
fn failure(message: &str) -> ExitCode {
    Term::new(&GlobalArgs::default()).error(&anyhow::anyhow!("{message}"));
    ExitCode::FAILURE
}

fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Where we stand, and what `cargo xtask` means there.
struct Place {
    here: PathBuf,
    root: PathBuf,
    alias: Alias,
}

impl Place {
    /// `None` where only cargo can say.
    fn find() -> Option<Place> {
        let here = std::env::current_dir().ok()?;
        let root = workspace::find_root(&here).ok()?;
        // cargo obeys each configuration on its way up from here: below the root there must be none.
        let below = here.ancestors().take_while(|dir| *dir != root);
        if below.flat_map(stamp::configurations).any(|it| it.exists()) {
            return None;
        }
        let alias = Alias::read(&root)?;
        Some(Place { here, root, alias })
    }

    /// Where cargo puts the program, unless a configuration says otherwise: then nothing is there.
    fn program(&self) -> PathBuf {
        let target = match std::env::var_os("CARGO_TARGET_DIR") {
            Some(dir) if !dir.is_empty() => self.here.join(dir),
            _ => self.root.join("target"),
        };
        target
            .join(&self.alias.directory)
            .join(self.alias.program())
    }

    fn current(&self, program: &Path) -> bool {
        Stamp::read(program).is_some_and(|it| it.holds(&self.root, program))
    }

    /// Has cargo build the program and name it. What was built is stamped, where that is safe.
    fn build(&self) -> Result<PathBuf, ExitCode> {
        let since = SystemTime::now();
        let mut command = Command::new(cargo());
        command
            .args(&self.alias.build)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit());
        let output = command.output().map_err(|error| {
            failure(&format!(
                "failed to start `{}`: {error}",
                proc::display(&command)
            ))
        })?;
        if !output.status.success() {
            return Err(proc::exit_of(output.status).into());
        }
        let Some(program) = executable(&String::from_utf8_lossy(&output.stdout)) else {
            return Err(failure("cargo names no program that it has built"));
        };
        if let Some(stamp) = Stamp::of(&self.root, &program, since) {
            // Without it, the next start asks cargo again.
            let _ = stamp.write(&program);
        }
        Ok(program)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_or_a_word_makes_a_launcher() {
        let asked = |line: &str| {
            let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            asked_for(&args).map(|rest| rest.to_vec().join(OsStr::new(" ")))
        };
        assert_eq!(asked("/t/xtask db url"), None);
        assert_eq!(asked("xtask"), None);
        assert_eq!(asked("/t/xtask xtask db url"), Some("db url".into()));
        assert_eq!(asked("/c/bin/cargo-xt xt db url"), Some("db url".into()));
        assert_eq!(asked("cargo-xt.exe db url"), Some("db url".into()));
        assert_eq!(asked("cargo-xt xtask db"), Some("xtask db".into()));
    }
}
