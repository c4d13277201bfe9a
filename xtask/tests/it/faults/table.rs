//! The table of `docs/reliability.md`: written by the tests, compared by the tests.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::process::Command;

use xtask::fsx::{self, Access};

use crate::support::root;

const BEGIN: &str = "<!-- Written by the fault suite: begin -->";
const END: &str = "<!-- Written by the fault suite: end -->";
const HEAD: &str = "| fault | commands | points | what held | test |\n|---|---|---|---|---|\n";
/// Tries more points than the page says, by this factor.
const FACTOR: &str = "XTASK_FAULT_POINTS";

/// What one test has tried. All of it is planned: nothing depends on the machine or its load.
pub(super) struct Row {
    /// What was done to the commands.
    pub(super) fault: String,
    /// Which commands; see [`names`].
    pub(super) commands: String,
    /// How many moments or states, and which.
    pub(super) points: String,
    /// What was the same after each.
    pub(super) held: String,
}

/// By how much [`Row::points`] is to be multiplied: 1, unless somebody wants a long run.
pub(super) fn factor() -> u32 {
    match std::env::var(FACTOR) {
        Ok(text) => text.parse().expect("a whole number in XTASK_FAULT_POINTS"),
        Err(_) => 1,
    }
}

/// Commands as a cell of the table.
pub(super) fn names<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let all: Vec<String> = names.into_iter().map(|it| format!("`{it}`")).collect();
    all.join(", ")
}

/// What a test has tried and seen, once it has seen all of it. `test` is its name below `faults`, and
/// all of its rows come at once. They are written to `target/faults`, and must be in the page.
#[track_caller]
pub(super) fn record(test: &str, rows: &[Row]) {
    assert!(tests().iter().any(|it| it == test), "`{test}` is no test");
    let mut lines = String::new();
    for row in rows {
        let cells = [&row.fault, &row.commands, &row.points, &row.held];
        for cell in cells {
            assert!(!cell.contains(['|', '\n']), "{cell:?}");
        }
        let [fault, commands, points, held] = cells;
        let _ = writeln!(
            lines,
            "| {fault} | {commands} | {points} | {held} | `{test}` |"
        );
    }
    let out = root().join("target").join("faults");
    let file = out.join(format!("{}.md", test.replace("::", "-")));
    fsx::atomic_write(&file, lines.as_bytes(), Access::Default).unwrap();
    if factor() != 1 {
        return; // More points than the page says.
    }
    let page = root().join("docs").join("reliability.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        // nextest runs each test in a process of its own.
        let lock = File::create(out.join("lock")).unwrap();
        lock.lock().unwrap();
        let text = fs::read_to_string(&page).unwrap();
        let (before, table, after) = parts(&text);
        let others = table.lines().filter(|line| test_of(line) != test);
        let mut all: Vec<&str> = others.collect();
        let at = all
            .iter()
            .position(|line| test_of(line) > test)
            .unwrap_or(all.len());
        all.splice(at..at, lines.lines());
        let text = format!("{before}{BEGIN}\n{HEAD}{}\n{END}{after}", all.join("\n"));
        fsx::atomic_write(&page, text.as_bytes(), Access::Default).unwrap();
        return;
    }
    let text = fs::read_to_string(&page).unwrap();
    let known: Vec<&str> = parts(&text)
        .1
        .lines()
        .filter(|line| test_of(line) == test)
        .collect();
    assert_eq!(
        lines.lines().collect::<Vec<_>>(),
        known,
        "docs/reliability.md says otherwise: UPDATE_DOCS=1 writes what was tried"
    );
}

/// The page before, in (rows alone) and after the table.
fn parts(text: &str) -> (&str, &str, &str) {
    let (before, rest) = text.split_once(BEGIN).expect("the table's begin");
    let (table, after) = rest.split_once(END).expect("the table's end");
    let rows = table.trim_start().strip_prefix(HEAD).expect("its head");
    (before, rows.trim_end(), after)
}

/// The last cell of a row.
fn test_of(line: &str) -> &str {
    line.rsplit('|')
        .nth(1)
        .unwrap_or_default()
        .trim()
        .trim_matches('`')
}

/// The names of all tests below `faults`.
fn tests() -> Vec<String> {
    let own = std::env::current_exe().unwrap();
    let output = Command::new(own).arg("--list").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .filter_map(|line| line.strip_prefix("faults::")?.strip_suffix(": test"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_row_of_the_page_is_made_by_a_test_that_there_is() {
    let text = fs::read_to_string(root().join("docs").join("reliability.md")).unwrap();
    let tests = tests();
    for line in parts(&text).1.lines() {
        let test = test_of(line);
        assert!(tests.iter().any(|it| it == test), "no such test: {line}");
        assert_eq!(line.matches('|').count(), 6, "{line}");
    }
}
