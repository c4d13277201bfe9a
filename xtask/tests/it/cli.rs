//! The command line itself: help, global flags, the configuration's errors.

use crate::support::{Fixture, Run};

#[test]
fn help_names_every_command_and_ends_zero() {
    let run = Fixture::new("").run(&["--help"]).code(0);
    for command in [
        "make",
        "check-services",
        "services",
        "with-services",
        "run-service",
        "setup",
        "build-extension",
        "setup-db",
        "db",
        "setup-env",
        "env",
        "exec",
        "setup-nextest",
        "clean-artifacts",
        "doctor",
        "parallel",
        "tasks",
        "ci",
        "init",
        "completions",
    ] {
        assert!(
            run.stdout().contains(&format!("  {command} ")),
            "{command}\n{run}"
        );
    }
}

#[test]
fn a_mistyped_command_gets_the_near_one_and_ends_two() {
    Fixture::new("")
        .run(&["check-service"])
        .code(2)
        .says("similar")
        .says("check-services");
}

#[test]
fn a_mistyped_key_is_placed_and_mended() {
    Fixture::new("[services.a]\nkind = \"tcp\"\nprot = 1\n")
        .run(&["check-services"])
        .code(2)
        .says("xtask.toml:3:1: unknown field `prot`")
        .says("hint: did you mean `port` for `prot`?");
}

#[test]
fn completions_are_there_for_every_shell() {
    let fixture = Fixture::new("");
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        fixture
            .run(&["completions", shell])
            .code(0)
            .prints("check-services");
    }
}

#[test]
fn outside_of_any_workspace_it_says_so() {
    let fixture = Fixture::new("");
    let elsewhere = tempfile::tempdir().unwrap();
    let mut command = fixture.xtask(&["env"]);
    Run::of(command.current_dir(elsewhere.path()))
        .code(2)
        .says("no workspace found")
        .says("-C DIR");
}

#[test]
fn the_directory_flag_must_name_a_directory() {
    Fixture::new("")
        .run(&["-C", "nowhere", "env"])
        .code(2)
        .says("`nowhere`");
}

#[test]
fn a_required_tool_that_is_missing_is_named_with_the_command_that_installs_it() {
    let fixture = Fixture::new(
        "[tools.no-such-tool]\ninstall.any = \"get no-such-tool\"\n[tools.git]\nmin_version = \"2\"\n",
    );
    let fine = fixture.run(&["doctor", "--require", "git"]).code(0);
    assert_eq!(fine.stdout() + &fine.stderr(), "");
    fixture
        .run(&["doctor", "--require", "no-such-tool", "git"])
        .code(1)
        .says("`no-such-tool` missing")
        .says("get no-such-tool");
}
