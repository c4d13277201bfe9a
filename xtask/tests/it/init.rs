//! `cargo xtask init` on workspaces of other shapes: the plan, the files, and the real tools after it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard};

use expect_test::expect_file;
use tempfile::TempDir;

use crate::support::{self, Run};

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

    fn command(&self, program: impl AsRef<OsStr>, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(args)
            .current_dir(self.root())
            .stdin(Stdio::null());
        support::clear_env(&mut command);
        command
    }

    fn xtask(&self, args: &[&str]) -> Run {
        Run::of(&mut self.command(support::xtask(), args))
    }

    /// `xtask init` with the library that is under test.
    fn init(&self, args: &[&str]) -> Run {
        let library = library();
        let args = [&["init", "--xtask", library.as_str()], args].concat();
        self.xtask(&args)
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
    let tests = support::root().join("xtask").join("tests");
    tests.join("fixtures").join("init")
}

/// The directory of the library, with `/` on every platform.
fn library() -> String {
    slashes(&support::root().join("xtask"))
}

fn slashes(path: &Path) -> String {
    path.display().to_string().replace('\\', "/")
}

/// The plan is as recorded, a second run changes nothing, and the result passes the linter with every
/// rule at deny.
#[track_caller]
fn adopts(name: &str) {
    let foreign = Foreign::new(name);
    let before = foreign.files();
    let planned = foreign.init(&["--dry-run"]).code(0);
    assert_eq!(foreign.files(), before, "a dry run writes nothing");
    let shown = format!("{}\n{}", planned.stdout(), planned.stderr());
    // Where the library is, is another matter in each checkout.
    let place = |line: &str| match line.split_once(" = ") {
        Some((key @ ("+xtask" | "+xtask_db"), value))
            if value.contains("xtask") && !value.contains("run ") =>
        {
            format!("{key} = [PLACE]\n")
        }
        _ => format!("{line}\n"),
    };
    let shown: String = shown.lines().map(place).collect();
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
        // These two lists grow.
        let grows = |it: &&str| it.starts_with("members = ") || it.starts_with("extend = ");
        for line in text.lines().filter(|it| !it.is_empty() && !grows(it)) {
            assert!(lines.any(|it| it == line), "{path} has lost {line:?}");
        }
    }
    foreign
        .init(&["--yes"])
        .code(0)
        .says("everything is there already");
    assert_eq!(foreign.files(), once, "a second run changes no byte");
    let member = once.keys().find(|it| it.ends_with("/Makefile.toml"));
    let below = foreign.path(member.unwrap());
    let below = below.parent().unwrap().display().to_string();
    foreign
        .init(&["--dry-run", &below])
        .code(0)
        .says("everything is there already");

    foreign.xtask(&["tasks", "check"]).code(0);
    foreign.xtask(&["--format", "json", "env"]).code(0);
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

/// Whatever ends the first run in the middle, a second one does the rest, and the result is the same.
#[track_caller]
fn can_be_finished(name: &str) {
    let whole = Foreign::new(name);
    let changes = planned(&whole);
    let count = changes.len();
    xtask::init::apply(&whole.root(), &changes).unwrap();
    let expected = whole.files();
    assert!(count > 8, "{count}");
    for written in 1..count {
        let foreign = Foreign::new(name);
        let changes = planned(&foreign);
        xtask::init::apply(&foreign.root(), &changes[..written]).unwrap();
        xtask::init::apply(&foreign.root(), &planned(&foreign)).unwrap();
        let finished = foreign.files();
        let differ: Vec<&String> = expected
            .keys()
            .chain(finished.keys())
            .filter(|it| finished.get(*it) != expected.get(*it))
            .collect();
        assert_eq!(differ, Vec::<&String>::new(), "broken off after {written}");
    }
}

#[test]
fn any_beginning_of_a_plan_for_one_crate_can_be_finished() {
    can_be_finished("single");
}

#[test]
fn any_beginning_of_a_plan_for_a_workspace_can_be_finished() {
    can_be_finished("virtual");
}

#[test]
fn any_beginning_of_a_plan_over_core_tasks_can_be_finished() {
    can_be_finished("root-package");
}

