//! A builder for fixture workspaces and runs of the real binary. An expectation that is not set
//! means "empty" for stdout; stderr is checked where a test names a part of it.

use std::fs;
use std::net::TcpListener;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The binary under test. nextest says where it is, also where the tests came out of an archive.
pub(crate) fn xtask() -> PathBuf {
    std::env::var_os("NEXTEST_BIN_EXE_xtask")
        .map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_xtask")), PathBuf::from)
}

/// [`xtask`] as a word of a command line.
pub(crate) fn xtask_word() -> String {
    xtask().display().to_string()
}

/// This repository, where the tests run: not where they were compiled, as there may be an archive between.
pub(crate) fn root() -> PathBuf {
    let member = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo and nextest set it");
    let root = Path::new(&member).parent();
    root.expect("xtask lies in the workspace").to_path_buf()
}

/// The cargo that runs the tests.
pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Leaves a command of the environment what processes need to start at all, and no accident of the
/// machine's.
pub(crate) fn clear_env(command: &mut Command) {
    command.env_clear();
    for name in [
        "PATH",
        "HOME",
        "CARGO_HOME",
        "RUSTUP_HOME",
        "SystemRoot",
        "ComSpec",
        "PATHEXT",
        "LOCALAPPDATA",
        "TEMP",
        "TMP",
        "USERPROFILE",
    ] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
}

/// A workspace in a temporary directory that ends with the value.
pub(crate) struct Fixture {
    dir: TempDir,
}

impl Fixture {
    /// A virtual workspace with this `.config/xtask.toml`.
    pub(crate) fn new(config: &str) -> Fixture {
        let fixture = Fixture {
            dir: tempfile::tempdir().expect("a temporary directory"),
        };
        fixture.file(
            "Cargo.toml",
            "[workspace]\nresolver = \"3\"\nmembers = []\n",
        );
        fixture.file(".config/xtask.toml", config);
        fixture
    }

    /// Writes a file (`/` separates directories on every platform).
    pub(crate) fn file(&self, path: &str, content: &str) -> PathBuf {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
        fs::write(&path, content).expect("a file");
        path
    }

    /// A path inside.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        path.split('/')
            .fold(self.root().to_path_buf(), |dir, part| dir.join(part))
    }

    /// The root, as the tool will see it.
    pub(crate) fn root(&self) -> &Path {
        self.dir.path()
    }

    /// The binary under test, in this workspace, with a [cleared](clear_env) environment.
    pub(crate) fn xtask(&self, args: &[&str]) -> Command {
        let mut command = Command::new(xtask());
        command
            .args(args)
            .current_dir(self.root())
            .stdin(Stdio::null());
        clear_env(&mut command);
        // Not the user's: what a test leaves there ends with it.
        command.env("XDG_CACHE_HOME", self.root().join("cache"));
        command
    }

    /// Runs the binary with these arguments.
    pub(crate) fn run(&self, args: &[&str]) -> Run {
        Run::of(&mut self.xtask(args))
    }

    /// A git repository with everything committed.
    pub(crate) fn git(&self) {
        for args in [
            &["init", "--quiet"][..],
            &["add", "--all"],
            &[
                "-c",
                "user.name=t",
                "-c",
                "user.email=t@localhost",
                "commit",
                "--quiet",
                "--message",
                "x",
            ],
        ] {
            let status = Command::new("git")
                .args(args)
                .current_dir(self.root())
                .status();
            assert!(status.expect("git").success(), "git {args:?}");
        }
    }
}

/// What a run left.
pub(crate) struct Run {
    what: String,
    output: Output,
}

impl Run {
    /// Runs any command to its end.
    pub(crate) fn of(command: &mut Command) -> Run {
        let output = command.output().expect("the command starts");
        Run {
            what: format!("{command:?}"),
            output,
        }
    }

