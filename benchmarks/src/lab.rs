//! Where it is measured: a copy of the workspace, with a target directory, ports and a database of its
//! own. The user's are never touched.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{env, fs};

use anyhow::Context as _;
use xtask::config::{Config, Service, ServiceKind};
use xtask::error::Fault;
use xtask::launch::{self, Alias};
use xtask::term::Term;
use xtask::{proc, workspace};

use crate::{child, machine, report};

/// What a child is told of our own environment, and nothing else: flags for compilers, a database, or a
/// port that somebody has set would change what is measured, or be changed by it.
const PASSED: [&str; 17] = [
    "CARGO_HOME",
    "HOME",
    "LANG",
    "LOCALAPPDATA",
    "APPDATA",
    "PATH",
    "PATHEXT",
    "PG_BIN",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
    "SystemRoot",
    "TEMP",
    "TMP",
    "TMPDIR",
    "USER",
    "USERPROFILE",
    "LOGNAME",
];
/// How package managers reach their indexes here.
const PASSED_PREFIXES: [&str; 9] = [
    "CARGO_HTTP_",
    "CARGO_NET_",
    "CARGO_REGISTRIES_",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "PIP_",
    "SSL_CERT_",
    "UV_",
];

/// A program that the harness installs for itself, at this version.
pub struct Pinned {
    /// The crate.
    pub package: &'static str,
    /// Its version.
    pub version: &'static str,
    /// The program.
    pub program: &'static str,
    /// Further arguments of `cargo install`.
    pub args: &'static [&'static str],
}

/// The harness's own place, and what it knows of the workspace.
pub struct Lab {
    /// Where everything is: `target/bench` of the workspace.
    pub home: PathBuf,
    /// The copy of the workspace.
    pub copy: PathBuf,
    /// What the copy's `.config/xtask.toml` says.
    pub config: Config,
    /// Whether it only has to be shown that everything works.
    pub smoke: bool,
    term: Term,
    env: Vec<(OsString, OsString)>,
    ports: BTreeMap<String, u16>,
    xtask: OnceCell<PathBuf>,
    released: OnceCell<PathBuf>,
    _lock: File,
}

impl Lab {
    /// Copies the workspace around `directory` to its `target/bench`, and stops what an earlier run may
    /// have left there.
    ///
    /// # Errors
    /// When there is no workspace, or the copy cannot be made.
    pub fn open(directory: &Path, term: Term, smoke: bool) -> anyhow::Result<Lab> {
        let root = workspace::find_root(directory)?;
        let home = root.join("target").join("bench");
        let copy = home.join("workspace");
        fs::create_dir_all(home.join("logs"))?;
        let lock = File::create(home.join("lock"))?;
        lock.try_lock().map_err(|_| {
            Fault::new("another run of the harness is at work here").hint("wait for it to end")
        })?;
        copy_workspace(&root, &copy)?;
        let config = Config::load(&workspace::config_path(&copy))?;
        let mut env = clean_environment(env::vars_os());
        // Templates of clusters are kept there: the user's stay his.
        env.push(("XDG_CACHE_HOME".into(), home.join("cache").into()));
        let mut ports = BTreeMap::new();
        // All held until each has its own: a port that is free again may be given a second time.
        let mut held = Vec::new();
        for (name, service) in &config.services {
            if service.kind != ServiceKind::Postgres && service.port.is_some() {
                let (port, listener) = bind_free_port()?;
                held.push(listener);
                ports.insert(name.clone(), port);
                if let Some(variable) = &service.port_env {
                    env.push((variable.into(), port.to_string().into()));
                }
            }
        }
        let lab = Lab {
            home,
            copy,
            config,
            smoke,
            term,
            env,
            ports,
            xtask: OnceCell::new(),
            released: OnceCell::new(),
            _lock: lock,
        };
        lab.stop_all();
        Ok(lab)
    }

