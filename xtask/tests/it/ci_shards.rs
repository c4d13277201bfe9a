//! `cargo xtask ci shards` and `test-shard`, with the real nextest.

use std::collections::BTreeMap;
use std::fs;

use crate::support::{Fixture, Run, cargo};

/// Names that a harness of one's own may give, all of which nextest's expressions have to hold.
const NAMES: [&str; 22] = [
    "plain",
    "a, b",
    "x (y)",
    "sla/sh",
    "back\\slash",
    " lead",
    "trail ",
    "ünï",
    "q\"uote",
    "=eq",
    "~t",
    "#h*",
    "/re/",
    "a::b",
    "{curly}",
    "[x]",
    "a & b | c",
    "not()",
    "all()",
    "$",
    "u{20}",
    "it's",
];

/// A crate with two test binaries of a harness that knows `--list` and `--exact`, and shares a name.
fn fixture() -> Fixture {
    let fixture = Fixture::new("");
    let names = |names: &[&str]| format!("{names:?}");
    let harness = |names: &str| {
        format!(
            "fn main() {{\n  let args: Vec<String> = std::env::args().collect();\n  let has = |it: &str| args.iter().any(|arg| arg == it);\n  \
             if has(\"--list\") {{ if !has(\"--ignored\") {{ for name in {names} {{ println!(\"{{name}}: test\"); }} }} }}\n}}\n"
        )
    };
    fixture.file(
        "Cargo.toml",
        "[package]\nname = 'odd'\nversion = '0.1.0'\nedition = '2024'\n[workspace]\n\
         [[test]]\nname = 'one'\nharness = false\n[[test]]\nname = 'two'\nharness = false\n",
    );
    fixture.file(
        "Cargo.lock",
        "version = 4\n\n[[package]]\nname = \"odd\"\nversion = \"0.1.0\"\n",
    );
    fixture.file("src/lib.rs", "");
    fixture.file("tests/one.rs", &harness(&names(&NAMES)));
    fixture.file("tests/two.rs", &harness(&names(&["plain", "brand_new"])));
    fixture.file(
        ".config/nextest.toml",
        "[profile.ci]\nfail-fast = false\n[profile.ci.junit]\npath = 'junit.xml'\n",
    );
    fixture
}

/// A report in which every name (but the new ones) took some time, and one more that is gone.
fn report() -> String {
    let case = |(n, name): (usize, &&str)| {
        let name = name
            .replace('&', "&amp;")
            .replace('"', "&quot;")
            .replace('<', "&lt;");
        format!(
            "<testcase name=\"{name}\" classname=\"odd::gone\" time=\"{}\"/>",
            n % 5
        )
    };
    let cases: String = NAMES
        .iter()
        .chain(&["gone::test_of_old"])
        .enumerate()
        .map(case)
        .collect();
    format!("<testsuites><testsuite name='odd::gone'>{cases}</testsuite></testsuites>")
}

/// The tests that each shard ran, counted over all of them.
fn run_all(fixture: &Fixture, shards: &[String], args: &[&str]) -> BTreeMap<String, u32> {
    let junit = fixture.path("target/nextest/ci/junit.xml");
    let mut ran = BTreeMap::new();
    for shard in shards {
        // A shard that has none of the tests leaves no report.
        let _ = fs::remove_file(&junit);
        let mut command = fixture.xtask(&[&["ci", "test-shard"], args].concat());
        Run::of(command.env("XTASK_SHARD", shard)).code(0);
        let Ok(bytes) = fs::read(&junit) else {
            continue;
        };
        for test in xtask::junit::parse(&bytes, "junit.xml").unwrap().tests {
            *ran.entry(format!("{} {}", test.class, test.name))
                .or_default() += 1;
        }
    }
    ran
}

fn each_once() -> BTreeMap<String, u32> {
    let one = NAMES.iter().map(|name| format!("odd::one {name}"));
    let two = ["plain", "brand_new"]
        .iter()
        .map(|name| format!("odd::two {name}"));
    one.chain(two).map(|name| (name, 1)).collect()
}

