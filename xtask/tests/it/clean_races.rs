//! `cargo xtask clean-artifacts` where things change under its hands, and where what lies in a product
//! belongs elsewhere: mounts, links that take a directory's place, repositories, another's index.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use xtask::artifacts::{self, Keep};
use xtask::config::CleanRule;
use xtask::platform::{Doomed, remove_all};

#[cfg(target_os = "linux")]
use crate::support::with_mounts;
use crate::support::{Fixture, Run};

const RULES: &str = "[clean.a]\npaths = [\"target\", \"node_modules\"]\ndirectories = [\"dist\"]\n";

fn git(directory: &Path, args: &[&str]) {
    let mut command = Command::new("git");
    command
        .args(["-c", "user.name=t", "-c", "user.email=t@localhost"])
        .args(["-c", "protocol.file.allow=always"])
        .args(args)
        .current_dir(directory);
    let output = command.output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "git {args:?}: {words}");
}

/// A repository with one commit of one file, `dist/kept`.
fn repository(directory: &Path) {
    fs::create_dir_all(directory.join("dist")).unwrap();
    fs::write(directory.join("dist").join("kept"), "kept").unwrap();
    git(directory, &["init", "--quiet"]);
    git(directory, &["add", "--force", "dist/kept"]);
    git(directory, &["commit", "--quiet", "--message", "x"]);
}

#[test]
fn other_repositories_stay_whole_wherever_they_are() {
    let fixture = Fixture::new(RULES);
    let elsewhere = tempfile::tempdir().unwrap();
    repository(elsewhere.path());
    repository(&fixture.path("target/clone"));
    repository(&fixture.path("vendored"));
    let from = elsewhere.path().display().to_string();
    fixture.file(".gitignore", "target\nvendored\n");
    git(fixture.root(), &["init", "--quiet"]);
    git(
        fixture.root(),
        &["add", "Cargo.toml", ".config", ".gitignore"],
    );
    git(
        fixture.root(),
        &["submodule", "--quiet", "add", &from, "sub"],
    );
    git(
        fixture.root(),
        &[
            "submodule",
            "--quiet",
            "add",
            "--force",
            &from,
            "target/sub",
        ],
    );
    git(fixture.root(), &["commit", "--quiet", "--message", "x"]);
    git(
        fixture.root(),
        &["worktree", "add", "--quiet", "target/tree"],
    );
    for file in [
        "target/clone/work",
        "target/tree/work",
        "sub/dist/work",
        "target/sub/work",
    ] {
        fixture.file(file, "not committed anywhere");
    }
    fixture.file("target/debug/product", "x");
    fixture.file("dist/product", "x");
    fixture
        .run(&["clean-artifacts"])
        .code(0)
        .says("clone: a git repository of its own")
        .says("tree: a git repository of its own")
        .says("sub: tracked by git");
    assert!(!fixture.path("target/debug").exists() && !fixture.path("dist").exists());
    for file in [
        "target/clone/.git/HEAD",
        "target/clone/work",
        "target/clone/dist/kept",
        "target/tree/work",
        "target/tree/Cargo.toml",
        "target/sub/work",
        "sub/dist/work",
        "sub/dist/kept",
        "vendored/dist/kept",
    ] {
        assert!(fixture.path(file).exists(), "{file}");
    }
    git(&fixture.path("target/tree"), &["status"]);
}

