//! The edge: reads what the rules look at, and writes what they mend.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::edit;
use super::facts::{self, Directory, Document, Facts, Member};
use super::{Levels, Report, names};
use crate::config::Config;
use crate::env_file;
use crate::error::Fault;
use crate::fsx;
use crate::glob;
use crate::makefile::{Loader, Model, Options, Platform, Problem, Source, Span, TaskFile};

/// What was read, and what could not be.
#[derive(Debug)]
pub struct Input {
    /// For the rules.
    pub facts: Facts,
    /// Files that cargo-make would refuse, each once, in the order of their places.
    pub problems: Vec<Problem>,
}

/// A larger document is no text for people, in bytes.
const DOCUMENT_LIMIT: u64 = 4 << 20;

/// Reads a workspace.
///
/// # Errors
/// When the workspace's manifests, or a document, cannot be read. What is wrong with task files is in
/// [`Input::problems`].
pub fn read(root: &Path, config: &Config) -> anyhow::Result<Input> {
    // The same answer on every machine.
    let options = Options {
        platform: Platform::Linux,
        ..Options::default()
    };
    let model = Model::load(root, options.clone())?;
    let mut problems: Vec<Problem> = Vec::new();
    let mut directories = Vec::new();
    let mut members = Vec::new();
    for member in &model.members {
        let makefile = match &member.makefile {
            Ok(makefile) => makefile,
            Err(problem) => {
                problems.push(problem.clone());
                continue;
            }
        };
        if let Some(own) = &makefile.file {
            directories.push(Directory {
                path: member.shown.clone(),
                member: member.package || member.shown.is_empty(),
                makefile: makefile.clone(),
                own: own.source.clone(),
            });
        }
        if member.package {
            members.push((member.shown.clone(), member.has_makefile));
        }
    }
    let files = files(&model, &config.lint.shared, &options, &mut problems)?;
    problems.sort_by(|a, b| (&a.shown, &a.message).cmp(&(&b.shown, &b.message)));
    problems.dedup();
    let manifest = fsx::read_optional(&root.join("Cargo.toml"))?.map(|text| {
        Arc::new(Source::new(
            root.join("Cargo.toml"),
            "Cargo.toml".to_owned(),
            text,
        ))
    });
    let parsed = manifest
        .as_ref()
        .and_then(|it| toml_edit::Document::parse(it.text.clone()).ok());
    let has = |key: &str| parsed.as_ref().is_some_and(|it| it.contains_key(key));
    let named = parsed.as_ref().map(Named::new).unwrap_or_default();
    let mut facts = Facts {
        workspace: has("workspace"),
        root_package: has("package"),
        members: members
            .into_iter()
            .filter(|(path, _)| !path.is_empty())
            .map(|(path, makefile)| Member {
                span: named.place(&path),
                path,
                makefile,
            })
            .collect(),
        manifest,
        documents: documents(root, &config.lint.docs)?,
        files,
        directories,
        lint: config.lint.clone(),
        test_tasks: config
            .tests
            .values()
            .flat_map(|it| it.tasks.iter().cloned())
            .collect(),
        ..Facts::default()
    };
    variables(root, config, &mut facts);
    if let Some(text) = fsx::read_optional(&crate::workspace::config_path(root))? {
        facts.config_words = words(&text);
    }
    Ok(Input { facts, problems })
}

/// Every task file that a directory uses, and the shared ones that none does.
fn files(
    model: &Model,
    shared: &[String],
    options: &Options,
    problems: &mut Vec<Problem>,
) -> anyhow::Result<Vec<facts::File>> {
    let is_shared = |shown: &str| {
        shared
            .iter()
            .any(|pattern| glob::matches_path(pattern, shown))
    };
    let used: HashSet<&PathBuf> = model
        .members
        .iter()
        .filter_map(|member| member.makefile.as_ref().ok())
        .flat_map(|makefile| &makefile.files)
        .map(|file| &file.source.path)
        .collect();
    let mut all: BTreeMap<String, facts::File> = model
        .files
        .iter()
        .filter(|file| !file.source.is_internal())
        .map(|file| {
            let shown = file.source.shown.clone();
            let file = facts::file(
                file.clone(),
                is_shared(&shown),
                used.contains(&file.source.path),
            );
            (shown, file)
        })
        .collect();
    let loader = Loader::new(&model.root, options.clone());
    for pattern in shared {
        for shown in fsx::files_matching(&model.root, pattern)? {
            if all.contains_key(&shown) || problems.iter().any(|it| it.shown == shown) {
                continue;
            }
            let path = shown
                .split('/')
                .fold(model.root.clone(), |at, it| at.join(it));
            match TaskFile::read(&path, &loader.shown(&path)) {
                Ok(file) => {
                    all.insert(shown, facts::file(Arc::new(file), true, false));
                }
                Err(problem) => problems.push(problem),
            }
        }
    }
    Ok(all.into_values().collect())
}

