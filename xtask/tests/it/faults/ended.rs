//! SIGKILL, SIGTERM and SIGINT at many moments of every command: to `cargo xtask` alone, as a supervisor
//! sends them, and to its whole process group, as a terminal does.

use std::fs::{self, File};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::commands::{Does, Shop, Spec, named, that};
use super::held::{self, Snapshot};
use super::table::{Row, factor, names, record};
use crate::support::{Fixture, Run, living, mark, marked, server, until};

/// Whom a signal reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum To {
    /// `cargo xtask` alone.
    Alone,
    /// Its process group.
    Group,
}

/// When it is sent.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// So long after the start.
    After(Duration),
    /// As soon as this is so, and so long after it.
    Once(&'static str, fn(&Shop) -> bool, Duration),
}

/// No command takes longer to end than this after a signal: what does not listen is killed after 5 s.
const ENDS_IN: Duration = Duration::from_secs(20);
/// How long what began as its parent was told to end may go on.
const MOMENTS: Duration = Duration::from_secs(2);
/// How long what a killed run has left may go on by itself: it ends when its own work is done.
const PATIENCE: Duration = Duration::from_secs(20);

/// A run that a signal ends.
struct Hit {
    status: ExitStatus,
    said: String,
}

fn send(child: &Child, signal: Signal, to: To) {
    let pid = child.id().cast_signed();
    let pid = match to {
        To::Alone => pid,
        To::Group => -pid,
    };
    // Whoever has ended already is still our child: a zombie takes every signal.
    kill(Pid::from_raw(pid), signal).unwrap();
}

/// Starts the command in a group of its own, sends the signal at that moment, and waits for its end.
fn hit(shop: &Shop, spec: &Spec, signal: Signal, to: To, moment: Moment) -> Hit {
    // Files, not pipes: what is left would hold them open. Each word of it is in the panic, if any.
    let words = tempfile::NamedTempFile::new().unwrap();
    let mut child = spec
        .command(shop)
        .process_group(0)
        .stdout(Stdio::null())
        .stderr(File::options().append(true).open(words.path()).unwrap())
        .spawn()
        .unwrap();
    match moment {
        Moment::After(delay) => thread::sleep(delay),
        Moment::Once(what, is_so, delay) => {
            let since = Instant::now();
            while !is_so(shop) {
                let ended = child.try_wait().unwrap();
                assert!(
                    ended.is_none() && since.elapsed() < ENDS_IN,
                    "{}: {what} was never so: {ended:?}",
                    spec.name
                );
                thread::sleep(Duration::from_millis(1));
            }
            thread::sleep(delay);
        }
    }
    send(&child, signal, to);
    let since = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        assert!(
            since.elapsed() < ENDS_IN,
            "`{}` does not end after {signal} to {to:?}, {moment:?}",
            spec.name
        );
        thread::sleep(Duration::from_millis(1));
    };
    let said = fs::read_to_string(words.path()).unwrap();
    Hit { status, said }
}

/// One point: the shop made ready, the command ended by the signal, and all that must hold after it.
/// Whether the signal ended it, neither too early to be heard nor too late.
fn point(shop: &Shop, spec: &Spec, whole: &Whole, signal: Signal, to: To, moment: Moment) -> bool {
    let when = format!("`{}` after {signal} to {to:?}, {moment:?}", spec.name);
    spec.prepare(shop);
    let known = living(&shop.mark);
    let before = Whole::of(shop);
    let run = hit(shop, spec, signal, to, moment);
    let when = format!("{when}\n{:?}\n{}", run.status, run.said);
    assert!(!run.said.contains("panicked"), "{when}");
    // It came too late, or before anybody listened; or it did what it should.
    let listened = signal != Signal::SIGKILL && run.status.code() == Some(130);
    let ended = run.status.signal() == Some(signal as i32) || run.status.code() == Some(spec.code);
    assert!(listened || ended, "{when}");
    let now = Whole::of(shop);
    held::nothing_half_written(&now.shop, &before.shop, &whole.shop, &when);
    held::nothing_half_written(&now.theirs, &before.theirs, &whole.theirs, &when);
    held::state_is_whole(shop.fixture.root(), &when);
    if listened && spec.does != Does::Database && spec.name != "services restart" {
        // Whoever listens leaves nothing that was not there before: it has ended what it started.
        // What a program in our own process group began in the very moment in which it was told is not
        // known to us: it may outlive us, but by moments alone.
        let since = Instant::now();
        while living(&shop.mark).iter().any(|it| !known.contains(it)) {
            assert!(since.elapsed() < MOMENTS, "{when}: somebody is left");
            thread::sleep(Duration::from_millis(20));
        }
    }
    spec.works(shop, &format!("the next run of {when}"));
    if matches!(spec.does, Does::Runs | Does::Database) {
        shop.stop();
    } else if known.is_empty() {
        held::no_process_left(&shop.mark, PATIENCE, &when);
    }
    if matches!(spec.does, Does::Runs | Does::Database) {
        held::no_process_left(&shop.mark, PATIENCE, &when);
    }
    match signal {
        Signal::SIGKILL => run.status.signal().is_some(),
        _ => listened,
    }
}