/// A rule may name a path in a submodule: then that one's git says what it tracks.
#[test]
fn what_a_submodule_tracks_stays() {
    let fixture = Fixture::new(
        "[clean.a]\npaths = [\"sub/dist\"]\n[clean.b]\nunder = [\"sub\"]\nfiles = [\"*.o\"]\n",
    );
    let elsewhere = tempfile::tempdir().unwrap();
    repository(elsewhere.path());
    fixture.git();
    let from = elsewhere.path().display().to_string();
    git(
        fixture.root(),
        &["submodule", "--quiet", "add", &from, "sub"],
    );
    fixture.file("sub/dist/product", "x");
    fixture.file("sub/x.o", "x");
    fixture.file("sub/y.o", "x");
    git(&fixture.path("sub"), &["add", "y.o"]);
    fixture
        .run(&["clean-artifacts"])
        .code(0)
        .says("kept: tracked by git");
    for (file, stays) in [
        ("sub/dist/product", false),
        ("sub/dist/kept", true),
        ("sub/x.o", false),
        ("sub/y.o", true),
    ] {
        assert_eq!(fixture.path(file).exists(), stays, "{file}");
    }
}

/// A hook of another repository's runs with that one in its environment.
#[test]
fn another_index_in_the_environment_changes_nothing() {
    let fixture = Fixture::new(RULES);
    fixture.file("target/tracked", "x");
    fixture.git();
    let other = tempfile::tempdir().unwrap();
    repository(other.path());
    for (name, value) in [
        ("GIT_DIR", other.path().join(".git")),
        ("GIT_INDEX_FILE", other.path().join(".git").join("index")),
        ("GIT_WORK_TREE", other.path().to_path_buf()),
        ("GIT_DIR", PathBuf::from("nowhere")),
    ] {
        fixture.file("target/product", "x");
        let mut command = fixture.xtask(&["clean-artifacts"]);
        let run = Run::of(command.env(name, &value)).code(0);
        assert!(fixture.path("target/tracked").exists(), "{name}\n{run}");
        assert!(!fixture.path("target/product").exists(), "{name}\n{run}");
    }
}

#[test]
fn a_repository_that_git_cannot_read_keeps_all() {
    let fixture = Fixture::new(RULES);
    fixture.file("target/product", "x");
    symlink("nowhere", fixture.path(".git")).unwrap();
    fixture
        .run(&["clean-artifacts"])
        .code(1)
        .says("nothing is removed");
    assert!(fixture.path("target/product").exists());
}

/// The way to our state may be a link, which is needed as much as what it leads to.
#[test]
fn a_link_to_our_state_stays() {
    let fixture = Fixture::new(RULES);
    let elsewhere = tempfile::tempdir().unwrap();
    fixture.file("target/product", "x");
    fs::write(elsewhere.path().join("state"), "x").unwrap();
    symlink(elsewhere.path(), fixture.path("target/xtask")).unwrap();
    fixture
        .run(&["clean-artifacts"])
        .code(0)
        .says("in use by xtask");
    assert!(fixture.path("target/xtask/state").exists());
    assert!(!fixture.path("target/product").exists());
}

#[test]
fn a_read_only_directory_is_a_failure_that_says_so() {
    let fixture = Fixture::new(RULES);
    fixture.file("target/locked/file", "x");
    fixture.file("target/free/file", "x");
    fs::set_permissions(
        fixture.path("target/locked"),
        fs::Permissions::from_mode(0o555),
    )
    .unwrap();
    let mut command = fixture.xtask(&["clean-artifacts"]);
    if xtask::platform::is_root() {
        // Root may do everything: somebody who may not.
        let nobody = 65_534;
        for path in [
            "",
            "target",
            "target/locked",
            "target/locked/file",
            "target/free",
            "target/free/file",
        ] {
            chown(fixture.path(path), Some(nobody), Some(nobody)).unwrap();
        }
        let program = fixture.path("program");
        fs::copy(crate::support::xtask(), &program).unwrap();
        let mut own = Command::new(program);
        own.args(command.get_args())
            .current_dir(fixture.root())
            .env_clear();
        own.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command = own;
        command.uid(nobody).gid(nobody);
    }
    let run = Run::of(&mut command)
        .code(1)
        .says("failed to remove `target`")
        .says("Permission denied");
    assert!(fixture.path("target/locked/file").exists(), "{run}");
    assert!(
        !fixture.path("target/free").exists(),
        "what can go has gone\n{run}"
    );
    fs::set_permissions(
        fixture.path("target/locked"),
        fs::Permissions::from_mode(0o755),
    )
    .unwrap();
}

