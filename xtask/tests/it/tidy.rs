//! The repository's habits, as tests: what is not checked decays.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{cargo, root};

fn lines_of(command: &mut Command) -> Vec<String> {
    let output = command
        .current_dir(root())
        .output()
        .expect("the command starts");
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.split(['\n', '\0'])
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Every file of the repository, as git knows it.
fn files() -> Vec<String> {
    lines_of(Command::new("git").args([
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]))
    .into_iter()
    .filter(|file| root().join(file).is_file())
    .collect()
}

/// Design: every CI job compiles xtask from nothing, so its price is held here.
#[test]
fn xtask_stays_slim() {
    let mut crates = lines_of(cargo().args([
        "tree",
        "--package",
        "xtask",
        "--edges",
        "normal,build",
        "--prefix",
        "none",
    ]));
    crates.sort();
    crates.dedup();
    assert!(
        crates.len() <= 60,
        "{} lines, 60 at the most:\n{}",
        crates.len(),
        crates.join("\n")
    );
    for banned in [
        "tokio ",
        "sqlx",
        "postgres ",
        "rustls",
        "openssl",
        "native-tls",
    ] {
        assert!(
            !crates.iter().any(|line| line.starts_with(banned)),
            "{banned} in xtask"
        );
    }
}

/// `rust-version` of the workspace: the oldest compiler that we state.
fn rust_version() -> String {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let line = manifest.lines().find(|it| it.starts_with("rust-version"));
    line.unwrap().split('"').nth(1).unwrap().to_owned()
}

/// The oldest compiler that we state is one that every dependency takes. That our own code takes it, too,
/// is clippy's `incompatible_msrv`, and the job that compiles with it.
#[test]
fn no_dependency_asks_for_a_newer_compiler() {
    let version = |text: &str| -> Vec<u32> {
        let mut parts: Vec<u32> = text.split('.').map(|it| it.parse().unwrap()).collect();
        parts.resize(3, 0);
        parts
    };
    let ours = version(&rust_version());
    let text = lines_of(cargo().args(["metadata", "--format-version", "1", "--locked"])).concat();
    let metadata: serde_json::Value = serde_json::from_str(&text).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 100, "{}", packages.len());
    for package in packages {
        if let Some(theirs) = package["rust_version"].as_str() {
            assert!(version(theirs) <= ours, "{} needs {theirs}", package["id"]);
        }
    }
}

/// Each member inherits it, the linter denies what is newer, and CI compiles with it.
#[test]
fn the_oldest_compiler_is_the_same_everywhere() {
    let ours = rust_version();
    let read = |file: &str| fs::read_to_string(root().join(file)).unwrap();
    let document = |file: &str| -> toml_edit::DocumentMut { read(file).parse().unwrap() };

    let workspace = document("Cargo.toml");
    for member in workspace["workspace"]["members"].as_array().unwrap() {
        let file = format!("{}/Cargo.toml", member.as_str().unwrap());
        let package = &document(&file)["package"];
        let inherited = package["rust-version"].get("workspace");
        assert!(
            inherited.is_some_and(|it| it.as_bool() == Some(true)),
            "{file}"
        );
        let lints = document(&file)["lints"]["workspace"].as_bool();
        assert_eq!(lints, Some(true), "{file}");
    }
    let lint = workspace["workspace"]["lints"]["clippy"]["incompatible_msrv"].as_str();
    assert_eq!(lint, Some("deny"));

    let task = &document("cargo-make/cross-cutting.toml")["tasks"]["lint-rust-version"];
    let args = task["args"].as_array().unwrap();
    assert!(args.iter().any(|it| it.as_str() == Some(&ours)), "{args}");
    assert!(read(".github/workflows/ci.yml").contains("cargo xtask make lint-rust-version\n"));

    let cargo = &document(".config/xtask.toml")["tools"]["cargo"];
    assert_eq!(cargo["min_version"].as_str(), Some(ours.as_str()));
}

/// Calls of the system go through nix, signal-hook and `xtask-win`.
#[test]
fn xtask_forbids_unsafe_code() {
    for file in ["src/lib.rs", "src/main.rs"] {
        let text = fs::read_to_string(root().join("xtask").join(file)).unwrap();
        assert!(text.contains("#![forbid(unsafe_code)]"), "{file}");
    }
}

