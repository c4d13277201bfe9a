//! `cargo xtask tasks` on a fixture workspace, and on this repository.

use std::fs;

use expect_test::{Expect, expect};

use crate::support::{Fixture, Run, root};

const ROOT: &str = r#"
extend = [{ path = "cargo-make/base.toml" }, { path = "cargo-make/extra.toml" }]

[tasks.build]
extend = "base-cargo"
description = "Build all | of it"
category = "Build"
private = false
dependencies = ["prepare"]
args = ["build", "--package", "${NAME}", "a b"]

[tasks.all]
description = "Everything"
category = "Build"
dependencies = ["build", "check", { name = "build", path = "member" }]

[tasks.check]
description = "Checks, one by one"
category = "Quality"
run_task = { name = ["lint", "circle"], parallel = true, cleanup_task = "prepare" }

[tasks.compile]
alias = "build"

[tasks.circle]
description = "Leads back"
category = "Quality"
dependencies = ["all"]

[tasks.broken]
category = "Quality"
extend = "bsae-cargo"

[tasks.text]
script = '''
echo one
echo two
'''
env = { API_TOKEN = "hidden", URL = "http://u:hidden@h/" }
"#;

const BASE: &str = r#"
[config]
skip_core_tasks = true

[env]
NAME = "named"

[tasks.base-cargo]
private = true
command = "cargo"
install_crate = false
args = ["--version"]

[tasks.prepare]
command = "true"
"#;

const EXTRA: &str = r#"
[tasks.base-cargo]
description = "Runs cargo"

[tasks.lint]
description = "Lint"
category = "Quality"
command = "cargo"
cwd = "member"
args = ["make", "lint"]
"#;

const MEMBER: &str = r#"
extend = "../cargo-make/base.toml"

[tasks]
build = { extend = "base-cargo", private = false, description = "Build the member", category = "Build" }
"#;

fn fixture() -> Fixture {
    let fixture = Fixture::new("");
    fixture.file("Cargo.toml", "[workspace]\nmembers = [\"member\"]\n");
    fixture.file("Makefile.toml", ROOT);
    fixture.file("cargo-make/base.toml", BASE);
    fixture.file("cargo-make/extra.toml", EXTRA);
    fixture.file("member/Makefile.toml", MEMBER);
    fixture.file("member/src/lib.rs", "");
    fixture.file("member/Cargo.toml", "[package]\nname = \"thing\"\n");
    fixture
}

#[track_caller]
fn prints(fixture: &Fixture, args: &[&str], expected: &Expect) {
    expected.assert_eq(&fixture.run(args).code(0).stdout());
}