    pub(crate) fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.output.stdout).replace("\r\n", "\n")
    }

    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).replace("\r\n", "\n")
    }

    /// The exit code; `None` after a signal.
    #[cfg(unix)]
    pub(crate) fn exit(&self) -> Option<i32> {
        self.output.status.code()
    }

    /// The exit code must be this one.
    #[track_caller]
    pub(crate) fn code(self, expected: i32) -> Run {
        assert_eq!(self.output.status.code(), Some(expected), "{self}");
        self
    }

    /// It must have ended, and not well.
    #[track_caller]
    pub(crate) fn fails(self) -> Run {
        assert!(
            self.output.status.code().is_some_and(|it| it != 0),
            "{self}"
        );
        self
    }

    /// stderr must have this part.
    #[track_caller]
    pub(crate) fn says(self, part: &str) -> Run {
        assert!(
            self.stderr().contains(part),
            "stderr lacks {part:?}\n{self}"
        );
        self
    }

    /// stdout must have this part.
    #[track_caller]
    pub(crate) fn prints(self, part: &str) -> Run {
        assert!(
            self.stdout().contains(part),
            "stdout lacks {part:?}\n{self}"
        );
        self
    }

    /// Neither stream may have this part.
    #[track_caller]
    pub(crate) fn never_shows(self, part: &str) -> Run {
        assert!(
            !self.stdout().contains(part) && !self.stderr().contains(part),
            "{part:?} was shown\n{self}"
        );
        self
    }

    /// stdout as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout()).unwrap_or_else(|error| panic!("{error}\n{self}"))
    }
}

impl std::fmt::Display for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}\n{}\n--- stdout\n{}\n--- stderr\n{}",
            self.what,
            self.output.status,
            self.stdout(),
            self.stderr()
        )
    }
}

/// Runs commands at once; each has to end with 0.
#[track_caller]
pub(crate) fn all_succeed(commands: impl Iterator<Item = Command>) {
    let runs: Vec<_> = commands
        .map(|mut command| {
            command
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("the command starts")
        })
        .collect();
    for run in runs {
        let output = run.wait_with_output().expect("the command ends");
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{words}");
    }
}

/// The server of `examples/fixture-server.rs`.
pub(crate) fn server() -> String {
    example("fixture-server")
}

/// A program of `examples/`.
pub(crate) fn example(name: &str) -> String {
    let name = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    let path = xtask().with_file_name("examples").join(name);
    assert!(path.is_file(), "`{}` is not built", path.display());
    path.display().to_string().replace('\\', "/")
}

/// The configuration of something to set up, by `examples/fixture-cargo.rs`, which writes down how it was
/// called. It is installed from `app/app.lock` to `app/modules`.
pub(crate) fn installer() -> String {
    let program = example("fixture-cargo");
    format!(
        r#"
[tools.installer]
program = {program:?}
install.any = "get the installer"

[setup.app]
tools = ["installer"]
directory = "app"
inputs = ["app.lock"]
outputs = ["modules"]
commands = [[{program:?}, "install", "all things"]]
"#
    )
}

/// An upper bound on time. Under Wine a process may take a second to start.
pub(crate) fn in_time(bound: Duration) -> Duration {
    if cfg!(windows) { bound * 5 } else { bound }
}

/// Waits until something is so: 20 seconds at the most.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let since = Instant::now();
    while !is_so() {
        let waited = since.elapsed();
        assert!(waited < Duration::from_secs(20), "not in time: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A port that nobody has, and that no other test is given while this process runs.
///
/// It is of a block whose first port this process holds, and below those that systems give away by
/// themselves (from 32768 on Linux, from 49152 elsewhere): one of these may be gone, or be given a second time,
/// before the service that it is for listens.
pub(crate) fn free_port() -> u16 {
    static BLOCKS: Mutex<Vec<(TcpListener, RangeInclusive<u16>)>> = Mutex::new(Vec::new());
    let listen = |port| TcpListener::bind(("127.0.0.1", port)).ok();
    let mut blocks = BLOCKS.lock().expect("no test panics here");
    loop {
        if let Some((_, rest)) = blocks.last_mut()
            && let Some(port) = rest.find(|port| listen(*port).is_some())
        {
            return port;
        }
        // The process's number spreads those that run at once, so that few find a block held.
        let start = std::process::id() % PORT_BLOCKS;
        let block = (0..PORT_BLOCKS).find_map(|next| {
            let number = u16::try_from((start + next) % PORT_BLOCKS).ok()?;
            let first = FIRST_PORT + number * PORT_BLOCK;
            Some((listen(first)?, first + 1..=first + PORT_BLOCK - 1))
        });
        blocks.push(block.expect("a block of ports that nobody holds"));
    }
}

const FIRST_PORT: u16 = 20_000;
const PORT_BLOCK: u16 = 20;
const PORT_BLOCKS: u32 = 600;

/// `unshare` with these namespaces, to be completed by a command that is root in them: as root, as root of a
/// namespace of users, or by `sudo`. It is an error where none of them works: what cannot be shown there is
/// not shown to hold.
#[cfg(target_os = "linux")]
pub(crate) fn in_namespaces(kinds: &[&str]) -> Command {
    let ways: [&[&str]; 3] = [
        &["unshare"],
        &["unshare", "--user", "--map-root-user"],
        &["sudo", "--non-interactive", "--preserve-env", "unshare"],
    ];
    for way in ways {
        let command = || {
            let mut command = Command::new(way[0]);
            command.args(&way[1..]).args(kinds);
            command
        };
        let tried = command().arg("true").stderr(Stdio::null()).status();
        if tried.is_ok_and(|it| it.success()) {
            return command();
        }
    }
    panic!("this needs to be root, or namespaces of users, or `sudo` without a password");
}

/// The living processes with this mark in their command line or environment (Linux).
#[cfg(target_os = "linux")]
pub(crate) fn living(mark: &str) -> Vec<u32> {
    let own = std::process::id();
    let has = |pid: u32, file: &str| {
        fs::read(format!("/proc/{pid}/{file}"))
            .is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(mark))
    };
    fs::read_dir("/proc")
        .expect("/proc")
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| *pid != own && (has(*pid, "cmdline") || has(*pid, "environ")))
        .collect()
}