#[test]
fn any_beginning_of_a_plan_for_several_languages_can_be_finished() {
    can_be_finished("polyglot");
}

/// The files that `init` would write, in their order.
fn planned(foreign: &Foreign) -> Vec<xtask::init::Change> {
    use xtask::init::{Library, Options, baseline, plan, survey};
    let term = xtask::term::Term::plain();
    let place = xtask::cx::Place::Anywhere;
    let cx = xtask::Cx::at(term, Some(&foreign.root()), place).unwrap();
    let (root, survey) = survey::read(&cx, &foreign.root()).unwrap();
    let options = Options {
        name: "xtask".to_owned(),
        library: Library::Path(library()),
        database_crate: Some(slashes(&support::root().join("xtask-db"))),
        force: false,
    };
    let mut plan = plan(&survey, &options).unwrap();
    baseline::settle(&root, &survey, &mut plan).unwrap();
    plan.changes
}

#[test]
fn a_write_that_fails_leaves_whole_files_and_a_way_on() {
    let foreign = Foreign::new("virtual");
    // In the way of a directory, as a full disk would be.
    foreign.write(".config", "a file\n");
    foreign
        .init(&["--yes"])
        .code(1)
        .says("failed to")
        .says("run `init` again to finish");
    let half = foreign.files();
    assert!(!half.keys().any(|it| it.ends_with(".tmp")), "{half:?}");
    fs::remove_file(foreign.path(".config")).unwrap();
    foreign.init(&["--yes"]).code(0);
    let whole = Foreign::new("virtual");
    whole.init(&["--yes"]).code(0);
    assert_eq!(foreign.files(), whole.files());
}

/// The directory is named from where one stands, or from where `-C` says.
#[test]
fn a_directory_below_is_found_by_its_name() {
    let foreign = Foreign::new("virtual");
    let library = library();
    let init = ["init", "theirs", "--dry-run", "--xtask", library.as_str()];
    let parent = foreign.dir.path();
    let mut command = foreign.command(support::xtask(), &init);
    Run::of(command.current_dir(parent)).code(0);
    let parent = parent.display().to_string();
    let args = [&["-C", parent.as_str()], &init[..]].concat();
    foreign.xtask(&args).code(0);
}

#[test]
fn another_xtask_is_left_alone_and_a_name_is_a_way_out() {
    let foreign = Foreign::new("virtual");
    foreign.write(
        "xtask/Cargo.toml",
        "[package]\nname = \"xtask\"\nversion = \"0.1.0\"\nedition = \"2021\"\n",
    );
    foreign.write("xtask/src/main.rs", "fn main() {}\n");
    let manifest = foreign
        .read("Cargo.toml")
        .replace("\"api\",", "\"api\", \"xtask\",");
    foreign.write("Cargo.toml", &manifest);
    let before = foreign.files();
    foreign
        .init(&["--yes"])
        .code(2)
        .says("`xtask/Cargo.toml` is another crate: xtask")
        .says("--name");
    assert_eq!(foreign.files(), before);
    foreign.init(&["--yes", "--name", "tasks"]).code(0);
    assert!(foreign.read(".cargo/config.toml").contains("tasks = \"run"));
    assert!(
        foreign
            .read("cargo-make/test-tasks.toml")
            .contains("\"tasks\", \"setup-nextest\"")
    );
    assert_eq!(
        foreign.read("xtask/src/main.rs"),
        before["xtask/src/main.rs"]
    );
}

#[test]
fn an_alias_of_the_user_stays_unless_told() {
    let foreign = Foreign::new("single");
    let theirs = "[alias]\nxtask = \"run -p mine\"\n";
    foreign.write(".cargo/config.toml", theirs);
    foreign
        .init(&["--yes"])
        .code(0)
        .says("conflict: .cargo/config.toml: the alias `xtask` is there already");
    assert_eq!(foreign.read(".cargo/config.toml"), theirs);
    foreign.init(&["--yes", "--force"]).code(0);
    assert!(
        foreign
            .read(".cargo/config.toml")
            .contains("workspace-xtask")
    );
}