    /// A command that starts in the copy, with a known environment.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.copy).env_clear();
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// `cargo` with these arguments, in the copy.
    #[must_use]
    pub fn cargo(&self, args: &[&str]) -> Command {
        let mut command = self.command("cargo");
        command.args(args);
        command
    }

    /// The program that `cargo xtask` runs in the copy, built by the alias's own words: with its
    /// profile.
    ///
    /// # Errors
    /// When it does not build.
    pub fn xtask(&self) -> anyhow::Result<&Path> {
        if let Some(program) = self.xtask.get() {
            return Ok(program);
        }
        self.say("Building", "xtask, as `cargo xtask` does");
        let alias = Alias::read(&self.copy).ok_or_else(|| {
            Fault::usage("the alias `xtask` of `.cargo/config.toml` is no `run ... --bin NAME --`")
        })?;
        let mut command = self.command("cargo");
        command.args(&alias.build);
        let program = launch::executable(&proc::capture(&mut command)?)
            .ok_or_else(|| Fault::new("cargo names no program that it built"))?;
        Ok(self.xtask.get_or_init(|| program))
    }

    /// xtask of the copy, built for release.
    ///
    /// # Errors
    /// When it does not build.
    pub fn released(&self) -> anyhow::Result<&Path> {
        if let Some(program) = self.released.get() {
            return Ok(program);
        }
        self.say("Building", "xtask for release");
        let mut command = self.command("cargo");
        command.args([
            "build",
            "--release",
            "--quiet",
            "--package",
            "xtask",
            "--bin",
            "xtask",
        ]);
        command.args(["--message-format", "json"]);
        let program = launch::executable(&proc::capture(&mut command)?)
            .ok_or_else(|| Fault::new("cargo names no program that it built"))?;
        Ok(self.released.get_or_init(|| program))
    }

    /// [`Lab::xtask`] with these arguments, in the copy.
    ///
    /// # Errors
    /// When it does not build.
    pub fn xtask_command(&self, args: &[&str]) -> anyhow::Result<Command> {
        let mut command = self.command(self.xtask()?);
        command.args(args);
        Ok(command)
    }

    /// Runs a command and times it; what it says goes to a log of this name.
    ///
    /// # Errors
    /// When it fails.
    pub fn time(&self, name: &str, command: &mut Command) -> anyhow::Result<Duration> {
        child::timed(command, &self.log(name))
    }

    /// Runs a command that may not end well, and whose time is nobody's business.
    ///
    /// # Errors
    /// When it cannot be started, or was interrupted.
    pub fn attempt(&self, name: &str, command: &mut Command) -> anyhow::Result<bool> {
        Ok(child::timed_any(command, &self.log(name))?.0.success())
    }

    /// The log of this name.
    #[must_use]
    pub fn log(&self, name: &str) -> PathBuf {
        self.home.join("logs").join(format!("{name}.log"))
    }

    /// The port of a service.
    #[must_use]
    pub fn port(&self, service: &str) -> Option<u16> {
        self.ports.get(service).copied()
    }

    /// The services that speak HTTP and are meant where no name is given.
    pub fn http_services(&self) -> impl Iterator<Item = (&str, &Service)> {
        self.config
            .services
            .iter()
            .filter(|(_, it)| it.kind == ServiceKind::Http && it.autostart)
            .map(|(name, it)| (name.as_str(), it))
    }

    /// An empty directory of this name.
    ///
    /// # Errors
    /// When what is there cannot be removed.
    pub fn fresh(&self, name: &str) -> anyhow::Result<PathBuf> {
        let path = self.home.join(name);
        remove(&path)?;
        fs::create_dir_all(&path)?;
        Ok(path)
    }

