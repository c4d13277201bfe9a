//! Starting without cargo: with a real cargo, real edits, and never what is no longer true.
//!
//! Whether cargo was asked is seen by hiding it: with an empty PATH, only a launch that needs no cargo
//! ends well.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use crate::support::{Run, xtask};

/// A workspace whose `cargo xtask` is a small program that says what it was built from.
struct Workspace {
    dir: TempDir,
}

impl Workspace {
    fn new() -> Workspace {
        let it = Workspace {
            dir: tempfile::tempdir().unwrap(),
        };
        it.file(
            "Cargo.toml",
            "[workspace]\nresolver = \"3\"\nmembers = [\"task\", \"other\"]\n\
             [profile.tool]\ninherits = \"dev\"\ndebug = false\nincremental = false\n",
        );
        it.file(
            ".cargo/config.toml",
            "[alias]\nxtask = \"run --quiet --profile tool --package task --bin task --\"\n",
        );
        it.file(".config/xtask.toml", "");
        it.file(
            "task/Cargo.toml",
            &package("task", "needed = { path = \"../needed\" }\n"),
        );
        it.says("one");
        it.file("needed/Cargo.toml", &package("needed", ""));
        it.file("needed/src/lib.rs", "pub const WORD: &str = \"needed\";\n");
        it.file("other/Cargo.toml", &package("other", ""));
        it.file("other/src/lib.rs", "");
        it
    }

