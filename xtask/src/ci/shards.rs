//! Tests split over runners, balanced by the times of earlier runs. Pure.
//!
//! Whatever the earlier reports say, every test belongs to exactly one shard: a test that took long is
//! assigned by its name, the many others by the last letter of theirs, and what is left, new tests
//! and removed ones included, to one of the shards. The filtersets use only names of tests: nextest
//! refuses a binary or a package that is no longer there, while a test that is gone matches nothing.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::error::Fault;
use crate::junit::{Outcome, Report};

/// Bytes of names in one filterset: with room for the rest, what Windows takes as a command line.
const NAMED_BYTES: usize = 12 << 10;
/// A test that takes less than this part of a shard's time is not worth its name.
const WORTH: f64 = 0.005;

/// A runner's part.
#[derive(Clone, Debug, PartialEq)]
pub struct Shard {
    /// Its number, from 1.
    pub shard: usize,
    /// How many there are.
    pub total: usize,
    /// What it runs.
    pub selection: Selection,
    /// Seconds that its tests took, one after the other; none where no times are known.
    pub seconds: Option<f64>,
}

/// What a shard runs, in the words of nextest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// The value of `--partition`.
    Partition(String),
    /// The value of `--filterset`.
    Filterset(String),
}

/// Splits over `of` shards; fewer, where the times are of fewer parts.
#[must_use]
pub fn split(times: &BTreeMap<String, f64>, of: usize) -> Vec<Shard> {
    let plan = match Plan::new(times, of) {
        Some(plan) => plan,
        None => return (1..=of).map(|shard| Shard::slice(shard, of)).collect(),
    };
    let seconds = plan.seconds(times);
    (0..plan.total)
        .map(|index| Shard {
            shard: index + 1,
            total: plan.total,
            selection: Selection::Filterset(plan.filter(index).render()),
            seconds: Some((seconds[index] * 1000.0).round() / 1000.0),
        })
        .collect()
}

/// The seconds of each test, by its name alone. Tests of one name in several binaries stay together;
/// of several reports that have a test, the mean counts.
#[must_use]
pub fn times(reports: &[Report]) -> BTreeMap<String, f64> {
    let mut all: BTreeMap<String, (f64, u32)> = BTreeMap::new();
    for report in reports {
        let mut of_one: BTreeMap<&str, f64> = BTreeMap::new();
        for test in &report.tests {
            if let (Some(seconds), false) = (test.seconds, test.outcome == Outcome::Skipped) {
                *of_one.entry(&test.name).or_default() += seconds;
            }
        }
        for (name, seconds) in of_one {
            let entry = all.entry(name.to_owned()).or_default();
            *entry = (entry.0 + seconds, entry.1 + 1);
        }
    }
    all.into_iter()
        .map(|(name, (sum, n))| (name, sum / f64::from(n)))
        .collect()
}

impl Shard {
    fn slice(shard: usize, total: usize) -> Shard {
        Shard {
            shard,
            total,
            selection: Selection::Partition(format!("slice:{shard}/{total}")),
            seconds: None,
        }
    }

    /// Its entry in GitHub's matrix.
    #[must_use]
    pub fn entry(&self) -> Value {
        let mut entry = json!({ "shard": self.shard, "total": self.total });
        match &self.selection {
            Selection::Partition(it) => entry["partition"] = json!(it),
            Selection::Filterset(it) => entry["filterset"] = json!(it),
        }
        if let Some(seconds) = self.seconds {
            entry["seconds"] = json!(seconds);
        }
        entry
    }

    /// Reads a shard as a person writes it, `1/3`, or as its entry in the matrix.
    ///
    /// # Errors
    /// When it is neither (exit 2).
    pub fn parse(text: &str) -> Result<Shard, Fault> {
        let wrong = |why: &str| {
            Fault::usage(format!("`{text}` is no shard: {why}"))
                .hint("a shard is `1/3`, or an entry of the matrix of `cargo xtask ci shards`")
        };
        let in_range = |shard: usize, total: usize| {
            if (1..=total).contains(&shard) {
                Ok(())
            } else {
                Err(wrong(&format!("there are shards 1 to {total}")))
            }
        };
        if !text.trim_start().starts_with('{') {
            let numbers = text.split_once('/').and_then(|(shard, total)| {
                Some((shard.trim().parse().ok()?, total.trim().parse().ok()?))
            });
            let (shard, total) = numbers.ok_or_else(|| wrong("it is no `K/N`"))?;
            in_range(shard, total)?;
            return Ok(Shard::slice(shard, total));
        }
        let entry: Value = serde_json::from_str(text).map_err(|error| wrong(&error.to_string()))?;
        let number = |key: &str| entry[key].as_u64().and_then(|it| usize::try_from(it).ok());
        let (Some(shard), Some(total)) = (number("shard"), number("total")) else {
            return Err(wrong("it has no `shard` and `total`"));
        };
        in_range(shard, total)?;
        let selection = match (entry["partition"].as_str(), entry["filterset"].as_str()) {
            (Some(it), None) => Selection::Partition(it.to_owned()),
            (None, Some(it)) => Selection::Filterset(it.to_owned()),
            _ => return Err(wrong("it has not one of `partition` and `filterset`")),
        };
        Ok(Shard {
            shard,
            total,
            selection,
            seconds: entry["seconds"].as_f64(),
        })
    }
}

