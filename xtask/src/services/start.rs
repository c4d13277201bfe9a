//! Services start: each as soon as what it needs is healthy, and up when its probe says so.
//!
//! One loop decides; builds, the database and the probes run beside it and send what they find. The
//! first failure is shown at once, then all that this call has started is stopped again.

use std::collections::BTreeMap;
use std::fs::File;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use super::graph::all_needs;
use super::plan::{Node, Plan};
use super::spawn::{spawn, stranger_on_port};
use super::state::{Home, Record};
use super::stop;
use super::{
    Programs, build, build_unless, chosen, command, logs, port_taken, probe_service, secrets,
};
use crate::config::{Config, Service};
use crate::cx::Cx;
use crate::environment::{Choice, Environment};
use crate::error::Fault;
use crate::platform::{self, Process};
use crate::postgres::{self, Ensured};
use crate::probe::{self, Finding};
use crate::proc;

/// Lines of a log that an error shows.
const LOG_LINES: usize = 20;
/// One probe may take so long; death and Ctrl-C are noticed all the same.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long something that somebody else starts may take to answer.
const EXTERNAL_PATIENCE: Duration = Duration::from_secs(5);
/// How long what is left of services that have ended may take to end.
const ORPHANS_PATIENCE: Duration = Duration::from_secs(2);
/// Waiting is talked about after this time, then every so often.
const FIRST_WORD: Duration = Duration::from_secs(1);
const NEXT_WORD: Duration = Duration::from_secs(10);

/// How services are to be started.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// Where their programs come from.
    pub programs: Programs<'a>,
    /// Whether they are to end with the command that they are started for.
    pub transient: bool,
}

/// What is up after a start.
#[derive(Debug, Default)]
pub struct Up {
    /// All that was asked for and what that needs, in the order of dependencies.
    pub names: Vec<String>,
    /// Those of them that this call has started.
    pub started: Vec<String>,
    /// The URL of the database, where it is among them.
    pub(super) database_url: Option<String>,
    /// The processes of services, with the child where it is one of ours.
    pub(super) processes: Vec<Running>,
    /// Their ports: one that was up before may have been told another than is configured now.
    pub(super) ports: BTreeMap<String, u16>,
    /// Held while they are used.
    pub(super) leases: Vec<File>,
}

/// A service's process.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) name: String,
    pub(super) pid: u32,
    pub(super) start: String,
    pub(super) child: Option<Child>,
}

impl Running {
    /// How it ended, if it has.
    pub(super) fn ended(&mut self) -> Option<String> {
        if let Some(child) = &mut self.child {
            return match child.try_wait() {
                Ok(status) => status.map(proc::describe_status),
                // Waited for elsewhere: it is gone all the same.
                Err(_) => Some("an unknown exit code".to_owned()),
            };
        }
        let lives = platform::start_time(self.pid).is_some_and(|start| start == self.start);
        (!lives).then(|| "an unknown exit code".to_owned())
    }
}

/// Starts the services and what they need, and waits until all are healthy. What runs already stays.
///
/// # Errors
/// A port that is taken, a failed build, a service that ends or does not get healthy: with the end of
/// its log, shown at once. What this call had started is stopped then.
pub fn start(cx: &Cx, names: &[String], options: Options) -> anyhow::Result<Up> {
    let home = Home::of(cx);
    let _lock = home.lock(cx)?;
    let plan = Plan::new(cx, &home, &chosen(cx, names)?)?;
    plan.check_ports(&[])?;
    plan.end_leftovers(cx, &home)?;
    start_planned(cx, &home, plan, options, false)
}

/// Builds services, then stops them and starts them again: what does not build leaves the old ones
/// running. What depends on them stays. No names: all that run.
///
/// # Errors
/// As [`start`]; and when one of them cannot be stopped.
pub fn restart(cx: &Cx, names: &[String], programs: Programs) -> anyhow::Result<Up> {
    let config = cx.config()?;
    let home = Home::of(cx);
    let _lock = home.lock(cx)?;
    let names = if names.is_empty() {
        running(config, &home)?
    } else {
        chosen(cx, names)?
    };
    let mut plan = Plan::new(cx, &home, &names)?;
    plan.check_ports(&names)?;
    build(cx, plan.launched(&names).map(|node| node.service), programs)?;
    plan.check_commands(cx, programs, &names)?;
    plan.end_leftovers(cx, &home)?;
    let all = plan.nodes.iter().map(|node| node.name.clone());
    let transient: Vec<String> = all.filter(|name| home.is_transient(name)).collect();
    stop::check(&stop::end(cx, &home, &names, &[])?)?;
    plan.look_again(&home);
    let options = Options {
        programs,
        transient: false,
    };
    let up = start_planned(cx, &home, plan, options, true)?;
    // For whom it was started stays as it was.
    for name in &transient {
        home.set_transient(name, true);
    }
    Ok(up)
}