fn shards(fixture: &Fixture, args: &[&str]) -> Vec<String> {
    let args = [&["ci", "shards", "--format", "json"], args].concat();
    let matrix = fixture.run(&args).code(0).json();
    let include = matrix["include"].as_array().expect("a list");
    include.iter().map(serde_json::Value::to_string).collect()
}

#[test]
fn every_test_runs_once_by_earlier_times_whatever_its_name() {
    let fixture = fixture();
    fixture.file("earlier/junit.xml", &report());
    fixture.file("earlier/broken.xml", "<testsuite>");
    let shards = shards(&fixture, &["--of", "3", "--times", "earlier/*.xml"]);
    assert_eq!(shards.len(), 3);
    assert!(
        shards.iter().all(|it| it.contains("\"filterset\"")),
        "{shards:?}"
    );
    assert_eq!(run_all(&fixture, &shards, &[]), each_once());
    // Narrowed down, still each once.
    let mut two = each_once();
    two.retain(|name, _| name.starts_with("odd::two"));
    assert_eq!(run_all(&fixture, &shards, &["-E", "binary(two)"]), two);
    fixture
        .run(&["ci", "test-shard", &shards[0], "--", "-E", "binary(two)"])
        .code(2)
        .says("before the `--`");
}

#[test]
fn every_test_runs_once_from_an_archive_sliced_by_number() {
    let fixture = fixture();
    let mut archive = cargo();
    archive
        .args(["nextest", "archive", "--archive-file", "tests.tar.zst"])
        .env_remove("CARGO_TARGET_DIR")
        .current_dir(fixture.root());
    Run::of(&mut archive).code(0);
    let target = fixture.path("target");
    fs::remove_dir_all(&target).unwrap();
    let shards = shards(&fixture, &["--of", "2"]);
    assert_eq!(
        shards[1],
        "{\"partition\":\"slice:2/2\",\"shard\":2,\"total\":2}"
    );
    assert_eq!(
        run_all(&fixture, &shards, &["--archive", "tests.tar.zst"]),
        each_once()
    );
    assert!(!target.join("debug").exists(), "nothing was compiled");
}

#[test]
fn an_empty_shard_passes_but_no_test_at_all_does_not() {
    let fixture = fixture();
    fixture
        .run(&["ci", "test-shard", "40/50", "--", "--workspace"])
        .code(0)
        .says("none of the 24 tests is of this shard");
    fixture
        .run(&["ci", "test-shard", "1/2", "--", "--lib"])
        .code(4);
    fixture
        .run(&["ci", "test-shard"])
        .code(2)
        .says("XTASK_SHARD");
    fixture
        .run(&["ci", "test-shard", "3/2"])
        .code(2)
        .says("there are shards 1 to 2");
}

#[test]
fn a_failing_test_fails_its_shard_with_nextests_code() {
    let fixture = fixture();
    fixture.file(
        "tests/two.rs",
        r#"fn main() {
    let has = |it: &str| std::env::args().any(|arg| arg == it);
    match (has("--list"), has("--ignored")) {
        (true, true) => {}
        (true, false) => println!("bad: test"),
        (false, _) => std::process::exit(1),
    }
}
"#,
    );
    fixture
        .run(&["ci", "test-shard", "1/1", "--", "--test", "two"])
        .code(100);
}

#[test]
fn the_matrix_is_handed_to_later_jobs() {
    let fixture = Fixture::new("[ci.shards]\ntimes = ['earlier/*.xml']");
    let run = fixture
        .run(&["ci", "shards", "--of", "2", "--github"])
        .code(0)
        .says("Sliced");
    assert_eq!(
        run.stdout(),
        "matrix={\"include\":[{\"partition\":\"slice:1/2\",\"shard\":1,\"total\":2},{\"partition\":\"slice:2/2\",\"shard\":2,\"total\":2}]}\n"
    );
    fixture.file("earlier/a.xml", &report());
    let run = fixture
        .run(&["ci", "shards", "--of", "2"])
        .code(0)
        .says("Balanced by the times of 23 tests");
    assert_eq!(run.stdout().lines().count(), 2, "{run}");
    fixture.run(&["ci", "shards", "--of", "0"]).code(2);
}
