//! Services end: asked first, killed when they take too long, and always with all that belongs to them.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::family::MARK;
use super::graph::{all_needs, order};
use super::state::{Home, Sight};
use crate::config::{Config, ServiceKind};
use crate::cx::Cx;
use crate::error::Fault;
use crate::platform::{self, Process};
use crate::postgres;

/// How long what was killed may take to be gone.
const GIVE_UP: Duration = Duration::from_secs(5);
/// What takes longer is talked about.
const SILENCE: Duration = Duration::from_secs(1);

/// What stopping a service came to.
#[derive(Clone, Debug, Serialize)]
pub struct Stopped {
    /// The service.
    pub name: String,
    /// What became of it.
    pub outcome: Outcome,
    /// The process that led it, where one did.
    pub pid: Option<u32>,
    /// More in words.
    pub detail: String,
}

/// What became of a service that was to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It ran, was asked to end, and did.
    Stopped,
    /// It ran, did not end in time, and was killed.
    Killed,
    /// It had ended by itself; what it had left behind was ended.
    Crashed,
    /// It did not run.
    NotRunning,
    /// It runs on.
    Failed,
}

/// Stops services by name (none: all, with the embedded PostgreSQL), those that depend on others
/// first. What depends on them and is not named stays, with a warning.
///
/// # Errors
/// A name that is no service (exit 2); after Ctrl-C, when all have ended (exit 130).
pub fn stop(cx: &Cx, names: &[String]) -> anyhow::Result<Vec<Stopped>> {
    let config = cx.config()?;
    let home = Home::of(cx);
    let others = home.unconfigured(config);
    for name in names.iter().filter(|name| !others.contains(name)) {
        config.service(name)?;
    }
    let chosen: Vec<String> = if names.is_empty() {
        config.services.keys().chain(&others).cloned().collect()
    } else {
        names.to_vec()
    };
    let _lock = home.lock(cx)?;
    if !names.is_empty() {
        warn_of_dependents(cx, config, &home, names)?;
    }
    let stopped = end(cx, &home, &chosen, &[])?;
    report(cx, &stopped, !names.is_empty());
    if platform::interrupted() {
        return Err(Fault::interrupted().into());
    }
    Ok(stopped)
}

fn warn_of_dependents(
    cx: &Cx,
    config: &Config,
    home: &Home,
    names: &[String],
) -> anyhow::Result<()> {
    let others: Vec<String> = config
        .services
        .keys()
        .filter(|name| !names.contains(name))
        .filter(|name| {
            all_needs(config, name)
                .iter()
                .any(|it| names.iter().any(|name| name == it))
        })
        .cloned()
        .collect();
    let running: Vec<String> = home
        .look(&others)
        .into_iter()
        .filter(|sight| sight.leader().is_some())
        .map(|sight| sight.name)
        .collect();
    if !running.is_empty() {
        cx.term.warn(&format!(
            "what depends on it runs on: {0}; `cargo xtask services stop {0}` stops it too",
            running.join(" ")
        ));
    }
    Ok(())
}

/// Says what stopping came to. What did not run is worth a word where it was asked for by name, or
/// where nothing ran.
fn report(cx: &Cx, stopped: &[Stopped], named: bool) {
    let idle = |it: &&Stopped| it.outcome == Outcome::NotRunning;
    if named {
        for it in stopped.iter().filter(idle) {
            cx.term
                .status("Skipped", &format!("{} was not running", it.name));
        }
    } else if stopped.iter().all(|it| idle(&it)) {
        cx.term.status("Skipped", "no service was running");
    }
}