fn running(config: &Config, home: &Home) -> anyhow::Result<Vec<String>> {
    let all: Vec<String> = config.services.keys().cloned().collect();
    let sights = home.look(&all);
    let running = sights.into_iter().filter(|sight| sight.leader().is_some());
    let names: Vec<String> = running.map(|sight| sight.name).collect();
    if names.is_empty() {
        return Err(Fault::new("no service is running")
            .hint("run `cargo xtask services start`")
            .into());
    }
    Ok(names)
}

fn start_planned(
    cx: &Cx,
    home: &Home,
    plan: Plan,
    options: Options,
    built: bool,
) -> anyhow::Result<Up> {
    let ports = plan.nodes.iter().map(|node| (&node.name, node.port));
    let mut up = Up {
        names: plan.nodes.iter().map(|node| node.name.clone()).collect(),
        ports: ports
            .filter_map(|(name, port)| Some((name.clone(), port?)))
            .collect(),
        ..Up::default()
    };
    // Before anything is started: who ends meanwhile must see that we need it.
    if options.transient {
        for name in &up.names {
            up.leases.push(home.lease(name)?);
        }
    }
    let mut orphans = Orphans::new();
    let (result, dead) = {
        let mut launcher = Launcher::new(cx, home, plan, options, &mut up, &mut orphans);
        let result = launcher.run(built);
        (result, std::mem::take(&mut launcher.dead))
    };
    if let Err(error) = result {
        roll_back(cx, home, &up, &dead);
        orphans.end(cx);
        return Err(Fault::shown(&error).into());
    }
    if !options.transient {
        // Whoever had started them for a command: now they are wanted for longer.
        for name in &up.names {
            home.set_transient(name, false);
        }
    }
    Ok(up)
}

/// Stops what was started. That it failed has been said: what goes wrong now is said as well, and
/// hides nothing.
fn roll_back(cx: &Cx, home: &Home, up: &Up, dead: &[Record]) {
    if platform::interrupted() && !up.started.is_empty() {
        cx.term.status("Interrupted", "stopping what was started");
    }
    let names: Vec<&str> = dead.iter().map(|record| record.name.as_str()).collect();
    if let Err(error) = stop::end(cx, home, &up.started, &names) {
        cx.term.error(&error);
    }
    for record in dead {
        // For `services status`: how it ended is known this once.
        if let Err(error) = home.write(record) {
            cx.term.detail(&format!("{error:#}"));
        }
    }
}

/// What services leave behind that end while they start, a program that puts itself into the background for
/// one: even what has cleared its environment and has a session of its own comes to us, and goes with them.
struct Orphans {
    /// Nothing was below us before, so that all that is then comes from what we have started.
    alone: bool,
    adopted: bool,
}

impl Orphans {
    fn new() -> Orphans {
        Orphans {
            alone: !platform::has_children(),
            adopted: false,
        }
    }

    /// Called when nothing is built any more: a build may leave a server that is to stay.
    fn adopt(&mut self) {
        if self.alone && !self.adopted {
            self.adopted = platform::adopt_orphans(true);
        }
    }

    /// Ends all that is below us. The services that we know have ended by now.
    fn end(&self, cx: &Cx) {
        let found = if self.adopted { below_us() } else { Vec::new() };
        if !found.is_empty() {
            let pids: Vec<String> = found.iter().map(|it| it.pid.to_string()).collect();
            let words = format!("what they had left behind (pid {})", pids.join(","));
            cx.term.status("Stopping", &words);
            found.iter().for_each(|it| platform::terminate(it.pid));
            proc::end_rest(&found, Instant::now() + ORPHANS_PATIENCE);
            // What it has started meanwhile.
            below_us().iter().for_each(|it| platform::kill(it.pid));
        }
    }
}

