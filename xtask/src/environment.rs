//! The resolved environment: process > `.env` > layers > `[env.ci]` > `[env.defaults]`.
//!
//! The layers are the dotenv files of the profile, then those of the target. A variable that is set
//! in the process wins, even when it is empty. Nothing here changes the environment of this process:
//! the result is an overlay for children.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::Command;

use crate::config::{self, Config};
use crate::cx::Cx;
use crate::env_file::{self, ExpandError, Template};
use crate::error::Fault;
use crate::fsx;

/// Which layers to lay (from `--profile` and `--target`).
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Choice {
    /// Lay the dotenv files of this profile ([env.profiles]; default: [env] profile)
    #[arg(long, value_name = "PROFILE")]
    pub profile: Option<String>,
    /// Lay the dotenv files of this target over them ([env.targets])
    #[arg(long, value_name = "TARGET")]
    pub target: Option<String>,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The process environment.
    Process,
    /// A dotenv file: its path relative to the root, and the line.
    File(String, usize),
    /// `[env.ci]`.
    Ci,
    /// `[env.defaults]`.
    Default,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Origin::Process => f.write_str("process"),
            Origin::File(file, line) => write!(f, "{file}:{line}"),
            Origin::Ci => f.write_str("[env.ci]"),
            Origin::Default => f.write_str("[env.defaults]"),
        }
    }
}

/// A value and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The value, expanded.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
    /// Where else a value stands that this one shadows, the nearest first.
    pub shadows: Vec<Origin>,
}

/// The names that the workspace sets, resolved.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    entries: BTreeMap<String, Entry>,
    process: BTreeMap<String, String>,
}

/// Assignments of one layer, the lowest layer first.
type Layer = Vec<(String, Template, Origin)>;

impl Environment {
    /// Composes the environment.
    ///
    /// # Errors
    /// A malformed or missing dotenv file, an unknown profile or target, a circle of references, a value
    /// of the process that is not Unicode where one is asked for.
    pub fn resolve(cx: &Cx, choice: &Choice) -> anyhow::Result<Environment> {
        let mut layers = lower_layers(cx, choice)?;
        layers.push(read_layer(cx, Path::new(".env"), false)?);
        let config = cx.config()?;
        let url = config.database.iter().map(|it| it.url_env.as_str());
        let required = config.env.required.iter().map(String::as_str);
        check_unicode(&layers, url.chain(required), &cx.not_unicode)?;
        compose(&layers, &cx.env)
    }

    /// Composes what `setup-env` writes: everything below `.env`.
    ///
    /// # Errors
    /// As [`Environment::resolve`].
    pub fn below_env_file(cx: &Cx, choice: &Choice) -> anyhow::Result<Environment> {
        compose(&lower_layers(cx, choice)?, &BTreeMap::new())
    }

    /// The value of a name; an empty one is none.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let value = match self.entries.get(name) {
            Some(entry) => entry.value.as_str(),
            None => self.process.get(name)?.as_str(),
        };
        Some(value).filter(|value| !value.is_empty())
    }

    /// Where the value of a name comes from.
    #[must_use]
    pub fn origin(&self, name: &str) -> Option<Origin> {
        match self.entries.get(name) {
            Some(entry) => Some(entry.origin.clone()),
            None => self.process.contains_key(name).then_some(Origin::Process),
        }
    }

    /// Every name that a layer sets, with its value and origin.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries
            .iter()
            .map(|(name, entry)| (name.as_str(), entry))
    }

    /// Lays what the process does not have already over a child's environment.
    pub fn apply(&self, command: &mut Command) {
        for (name, entry) in &self.entries {
            if entry.origin != Origin::Process {
                command.env(name, &entry.value);
            }
        }
    }
}

fn lower_layers(cx: &Cx, choice: &Choice) -> anyhow::Result<Vec<Layer>> {
    let config = cx.config()?;
    let plain = |values: &BTreeMap<String, String>, origin: &Origin| -> Layer {
        values
            .iter()
            .map(|(name, value)| {
                (
                    name.clone(),
                    Template::with_variables(value),
                    origin.clone(),
                )
            })
            .collect()
    };
    let mut layers = vec![plain(&config.env.defaults, &Origin::Default)];
    if cx.ci() {
        layers.push(plain(&config.env.ci, &Origin::Ci));
    }
    for file in chosen_files(config, choice)? {
        layers.push(read_layer(cx, file, true)?);
    }
    Ok(layers)
}

fn chosen_files<'a>(
    config: &'a Config,
    choice: &Choice,
) -> Result<Vec<&'a std::path::PathBuf>, Fault> {
    let mut files = Vec::new();
    let profile = choice.profile.as_ref().or(config.env.profile.as_ref());
    let pairs = [
        ("profile", profile, &config.env.profiles),
        ("target", choice.target.as_ref(), &config.env.targets),
    ];
    for (kind, wanted, known) in pairs {
        let Some(name) = wanted else { continue };
        let found = known.get(name).ok_or_else(|| {
            config::unknown_name(format!("no {kind} is called `{name}`"), name, known.keys())
        })?;
        files.extend(found);
    }
    Ok(files)
}