#[test]
fn force_replaces_what_differs_and_keeps_the_rest() {
    let foreign = Foreign::new("polyglot");
    foreign.init(&["--yes", "--force"]).code(0);
    let text = foreign.read("Makefile.toml");
    assert!(!text.contains("echo \"building"), "{text}");
    assert!(
        text.contains("\"parallel\", \"--jobs\", \"1\", \"build-rust\""),
        "{text}"
    );
    assert!(text.contains("echo \\\"deploying $part\\\""), "{text}");
    foreign
        .init(&["--yes"])
        .code(0)
        .says("everything is there already");
}

#[test]
fn what_cannot_be_understood_is_placed_and_nothing_is_written() {
    for (path, content, said) in [
        (
            "Makefile.toml",
            &b"[tasks.a]\nargs = [\n[b]\n"[..],
            "Makefile.toml:3:",
        ),
        (
            "Makefile.toml",
            b"[tasks.a]\ndescription = \"\xff\"\n",
            "is not UTF-8 text",
        ),
        (".cargo/config.toml", b"[alias\n", "cargo does not take"),
        (
            ".cargo/config",
            b"[alias]\nxtask = 1\n[[alias]]\n",
            "cargo does not take",
        ),
        (
            ".config/nextest.toml",
            b"[profile]\nci = {\n",
            ".config/nextest.toml:2:",
        ),
        ("Cargo.toml", b"[workspace\n", "cargo does not take"),
    ] {
        let foreign = Foreign::new("virtual");
        foreign.write(path, "");
        fs::write(foreign.path(path), content).unwrap();
        let run = foreign.init(&["--yes"]);
        let words = run.stderr();
        run.code(2);
        assert!(words.contains(said), "{path}: {words}");
        assert!(!foreign.path("cargo-make").exists(), "{path}");
        assert!(!foreign.path("xtask").exists(), "{path}");
    }
    let nowhere = tempfile::tempdir().unwrap();
    let foreign = Foreign::new("single");
    foreign
        .init(&[&nowhere.path().display().to_string()])
        .code(2)
        .says("cargo does not take");
}

#[test]
fn a_file_larger_than_any_person_writes_is_refused() {
    let foreign = Foreign::new("single");
    let line = "# nothing to see here, line after line after line\n";
    foreign.write("Makefile.toml", &line.repeat((50 << 20) / line.len()));
    foreign.init(&["--yes"]).code(2).says("MiB");
}

#[test]
fn line_ends_of_windows_stay() {
    let foreign = Foreign::new("polyglot");
    for path in ["Makefile.toml", "engine/Makefile.toml", "Cargo.toml"] {
        let text = foreign.read(path).replace('\n', "\r\n");
        foreign.write(path, &text);
    }
    foreign.init(&["--yes"]).code(0);
    for path in ["Makefile.toml", "engine/Makefile.toml", "Cargo.toml"] {
        let text = foreign.read(path);
        assert_eq!(
            text.matches('\n').count(),
            text.matches("\r\n").count(),
            "{path}"
        );
    }
    foreign
        .init(&["--yes"])
        .code(0)
        .says("everything is there already");
}

#[test]
fn where_the_library_is_can_be_said() {
    let said = |source: &str| {
        let foreign = Foreign::new("single");
        let args = ["init", "--yes", "--xtask", source];
        foreign.xtask(&args).code(0);
        let text = foreign.read("xtask/Cargo.toml");
        text.lines().last().unwrap().to_owned()
    };
    assert_eq!(said("1.2"), "xtask = \"1.2\"");
    assert_eq!(
        said("git+file:///somewhere#tag=v1"),
        "xtask = { git = \"file:///somewhere\", tag = \"v1\" }"
    );
    let foreign = Foreign::new("single");
    for (source, words) in [
        ("nowhere/xtask", "no directory"),
        (".", "not the library's directory"),
    ] {
        let args = ["init", "--yes", "--xtask", source];
        foreign.xtask(&args).code(2).says(words);
    }
}