/// Which test belongs where. Each question has one answer: that is all that makes it a partition.
#[derive(Debug)]
struct Plan {
    total: usize,
    named: BTreeMap<String, usize>,
    ends: BTreeMap<char, usize>,
    rest: usize,
}

impl Plan {
    /// Longest first, each to the shard that has the least yet. `None` where nothing is known.
    fn new(times: &BTreeMap<String, f64>, of: usize) -> Option<Plan> {
        let sum: f64 = times.values().sum();
        let mut longest: Vec<(&String, f64)> =
            times.iter().map(|(name, time)| (name, *time)).collect();
        longest.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(b.0)));
        #[allow(clippy::cast_precision_loss)] // Nobody has 2^52 runners.
        let worth = sum / of as f64 * WORTH;
        let mut room = NAMED_BYTES;
        let mut units: Vec<(f64, Unit<'_>)> = Vec::new();
        let mut ends: BTreeMap<char, f64> = BTreeMap::new();
        let mut left = 0.0;
        for (name, seconds) in longest {
            let length = term(name).len() + " | ".len();
            let end = name
                .chars()
                .last()
                .filter(|c| c.is_ascii_alphanumeric() || *c == '_');
            if seconds > worth && length <= room && !name.is_empty() {
                room -= length;
                units.push((seconds, Unit::Named(name)));
            } else if let Some(end) = end {
                *ends.entry(end).or_default() += seconds;
            } else {
                left += seconds;
            }
        }
        units.extend(
            ends.into_iter()
                .map(|(end, seconds)| (seconds, Unit::End(end))),
        );
        if units.is_empty() {
            return None;
        }
        units.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let mut loads = vec![(0.0, 0_usize); of.min(units.len())];
        let mut plan = Plan {
            total: loads.len(),
            named: BTreeMap::new(),
            ends: BTreeMap::new(),
            rest: 0,
        };
        for (seconds, unit) in units {
            let shard = least(&loads);
            loads[shard] = (loads[shard].0 + seconds, loads[shard].1 + 1);
            match unit {
                Unit::Named(name) => plan.named.insert(name.clone(), shard),
                Unit::End(end) => plan.ends.insert(end, shard).map(|_| 0),
            };
        }
        plan.rest = least(&loads);
        loads[plan.rest].0 += left;
        Some(plan)
    }

    /// The shard of a test.
    fn shard_of(&self, name: &str) -> usize {
        let end = || name.chars().last().and_then(|end| self.ends.get(&end));
        *self.named.get(name).or_else(end).unwrap_or(&self.rest)
    }

    fn seconds(&self, times: &BTreeMap<String, f64>) -> Vec<f64> {
        let mut seconds = vec![0.0; self.total];
        for (name, time) in times {
            seconds[self.shard_of(name)] += time;
        }
        seconds
    }

    /// What a shard runs. The one that gets what is left runs what no other does.
    fn filter(&self, shard: usize) -> Filter<'_> {
        let rest = shard == self.rest;
        // The tests that the filter names: those of the shard, or those of all others.
        let listed = |of: usize| (of == shard) != rest;
        let ends: BTreeSet<char> = self
            .ends
            .iter()
            .filter(|it| listed(*it.1))
            .map(|it| *it.0)
            .collect();
        let ends_so = |name: &str| name.chars().last().is_some_and(|end| ends.contains(&end));
        let named = self.named.iter().map(|(name, of)| (name.as_str(), *of));
        Filter {
            negated: rest,
            names: named
                .clone()
                .filter(|it| listed(it.1))
                .map(|it| it.0)
                .collect(),
            except: named
                .filter(|it| !listed(it.1) && ends_so(it.0))
                .map(|it| it.0)
                .collect(),
            ends,
        }
    }
}