const FILES: [&str; 6] = [
    "target/a/dist/one",
    "target/a/two",
    "target/b/c/d/three",
    "pkg/dist/four",
    "pkg/dist/e/five",
    "dist/six",
];

/// A fixture's products, and a directory outside that has the same names in it, so that whatever is
/// removed there by mistake is missed.
struct Mirror {
    fixture: Fixture,
    outside: tempfile::TempDir,
    keep: Keep,
    rule: CleanRule,
}

impl Mirror {
    fn new() -> Mirror {
        let fixture = Fixture::new(RULES);
        let outside = tempfile::tempdir().unwrap();
        let keep = Keep {
            root: fixture.root().canonicalize().unwrap(),
            ..Keep::default()
        };
        let mirror = Mirror {
            fixture,
            outside,
            keep,
            rule: CleanRule {
                paths: vec!["target".into()],
                directories: vec!["dist".to_owned()],
                ..CleanRule::default()
            },
        };
        for file in FILES {
            // Below every directory of the tree, whichever the link takes the place of.
            let parts: Vec<&str> = file.split('/').collect();
            for start in 0..parts.len() {
                let path = parts[start..]
                    .iter()
                    .fold(mirror.outside.path().to_path_buf(), |dir, it| dir.join(it));
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, "precious").unwrap();
            }
        }
        mirror.fill();
        mirror
    }

    fn fill(&self) {
        for file in FILES {
            let path = self.fixture.path(file);
            let _ = fs::create_dir_all(path.parent().unwrap());
            let _ = fs::write(path, "x");
        }
    }

    fn count(directory: &Path) -> usize {
        let mut found = 0;
        for entry in fs::read_dir(directory).unwrap().flatten() {
            found += 1;
            if entry.file_type().unwrap().is_dir() {
                found += Mirror::count(&entry.path());
            }
        }
        found
    }

    fn plan(&self) -> Vec<Doomed> {
        let plan = artifacts::plan(&self.rule, &self.keep, &mut HashSet::new()).unwrap();
        let doomed = plan.removals.into_iter().map(|it| Doomed {
            path: it.path.strip_prefix(&self.keep.root).unwrap().to_path_buf(),
            directory: it.directory,
        });
        doomed.collect()
    }
}

/// Between the look and the removal, each directory in turn becomes a link to somewhere else.
#[test]
fn a_link_in_any_directorys_place_after_the_look_leads_nowhere() {
    let mut swapped = HashSet::new();
    for file in FILES {
        for directory in Path::new(file).ancestors().skip(1) {
            if directory == Path::new("") || !swapped.insert(directory.to_path_buf()) {
                continue;
            }
            let mirror = Mirror::new();
            let before = Mirror::count(mirror.outside.path());
            let doomed = mirror.plan();
            assert_eq!(doomed.len(), 3, "{doomed:?}");
            let victim = mirror.keep.root.join(directory);
            fs::rename(&victim, mirror.keep.root.join("aside")).unwrap();
            symlink(mirror.outside.path(), &victim).unwrap();
            let results = remove_all(&mirror.keep.root, &doomed);
            assert_eq!(
                Mirror::count(mirror.outside.path()),
                before,
                "{}",
                directory.display()
            );
            assert!(mirror.keep.root.join("aside").exists());
            // A link on the way is a failure; one in a product has gone with it.
            let on_the_way = directory == Path::new("pkg");
            assert_eq!(
                results.iter().any(Result::is_err),
                on_the_way,
                "{}: {results:?}",
                directory.display()
            );
            assert_eq!(
                victim.symlink_metadata().is_ok(),
                on_the_way,
                "{}",
                directory.display()
            );
        }
    }
    assert_eq!(swapped.len(), 10);
    // The root itself.
    let mirror = Mirror::new();
    let doomed = mirror.plan();
    let before = Mirror::count(mirror.outside.path());
    let aside = tempfile::tempdir().unwrap();
    let link = aside.path().join("root");
    symlink(mirror.outside.path(), &link).unwrap();
    assert!(remove_all(&link, &doomed).iter().all(Result::is_err));
    assert_eq!(Mirror::count(mirror.outside.path()), before);
}