#[test]
fn the_only_shell_script_is_the_gate() {
    let scripts: Vec<String> = files()
        .into_iter()
        // What the task layer replaces, kept to be measured against it. Nothing else calls it.
        .filter(|file| !file.starts_with("benchmarks/bash/"))
        .filter(|file| {
            // A first line such as `#!/usr/bin/env node` makes no shell script.
            let text = fs::read(root().join(file)).unwrap();
            let first = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
            let first = String::from_utf8_lossy(first);
            let shebang = first.starts_with("#!/") && first.contains("sh");
            let suffix = Path::new(file)
                .extension()
                .and_then(|suffix| suffix.to_str());
            shebang || matches!(suffix, Some("sh" | "bash" | "zsh" | "ps1" | "bat" | "cmd"))
        })
        .collect();
    assert_eq!(scripts, [".ci/run"]);
}

#[test]
fn no_task_file_holds_a_script() {
    let found: Vec<String> = files()
        .into_iter()
        .filter(|file| file.ends_with("Makefile.toml") || file.starts_with("cargo-make/"))
        .flat_map(|file| {
            let text = fs::read_to_string(root().join(&file)).unwrap();
            text.lines()
                .enumerate()
                .filter(|(_, line)| line.trim_start().starts_with("script"))
                .map(|(n, line)| format!("{file}:{}: {line}", n + 1))
                .collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(found, Vec::<String>::new());
}

/// CI compiles tests once and runs them elsewhere, out of an archive: what a test needs, it has to ask for
/// as it runs (`support::xtask`, `support::root`, `xtask_db::test_root`).
#[test]
fn no_test_knows_where_it_was_compiled() {
    let fixed = ["_MANIFEST_DIR\")", "_BIN_EXE_", "\")"].map(|it| format!("env!(\"CARGO{it}"));
    // Where it runs without nextest's variable: with cargo, in the same place.
    let but = ["xtask/tests/it/support.rs", "xtask-db/tests/integration.rs"];
    for file in files()
        .iter()
        .filter(|it| it.contains("tests/") && it.ends_with(".rs"))
    {
        let text = fs::read_to_string(root().join(file)).unwrap();
        let known = fixed.iter().any(|it| text.contains(it.as_str()));
        assert!(!known || but.contains(&file.as_str()), "{file}");
    }
}

/// rustc does not report a file that no `mod` line names; this does.
#[test]
fn every_command_file_is_in_the_dispatch() {
    let source = root().join("xtask").join("src");
    let dispatch = fs::read_to_string(source.join("cmd.rs")).unwrap();
    for entry in fs::read_dir(source.join("cmd")).unwrap() {
        let name = entry
            .unwrap()
            .path()
            .file_stem()
            .unwrap()
            .to_string_lossy()
            .into_owned();
        assert!(
            dispatch.contains(&format!("mod {name};")),
            "cmd/{name}.rs is in no list"
        );
    }
}

#[test]
fn every_rust_file_of_xtask_says_why_it_is_there() {
    for file in files()
        .iter()
        .filter(|file| file.starts_with("xtask/") && file.ends_with(".rs"))
    {
        let text = fs::read_to_string(root().join(file)).unwrap();
        assert!(text.starts_with("//!"), "{file} has no module docs");
    }
}

#[test]
fn links_in_the_documents_lead_somewhere() {
    for file in files().iter().filter(|file| file.ends_with(".md")) {
        let text = fs::read_to_string(root().join(file)).unwrap();
        let here = root().join(file).parent().unwrap().to_path_buf();
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split([')', '#']).next())
        {
            let local = !link.is_empty() && !link.contains("://") && !link.starts_with("mailto:");
            assert!(!local || here.join(link).exists(), "{file} links to {link}");
        }
    }
}

/// `@@NAME@@` stands for what is to be filled in, and is to be gone when it is.
#[test]
fn no_document_has_a_placeholder_left() {
    let mut documents = 0;
    for file in files().iter().filter(|file| file.ends_with(".md")) {
        let text = fs::read_to_string(root().join(file)).unwrap();
        documents += 1;
        for (n, line) in text.lines().enumerate() {
            assert!(!line.contains("@@"), "{file}:{}: {line}", n + 1);
        }
    }
    assert!(documents > 10, "{documents} documents");
}