/// What is in both workspaces.
struct Whole {
    shop: Snapshot,
    theirs: Snapshot,
}

impl Whole {
    fn of(shop: &Shop) -> Whole {
        Whole {
            shop: Snapshot::of(shop.fixture.root()).without_url(),
            theirs: Snapshot::of(shop.theirs.root()),
        }
    }
}

/// Ends each command with the signal at `points` moments, spread over the time that it takes, for each
/// of these. Its row.
fn spread(specs: &[Spec], signal: Signal, whom: &[To], points: u32, held: &str) -> Row {
    let shop = Shop::new();
    let count = points * factor();
    let (mut met, mut tried) = (0, 0);
    for spec in specs {
        spec.prepare(&shop);
        let since = Instant::now();
        let status = spec
            .command(&shop)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert_eq!(status.code(), Some(spec.code), "{}", spec.name);
        let takes = since.elapsed();
        let whole = Whole::of(&shop);
        for to in whom {
            for n in 0..count {
                let delay = takes * (2 * n + 1) / (2 * count);
                let hit = point(&shop, spec, &whole, signal, *to, Moment::After(delay));
                met += u32::from(hit);
                tried += 1;
            }
        }
    }
    shop.ends("at the end");
    // What only reads or writes is done before anybody can tell it anything.
    let least = match specs[0].does {
        Does::Reads | Does::Writes if signal != Signal::SIGKILL => 0,
        Does::Reads | Does::Writes => 1,
        _ => tried / 4,
    };
    assert!(met >= least, "{signal} met {met} of {tried} runs at work");
    Row {
        fault: format!("{signal} to {}", shown(whom)),
        commands: names(specs.iter().map(|it| it.name)),
        points: match (points, whom.len()) {
            (1, 1) => "1 for each command, half way through its time".to_owned(),
            (points, 1) => format!("{points} for each command, spread over its time"),
            (points, n) => format!(
                "{} for each command: {points} each, spread over its time",
                points as usize * n
            ),
        },
        held: held.to_owned(),
    }
}

fn shown(whom: &[To]) -> String {
    let words = |to: &To| match to {
        To::Alone => "it alone",
        To::Group => "its group",
    };
    let all: Vec<&str> = whom.iter().map(words).collect();
    all.join(", and to ")
}

const ALL: [Signal; 3] = [Signal::SIGKILL, Signal::SIGTERM, Signal::SIGINT];
const BOTH: [To; 2] = [To::Alone, To::Group];

#[test]
fn what_reads() {
    let rows = ALL.map(|signal| {
        spread(
            &that(Does::Reads),
            signal,
            &[To::Alone],
            1,
            "nothing is written, nobody is left; the next run prints what it should",
        )
    });
    record("ended::what_reads", &rows);
}

#[test]
fn what_writes() {
    // A copy of this whole program is no matter of milliseconds where it was built for debugging.
    let (large, small): (Vec<Spec>, Vec<Spec>) = that(Does::Writes)
        .into_iter()
        .partition(|it| it.name == "install-launcher");
    let rows: Vec<Row> = ALL
        .into_iter()
        .flat_map(|signal| {
            [
                spread(&small, signal, &BOTH, 4, WHOLE),
                spread(&large, signal, &[To::Alone], 2, WHOLE),
            ]
        })
        .collect();
    record("ended::what_writes", &rows);
}

