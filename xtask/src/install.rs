//! Installing tools: crates at their pinned version, unasked; what the system's package manager
//! brings only when the user says so.

use std::cell::Cell;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::config::Tool;
use crate::cx::Cx;
use crate::error::Fault;
use crate::exit::Exit;
use crate::fsx;
use crate::lock;
use crate::platform;
use crate::proc;
use crate::term;
use crate::tools::{self, Health};

/// Installs tools of `.config/xtask.toml`.
#[derive(Debug)]
pub struct Installer<'a> {
    cx: &'a Cx,
    /// Whether the system's package manager may run.
    system: bool,
    path: Option<OsString>,
    package_lists_are_fresh: Cell<bool>,
}

impl<'a> Installer<'a> {
    /// `system`: whether the system's package manager may run.
    #[must_use]
    pub fn new(cx: &'a Cx, system: bool) -> Installer<'a> {
        Installer {
            cx,
            system,
            path: search_path(cx),
            package_lists_are_fresh: Cell::new(false),
        }
    }

    /// Gives a command the PATH in which installed tools are found.
    pub fn extend_path(&self, command: &mut Command) {
        if let Some(path) = &self.path {
            command.env("PATH", path);
        }
    }

    /// Installs a tool that is missing, too old or broken. A name that `[tools]` does not have is
    /// nobody's business here.
    ///
    /// # Errors
    /// When it is the system's and that is not allowed, with the command; when its installation fails,
    /// or it is still not fine after it.
    pub fn ensure(&self, name: &str) -> anyhow::Result<()> {
        self.ensure_below(name, &mut Vec::new())
    }

    /// `asking`: the tools that need this one to be installed.
    fn ensure_below(&self, name: &str, asking: &mut Vec<String>) -> anyhow::Result<()> {
        let Some(tool) = self.cx.config()?.tools.get(name) else {
            return Ok(());
        };
        let found = self.look(name, tool);
        if found.health == Health::Ok || asking.iter().any(|it| it == name) {
            return Ok(());
        }
        self.cx
            .term
            .status("Needs", &format!("{name}: {}", found.state()));
        match &tool.crate_name {
            Some(crate_name) => self.install_crate(name, tool, crate_name),
            None => {
                asking.push(name.to_owned());
                self.install_by_system(name, tool, asking)
            }
        }
    }

    fn look(&self, name: &str, tool: &Tool) -> tools::Found {
        tools::look(&self.cx.root, name, tool, self.path.as_deref())
    }

    fn install_crate(&self, name: &str, tool: &Tool, crate_name: &str) -> anyhow::Result<()> {
        let cx = self.cx;
        let lock = lock::take(cx, &cx.state_dir().join("install.lock"), "installs tools")?;
        // Another run may have installed it while we waited.
        if self.look(name, tool).health == Health::Ok {
            return Ok(());
        }
        let version = tool.version.as_deref().unwrap_or("*");
        let since = Instant::now();
        let mut command = Command::new(cx.cargo());
        let how = if which::which_in("cargo-binstall", self.path.as_ref(), &cx.cwd).is_ok() {
            command
                .args(["binstall", "--no-confirm", "--locked"])
                .arg(format!("{crate_name}@{version}"));
            "by cargo binstall"
        } else {
            command
                .args(["install", "--locked", crate_name])
                .args(["--version", version, "--force"])
                // A target directory of its own: an interrupted build goes on where it was, and
                // nobody waits for the workspace's lock.
                .env("CARGO_TARGET_DIR", cx.state_dir().join("install"));
            "from source (once)"
        };
        cx.term
            .status("Installing", &format!("{crate_name} {version} {how}"));
        command.current_dir(&cx.root);
        self.run(name, lock.mark(&mut command))?;
        // Half a gigabyte that nobody needs any more.
        let _ = std::fs::remove_dir_all(cx.state_dir().join("install"));
        cx.term.status(
            "Installed",
            &format!(
                "{crate_name} {version} ({})",
                term::seconds(since.elapsed())
            ),
        );
        Ok(())
    }

    fn install_by_system(
        &self,
        name: &str,
        tool: &Tool,
        asking: &mut Vec<String>,
    ) -> anyhow::Result<()> {
        let needed = || Fault::new(format!("`{name}` is needed, and missing"));
        let Some(install) = tools::install_command(name, tool) else {
            return Err(needed()
                .hint(format!("install it, then run `cargo xtask doctor {name}`"))
                .into());
        };
        if !self.system {
            return Err(needed()
                .hint(format!("run `{install}`, or let this do it with `--yes`"))
                .into());
        }
        let words: Vec<&str> = install.split_whitespace().collect();
        let Some((program, args)) = words.split_first() else {
            return Err(needed().into());
        };
        // pipx, npm, gem: what installs a tool may be one itself.
        self.ensure_below(program, asking)?;
        if *program == "apt-get" && !self.package_lists_are_fresh.replace(true) {
            self.cx.term.status("Updating", "the package lists");
            self.run(name, &mut system_command(program, &["update"]))?;
        }
        let mut command = system_command(program, args);
        self.cx.term.status(
            "Installing",
            &format!("{name}: {}", proc::display(&command)),
        );
        self.run(name, &mut command)?;
        let found = self.look(name, tool);
        if found.health == Health::Ok {
            return Ok(());
        }
        Err(Fault::new(format!(
            "`{install}` ended well, but `{name}` is still not fine: {}",
            found.state()
        ))
        .hint(format!(
            "a new shell may find it; see `cargo xtask doctor {name}`"
        ))
        .into())
    }

    fn run(&self, name: &str, command: &mut Command) -> anyhow::Result<()> {
        self.extend_path(command);
        command.stdin(Stdio::null()).stdout(std::io::stderr());
        match proc::run(command)? {
            Exit::Done => Ok(()),
            Exit::Interrupted => Err(Fault::interrupted().into()),
            _ => Err(Fault::new(format!("failed to install `{name}`"))
                .hint(format!(
                    "its own words are above; by hand: `{}`",
                    proc::display(command)
                ))
                .into()),
        }
    }
}

/// The system's managers ask nothing, and run as root where there is a way.
fn system_command(program: &str, args: &[&str]) -> Command {
    let managers = ["apt-get", "dnf"];
    if !managers.contains(&program) {
        let mut command = Command::new(program);
        command.args(args);
        return command;
    }
    let quiet = ("DEBIAN_FRONTEND", "noninteractive");
    let mut command = if platform::is_root() || which::which("sudo").is_err() {
        let mut command = Command::new(program);
        command.env(quiet.0, quiet.1);
        command
    } else {
        let mut command = Command::new("sudo");
        command.arg(format!("{}={}", quiet.0, quiet.1)).arg(program);
        command
    };
    command.args(args);
    if args.first() == Some(&"install") {
        command.arg("-y");
    }
    command
}

/// Where cargo puts the programs that it installs.
#[must_use]
pub fn program_dir(cx: &Cx) -> Option<PathBuf> {
    cx.os("CARGO_INSTALL_ROOT")
        .or_else(|| cx.os("CARGO_HOME"))
        .map(PathBuf::from)
        .or_else(|| Some(std::env::home_dir()?.join(".cargo")))
        .map(|it| it.join("bin"))
}

/// Copies a program to its place, whole or not at all: it may run there, or be started meanwhile.
///
/// # Errors
/// When it cannot be copied, with the path.
pub fn program(from: &Path, to: &Path) -> anyhow::Result<()> {
    fsx::atomic_copy(from, to)
}

/// PATH with the directories that user-level installers fill, which a fresh shell may lack:
/// cargo's, and the one of pipx and `pip install --user`.
fn search_path(cx: &Cx) -> Option<OsString> {
    let current = std::env::var_os("PATH").unwrap_or_default();
    let mut directories: Vec<PathBuf> = std::env::split_paths(&current).collect();
    let cargo = program_dir(cx);
    let local = std::env::home_dir().map(|it| it.join(".local").join("bin"));
    for directory in [cargo, local].into_iter().flatten() {
        if !directories.contains(&directory) {
            directories.push(directory);
        }
    }
    std::env::join_paths(directories).ok()
}
