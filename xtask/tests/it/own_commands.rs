//! A workspace's own commands beside the built-in ones: `examples/own-commands.rs`, which is also what
//! `docs/adopting.md` shows.

use std::fs;
use std::process::Command;

use crate::support::{self, Fixture, Run, example};

fn own(fixture: &Fixture, args: &[&str]) -> Command {
    let mut command = Command::new(example("own-commands"));
    command
        .args(args)
        .current_dir(fixture.root())
        .env_remove("CARGO_TARGET_DIR");
    command
}

fn fixture() -> Fixture {
    let fixture = Fixture::new("[services.a]\nkind = \"tcp\"\nport = 1\n");
    fixture.file(
        "CHANGELOG.md",
        "# Changes\n\n## 1.1.0\n\n- Faster.\n\n## 1.0.0\n\n- First.\n",
    );
    fixture
}

#[test]
fn it_runs_with_the_global_flags_from_any_directory() {
    let fixture = fixture();
    let run = Run::of(&mut own(&fixture, &["release-notes", "1.1.0"])).code(0);
    assert_eq!(run.stdout(), "- Faster.\n");
    fixture.file("deep/down/x", "");
    let mut below = own(&fixture, &["--format", "json", "release-notes", "1.0.0"]);
    let run = Run::of(below.current_dir(fixture.path("deep/down"))).code(0);
    assert_eq!(run.json(), serde_json::json!(["", "- First."]));
    let elsewhere = tempfile::tempdir().unwrap();
    let root = fixture.root().display().to_string();
    let mut from = own(&fixture, &["-C", &root, "release-notes", "1.0.0"]);
    Run::of(from.current_dir(elsewhere.path()))
        .code(0)
        .prints("First");
}

#[test]
fn its_errors_are_rendered_like_all_others() {
    let fixture = fixture();
    Run::of(&mut own(&fixture, &["release-notes", "2.0.0"]))
        .code(1)
        .says("error: CHANGELOG.md has no notes of `2.0.0`")
        .says("hint: add `## 2.0.0`");
    Run::of(&mut own(&fixture, &["release-note", "2.0.0"]))
        .code(2)
        .says("similar")
        .says("release-notes");
    Run::of(&mut own(
        &fixture,
        &["--format", "sarif", "release-notes", "1.0.0"],
    ))
    .code(2);
}

#[test]
fn help_and_completions_have_it_beside_the_built_in_ones() {
    let fixture = fixture();
    let help = Run::of(&mut own(&fixture, &["--help"])).code(0);
    for (command, about) in [
        (
            "release-notes",
            "Print the notes of a version, from CHANGELOG.md",
        ),
        ("check-services", "Probe"),
        ("completions", "Print shell completions"),
    ] {
        let text = help.stdout();
        let line = text.lines().find(|it| it.trim_start().starts_with(command));
        assert!(
            line.is_some_and(|it| it.contains(about)),
            "{command}: {line:?}"
        );
    }
    Run::of(&mut own(&fixture, &["release-notes", "--help"]))
        .code(0)
        .prints("as in its heading")
        .prints("Global options");
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        Run::of(&mut own(&fixture, &["completions", shell]))
            .code(0)
            .prints("release-notes")
            .prints("check-services");
    }
}

#[test]
fn built_in_ones_still_work() {
    let fixture = fixture();
    Run::of(&mut own(&fixture, &["check-services", "a"])).prints("a");
    Run::of(&mut own(&fixture, &["env"])).code(0);
}

/// What the document shows is what is built and tested here.
#[test]
fn the_document_shows_this_example() {
    let root = support::root();
    let document = fs::read_to_string(root.join("docs").join("adopting.md")).unwrap();
    let example = root.join("xtask").join("examples").join("own-commands.rs");
    let source = fs::read_to_string(example).unwrap();
    let shown: Vec<&str> = document
        .split("```rust\n")
        .skip(1)
        .filter_map(|it| it.split_once("```").map(|it| it.0))
        .collect();
    assert_eq!(shown, [source.as_str()]);
}