const WHOLE: &str = "every file is the old or the new one, whole; the next run does its work and removes \
                     temporary files";
const KILLED: &str = "what it ran ends by itself, or the next run or `services stop` finds and ends it; \
                      the next run works";
const LISTENED: &str = "it ends with 130 and has ended all that it started, unless it did not listen yet or was done; the next run works";

fn some(names: &[&str]) -> Vec<Spec> {
    names.iter().map(|it| named(it)).collect()
}

const SERVICES: [&str; 5] = [
    "services start",
    "services stop",
    "services restart",
    "with-services",
    "run-service",
];

#[test]
fn services_by_sigkill() {
    let row = spread(&some(&SERVICES), Signal::SIGKILL, &BOTH, 3, KILLED);
    record("ended::services_by_sigkill", &[row]);
}

/// A service that was started for a command ends with the next command, not as late as by `services stop`.
#[test]
fn a_service_that_has_just_begun_is_known() {
    let shop = Shop::new();
    let spec = named("with-services");
    let whole = Whole::of(&shop);
    let points = 3 * factor();
    for n in 0..points {
        let moment = Moment::Once(
            "a service has begun",
            |shop| living(&shop.mark).len() > 1,
            Duration::from_micros(200) * n,
        );
        let hit = point(&shop, &spec, &whole, Signal::SIGKILL, To::Alone, moment);
        assert!(hit, "{moment:?}");
    }
    let row = Row {
        fault: "SIGKILL to it alone, in the very moment in which a service begins".to_owned(),
        commands: names(["with-services"]),
        points: "3: as soon as there is a process, 0.2 and 0.4 ms later".to_owned(),
        held: "the next run takes the service over, and ends it when its command has ended"
            .to_owned(),
    };
    record("ended::a_service_that_has_just_begun_is_known", &[row]);
}

#[test]
fn services_by_sigterm() {
    let row = spread(&some(&SERVICES), Signal::SIGTERM, &BOTH, 3, LISTENED);
    record("ended::services_by_sigterm", &[row]);
}

#[test]
fn services_by_sigint() {
    let row = spread(&some(&SERVICES), Signal::SIGINT, &BOTH, 3, LISTENED);
    record("ended::services_by_sigint", &[row]);
}

/// All others that run something.
fn others() -> Vec<Spec> {
    let all = that(Does::Runs).into_iter();
    all.filter(|it| !SERVICES.contains(&it.name)).collect()
}

#[test]
fn what_runs_by_sigkill() {
    let row = spread(&others(), Signal::SIGKILL, &BOTH, 3, KILLED);
    record("ended::what_runs_by_sigkill", &[row]);
}

#[test]
fn what_runs_by_sigterm() {
    let row = spread(&others(), Signal::SIGTERM, &BOTH, 3, LISTENED);
    record("ended::what_runs_by_sigterm", &[row]);
}

#[test]
fn what_runs_by_sigint() {
    let row = spread(&others(), Signal::SIGINT, &BOTH, 3, LISTENED);
    record("ended::what_runs_by_sigint", &[row]);
}

fn exists(shop: &Shop, path: &str) -> bool {
    let all = path.split('/');
    all.fold(shop.home().to_path_buf(), |at, it| at.join(it))
        .exists()
}

/// Whether `xtask-db` is at work. A name in the process table has fifteen bytes at the most.
fn the_database_is_being_made(shop: &Shop) -> bool {
    let named = |pid: &u32| {
        fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|it| it.trim() == "xtask-db")
    };
    living(&shop.mark).iter().any(named)
}