impl Drop for Orphans {
    fn drop(&mut self) {
        if self.adopted {
            platform::adopt_orphans(false);
        }
    }
}

fn below_us() -> Vec<Process> {
    let own = std::process::id();
    let table = platform::processes("");
    let tree = platform::tree(&table, own).into_iter();
    tree.filter(|it| it.pid != own).cloned().collect()
}

/// What comes in from beside the loop.
enum Event {
    Built(anyhow::Result<()>),
    Database(anyhow::Result<Ensured>),
    Probed(usize, Finding),
}

/// Where a service is on its way up.
enum Stage {
    /// What it needs is not healthy yet.
    Waiting,
    /// It runs; its probes do not say yet that it is healthy.
    Starting(Box<Starting>),
    Up,
}

struct Starting {
    since: Instant,
    running: Option<Running>,
    record: Option<Record>,
    /// What the last probe found.
    last: String,
    _probes: Probes,
}

/// Ends a probing thread when it is dropped.
struct Probes(Arc<AtomicBool>);

impl Drop for Probes {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

struct Launcher<'a, 'b> {
    cx: &'a Cx,
    home: &'a Home,
    plan: Plan<'a>,
    stages: Vec<Stage>,
    options: Options<'a>,
    up: &'b mut Up,
    orphans: &'b mut Orphans,
    built: bool,
    /// Records of services that have ended by themselves.
    dead: Vec<Record>,
    sender: Sender<Event>,
    receiver: Receiver<Event>,
    since: Instant,
    next_word: Duration,
    last_words: String,
}

impl<'a, 'b> Launcher<'a, 'b> {
    fn new(
        cx: &'a Cx,
        home: &'a Home,
        plan: Plan<'a>,
        options: Options<'a>,
        up: &'b mut Up,
        orphans: &'b mut Orphans,
    ) -> Launcher<'a, 'b> {
        let (sender, receiver) = mpsc::channel();
        Launcher {
            cx,
            home,
            stages: plan.nodes.iter().map(|_| Stage::Waiting).collect(),
            plan,
            options,
            up,
            orphans,
            built: false,
            dead: Vec::new(),
            sender,
            receiver,
            since: Instant::now(),
            next_word: FIRST_WORD,
            last_words: String::new(),
        }
    }

    /// Until all are up, or the first failure, which has been shown then.
    fn run(&mut self, built: bool) -> anyhow::Result<()> {
        let (cx, programs) = (self.cx, self.options.programs);
        let cancelled = AtomicBool::new(false);
        self.built = built || !self.plan.nodes.iter().any(Node::is_to_launch);
        let builds: Vec<&Service> = self.plan.launched(&[]).map(|node| node.service).collect();
        let result = thread::scope(|scope| {
            if self.plan.nodes.iter().any(Node::is_database) {
                let sender = self.sender.clone();
                scope.spawn(move || sender.send(Event::Database(postgres::ensure(cx))).ok());
            }
            if !self.built {
                let (sender, cancelled) = (self.sender.clone(), &cancelled);
                scope.spawn(move || {
                    let built = build_unless(cx, builds.into_iter(), programs, cancelled);
                    sender.send(Event::Built(built)).ok()
                });
            }
            let result = self.drive();
            if let Err(error) = &result
                && !platform::interrupted()
            {
                cx.term.error(error);
            }
            cancelled.store(true, Ordering::SeqCst);
            result
        });
        // What came in too late was started all the same.
        while let Ok(event) = self.receiver.try_recv() {
            if let Event::Database(Ok(ensured)) = event {
                self.note_database(ensured);
            }
        }
        result
    }

    fn drive(&mut self) -> anyhow::Result<()> {
        let mut pause = Duration::from_millis(1);
        loop {
            if platform::interrupted() {
                return Err(Fault::interrupted().into());
            }
            self.start_what_may()?;
            self.look_for_the_dead()?;
            if self.stages.iter().all(|stage| matches!(stage, Stage::Up)) {
                return Ok(());
            }
            self.check_time()?;
            self.talk();
            match self.receiver.recv_timeout(pause) {
                Ok(event) => {
                    self.take(event)?;
                    pause = Duration::from_millis(1);
                }
                Err(_) => pause = (pause * 2).min(Duration::from_millis(10)),
            }
        }
    }

