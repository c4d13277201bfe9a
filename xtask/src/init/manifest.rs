//! The crate that a workspace gets, the alias that runs it, and its place among the members. Pure.

use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, value};

use super::taskfile::quoted;
use super::{Kind, Options, Plan, Survey};
use crate::error::Fault;
use crate::glob;

/// Where the new crate finds this library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Library {
    /// A directory: as written in the new crate's manifest, with `/`.
    Path(String),
    /// A git repository, and what of it: `rev`, `branch` or `tag`.
    Git(String, Option<(String, String)>),
    /// A version, of a registry that has it.
    Version(String),
}

impl Library {
    fn render(&self) -> String {
        match self {
            Library::Path(path) => format!("{{ path = {} }}", quoted(path)),
            Library::Git(url, None) => format!("{{ git = {} }}", quoted(url)),
            Library::Git(url, Some((key, value))) => {
                format!("{{ git = {}, {key} = {} }}", quoted(url), quoted(value))
            }
            Library::Version(version) => quoted(version),
        }
    }
}

const MAIN: &str = "//! `cargo {name}`: the task layer of this workspace. Commands of its own stand beside the built-in
//! ones: see `xtask::run_with`.

fn main() -> std::process::ExitCode {
    xtask::main()
}
";

fn manifest(options: &Options) -> String {
    format!(
        "[package]
name = {}
version = \"0.0.0\"
edition = \"2024\"
publish = false

# Not the package's name: cargo could not tell it from the library's.
[[bin]]
name = {}
path = \"src/main.rs\"
test = false

[dependencies]
xtask = {}
",
        quoted(&options.package()),
        quoted(&options.name),
        options.library.render(),
    )
}

/// The crate in this directory is ours, or there is none.
///
/// # Errors
/// When another one is there.
pub(super) fn check_name(survey: &Survey, options: &Options) -> Result<(), Fault> {
    let path = format!("{}/Cargo.toml", options.name);
    let Some(text) = survey.files.get(&path) else {
        return Ok(());
    };
    let document = text.parse::<DocumentMut>().ok();
    let package = document
        .as_ref()
        .and_then(|it| it.get("package")?.get("name")?.as_str());
    if package == Some(options.package().as_str()) {
        return Ok(());
    }
    Err(Fault::usage(format!(
        "`{path}` is another crate: {}",
        package.unwrap_or("without a name")
    ))
    .hint(
        "give this one another name, which is its directory and what you type: `--name tasks`; or \
         call `xtask::run_with` in yours (docs/adopting.md)",
    ))
}

/// The crate: its sources before its manifest, so that cargo never sees one without a target.
pub(super) fn write_crate(survey: &Survey, options: &Options, plan: &mut Plan) {
    let main = format!("{}/src/main.rs", options.name);
    let cargo = format!("{}/Cargo.toml", options.name);
    // A person adds commands and dependencies: only what is not there is written.
    if !survey.files.contains_key(&main) {
        plan.write(survey, &main, MAIN.replace("{name}", &options.name));
    }
    if !survey.files.contains_key(&cargo) {
        plan.write(survey, &cargo, manifest(options));
    }
}

fn document(path: &str, text: &str) -> Result<DocumentMut, Fault> {
    text.parse::<DocumentMut>().map_err(|error| {
        let place = error
            .span()
            .map_or_else(String::new, |it| crate::config::place(text, it.start));
        Fault::usage(format!("{path}{place}: {}", error.message().trim()))
    })
}

/// What `cargo xtask` is built with, at the end of the root manifest.
const PROFILE: &str = "
# What `cargo {name}` is built with: quick to build from nothing, and in a directory of its own, `target/tool`,
# so that it neither waits for the workspace's builds nor is undone by them.
[profile.tool]
inherits = \"dev\"
debug = false
incremental = false
";

/// The alias in cargo's configuration.
pub(super) struct Alias {
    /// With both, cargo reads the one without a suffix.
    path: &'static str,
    line: String,
    document: DocumentMut,
    /// It is the user's own, and stays.
    pub(super) theirs: bool,
}

impl Alias {
    /// # Errors
    /// When the configuration is no TOML.
    pub(super) fn of(survey: &Survey, options: &Options) -> Result<Alias, Fault> {
        let path = match survey.files.contains_key(".cargo/config") {
            true => ".cargo/config",
            false => ".cargo/config.toml",
        };
        let text = survey.files.get(path).map_or("", String::as_str);
        let document = document(path, text)?;
        let line = format!(
            "run --quiet --profile tool --package {} --bin {} --",
            options.package(),
            options.name
        );
        let theirs = match document.get("alias") {
            None => false,
            Some(table) => match table.as_table_like() {
                None => true,
                Some(table) => table
                    .get(&options.name)
                    .is_some_and(|it| !options.force && it.as_str() != Some(&line)),
            },
        };
        Ok(Alias {
            path,
            line,
            document,
            theirs,
        })
    }

    /// Adds it, unless there is one of the user's: that is noted.
    pub(super) fn write(mut self, survey: &Survey, options: &Options, plan: &mut Plan) {
        let table = self
            .document
            .entry("alias")
            .or_insert_with(|| Item::Table(Table::new()));
        let why = match table.as_table_like_mut() {
            None => "`alias` is no table: the alias was not added".to_owned(),
            Some(_) if self.theirs => format!(
                "the alias `{}` is there already, and stays as it is; `--force` replaces it",
                options.name
            ),
            Some(table) => {
                if table.get(&options.name).and_then(Item::as_str) != Some(&self.line) {
                    table.insert(&options.name, value(self.line));
                    let text = survey.files.get(self.path).map_or("", String::as_str);
                    let new = with_line_ends(&self.document.to_string(), text);
                    plan.write(survey, self.path, new);
                }
                return;
            }
        };
        plan.note(Kind::Conflict, self.path, 0, why);
    }
}