/// Where a workspace's manifest names its members: by entry, or by a pattern.
#[derive(Default)]
struct Named {
    entries: HashMap<String, Span>,
    patterns: Vec<(String, Span)>,
    whole: Span,
}

impl Named {
    fn new(manifest: &toml_edit::Document<String>) -> Named {
        let mut named = Named::default();
        let Some(workspace) = manifest.get("workspace") else {
            return named;
        };
        named.whole = workspace.span().unwrap_or(0..0).into();
        let members = workspace.get("members").and_then(|it| it.as_array());
        for entry in members.into_iter().flatten() {
            let (Some(text), Some(span)) = (entry.as_str(), entry.span()) else {
                continue;
            };
            let text = text.trim_end_matches('/').to_owned();
            if text.contains('*') {
                named.patterns.push((text, span.into()));
            } else {
                named.entries.insert(text, span.into());
            }
        }
        named
    }

    fn place(&self, path: &str) -> Span {
        let fits = || {
            let mut patterns = self.patterns.iter();
            patterns.find(|(pattern, _)| glob::matches_path(pattern, path))
        };
        match self.entries.get(path) {
            Some(span) => *span,
            None => fits().map_or(self.whole, |(_, span)| *span),
        }
    }
}

fn documents(root: &Path, patterns: &[String]) -> anyhow::Result<Vec<Document>> {
    let mut names = BTreeSet::new();
    for pattern in patterns {
        names.extend(fsx::files_matching(root, pattern)?);
    }
    let mut found = Vec::new();
    for name in names {
        let path = name
            .split('/')
            .fold(root.to_path_buf(), |at, it| at.join(it));
        let small = std::fs::metadata(&path).is_ok_and(|it| it.len() <= DOCUMENT_LIMIT);
        // What is no text names no tasks.
        let Some(text) = small.then(|| std::fs::read_to_string(&path).ok()).flatten() else {
            continue;
        };
        let mentions = names::mentions(&text, name.ends_with(".md"));
        if mentions.is_empty() && !text.contains("xtask: allow(") {
            continue;
        }
        let source = Arc::new(Source::new(path, name, text));
        found.push(Document { source, mentions });
    }
    Ok(found)
}

/// The variables that the configuration and its dotenv files define, and those of the task files'
/// `env_files` that can be read.
fn variables(root: &Path, config: &Config, facts: &mut Facts) {
    let env = &config.env;
    let mut all: BTreeSet<String> = env
        .defaults
        .keys()
        .chain(env.ci.keys())
        .chain(&env.required)
        .cloned()
        .collect();
    all.extend(config.database.iter().map(|it| it.url_env.clone()));
    all.extend(
        config
            .services
            .values()
            .filter_map(|it| it.port_env.clone()),
    );
    let layers = env.profiles.values().chain(env.targets.values()).flatten();
    for path in layers.map(|it| root.join(it)).chain([root.join(".env")]) {
        all.extend(assigned(&path).unwrap_or_default());
    }
    for directory in &facts.directories {
        for field in &directory.makefile.env_files {
            let path = field.value.get("path").unwrap_or(&field.value);
            let Some(path) = path.as_str() else { continue };
            if let Some(names) = assigned(&field.source.directory().join(path)) {
                all.extend(names);
                facts.env_files.insert(path.to_owned());
            }
        }
    }
    facts.variables = all;
}

/// The names that a dotenv file gives values to; none where it cannot be read.
fn assigned(path: &Path) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(path).ok()?;
    let assignments = env_file::parse(&text).ok()?;
    Some(assignments.into_iter().map(|it| it.name).collect())
}

