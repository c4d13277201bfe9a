//! Which tests share a process, and what such a process said of each. No files and no processes here.
//!
//! Under Wine a process takes most of a second to start, and most tests a tenth of that. So tests run in
//! groups, one after another in one process; what fails there, or is not told of, runs again alone, and
//! that counts: alone is how nextest runs them.

use std::collections::{BTreeMap, VecDeque};

use crate::tools::Binary;

/// Tests of one program, for one process.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) binary: Binary,
    pub(crate) names: Vec<String>,
    /// Whether they are listed as unable to run: these do not share a process with others.
    pub(crate) listed: bool,
}

/// How many share a process: enough to spare most starts; few enough that one which hangs or dies makes few
/// others run again, and that processors end together. Those of `tests/it` start programs themselves.
fn most(binary: &Binary) -> usize {
    if binary.target == "it" { 6 } else { 24 }
}

/// Groups of neighbours, in their order.
pub(crate) fn groups(tests: &[(Binary, String)], listed: &dyn Fn(&str) -> bool) -> VecDeque<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (binary, name) in tests {
        let listed = listed(name);
        let fits = |group: &&mut Group| {
            group.binary.path == binary.path
                && group.listed == listed
                && group.names.len() < most(binary)
        };
        // Not only the last: listed ones lie between others.
        match groups.iter_mut().rev().take(2).find(fits) {
            Some(group) => group.names.push(name.clone()),
            None => groups.push(Group {
                binary: binary.clone(),
                names: vec![name.clone()],
                listed,
            }),
        }
    }
    groups.into()
}

/// What a process said of its tests, by the name that it knows them by: whether they passed. What it did
/// not get to is not in it, nor what somebody else's output has made unreadable.
pub(crate) fn verdicts(said: &str) -> BTreeMap<&str, bool> {
    said.lines()
        .filter_map(|line| {
            let (name, verdict) = line.trim_end().strip_prefix("test ")?.split_once(" ... ")?;
            let passed = match verdict {
                "ok" => true,
                "FAILED" => false,
                _ => return None,
            };
            Some((name.trim_end_matches(" - should panic"), passed))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_share_a_process_and_listed_ones_have_their_own() {
        let binary = |path: &str| Binary {
            path: path.into(),
            target: "it".to_owned(),
        };
        let most = most(&binary("a"));
        let mut tests: Vec<_> = (0..most + 2)
            .map(|n| (binary("a"), format!("a{n}")))
            .collect();
        tests.insert(3, (binary("a"), "bad1".to_owned()));
        tests.insert(5, (binary("a"), "bad2".to_owned()));
        tests.push((binary("b"), "b".to_owned()));
        let groups = groups(&tests, &|name| name.starts_with("bad"));
        let sizes: Vec<_> = groups
            .iter()
            .map(|it| (it.listed, it.names.len()))
            .collect();
        assert_eq!(sizes, [(false, most), (true, 2), (false, 2), (false, 1)]);
        assert_eq!(groups[1].names, ["bad1", "bad2"]);
        let names: usize = groups.iter().map(|it| it.names.len()).sum();
        assert_eq!(names, tests.len());
    }

    #[test]
    fn only_what_is_clearly_said_is_a_verdict() {
        let said = "running 6 tests\ntest a::b ... ok\r\ntest c - should panic ... ok\n\
            test d ... FAILED\ntest e ... ignored\ntest f ... a child's words\nok\ntest g ... ";
        let expected = [("a::b", true), ("c", true), ("d", false)];
        assert_eq!(verdicts(said), expected.into());
    }
}
