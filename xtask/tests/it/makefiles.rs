//! This repository's task files, read by the real cargo-make.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{cargo, root};

fn cargo_make(directory: &Path, args: &[&str]) -> String {
    let output = cargo()
        .args(["make", "--disable-check-for-updates", "--loglevel", "error"])
        .args(args)
        .current_dir(directory)
        .output()
        .unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success(),
        "cargo make {args:?} in `{}` (cargo-make is there after `cargo xtask make build`):\n{out}{err}",
        directory.display()
    );
    out.into_owned()
}

/// Each directory with a Makefile.toml.
fn members() -> Vec<PathBuf> {
    let output = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .args(["--", "Makefile.toml", "*/Makefile.toml"])
        .current_dir(root())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let found: Vec<PathBuf> = text
        .split('\0')
        .filter(|file| !file.is_empty())
        .filter_map(|file| Some(root().join(file).parent()?.to_path_buf()))
        .collect();
    assert!(found.len() >= 9, "{found:?}");
    found
}

/// What people can call: `category`, `name`, `description`.
fn tasks(directory: &Path) -> Vec<(String, String, String)> {
    let text = cargo_make(directory, &["--list-all-steps"]);
    let mut category = "";
    let mut found = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if lines.peek().is_some_and(|next| next.starts_with("----")) {
            category = line;
        } else if let Some((name, description)) = line.split_once(" - ") {
            // What cargo-make itself brings.
            if category != "Hooks" && !["default", "empty"].contains(&name) {
                found.push((category.to_owned(), name.to_owned(), description.to_owned()));
            }
        }
    }
    assert!(!found.is_empty(), "{}:\n{text}", directory.display());
    found
}

#[test]
fn every_task_can_be_planned_and_says_what_it_is() {
    for directory in members() {
        for (category, name, description) in tasks(&directory) {
            let what = format!("`{name}` in {}", directory.display());
            assert!(
                category != "No Category" && category != "Base",
                "{what}: {category}"
            );
            assert!(!description.contains("No Description"), "{what}");
            // cargo-make looks for a dependency only when it gets there: this makes it look.
            let plan = cargo_make(
                &directory,
                &[
                    "--print-steps",
                    "--output-format",
                    "short-description",
                    &name,
                ],
            );
            assert!(plan.contains(&name), "{what}: {plan}");
        }
    }
}

/// The same words work in every directory.
#[test]
fn members_have_the_actions_and_no_others() {
    const ACTIONS: [&str; 14] = [
        "build",
        "build-release",
        "clean",
        "format",
        "format-fix",
        "lint",
        "lint-fix",
        "test",
        "test-integration",
        "test-e2e",
        "test-docs",
        "run",
        "setup",
        "setup-system",
    ];
    for directory in members() {
        let names: Vec<String> = tasks(&directory).into_iter().map(|it| it.1).collect();
        for needed in [
            "build",
            "clean",
            "format",
            "format-fix",
            "lint",
            "lint-fix",
            "setup",
        ] {
            assert!(
                names.iter().any(|name| name == needed),
                "{} has no `{needed}`",
                directory.display()
            );
        }
        if directory != root() {
            for name in &names {
                let known = ACTIONS.iter().any(|action| {
                    name.strip_prefix(action)
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
                });
                assert!(known, "`{name}` in {}", directory.display());
            }
        }
    }
}

/// One body for all: what is changed in `cargo-make/` changes everywhere.
#[test]
fn members_hold_no_bodies_of_their_own_for_shared_actions() {
    for directory in members().iter().filter(|it| **it != root()) {
        let text = std::fs::read_to_string(directory.join("Makefile.toml")).unwrap();
        for tool in ["\"clippy\"", "\"fmt\"", "\"fetch\"", "\"doc\""] {
            assert!(!text.contains(tool), "{} calls {tool}", directory.display());
        }
    }
}
