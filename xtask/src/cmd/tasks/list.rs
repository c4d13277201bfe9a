//! `cargo xtask tasks list`

use std::collections::BTreeMap;

use serde::Serialize;

use super::Whose;
use crate::cx::Cx;
use crate::exit::Exit;
use crate::term::Style;

/// List the tasks by category: what each does, and where it is defined
///
/// Examples:
///   cargo xtask tasks list
///   cargo xtask tasks list --member tasker-shared
///   cargo xtask tasks list --all --format json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct List {
    /// Also private tasks, and those that cargo-make itself brings
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    whose: Whose,
}

#[derive(Serialize)]
struct Row {
    name: String,
    category: Option<String>,
    description: Option<String>,
    /// What it resolves to.
    does: String,
    /// The task that its aliases lead to.
    alias_of: Option<String>,
    private: bool,
    /// `file:line:column`, the one that wins last.
    defined: Vec<String>,
    /// Why it cannot be resolved.
    fault: Option<String>,
}

impl List {
    pub(super) fn run(self, cx: &Cx) -> anyhow::Result<Exit> {
        let chosen = self.whose.load(cx)?;
        let makefile = &chosen.makefile;
        let mut rows = Vec::new();
        for (name, raw) in &makefile.tasks {
            let resolved = makefile.resolve(name);
            let (task, fault) = match &resolved {
                Ok(task) => (task, None),
                // What it says itself is better than nothing.
                Err(why) => (&**raw, Some(why.to_string())),
            };
            if !self.all && (task.is_private() || raw.is_internal()) {
                continue;
            }
            rows.push(Row {
                name: name.to_string(),
                category: task.category().map(str::to_owned),
                description: task.description().map(str::to_owned),
                does: makefile.filled(task, &task.summary()),
                alias_of: (task.name != *name).then(|| task.name.to_string()),
                private: task.is_private(),
                defined: raw.definitions.iter().map(|it| it.place()).collect(),
                fault,
            });
        }
        if cx.term.json() {
            cx.term.json_data(&rows)?;
        } else {
            cx.term.data(&render(cx, &rows))?;
        }
        Ok(Exit::Done)
    }
}

fn render(cx: &Cx, rows: &[Row]) -> String {
    let mut categories: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        let category = row.category.as_deref().unwrap_or("No category");
        categories.entry(category).or_default().push(row);
    }
    let width = rows
        .iter()
        .map(|row| row.name.chars().count())
        .max()
        .unwrap_or(0)
        .min(32);
    let mut text = String::new();
    for (n, (category, rows)) in categories.into_iter().enumerate() {
        if n > 0 {
            text.push('\n');
        }
        text.push_str(&cx.term.paint(Style::Bold, category));
        text.push('\n');
        for row in rows {
            let name = format!("{:width$}", row.name);
            let name = cx.term.paint(Style::Cyan, &name);
            let private = if row.private { " (private)" } else { "" };
            let description = row.description.as_deref().unwrap_or("(no description)");
            text.push_str(&format!("  {name}  {description}{private}\n"));
            let mut does = match (&row.fault, &row.alias_of) {
                (Some(fault), _) => format!("broken: {fault}"),
                (None, Some(other)) => format!("alias of {other}"),
                (None, None) => row.does.clone(),
            };
            if let Some(place) = row.defined.last() {
                does.push_str(&format!("  [{place}]"));
            }
            let does = cx.term.paint(Style::Dim, &does);
            text.push_str(&format!("  {:width$}    {does}\n", ""));
        }
    }
    text
}
