//! Tests under Wine: processes bounded in time and memory, and with all that they have started ended.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::groups::{Group, groups, verdicts};
use crate::table::Outcome;
use crate::tools::{Binary, Cross, succeed};

/// How long one test may take, or its output be silent. One that is listed as unable may hang, and is not waited for as long.
const TIME: Duration = Duration::from_secs(60);
const TIME_OF_LISTED: Duration = Duration::from_secs(20);
/// How much memory one process may take. Windows programs reserve address space by the gigabyte, so that
/// no limit of the system's does for it: what they really have is looked at.
const MEMORY: u64 = 2 << 30;
/// How often.
const LOOK: Duration = Duration::from_millis(500);
/// How long all of it may take.
const WHOLE: Duration = Duration::from_secs(30 * 60);
/// How often a process is started that ends before it runs any test: Wine itself fails at times.
const STARTS: usize = 3;
/// Marks the processes of one group.
const MARK: &str = "XTASK_CROSS_TEST";
/// Wine's own: the first test starts them, and all use them.
const OWN: [&str; 9] = [
    "wineserver",
    "wineserver64",
    "services.exe",
    "explorer.exe",
    "winedevice.exe",
    "plugplay.exe",
    "svchost.exe",
    "rpcss.exe",
    "conhost.exe",
];

pub(crate) struct Wine {
    prefix: PathBuf,
    logs: PathBuf,
    member: PathBuf,
    programs: PathBuf,
    version: String,
}

impl Wine {
    /// Wine with a prefix of its own, which is made where it is not there.
    pub(crate) fn start(cross: &Cross, root: &Path) -> anyhow::Result<Wine> {
        let logs = cross.home.join("logs");
        fs::create_dir_all(&logs).context("failed to make a directory")?;
        let version = Command::new("wine").arg("--version").output()?;
        let wine = Wine {
            prefix: cross.home.join("prefix"),
            logs,
            member: root.join("xtask"),
            programs: cross.programs(),
            version: String::from_utf8_lossy(&version.stdout).trim().to_owned(),
        };
        if !wine.prefix.join("system.reg").exists() {
            let log = File::create(wine.logs.join("wineboot.log"))?;
            succeed(
                wine.command("wineboot")
                    .arg("--init")
                    .stdout(log.try_clone()?)
                    .stderr(log),
            )?;
        }
        let system = wine.prefix.join("drive_c").join("windows").join("system32");
        let dll = system.join("bcryptprimitives.dll");
        if !dll.exists() {
            cross.random_numbers(&dll)?;
        }
        Ok(wine)
    }

    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// A program of Wine's, with an environment that holds no accident of this machine's.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env_clear().stdin(Stdio::null());
        for name in ["PATH", "HOME", "USER", "LOGNAME"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
            .env("WINEPREFIX", &self.prefix)
            .env("WINEARCH", "win64")
            .env("WINEDEBUG", "-all")
            // No browser engine, no .NET: nobody asks for them here.
            .env("WINEDLLOVERRIDES", "mshtml=;mscoree=;winemenubuilder.exe=")
            // File names are UTF-8.
            .env("LC_ALL", "C.UTF-8");
        command
    }

