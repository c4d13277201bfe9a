//! `cargo xtask setup-nextest`, judged by the real nextest.

use std::fs;

use crate::support::Fixture;

const PATH: &str = ".config/nextest.toml";

/// A workspace with one package, `app`.
fn workspace() -> Fixture {
    let fixture = Fixture::new("");
    fixture.file(
        "Cargo.toml",
        "[workspace]\nresolver = \"3\"\nmembers = [\"app\"]\n",
    );
    fixture.file(
        "app/Cargo.toml",
        "[package]\nname = \"app\"\nedition = \"2024\"\n",
    );
    fixture.file("app/src/lib.rs", "");
    fixture
}

#[test]
fn a_missing_file_is_written_and_a_second_run_changes_nothing() {
    // Also where there is no package yet.
    for fixture in [workspace(), Fixture::new("")] {
        fixture
            .run(&["setup-nextest", "--check"])
            .code(1)
            .says("lacks `profile.ci");
        assert!(!fixture.path(PATH).exists());
        fixture.run(&["setup-nextest"]).code(0).says("Wrote");
        let first = fs::read_to_string(fixture.path(PATH)).unwrap();
        fixture.run(&["setup-nextest"]).code(0).says("Checked");
        assert_eq!(fs::read_to_string(fixture.path(PATH)).unwrap(), first);
        fixture.run(&["setup-nextest", "--check"]).code(0);
    }
}

#[test]
fn what_a_person_wrote_stays() {
    let fixture = workspace();
    let own = "# ours\n[profile.default]\nretries = 7 # flaky network\n\n[profile.slow]\nslow-timeout = \"9m\"\n";
    fixture.file(PATH, own);
    fixture.run(&["setup-nextest"]).code(0);
    let text = fs::read_to_string(fixture.path(PATH)).unwrap();
    for kept in ["# ours", "retries = 7 # flaky network", "[profile.slow]"] {
        assert!(text.contains(kept), "{text}");
    }
    assert!(text.contains("path = \"junit.xml\""), "{text}");
}

#[test]
fn filters_may_name_packages_of_the_workspace_and_no_others() {
    let fixture = workspace();
    fixture.run(&["setup-nextest"]).code(0);
    let text = fs::read_to_string(fixture.path(PATH)).unwrap();
    let filter = |package: &str| {
        text.replacen(
            "[profile.default]\n",
            &format!("[profile.default]\ndefault-filter = \"not package({package})\"\n"),
            1,
        )
    };
    fixture.file(PATH, &filter("app"));
    fixture.run(&["setup-nextest", "--check"]).code(0);
    fixture.file(PATH, &filter("ap"));
    fixture
        .run(&["setup-nextest", "--check"])
        .code(1)
        .says("no packages matched this")
        .says("mend the key that nextest names");
}

#[test]
fn what_nextest_would_refuse_is_an_error_here() {
    let fixture = workspace();
    fixture.run(&["setup-nextest"]).code(0);
    let text = fs::read_to_string(fixture.path(PATH)).unwrap();
    fixture.file(
        PATH,
        &format!("{text}\n[profile.own]\ntest-threads = \"auto\"\n"),
    );
    fixture.run(&["setup-nextest"]).code(1).says("test-threads");
    fixture.file(PATH, "[profile.ci\n");
    fixture.run(&["setup-nextest"]).code(2).says("nextest.toml");
    assert_eq!(
        fs::read_to_string(fixture.path(PATH)).unwrap(),
        "[profile.ci\n"
    );
}
