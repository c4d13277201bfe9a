//! `cargo xtask make`

use std::collections::BTreeMap;
use std::time::Instant;

use crate::config::Make as MakeConfig;
use crate::cx::Cx;
use crate::exit::Exit;
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
        for name in needed(&config.make, &self.tasks, self.yes) {
            installer.ensure(name)?;
        }
        let mut times = Vec::new();
        for (index, task) in self.tasks.iter().enumerate() {
            let since = Instant::now();
            let mut command = proc::cargo_make(cx, task)?;
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

/// The tools that tasks need, each once; with `wanted`, those too that they can do without.
fn needed<'a>(config: &'a MakeConfig, tasks: &'a [String], wanted: bool) -> Vec<&'a str> {
    let of_tasks = |rules: &'a BTreeMap<String, Vec<String>>| {
        tasks
            .iter()
            .flat_map(move |task| config.tools_of(rules, task))
    };
    let mut names: Vec<&str> = Vec::new();
    for name in config
        .tools
        .iter()
        .map(String::as_str)
        .chain(of_tasks(&config.needs))
        .chain(of_tasks(&config.wants).filter(|_| wanted))
    {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
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
            sets: [("ruby".to_owned(), vec!["irb".to_owned(), "gem".to_owned()])].into(),
            wants: [("test-e2e".to_owned(), vec!["ruby".to_owned()])].into(),
        };
        assert_eq!(
            needed(&config, &["test-e2e".to_owned()], false),
            ["cargo-make", "cargo-nextest"]
        );
        assert_eq!(
            needed(&config, &["test-e2e".to_owned()], true),
            ["cargo-make", "cargo-nextest", "irb", "gem"]
        );
        assert_eq!(needed(&config, &["build".to_owned()], true), ["cargo-make"]);
    }
}
