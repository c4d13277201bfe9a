//! `cargo xtask make`

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::config::{Make as MakeConfig, Tool};
use crate::cx::Cx;
use crate::error::Fault;
use crate::exit::Exit;
use crate::glob;
use crate::lock;
use crate::proc;
use crate::tools::{self, Health};

/// Make sure that tasks can run here, then run them with cargo-make
///
/// Installs the pinned cargo-make, nextest and other crates that the tasks need and lack. What it may
/// not install by itself gets one line with the command for this machine; --yes runs it.
///
/// Examples:
///   cargo xtask make test-e2e
///   cargo xtask make format lint test
///   cargo xtask make test-crate -- tasker-shared
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Make {
    /// Tasks of the Makefile.toml where you stand, one after the other
    #[arg(required = true, value_name = "TASK")]
    tasks: Vec<String>,
    /// Run the system's package manager where a tool needs it
    #[arg(long, short)]
    yes: bool,
    /// Arguments for the last task
    #[arg(last = true, value_name = "ARGS")]
    args: Vec<String>,
}

impl Make {
    pub(crate) fn run(self, cx: &Cx) -> anyhow::Result<Exit> {
        let config = cx.config()?;
        let path = search_path(cx);
        let wanted = if self.yes {
            matching(&config.make.wants, &self.tasks)
        } else {
            Vec::new()
        };
        for name in needed(&config.make, &self.tasks).into_iter().chain(wanted) {
            let Some(tool) = config.tools.get(name) else {
                continue;
            };
            let found = tools::look(&cx.root, name, tool, path.as_deref());
            if found.health != Health::Ok {
                cx.term
                    .status("Needs", &format!("{name}: {}", words(&found)));
                install(cx, name, tool, self.yes, path.as_deref())?;
            }
        }
        let mut times = Vec::new();
        for (index, task) in self.tasks.iter().enumerate() {
            let since = Instant::now();
            let mut command = Command::new(cx.cargo());
            command
                .args(["make", "--disable-check-for-updates", task])
                .current_dir(&cx.cwd);
            if index + 1 == self.tasks.len() {
                command.args(&self.args);
            }
            if let Some(path) = &path {
                command.env("PATH", path);
            }
            let exit = proc::run(&mut command)?;
            times.push((task, since.elapsed()));
            match exit {
                Exit::Done => {}
                Exit::Interrupted => return Ok(Exit::Interrupted),
                // cargo-make loses the code of what it ran: all that is left is "it failed".
                _ => {
                    cx.term.say(&format!(
                        "\ntask `{task}` failed ({})",
                        seconds(since.elapsed())
                    ));
                    cx.term.hint(&format!("run it alone: `cargo make {task}`"));
                    return Ok(Exit::Failed);
                }
            }
        }
        let lines: Vec<String> = times
            .iter()
            .map(|(task, took)| format!("{task} ({})", seconds(*took)))
            .collect();
        cx.term.status("Done", &lines.join(", "));
        Ok(Exit::Done)
    }
}

/// The tools that tasks need, each once.
fn needed<'a>(config: &'a MakeConfig, tasks: &[String]) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    let of_tasks = matching(&config.needs, tasks);
    for name in config.tools.iter().map(String::as_str).chain(of_tasks) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// The tools of all patterns that one of the tasks matches.
fn matching<'a>(rules: &'a BTreeMap<String, Vec<String>>, tasks: &[String]) -> Vec<&'a str> {
    rules
        .iter()
        .filter(|(pattern, _)| tasks.iter().any(|task| glob::matches(pattern, task)))
        .flat_map(|(_, tools)| tools)
        .map(String::as_str)
        .collect()
}

fn words(found: &tools::Found) -> String {
    match found.health {
        Health::Ok => "fine".to_owned(),
        Health::Missing => "not there".to_owned(),
        Health::Broken => "does not run".to_owned(),
        Health::Old => format!(
            "{} is older than {}",
            found.version.as_deref().unwrap_or("it"),
            found.required.as_deref().unwrap_or("needed")
        ),
    }
}

/// PATH with the directory that `cargo install` fills, which a fresh shell may lack.
fn search_path(cx: &Cx) -> Option<std::ffi::OsString> {
    let current = std::env::var_os("PATH").unwrap_or_default();
    let mut directories: Vec<PathBuf> = std::env::split_paths(&current).collect();
    let home = std::env::home_dir();
    let installed = cx
        .env
        .get("CARGO_INSTALL_ROOT")
        .or_else(|| cx.env.get("CARGO_HOME"))
        .map(PathBuf::from)
        .or_else(|| home.map(|home| home.join(".cargo")))?
        .join("bin");
    if !directories.contains(&installed) {
        directories.push(installed);
    }
    std::env::join_paths(directories).ok()
}

