//! `cargo xtask setup` and `build-extension`. The installer here is `examples/fixture-cargo.rs`, which
//! writes down how it was called; the languages' own tests are with the real ones.

use std::fs;
use std::process::Command;

use crate::support::{self, Fixture, Run};

fn fixture() -> Fixture {
    let fixture = Fixture::new(&support::installer());
    fixture.file("app/app.lock", "1");
    fixture.file("app/modules/one", "");
    fixture
}

fn setup(fixture: &Fixture, args: &[&str]) -> Command {
    let mut command = fixture.xtask(&[&["setup"], args].concat());
    command.env("FIXTURE_LOG", fixture.path("log"));
    command
}

fn calls(fixture: &Fixture) -> usize {
    let text = fs::read_to_string(fixture.path("log")).unwrap_or_default();
    assert!(text.lines().all(|line| line == "install all things"));
    text.lines().count()
}

#[test]
fn it_installs_when_something_changed_and_only_then() {
    let fixture = fixture();
    let run = |args: &[&str], expected: usize| {
        Run::of(&mut setup(&fixture, args)).code(0);
        assert_eq!(calls(&fixture), expected);
    };
    run(&["app"], 1);
    run(&["app"], 1);
    run(&[], 1);
    fixture.file("app/app.lock", "2");
    run(&["app"], 2);
    run(&["app"], 2);
    run(&["app", "--force"], 3);
    // Made anew by hand: the note is gone with it.
    fs::remove_dir_all(fixture.path("app/modules")).unwrap();
    fixture.file("app/modules/one", "");
    run(&["app"], 4);
    run(&["app"], 4);
}

#[test]
fn an_installation_that_fails_is_not_taken_for_the_one_before_it() {
    let fixture = fixture();
    Run::of(&mut setup(&fixture, &["app"])).code(0);
    fixture.file("app/app.lock", "2");
    Run::of(setup(&fixture, &["app"]).env("FIXTURE_EXIT", "7"))
        .code(1)
        .says("install 'all things'` ended with exit code 7");
    // Back to what was installed first: half of the second may be there.
    fixture.file("app/app.lock", "1");
    Run::of(&mut setup(&fixture, &["app"])).code(0);
    assert_eq!(calls(&fixture), 3);
}

#[test]
fn what_is_wrong_is_said_before_anything_runs() {
    let fixture = fixture();
    fixture
        .run(&["setup", "ap"])
        .code(2)
        .says("there is no [setup.ap]")
        .says("did you mean `app`?");
    fs::remove_file(fixture.path("app/app.lock")).unwrap();
    Run::of(&mut setup(&fixture, &["app"]))
        .code(1)
        .says("app.lock");
    assert_eq!(calls(&fixture), 0);
    let fixture = Fixture::new(
        "[tools.no-such-tool]\ninstall.any = \"get it\"\n\
         [setup.a]\ntools = [\"no-such-tool\"]\ncommands = [[\"no-such-tool\"]]\n",
    );
    fixture
        .run(&["setup", "a"])
        .code(1)
        .says("`no-such-tool` missing")
        .says("get it");
    Fixture::new("[setup.a]\ntools = [\"x\"]\n")
        .run(&["setup"])
        .code(2)
        .says("[setup.a] names the tool `x`, which [tools] does not have");
}

#[test]
fn an_output_that_is_not_made_is_a_failure() {
    let fixture = fixture();
    fs::remove_dir_all(fixture.path("app/modules")).unwrap();
    Run::of(&mut setup(&fixture, &["app"]))
        .code(1)
        .says("did not make `modules`");
}

#[test]
fn two_runs_at_once_install_once() {
    let fixture = fixture();
    support::all_succeed((0..3).map(|_| {
        let mut command = setup(&fixture, &["app"]);
        command.env("CARGO_INSTALL_ROOT", fixture.path("installed"));
        command
    }));
    assert_eq!(calls(&fixture), 1);
}

/// With the real cargo: a crate of two functions, no dependency.
#[test]
fn an_extension_is_built_and_put_in_its_place() {
    let fixture = Fixture::new(
        r#"
[extensions.native]
package = "native-core"
library = "core_of_it"
kind = "node"
destination = "lib/core"
"#,
    );
    fixture.file(
        "Cargo.toml",
        "[workspace]\nresolver = \"3\"\nmembers = [\"native\"]\n",
    );
    fixture.file(
        "native/Cargo.toml",
        "[package]\nname = \"native-core\"\nedition = \"2024\"\n[lib]\nname = \"core_of_it\"\ncrate-type = [\"cdylib\"]\n",
    );
    fixture.file("native/src/lib.rs", "pub fn one() -> u8 { 1 }\n");
    fixture
        .run(&["build-extension", "native"])
        .code(0)
        .says("Built lib");
    let path = fixture.path("lib/core.node");
    let since = fs::metadata(&path).unwrap().modified().unwrap();
    fixture.run(&["build-extension", "native"]).code(0);
    assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), since);
    fixture.file("native/src/lib.rs", "pub fn one() -> u8 { }\n");
    fixture
        .run(&["build-extension", "native"])
        .code(1)
        .says("mismatched types")
        .says("build --lib --package native-core` ended with exit code 101");
    fixture
        .run(&["build-extension", "nativ"])
        .code(2)
        .says("did you mean `native`?");
}