/// Somebody swaps directories for links, as fast as can be, while the real command runs again and again.
#[test]
fn swaps_while_it_runs_lead_nowhere() {
    let mirror = Mirror::new();
    mirror.fixture.file("target/kept", "tracked");
    mirror.fixture.file("src/dist/kept", "tracked");
    for args in [
        &["init", "--quiet"][..],
        &["add", "--force", "target/kept", "src/dist/kept"],
    ] {
        git(mirror.fixture.root(), args);
    }
    let outside = Mirror::count(mirror.outside.path());
    let (stop, swaps) = (AtomicBool::new(false), AtomicUsize::new(0));
    let mut freed = 0;
    std::thread::scope(|scope| {
        for (number, victim) in ["target/a", "target/b/c", "pkg", "dist"].iter().enumerate() {
            let (mirror, stop, swaps) = (&mirror, &stop, &swaps);
            scope.spawn(move || {
                let aside = mirror.fixture.path(&format!("aside{number}"));
                let victim = mirror.fixture.path(victim);
                while !stop.load(Ordering::SeqCst) {
                    if fs::rename(&victim, &aside).is_ok() || fs::create_dir_all(&aside).is_ok() {
                        let linked = symlink(mirror.outside.path(), &victim).is_ok();
                        swaps.fetch_add(linked.into(), Ordering::SeqCst);
                        std::thread::sleep(Duration::from_micros(200));
                        let _ = fs::remove_file(&victim);
                        let _ = fs::rename(&aside, &victim);
                    }
                }
            });
        }
        let since = Instant::now();
        while since.elapsed() < Duration::from_secs(4) {
            // Not through a link that may stand there: `fill` only makes what has real directories.
            for file in ["target/x/1", "target/y/z/2"] {
                let _ = fs::create_dir_all(mirror.fixture.path(file).parent().unwrap());
                let _ = fs::write(mirror.fixture.path(file), "x");
            }
            // It may fail, where a directory comes back, or a link is on the way. It may not go astray.
            let run = mirror.fixture.run(&["clean-artifacts"]);
            freed += usize::from(run.stdout().contains("target"));
        }
        stop.store(true, Ordering::SeqCst);
    });
    assert!(freed > 5, "it removed something {freed} times");
    assert!(swaps.into_inner() > 100, "there were few swaps");
    assert_eq!(Mirror::count(mirror.outside.path()), outside);
    for file in ["target/kept", "src/dist/kept"] {
        assert_eq!(
            fs::read_to_string(mirror.fixture.path(file)).unwrap(),
            "tracked"
        );
    }
}

