//! `cargo xtask tasks explain`

use std::collections::BTreeSet;

use serde::Serialize;

use super::{Chosen, Whose, no_such_task};
use crate::cx::Cx;
use crate::error::Fault;
use crate::exit::Exit;
use crate::makefile::{self, Data, Makefile, Task, Unresolved};
use crate::term::Style;

/// Show a task as cargo-make runs it, and which file and line each field came from
///
/// Examples:
///   cargo xtask tasks explain test
///   cargo xtask tasks explain build --member tasker-shared --format json
///   cargo xtask tasks explain build --platform windows
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Explain {
    /// The task
    #[arg(value_name = "TASK")]
    task: String,
    #[command(flatten)]
    whose: Whose,
}

#[derive(Serialize)]
struct Explained {
    /// As it was asked for.
    name: String,
    /// The directory.
    member: String,
    /// The task that the aliases lead to.
    task: String,
    description: Option<String>,
    does: String,
    private: bool,
    /// The tasks that it extends, the nearest first.
    extends: Vec<String>,
    /// Where it is defined, the one that wins last.
    defined: Vec<String>,
    fields: Vec<FieldRow>,
    calls: Vec<Call>,
    called_by: Vec<String>,
}

#[derive(Serialize)]
struct FieldRow {
    name: &'static str,
    value: serde_json::Value,
    #[serde(skip)]
    text: Vec<String>,
    file: String,
    line: u32,
    column: u32,
    /// The task that it is written in.
    task: String,
    /// Whether it stands in an override for this platform.
    platform: bool,
}

#[derive(Serialize)]
struct Call {
    name: String,
    via: makefile::Via,
    path: Option<String>,
    place: String,
    /// Whether there is such a task; of another directory it is not asked.
    known: bool,
}

impl Explain {
    pub(super) fn run(self, cx: &Cx) -> anyhow::Result<Exit> {
        let chosen = self.whose.load(cx)?;
        let task = resolve(&chosen, &self.task)?;
        let explained = explain(&chosen, &self.task, &task);
        if cx.term.json() {
            cx.term.json_data(&explained)?;
        } else {
            cx.term.data(&render(cx, &explained))?;
        }
        Ok(Exit::Done)
    }
}

/// The task, or the error that says which one is missing and where it is named.
pub(super) fn resolve(chosen: &Chosen, name: &str) -> Result<Task, Fault> {
    let makefile = &chosen.makefile;
    makefile.resolve(name).map_err(|why| match &why {
        Unresolved::Unknown { name, from: None } => no_such_task(chosen, name),
        Unresolved::Unknown {
            name,
            from: Some(from),
        } => {
            let reference = makefile.tasks.get(&**from).and_then(|task| {
                let all = task.references();
                all.into_iter().find(|it| it.name == *name)
            });
            let place = reference.map_or_else(String::new, |it| format!("{}: ", it.place()));
            let fault = Fault::usage(format!("{place}{why}"));
            match makefile.near(name) {
                Some(near) => fault.hint(format!("did you mean `{near}` there?")),
                None => fault.hint(format!("define `{name}`, or name a task that is there")),
            }
        }
        Unresolved::AliasCycle(names) | Unresolved::ExtendCycle(names) => {
            let first = names.first().and_then(|it| makefile.tasks.get(&**it));
            let place = first.and_then(|task| {
                let field = task.get("extend").or_else(|| task.get("alias"))?;
                Some(format!("{}: ", field.place()))
            });
            Fault::usage(format!("{}{why}", place.unwrap_or_default()))
                .hint("take one of them out of the circle")
        }
    })
}