fn install(
    cx: &Cx,
    name: &str,
    tool: &Tool,
    yes: bool,
    path: Option<&std::ffi::OsStr>,
) -> anyhow::Result<()> {
    let Some(crate_name) = &tool.crate_name else {
        return install_system_package(cx, name, tool, yes);
    };
    let _lock = lock::take(cx, &cx.state_dir().join("install.lock"), "installs tools")?;
    // Another run may have installed it while we waited.
    if tools::look(&cx.root, name, tool, path).health == Health::Ok {
        return Ok(());
    }
    let version = tool.version.as_deref().unwrap_or("*");
    let since = Instant::now();
    let mut command = Command::new(cx.cargo());
    let here = cx.cwd.clone();
    if which::which_in("cargo-binstall", path, here).is_ok() {
        cx.term.status(
            "Installing",
            &format!("{crate_name} {version} by cargo binstall"),
        );
        command.args([
            "binstall",
            "--no-confirm",
            "--locked",
            &format!("{crate_name}@{version}"),
        ]);
    } else {
        cx.term.status(
            "Installing",
            &format!("{crate_name} {version} from source (once)"),
        );
        command.args([
            "install",
            "--locked",
            crate_name,
            "--version",
            version,
            "--force",
        ]);
        // A target directory of its own: an interrupted build goes on where it was, and nobody
        // waits for the workspace's lock.
        command.env("CARGO_TARGET_DIR", cx.state_dir().join("install"));
    }
    command
        .current_dir(&cx.root)
        .stdin(Stdio::null())
        .stdout(std::io::stderr());
    if let Some(path) = path {
        command.env("PATH", path);
    }
    match proc::run(&mut command)? {
        Exit::Done => {}
        Exit::Interrupted => return Err(Fault::interrupted().into()),
        _ => {
            return Err(Fault::new(format!("failed to install `{name}`"))
                .hint(format!(
                    "its own words are above; by hand: `{}`",
                    proc::display(&command)
                ))
                .into());
        }
    }
    // Half a gigabyte that nobody needs any more.
    let _ = std::fs::remove_dir_all(cx.state_dir().join("install"));
    cx.term.status(
        "Installed",
        &format!("{crate_name} {version} ({})", seconds(since.elapsed())),
    );
    Ok(())
}

/// Toolchains are the system's: the command is shown, and run only when the user says so.
fn install_system_package(cx: &Cx, name: &str, tool: &Tool, yes: bool) -> anyhow::Result<()> {
    let Some(install) = tools::install_command(name, tool) else {
        return Err(Fault::new(format!("`{name}` is needed, and missing"))
            .hint(format!("install it, then run `cargo xtask doctor {name}`"))
            .into());
    };
    if !yes {
        return Err(Fault::new(format!("`{name}` is needed, and missing"))
            .hint(format!("run `{install}`, or let this do it with `--yes`"))
            .into());
    }
    let mut words = install.split_whitespace();
    let program = words.next().unwrap_or_default();
    let sudo = is_system_manager(program) && !is_root() && which::which("sudo").is_ok();
    let mut command = Command::new(if sudo { "sudo" } else { program });
    if sudo {
        command.arg(program);
    }
    command.args(words);
    if matches!(program, "apt-get" | "dnf") {
        command.arg("-y");
    }
    command.stdout(std::io::stderr());
    cx.term.status(
        "Installing",
        &format!("{name}: {}", proc::display(&command)),
    );
    match proc::run(&mut command)? {
        Exit::Done => Ok(()),
        Exit::Interrupted => Err(Fault::interrupted().into()),
        _ => Err(Fault::new(format!("`{}` failed", proc::display(&command))).into()),
    }
}

fn is_system_manager(program: &str) -> bool {
    matches!(program, "apt-get" | "dnf")
}

#[cfg(unix)]
fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

#[cfg(not(unix))]
fn is_root() -> bool {
    true // There is no sudo to put before a command.
}

fn seconds(took: Duration) -> String {
    let seconds = took.as_secs();
    if seconds < 60 {
        format!("{:.1}s", took.as_secs_f64())
    } else {
        format!("{}m {:02}s", seconds / 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_needs_its_own_tools_and_those_of_all() {
        let config = MakeConfig {
            tools: vec!["cargo-make".to_owned()],
            needs: [
                (
                    "test*".to_owned(),
                    vec!["cargo-nextest".to_owned(), "cargo-make".to_owned()],
                ),
                ("docs".to_owned(), vec!["mdbook".to_owned()]),
            ]
            .into(),
            ..MakeConfig::default()
        };
        assert_eq!(
            needed(&config, &["test-e2e".to_owned()]),
            ["cargo-make", "cargo-nextest"]
        );
        assert_eq!(needed(&config, &["build".to_owned()]), ["cargo-make"]);
    }
}
