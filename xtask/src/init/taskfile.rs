//! A task file as we write it: tasks, and their text. Pure.

use std::fmt::Write as _;

/// A task of ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Task {
    pub(super) name: String,
    /// A comment above it: lines without `#`.
    pub(super) comment: &'static str,
    pub(super) extend: String,
    pub(super) description: String,
    pub(super) category: &'static str,
    /// What the base says and it inherits: description and category.
    pub(super) inherits: (String, &'static str),
    /// A base: there to be extended.
    pub(super) base: bool,
    pub(super) dependencies: Vec<String>,
    pub(super) command: &'static str,
    pub(super) cwd: String,
    pub(super) args: Vec<String>,
}

impl Task {
    /// A task with a body of its own or inherited.
    pub(super) fn new(name: impl Into<String>, extend: impl Into<String>) -> Task {
        Task {
            name: name.into(),
            extend: extend.into(),
            ..Task::default()
        }
    }

    pub(super) fn says(mut self, description: impl Into<String>, category: &'static str) -> Task {
        self.description = description.into();
        self.category = category;
        self
    }

    pub(super) fn args<S: Into<String>>(mut self, args: impl IntoIterator<Item = S>) -> Task {
        self.args = args.into_iter().map(Into::into).collect();
        self
    }

    pub(super) fn needs<S: Into<String>>(mut self, tasks: impl IntoIterator<Item = S>) -> Task {
        self.dependencies = tasks.into_iter().map(Into::into).collect();
        self
    }

    pub(super) fn within(mut self, directory: impl Into<String>) -> Task {
        self.cwd = directory.into();
        self
    }

    pub(super) fn base(mut self) -> Task {
        self.base = true;
        self
    }

    pub(super) fn comment(mut self, comment: &'static str) -> Task {
        self.comment = comment;
        self
    }
}

/// How tasks are written into a file that has tasks of its own from before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mode {
    /// Tasks of the same name lie below ours: cargo-make's core tasks, on which its tasks lean, or the
    /// root's, which it extends. Ours start from nothing.
    pub(super) clear: bool,
    /// Its tasks run in every member by default: ours say that they do not.
    pub(super) members: bool,
}

impl Mode {
    pub(super) const ALL: [Mode; 4] = [
        Mode {
            clear: false,
            members: false,
        },
        Mode {
            clear: false,
            members: true,
        },
        Mode {
            clear: true,
            members: false,
        },
        Mode {
            clear: true,
            members: true,
        },
    ];
}

/// A whole file.
#[derive(Clone, Debug, Default)]
pub(super) struct TaskFile {
    /// Relative to the root.
    pub(super) path: String,
    /// The lines above everything, without `#`.
    pub(super) header: &'static str,
    /// What it extends, relative to itself.
    pub(super) extend: Vec<String>,
    /// `[config]` and `[env]`, as text.
    pub(super) settings: String,
    pub(super) tasks: Vec<Task>,
    /// All of it, rendered once.
    pub(super) text: String,
    /// How its tasks are written.
    pub(super) mode: Mode,
    /// Names of tasks that it goes without, because they are in use.
    pub(super) yielded: Vec<String>,
}

impl TaskFile {
    /// The bases that its tasks extend.
    pub(super) fn bases(&self) -> impl Iterator<Item = &str> {
        self.tasks
            .iter()
            .map(|task| task.extend.as_str())
            .filter(|name| !name.is_empty())
    }

    /// The whole text.
    pub(super) fn render(&self) -> String {
        let mut text = comment(self.header);
        match self.extend.as_slice() {
            [] => {}
            [one] => {
                let _ = writeln!(text, "extend = {}", quoted(one));
            }
            several => {
                text.push_str("extend = [\n");
                for path in several {
                    let _ = writeln!(text, "  {{ path = {} }},", quoted(path));
                }
                text.push_str("]\n");
            }
        }
        if !self.settings.is_empty() {
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(&self.settings);
        }
        let (short, long): (Vec<&Task>, Vec<&Task>) = self
            .tasks
            .iter()
            .partition(|task| is_short(task) && self.mode == Mode::default());
        if !short.is_empty() {
            text.push_str("\n[tasks]\n");
            for task in short {
                let _ = writeln!(
                    text,
                    "{} = {{ extend = {}, private = false }}",
                    task.name,
                    quoted(&task.extend)
                );
            }
        }
        for task in long {
            text.push('\n');
            text.push_str(&render(task, self.mode));
        }
        text
    }
}

fn is_short(task: &Task) -> bool {
    let bare = Task {
        name: task.name.clone(),
        extend: task.extend.clone(),
        inherits: task.inherits.clone(),
        ..Task::default()
    };
    *task == bare
}

/// One task as a table of its own.
pub(super) fn render(task: &Task, mode: Mode) -> String {
    let mut text = comment(task.comment);
    let _ = writeln!(text, "[tasks.{}]", task.name);
    let mut line = |key: &str, value: &str| {
        let _ = writeln!(text, "{key} = {value}");
    };
    if mode.clear {
        line("clear", "true");
    }
    if mode.members {
        line("workspace", "false");
    }
    // What clears the core task would clear the base, too: it is run, not extended.
    let own_body = !task.args.is_empty() || !task.dependencies.is_empty();
    let run_base = mode.clear && !task.extend.is_empty() && !own_body;
    if !task.extend.is_empty() && !mode.clear {
        line("extend", &quoted(&task.extend));
    }
    let inherits = mode.clear && task.description.is_empty();
    let (description, category) = if inherits {
        (task.inherits.0.as_str(), task.inherits.1)
    } else {
        (task.description.as_str(), task.category)
    };
    if !description.is_empty() {
        line("description", &quoted(description));
    }
    if !category.is_empty() {
        line("category", &quoted(category));
    }
    if task.base && task.extend.is_empty() {
        line("private", "true");
    } else if !task.base && !task.extend.is_empty() && !mode.clear {
        line("private", "false");
    }
    if !task.cwd.is_empty() {
        line("cwd", &quoted(&task.cwd));
    }
    if !task.dependencies.is_empty() {
        line("dependencies", &list(&task.dependencies));
    }
    if run_base {
        line("run_task", &quoted(&task.extend));
    } else if task.command == "cargo" || (mode.clear && !task.args.is_empty()) {
        line("install_crate", "false");
        line("command", "\"cargo\"");
    } else if !task.command.is_empty() {
        line("command", &quoted(task.command));
    }
    if !task.args.is_empty() {
        line("args", &list(&task.args));
    }
    text
}

fn comment(lines: &str) -> String {
    lines.lines().map(|line| format!("# {line}\n")).collect()
}

/// A list in one line, or one item a line where that is too long.
fn list(items: &[String]) -> String {
    let items: Vec<String> = items.iter().map(|it| quoted(it)).collect();
    let line = format!("[{}]", items.join(", "));
    if line.len() <= 100 {
        return line;
    }
    let items: String = items.iter().map(|it| format!("  {it},\n")).collect();
    format!("[\n{items}]")
}

/// A TOML string.
pub(super) fn quoted(text: &str) -> String {
    toml_edit::Value::from(text).to_string()
}
