//! The tests that `docs/platforms.md` lists as unable to run, held against what has run. No files and no
//! processes here.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;

/// How a test ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Well.
    Passed,
    /// Not so: why, and the end of what it said.
    Failed(String),
}

/// The two lists of the page.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Table {
    /// Compiled, and unable to run under Wine: the reason for each name.
    pub(crate) unable: BTreeMap<String, String>,
    /// Not compiled for Windows: a name, or its beginning before a `*`.
    pub(crate) absent: BTreeMap<String, String>,
}

/// Headings of the page: the rows below each are a list's.
pub(crate) const UNABLE: &str = "## Tests that cannot run under Wine";
pub(crate) const ABSENT: &str = "## Tests that are not compiled for Windows";

impl Table {
    /// Reads the rows ``| `name` | reason |`` below the two headings.
    pub(crate) fn parse(text: &str) -> anyhow::Result<Table> {
        let mut table = Table::default();
        let mut seen = BTreeSet::new();
        let mut list = None;
        for (number, line) in text.lines().enumerate() {
            if line.starts_with('#') {
                list = match line.trim_end() {
                    UNABLE => Some(&mut table.unable),
                    ABSENT => Some(&mut table.absent),
                    _ => None,
                };
                seen.insert(line.trim_end());
                continue;
            }
            let (Some(list), Some(row)) = (&mut list, line.strip_prefix("| `")) else {
                continue;
            };
            let place = || format!("docs/platforms.md:{}", number + 1);
            let (name, rest) = row.split_once("` |").with_context(place)?;
            let reason = rest.trim().trim_end_matches('|').trim();
            anyhow::ensure!(!reason.is_empty(), "{}: `{name}` has no reason", place());
            let old = list.insert(name.to_owned(), reason.to_owned());
            anyhow::ensure!(old.is_none(), "{}: `{name}` stands there twice", place());
        }
        for heading in [UNABLE, ABSENT] {
            anyhow::ensure!(
                seen.contains(heading),
                "docs/platforms.md lacks the heading `{heading}`"
            );
        }
        Ok(table)
    }

    /// Whether a test is listed as unable to run.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.unable.contains_key(name)
    }
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => pattern == name,
    }
}

/// What is wrong, in words: `here` are the tests of this machine, `there` those that were compiled for
/// Windows. `whole` says that all of them have run.
pub(crate) fn judge(
    table: &Table,
    here: &BTreeSet<String>,
    there: &BTreeSet<String>,
    results: &BTreeMap<String, Outcome>,
    whole: bool,
) -> Vec<String> {
    let mut problems = Vec::new();
    for (name, outcome) in results {
        match outcome {
            Outcome::Passed if table.has(name) => problems.push(format!(
                "`{name}` passes under Wine: take it from the list in docs/platforms.md"
            )),
            Outcome::Failed(why) if !table.has(name) => problems.push(format!("`{name}` {why}")),
            _ => {}
        }
    }
    if !whole {
        return problems;
    }
    if results.is_empty() {
        problems.push("no test has run".to_owned());
    }
    for name in table.unable.keys().filter(|it| !there.contains(*it)) {
        problems.push(format!(
            "`{name}` is listed in docs/platforms.md, and is no test"
        ));
    }
    for name in here.difference(there) {
        if !table.absent.keys().any(|it| matches(it, name)) {
            problems.push(format!(
                "`{name}` is not compiled for Windows, and docs/platforms.md has no reason for it"
            ));
        }
    }
    for pattern in table.absent.keys() {
        if !here.difference(there).any(|it| matches(pattern, it)) {
            problems.push(format!(
                "`{pattern}` is listed as not compiled for Windows, and all such tests are"
            ));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(unable: &str, absent: &str) -> String {
        format!(
            "# x\n{UNABLE}\n\n| test | why |\n|---|---|\n{unable}\n{ABSENT}\n{absent}\n## More\n| `no` | row |\n"
        )
    }

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|it| (*it).to_owned()).collect()
    }

    fn results(passed: &[&str], failed: &[&str]) -> BTreeMap<String, Outcome> {
        let passed = passed.iter().map(|it| ((*it).to_owned(), Outcome::Passed));
        let failed = failed.iter().map(|it| {
            let why = "said no".to_owned();
            ((*it).to_owned(), Outcome::Failed(why))
        });
        passed.chain(failed).collect()
    }

    #[test]
    fn rows_are_read_below_their_headings() {
        let table = Table::parse(&page("| `a::b` | no git |", "| `unix::*` | signals |")).unwrap();
        assert_eq!(table.unable["a::b"], "no git");
        assert_eq!(table.absent["unix::*"], "signals");
        assert_eq!((table.unable.len(), table.absent.len()), (1, 1));
        for (bad, says) in [
            (page("| `a` |  |", ""), "no reason"),
            (page("| `a` | x |\n| `a` | y |", ""), "twice"),
            ("# nothing".to_owned(), "lacks the heading"),
        ] {
            let error = format!("{:#}", Table::parse(&bad).unwrap_err());
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn nothing_is_dropped_in_silence() {
        let table = Table::parse(&page("| `bad` | no git |", "| `unix::*` | signals |")).unwrap();
        let judge = |here: &[&str], there: &[&str], passed: &[&str], failed: &[&str]| {
            judge(
                &table,
                &names(here),
                &names(there),
                &results(passed, failed),
                true,
            )
        };
        let all = ["good", "bad", "unix::a"];
        let two = ["good", "bad"];
        assert_eq!(judge(&all, &two, &["good"], &["bad"]), Vec::<String>::new());
        for (problems, says) in [
            (judge(&all, &two, &["bad"], &["good"]), "`good` said no"),
            (judge(&all, &two, &["good", "bad"], &[]), "`bad` passes"),
            (judge(&all, &["good"], &["good"], &[]), "is no test"),
            (
                judge(
                    &["good", "bad", "unix::a", "new"],
                    &two,
                    &["good"],
                    &["bad"],
                ),
                "`new` is not compiled",
            ),
            (
                judge(&two, &two, &["good"], &["bad"]),
                "`unix::*` is listed",
            ),
            (judge(&all, &two, &[], &[]), "no test has run"),
        ] {
            assert!(
                problems.iter().any(|it| it.contains(says)),
                "{says}: {problems:?}"
            );
        }
    }
}