    fn start_what_may(&mut self) -> anyhow::Result<()> {
        for at in 0..self.plan.nodes.len() {
            if !matches!(self.stages[at], Stage::Waiting) {
                continue;
            }
            let node = &self.plan.nodes[at];
            if node.runs() {
                self.stages[at] = self.adopt(at);
                continue;
            }
            let needs = all_needs(self.plan.config, &node.name);
            let lacks = self
                .plan
                .nodes
                .iter()
                .zip(&self.stages)
                .any(|(other, stage)| {
                    needs.contains(other.name.as_str()) && !matches!(stage, Stage::Up)
                });
            if lacks || node.is_database() {
                continue;
            }
            if node.is_external() {
                self.stages[at] = Stage::Starting(Box::new(Starting {
                    since: Instant::now(),
                    running: None,
                    record: None,
                    last: String::new(),
                    _probes: self.probe(at),
                }));
            } else if self.built {
                self.stages[at] = self.launch(at)?;
            }
        }
        Ok(())
    }

    /// What runs already has only to be healthy.
    fn adopt(&mut self, at: usize) -> Stage {
        let node = &self.plan.nodes[at];
        let running = node.sight.leader().map(|leader| Running {
            name: node.name.clone(),
            pid: leader.pid,
            start: leader.start.clone(),
            child: None,
        });
        let record = match (&node.sight.record, node.sight.leader()) {
            (Some(record), _) if record.pid.is_some() => Some(record.clone()),
            (intent, Some(leader)) => {
                // Found by its mark alone: the next call finds it by its record, too.
                let run = node.sight.run(&self.home.scope).unwrap_or_default();
                let log = self.home.logs(&node.name).pop().map(|(_, log)| log);
                let mut record = intent
                    .clone()
                    .filter(|it| it.run == run)
                    .unwrap_or_else(|| {
                        Record::new(&node.name, run, node.port, log.unwrap_or_default())
                    });
                record.pid = Some(leader.pid);
                record.start_time = Some(leader.start.clone());
                if let Err(error) = self.home.write(&record) {
                    self.cx.term.detail(&format!("{error:#}"));
                }
                Some(record)
            }
            (_, None) => None,
        };
        Stage::Starting(Box::new(Starting {
            since: Instant::now(),
            running,
            record,
            last: "no answer yet".to_owned(),
            _probes: self.probe(at),
        }))
    }

    fn launch(&mut self, at: usize) -> anyhow::Result<Stage> {
        let node = &self.plan.nodes[at];
        // It was free before the builds, which take their time.
        if let Some(port) = node.port
            && !probe::port_is_free(port)
        {
            return Err(port_taken(&node.name, node.service, port).into());
        }
        // Resolved now: the database's URL may be new.
        let environment = Environment::resolve(self.cx, &Choice::default())?;
        let mut command = command(
            self.cx,
            &node.name,
            node.service,
            self.options.programs,
            &environment,
        )?;
        if let (Some(url), Some(database)) = (&self.up.database_url, &self.plan.config.database) {
            command.env(&database.url_env, url);
        }
        self.orphans.adopt();
        // Before it is there: if we are killed right after, the next command must know that it may stop it.
        self.home.set_transient(&node.name, self.options.transient);
        let (record, child) = spawn(self.home, node, command).inspect_err(|_| {
            self.home.set_transient(&node.name, false);
        })?;
        let pid = child.id();
        self.up.started.push(node.name.clone());
        self.cx
            .term
            .detail(&format!("started {} (pid {pid})", node.name));
        Ok(Stage::Starting(Box::new(Starting {
            since: Instant::now(),
            running: Some(Running {
                name: node.name.clone(),
                pid,
                start: record.start_time.clone().unwrap_or_default(),
                child: Some(child),
            }),
            record: Some(record),
            last: "no answer yet".to_owned(),
            _probes: self.probe(at),
        })))
    }