/// What is assigned as one.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Unit<'a> {
    Named(&'a String),
    End(char),
}

/// The index of the least load; of equal ones the one with fewer units, so that none stays empty.
fn least(loads: &[(f64, usize)]) -> usize {
    let by = |a: &usize, b: &usize| {
        let (a, b) = (loads[*a], loads[*b]);
        a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))
    };
    (0..loads.len()).min_by(by).unwrap_or(0)
}

/// The tests of these names, and those whose names end so, but for some; or all others.
#[derive(Debug)]
struct Filter<'a> {
    negated: bool,
    names: Vec<&'a str>,
    ends: BTreeSet<char>,
    except: Vec<&'a str>,
}

impl Filter<'_> {
    fn render(&self) -> String {
        let mut terms: Vec<String> = self.names.iter().map(|name| term(name)).collect();
        if !self.ends.is_empty() {
            let ends: String = self.ends.iter().collect();
            let ends = format!("test(/[{ends}]$/)");
            let except: Vec<String> = self.except.iter().map(|name| term(name)).collect();
            terms.push(if except.is_empty() {
                ends
            } else {
                format!("({ends} & not ({}))", except.join(" | "))
            });
        }
        match (terms.is_empty(), self.negated) {
            (true, true) => "all()".to_owned(),
            (true, false) => "none()".to_owned(),
            (false, true) => format!("not ({})", terms.join(" | ")),
            (false, false) => terms.join(" | "),
        }
    }
}

