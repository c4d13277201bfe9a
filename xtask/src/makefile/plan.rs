//! The steps that a task comes to, in cargo-make's order.

use std::collections::HashSet;

use super::task::{Task, Via};
use super::{Makefile, Unresolved, merge};

/// A step of a plan.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its name, as the task was called.
    pub name: String,
    /// What is run; of a dependency in another file nothing is known here.
    pub task: Option<Task>,
    /// The other file or directory, of a dependency with `path`.
    pub path: Option<String>,
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq)]
pub enum Unplanned {
    /// A task cannot be resolved.
    Unresolved(Unresolved),
    /// The task is private, so it cannot be called.
    Private(String),
    /// Dependencies lead in a circle, on which cargo-make ends with a stack overflow: the names, the
    /// first again at the end.
    Cycle(Vec<String>),
}

impl std::fmt::Display for Unplanned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Unplanned::Unresolved(why) => why.fmt(f),
            Unplanned::Private(name) => write!(f, "the task `{name}` is private"),
            Unplanned::Cycle(names) => {
                write!(f, "dependencies lead in a circle: {}", names.join(" -> "))
            }
        }
    }
}

impl Makefile {
    /// The steps of `cargo make --no-workspace NAME`, `[config]`'s `init_task` and `end_task` around them.
    /// A `run_task` starts when its task does, and is no step.
    ///
    /// # Errors
    /// When cargo-make would have no plan.
    pub fn plan(&self, name: &str) -> Result<Vec<Step>, Unplanned> {
        let mut steps = Vec::new();
        for key in ["legacy_migration_task", "init_task"] {
            self.around(key, &mut steps)?;
        }
        let mut walk = Walk {
            makefile: self,
            steps: &mut steps,
            seen: HashSet::new(),
            walked: HashSet::new(),
            open: Vec::new(),
        };
        walk.all(name)?;
        self.around("end_task", &mut steps)?;
        Ok(steps)
    }

    fn around(&self, key: &str, steps: &mut Vec<Step>) -> Result<(), Unplanned> {
        let Some(name) = self.config.get(key).and_then(|it| it.value.as_str()) else {
            return Ok(());
        };
        let task = merge::resolve(&self.tasks, name, self.platform, false)
            .map_err(Unplanned::Unresolved)?;
        if !task.flag("disabled") {
            steps.push(Step {
                name: name.to_owned(),
                task: Some(task),
                path: None,
            });
        }
        Ok(())
    }
}

struct Walk<'a> {
    makefile: &'a Makefile,
    steps: &'a mut Vec<Step>,
    seen: HashSet<String>,
    /// Nothing new is below these. cargo-make walks them again, each time that one of them is named.
    walked: HashSet<String>,
    /// From the asked one down to where the walk is: a list, for a row of tasks may be longer than a stack.
    open: Vec<Open>,
}

/// A task whose dependencies are being walked.
struct Open {
    name: String,
    task: Task,
    /// Names and paths, the next one last.
    left: Vec<(String, Option<String>)>,
}

impl Walk<'_> {
    fn all(&mut self, name: &str) -> Result<(), Unplanned> {
        self.enter(name, true)?;
        while let Some(open) = self.open.last_mut() {
            match open.left.pop() {
                Some((name, None)) => self.enter(&name, false)?,
                Some((name, Some(path))) => {
                    self.steps.push(Step {
                        name: format!("{name}_proxy"),
                        task: None,
                        path: Some(path.clone()),
                    });
                    self.seen.insert(format!("{path}:{name}"));
                }
                None => self.leave(),
            }
        }
        Ok(())
    }

    fn enter(&mut self, name: &str, asked: bool) -> Result<(), Unplanned> {
        if self.walked.contains(name) {
            return Ok(());
        }
        let task = self.makefile.resolve(name).map_err(Unplanned::Unresolved)?;
        if asked && task.is_private() {
            return Err(Unplanned::Private(name.to_owned()));
        }
        if task.flag("disabled") {
            return Ok(());
        }
        if let Some(at) = self.open.iter().position(|it| it.name == name) {
            let names = self.open[at..].iter().map(|it| it.name.clone());
            return Err(Unplanned::Cycle(names.chain([name.to_owned()]).collect()));
        }
        let dependencies = task.calls().into_iter().rev();
        let left = dependencies
            .filter(|it| it.via == Via::Dependency)
            .map(|it| (it.name, it.path))
            .collect();
        self.open.push(Open {
            name: name.to_owned(),
            task,
            left,
        });
        Ok(())
    }

    fn leave(&mut self) {
        let Some(Open { name, task, .. }) = self.open.pop() else {
            return;
        };
        self.walked.insert(name.clone());
        if self.seen.insert(name.clone()) {
            self.steps.push(Step {
                name,
                task: Some(task),
                path: None,
            });
        }
    }
}