/// Stops these services, each after all of them that depend on it, side by side where they may. Every
/// one is tried, whatever becomes of the others, and talked about as it ends. Those that are known to
/// be `dead` need no word.
pub(super) fn end(
    cx: &Cx,
    home: &Home,
    names: &[String],
    dead: &[&str],
) -> anyhow::Result<Vec<Stopped>> {
    let config = cx.config()?;
    let mut order = order(config, names)?;
    order.retain(|name| names.contains(name));
    order.reverse();
    let mut endings: Vec<Ending> = order
        .iter()
        .map(|name| {
            let dependents = order
                .iter()
                .filter(|it| all_needs(config, it).contains(name.as_str()));
            let patience = config.services.get(name).map_or(10, |it| it.stop_timeout);
            Ending {
                name: name.clone(),
                after: dependents.cloned().collect(),
                patience: Duration::from_secs(patience),
                dead: dead.contains(&name.as_str()),
                ..Ending::default()
            }
        })
        .collect();
    let hurry = Hurry::new();
    let mut pause = Duration::from_millis(2);
    loop {
        let table = platform::processes(MARK);
        let mut moved = false;
        for at in 0..endings.len() {
            let open = |name: &String| {
                endings
                    .iter()
                    .any(|it| it.name == *name && it.done.is_none())
            };
            if endings[at].done.is_some() || endings[at].after.iter().any(open) {
                continue;
            }
            let kind = config.services.get(&endings[at].name).map(|it| it.kind);
            if kind == Some(ServiceKind::Postgres) {
                endings[at].end_database(cx, home);
            } else {
                let sight = home.look_in(&table, &endings[at].name);
                endings[at].step(cx, home, &table, &sight, &hurry);
            }
            moved |= endings[at].done.is_some();
        }
        if endings.iter().all(|it| it.done.is_some()) {
            return Ok(endings.into_iter().filter_map(|it| it.done).collect());
        }
        if moved {
            // What waited for it may go on at once.
            pause = Duration::from_millis(2);
            continue;
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(40));
    }
}

/// The failure among what became of services. It has been shown as it happened.
pub(super) fn check(stopped: &[Stopped]) -> anyhow::Result<()> {
    match stopped.iter().find(|it| it.outcome == Outcome::Failed) {
        Some(it) => {
            let fault = Fault::new(format!("`{}` {}", it.name, it.detail));
            Err(Fault::shown(&fault.into()).into())
        }
        None => Ok(()),
    }
}

/// Whether nobody is asked politely any more: the user has asked to end since this began, or twice.
struct Hurry {
    before: i32,
}

impl Hurry {
    fn new() -> Hurry {
        Hurry {
            before: platform::interrupts().min(1),
        }
    }

    fn now(&self) -> bool {
        platform::interrupts() > self.before
    }
}

/// A service on its way out.
#[derive(Default)]
struct Ending {
    name: String,
    /// It has ended by itself, and that has been said.
    dead: bool,
    /// Services that have to be gone first.
    after: Vec<String>,
    patience: Duration,
    since: Option<Instant>,
    leader: Option<u32>,
    /// All that were ever seen to belong to it: who loses his parent stays ours.
    seen: Vec<Process>,
    told: BTreeSet<u32>,
    waiting_said: bool,
    killed: bool,
    done: Option<Stopped>,
}

impl Ending {
    fn end_database(&mut self, cx: &Cx, home: &Home) {
        let outcome = match postgres::stop_embedded(cx) {
            Ok(true) => (Outcome::Stopped, String::new()),
            Ok(false) => (Outcome::NotRunning, String::new()),
            Err(error) => {
                cx.term
                    .error(&error.context(format!("failed to stop `{}`", self.name)));
                (Outcome::Failed, "it runs on".to_owned())
            }
        };
        home.set_transient(&self.name, false);
        self.finish(outcome.0, outcome.1);
    }

    fn finish(&mut self, outcome: Outcome, detail: String) {
        self.done = Some(Stopped {
            name: self.name.clone(),
            outcome,
            pid: self.leader,
            detail,
        });
    }