    /// The names of the tests of a program.
    pub(crate) fn list(&self, binary: &Binary) -> anyhow::Result<Vec<String>> {
        let output = self
            .command("wine")
            .arg(&binary.path)
            .args(["--list", "--format", "terse"])
            .output()?;
        let names = binary.names(&output.stdout);
        anyhow::ensure!(
            output.status.success() && !names.is_empty(),
            "`{}` does not list its tests under Wine: {}\n{}",
            binary.path.display(),
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(names)
    }

    fn start_group(&self, group: &Group, mark: &str) -> anyhow::Result<Child> {
        let log = File::create(self.log(mark))?;
        let mut command = self.command("wine");
        command
            .arg(&group.binary.path)
            .args(["--exact", "--test-threads", "1"])
            .args(group.names.iter().map(|name| group.binary.own(name)))
            .current_dir(&self.member)
            .env("CARGO_MANIFEST_DIR", windows_path(&self.member))
            .env(
                "NEXTEST_BIN_EXE_xtask",
                windows_path(&self.programs.join("xtask.exe")),
            )
            .env(MARK, mark)
            .stdout(log.try_clone()?)
            .stderr(log);
        command.spawn().context("failed to start wine")
    }

    fn log(&self, mark: &str) -> PathBuf {
        self.logs.join(format!("{mark}.log"))
    }

    /// Runs tests, with as many processes side by side as there are processors.
    pub(crate) fn run_all(
        &self,
        tests: &[(Binary, String)],
        listed: &dyn Fn(&str) -> bool,
    ) -> anyhow::Result<BTreeMap<String, Outcome>> {
        let slots = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let since = Instant::now();
        let mut looked = Instant::now();
        let mut number = 0;
        let mut waiting: VecDeque<(Group, usize)> = groups(tests, listed)
            .into_iter()
            .map(|it| (it, 1))
            .collect();
        let mut running: Vec<Running> = Vec::new();
        let mut results = BTreeMap::new();
        loop {
            while running.len() < slots
                && let Some((group, start)) = waiting.pop_front()
            {
                if since.elapsed() > WHOLE {
                    let why = "was not begun: all together took too long".to_owned();
                    let outcome = Outcome::Failed(why);
                    results.extend(group.names.into_iter().map(|it| (it, outcome.clone())));
                    continue;
                }
                number += 1;
                let mark = format!("{}-{number}", std::process::id());
                running.push(Running {
                    child: self.start_group(&group, &mark)?,
                    time: if group.listed { TIME_OF_LISTED } else { TIME },
                    group,
                    start,
                    since: Instant::now(),
                    heard: (0, Instant::now()),
                    mark,
                    ended: None,
                });
            }
            if running.is_empty() {
                return Ok(results);
            }
            if looked.elapsed() > LOOK {
                looked = Instant::now();
                for process in &mut running {
                    process.check(&self.log(&process.mark));
                }
            }
            let mut at = 0;
            while at < running.len() {
                let Some(status) = running[at].child.try_wait()? else {
                    at += 1;
                    continue;
                };
                let mut process = running.swap_remove(at);
                process.clean_up();
                let said = fs::read(self.log(&process.mark)).unwrap_or_default();
                let said = String::from_utf8_lossy(&said).into_owned();
                let begun = said.contains("running ") || process.ended.is_some();
                let took = process.since.elapsed().as_secs_f64();
                if !begun && process.start < STARTS {
                    eprintln!("       {took:5.1} s  Wine did not start ({status}): once more");
                    waiting.push_front((process.group, process.start + 1));
                    continue;
                }
                if process.group.names.len() == 1 {
                    let name = process.group.names.remove(0);
                    let outcome = process.outcome(status, &said);
                    eprintln!(
                        "{:>6} {took:5.1} s  {name}",
                        word(&outcome, process.group.listed)
                    );
                    results.insert(name, outcome);
                    continue;
                }
                let again = process.settle(&said, &mut results);
                let (n, more) = (process.group.names.len(), again.len());
                let (first, last) = (&process.group.names[0], &process.group.names[n - 1]);
                eprintln!("{:>6} {took:5.1} s  {first} .. {last}", n - more);
                // Soon, while it is known what they were about; each alone.
                for group in again.into_iter().rev() {
                    waiting.push_front((group, 1));
                }
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

fn word(outcome: &Outcome, listed: bool) -> &'static str {
    match (outcome, listed) {
        (Outcome::Passed, _) => "ok",
        (Outcome::Failed(_), true) => "listed",
        (Outcome::Failed(_), false) => "FAILED",
    }
}

impl Drop for Wine {
    fn drop(&mut self) {
        // Only what belongs to this prefix.
        let _ = self.command("wineserver").arg("--kill").status();
    }
}

struct Running {
    child: Child,
    group: Group,
    /// Which attempt this is.
    start: usize,
    since: Instant,
    /// How much it had said when it last said something, and when that was.
    heard: (u64, Instant),
    /// How long one of its tests may take.
    time: Duration,
    mark: String,
    /// Why it was ended by us.
    ended: Option<String>,
}

impl Running {
    /// Ends it if a test takes too long, or a process too much memory.
    fn check(&mut self, log: &Path) {
        // A test is named when it begins, and its verdict said when it ends.
        let said = fs::metadata(log).map_or(0, |it| it.len());
        if said != self.heard.0 {
            self.heard = (said, Instant::now());
        }
        if self.ended.is_none() && self.heard.1.elapsed() > self.time {
            self.end(format!("did not end within {} s", self.time.as_secs()));
        }
        for process in marked(&self.mark) {
            let memory = resident(process);
            if memory > MEMORY && self.ended.is_none() {
                let name = comm(process);
                self.end(format!("had `{name}` take {} MB of memory", memory >> 20));
            }
        }
    }

    /// How the one test of a process ended.
    fn outcome(&mut self, status: ExitStatus, said: &str) -> Outcome {
        let well = status.success() && said.contains("test result: ok. 1 passed");
        match (self.ended.take(), well) {
            (None, true) => Outcome::Passed,
            (why, _) => {
                let why = why.unwrap_or_else(|| format!("failed ({status})"));
                Outcome::Failed(format!("{why}\n{}", end_of(said)))
            }
        }
    }

    /// Takes the verdicts of a process of many tests that can be trusted: that a test passed, and that one
    /// failed which is listed. What is left has to run alone.
    fn settle(&self, said: &str, results: &mut BTreeMap<String, Outcome>) -> Vec<Group> {
        let verdicts = verdicts(said);
        let mut again = Vec::new();
        for name in &self.group.names {
            match verdicts.get(self.group.binary.own(name)) {
                Some(true) => {
                    results.insert(name.clone(), Outcome::Passed);
                }
                Some(false) if self.group.listed => {
                    let why = "failed, beside others".to_owned();
                    results.insert(name.clone(), Outcome::Failed(why));
                }
                _ => again.push(Group {
                    names: vec![name.clone()],
                    ..self.group.clone()
                }),
            }
        }
        again
    }

    fn end(&mut self, why: String) {
        self.ended = Some(why);
        kill_all(&self.mark);
        let _ = self.child.kill();
    }

    /// Ends what the tests have left behind.
    fn clean_up(&mut self) {
        let left: Vec<String> = marked(&self.mark).into_iter().map(comm).collect();
        kill_all(&self.mark);
        if !left.is_empty() && self.ended.is_none() {
            eprintln!("       left behind, and ended: {}", left.join(", "));
        }
    }
}

/// Kills all of a group's processes. Again and again: what is being started at this moment is not in the
/// first list.
fn kill_all(mark: &str) {
    for _ in 0..50 {
        let found = marked(mark);
        if found.is_empty() {
            break;
        }
        for process in found {
            let _ = kill(Pid::from_raw(process), Signal::SIGKILL);
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// The living processes with this mark in their environment, but Wine's own.
fn marked(mark: &str) -> Vec<i32> {
    let entry = format!("{MARK}={mark}");
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|it| it.file_name().to_str()?.parse().ok())
        .filter(|pid| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment
                .split(|byte| *byte == 0)
                .any(|it| it == entry.as_bytes())
        })
        .filter(|pid| !OWN.contains(&comm(*pid).as_str()))
        .collect()
}

fn comm(process: i32) -> String {
    let text = fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
    text.trim().to_owned()
}

/// What a process has of the machine's memory, in bytes.
fn resident(process: i32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = text.lines().find_map(|it| it.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|it| it.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) << 10
}

/// A path as Wine's programs have it: `Z:` is this machine's root.
fn windows_path(path: &Path) -> String {
    format!("Z:{}", path.display().to_string().replace('/', r"\"))
}

/// The last lines of what a test said, indented.
fn end_of(said: &str) -> String {
    let lines: Vec<&str> = said
        .lines()
        .map(str::trim_end)
        .filter(|it| !it.is_empty())
        .collect();
    let last = &lines[lines.len().saturating_sub(40)..];
    last.iter().map(|line| format!("    {line}\n")).collect()
}