    /// Probes until it is healthy or nobody asks any more: often at first, then after a tenth of the
    /// time that it has taken so far, so that no more than that is lost.
    fn probe(&self, at: usize) -> Probes {
        let node = &self.plan.nodes[at];
        let (service, port) = (node.service.clone(), node.port);
        let timeout = if node.is_external() {
            EXTERNAL_PATIENCE
        } else {
            PROBE_TIMEOUT
        };
        let sender = self.sender.clone();
        let cancelled = Arc::new(AtomicBool::new(false));
        let probes = Probes(Arc::clone(&cancelled));
        thread::spawn(move || {
            let since = Instant::now();
            while !cancelled.load(Ordering::SeqCst) {
                let finding = probe_service(&service, port, timeout);
                let healthy = finding == Finding::Healthy;
                if sender.send(Event::Probed(at, finding)).is_err() || healthy {
                    return;
                }
                thread::sleep(
                    (since.elapsed() / 10)
                        .clamp(Duration::from_millis(2), Duration::from_millis(100)),
                );
            }
        });
        probes
    }

    fn take(&mut self, event: Event) -> anyhow::Result<()> {
        match event {
            Event::Built(result) => {
                result?;
                self.built = true;
                self.plan
                    .check_commands(self.cx, self.options.programs, &[])
            }
            Event::Database(result) => {
                self.note_database(result?);
                Ok(())
            }
            Event::Probed(at, finding) => self.probed(at, finding),
        }
    }

    fn note_database(&mut self, ensured: Ensured) {
        self.up.database_url = Some(ensured.url.reveal());
        for (node, stage) in self.plan.nodes.iter().zip(&mut self.stages) {
            if node.is_database() {
                *stage = Stage::Up;
                if ensured.started {
                    self.up.started.push(node.name.clone());
                    self.home.set_transient(&node.name, self.options.transient);
                }
            }
        }
    }

    fn probed(&mut self, at: usize, finding: Finding) -> anyhow::Result<()> {
        let node = &self.plan.nodes[at];
        let Stage::Starting(starting) = &mut self.stages[at] else {
            return Ok(());
        };
        match finding {
            Finding::Healthy => {}
            Finding::Unhealthy(why) | Finding::Unreachable(why) if node.is_external() => {
                return Err(Fault::new(format!(
                    "`{}` is not healthy ({why}), and has no `command` to start it by",
                    node.name
                ))
                .hint("start it yourself, or give it a `command` in `.config/xtask.toml`")
                .into());
            }
            Finding::Unhealthy(why) | Finding::Unreachable(why) => {
                starting.last = why;
                return Ok(());
            }
        }
        // Who answers on the port of a dead service was not it.
        if let Some(running) = &mut starting.running {
            if let Some(how) = running.ended() {
                let how = how.clone();
                return Err(self.died(at, &how).into());
            }
            if let Some(stranger) = stranger_on_port(self.home, &node.name, node.service, node.port)
            {
                return Err(Fault::new(format!(
                    "what answers on port {} of `{}` is not it but {stranger}",
                    node.port.unwrap_or_default(),
                    node.name
                ))
                .hint("end that process; or, if it is a daemon that serves for it, set `owns_port = false`")
                .into());
            }
        }
        self.healthy(at);
        Ok(())
    }

    fn healthy(&mut self, at: usize) {
        let node = &self.plan.nodes[at];
        let Stage::Starting(starting) = std::mem::replace(&mut self.stages[at], Stage::Up) else {
            return;
        };
        let place = node
            .port
            .map(|port| format!(" on port {port}"))
            .unwrap_or_default();
        let took = starting.since.elapsed().as_secs_f64();
        match &starting.running {
            Some(Running {
                child: None, pid, ..
            }) => {
                self.cx
                    .term
                    .status("Running", &format!("{} (pid {pid}) already", node.name));
                if let Some(other) = node.configured.filter(|_| node.configured != node.port) {
                    self.cx.term.warn(&format!(
                        "`{0}` listens{place}, as it was told at its start, and not on {other}: `cargo xtask services restart {0}`",
                        node.name
                    ));
                }
                if starting.record.as_ref().is_some_and(Record::is_outdated) {
                    self.cx.term.warn(&format!(
                        "`{0}` runs a program that has been built anew since: `cargo xtask services restart {0}`",
                        node.name
                    ));
                }
            }
            _ => self
                .cx
                .term
                .status("Healthy", &format!("{}{place} ({took:.2}s)", node.name)),
        }
        self.up.processes.extend(starting.running);
    }

