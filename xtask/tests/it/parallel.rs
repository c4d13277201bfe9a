//! `cargo xtask parallel`, with the real cargo-make.

#[cfg(unix)]
use std::time::{Duration, Instant};

use crate::support::{Fixture, Run, xtask, xtask_word};

/// Tasks that print long texts, fail, and wait. `{xtask}` prints hundreds of lines at once.
fn fixture() -> Fixture {
    let fixture = Fixture::new("");
    let xtask = xtask_word().replace('\\', "\\\\");
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

/// A task may leave a server behind that holds its output for ever: nobody waits for that.
#[cfg(target_os = "linux")]
#[test]
fn what_a_task_leaves_running_is_not_waited_for() {
    let fixture = fixture();
    let makefile = std::fs::read_to_string(fixture.path("Makefile.toml")).unwrap();
    let server = crate::support::server();
    let hold = format!("[tasks.hold]\ncommand = \"{server}\"\nargs = [\"hold\"]\n");
    fixture.file("Makefile.toml", &format!("{makefile}{hold}"));
    let value = std::process::id().to_string();
    let mark = format!("XTASK_TEST={value}");
    let end = || {
        let left = crate::support::living(&mark);
        left.iter().for_each(|pid| xtask::platform::kill(*pid));
        left.len()
    };
    for args in [
        &["parallel", "hold", "fish"][..],
        &["parallel", "--jobs", "1", "hold", "fish"],
    ] {
        let since = Instant::now();
        let run = Run::of(fixture.xtask(args).env("XTASK_TEST", &value)).code(0);
        let took = since.elapsed();
        assert_eq!(end(), 1, "it is the task's own, and stays\n{run}");
        assert!(took < Duration::from_secs(10), "{took:?}\n{run}");
        run.says("`hold` has left something running that holds its output")
            .says("2 passed, 0 failed")
            .prints("before it goes");
    }
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
    std::fs::copy(xtask(), fixture.path("tools/bin").join(name)).unwrap();
    let config = fixture.path(".config/xtask.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let search = "[tools.rubyx]\nsearch = [\"tools/bin\"]";
    std::fs::write(&config, text.replace("[tools.rubyx]", search)).unwrap();
    fixture.run(&args).code(0).says("2 passed, 0 failed");
}

/// A test task that ran nothing must never read as a success.
#[test]
fn the_tests_of_each_language_are_counted_and_none_is_no_success() {
    let fixture = fixture();
    fixture.file(
        ".config/xtask.toml",
        r#"
[tests.go]
junit = ["out/go*.xml"]
tasks = ["test-go", "test-integration-go", "fish"]
[tests.zig]
junit = ["out/zig.xml"]
tasks = ["test-zig"]
[tools.zigx]
language = "zig"
install.any = "get zigx"
[make.needs]
"test-zig" = ["zigx"]
"#,
    );
    let makefile = std::fs::read_to_string(fixture.path("Makefile.toml")).unwrap();
    let copy = |task: &str, from: &str, to: &str| {
        format!("\n[tasks.{task}]\nscript_runner = \"@duckscript\"\nscript = \"cp {from} {to}\"\n")
    };
    fixture.file(
        "Makefile.toml",
        &(makefile
            + &copy("test-go", "a.xml", "out/go.xml")
            + &copy("test-integration-go", "b.xml", "out/go-integration.xml")
            + &copy("test-zig", "a.xml", "out/zig.xml")),
    );
    let case = "<testcase classname=\"c\" name=\"n\" time=\"0.1\"/>";
    let report =
        |cases: &str| format!("<testsuites><testsuite name=\"s\">{cases}</testsuite></testsuites>");
    fixture.file("a.xml", &report(&case.repeat(3)));
    fixture.file(
        "b.xml",
        &report(&format!("{case}<testcase name=\"m\"><skipped/></testcase>")),
    );
    // From an earlier run: it counts for nothing.
    fixture.file("out/go-old.xml", &report(&case.repeat(90)));

    let args = ["parallel", "--jobs", "1", "--keep-going"];
    let run = |tasks: &[&str]| fixture.run(&[&args, tasks].concat());
    run(&["test-go", "test-integration-go", "test-zig"])
        .code(0)
        .says("tests of go   4 passed, 0 failed, 1 skipped")
        .says("tests of zig  NONE RAN");
    let json = fixture
        .run(&["--format", "json", "parallel", "test-go"])
        .code(0)
        .json();
    assert_eq!(json[0]["language"], "go");
    assert_eq!(json[0]["tests"]["passed"], 3);

    // `fish` ends well, and writes no report.
    run(&["fish"])
        .code(1)
        .says("it ended well, but no test ran")
        .says("0 passed, 1 failed");
    fixture.file("a.xml", &report(""));
    run(&["test-go"]).code(1).says("no test ran");
    fixture.file("a.xml", "<testsuites><testsuite>");
    run(&["test-go"]).code(1).says("out/go.xml");
}
