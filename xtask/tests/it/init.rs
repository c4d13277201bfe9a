//! `cargo xtask init` on workspaces of other shapes: the plan, the files, and the real tools after it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard};

use expect_test::expect_file;
use tempfile::TempDir;

use crate::support::Run;

/// A workspace of `fixtures/init`, in a directory with a name that is always the same.
struct Foreign {
    dir: TempDir,
}

impl Foreign {
    fn new(name: &str) -> Foreign {
        let text = fs::read_to_string(fixtures().join(format!("{name}.txt"))).unwrap();
        let foreign = Foreign {
            dir: tempfile::tempdir().unwrap(),
        };
        for section in format!("\n{text}").split("\n== ").skip(1) {
            let (path, content) = section.split_once('\n').unwrap();
            // The newline of the last line was taken for the separator.
            let content = content.strip_suffix('\n').unwrap_or(content);
            foreign.write(path, &format!("{content}\n"));
        }
        foreign
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("theirs")
    }

    fn path(&self, path: &str) -> PathBuf {
        path.split('/').fold(self.root(), |at, part| at.join(part))
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(args)
            .current_dir(self.root())
            .env_clear()
            .stdin(Stdio::null());
        for name in [
            "PATH",
            "HOME",
            "CARGO_HOME",
            "RUSTUP_HOME",
            "SystemRoot",
            "TEMP",
            "TMP",
            "USERPROFILE",
        ] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
    }

    /// `xtask init` with the library that is under test.
    fn init(&self, args: &[&str]) -> Run {
        let args = [&["init", "--xtask", env!("CARGO_MANIFEST_DIR")], args].concat();
        Run::of(&mut self.command(env!("CARGO_BIN_EXE_xtask"), &args))
    }

    /// Every file, with its text.
    fn files(&self) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        collect(&self.root(), "", &mut found);
        found
    }
}

fn collect(root: &Path, shown: &str, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(root.join(shown)).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let path = if shown.is_empty() {
            name
        } else {
            format!("{shown}/{name}")
        };
        if entry.file_type().unwrap().is_dir() {
            collect(root, &path, found);
        } else {
            found.insert(path, fs::read_to_string(entry.path()).unwrap());
        }
    }
}

fn fixtures() -> PathBuf {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    all.join("fixtures").join("init")
}

/// The plan is as recorded, a second run changes nothing, and the result passes the linter with every
/// rule at deny.
#[track_caller]
fn adopts(name: &str) {
    let foreign = Foreign::new(name);
    let before = foreign.files();
    let planned = foreign.init(&["--dry-run"]).code(0);
    assert_eq!(foreign.files(), before, "a dry run writes nothing");
    let library = env!("CARGO_MANIFEST_DIR").replace('\\', "/");
    let shown =
        format!("{}\n{}", planned.stdout(), planned.stderr()).replace(&library, "[LIBRARY]");
    for secret in ["planted-secret", "planted-token"] {
        assert!(!shown.contains(secret), "{secret}");
    }
    expect_file![fixtures().join(format!("{name}.plan"))].assert_eq(&shown);

    // Without a terminal and without `--yes` it only shows.
    foreign.init(&[]).code(0).says("nothing was written");
    assert_eq!(foreign.files(), before);

    foreign.init(&["--yes"]).code(0).says("Wrote");
    let once = foreign.files();
    for (path, text) in &before {
        let kept = once.get(path).unwrap_or_else(|| panic!("{path} is gone"));
        let mut lines = kept.lines();
        for line in text
            .lines()
            .filter(|line| !line.contains("members = [\"lib"))
        {
            let there = lines.any(|it| it == line) || line.starts_with("extend = ");
            assert!(there, "{path} has lost {line:?}");
        }
    }
    foreign
        .init(&["--yes"])
        .code(0)
        .says("everything is there already");
    assert_eq!(foreign.files(), once, "a second run changes no byte");
    let member = once.keys().find(|it| it.ends_with("src/lib.rs")).unwrap();
    let mut below = foreign.command(env!("CARGO_BIN_EXE_xtask"), &["init", "--dry-run"]);
    Run::of(below.current_dir(foreign.path(member).parent().unwrap()))
        .code(0)
        .says("everything is there already");

    Run::of(&mut foreign.command(env!("CARGO_BIN_EXE_xtask"), &["tasks", "check"])).code(0);
    Run::of(&mut foreign.command(env!("CARGO_BIN_EXE_xtask"), &["--format", "json", "env"]))
        .code(0);
}

#[test]
fn a_single_crate() {
    adopts("single");
}

#[test]
fn a_virtual_workspace() {
    adopts("virtual");
}

#[test]
fn a_root_package_with_members() {
    adopts("root-package");
}

#[test]
fn nested_and_excluded_members() {
    adopts("nested");
}

#[test]
fn several_languages_and_old_task_files() {
    adopts("polyglot");
}
