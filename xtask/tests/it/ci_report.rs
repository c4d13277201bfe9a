//! `cargo xtask ci report` on reports of real test programs.

use std::fs;

use crate::support::{Fixture, Run, root};

const CONFIG: &str = "
[tests.rust]
junit = ['target/nextest/*/junit.xml']

[tests.python]
junit = ['target/junit/python*.xml']
directory = 'workers/py'
";

const PASSED: &str = "<testsuite name='s'><testcase name='fine' time='0.5'/></testsuite>";
const FAILED: &str = "<testsuite name='pytest' errors='0' failures='1'><testcase classname='test_a' name='adds' time='1'>\
    <failure message='assert 1 == 2'>def adds():\n&gt; assert 1 == 2\n\ntest_a.py:2: AssertionError</failure></testcase></testsuite>";

fn fixture() -> Fixture {
    let fixture = Fixture::new(CONFIG);
    fixture.file("workers/py/test_a.py", "\n");
    fixture
}

/// A report that a real program wrote.
fn real(name: &str) -> String {
    let path = root()
        .join("xtask")
        .join("tests")
        .join("fixtures")
        .join("junit");
    fs::read_to_string(path.join(name)).unwrap()
}

#[test]
fn what_passed_is_summed_up_and_ends_zero() {
    let fixture = fixture();
    fixture.file("target/nextest/ci/junit.xml", PASSED);
    fixture.file("target/junit/python.xml", PASSED);
    fixture.file("target/junit/python-integration.xml", PASSED);
    let run = fixture
        .run(&["ci", "report"])
        .code(0)
        .prints("\nTests: 3 passed, 0 failed\n");
    let run = run.prints("python        2        0        0        0       1.00s  2 reports");
    run.prints("total         3        0        0        0       1.50s");
    let json = fixture
        .run(&["ci", "report", "--format", "json"])
        .code(0)
        .json();
    assert_eq!(json["passed"], true);
    assert_eq!(json["total"]["passed"], 3);
    assert_eq!(
        json["languages"]["python"]["reports"][1],
        "target/junit/python.xml"
    );
}

#[test]
fn a_failure_is_shown_with_its_place_and_ends_one() {
    let fixture = fixture();
    fixture.file("target/junit/python.xml", FAILED);
    let run = fixture
        .run(&["ci", "report"])
        .code(1)
        .prints("\nTests: 0 passed, 1 failed\n");
    let run = run.says("warning: no report of rust: its tests did not run");
    let run = run.prints("failed  python  test_a adds  workers/py/test_a.py:2\n    def adds():\n");
    run.prints("NO REPORT");
    let json = fixture
        .run(&["ci", "report", "--format", "json"])
        .code(1)
        .json();
    assert_eq!(json["failures"][0]["place"]["file"], "workers/py/test_a.py");
    assert_eq!(json["missing"][0], "rust");
}

#[test]
fn no_report_or_no_test_is_no_success() {
    let fixture = fixture();
    fixture
        .run(&["ci", "report"])
        .code(1)
        .says("there is no report of any language: nothing is at `target/junit/python*.xml`, `target/nextest/*/junit.xml`");
    fixture.file(
        "target/junit/python.xml",
        "<testsuites><testsuite name='pytest' tests='0'/></testsuites>",
    );
    fixture
        .run(&["ci", "report"])
        .code(1)
        .says("target/junit/python.xml: lists no test: nothing was run");
    fixture.file("target/junit/python.xml", PASSED);
    fixture.run(&["ci", "report"]).code(0);
    fixture
        .run(&["ci", "report", "--language", "python", "--language", "rust"])
        .code(1)
        .says("there is no report of rust");
    fixture
        .run(&["ci", "report", "--language", "pyton"])
        .code(2)
        .says("did you mean `python`?");
    Fixture::new("")
        .run(&["ci", "report"])
        .code(2)
        .says("[tests.LANGUAGE] junit");
}

#[test]
fn a_report_that_is_cut_off_fails_and_hides_no_other() {
    let fixture = fixture();
    let whole = real("nextest.xml");
    fixture.file("target/nextest/ci/junit.xml", &whole[..whole.len() / 2]);
    fixture.file("target/junit/python.xml", PASSED);
    let run = fixture
        .run(&["ci", "report"])
        .code(1)
        .says("target/nextest/ci/junit.xml:")
        .says("(byte ");
    assert!(run.stdout().contains("python        1        0"), "{run}");
}

#[test]
fn files_are_named_by_path_or_pattern_from_where_one_stands() {
    let fixture = fixture();
    fixture.file("reports/shard 1/junit.xml", PASSED);
    fixture.file("reports/shard-2/junit.xml", PASSED);
    fixture.file("target/junit/python.xml", PASSED);
    let total = |args: &[&str], directory: &str| {
        let mut command = fixture.xtask(&[&["ci", "report", "--format", "json"], args].concat());
        Run::of(command.current_dir(fixture.path(directory)))
            .code(0)
            .json()
    };
    assert_eq!(total(&["reports/**/*.xml"], ".")["total"]["passed"], 2);
    assert_eq!(
        total(&["*/junit.xml", "shard-2/junit.xml"], "reports")["total"]["passed"],
        2
    );
    let absolute = fixture.path("target/junit/*.xml").display().to_string();
    assert_eq!(total(&[&absolute], ".")["languages"]["python"]["passed"], 1);
    fixture
        .run(&["ci", "report", "reports/**/*.xml", "nowhere/*.xml"])
        .code(1)
        .says("there is no report `nowhere/*.xml`");
}

#[test]
fn every_dialect_is_counted_as_its_program_counts() {
    let fixture = Fixture::new("");
    for name in ["nextest", "pytest", "rspec", "node", "bun", "jest"] {
        fixture.file(&format!("{name}.xml"), &real(&format!("{name}.xml")));
    }
    let json = fixture
        .run(&["ci", "report", "*.xml", "--format", "json"])
        .code(1)
        .json();
    assert_eq!(
        json["total"],
        serde_json::json!({"passed": 15, "failed": 20, "skipped": 10, "flaky": 1})
    );
    assert_eq!(json["problems"], serde_json::json!([]));
    assert_eq!(json["slowest"][0]["name"], "demo tests::slow");
}

#[test]
fn github_gets_a_page_and_annotations_and_no_command_of_a_test() {
    let fixture = fixture();
    let evil = FAILED.replace("def adds", "::add-mask::x\n::error::no\ndef adds");
    fixture.file("target/junit/python.xml", &evil);
    let page = fixture.file("summary.md", "earlier\n");
    let mut command = fixture.xtask(&["ci", "report"]);
    let run = Run::of(
        command
            .env("GITHUB_ACTIONS", "true")
            .env("GITHUB_STEP_SUMMARY", &page),
    )
    .code(1);
    let text = fs::read_to_string(&page).unwrap();
    assert!(
        text.starts_with("earlier\n## ❌ Tests: 0 passed, 1 failed\n"),
        "{text}"
    );
    let stdout = run.stdout();
    let stop = stdout
        .strip_prefix("::stop-commands::")
        .and_then(|rest| rest.lines().next())
        .unwrap_or_else(|| panic!("{run}"));
    let (inside, after) = stdout
        .split_once(&format!("\n::{stop}::\n"))
        .unwrap_or_else(|| panic!("{run}"));
    assert!(inside.contains("    ::add-mask::x\n"), "{run}");
    assert!(
        after.starts_with("::error file=workers/py/test_a.py,line=2,title=python%3A test_a adds::"),
        "{run}"
    );
    assert_eq!(after.lines().count(), 1, "{run}");
}
