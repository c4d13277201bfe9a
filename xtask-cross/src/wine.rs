//! Tests under Wine: each a process of its own, bounded in time and memory, and with all that it has
//! started ended.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::table::Outcome;
use crate::tools::{Binary, Cross, succeed};

/// How long one test may take. One that is listed as unable may hang, and is not waited for as long.
const TIME: Duration = Duration::from_secs(60);
const TIME_OF_LISTED: Duration = Duration::from_secs(20);
/// How much memory one process may take. Windows programs reserve address space by the gigabyte, so that
/// no limit of the system's does for it: what they really have is looked at.
const MEMORY: u64 = 2 << 30;
/// How often.
const LOOK: Duration = Duration::from_millis(500);
/// How long all of it may take.
const WHOLE: Duration = Duration::from_secs(30 * 60);
/// Marks the processes of one test.
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

    fn start_test(&self, binary: &Binary, name: &str, mark: &str) -> anyhow::Result<Child> {
        let log = File::create(self.log(mark))?;
        let mut command = self.command("wine");
        command
            .arg(&binary.path)
            .args(["--exact", binary.own(name)])
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

    /// Runs tests side by side, as many as there are processors.
    pub(crate) fn run_all(
        &self,
        tests: &[(Binary, String)],
        listed: &dyn Fn(&str) -> bool,
    ) -> anyhow::Result<BTreeMap<String, Outcome>> {
        let slots = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let since = Instant::now();
        let mut looked = Instant::now();
        let mut waiting = tests.iter().enumerate();
        let mut running: Vec<Running> = Vec::new();
        let mut results = BTreeMap::new();
        loop {
            while running.len() < slots
                && let Some((number, (binary, name))) = waiting.next()
            {
                if since.elapsed() > WHOLE {
                    let why = "was not begun: all together took too long".to_owned();
                    results.insert(name.clone(), Outcome::Failed(why));
                    continue;
                }
                let mark = format!("{}-{number}", std::process::id());
                running.push(Running {
                    child: self.start_test(binary, name, &mark)?,
                    name: name.clone(),
                    since: Instant::now(),
                    time: if listed(name) { TIME_OF_LISTED } else { TIME },
                    mark,
                    ended: None,
                });
            }
            if running.is_empty() {
                return Ok(results);
            }
            if looked.elapsed() > LOOK {
                looked = Instant::now();
                for test in &mut running {
                    test.check_memory();
                }
            }
            let mut at = 0;
            while at < running.len() {
                let test = &mut running[at];
                if test.ended.is_none() && test.since.elapsed() > test.time {
                    test.end(format!("did not end within {} s", test.time.as_secs()));
                }
                let Some(status) = test.child.try_wait()? else {
                    at += 1;
                    continue;
                };
                let mut test = running.swap_remove(at);
                test.clean_up();
                let said = fs::read(self.log(&test.mark)).unwrap_or_default();
                let said = String::from_utf8_lossy(&said).into_owned();
                let well = status.success() && said.contains("test result: ok. 1 passed");
                let outcome = match (test.ended.take(), well) {
                    (None, true) => Outcome::Passed,
                    (why, _) => {
                        let why = why.unwrap_or_else(|| format!("failed ({status})"));
                        Outcome::Failed(format!("{why}\n{}", end_of(&said)))
                    }
                };
                let word = match (&outcome, listed(&test.name)) {
                    (Outcome::Passed, _) => "ok",
                    (Outcome::Failed(_), true) => "listed",
                    (Outcome::Failed(_), false) => "FAILED",
                };
                eprintln!(
                    "{word:>6} {:5.1} s  {}",
                    test.since.elapsed().as_secs_f64(),
                    test.name
                );
                results.insert(test.name, outcome);
            }
            thread::sleep(Duration::from_millis(10));
        }
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
    name: String,
    since: Instant,
    time: Duration,
    mark: String,
    /// Why it was ended by us.
    ended: Option<String>,
}

impl Running {
    fn check_memory(&mut self) {
        for process in marked(&self.mark) {
            let memory = resident(process);
            if memory > MEMORY && self.ended.is_none() {
                let name = comm(process);
                self.end(format!("had `{name}` take {} MB of memory", memory >> 20));
            }
        }
    }

    fn end(&mut self, why: String) {
        self.ended = Some(why);
        kill_all(&self.mark);
        let _ = self.child.kill();
    }

    /// Ends what the test has left behind.
    fn clean_up(&mut self) {
        let left: Vec<String> = marked(&self.mark).into_iter().map(comm).collect();
        kill_all(&self.mark);
        if !left.is_empty() && self.ended.is_none() {
            eprintln!("       left behind, and ended: {}", left.join(", "));
        }
    }
}

/// Kills all of a test's processes. Again and again: what is being started at this moment is not in the
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