    /// Looks at the family, and does what is due.
    fn step(&mut self, cx: &Cx, home: &Home, table: &[Process], sight: &Sight, hurry: &Hurry) {
        let living = self.living(table, sight);
        let Some(since) = self.since else {
            self.since = Some(Instant::now());
            self.leader = sight.leader().map(|it| it.pid);
            self.doubt(cx, sight);
            if living.is_empty() {
                self.gone(cx, home, sight);
            } else {
                self.tell(&living);
            }
            return;
        };
        if living.is_empty() {
            self.gone(cx, home, sight);
            return;
        }
        let waited = since.elapsed();
        if waited > self.patience + GIVE_UP {
            let pids = numbers(&living);
            let detail = format!("runs on after it was killed: pid {pids}");
            let fault = Fault::new(format!("`{}` {detail}", self.name)).hint(format!(
                "look at it: `ps -o pid,stat,wchan,user,args -p {pids}`"
            ));
            cx.term.error(&fault.into());
            self.finish(Outcome::Failed, detail);
        } else if waited > self.patience || hurry.now() {
            if !self.killed {
                self.killed = true;
                // Patience counts from here for what does not go even so.
                self.patience = waited;
                cx.term.warn(&self.impatience(waited, &living));
            }
            living.iter().for_each(|it| platform::kill(it.pid));
        } else {
            self.tell(&living);
            if waited > SILENCE && !self.waiting_said {
                self.waiting_said = true;
                let left = self.patience.saturating_sub(waited).as_secs_f64();
                cx.term.status(
                    "Waiting",
                    &format!(
                        "up to {left:.0} s for {} (pid {})",
                        self.name,
                        numbers(&living)
                    ),
                );
            }
        }
    }

    /// The family as it is now, with all that were in it before.
    fn living(&mut self, table: &[Process], sight: &Sight) -> Vec<Process> {
        for member in &sight.family.members {
            if !self.seen.iter().any(|it| same(it, member)) {
                self.seen.push(member.clone());
            }
        }
        let living = table
            .iter()
            .filter(|it| self.seen.iter().any(|seen| same(seen, it)));
        living.cloned().collect()
    }

    /// Asks whoever was not asked yet. A group is asked as one: nobody slips through by being born.
    fn tell(&mut self, living: &[Process]) {
        for process in living {
            if !self.told.insert(process.pid) {
                continue;
            }
            if self.leader == Some(process.pid) && process.group == process.pid {
                platform::terminate_group(process.pid);
                let group = living.iter().filter(|it| it.group == process.pid);
                self.told.extend(group.map(|it| it.pid));
            } else {
                platform::terminate(process.pid);
            }
        }
    }

    /// Says so where the state file is not to be believed.
    fn doubt(&self, cx: &Cx, sight: &Sight) {
        if sight.damaged {
            cx.term.warn(&format!(
                "the state file of `{}` is damaged or was edited: no process is believed to be its by that",
                self.name
            ));
        }
        if let Some(pid) = sight.reused() {
            cx.term.warn(&format!(
                "pid {pid} is no longer `{}` but another process, which is left alone",
                self.name
            ));
        }
    }

    fn gone(&mut self, cx: &Cx, home: &Home, sight: &Sight) {
        let name = &self.name;
        let outcome = match (self.leader, self.killed, &sight.record) {
            (Some(pid), killed, _) => {
                cx.term.status("Stopped", &format!("{name} (pid {pid})"));
                if killed {
                    Outcome::Killed
                } else {
                    Outcome::Stopped
                }
            }
            (None, _, Some(record)) if record.pid.is_some() => {
                if !self.dead {
                    let how = record.ended.as_deref().unwrap_or("nobody saw how");
                    cx.term
                        .warn(&format!("`{name}` had ended by itself ({how})"));
                }
                Outcome::Crashed
            }
            (None, ..) if !self.seen.is_empty() => {
                let pids = numbers(&self.seen);
                cx.term.status(
                    "Stopped",
                    &format!("what {name} had left behind (pid {pids})"),
                );
                Outcome::Crashed
            }
            _ => Outcome::NotRunning,
        };
        home.forget(name);
        self.finish(outcome, String::new());
    }

    fn impatience(&self, waited: Duration, living: &[Process]) -> String {
        format!(
            "`{}` did not end within {:.0} s: pid {} is killed",
            self.name,
            waited.as_secs_f64(),
            numbers(living)
        )
    }
}

fn same(one: &Process, other: &Process) -> bool {
    (one.pid, &one.start) == (other.pid, &other.start)
}

fn numbers(processes: &[Process]) -> String {
    let pids: Vec<String> = processes.iter().map(|it| it.pid.to_string()).collect();
    pids.join(",")
}