/// Moments of the commands that make, start, stop or change a PostgreSQL.
fn states(name: &str, all_of_them: bool) -> Vec<Moment> {
    let none = Duration::ZERO;
    let ms = Duration::from_millis;
    let all = match name {
        "db start" => vec![
            Moment::Once(
                "initdb has begun",
                |shop| exists(shop, "data.new/base"),
                none,
            ),
            Moment::Once(
                "initdb is half through",
                |shop| exists(shop, "data.new/base"),
                ms(250),
            ),
            Moment::Once(
                "the cluster has its name",
                |shop| exists(shop, "data"),
                none,
            ),
            Moment::Once(
                "the server is there",
                |shop| exists(shop, "data/postmaster.pid"),
                none,
            ),
        ],
        "db stop" => vec![Moment::After(ms(10)), Moment::After(ms(40))],
        "setup-db" | "db migrate" => vec![
            Moment::Once("xtask-db has begun", the_database_is_being_made, none),
            Moment::Once(
                "xtask-db is half through",
                the_database_is_being_made,
                ms(120),
            ),
        ],
        new => panic!("`{new}` is new: say here when it is to be ended"),
    };
    // One of each command, where the others would be the same over again.
    let all = match name {
        _ if all_of_them => all,
        "db start" => vec![all[1], all[3]],
        _ => vec![all[all.len() - 1]],
    };
    // A long run goes further into each.
    let further = |moment: &Moment, n: u32| match *moment {
        Moment::After(delay) => Moment::After(delay + ms(7) * n),
        Moment::Once(what, is_so, delay) => Moment::Once(what, is_so, delay + ms(17) * n),
    };
    (0..factor())
        .flat_map(|n| all.iter().map(move |it| further(it, n)))
        .collect()
}

/// As [`spread`], at [`states`].
fn database(signal: Signal, to: To, all_of_them: bool, held: &str) -> Row {
    let shop = Shop::new();
    let specs = that(Does::Database);
    let mut moments = Vec::new();
    for spec in &specs {
        spec.prepare(&shop);
        spec.works(&shop, spec.name);
        let whole = Whole::of(&shop);
        let states = states(spec.name, all_of_them);
        for moment in &states {
            let hit = point(&shop, spec, &whole, signal, to, *moment);
            // Whoever has just begun to wait for initdb or xtask-db is not done.
            let waits = matches!(moment, Moment::Once(what, ..) if what.ends_with("has begun"));
            assert!(
                hit || !waits,
                "{signal} to {to:?} met no `{}`, {moment:?}",
                spec.name
            );
        }
        moments.extend(states.iter().map(|moment| match moment {
            Moment::After(delay) => format!("{} ms of `{}`", delay.as_millis(), spec.name),
            Moment::Once(what, ..) => format!("{what} (`{}`)", spec.name),
        }));
    }
    shop.ends("at the end");
    Row {
        fault: format!("{signal} to {}", shown(&[to])),
        commands: names(specs.iter().map(|it| it.name)),
        points: format!("{}: {}", moments.len(), moments.join("; ")),
        held: held.to_owned(),
    }
}

const DATABASE: &str = "no cluster and no database is believed that is not whole; an initdb or xtask-db that \
                        was left is ended by the next run, which works: one server, all migrations applied";
const AND_130: &str = "the same, and it ends with 130, unless it was done";

#[test]
fn the_database_by_sigkill() {
    let row = database(Signal::SIGKILL, To::Alone, true, DATABASE);
    record("ended::the_database_by_sigkill", &[row]);
}

#[test]
fn the_database_by_sigkill_to_all() {
    let row = database(Signal::SIGKILL, To::Group, false, "the same");
    record("ended::the_database_by_sigkill_to_all", &[row]);
}

#[test]
fn the_database_by_sigterm() {
    let row = database(Signal::SIGTERM, To::Alone, false, AND_130);
    record("ended::the_database_by_sigterm", &[row]);
}

#[test]
fn the_database_by_sigint() {
    let row = database(Signal::SIGINT, To::Group, false, AND_130);
    record("ended::the_database_by_sigint", &[row]);
}

