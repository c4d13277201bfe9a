//! Two to eight runs of each command at once, in one workspace: all end in time and well, and what they
//! have made is whole.

use std::fs::{self, File};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::commands::{Does, Shop, Spec, named, that};
use super::held::{self, Snapshot};
use super::table::{Row, factor, names, record};
use crate::support::living;

/// Eight runs take turns at the longest of all, a new database, on a busy machine.
const IN_TIME: Duration = Duration::from_secs(90);

/// One of several runs.
struct Running {
    child: Child,
    words: tempfile::NamedTempFile,
}

/// Starts all, waits for all. What each has said, and its exit code.
fn at_once(shop: &Shop, specs: &[&Spec]) -> Vec<(Option<i32>, String)> {
    let mut running: Vec<Running> = specs
        .iter()
        .map(|spec| {
            // Not a pipe: what runs on in the background would hold it open.
            let words = tempfile::NamedTempFile::new().unwrap();
            let open = || File::options().append(true).open(words.path()).unwrap();
            let mut command = spec.command(shop);
            let child = command.stdout(Stdio::null()).stderr(open()).spawn();
            Running {
                child: child.unwrap(),
                words,
            }
        })
        .collect();
    let since = Instant::now();
    let mut ended = Vec::new();
    for (run, spec) in running.iter_mut().zip(specs) {
        let status = loop {
            if let Some(status) = run.child.try_wait().unwrap() {
                break status;
            }
            if since.elapsed() > IN_TIME {
                let said = fs::read_to_string(run.words.path()).unwrap();
                panic!(
                    "one of {} `{}` does not end\n{said}",
                    specs.len(),
                    spec.name
                );
            }
            thread::sleep(Duration::from_millis(2));
        };
        let said = fs::read_to_string(run.words.path()).unwrap();
        let ours = said.contains("panicked") && !said.contains("fixture-server.rs");
        assert!(!ours, "{said}");
        ended.push((status.code(), said));
    }
    ended
}

/// What several runs of one command may end with, beside its own code.
fn refusals(name: &str) -> &'static [(i32, &'static str)] {
    match name {
        // Each needs the port for itself: we see that before the start, or the service sees it.
        "run-service" => &[
            (1, "of `brief` is held by `fixture-server` (pid "),
            // It has ended before we could see who it was.
            (1, "of `brief` is in use"),
            (101, "AddrInUse"),
        ],
        _ => &[],
    }
}

/// Runs each command 2 and 8 times at once. Its row.
fn each(specs: &[Spec], counts: &[usize], held: &str) -> Row {
    let shop = Shop::new();
    for spec in specs {
        // What one run alone makes of the shop.
        spec.prepare(&shop);
        spec.works(&shop, spec.name);
        let whole = Snapshot::of(shop.fixture.root()).without_url();
        for count in counts.iter().flat_map(|it| (0..factor()).map(move |_| it)) {
            let when = format!("{count} times `{}` at once", spec.name);
            spec.prepare(&shop);
            let before = Snapshot::of(shop.fixture.root()).without_url();
            let mut done = 0;
            for (code, said) in at_once(&shop, &vec![spec; *count]) {
                if code == Some(spec.code) {
                    done += 1;
                    continue;
                }
                let known = refusals(spec.name)
                    .iter()
                    .any(|(refused, why)| code == Some(*refused) && said.contains(why));
                assert!(known, "{when}: {code:?}\n{said}");
            }
            assert!(done > 0, "{when}: nobody did it");
            match spec.name {
                "make" | "setup" => assert_eq!(shop.installs(), 1, "{when}"),
                // `web`, and `api` with its child.
                "services start" | "services restart" => {
                    assert_eq!(living(&shop.mark).len(), 3, "{when}");
                }
                _ => {}
            }
            let now = Snapshot::of(shop.fixture.root()).without_url();
            held::nothing_half_written(&now, &before, &whole, &when);
            shop.settled(&when);
            spec.works(&shop, &format!("the next run of {when}"));
        }
        if spec.does != Does::Reads {
            shop.ends(spec.name);
        }
    }
    shop.ends("at the end");
    let shown: Vec<String> = counts.iter().map(ToString::to_string).collect();
    Row {
        fault: format!("{} runs at once", shown.join(" and ")),
        commands: names(specs.iter().map(|it| it.name)),
        points: format!("{} for each command", counts.len()),
        held: held.to_owned(),
    }
}

#[test]
fn what_reads() {
    let row = each(
        &that(Does::Reads),
        &[8],
        "each ends well, and the next one prints what it should; no file is written",
    );
    record("at_once::what_reads", &[row]);
}

#[test]
fn what_writes() {
    let row = each(
        &that(Does::Writes),
        &[2, 8],
        "all end well; every file is whole, and what one run alone would have made",
    );
    record("at_once::what_writes", &[row]);
}

#[test]
fn what_runs() {
    let row = each(
        &that(Does::Runs),
        &[2, 8],
        "all end well, or say who has the port (`run-service`); what is to be installed is installed \
         once, what is to be started is started once, and nobody is left",
    );
    record("at_once::what_runs", &[row]);
}

#[test]
fn the_database() {
    let row = each(
        &that(Does::Database),
        &[2, 8],
        "all end well; one cluster, which answers, with all migrations",
    );
    record("at_once::the_database", &[row]);
}

/// Commands that undo each other's work.
#[test]
fn those_that_exclude_each_other() {
    let shop = Shop::new();
    let groups: [&[&str]; 4] = [
        &[
            "services start",
            "services stop",
            "services restart",
            "with-services",
        ],
        &["db start", "db stop", "setup-db", "db migrate", "db status"],
        &["setup-env", "db start", "env", "setup-env"],
        &[
            "clean-artifacts",
            "tasks docs",
            "setup-nextest",
            "services start",
        ],
    ];
    for group in groups {
        let specs: Vec<Spec> = group.iter().map(|it| named(it)).collect();
        for spec in &specs {
            spec.prepare(&shop);
        }
        let when = format!("{group:?} at once");
        let twice: Vec<&Spec> = specs.iter().chain(&specs).collect();
        for ((code, said), spec) in at_once(&shop, &twice).iter().zip(&twice) {
            // What somebody else has just stopped cannot be looked at, restarted or migrated: said in words.
            let said_so =
                *code == Some(1) && (said.contains("error: ") || spec.name == "db status");
            assert!(
                *code == Some(spec.code) || said_so,
                "{when}: {code:?}\n{said}"
            );
        }
        shop.settled(&when);
        // One truth is left: whatever runs is known, and ends.
        shop.ends(&when);
        assert_eq!(living(&shop.mark), Vec::<u32>::new());
        for spec in &specs {
            spec.prepare(&shop);
            spec.works(&shop, &format!("the next run after {when}"));
        }
        shop.ends(&when);
    }
    let row = Row {
        fault: "2 runs of each at once, which undo each other's work".to_owned(),
        commands: groups.map(|it| names(it.iter().copied())).join("; "),
        points: format!("{} groups", groups.len()),
        held:
            "each ends well, or with 1 and says what it lacks; what runs in the end is known, and \
               the next run of each works"
                .to_owned(),
    };
    record("at_once::those_that_exclude_each_other", &[row]);
}