    fn root(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a file that is as old as if it had always been there.
    fn file(&self, path: &str, content: &str) {
        let path = path
            .split('/')
            .fold(self.root().to_path_buf(), |dir, part| dir.join(part));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        age(&path, 3600);
    }

    fn source(word: &str) -> String {
        format!(
            "fn main() {{\n    let args: Vec<String> = std::env::args().skip(1).collect();\n    \
             println!(\"{word} {{}} {{}}\", needed::WORD, args.join(\",\"));\n    \
             if args == [\"fail\"] {{ std::process::exit(7) }}\n}}\n"
        )
    }

    fn says(&self, word: &str) {
        self.file("task/src/main.rs", &Self::source(word));
    }

    /// An edit by a person, now.
    fn edit(&self, path: &str, content: &str) {
        self.file(path, content);
        let path = self.root().join(path);
        File::options()
            .write(true)
            .open(path)
            .unwrap()
            .set_modified(SystemTime::now())
            .unwrap();
    }

    /// The launcher, by the word that a task's command gives it.
    fn launcher(&self, directory: &str, args: &[&str]) -> Command {
        let mut command = Command::new(xtask());
        command
            .arg("xtask")
            .args(args)
            .current_dir(self.root().join(directory))
            .stdin(Stdio::null());
        for name in [
            "CARGO_TARGET_DIR",
            "RUSTFLAGS",
            "CARGO_INCREMENTAL",
            "CARGO_BUILD_TARGET",
        ] {
            command.env_remove(name);
        }
        command
    }

    fn launch(&self, args: &[&str]) -> Run {
        Run::of(&mut self.launcher("", args))
    }

    /// As [`Workspace::launch`], where no cargo is to be found.
    fn without_cargo(&self, directory: &str, args: &[&str]) -> Run {
        Run::of(hide_cargo(&mut self.launcher(directory, args)))
    }

    /// What cargo built is as old as it would be in a while, so that the next launch stamps it.
    fn warm(&self) {
        self.launch(&[]).code(0);
        self.without_cargo("", &[]).code(0);
    }
}

fn hide_cargo(command: &mut Command) -> &mut Command {
    command.env("PATH", "").env("CARGO", "no-cargo-is-here")
}

fn package(name: &str, dependencies: &str) -> String {
    format!(
        "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\n\
         [dependencies]\n{dependencies}"
    )
}

fn age(path: &Path, seconds: u64) {
    let time = SystemTime::now() - Duration::from_secs(seconds);
    File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_modified(time)
        .unwrap();
}

/// Without a lock file that is older than the build, nothing is stamped: it was made by that build.
fn settled() -> Workspace {
    let workspace = Workspace::new();
    workspace.launch(&[]).code(0);
    age(&workspace.root().join("Cargo.lock"), 3600);
    workspace.warm();
    workspace
}

#[test]
fn what_is_current_starts_without_cargo_from_everywhere() {
    let workspace = settled();
    for directory in ["", "task", "task/src", "other"] {
        let run = workspace.without_cargo(directory, &["a b", "--c"]).code(0);
        assert_eq!(run.stdout(), "one needed a b,--c\n");
    }
    assert_eq!(
        workspace.without_cargo("", &["fail"]).code(7).stdout(),
        "one needed fail\n"
    );
}

#[test]
fn an_edit_is_never_missed() {
    let workspace = settled();
    let out = |words: &str| format!("{words} \n");
    workspace.edit("task/src/main.rs", &Workspace::source("two"));
    workspace.without_cargo("", &[]).code(1);
    assert_eq!(workspace.launch(&[]).code(0).stdout(), out("two needed"));
    // Too young to be told from an edit that came while cargo worked.
    workspace.without_cargo("", &[]).code(1);
    age(&workspace.root().join("task/src/main.rs"), 60);
    workspace.warm();

    workspace.edit("needed/src/lib.rs", "pub const WORD: &str = \"changed\";\n");
    assert_eq!(workspace.launch(&[]).code(0).stdout(), out("two changed"));
    age(&workspace.root().join("needed/src/lib.rs"), 60);
    workspace.warm();

    // Older than before, and as long.
    workspace.says("six");
    assert_eq!(workspace.without_cargo("", &[]).code(1).stdout(), "");
    workspace.edit("task/src/main.rs", &Workspace::source("six"));
    assert_eq!(workspace.launch(&[]).code(0).stdout(), out("six changed"));
}

#[test]
fn a_new_file_or_variable_that_changes_the_build_asks_cargo() {
    let workspace = settled();
    for path in [
        "task/build.rs",
        "needed/build.rs",
        "rust-toolchain",
        "rust-toolchain.toml",
        ".cargo/config",
    ] {
        workspace.file(path, "");
        workspace.without_cargo("", &[]).code(1);
        fs::remove_file(workspace.root().join(path)).unwrap();
        workspace.without_cargo("", &[]).code(0);
    }
    // cargo obeys it from there on.
    workspace.file("other/.cargo/config.toml", "");
    workspace.without_cargo("other", &[]).code(1);
    workspace.without_cargo("task", &[]).code(0);
    for (name, value) in [
        ("RUSTFLAGS", "--cfg other"),
        ("RUSTUP_TOOLCHAIN", "another"),
        ("CARGO_PROFILE_TOOL_OPT_LEVEL", "1"),
        ("CARGO_TARGET_DIR", "elsewhere"),
    ] {
        let mut command = workspace.launcher("", &[]);
        Run::of(hide_cargo(&mut command).env(name, value)).code(1);
    }
    // The same in both, with a stamp for each.
    let mut flags = workspace.launcher("", &[]);
    Run::of(flags.env("RUSTFLAGS", "--cfg other")).code(0);
    Run::of(hide_cargo(&mut flags)).code(0);
}

#[test]
fn a_changed_manifest_lock_or_alias_asks_cargo() {
    let workspace = settled();
    for path in [
        "Cargo.toml",
        "Cargo.lock",
        "task/Cargo.toml",
        "needed/Cargo.toml",
        ".cargo/config.toml",
    ] {
        let file = workspace.root().join(path);
        let time = file.metadata().unwrap().modified().unwrap();
        age(&file, 1800);
        workspace.without_cargo("", &[]).code(1);
        File::options()
            .write(true)
            .open(&file)
            .unwrap()
            .set_modified(time)
            .unwrap();
        workspace.without_cargo("", &[]).code(0);
    }
    workspace.file(
        ".cargo/config.toml",
        "[alias]\nxtask = \"run --package task --bin task --\"\n",
    );
    workspace.without_cargo("", &[]).code(1);
    assert_eq!(workspace.launch(&[]).code(0).stdout(), "one needed \n");
}

#[test]
fn what_does_not_build_does_not_run_what_was_built_before() {
    let workspace = settled();
    workspace.edit("task/src/main.rs", "fn main() { no }");
    let run = workspace.launch(&[]).code(101);
    assert_eq!(run.stdout(), "");
    run.says("cannot find value `no`");
    workspace.launch(&[]).code(101);
}

#[test]
fn a_moved_or_copied_workspace_is_built_anew() {
    let workspace = settled();
    let moved = tempfile::tempdir().unwrap();
    let place = moved.path().join("with space");
    fs::rename(workspace.root(), &place).unwrap();
    let launch = || {
        let mut command = workspace.launcher("", &[]);
        command.current_dir(&place);
        command
    };
    Run::of(hide_cargo(&mut launch())).code(1);
    assert_eq!(Run::of(&mut launch()).code(0).stdout(), "one needed \n");
    Run::of(hide_cargo(&mut launch())).code(0);
}

#[test]
fn a_launch_that_was_killed_leaves_nothing_false() {
    let workspace = settled();
    for pause in [0, 20, 60, 120, 250] {
        let word = format!("w{pause}");
        workspace.edit("task/src/main.rs", &Workspace::source(&word));
        let mut child = workspace
            .launcher("", &[])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        thread::sleep(Duration::from_millis(pause));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(
            workspace.launch(&[]).code(0).stdout(),
            format!("{word} needed \n")
        );
    }
}

#[test]
fn several_at_once_all_run_what_is_true() {
    let workspace = settled();
    workspace.edit("task/src/main.rs", &Workspace::source("new"));
    thread::scope(|scope| {
        let runs: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| workspace.launch(&[])))
            .collect();
        for run in runs {
            assert_eq!(run.join().unwrap().code(0).stdout(), "new needed \n");
        }
    });
    // Edits that never pause: each launch says what was there when it began, or later.
    let mut seen = 0;
    for n in 0..4 {
        workspace.edit("task/src/main.rs", &Workspace::source(&n.to_string()));
        let out = workspace.launch(&[]).code(0).stdout();
        seen += usize::from(out == format!("{n} needed \n"));
    }
    assert_eq!(seen, 4);
}

