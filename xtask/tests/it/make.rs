//! `cargo xtask make`: what it installs, and what it calls. The cargo here is
//! `examples/fixture-cargo.rs`; the gate itself is the test with the real one.

use std::fs;
use std::process::Command;

use crate::support::{self, Fixture, Run, example};

const CONFIG: &str = r#"
[tools.fixture-make]
crate = "fixture-make"
version = "1.2.3"
min_version = "1.2"

[tools.fixture-tests]
crate = "fixture-tests"
version = "1.2.3"

[tools.fixture-toolchain]
install.any = "fixture-manager get toolchain"

[make]
tools = ["fixture-make"]

[make.needs]
"test*" = ["fixture-tests"]
"ruby*" = ["fixture-toolchain"]
"#;

fn make(fixture: &Fixture, args: &[&str]) -> Command {
    let mut command = fixture.xtask(&[&["make"], args].concat());
    command
        .env("CARGO", example("fixture-cargo"))
        .env("CARGO_INSTALL_ROOT", fixture.path("installed"))
        .env("FIXTURE_LOG", fixture.path("log"))
        // Nothing that this machine has by accident, `cargo binstall` above all.
        .env("PATH", "");
    command
}

fn calls(fixture: &Fixture) -> Vec<String> {
    let text = fs::read_to_string(fixture.path("log")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn what_a_task_needs_is_installed_once_at_its_pinned_version() {
    let fixture = Fixture::new(CONFIG);
    Run::of(&mut make(&fixture, &["build"]))
        .code(0)
        .says("Needs fixture-make: missing")
        .says("Done build");
    assert_eq!(
        calls(&fixture),
        [
            "install --locked fixture-make --version 1.2.3 --force",
            "make --disable-check-for-updates build",
        ]
    );
    Run::of(&mut make(
        &fixture,
        &["test-e2e", "build", "--", "a b", "-x"],
    ))
    .code(0);
    assert_eq!(
        calls(&fixture)[2..],
        [
            "install --locked fixture-tests --version 1.2.3 --force",
            "make --disable-check-for-updates test-e2e",
            "make --disable-check-for-updates build a b -x",
        ]
    );
}

#[test]
fn two_runs_at_once_install_once() {
    let fixture = Fixture::new(CONFIG);
    support::all_succeed((0..3).map(|_| make(&fixture, &["build"])));
    let calls = calls(&fixture);
    let installs = calls.iter().filter(|it| it.starts_with("install")).count();
    assert_eq!((installs, calls.len()), (1, 4), "{calls:?}");
}

#[test]
fn an_installation_that_fails_is_told_with_its_command() {
    let fixture = Fixture::new(CONFIG);
    Run::of(make(&fixture, &["build"]).env("FIXTURE_EXIT", "101"))
        .code(1)
        .says("failed to install `fixture-make`")
        .says("install --locked fixture-make --version 1.2.3 --force");
}

#[test]
fn a_toolchain_is_not_installed_unasked() {
    let fixture = Fixture::new(CONFIG);
    Run::of(&mut make(&fixture, &["ruby-things"]))
        .code(1)
        .says("`fixture-toolchain` is needed, and missing")
        .says("run `fixture-manager get toolchain`")
        .says("--yes");
    assert!(!calls(&fixture).iter().any(|it| it.starts_with("make")));
}

/// The installer of a tool may be a tool itself, which another one brings.
#[test]
fn what_installs_a_tool_is_installed_first() {
    let program = example("fixture-cargo");
    let fixture = Fixture::new(&format!(
        r#"
[tools.runtime]
install.any = "getter install runtime"
[tools.getter]
install.any = "{program} install getter getter"
[tools.broken]
install.any = "{program} --version"
[make.needs]
"run*" = ["runtime"]
"broken*" = ["broken"]
"#
    ));
    // `getter` is a copy of that program, and "installs" by copying itself.
    Run::of(&mut make(&fixture, &["--yes", "broken"]))
        .code(1)
        .says("`broken` is still not fine: missing");
    Run::of(make(&fixture, &["--yes", "run"]).env("PATH", fixture.path("installed/bin")))
        .says("Installing getter")
        .says("Installing runtime");
    assert_eq!(
        calls(&fixture)[..2],
        ["install getter getter", "install runtime"]
    );
}

#[test]
fn a_task_that_fails_ends_the_run_with_one() {
    let fixture = Fixture::new("");
    Run::of(make(&fixture, &["broken", "build"]).env("FIXTURE_EXIT", "105"))
        .code(1)
        .says("task `broken` failed")
        .says("cargo make broken");
    assert_eq!(calls(&fixture).len(), 1, "the second task never starts");
}