/// The living processes with this mark (`NAME=VALUE`) in their environment.
#[cfg(not(target_os = "linux"))]
pub(crate) fn living(mark: &str) -> Vec<u32> {
    let (name, value) = mark.split_once('=').expect("NAME=VALUE");
    let own = std::process::id();
    let table = xtask::platform::processes(name);
    let marked = table
        .iter()
        .filter(|it| it.mark.as_deref() == Some(value) && it.pid != own);
    marked.map(|it| it.pid).collect()
}

/// The names of all commands that can be run, `services start` and the like.
pub(crate) fn commands() -> Vec<String> {
    fn below(command: &clap::Command, name: &str, found: &mut Vec<String>) {
        let mut some = false;
        for sub in command.get_subcommands() {
            if sub.get_name() != "help" {
                some = true;
                below(sub, format!("{name} {}", sub.get_name()).trim(), found);
            }
        }
        if !some {
            found.push(name.to_owned());
        }
    }
    let mut found = Vec::new();
    let line = xtask::cmd::command_line::<xtask::NoCommands>();
    below(&line, "", &mut found);
    assert!(found.len() > 30, "{found:?}");
    found
}

/// A variable that marks every process of one test. What is left of them ends with it.
pub(crate) struct Mark(String);

impl std::ops::Deref for Mark {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        for pid in living(self) {
            xtask::platform::kill(pid);
        }
    }
}

pub(crate) fn mark() -> Mark {
    let (process, thread) = (std::process::id(), std::thread::current().id());
    Mark(format!("XTASK_TEST={process}-{thread:?}"))
}

/// The binary under test in this workspace, marked.
pub(crate) fn marked(fixture: &Fixture, mark: &str, args: &[&str]) -> Command {
    let (name, value) = mark.split_once('=').expect("NAME=VALUE");
    let mut command = fixture.xtask(args);
    command.env(name, value);
    command
}

/// Runs a program with mounts of its own, which end with it: `mounts` are (what, where), and no `what` is
/// a file system in memory.
#[cfg(target_os = "linux")]
pub(crate) fn with_mounts(mounts: &[(&Path, &Path)], command: &Command) -> Command {
    // Fails with its first command that fails; the rest of its arguments is what it becomes.
    let script = "set -e; while [ \"$1\" != -- ]; do \
        if [ -n \"$1\" ]; then mount --bind \"$1\" \"$2\"; else mount -t tmpfs none \"$2\"; echo x >\"$2/x\"; fi; \
        shift 2; done; shift; exec \"$@\"";
    let mut unshare = in_namespaces(&["--mount"]);
    unshare.args(["sh", "-c", script, "sh"]);
    for (what, place) in mounts {
        unshare.args([what.as_os_str(), place.as_os_str()]);
    }
    unshare
        .arg("--")
        .arg(command.get_program())
        .args(command.get_args());
    unshare.current_dir(command.get_current_dir().unwrap_or(Path::new(".")));
    for (name, value) in command.get_envs() {
        unshare.env(name, value.unwrap_or(std::ffi::OsStr::new("")));
    }
    unshare
}