#[test]
fn it_does_not_wait_for_the_workspace_to_build() {
    let workspace = settled();
    fs::create_dir_all(workspace.root().join("target/debug")).unwrap();
    let lock = File::create(workspace.root().join("target/debug/.cargo-lock")).unwrap();
    lock.lock().unwrap();
    workspace.edit("task/src/main.rs", &Workspace::source("free"));
    assert_eq!(workspace.launch(&[]).code(0).stdout(), "free needed \n");
}

#[test]
fn the_launcher_is_installed_beside_cargos_programs() {
    let workspace = settled();
    let bin = workspace.root().join("home").join("bin");
    let install = || {
        let mut command = Command::new(xtask());
        command
            .args(["--format", "json", "install-launcher"])
            .current_dir(workspace.root())
            .env_remove("CARGO_INSTALL_ROOT")
            .env("CARGO_HOME", workspace.root().join("home"));
        Run::of(&mut command).code(0).json()
    };
    let report = install();
    assert_eq!(report["changed"], true);
    let program = PathBuf::from(report["path"].as_str().unwrap());
    assert_eq!(program.parent(), Some(bin.as_path()));
    assert_eq!(install()["changed"], false);

    let mut command = workspace.launcher("other", &[]);
    let mut launcher = Command::new(&program);
    launcher
        .args(["xt", "x"])
        .current_dir(workspace.root().join("other"));
    for (name, value) in command.env("LC_ALL", "C").get_envs() {
        match value {
            Some(value) => launcher.env(name, value),
            None => launcher.env_remove(name),
        };
    }
    assert_eq!(
        Run::of(hide_cargo(&mut launcher)).code(0).stdout(),
        "one needed x\n"
    );
    // Where there is no such alias, it is cargo's business.
    let nowhere = tempfile::tempdir().unwrap();
    Run::of(launcher.current_dir(nowhere.path()))
        .code(1)
        .says("no-cargo-is-here");
}
