//! What is compared, and what is asked of it.

mod cleaning;
mod database;
mod probing;
mod quality;
mod scale;
mod services;
mod startup;

use crate::pair::{Goal, Pair};

/// Every pair, in the order of the table.
pub const ALL: &[Pair] = &[
    Pair {
        name: "cold-help",
        ours: "`cargo xtask --help` from an empty target directory",
        theirs: "the same of a minimal project on tracel-xtask (build, check, fix, test)",
        goal: Goal::Ratio(0.45),
        runs: 5,
        ready: startup::cold_help,
    },
    Pair {
        name: "launch",
        ours: "`cargo xtask --version`, built, with the launcher installed",
        theirs: "the same without",
        goal: Goal::Report,
        runs: 20,
        ready: startup::launch,
    },
    Pair {
        name: "launch-task",
        ours: "xtask as a task starts it: `target/tool/xtask xtask --version`",
        theirs: "`cargo xtask --version`",
        goal: Goal::Report,
        runs: 20,
        ready: startup::launch_task,
    },
    Pair {
        name: "make-noop",
        ours: "`cargo make` of an empty task with our shared configuration",
        theirs: "with cargo-make's own settings",
        goal: Goal::Ratio(0.25),
        runs: 20,
        ready: startup::make_noop,
    },
    Pair {
        name: "make-check-services",
        ours: "`cargo make check-services`, all up",
        theirs: "cargo-make's own settings and the bash script",
        goal: Goal::Ratio(0.5),
        runs: 20,
        ready: probing::make_check,
    },
    Pair {
        name: "check-services",
        ours: "`xtask check-services` (the binary)",
        theirs: "the bash script",
        goal: Goal::Ratio(0.15),
        runs: 30,
        ready: probing::check,
    },
    Pair {
        name: "check-services-optimised",
        ours: "the same, xtask built for release",
        theirs: "the same",
        goal: Goal::Report,
        runs: 30,
        ready: probing::check_optimised,
    },
    Pair {
        name: "check-services-100",
        ours: "`xtask check-services` of 100 services",
        theirs: "the bash script's probe, one by one",
        goal: Goal::Ratio(0.02),
        runs: 15,
        ready: probing::check_many,
    },
    Pair {
        name: "just-check-services",
        ours: "`cargo xtask check-services`, built, with the launcher installed",
        theirs: "`just check-services` with the bash script",
        goal: Goal::Ratio(1.0),
        runs: 30,
        ready: probing::check_just,
    },
    Pair {
        name: "just-check-plain",
        ours: "the same without",
        theirs: "the same",
        goal: Goal::Report,
        runs: 20,
        ready: probing::check_just_plain,
    },
    Pair {
        name: "clean-rm",
        ours: "`xtask clean-artifacts` of 200,000 files",
        theirs: "`rm -rf`",
        goal: Goal::Ratio(1.0),
        runs: 5,
        ready: cleaning::against_rm,
    },
    Pair {
        name: "clean-find",
        ours: "`xtask clean-artifacts` of 150,000 files of cargo and 50,000 of Python",
        theirs: "`cargo clean` and `find … -exec rm`",
        goal: Goal::Ratio(0.7),
        runs: 5,
        ready: cleaning::against_find,
    },
    Pair {
        name: "services-start",
        ours: "`xtask services start`, from nothing to all healthy",
        theirs: "the database by hand, then one service after the other with fixed waits",
        goal: Goal::Ratio(0.4),
        runs: 5,
        ready: services::start,
    },
    Pair {
        name: "db-cold",
        ours: "`xtask setup-db`, from no cluster to PGMQ and all migrations",
        theirs: "initdb, pg_ctl, createdb, psql and `sqlx migrate run` by hand",
        goal: Goal::Ratio(0.6),
        runs: 10,
        ready: database::cold,
    },
    Pair {
        name: "db-first",
        ours: "the same with no earlier cluster of this user to copy",
        theirs: "the same by hand",
        goal: Goal::Report,
        runs: 10,
        ready: database::first,
    },
    Pair {
        name: "db-warm",
        ours: "`xtask setup-db` of a cluster that is stopped",
        theirs: "`pg_ctl start --wait` of the same",
        goal: Goal::MoreBy(0.3),
        runs: 15,
        ready: database::warm,
    },
    Pair {
        name: "code-quality",
        ours: "the lanes of `code-quality` side by side, after an edit in each crate",
        theirs: "the same with `--jobs 1`",
        goal: Goal::Report,
        runs: 3,
        ready: quality::parallel,
    },
    Pair {
        name: "tasks-check-100",
        ours: "`xtask tasks check` of 100 members with 20 tasks each",
        theirs: "of 10 members",
        goal: Goal::Report,
        runs: 10,
        ready: scale::tasks_check_100,
    },
    Pair {
        name: "tasks-check-1000",
        ours: "`xtask tasks check` of 1,000 members with 20 tasks each",
        theirs: "of 100 members",
        goal: Goal::Report,
        runs: 5,
        ready: scale::tasks_check_1000,
    },
    Pair {
        name: "ci-scope-100",
        ours: "`xtask ci scope` of 100 members",
        theirs: "of 10 members",
        goal: Goal::Report,
        runs: 10,
        ready: scale::ci_scope_100,
    },
    Pair {
        name: "ci-scope-1000",
        ours: "`xtask ci scope` of 1,000 members",
        theirs: "of 100 members",
        goal: Goal::Report,
        runs: 5,
        ready: scale::ci_scope_1000,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_can_be_typed() {
        let mut names: Vec<&str> = ALL.iter().map(|pair| pair.name).collect();
        for name in &names {
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            assert!(name.chars().all(plain), "{name}");
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
    }
}