/// nextest's expression for the tests of this very name.
fn term(name: &str) -> String {
    let last = name.chars().count().saturating_sub(1);
    let mut out = String::from("test(=");
    for (at, c) in name.chars().enumerate() {
        match c {
            '\\' | ')' | ',' => out.extend(['\\', c]),
            // White space at the ends would be trimmed; what is invisible would not be seen in a log.
            c if c.is_control() || (c.is_whitespace() && (at == 0 || at == last || c != ' ')) => {
                out.push_str(&format!("\\u{{{:x}}}", c as u32));
            }
            c => out.push(c),
        }
    }
    out.push(')');
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::junit;

    impl Filter<'_> {
        /// What nextest makes of the expression; that it does is tested with the real one.
        fn matches(&self, name: &str) -> bool {
            let ends = name
                .chars()
                .last()
                .is_some_and(|end| self.ends.contains(&end));
            let listed = self.names.contains(&name) || (ends && !self.except.contains(&name));
            listed != self.negated
        }
    }

    fn map(times: &[(&str, f64)]) -> BTreeMap<String, f64> {
        times
            .iter()
            .map(|(name, time)| ((*name).to_owned(), *time))
            .collect()
    }

    #[test]
    fn without_times_nextest_slices() {
        let entries: Vec<Value> = split(&BTreeMap::new(), 2)
            .iter()
            .map(Shard::entry)
            .collect();
        assert_eq!(
            entries,
            [
                json!({"shard": 1, "total": 2, "partition": "slice:1/2"}),
                json!({"shard": 2, "total": 2, "partition": "slice:2/2"}),
            ]
        );
    }

    #[test]
    fn with_times_the_longest_are_named_and_the_rest_goes_by_the_last_letter() {
        let times = map(&[
            ("slow", 10.0),
            ("mod::slower", 11.0),
            ("a::tiny_x", 0.001),
            ("b::tiny_y", 0.002),
        ]);
        let shards = split(&times, 2);
        let filters: Vec<&Selection> = shards.iter().map(|it| &it.selection).collect();
        assert_eq!(
            filters,
            [
                &Selection::Filterset("test(=mod::slower)".to_owned()),
                &Selection::Filterset("not (test(=mod::slower))".to_owned()),
            ]
        );
        assert_eq!(shards[0].seconds, Some(11.0));
        assert_eq!(shards[1].seconds, Some(10.003));
        let shards = split(&map(&[("slow", 10.0), ("flow", 0.015), ("by", 0.01)]), 3);
        assert_eq!(
            shards
                .iter()
                .map(|it| it.entry()["filterset"].to_string())
                .collect::<Vec<_>>(),
            [
                "\"test(=slow)\"",
                "\"(test(/[w]$/) & not (test(=slow)))\"",
                "\"not (test(=slow) | test(/[w]$/))\"",
            ]
        );
    }

    #[test]
    fn no_more_shards_than_parts() {
        let shards = split(&map(&[("a", 1.0), ("b", 2.0)]), 5);
        assert_eq!(
            shards
                .iter()
                .map(|it| (it.shard, it.total))
                .collect::<Vec<_>>(),
            [(1, 2), (2, 2)]
        );
        assert_eq!(split(&map(&[("a", 0.0), ("b", 0.0)]), 2).len(), 2);
        assert_eq!(
            split(&map(&[("a", 1.0)]), 3)[0].selection,
            Selection::Filterset("all()".to_owned())
        );
    }

    #[test]
    fn ten_thousand_tests_make_short_filters_and_even_shards() {
        let times: BTreeMap<String, f64> = (0..10_000_u32)
            .map(|n| {
                let letter = char::from(b'a' + u8::try_from(n % 26).unwrap());
                let seconds = if n % 100 == 0 { f64::from(n % 7) } else { 0.01 };
                (
                    format!(
                        "module_{}::a_rather_long_name_of_a_test_{n}_{letter}",
                        n % 50
                    ),
                    seconds,
                )
            })
            .collect();
        let shards = split(&times, 4);
        let loads: Vec<f64> = shards.iter().map(|it| it.seconds.unwrap()).collect();
        let fair = loads.iter().sum::<f64>() / 4.0;
        assert!(
            loads.iter().all(|it| (it - fair).abs() < fair * 0.05),
            "{loads:?}"
        );
        for shard in &shards {
            let length = shard.entry()["filterset"].as_str().unwrap().len();
            assert!(length < 20_000, "{length}");
        }
    }

    #[test]
    fn times_are_of_names_summed_over_binaries_and_averaged_over_runs() {
        let report = |xml: &str| junit::parse(xml.as_bytes(), "x").unwrap();
        let first = report(
            "<testsuites><testsuite><testcase name='a' time='1'/><testcase name='s' time='9'><skipped/></testcase></testsuite>\
             <testsuite><testcase name='a' time='2'/><testcase name='b'/></testsuite></testsuites>",
        );
        let second = report(
            "<testsuite><testcase name='a' time='1'/><testcase name='c' time='4'/></testsuite>",
        );
        assert_eq!(times(&[first, second]), map(&[("a", 2.0), ("c", 4.0)]));
    }

    #[test]
    fn a_shard_is_read_as_it_is_written() {
        let shards = [
            split(&BTreeMap::new(), 3),
            split(&map(&[("a", 1.0), ("b)", 2.5)]), 2),
        ]
        .concat();
        for shard in &shards {
            assert_eq!(&Shard::parse(&shard.entry().to_string()).unwrap(), shard);
        }
        assert_eq!(Shard::parse("2/3").unwrap(), shards[1]);
        for (text, why) in [
            ("", "no `K/N`"),
            ("0/3", "shards 1 to 3"),
            ("4/3", "shards 1 to 3"),
            ("1/0", "shards 1 to 0"),
            ("a/b", "no `K/N`"),
            ("{", "EOF"),
            ("{}", "no `shard`"),
            ("{\"shard\":1,\"total\":1}", "not one of"),
            (
                "{\"shard\":1,\"total\":1,\"partition\":\"a\",\"filterset\":\"b\"}",
                "not one of",
            ),
        ] {
            let said = Shard::parse(text).unwrap_err().to_string();
            assert!(said.contains(why), "{said}");
        }
    }

    proptest! {
        /// Whatever the earlier report, whatever tests there are now.
        #[test]
        fn every_test_is_in_exactly_one_shard(
            before in prop::collection::btree_map("[ab:)\\\\é ]{0,4}", 0.0..10.0_f64, 0..30),
            now in prop::collection::vec("[abz:)\\\\é ]{0,4}", 0..30),
            of in 1_usize..6,
        ) {
            if let Some(plan) = Plan::new(&before, of) {
                prop_assert!(plan.total <= of && plan.total > 0);
                for name in before.keys().chain(&now) {
                    let of: Vec<usize> = (0..plan.total).filter(|it| plan.filter(*it).matches(name)).collect();
                    prop_assert_eq!(of, vec![plan.shard_of(name)], "{}", name);
                }
                // And no runner starts for nothing, as long as the tests are the same.
                let used: BTreeSet<usize> = before.keys().map(|name| plan.shard_of(name)).collect();
                prop_assert_eq!(used.len(), plan.total);
            }
        }

        #[test]
        fn no_text_makes_parse_panic(text in "\\PC{0,40}") {
            let _ = Shard::parse(&text);
        }
    }
}