#[test]
fn a_list_says_what_each_does_and_where_it_is() {
    let fixture = fixture();
    prints(
        &fixture,
        &["tasks", "list"],
        &expect![[r#"
        Build
          all      Everything
                     -> build, check, build of member  [Makefile.toml:12:8]
          build    Build all | of it
                     cargo build --package named 'a b', after prepare  [Makefile.toml:4:8]
          compile  Build all | of it
                     alias of build  [Makefile.toml:22:8]

        No category
          prepare  (no description)
                     true  [cargo-make/base.toml:14:8]
          text     (no description)
                     a script of 2 lines  [Makefile.toml:34:8]

        Quality
          broken   (no description)
                     broken: there is no task `bsae-cargo`, which `broken` names  [Makefile.toml:30:8]
          check    Checks, one by one
                     runs lint, circle in parallel  [Makefile.toml:17:8]
          circle   Leads back
                     -> all  [Makefile.toml:25:8]
          lint     Lint
                     cargo make lint (in member)  [cargo-make/extra.toml:5:8]
    "#]],
    );
    prints(
        &fixture,
        &["tasks", "list", "--member", "thing", "--all"],
        &expect![[r#"
            Build
              build       Build the member
                            cargo --version  [member/Makefile.toml:5:1]

            Hooks
              end         By default this task is invoked at the end of every cargo-make run.
                            does nothing  [cargo-make:base.toml:11:8]
              init        By default this task is invoked at the start of every cargo-make run.
                            does nothing  [cargo-make:base.toml:7:8]

            No category
              base-cargo  (no description) (private)
                            cargo --version  [cargo-make/base.toml:8:8]
              default     Empty Task
                            does nothing  [cargo-make:base.toml:19:8]
              prepare     (no description)
                            true  [cargo-make/base.toml:14:8]

            Tools
              empty       Empty Task
                            does nothing  [cargo-make:base.toml:15:8]
        "#]],
    );
    let json = fixture
        .run(&["tasks", "list", "--format", "json"])
        .code(0)
        .json();
    let rows = json.as_array().unwrap();
    let row = |name: &str| rows.iter().find(|row| row["name"] == name).unwrap();
    assert_eq!(row("compile")["alias_of"], "build");
    assert_eq!(row("build")["defined"][0], "Makefile.toml:4:8");
    assert_eq!(
        row("broken")["fault"],
        "there is no task `bsae-cargo`, which `broken` names"
    );
    assert!(!rows.iter().any(|row| row["name"] == "base-cargo"));
}

#[test]
fn an_explanation_places_every_field() {
    let fixture = fixture();
    prints(
        &fixture,
        &["tasks", "explain", "compile"],
        &expect![[r#"
        compile: Build all | of it
          in         .
          alias of   build
          defined    Makefile.toml:4:8
          extends    base-cargo
          does       cargo build --package named 'a b', after prepare
                     depends on prepare  [Makefile.toml:9:17]
          called by  all, compile

          Makefile.toml:6:1                        description = "Build all | of it"
          Makefile.toml:7:1                        category = "Build"
          Makefile.toml:8:1                        private = false
          Makefile.toml:5:1                        extend = "base-cargo"
          cargo-make/base.toml:11:1  (base-cargo)  install_crate = false
          cargo-make/base.toml:10:1  (base-cargo)  command = "cargo"
          Makefile.toml:10:1                       args = ["build", "--package", "${NAME}", "a b"]
          Makefile.toml:9:1                        dependencies = ["prepare"]
    "#]],
    );
    prints(
        &fixture,
        &["tasks", "explain", "check"],
        &expect![[r#"
        check: Checks, one by one
          in         .
          defined    Makefile.toml:17:8
          does       runs lint, circle in parallel
                     runs in parallel lint  [Makefile.toml:20:22]
                     runs in parallel circle  [Makefile.toml:20:30]
                     cleans up with prepare  [Makefile.toml:20:73]
          called by  all

          Makefile.toml:18:1  description = "Checks, one by one"
          Makefile.toml:19:1  category = "Quality"
          Makefile.toml:20:1  run_task = { name = ["lint", "circle"], parallel = true, cleanup_task = "prepare" }
    "#]],
    );
    fixture
        .run(&["tasks", "explain", "text"])
        .code(0)
        .prints("  echo two\n")
        .prints("API_TOKEN = \"***\"")
        .never_shows("hidden");
    let json = fixture
        .run(&["tasks", "explain", "build", "--format", "json"])
        .code(0)
        .json();
    let fields = json["fields"].as_array().unwrap();
    let command = fields.iter().find(|it| it["name"] == "command").unwrap();
    assert_eq!(command["file"], "cargo-make/base.toml");
    assert_eq!(
        (command["line"].as_u64(), &command["task"]),
        (Some(10), &"base-cargo".into())
    );
}

#[test]
fn another_platforms_task_can_be_asked_for() {
    let fixture = Fixture::new("");
    fixture.file(
        "Makefile.toml",
        "[tasks.a]\ncommand = 'sh'\n[tasks.a.windows]\ncommand = 'cmd'\n[tasks.b]\nmac_alias = 'a'\n",
    );
    let explained = |name: &str, platform: &str| {
        fixture
            .run(&["tasks", "explain", name, "--platform", platform])
            .code(0)
    };
    explained("a", "linux").prints("does       sh\n");
    explained("a", "windows")
        .prints("does       cmd\n")
        .prints("Makefile.toml:4:1  (for this platform)  command = \"cmd\"\n");
    explained("b", "mac").prints("alias of   a\n");
    explained("b", "linux").prints("does nothing\n");
}

#[test]
fn where_one_stands_says_whose_tasks() {
    let fixture = fixture();
    let deep = fixture.path("member/src");
    let mut command = fixture.xtask(&["tasks", "explain", "build"]);
    Run::of(command.current_dir(&deep))
        .code(0)
        .prints("Build the member")
        .prints("  in         member\n");
    for name in ["thing", "member"] {
        fixture
            .run(&["tasks", "explain", "build", "--member", name])
            .code(0)
            .prints("Build the member");
    }
    let mut command = fixture.xtask(&["tasks", "list", "--member", "root"]);
    Run::of(command.current_dir(&deep))
        .code(0)
        .prints("Everything");
}

#[test]
fn a_name_that_is_none_gets_the_near_one() {
    let fixture = fixture();
    fixture
        .run(&["tasks", "explain", "biuld"])
        .code(2)
        .says("there is no task `biuld` in `.`")
        .says("hint: did you mean `build`?");
    fixture
        .run(&["tasks", "graph", "zzzzzz"])
        .code(2)
        .says("tasks list --all");
    fixture
        .run(&["tasks", "explain", "broken"])
        .code(2)
        .says("Makefile.toml:32:10: there is no task `bsae-cargo`, which `broken` names")
        .says("did you mean `base-cargo` there?");
    fixture
        .run(&["tasks", "list", "--member", "thnig"])
        .code(2)
        .says("did you mean `thing`?");
}

#[test]
fn a_file_that_cannot_be_read_is_placed() {
    let fixture = fixture();
    fixture.file("cargo-make/extra.toml", "[tasks.lint]\ncommand = [\n");
    for args in [
        &["tasks", "list"][..],
        &["tasks", "explain", "build"],
        &["tasks", "graph", "build"],
        &["tasks", "docs"],
    ] {
        fixture
            .run(args)
            .code(2)
            .says("error: cargo-make/extra.toml:")
            .says("hint: ");
    }
    assert!(!fixture.path("docs/tasks.md").exists());
    // The member does not extend it.
    fixture.run(&["tasks", "list", "--member", "thing"]).code(0);
}

#[test]
fn a_graph_in_words() {
    let fixture = fixture();
    prints(
        &fixture,
        &["tasks", "graph", "all"],
        &expect![[r#"
        flowchart LR
          n0["all<br/><small>Everything</small>"]
          n1["build<br/><small>Build all | of it</small>"]
          n2["check<br/><small>Checks, one by one</small>"]
          n3["member: build<br/><small>in another directory</small>"]:::elsewhere
          n4["prepare<br/><small>true</small>"]
          n5["lint<br/><small>Lint</small>"]
          n6["circle<br/><small>Leads back</small>"]
          n7["member: lint<br/><small>in another directory</small>"]:::elsewhere
          n0 --> n1
          n0 --> n2
          n0 --> n3
          n1 --> n4
          n2 -. runs in parallel .-> n5
          n2 -. runs in parallel .-> n6
          n2 -. cleanup .-> n4
          n5 -. calls .-> n7
          n6 -. (circle) .-> n0
          classDef elsewhere stroke-dasharray: 4
          classDef missing stroke:#c00,stroke-dasharray: 4
    "#]],
    );
    prints(
        &fixture,
        &["tasks", "graph", "all", "--as", "dot"],
        &expect![[r#"
            digraph tasks {
              rankdir = LR;
              node [shape = box];
              n0 [label = "all\nEverything"];
              n1 [label = "build\nBuild all | of it"];
              n2 [label = "check\nChecks, one by one"];
              n3 [label = "member: build\nin another directory", style = dashed];
              n4 [label = "prepare\ntrue"];
              n5 [label = "lint\nLint"];
              n6 [label = "circle\nLeads back"];
              n7 [label = "member: lint\nin another directory", style = dashed];
              n0 -> n1;
              n0 -> n2;
              n0 -> n3;
              n1 -> n4;
              n2 -> n5 [label = "runs in parallel", style = dashed];
              n2 -> n6 [label = "runs in parallel", style = dashed];
              n2 -> n4 [label = "cleanup", style = dashed];
              n5 -> n7 [label = "calls", style = dashed];
              n6 -> n0 [color = red, constraint = false];
            }
        "#]],
    );
    let json = fixture
        .run(&["tasks", "graph", "all", "--format", "json"])
        .code(0)
        .json();
    let edges = json["edges"].as_array().unwrap();
    let closing: Vec<&serde_json::Value> = edges
        .iter()
        .filter(|it| it["closes_a_circle"] == true)
        .collect();
    assert_eq!((closing.len(), &closing[0]["from"]), (1, &"circle".into()));
}

#[test]
fn a_picture_needs_nothing_else() {
    let fixture = fixture();
    for language in ["svg", "html"] {
        let run = fixture
            .run(&["tasks", "graph", "all", "--as", language])
            .code(0);
        let text = run.stdout();
        let foreign = text.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
        for outside in ["://", "<script", "@import", "url(h", "href=\"h"] {
            assert!(!foreign.contains(outside), "{outside}");
        }
        assert!(text.contains("prefers-color-scheme: dark"));
        assert!(
            text.contains("class=\"line circle\""),
            "the circle is drawn"
        );
        for name in [
            "all",
            "build",
            "check",
            "lint",
            "circle",
            "prepare",
            "member: build",
        ] {
            assert!(text.contains(&format!(">{name}</text>")), "{name}");
        }
    }
}

#[test]
fn the_reference_is_written_once_and_checked() {
    let fixture = fixture();
    // What cannot be resolved is the linter's to tell.
    fixture
        .run(&["tasks", "docs", "--check"])
        .code(1)
        .says("docs/tasks.md is not what the task files say")
        .says("hint: run `cargo xtask tasks docs`");
    assert!(!fixture.path("docs/tasks.md").exists());
    fixture
        .run(&["tasks", "docs"])
        .code(0)
        .says("Wrote docs/tasks.md");
    let page = fs::read_to_string(fixture.path("docs/tasks.md")).unwrap();
    expect![[r#"
        # Tasks

        What `cargo make TASK` can do, by directory. `cargo xtask tasks docs` writes this page; `cargo xtask tasks explain TASK` shows a task with the file and line of each field, `cargo xtask tasks graph TASK` draws what it starts.

        ## The root

        ### Build

        | task | what it does | what it runs |
        |---|---|---|
        | `all` | Everything | `build`, `check`, `build` of `member` |
        | `build` | Build all \| of it | `cargo build --package named 'a b'`, after `prepare` |
        | `compile` | Build all \| of it | the same as `build` |

        ### No category

        | task | what it does | what it runs |
        |---|---|---|
        | `prepare` |  | `true` |
        | `text` |  | a script of 2 lines |

        ### Quality

        | task | what it does | what it runs |
        |---|---|---|
        | `check` | Checks, one by one | runs lint, circle in parallel |
        | `circle` | Leads back | `all` |
        | `lint` | Lint | `cargo make lint` in `member` |

        ## `member` (thing)

        | task | what it does | what it runs |
        |---|---|---|
        | `build` | Build the member | `cargo --version` |
        | `prepare` |  | `true` |
    "#]].assert_eq(&page);
    fixture.run(&["tasks", "docs", "--check"]).code(0);
    // A checkout with other ends of lines says the same.
    fixture.file("docs/tasks.md", &page.replace('\n', "\r\n"));
    fixture.run(&["tasks", "docs", "--check"]).code(0);
    // A line more above a task moves it, and changes nothing here.
    fixture.file("Makefile.toml", &format!("# more\n{ROOT}"));
    fixture.run(&["tasks", "docs", "--check"]).code(0);
    fixture.file("Makefile.toml", &ROOT.replace("Everything", "All"));
    let mut command = fixture.xtask(&["tasks", "docs", "--check"]);
    Run::of(command.current_dir(fixture.path("member"))).code(1);
}

fn here(args: &[&str]) -> Run {
    let mut command = Fixture::new("").xtask(args);
    Run::of(command.current_dir(root()))
}

/// CI's hold on the page: it is part of the tests.
#[test]
fn this_repositorys_reference_is_what_its_task_files_say() {
    here(&["tasks", "docs", "--check"]).code(0);
}

#[test]
fn every_task_of_this_repository_can_be_drawn() {
    let listed = here(&["tasks", "list", "--format", "json"]).code(0).json();
    for row in listed.as_array().unwrap() {
        let name = row["name"].as_str().unwrap();
        assert_eq!(row["fault"], serde_json::Value::Null, "{name}");
    }
    here(&["tasks", "graph", "ci-flow", "--as", "svg"])
        .code(0)
        .prints(">ci-setup</text>");
}