    /// A pinned program, installed where it is missing; `None` in a smoke run that lacks it.
    ///
    /// # Errors
    /// When it cannot be installed.
    pub fn pinned(&self, it: &Pinned) -> anyhow::Result<Option<PathBuf>> {
        let root = self
            .home
            .join("tools")
            .join(format!("{}-{}", it.package, it.version));
        let program = root
            .join("bin")
            .join(format!("{}{}", it.program, env::consts::EXE_SUFFIX));
        if program.is_file() {
            return Ok(Some(program));
        }
        if self.smoke {
            return Ok(None);
        }
        self.say(
            "Installing",
            &format!("{} {} (once)", it.package, it.version),
        );
        let mut command = self.cargo(&["install", "--locked", "--quiet"]);
        command
            .args([it.package, "--version", it.version])
            .args(it.args)
            .arg("--root")
            .arg(&root);
        self.time(it.package, &mut command)?;
        Ok(Some(program))
    }

    /// The version of a program, by what it says; of the pinned ones, which are not on PATH, too.
    #[must_use]
    pub fn version(&self, program: &str, args: &[&str]) -> Option<String> {
        let own = fs::read_dir(self.home.join("tools"))
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path().join("bin").join(program))
            .find(|path| path.is_file());
        let mut command = self.command(own.unwrap_or_else(|| program.into()));
        let text = proc::capture(command.args(args)).ok()?;
        machine::version_in(&text)
    }

    /// Starts the services of the copy and returns what stops them.
    ///
    /// # Errors
    /// When they do not get healthy.
    pub fn services_up(&self) -> anyhow::Result<Up<'_>> {
        self.say("Starting", "the services of the copy");
        let up = Up { lab: self };
        self.time(
            "services-start",
            &mut self.xtask_command(&["services", "start"])?,
        )?;
        Ok(up)
    }

    /// Stops whatever runs in the copy. Its own children are not waited for by the watcher: this works
    /// after Ctrl-C, too.
    pub fn stop_all(&self) {
        let Some(program) = self
            .xtask
            .get()
            .cloned()
            .or_else(|| built_earlier(&self.copy))
        else {
            return;
        };
        for args in [["services", "stop"], ["db", "stop"]] {
            // What was not running is no failure; what cannot be stopped is said by the log.
            let _ = proc::capture_any(self.command(&program).args(args));
        }
    }

    /// Progress, on stderr.
    pub fn say(&self, verb: &str, what: &str) {
        self.term.status(verb, what);
    }

    /// Progress: one counted run.
    pub(crate) fn say_run(&self, pair: &str, n: u32, of: u32, ours: f64, theirs: f64) {
        let (ours, theirs) = (report::seconds(ours), report::seconds(theirs));
        self.say("Run", &format!("{pair} {n}/{of}: {ours} against {theirs}"));
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.stop_all();
    }
}

/// Services that run until this value is dropped.
pub struct Up<'a> {
    lab: &'a Lab,
}

impl Drop for Up<'_> {
    fn drop(&mut self) {
        self.lab.stop_all();
    }
}

/// Removes a file or directory; one that is not there is no error.
///
/// # Errors
/// When it cannot be removed.
pub fn remove(path: &Path) -> anyhow::Result<()> {
    let result = match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => Ok(()),
    };
    result.with_context(|| format!("failed to remove `{}`", path.display()))
}

/// Writes a file and the directories that lead to it.
///
/// # Errors
/// When it cannot be written.
pub fn write(path: &Path, content: impl AsRef<[u8]>) -> anyhow::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(path, content).with_context(|| format!("failed to write `{}`", path.display()))
}

/// A port of 127.0.0.1 that nobody has now.
///
/// # Errors
/// When there is none.
pub fn free_port() -> anyhow::Result<u16> {
    bind_free_port().map(|(port, _)| port)
}

fn bind_free_port() -> anyhow::Result<(u16, TcpListener)> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("no free port on 127.0.0.1")?;
    Ok((listener.local_addr()?.port(), listener))
}

/// Makes `path` a git repository with everything in it committed.
///
/// # Errors
/// When git fails.
pub fn commit_all(path: &Path) -> anyhow::Result<()> {
    let name = ["-c", "user.name=bench", "-c", "user.email=bench@localhost"];
    for args in [
        &["init", "--quiet"][..],
        &["add", "--all"],
        &[
            "commit",
            "--quiet",
            "--allow-empty",
            "--message",
            "measured",
        ],
    ] {
        proc::capture(Command::new("git").current_dir(path).args(name).args(args))?;
    }
    Ok(())
}

