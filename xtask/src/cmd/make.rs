//! `cargo xtask make`

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Instant;

use crate::config::Make as MakeConfig;
use crate::cx::Cx;
use crate::exit::Exit;
use crate::glob;
use crate::install::Installer;
use crate::proc;
use crate::term;

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
        let installer = Installer::new(cx, self.yes);
        let wanted = if self.yes {
            matching(&config.make.wants, &self.tasks)
        } else {
            Vec::new()
        };
        for name in needed(&config.make, &self.tasks).into_iter().chain(wanted) {
            installer.ensure(name)?;
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
            installer.extend_path(&mut command);
            let exit = proc::run(&mut command)?;
            times.push((task, since.elapsed()));
            match exit {
                Exit::Done => {}
                Exit::Interrupted => return Ok(Exit::Interrupted),
                // cargo-make loses the code of what it ran: all that is left is "it failed".
                _ => {
                    cx.term.say(&format!(
                        "\ntask `{task}` failed ({})",
                        term::seconds(since.elapsed())
                    ));
                    cx.term.hint(&format!("run it alone: `cargo make {task}`"));
                    return Ok(Exit::Failed);
                }
            }
        }
        let lines: Vec<String> = times
            .iter()
            .map(|(task, took)| format!("{task} ({})", term::seconds(*took)))
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