#[cfg(target_os = "linux")]
#[test]
fn what_is_mounted_in_a_product_stays() {
    let fixture = Fixture::new(RULES);
    let outside = tempfile::tempdir().unwrap();
    let precious = outside.path().join("precious");
    fs::create_dir(&precious).unwrap();
    fs::write(precious.join("file"), "precious").unwrap();
    for file in [
        "target/deep/vol ume/.x",
        "target/file",
        "target/debug/x",
        "node_modules/x",
        "pkg/dist/x",
        "other/dist/x",
    ] {
        fixture.file(file, "below the mount");
    }
    let mounts = [
        (precious.clone(), fixture.path("target/deep/vol ume")),
        (precious.join("file"), fixture.path("target/file")),
        (PathBuf::new(), fixture.path("node_modules")),
        (precious.clone(), fixture.path("pkg")),
    ];
    fs::create_dir(precious.join("dist")).unwrap();
    fs::write(precious.join("dist").join("product"), "precious").unwrap();
    let mounts: Vec<(&Path, &Path)> = mounts
        .iter()
        .map(|(a, b)| (a.as_path(), b.as_path()))
        .collect();
    let mut seen = Vec::new();
    for args in [
        &["--format", "json", "clean-artifacts", "--dry-run"][..],
        &["--format", "json", "clean-artifacts"],
    ] {
        let mut command = with_mounts(&mounts, &fixture.xtask(args));
        let run = Run::of(&mut command)
            .code(0)
            .says("vol ume: something else is mounted there")
            .says("file: something else is mounted there")
            .says("node_modules: something else is mounted there");
        seen.push(run.json()[0]["removed"].clone());
    }
    assert_eq!(seen[0], seen[1], "a dry run says what goes");
    let mut gone: Vec<&str> = seen[0]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it.as_str().unwrap())
        .collect();
    gone.sort_unstable();
    assert_eq!(gone, ["other/dist", "target/debug"]);
    for file in ["file", "dist/product"] {
        assert_eq!(fs::read_to_string(precious.join(file)).unwrap(), "precious");
    }
    for file in [
        "target/deep/vol ume/.x",
        "target/file",
        "node_modules/x",
        "pkg/dist/x",
    ] {
        assert_eq!(
            fs::read_to_string(fixture.path(file)).unwrap(),
            "below the mount"
        );
    }
    assert!(!fixture.path("target/debug").exists() && !fixture.path("other/dist").exists());
}

/// What is mounted after the look stops the removal there: it has no list, and asks as it goes. This test
/// runs itself with a mount that nobody has told [`remove_all`] of.
#[cfg(target_os = "linux")]
#[test]
fn what_is_mounted_after_the_look_stays() {
    const ROOT: &str = "XTASK_TEST_MOUNTED";
    if let Some(root) = std::env::var_os(ROOT) {
        let doomed = |path: &str| Doomed {
            path: path.into(),
            directory: true,
        };
        let results = remove_all(
            Path::new(&root),
            &[doomed("target"), doomed("other/x"), doomed("fine")],
        );
        let words: Vec<String> = results.iter().map(|it| format!("{it:?}")).collect();
        assert!(
            words[0].contains("something else is mounted there"),
            "{words:?}"
        );
        assert!(
            words[1].contains("something else is mounted there"),
            "{words:?}"
        );
        assert!(results[2].is_ok(), "{words:?}");
        return;
    }
    let fixture = Fixture::new(RULES);
    let outside = tempfile::tempdir().unwrap();
    fs::create_dir(outside.path().join("x")).unwrap();
    fs::write(outside.path().join("x").join("file"), "precious").unwrap();
    for file in ["target/a/b/c", "target/d/e", "other/f", "fine/g"] {
        fixture.file(file, "x");
    }
    let (one, two) = (fixture.path("target/a/b"), fixture.path("other"));
    fs::remove_file(one.join("c")).unwrap();
    fs::rename(fixture.path("target/d"), fixture.path("target/z")).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([
        "--exact",
        "clean_races::what_is_mounted_after_the_look_stays",
        "--nocapture",
    ]);
    command.env(ROOT, fixture.root().canonicalize().unwrap());
    let mut command = with_mounts(&[(outside.path(), &one), (outside.path(), &two)], &command);
    let run = Run::of(&mut command).code(0).prints("1 passed");
    assert_eq!(
        fs::read_to_string(outside.path().join("x").join("file")).unwrap(),
        "precious",
        "{run}"
    );
    assert!(
        !fixture.path("target/z").exists(),
        "the rest has gone\n{run}"
    );
    assert!(!fixture.path("fine").exists() && fixture.path("other/f").exists());
}