/// What a program of ours has said by then is no answer, and its end no failure.
#[test]
fn what_a_program_was_asked_is_not_answered_by_its_end() {
    use std::os::unix::fs::PermissionsExt as _;
    let shop = Shop::new();
    // A git that tells the whole group, as a terminal does, and is the first to end.
    let git = shop
        .fixture
        .file("bin/git", "#!/bin/sh\nkill -s \"$SIGNAL\" 0\nsleep 10\n");
    fs::set_permissions(&git, fs::Permissions::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", git.parent().unwrap().display());
    let asked = ["clean-artifacts", "ci scope"];
    for (name, signal) in asked.iter().flat_map(|it| [(it, "TERM"), (it, "INT")]) {
        let mut command = named(name).command(&shop);
        command.env("PATH", &path).env("SIGNAL", signal);
        let run = Run::of(command.process_group(0)).code(130);
        assert_eq!(run.stderr(), "", "{name}");
    }
    held::no_process_left(&shop.mark, PATIENCE, "at the end");
    let row = Row {
        fault: "SIGTERM and SIGINT to its group, where `git` is the first to end".to_owned(),
        commands: names(asked),
        points: "2 for each command: while `git` is asked".to_owned(),
        held: "it ends with 130 and says nothing; `git` is no failure".to_owned(),
    };
    record(
        "ended::what_a_program_was_asked_is_not_answered_by_its_end",
        &[row],
    );
}

/// A step that would go on for long beside the next run's.
#[test]
fn a_step_that_a_killed_run_has_left_is_ended_by_the_next() {
    let fixture = Fixture::new(&format!(
        "[setup.app]\noutputs = [\"made\"]\ncommands = [[{:?}, \"until\", \"made\"]]\n",
        server()
    ));
    let mark = mark();
    let mut first = marked(&fixture, &mark, &["setup"]).spawn().unwrap();
    let runs = || fixture.path("made.runs").exists();
    until("the step runs", runs);
    send(&first, Signal::SIGKILL, To::Alone);
    first.wait().unwrap();
    let left = living(&mark);
    assert_eq!(left.len(), 1, "the step");
    fs::remove_file(fixture.path("made.runs")).unwrap();
    let second = marked(&fixture, &mark, &["setup"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    until("the step runs again", runs);
    assert!(!living(&mark).contains(&left[0]), "two at once");
    fixture.file("made", "");
    let output = second.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    let ending = format!(
        "Ending what a run that was killed has left (pid {})",
        left[0]
    );
    assert!(said.contains(&ending), "{said}");
    // A run that ended well leaves no name: its lock file says nothing.
    let lock = fixture.path("target/xtask/setup/app.lock");
    assert_eq!(fs::read_to_string(lock).unwrap(), "");
    held::no_process_left(&mark, PATIENCE, "at the end");
    let row = Row {
        fault: "SIGKILL to it alone, while a step would run for long".to_owned(),
        commands: names(["setup"]),
        points: "1: the step has begun".to_owned(),
        held: "the next run ends the step that was left, and says so, before it begins its own"
            .to_owned(),
    };
    record(
        "ended::a_step_that_a_killed_run_has_left_is_ended_by_the_next",
        &[row],
    );
}

/// As after a start that was killed, for as long as one likes.
#[test]
fn a_server_that_does_not_answer_yet_is_waited_for() {
    let shop = Shop::new();
    shop.run("db start");
    let url = shop.run("db url").stdout();
    let file = fs::read_to_string(shop.home().join("data").join("postmaster.pid")).unwrap();
    let pid = Pid::from_raw(file.lines().next().unwrap().parse().unwrap());
    kill(pid, Signal::SIGSTOP).unwrap();
    let start = shop.command(&["db", "start"]).spawn().unwrap();
    // Longer than one attempt to connect.
    thread::sleep(Duration::from_millis(2500));
    kill(pid, Signal::SIGCONT).unwrap();
    assert!(start.wait_with_output().unwrap().status.success());
    assert_eq!(shop.run("db url").stdout(), url, "no second server");
    shop.ends("at the end");
    let row = Row {
        fault: "SIGSTOP to the embedded PostgreSQL, as if it were about to start".to_owned(),
        commands: names(["db start"]),
        points: "1: 2.5 s long".to_owned(),
        held: "it is waited for; no second server is started on another port".to_owned(),
    };
    record(
        "ended::a_server_that_does_not_answer_yet_is_waited_for",
        &[row],
    );
}