    /// Services that have ended: those that are still starting, and those that were up already.
    fn look_for_the_dead(&mut self) -> anyhow::Result<()> {
        let mut dead: Vec<(usize, String)> = Vec::new();
        for (at, stage) in self.stages.iter_mut().enumerate() {
            let running = match stage {
                Stage::Starting(starting) => starting.running.as_mut(),
                Stage::Up => {
                    let name = &self.plan.nodes[at].name;
                    self.up.processes.iter_mut().find(|it| it.name == *name)
                }
                Stage::Waiting => None,
            };
            dead.extend(running.and_then(Running::ended).map(|how| (at, how)));
        }
        let mut faults: Vec<anyhow::Error> = Vec::new();
        for (at, how) in dead {
            faults.push(self.died(at, &how).into());
        }
        // More than one at the same time: the cause may stand in any of them.
        let last = faults.pop();
        for fault in &faults {
            self.cx.term.error(fault);
        }
        last.map_or(Ok(()), Err)
    }

    fn died(&mut self, at: usize, how: &str) -> Fault {
        let node = &self.plan.nodes[at];
        let (when, record) = match &self.stages[at] {
            Stage::Starting(starting) => ("before it was healthy", starting.record.clone()),
            _ => ("while others were starting", self.home.read(&node.name).0),
        };
        if let Some(mut record) = record {
            record.ended = Some(how.to_owned());
            self.dead.push(record);
        }
        let fault = Fault::new(format!(
            "`{}` ended with {how} {when}{}",
            node.name,
            self.tail(at)
        ));
        fault.hint(if how == "exit code 0" {
            format!("its `command` has to stay in the foreground; the whole log: `cargo xtask services logs {}`", node.name)
        } else {
            format!("the whole log: `cargo xtask services logs {}`", node.name)
        })
    }

    fn check_time(&self) -> anyhow::Result<()> {
        for (at, (node, stage)) in self.plan.nodes.iter().zip(&self.stages).enumerate() {
            let Stage::Starting(starting) = stage else {
                continue;
            };
            let limit = node.service.ready_timeout;
            if node.is_external() || starting.since.elapsed() < Duration::from_secs(limit) {
                continue;
            }
            let (name, last, tail) = (&node.name, &starting.last, self.tail(at));
            return Err(match &starting.running {
                Some(Running { child: None, pid, .. }) => Fault::new(format!(
                    "`{name}` (pid {pid}), which was up before, is not healthy: {last}{tail}"
                ))
                .hint(format!("run `cargo xtask services restart {name}`")),
                _ => Fault::new(format!(
                    "`{name}` is not healthy after {limit} s: {last}{tail}"
                ))
                .hint(format!(
                    "the whole log: `cargo xtask services logs {name}`; or give it a longer `ready_timeout`"
                )),
            }
            .into());
        }
        Ok(())
    }

    fn tail(&self, at: usize) -> String {
        let name = &self.plan.nodes[at].name;
        logs::shown(&logs::tail(self.home, name, LOG_LINES, &secrets(self.cx)))
    }

    /// On a terminal one line that changes; else a line now and then.
    fn talk(&mut self) {
        let since = self.since.elapsed();
        // Builds and the database talk for themselves, in between.
        let silent = self.built && !self.waits_for_database();
        let live = self.cx.term.has_live_lines() && silent;
        if since < FIRST_WORD || (since < self.next_word && !live) {
            return;
        }
        let waiting = self.plan.nodes.iter().zip(&self.stages);
        let words: Vec<String> = waiting
            .filter_map(|(node, stage)| match stage {
                Stage::Starting(starting) => {
                    let took = starting.since.elapsed().as_secs();
                    Some(format!("{} ({took} s: {})", node.name, starting.last))
                }
                _ => None,
            })
            .collect();
        let words = format!("for {}", words.join(", "));
        if words == "for " || words == self.last_words {
            return;
        }
        if live {
            self.cx.term.live("Waiting", &words);
        } else {
            self.next_word = since + NEXT_WORD;
            self.cx.term.status("Waiting", &words);
        }
        self.last_words = words;
    }

    fn waits_for_database(&self) -> bool {
        let mut nodes = self.plan.nodes.iter().zip(&self.stages);
        nodes.any(|(node, stage)| node.is_database() && !matches!(stage, Stage::Up))
    }
}
