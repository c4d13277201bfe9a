//! `.github`: only our own words, and they exist; actions are pinned, permissions are least.
//! `cargo make lint-workflows` has zizmor look at the rest.

use std::fs;
use std::path::Path;

use clap::Parser as _;
use xtask::NoCommands;
use xtask::cmd::Cli;

use crate::support::{Fixture, Run, cargo, root};

/// Each YAML file of `.github`: its path from the root, and its text.
fn files() -> Vec<(String, String)> {
    fn collect(directory: &Path, found: &mut Vec<(String, String)>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                if !path.ends_with(".venv") {
                    collect(&path, found);
                }
            } else if path.extension().is_some_and(|it| it == "yml") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path.display().to_string(), text));
            }
        }
    }
    let mut found = Vec::new();
    collect(&root().join(".github"), &mut found);
    assert!(found.len() >= 3, "{found:?}");
    found
}

/// The value of each `key:` line, whatever list it is in: `file:line`, value.
fn values(key: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (file, text) in files() {
        for (n, line) in text.lines().enumerate() {
            let line = line.trim_start().trim_start_matches("- ").trim_start();
            if let Some(value) = line.strip_prefix(&format!("{key}: ")) {
                found.push((format!("{file}:{}", n + 1), value.to_owned()));
            }
        }
    }
    assert!(!found.is_empty(), "no `{key}` anywhere");
    found
}

/// What people can call at the root.
fn tasks() -> Vec<String> {
    let output = cargo()
        .args(["make", "--disable-check-for-updates", "--loglevel", "error"])
        .arg("--list-all-steps")
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .filter_map(|line| Some(line.split_once(" - ")?.0.to_owned()))
        .collect()
}

#[test]
fn steps_are_our_own_words_and_they_exist() {
    let tasks = tasks();
    let exists = |place: &str, task: &str| {
        assert!(
            tasks.iter().any(|it| it == task),
            "{place}: no task `{task}`"
        );
    };
    for (place, line) in values("run") {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["cargo", "make", task, ..] => exists(&place, task),
            ["cargo", "xtask", rest @ ..] => {
                let parsed = Cli::<NoCommands>::try_parse_from(["xtask"].iter().chain(rest));
                assert!(parsed.is_ok(), "{place}: {}", parsed.unwrap_err());
                if let ["make", rest @ ..] = rest {
                    rest.iter()
                        .take_while(|word| **word != "--")
                        .filter(|word| !word.starts_with(['-', '$']))
                        .for_each(|task| exists(&place, task));
                }
            }
            _ => panic!("{place}: `{line}` is neither cargo make nor cargo xtask"),
        }
        assert!(!line.contains("${{"), "{place}: values come by `env`");
    }
    // What the matrix runs stands in the configuration.
    let config = fs::read_to_string(root().join(".config").join("xtask.toml")).unwrap();
    let config: toml_edit::DocumentMut = config.parse().unwrap();
    for (job, facts) in config["ci"]["jobs"].as_table().unwrap() {
        let line = facts["matrix"]["tasks"].as_str().unwrap();
        assert!(!line.is_empty(), "{job}");
        for task in line.split_whitespace() {
            exists(job, task);
        }
    }
}

#[test]
fn actions_are_pinned_to_a_commit() {
    for (place, action) in values("uses") {
        if let Some(own) = action.strip_prefix("./") {
            assert!(root().join(own).join("action.yml").is_file(), "{place}");
            continue;
        }
        let (name, rest) = action.split_once('@').unwrap();
        let (commit, version) = rest.split_once(" # v").unwrap_or_else(|| panic!("{place}"));
        let hex = commit.len() == 40 && commit.chars().all(|it| it.is_ascii_hexdigit());
        assert!(hex && !version.is_empty(), "{place}: {name}");
    }
}

#[test]
fn a_job_has_no_permission_but_to_read_and_ends_in_time() {
    for (file, text) in files() {
        if !file.contains("workflows") {
            continue;
        }
        assert!(text.contains("\npermissions: {}\n"), "{file}");
        assert!(!text.contains(": write"), "{file}");
        let jobs = text.matches("runs-on:").count();
        assert_eq!(text.matches("timeout-minutes:").count(), jobs, "{file}");
        let checkouts = text.matches("actions/checkout@").count();
        let without = text.matches("persist-credentials: false").count();
        assert_eq!(checkouts, without, "{file}");
    }
}

/// The gate must see every other job.
#[test]
fn the_gate_needs_all_jobs() {
    let (_, text) = files()
        .into_iter()
        .find(|(file, _)| file.ends_with("ci.yml"))
        .unwrap();
    let (_, jobs) = text.split_once("\njobs:\n").unwrap();
    let names: Vec<&str> = jobs
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.strip_suffix(':'))
        .filter(|name| !name.starts_with([' ', '#']))
        .collect();
    let needs = format!("needs: [{}]", names[..names.len() - 1].join(", "));
    assert_eq!(names.last(), Some(&"success"));
    assert!(jobs.contains(&needs), "{needs}");
}

#[test]
fn the_gate_tells_a_skipped_job_from_one_that_may_be() {
    let fixture = Fixture::new("");
    let gate = |needs: &str, args: &[&str]| {
        Run::of(
            fixture
                .xtask(&[&["ci", "gate"], args].concat())
                .env("XTASK_NEEDS", needs),
        )
    };
    let skipped = r#"{"a":{"result":"success"},"b":{"result":"skipped"}}"#;
    gate(skipped, &[]).code(1).prints("BAD   b: skipped");
    gate(skipped, &["--may-skip", "b"]).code(0);
    gate(skipped, &["--may-skip", "c"]).code(2).says("`c`");
    gate("{}", &[]).code(2).says("names no job");
    gate("nonsense", &[]).code(2).says("XTASK_NEEDS");
    fixture
        .run(&["ci", "gate"])
        .code(2)
        .says("XTASK_NEEDS is not set")
        .says("toJSON(needs)");
}