/// The words in the strings of a TOML text that may be names of tasks.
fn words(text: &str) -> BTreeSet<String> {
    fn collect(item: &toml_edit::Item, all: &mut BTreeSet<String>) {
        if let Some(text) = item.as_str() {
            all.extend(text.split_whitespace().map(str::to_owned));
        } else if let Some(array) = item.as_array() {
            for value in array {
                collect(&toml_edit::Item::Value(value.clone()), all);
            }
        } else if let Some(tables) = item.as_array_of_tables() {
            for table in tables {
                collect(&toml_edit::Item::Table(table.clone()), all);
            }
        } else if let Some(table) = item.as_table_like() {
            for (key, item) in table.iter() {
                // What the linter itself is told is nobody's call.
                if key != "lint" {
                    collect(item, all);
                }
            }
        }
    }
    let mut all = BTreeSet::new();
    if let Ok(document) = text.parse::<toml_edit::DocumentMut>() {
        collect(document.as_item(), &mut all);
    }
    all
}

/// How a round of mending ended.
#[derive(Debug, Default)]
pub struct Mended {
    /// Fixes made.
    pub fixes: usize,
    /// Files written, relative to the root.
    pub files: BTreeSet<String>,
}

/// How often a fix may make room for another. Each round makes at least one; files have an end.
const ROUNDS: usize = 16;

/// Mends what is safe, until nothing is left to mend. Each file is written whole, or not at all.
///
/// # Errors
/// When a file cannot be read or written, or a fix would leave something that is no TOML: then its file
/// stays as it is.
pub fn fix(
    root: &Path,
    config: &Config,
    levels: &Levels,
) -> anyhow::Result<(Mended, Input, Report)> {
    let mut mended = Mended::default();
    let mut input = read(root, config)?;
    let mut report = super::check(&input.facts, levels);
    for _ in 0..ROUNDS {
        let known = sources(&input.facts);
        let fixes = report.fixes();
        // What lies outside of the workspace is somebody else's.
        let inside = fixes.filter(|fix| fix.edits.iter().all(|it| known.contains_key(&*it.file)));
        let fixes = edit::compatible(inside);
        if fixes.is_empty() {
            break;
        }
        let mut by_file: BTreeMap<&str, Vec<&edit::Edit>> = BTreeMap::new();
        for edit in fixes.iter().flat_map(|fix| &fix.edits) {
            by_file.entry(&edit.file).or_default().push(edit);
        }
        for (file, edits) in &by_file {
            let before = known.get(file).copied().unwrap_or_default();
            write(root, file, before, edits)?;
            mended.files.insert((*file).to_owned());
        }
        mended.fixes += fixes.len();
        input = read(root, config)?;
        report = super::check(&input.facts, levels);
    }
    Ok((mended, input, report))
}

/// The texts of a workspace's files, as they were read, by their paths below the root.
fn sources(facts: &Facts) -> HashMap<&str, &str> {
    let files = facts.files.iter().map(|it| &it.file.source);
    files
        .chain(&facts.manifest)
        .chain(facts.documents.iter().map(|it| &it.source))
        .filter(|it| Path::new(&it.shown).is_relative())
        .map(|it| (it.shown.as_str(), it.text.as_str()))
        .collect()
}

fn write(root: &Path, file: &str, before: &str, edits: &[&edit::Edit]) -> anyhow::Result<()> {
    let path = file
        .split('/')
        .fold(root.to_path_buf(), |at, it| at.join(it));
    if fsx::read_optional(&path)?.as_deref() != Some(before) {
        return Err(
            Fault::new(format!("`{file}` has changed while it was checked"))
                .hint("run `cargo xtask tasks check --fix` again")
                .into(),
        );
    }
    let new = edit::apply(before, edits.iter().copied());
    if file.ends_with(".toml")
        && let Err(error) = toml_edit::Document::parse(new.as_str())
    {
        anyhow::bail!(
            "the fixes of `{file}` do not fit together ({}); it is as it was: mend it by hand",
            error.message()
        );
    }
    fsx::atomic_write(&path, new.as_bytes(), fsx::Access::Default)
}
