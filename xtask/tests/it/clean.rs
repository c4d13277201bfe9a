//! `cargo xtask clean-artifacts`: what goes, and above all what stays.

#[cfg(unix)]
use std::fs;

use crate::support::Fixture;

const RULES: &str =
    "[clean.rust]\npaths = [\"target\"]\n[clean.python]\ndirectories = [\"__pycache__\"]\n";

fn workspace() -> Fixture {
    let fixture = Fixture::new(RULES);
    fixture.file("target/debug/thing", "12345");
    fixture.file("target/kept/tracked.txt", "tracked");
    fixture.file("pkg/__pycache__/a.pyc", "123");
    fixture.git();
    fixture.file("target/kept/untracked.txt", "12");
    fixture.file("target/.env", "SECRET=1");
    fixture.file(".env", "SECRET=1");
    // Tracked above, to have an untracked one here.
    fixture.file("pkg/__pycache__/b.pyc", "123");
    fixture
}

#[test]
fn a_dry_run_lists_with_sizes_and_removes_nothing() {
    let fixture = workspace();
    let run = fixture
        .run(&["clean-artifacts", "--dry-run"])
        .code(0)
        .says("Would free");
    run.prints("untracked.txt").prints("2 B");
    for file in [
        "target/debug/thing",
        "target/kept/untracked.txt",
        "pkg/__pycache__/b.pyc",
    ] {
        assert!(fixture.path(file).exists(), "{file}");
    }
}

#[test]
fn tracked_files_and_dotenv_files_stay() {
    let fixture = workspace();
    let run = fixture
        .run(&["--format", "json", "clean-artifacts"])
        .code(0);
    assert!(!fixture.path("target/kept/untracked.txt").exists(), "{run}");
    assert!(!fixture.path("pkg/__pycache__/b.pyc").exists(), "{run}");
    for file in [
        "target/debug/thing", // git tracks it, as everything that `git add` saw.
        "target/kept/tracked.txt",
        "target/.env",
        ".env",
        "pkg/__pycache__/a.pyc",
    ] {
        assert!(fixture.path(file).exists(), "{file} is gone\n{run}");
    }
}

#[test]
fn only_the_language_that_was_asked_for() {
    let fixture = workspace();
    fixture.run(&["clean-artifacts", "python"]).code(0);
    assert!(fixture.path("target/kept/untracked.txt").exists());
    fixture
        .run(&["clean-artifacts", "pyhton"])
        .code(2)
        .says("did you mean `python`?");
}

#[test]
fn nothing_to_clean_says_so() {
    Fixture::new(RULES)
        .run(&["clean-artifacts"])
        .code(0)
        .says("nothing: there are no build products");
}

#[cfg(unix)]
#[test]
fn what_a_link_leads_to_stays() {
    let fixture = Fixture::new(RULES);
    let outside = tempfile::tempdir().unwrap();
    fs::create_dir(outside.path().join("__pycache__")).unwrap();
    fs::write(outside.path().join("__pycache__").join("precious"), "x").unwrap();
    fs::create_dir(fixture.path("target")).unwrap();
    for link in ["target/link", "link", "__pycache__"] {
        std::os::unix::fs::symlink(outside.path(), fixture.path(link)).unwrap();
    }
    fixture.run(&["clean-artifacts"]).code(0);
    assert!(outside.path().join("__pycache__").join("precious").exists());
    assert!(
        fixture.path("link").exists(),
        "a link that is no product stays"
    );
    assert!(!fixture.path("target").exists());
}

#[test]
fn the_running_program_and_its_state_stay() {
    let fixture = Fixture::new(RULES);
    fixture.file("target/xtask/services/web/state.json", "{}");
    fixture.file("target/debug/thing", "1");
    fixture
        .run(&["clean-artifacts"])
        .code(0)
        .says("in use by xtask");
    assert!(
        fixture
            .path("target/xtask/services/web/state.json")
            .exists()
    );
    assert!(!fixture.path("target/debug").exists());
}