/// The root manifest: the new crate is a member, and none that a plain `cargo build` means; with the profile
/// that it is built with, where our alias starts it.
pub(super) fn write_root(
    survey: &Survey,
    options: &Options,
    alias: &Alias,
    plan: &mut Plan,
) -> Result<(), Fault> {
    let path = "Cargo.toml";
    let text = survey.files.get(path).map_or("", String::as_str);
    let mut document = document(path, text)?;
    let new = !document.contains_key("workspace");
    let workspace = document
        .entry("workspace")
        .or_insert_with(|| Item::Table(Table::new()));
    let Some(workspace) = workspace.as_table_like_mut() else {
        return Err(Fault::usage(format!("{path}: `workspace` is no table")));
    };
    let entries = |table: &dyn toml_edit::TableLike, key: &str| -> Vec<String> {
        let list = table.get(key).and_then(Item::as_array);
        list.into_iter()
            .flatten()
            .filter_map(|it| it.as_str().map(str::to_owned))
            .collect()
    };
    let members = entries(workspace, "members");
    let covers = |patterns: &[String], directory: &str| {
        patterns
            .iter()
            .map(|it| it.trim_start_matches("./").trim_end_matches('/'))
            .any(|it| it == directory || glob::matches_path(it, directory))
    };
    if covers(&entries(workspace, "exclude"), &options.name) {
        return Err(
            Fault::usage(format!("{path}: `exclude` has `{}`", options.name))
                .hint("give the new crate another name: `--name tasks`"),
        );
    }
    if !covers(&members, &options.name) {
        push(workspace, "members", &options.name);
    }
    let root_package = survey.members.iter().any(|it| it.directory.is_empty());
    if !root_package && !survey.has_default_members && !new {
        let wanted: Vec<&str> = survey
            .members
            .iter()
            .filter(|it| it.default && it.directory != options.name)
            .map(|it| it.directory.as_str())
            .collect();
        // The user's own patterns, so that what he adds is built, too; but none that has the new crate.
        let patterns: Vec<String> = members
            .iter()
            .filter(|it| !covers(&[(*it).clone()], &options.name))
            .filter(|it| wanted.iter().any(|member| covers(&[(*it).clone()], member)))
            .cloned()
            .collect();
        let rest: Vec<&str> = wanted
            .into_iter()
            .filter(|it| !covers(&patterns, it))
            .collect();
        for entry in patterns.iter().map(String::as_str).chain(rest) {
            push(workspace, "default-members", entry);
        }
    }
    let profiles = document.get_mut("profile");
    let wanted = !alias.theirs && profiles.as_ref().is_none_or(|it| it.get("tool").is_none());
    let mut text_of_profile = String::new();
    match profiles.and_then(Item::as_inline_table_mut) {
        // A section cannot be added to a table in one line.
        Some(inline) if wanted => {
            let tool = [("debug", false), ("incremental", false)].into_iter();
            let mut tool: InlineTable = tool.collect();
            tool.insert("inherits", "dev".into());
            inline.insert("tool", tool.into());
        }
        _ if wanted => text_of_profile = PROFILE.replace("{name}", &options.name),
        _ => {}
    }
    let new = document.to_string() + &text_of_profile;
    plan.write(survey, path, with_line_ends(&new, text));
    Ok(())
}

/// Adds to a list in its own layout: one item a line where it is written so.
fn push(table: &mut dyn toml_edit::TableLike, key: &str, entry: &str) {
    let list = table
        .entry(key)
        .or_insert_with(|| value(Array::new()))
        .as_array_mut();
    let Some(list) = list else { return };
    let prefix = list
        .iter()
        .last()
        .and_then(|it| it.decor().prefix()?.as_str())
        .map(|it| match it.rsplit_once('\n') {
            Some((_, indent)) => format!("\n{indent}"),
            None => " ".to_owned(),
        });
    // What stands behind the last item stays behind it: a comment to it, most likely.
    let behind = |text: Option<&str>| {
        text.filter(|it| it.contains('#'))
            .map(|it| it.trim_end().to_owned())
    };
    let mut comment = behind(list.trailing().as_str());
    if comment.is_some() {
        list.set_trailing("\n");
    } else if let Some(last) = list.iter_mut().last() {
        comment = behind(last.decor().suffix().and_then(|it| it.as_str()));
        if comment.is_some() {
            last.decor_mut().set_suffix("");
            list.set_trailing("\n");
        }
    }
    let prefix = match (comment, prefix) {
        (Some(comment), Some(prefix)) if prefix.starts_with('\n') => {
            Some(format!("{comment}{prefix}"))
        }
        (Some(comment), _) => Some(format!("{comment}\n    ")),
        (None, prefix) => prefix,
    };
    let mut item = toml_edit::Value::from(entry);
    match prefix {
        Some(prefix) => item.decor_mut().set_prefix(prefix),
        None if list.is_empty() => {}
        None => item.decor_mut().set_prefix(" "),
    }
    list.push_formatted(item);
}

fn with_line_ends(new: &str, old: &str) -> String {
    if old.contains("\r\n") {
        new.replace("\r\n", "\n").replace('\n', "\r\n")
    } else {
        new.to_owned()
    }
}