fn read_layer(cx: &Cx, file: &Path, required: bool) -> anyhow::Result<Layer> {
    let shown = file.display().to_string().replace('\\', "/");
    let Some(text) = fsx::read_optional(&cx.root.join(file))? else {
        if required {
            return Err(
                Fault::usage(format!("the dotenv file `{shown}` is not there"))
                    .hint("make it, or correct [env] in `.config/xtask.toml`")
                    .into(),
            );
        }
        return Ok(Layer::new());
    };
    let assignments = env_file::parse(&text).map_err(|error| {
        Fault::usage(format!("{shown}:{}: {}", error.line, error.message))
            .hint("quote values that hold quotes, `$` or line breaks: NAME='value'")
    })?;
    Ok(assignments
        .into_iter()
        .map(|it| (it.name, it.value, Origin::File(shown.clone(), it.line)))
        .collect())
}

/// The process wins over the layers, so that its value is theirs: one that is not Unicode cannot be
/// written to a dotenv file, be compared, or be a part of another value.
fn check_unicode<'a>(
    layers: &'a [Layer],
    asked_for: impl Iterator<Item = &'a str>,
    not_unicode: &BTreeMap<OsString, OsString>,
) -> Result<(), Fault> {
    let layered = layers.iter().flatten();
    let named = layered.flat_map(|(name, value, _)| value.variables().chain([name.as_str()]));
    match named
        .chain(asked_for)
        .find(|name| not_unicode.contains_key(OsStr::new(name)))
    {
        None => Ok(()),
        Some(name) => Err(Fault::usage(format!(
            "the variable `{name}` of the process is not valid Unicode"
        ))
        .hint(format!("set `{name}` anew, or unset it"))),
    }
}

/// Lays the layers over each other (the last wins), the process over all, and expands.
fn compose(layers: &[Layer], process: &BTreeMap<String, String>) -> anyhow::Result<Environment> {
    let mut templates: BTreeMap<String, Template> = BTreeMap::new();
    let mut origins: BTreeMap<String, Vec<Origin>> = BTreeMap::new();
    for (name, template, origin) in layers.iter().flatten() {
        templates.insert(name.clone(), template.clone());
        origins
            .entry(name.clone())
            .or_default()
            .insert(0, origin.clone());
    }
    for (name, origins) in &mut origins {
        if let Some(value) = process.get(name) {
            templates.insert(name.clone(), Template::literal(value.clone()));
            origins.insert(0, Origin::Process);
        }
    }
    let values = env_file::expand(&templates, process).map_err(|error| match error {
        ExpandError::Circle(names) => Fault::usage(format!(
            "variables refer to each other: {}",
            names.join(" -> ")
        )),
        ExpandError::TooLarge(name) => {
            Fault::usage(format!("the value of `{name}` grows beyond a megabyte"))
        }
        ExpandError::TooDeep(name) => Fault::usage(format!(
            "more than a hundred variables refer to each other in a row, up to `{name}`"
        )),
    })?;
    let entries = values
        .into_iter()
        .map(|(name, value)| {
            let mut origins = origins.remove(&name).unwrap_or_default();
            let origin = if origins.is_empty() {
                Origin::Process
            } else {
                origins.remove(0)
            };
            (
                name,
                Entry {
                    value,
                    origin,
                    shadows: origins,
                },
            )
        })
        .collect();
    Ok(Environment {
        entries,
        process: process.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(pairs: &[(&str, &str)], origin: &Origin) -> Layer {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    (*name).to_owned(),
                    Template::with_variables(value),
                    origin.clone(),
                )
            })
            .collect()
    }

    #[test]
    fn the_last_layer_wins_and_the_process_wins_over_all() {
        let env_file = Origin::File(".env".to_owned(), 1);
        let layers = [
            layer(
                &[
                    ("A", "default"),
                    ("B", "default"),
                    ("URL", "http://$HOST/$B"),
                ],
                &Origin::Default,
            ),
            layer(&[("A", "file"), ("B", "file")], &env_file),
        ];
        let process = BTreeMap::from([
            ("B".to_owned(), "process".to_owned()),
            ("HOST".to_owned(), "h".to_owned()),
        ]);
        let environment = compose(&layers, &process).unwrap();
        assert_eq!(environment.get("A"), Some("file"));
        assert_eq!(environment.origin("A"), Some(env_file));
        assert_eq!(environment.get("B"), Some("process"));
        // A reference sees the value that wins, not that of its own layer.
        assert_eq!(environment.get("URL"), Some("http://h/process"));
        assert_eq!(environment.entries["B"].shadows.len(), 2);
        assert_eq!(environment.get("HOST"), Some("h"));
    }

    #[test]
    fn a_variable_that_is_set_but_empty_still_wins() {
        let layers = [layer(&[("A", "default")], &Origin::Default)];
        let process = BTreeMap::from([("A".to_owned(), String::new())]);
        let environment = compose(&layers, &process).unwrap();
        assert_eq!(
            (environment.get("A"), environment.origin("A")),
            (None, Some(Origin::Process))
        );
    }
}
