//! `cargo xtask parallel`, with the real cargo-make.

use std::time::{Duration, Instant};

use crate::support::{Fixture, Run};

/// Tasks that print long texts, fail, and wait. `{xtask}` prints hundreds of lines at once.
fn fixture() -> Fixture {
    let fixture = Fixture::new("");
    let xtask = env!("CARGO_BIN_EXE_xtask").replace('\\', "\\\\");
    fixture.file(
        "Makefile.toml",
        &format!(
            r#"
[config]
skip_core_tasks = true
skip_git_env_info = true
skip_rust_env_info = true
skip_crate_env_info = true

[tasks.fish]
command = "{xtask}"
args = ["completions", "fish"]

[tasks.elvish]
command = "{xtask}"
args = ["completions", "elvish"]

[tasks.broken]
command = "{xtask}"
args = ["completions", "no-such-shell"]

[tasks.slow]
command = "sleep"
args = ["471"]
"#
        ),
    );
    fixture
}

#[test]
fn each_tasks_output_stays_together() {
    let fixture = fixture();
    let fish = fixture.run(&["completions", "fish"]).stdout();
    let elvish = fixture.run(&["completions", "elvish"]).stdout();
    let run = fixture
        .run(&["parallel", "fish", "elvish"])
        .code(0)
        .says("2 passed, 0 failed");
    assert!(run.stdout().contains(&fish), "{run}");
    assert!(run.stdout().contains(&elvish), "{run}");
}

#[test]
fn a_failure_comes_last_and_the_others_are_waited_for() {
    let run = fixture().run(&["parallel", "broken", "fish"]).code(1);
    let run = run
        .says("1 passed, 1 failed")
        .says("again: cargo make broken");
    let (fish, broken) = (run.stdout().find("── fish"), run.stdout().find("── broken"));
    assert!(fish.is_some() && fish < broken, "{run}");
}

#[test]
fn after_a_failure_nothing_new_starts_unless_told_to_keep_going() {
    let fixture = fixture();
    fixture
        .run(&["parallel", "--jobs", "1", "broken", "fish"])
        .code(1)
        .says("skipped, as another task failed");
    fixture
        .run(&["parallel", "--jobs", "1", "--keep-going", "broken", "fish"])
        .code(1)
        .says("1 passed, 1 failed");
}

#[test]
fn json_has_one_object_a_task() {
    let run = fixture()
        .run(&["--format", "json", "parallel", "fish", "broken"])
        .code(1);
    let outcomes: Vec<String> = run
        .json()
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["outcome"].to_string())
        .collect();
    assert_eq!(outcomes, ["\"passed\"", "\"failed\""]);
}

/// cargo-make's own parallel run leaves the siblings behind as orphans.
#[cfg(unix)]
#[test]
fn an_interrupt_ends_every_task_and_all_below_it() {
    let fixture = fixture();
    let mut command = fixture.xtask(&["parallel", "slow", "slow"]);
    let child = command.spawn().unwrap();
    let pid = nix::unistd::Pid::from_raw(child.id().cast_signed());
    std::thread::sleep(Duration::from_millis(700));
    let asked = Instant::now();
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert!(asked.elapsed() < Duration::from_secs(5));
    Run::of(std::process::Command::new("pgrep").args(["-f", "^sleep 471$"])).code(1);
}

/// All tools missing must never read as "0 failed".
#[test]
fn a_language_that_is_not_here_is_skipped_loudly_and_fails_in_ci() {
    let fixture = fixture();
    fixture.file(
        ".config/xtask.toml",
        r#"
[tools.rubyx]
language = "ruby"
install.any = "get rubyx"
[make.needs]
"fish" = ["rubyx"]
"#,
    );
    let args = ["parallel", "--jobs", "1", "--keep-going", "fish", "elvish"];
    let run = fixture
        .run(&args)
        .code(0)
        .says("`fish` cannot run here: `rubyx` is missing; install it: `get rubyx`")
        .says("1 passed, 0 failed, 1 SKIPPED");
    assert!(run.stdout().contains("── elvish"), "{run}");
    Run::of(fixture.xtask(&args).env("CI", "true"))
        .code(1)
        .says("1 passed, 1 failed");
    fixture.run(&["parallel", "fish"]).code(1);

    // The workspace's own directory of tools counts, too.
    let name = format!("rubyx{}", std::env::consts::EXE_SUFFIX);
    std::fs::create_dir_all(fixture.path("tools/bin")).unwrap();
    std::fs::copy(
        env!("CARGO_BIN_EXE_xtask"),
        fixture.path("tools/bin").join(name),
    )
    .unwrap();
    let config = fixture.path(".config/xtask.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let search = "[tools.rubyx]\nsearch = [\"tools/bin\"]";
    std::fs::write(&config, text.replace("[tools.rubyx]", search)).unwrap();
    fixture.run(&args).code(0).says("2 passed, 0 failed");
}