#[test]
fn hundreds_of_members_are_adopted_in_seconds() {
    let foreign = Foreign::new("single");
    foreign.write(
        "Cargo.toml",
        "[workspace]\nresolver = \"2\"\nmembers = [\"crates/*\"]\n",
    );
    for n in 0..300 {
        let manifest =
            format!("[package]\nname = \"m{n}\"\nversion = \"0.1.0\"\nedition = \"2021\"\n");
        foreign.write(&format!("crates/m{n}/Cargo.toml"), &manifest);
        foreign.write(&format!("crates/m{n}/src/lib.rs"), "//! One of many.\n");
    }
    let since = std::time::Instant::now();
    foreign.init(&["--yes"]).code(0);
    foreign
        .init(&["--yes"])
        .code(0)
        .says("everything is there already");
    assert!(since.elapsed().as_secs() < 60, "{:?}", since.elapsed());
    foreign.xtask(&["tasks", "check"]).code(0);
}

/// The real cargo, cargo-make and nextest in what was adopted. They share a target directory, so that
/// this library is compiled once for all; cargo puts every workspace's program in the same place there,
/// so one runs after the other (nextest: the group `init`).
mod real {
    use super::*;

    /// Beside what the workspace itself builds.
    fn target() -> PathBuf {
        let programs = support::xtask();
        let target = programs.parent().and_then(Path::parent).unwrap();
        target.join("tmp").join("init")
    }

    static TURN: Mutex<()> = Mutex::new(());

    struct Adopted {
        foreign: Foreign,
        _turn: MutexGuard<'static, ()>,
    }

    impl Adopted {
        /// `old`: tasks that were there before, with their directory: they say the same afterwards.
        fn new(name: &str, old: &[(&str, &str)]) -> Adopted {
            let turn = TURN
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            let adopted = Adopted {
                foreign: Foreign::new(name),
                _turn: turn,
            };
            let say =
                |(directory, task): &(&str, &str)| adopted.make(directory, task).code(0).stdout();
            let before: Vec<String> = old.iter().map(say).collect();
            adopted.foreign.init(&["--yes"]).code(0);
            // The versions that are here already.
            let lock = support::root().join("Cargo.lock");
            fs::copy(lock, adopted.foreign.path("Cargo.lock")).unwrap();
            let after: Vec<String> = old.iter().map(say).collect();
            for ((task, before), after) in old.iter().zip(&before).zip(&after) {
                let words = |text: &str| -> Vec<String> {
                    let own = |line: &&str| !line.starts_with("[cargo-make]");
                    text.lines().filter(own).map(str::to_owned).collect()
                };
                assert!(!words(before).is_empty(), "{task:?} says nothing");
                assert_eq!(words(before), words(after), "{task:?}");
            }
            adopted
        }

        fn cargo(&self, directory: &str, args: &[&str]) -> Command {
            let cargo = support::cargo().get_program().to_owned();
            let mut command = self.foreign.command(cargo, args);
            command
                .current_dir(self.foreign.path(directory))
                .env("CARGO_TARGET_DIR", target())
                .env("PATH", self.path());
            command
        }

        /// PATH without Ruby and uv: whether this machine has them must not matter.
        fn path(&self) -> std::ffi::OsString {
            let broken = self.foreign.dir.path().join("broken");
            fs::create_dir_all(&broken).unwrap();
            for program in ["ruby", "bundle", "uv"] {
                let file = broken.join(format!("{program}{}", std::env::consts::EXE_SUFFIX));
                if !file.exists() {
                    fs::copy(support::server(), file).unwrap();
                }
            }
            let path = std::env::var_os("PATH").unwrap();
            let mut all = vec![broken];
            all.extend(std::env::split_paths(&path));
            std::env::join_paths(all).unwrap()
        }

        fn make(&self, directory: &str, task: &str) -> Run {
            let args = ["make", "--disable-check-for-updates", task];
            Run::of(self.cargo(directory, &args).env("FIXTURE_EXIT", "1"))
        }

