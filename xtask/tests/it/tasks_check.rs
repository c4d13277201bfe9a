//! `cargo xtask tasks check` on fixture workspaces, and on this one.

use std::fs;
use std::process::Command;

use expect_test::expect;

use crate::support::{self, Fixture, Run};

const CONFIG: &str = "[config]\nskip_core_tasks = true\ndefault_to_workspace = false\nskip_git_env_info = true\nskip_rust_env_info = true\nskip_crate_env_info = true\n";

/// A workspace whose root has these tasks, and requires no actions.
fn fixture(lint: &str, tasks: &str) -> Fixture {
    let fixture = Fixture::new(&format!("[lint]\nrequired = []\n{lint}"));
    fixture.file("Makefile.toml", &format!("{CONFIG}\n{tasks}"));
    fixture
}

const TYPO: &str = "# What there is.\n[tasks.build]\ndescription = \"Build\"\ncategory = \"Build\"\ndependencies = [\"setpu\"]\n\n[tasks.setup]\ncategory = \"Build\"\ncommand = \"make\"\n";

#[test]
fn findings_are_shown_at_their_place_and_deny_ends_with_one() {
    let run = fixture("", TYPO).run(&["tasks", "check"]).code(1);
    expect![[r#"
        error[undefined-task]: `setpu` is no task
          --> Makefile.toml:12:17
           |
        12 | dependencies = ["setpu"]
           |                 ^^^^^^^
           = why: cargo-make looks for a name only when it gets there: the tasks before it have run by then
           = help: did you mean `setup`?

        warning[missing-description]: `setup` has no description
          --> Makefile.toml:14:8
           |
        14 | [tasks.setup]
           |        ^^^^^
           = why: `cargo make --list-all-steps` shows "No Description.": people read its body, or ask
           = help: say it in `description`, in a few words

    "#]]
    .assert_eq(&run.stdout());
    let _ = run.says("Checked 2 tasks in 1 file: 1 error, 1 warning");
}

#[test]
fn warnings_alone_end_with_zero_and_levels_are_the_configurations() {
    let tasks = "[tasks.setup]\ncategory = \"Build\"\ncommand = \"make\"\n";
    let _ = fixture("", tasks)
        .run(&["tasks", "check"])
        .code(0)
        .prints("warning[missing-description]");
    let _ = fixture("[lint.rules]\nmissing-description = \"deny\"", tasks)
        .run(&["tasks", "check"])
        .code(1)
        .prints("error[missing-description]");
    let run = fixture("[lint.rules]\nmissing-description = \"off\"", tasks)
        .run(&["tasks", "check"])
        .code(0)
        .says("no findings");
    assert_eq!(run.stdout(), "");
    let _ = fixture("level = \"deny\"", tasks)
        .run(&["tasks", "check"])
        .code(1);
    let _ = fixture("", tasks)
        .run(&["tasks", "check", "--level", "deny"])
        .code(1);
    let _ = fixture("", tasks)
        .run(&[
            "tasks",
            "check",
            "--level",
            "deny",
            "--rule",
            "undefined-task",
        ])
        .code(0);
}

#[test]
fn a_wrong_rule_is_named_with_the_near_one() {
    let fixture = fixture("", "");
    for args in [
        &["tasks", "check", "--rule", "undefined-tusk"],
        &["tasks", "check", "--explain", "undefined-tusk"],
    ] {
        let _ = fixture
            .run(args)
            .code(2)
            .says("no rule is called `undefined-tusk`")
            .says("did you mean `undefined-task`?");
    }
    fixture.file(
        ".config/xtask.toml",
        "[lint.rules]\nmissing-categry = \"off\"\n",
    );
    let _ = fixture
        .run(&["tasks", "check"])
        .code(2)
        .says("[lint.rules] names `missing-categry`, which is no rule")
        .says("did you mean `missing-category`?");
}

#[test]
fn a_rule_explains_itself() {
    let run = fixture("", "").run(&["tasks", "check", "--explain", "env-after-dependencies"]);
    expect![[r#"
        env-after-dependencies (environment, deny by default)

        what: `env` on a task with `dependencies` and nothing of its own to run.
        why: it is set when the task's turn comes, and by then the dependencies have run without it.
        mend: set it at the tasks that read it, or call them by `run_task`.
    "#]]
    .assert_eq(&run.code(0).stdout());
}

#[test]
fn machines_get_json_sarif_and_annotations() {
    let fixture = fixture("", TYPO);
    let json = fixture
        .run(&["tasks", "check", "--format", "json"])
        .code(1)
        .json();
    assert_eq!(json["passed"], false);
    assert_eq!((&json["denied"], &json["warned"]), (&1.into(), &1.into()));
    let first = &json["findings"][0];
    assert_eq!(first["rule"], "undefined-task");
    assert_eq!(first["level"], "deny");
    assert_eq!((&first["line"], &first["column"]), (&12.into(), &17.into()));
    assert_eq!(first["help"], "did you mean `setup`?");

    let run = fixture
        .run(&["tasks", "check", "--format", "github"])
        .code(1);
    let out = run.stdout();
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 2, "{out}");
    assert!(
        lines[0].starts_with(
            "::error file=Makefile.toml,line=12,col=17,endLine=12,endColumn=24,title=undefined-task::`setpu` is no task%0Adid you mean"
        ),
        "{out}"
    );
    assert!(
        lines[1].starts_with("::warning file=Makefile.toml,line=14,"),
        "{out}"
    );

    let sarif = fixture
        .run(&["tasks", "check", "--format", "sarif"])
        .code(1)
        .json();
    let result = &sarif["runs"][0]["results"][0];
    assert_eq!(result["ruleId"], "undefined-task");
    assert_eq!(result["level"], "error");
    assert_eq!(
        result["locations"][0]["physicalLocation"],
        serde_json::json!({
            "artifactLocation": { "uri": "Makefile.toml", "uriBaseId": "SRCROOT" },
            "region": { "startLine": 12, "startColumn": 17, "endLine": 12, "endColumn": 24 },
        })
    );

    // A step of GitHub Actions gets annotations beside what people read.
    let mut command = fixture.xtask(&["tasks", "check"]);
    let _ = Run::of(command.env("GITHUB_ACTIONS", "true"))
        .code(1)
        .prints("error[undefined-task]")
        .prints("::error file=Makefile.toml");
    // The two formats are this command's alone.
    let _ = fixture
        .run(&["doctor", "--format", "sarif"])
        .code(2)
        .says("this command writes `--format human` or `json`");
}

#[test]
fn what_is_safe_is_mended_and_the_rest_is_reported() {
    let tasks = "# Bases.\n[tasks.base-x]\ndescription = \"X\" # why\ncategory = \"Base\"\ncommand = \"make\"\n\n[tasks]\nbuild = { extend = \"base-x\", args = [\"${GONE}\"] }\n";
    let fixture = fixture("", tasks);
    let run = fixture.run(&["tasks", "check", "--fix"]).code(1);
    let _ = run
        .says("Mended Makefile.toml")
        .prints("error[undefined-variable]: nothing defines `GONE`");
    let mended = fs::read_to_string(fixture.path("Makefile.toml")).unwrap();
    let expected = format!(
        "{CONFIG}\n# Bases.\n[tasks.base-x]\ndescription = \"X\" # why\ncategory = \"Base\"\nprivate = true\ncommand = \"make\"\n\n[tasks]\nbuild = {{ extend = \"base-x\", args = [\"${{GONE}}\"], private = false }}\n"
    );
    assert_eq!(mended, expected);
    let _ = fixture.run(&["tasks", "check", "--fix"]).code(1);
    assert_eq!(
        fs::read_to_string(fixture.path("Makefile.toml")).unwrap(),
        expected
    );
    let left: Vec<_> = fs::read_dir(fixture.root())
        .unwrap()
        .map(|it| it.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name.contains("tmp"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_file_that_cannot_be_read_ends_with_two_and_the_others_are_checked() {
    let fixture = fixture("", TYPO);
    fixture.file("part/Makefile.toml", "[tasks.x\n");
    let run = fixture
        .run(&["tasks", "check"])
        .code(2)
        .says("error: part/Makefile.toml:1:9:")
        .says("cargo-make refuses the whole file")
        .prints("error[undefined-task]");
    assert_eq!(
        run.stderr().matches("part/Makefile.toml").count(),
        1,
        "{run}"
    );
    let json = fixture
        .run(&["tasks", "check", "--format", "json"])
        .code(2)
        .json();
    assert_eq!(json["passed"], false);
    assert_eq!(json["unread"][0]["file"], "part/Makefile.toml");
    assert_eq!(json["unread"][0]["line"], 1);
    let _ = fixture
        .run(&["tasks", "check", "--format", "github"])
        .code(2)
        .prints("::error file=part/Makefile.toml,line=1,col=9,title=task file::");
    let sarif = fixture
        .run(&["tasks", "check", "--format", "sarif"])
        .code(2)
        .json();
    let invocation = &sarif["runs"][0]["invocations"][0];
    assert_eq!(invocation["executionSuccessful"], false);
    let notification = &invocation["toolConfigurationNotifications"][0];
    assert_eq!(
        notification["locations"][0]["physicalLocation"]["region"]["startLine"],
        1
    );
    // Mending leaves it alone.
    let _ = fixture.run(&["tasks", "check", "--fix"]).code(2);
    let kept = fs::read_to_string(fixture.path("part/Makefile.toml")).unwrap();
    assert_eq!(kept, "[tasks.x\n");
}

/// A shared file of another repository is reported, and left alone.
#[test]
fn what_lies_outside_of_the_workspace_is_not_mended() {
    let outside = tempfile::tempdir().unwrap();
    let path = outside.path().join("base.toml");
    let text = "[tasks.base-x]\ndescription = \"X\"\ncategory = \"Base\"\ncommand = \"make\"\n";
    fs::write(&path, text).unwrap();
    let fixture = Fixture::new("[lint]\nrequired = []\n");
    let extend = path.display().to_string().replace('\\', "/");
    fixture.file(
        "Makefile.toml",
        &format!("extend = \"{extend}\"\n{CONFIG}\n[tasks.build]\nextend = \"base-x\"\n"),
    );
    let _ = fixture
        .run(&["tasks", "check", "--fix"])
        .code(1)
        .prints("error[public-base]");
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
    let left = fs::read_dir(fixture.root()).unwrap().count();
    assert_eq!(left, 3, "Cargo.toml, .config, Makefile.toml");
}

#[test]
fn a_workspace_without_task_files_has_no_findings() {
    let fixture = Fixture::new("");
    let _ = fixture
        .run(&["tasks", "check"])
        .code(0)
        .says("Checked 0 tasks in 0 files: no findings");
}

/// What no terminal may be told by a file.
#[test]
fn control_characters_of_a_file_do_not_reach_the_terminal() {
    let fixture = fixture(
        "",
        "[tasks.\"bu\\u001b[31mild\"]\ncommand = \"make\" # \u{1b}[2J\n",
    );
    let run = fixture.run(&["tasks", "check", "--level", "warn"]);
    assert!(!run.stdout().contains('\u{1b}'), "{:?}", run.stdout());
}

/// Every rule at deny, as `.config/xtask.toml` says; also that it still says so.
#[test]
fn this_repository_passes_with_every_rule_at_deny() {
    let root = support::root();
    let run = Run::of(
        Command::new(support::xtask())
            .args(["tasks", "check", "--format", "json"])
            .env_remove("GITHUB_ACTIONS")
            .current_dir(&root),
    )
    .code(0);
    let json = run.json();
    assert_eq!(json["findings"], serde_json::json!([]));
    assert!(json["tasks"].as_u64().unwrap() > 250, "{json}");
    let config = fs::read_to_string(root.join(".config").join("xtask.toml")).unwrap();
    let (_, lint) = config.split_once("[lint]\n").unwrap();
    assert!(lint.starts_with("level = \"deny\"\n") && !config.contains("[lint.rules]"));
}