fn explain(chosen: &Chosen, name: &str, task: &Task) -> Explained {
    let makefile = &chosen.makefile;
    let fields = task.fields.iter().map(|(name, field)| {
        let at = field.position();
        let value = makefile::masked(&field.value);
        FieldRow {
            name,
            text: lines(&value),
            value: value.to_json(),
            file: field.source.shown.clone(),
            line: at.line,
            column: at.column,
            task: field.task.to_string(),
            platform: field.platform,
        }
    });
    let calls = makefile.calls(task).into_iter().map(|call| Call {
        known: call.path.is_some() || makefile.tasks.contains_key(&*call.name),
        place: call.place(),
        name: call.name,
        via: call.via,
        path: call.path,
    });
    let raw = makefile.tasks.get(&task.name);
    Explained {
        name: name.to_owned(),
        member: chosen.shown.clone(),
        task: task.name.to_string(),
        description: task.description().map(str::to_owned),
        does: makefile.filled(task, &task.summary()),
        private: task.is_private(),
        extends: task.extended.iter().map(|it| it.to_string()).collect(),
        defined: raw
            .map(|it| it.definitions.iter().map(|it| it.place()).collect())
            .unwrap_or_default(),
        fields: fields.collect(),
        calls: calls.collect(),
        called_by: called_by(makefile, &task.name),
    }
}

/// The tasks of the same directory that start, extend or stand for this one.
fn called_by(makefile: &Makefile, name: &str) -> Vec<String> {
    let mut callers = BTreeSet::new();
    for (other, raw) in &makefile.tasks {
        let named = raw.references();
        let commanded = makefile.resolve(other).map(|it| makefile.calls(&it));
        let mut all = named.into_iter().chain(commanded.unwrap_or_default());
        if &**other != name && all.any(|it| it.name == name && it.path.is_none()) {
            callers.insert(other.to_string());
        }
    }
    callers.into_iter().collect()
}

/// A value as lines to read: a text of several lines as they are.
fn lines(value: &makefile::Value) -> Vec<String> {
    match &value.data {
        Data::String(text) if text.trim_end().contains('\n') => {
            let body = text.trim_end().lines().map(|line| format!("  {line}"));
            std::iter::once("'''".to_owned())
                .chain(body)
                .chain(["'''".to_owned()])
                .collect()
        }
        _ => vec![value.to_string()],
    }
}

fn render(cx: &Cx, it: &Explained) -> String {
    let mut text = String::new();
    let mut line = |words: &str| {
        text.push_str(words.trim_end());
        text.push('\n');
    };
    let title = cx.term.paint(Style::Bold, &it.name);
    let description = it.description.as_deref().unwrap_or("(no description)");
    line(&format!("{title}: {description}"));
    let mut fact = |name: &str, words: &str| {
        if !words.is_empty() {
            line(&format!("  {name:<10} {words}"));
        }
    };
    fact("in", &it.member);
    if it.task != it.name {
        fact("alias of", &it.task);
    }
    if it.private {
        fact("private", "cannot be called by its name");
    }
    fact("defined", &it.defined.join(", "));
    fact("extends", &it.extends.join(" -> "));
    fact("does", &it.does);
    for call in &it.calls {
        let place = match &call.path {
            Some(path) => format!(" of {path}"),
            None => String::new(),
        };
        let missing = if call.known {
            ""
        } else {
            ", which is not there"
        };
        fact(
            "",
            &format!(
                "{} {}{place}{missing}  [{}]",
                call.via.words(),
                call.name,
                call.place
            ),
        );
    }
    fact("called by", &it.called_by.join(", "));
    line("");
    let places: Vec<(String, String)> = it
        .fields
        .iter()
        .map(|field| {
            let place = format!("{}:{}:{}", field.file, field.line, field.column);
            let of = match (field.task != it.task, field.platform) {
                (true, true) => format!("  ({}, for this platform)", field.task),
                (true, false) => format!("  ({})", field.task),
                (false, true) => "  (for this platform)".to_owned(),
                (false, false) => String::new(),
            };
            (place, of)
        })
        .collect();
    let width = places
        .iter()
        .map(|(place, of)| place.chars().count() + of.chars().count())
        .max()
        .unwrap_or(0);
    for (field, (place, of)) in it.fields.iter().zip(&places) {
        let gap = width - place.chars().count() - of.chars().count();
        let origin = cx.term.paint(Style::Dim, &format!("{place}{of}"));
        let name = cx.term.paint(Style::Cyan, field.name);
        for (n, value) in field.text.iter().enumerate() {
            if n == 0 {
                line(&format!("  {origin}{:gap$}  {name} = {value}", ""));
            } else {
                line(&format!("  {:width$}  {value}", ""));
            }
        }
    }
    text
}
