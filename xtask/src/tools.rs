//! The tools that the workspace needs: found, measured, and how to install each here.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::config::Tool;
use crate::cx::Cx;
use crate::error::Fault;
use crate::versions;

/// A tool that says nothing for so long is broken.
const PATIENCE: Duration = Duration::from_secs(10);

/// How a tool was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// There, and new enough.
    Ok,
    /// There, but older than what is needed.
    Old,
    /// Not there.
    Missing,
    /// There, but it does not run.
    Broken,
}

/// What is known of a tool on this machine.
#[derive(Clone, Debug, Serialize)]
pub struct Found {
    /// The tool.
    pub name: String,
    /// How it was found.
    pub health: Health,
    /// Where.
    pub path: Option<PathBuf>,
    /// Its version.
    pub version: Option<String>,
    /// The least version that works.
    pub required: Option<String>,
    /// Whether the workspace can do without it.
    pub optional: bool,
    /// What it is for.
    pub purpose: Option<String>,
    /// How to install it here.
    pub install: Option<String>,
}

impl Found {
    /// Its version, or what is wrong with it.
    #[must_use]
    pub fn state(&self) -> String {
        let version = self.version.as_deref().unwrap_or("");
        match self.health {
            Health::Ok => version.to_owned(),
            Health::Old => {
                let needed = self.required.as_deref().unwrap_or("a newer one");
                format!("{version}, needs {needed}")
            }
            Health::Missing => "missing".to_owned(),
            Health::Broken => "does not run".to_owned(),
        }
    }
}

/// Where a tool's program is: in its own directories (below `root`), else on the search path.
#[must_use]
pub fn find(root: &Path, name: &str, tool: &Tool, search_path: Option<&OsStr>) -> Option<PathBuf> {
    let program = tool.program.as_deref().unwrap_or(name);
    let own = std::env::join_paths(tool.search.iter().map(|directory| root.join(directory)));
    own.ok()
        .and_then(|own| which::which_in(program, Some(own), root).ok())
        .or_else(|| which::which_in(program, search_path, root).ok())
}

/// Looks at tools side by side, in the order of their names.
#[must_use]
pub fn look_all<'a>(
    root: &Path,
    tools: impl Iterator<Item = (&'a String, &'a Tool)>,
) -> Vec<Found> {
    let path = std::env::var_os("PATH");
    let path = path.as_deref();
    thread::scope(|scope| {
        let running: Vec<_> = tools
            .map(|(name, tool)| scope.spawn(move || look(root, name, tool, path)))
            .collect();
        running
            .into_iter()
            .filter_map(|it| it.join().ok())
            .collect()
    })
}

/// Nothing where all of these tools are fine.
///
/// # Errors
/// Names each one that is not, and the command that mends it.
pub fn require(cx: &Cx, names: &[String]) -> anyhow::Result<()> {
    let known = &cx.config()?.tools;
    let found = look_all(
        &cx.root,
        known.iter().filter(|(name, _)| names.contains(name)),
    );
    let bad: Vec<&Found> = found.iter().filter(|it| it.health != Health::Ok).collect();
    if bad.is_empty() {
        return Ok(());
    }
    let what: Vec<String> = bad
        .iter()
        .map(|tool| format!("`{}` {}", tool.name, tool.state()))
        .collect();
    let fault = Fault::new(format!("needed here: {}", what.join(", ")));
    let commands: Vec<&str> = bad.iter().filter_map(|it| it.install.as_deref()).collect();
    Err(match commands.as_slice() {
        [] => fault,
        commands => fault.hint(format!("install it: `{}`", commands.join("`, `"))),
    }
    .into())
}

/// Looks for one tool: in its own directories (below `root`), then on the search path. Asks it for
/// its version.
#[must_use]
pub fn look(root: &Path, name: &str, tool: &Tool, search_path: Option<&OsStr>) -> Found {
    let path = find(root, name, tool, search_path);
    let (health, version) = match &path {
        None => (Health::Missing, None),
        Some(path) => {
            let args: Vec<&str> = if tool.version_args.is_empty() {
                vec!["--version"]
            } else {
                tool.version_args.iter().map(String::as_str).collect()
            };
            match ask(path, &args) {
                None => (Health::Broken, None),
                Some(text) => judge(versions::find(&text), tool.min_version.as_deref()),
            }
        }
    };
    Found {
        name: name.to_owned(),
        health,
        path,
        version,
        required: tool.min_version.clone(),
        optional: tool.optional,
        purpose: tool.purpose.clone(),
        install: install_command(name, tool),
    }
}

fn judge(version: Option<Vec<u64>>, wanted: Option<&str>) -> (Health, Option<String>) {
    let shown = version.as_deref().map(versions::show);
    match (version, wanted) {
        (Some(version), Some(wanted)) if !versions::at_least(&version, wanted) => {
            (Health::Old, shown)
        }
        // A version that cannot be read is no proof of an old one.
        _ => (Health::Ok, shown),
    }
}

/// What a program says of its version, within a time.
fn ask(program: &Path, args: &[&str]) -> Option<String> {
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    let deadline = Instant::now() + PATIENCE;
    while child.try_wait().ok()?.is_none() {
        if Instant::now() > deadline {
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        thread::sleep(Duration::from_millis(2));
    }
    let output = child.wait_with_output().ok()?;
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    output.status.success().then_some(text)
}

/// The command that installs a tool with the package manager of this machine.
#[must_use]
pub fn install_command(name: &str, tool: &Tool) -> Option<String> {
    let managers = [
        ("apt", "apt-get"),
        ("dnf", "dnf"),
        ("brew", "brew"),
        ("winget", "winget"),
    ];
    managers
        .iter()
        .filter(|(manager, _)| tool.install.contains_key(*manager))
        .find(|(_, program)| which::which(program).is_ok())
        .and_then(|(manager, _)| tool.install.get(*manager).cloned())
        .or_else(|| tool.install.get("any").cloned())
        .or_else(|| {
            let version = tool.version.as_ref().map(|it| format!(" --version {it}"));
            let name = tool.crate_name.as_ref()?;
            Some(format!(
                "cargo install --locked {name}{}",
                version.unwrap_or_default()
            ))
        })
        .or_else(|| {
            // A manager that this machine does not have is still a pointer.
            tool.install
                .values()
                .next()
                .map(|command| format!("install `{name}` ({command})"))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_version_is_told_from_one_that_cannot_be_read() {
        assert_eq!(judge(Some(vec![1, 2]), Some("1.3")).0, Health::Old);
        assert_eq!(judge(Some(vec![1, 3, 1]), Some("1.3")).0, Health::Ok);
        assert_eq!(judge(None, Some("1.3")).0, Health::Ok);
    }

    #[test]
    fn a_crate_is_installed_at_its_pinned_version() {
        let tool = Tool {
            crate_name: Some("cargo-make".to_owned()),
            version: Some("0.37.24".to_owned()),
            ..Tool::default()
        };
        assert_eq!(
            install_command("cargo-make", &tool).as_deref(),
            Some("cargo install --locked cargo-make --version 0.37.24")
        );
    }
}