/// Copies what git knows of the workspace. A file that has not changed keeps its time, so that cargo
/// builds only what has; one that is gone goes here, too.
fn copy_workspace(root: &Path, copy: &Path) -> anyhow::Result<()> {
    let list = |directory: &Path, args: &[&str]| -> anyhow::Result<Vec<PathBuf>> {
        let mut command = Command::new("git");
        command
            .current_dir(directory)
            .args(["ls-files", "-z"])
            .args(args);
        let text = proc::capture(&mut command)?;
        let names = text.split('\0').filter(|name| !name.is_empty());
        Ok(names.map(|name| name.split('/').collect()).collect())
    };
    let mut files = list(root, &["--cached", "--others", "--exclude-standard"])?;
    files.retain(|file| root.join(file).is_file());
    if copy.join(".git").exists() {
        for old in list(copy, &["--cached"])? {
            if !files.contains(&old) {
                remove(&copy.join(old))?;
            }
        }
    }
    for file in &files {
        let source = root.join(file);
        let content = fs::read(&source)?;
        let target = copy.join(file);
        if fs::read(&target).ok().as_ref() != Some(&content) {
            write(&target, content)?;
        }
        // A script that may not be run is a finding to some linters.
        fs::set_permissions(&target, fs::metadata(&source)?.permissions())?;
    }
    commit_all(copy)
}

fn clean_environment(
    all: impl IntoIterator<Item = (OsString, OsString)>,
) -> Vec<(OsString, OsString)> {
    let passed = |name: &OsString| {
        let name = name.to_string_lossy();
        PASSED.iter().any(|it| it.eq_ignore_ascii_case(&name))
            || PASSED_PREFIXES
                .iter()
                .any(|it| name.to_ascii_uppercase().starts_with(it))
    };
    all.into_iter().filter(|(name, _)| passed(name)).collect()
}

fn built_earlier(copy: &Path) -> Option<PathBuf> {
    let name = format!("xtask{}", env::consts::EXE_SUFFIX);
    fs::read_dir(copy.join("target"))
        .ok()?
        .flatten()
        .map(|entry| entry.path().join(&name))
        .find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_know_nothing_of_the_users_database_and_flags() {
        let all = [
            ("PATH", "p"),
            ("DATABASE_URL", "d"),
            ("PGHOST", "h"),
            ("RUSTFLAGS", "f"),
            ("CARGO_TARGET_DIR", "t"),
            ("CARGO_HTTP_PROXY", "x"),
            ("https_proxy", "y"),
        ];
        let kept = clean_environment(all.map(|(name, value)| (name.into(), value.into())));
        let names: Vec<String> = kept
            .iter()
            .map(|it| it.0.to_string_lossy().into_owned())
            .collect();
        assert_eq!(names, ["PATH", "CARGO_HTTP_PROXY", "https_proxy"]);
    }

    #[test]
    fn the_copy_follows_the_workspace_and_keeps_times() {
        let dir = tempfile::tempdir().unwrap();
        let (root, copy) = (dir.path().join("root"), dir.path().join("copy"));
        write(&root.join("a"), "1").unwrap();
        write(&root.join("d").join("b"), "1").unwrap();
        write(&root.join(".gitignore"), "ignored\n").unwrap();
        write(&root.join("ignored"), "1").unwrap();
        commit_all(&root).unwrap();
        copy_workspace(&root, &copy).unwrap();
        let time = || copy.join("a").metadata().unwrap().modified().unwrap();
        let before = time();
        write(&root.join("c"), "new").unwrap();
        remove(&root.join("d").join("b")).unwrap();
        copy_workspace(&root, &copy).unwrap();
        assert_eq!(time(), before);
        assert!(copy.join("c").is_file() && !copy.join("d").join("b").exists());
        assert!(!copy.join("ignored").exists());
    }
}
