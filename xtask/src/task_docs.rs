//! The reference of all tasks, as Markdown. Pure.
//!
//! It has no line numbers: a change that moves a task changes nothing in it.

use std::collections::BTreeMap;

use crate::makefile::{Makefile, Member, Model, Problem, Task, Via};

/// The whole page.
///
/// # Errors
/// When a task file cannot be read.
pub fn page(model: &Model) -> Result<String, Problem> {
    let mut page = String::from(
        "# Tasks\n\n\
         What `cargo make TASK` can do, by directory. `cargo xtask tasks docs` writes this page; \
         `cargo xtask tasks explain TASK` shows a task with the file and line of each field, \
         `cargo xtask tasks graph TASK` draws what it starts.\n",
    );
    for member in &model.members {
        let makefile = member.makefile.as_ref().map_err(Clone::clone)?;
        if member.has_makefile {
            section(member, makefile, &mut page);
        }
    }
    Ok(page)
}

fn section(member: &Member, makefile: &Makefile, page: &mut String) {
    let tasks: Vec<(&str, Task, bool)> = makefile
        .tasks
        .iter()
        .filter_map(|(name, raw)| {
            let task = makefile.resolve(name).ok()?;
            let shown = !task.is_private() && !raw.is_internal();
            let alias = task.name != *name;
            shown.then_some((&**name, task, alias))
        })
        .collect();
    if tasks.is_empty() {
        return;
    }
    if member.shown.is_empty() {
        page.push_str("\n## The root\n");
    } else if member.package && member.name != member.shown {
        page.push_str(&format!("\n## `{}` ({})\n", member.shown, member.name));
    } else {
        page.push_str(&format!("\n## `{}`\n", member.shown));
    }
    let mut categories: BTreeMap<&str, Vec<&(&str, Task, bool)>> = BTreeMap::new();
    for row in &tasks {
        let category = row.1.category().unwrap_or("No category");
        categories.entry(category).or_default().push(row);
    }
    // Few tasks are read at a glance; many want headings.
    let headed = member.shown.is_empty() || tasks.len() > 24;
    if !headed {
        page.push_str("\n| task | what it does | what it runs |\n|---|---|---|\n");
    }
    for (category, rows) in categories {
        if headed {
            page.push_str(&format!("\n### {}\n\n", cell(category)));
            page.push_str("| task | what it does | what it runs |\n|---|---|---|\n");
        }
        for (name, task, alias) in rows {
            let runs = if *alias {
                format!("the same as {}", code(&task.name))
            } else {
                runs(makefile, task)
            };
            let about = task.description().unwrap_or("");
            page.push_str(&format!("| {} | {} | {runs} |\n", code(name), cell(about)));
        }
    }
}

/// Its command as code; that it starts others, in words.
fn runs(makefile: &Makefile, task: &Task) -> String {
    let calls = task.calls();
    let before: Vec<String> = calls
        .iter()
        .filter(|it| it.via == Via::Dependency)
        .map(|it| match &it.path {
            Some(path) => format!("{} of {}", code(&it.name), code(path)),
            None => code(&it.name),
        })
        .collect();
    let own = match task.command_line().filter(|_| !task.flag("disabled")) {
        None => cell(&task.action()),
        Some(line) => {
            let line = code(&makefile.filled(task, &line));
            match task.text("cwd") {
                Some(cwd) => format!("{line} in {}", code(cwd)),
                None => line,
            }
        }
    };
    match (own.is_empty(), before.is_empty()) {
        (false, true) => own,
        (false, false) => format!("{own}, after {}", before.join(", ")),
        (true, false) => before.join(", "),
        (true, true) => String::new(),
    }
}

/// Text within a table.
fn cell(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    text.replace('|', "\\|").replace('<', "&lt;")
}

/// Code within a table.
fn code(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let text = text.replace('|', "\\|");
    if text.contains('`') {
        format!("`` {text} ``")
    } else {
        format!("`{text}`")
    }
}