        /// The four words work at the root, and each fails where it has to.
        fn works(&self, library: &str) {
            for task in ["format", "lint", "build", "test"] {
                self.make(".", task).code(0);
            }
            let run = Run::of(&mut self.cargo(".", &["build", "--verbose"])).code(0);
            assert!(
                !run.stderr().contains("workspace-xtask"),
                "a plain build builds it: {run}"
            );
            let good = self.foreign.read(library);
            let planted = "\n#[test]\nfn planted() {\n    assert_eq!(1, 2);\n}\n";
            self.foreign.write(library, &format!("{good}{planted}"));
            let failed = self.make(".", "test");
            assert!(
                failed.stdout().contains("planted") || failed.stderr().contains("planted"),
                "{failed}"
            );
            failed.fails();
            let warned = format!(
                "{good}\n/// Warned of.\n#[must_use]\npub fn warned() -> bool {{\n    1.max(2) == 2 && true\n}}\n"
            );
            self.foreign.write(library, &warned);
            self.make(".", "lint").fails();
            self.foreign
                .write(library, &format!("{good}\nfn  f ( ) {{ }}\n"));
            self.make(".", "format").fails();
            self.foreign.write(library, &good);
        }
    }

    #[test]
    fn a_single_crate() {
        let adopted = Adopted::new("single", &[]);
        adopted.works("src/lib.rs");
        adopted.make(".", "test-docs").code(0).prints("1 passed");
        adopted.make(".", "run").code(0).prints("42");
        adopted.make("xtask", "lint").code(0);
        adopted.make("xtask", "format").code(0);
        // Twice, with all that the tools have written meanwhile.
        let before = adopted.foreign.files();
        adopted
            .foreign
            .init(&["--yes"])
            .code(0)
            .says("everything is there already");
        assert_eq!(adopted.foreign.files(), before);
    }

    #[test]
    fn a_virtual_workspace() {
        let adopted = Adopted::new("virtual", &[]);
        adopted.works("crates/core/src/lib.rs");
        for task in ["format", "lint", "build", "test"] {
            adopted.make("crates/store", task).code(0);
        }
        adopted.make("api", "run").code(0).prints("120");
        adopted.make("crates/core", "setup").code(0);
    }

    #[test]
    fn a_root_package_with_members() {
        let old = [
            (".", "greet"),
            (".", "where"),
            (".", "checks"),
            ("lib", "version"),
        ];
        let adopted = Adopted::new("root-package", &old);
        adopted.works("lib/src/lib.rs");
        for task in ["format", "lint", "build", "test"] {
            adopted.make("lib", task).code(0);
        }
        adopted.make(".", "run").code(0).prints("42");
        adopted.make(".", "setup").code(0);
        adopted.make(".", "ci-flow").code(0);
    }

    #[test]
    fn nested_and_excluded_members() {
        let adopted = Adopted::new("nested", &[]);
        // The default members are the user's: of them, `one` has a test.
        adopted.works("apps/one/src/client.rs");
        for directory in ["libs/a", "libs/a/macros", "parts/hidden", "apps/one"] {
            for task in ["format", "lint", "build"] {
                adopted.make(directory, task).code(0);
            }
        }
        assert!(!adopted.foreign.path("fuzz/Makefile.toml").exists());
        assert!(!adopted.foreign.path("libs/old/Makefile.toml").exists());
    }

    #[test]
    fn several_languages_and_old_task_files() {
        let old = [
            (".", "deploy"),
            (".", "hello"),
            ("engine", "bench"),
            ("engine", "hello"),
        ];
        let adopted = Adopted::new("polyglot", &old);
        adopted.works("engine/src/lib.rs");
        let node = which::which("node").is_ok() && which::which("npm").is_ok();
        let run = adopted.make(".", "format").code(0);
        let line = |task: &str| {
            let all = run.stdout() + &run.stderr();
            all.lines()
                .find(|it| it.trim_start().starts_with(task))
                .unwrap_or("")
                .to_owned()
        };
        assert!(line("format-rust ").contains("passed"), "{run}");
        assert!(line("format-ruby ").contains("SKIPPED"), "{run}");
        assert!(line("format-python ").contains("SKIPPED"), "{run}");
        let typescript = if node { "passed" } else { "SKIPPED" };
        assert!(line("format-typescript ").contains(typescript), "{run}");
        if node {
            adopted.make("web", "build").code(0).prints("web is built");
            adopted.make("web", "format-fix").code(0).prints("--write");
        }
        for task in ["format", "lint", "test"] {
            adopted.make("engine", task).code(0);
        }
    }
}
