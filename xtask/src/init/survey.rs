//! What is there: the one part of `init` that reads.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use serde::Deserialize;

use crate::cx::Cx;
use crate::error::Fault;
use crate::fsx;
use crate::proc;

use super::tasks::INTEGRATION;

/// A task file or manifest of more bytes is none that a person wrote.
const LARGEST: u64 = 4 << 20;
/// Directories that hold nothing of the user's own.
const FOREIGN: [&str; 9] = [
    "target",
    "node_modules",
    "vendor",
    "venv",
    "__pycache__",
    "dist",
    "build",
    "site-packages",
    "third_party",
];
/// Files that are read, by name, wherever they are.
const READ: [&str; 9] = [
    "Cargo.toml",
    "Makefile.toml",
    "package.json",
    "pyproject.toml",
    "Gemfile",
    "docker-compose.yml",
    "docker-compose.yaml",
    "compose.yml",
    "compose.yaml",
];
/// Files of the root that are read.
const ROOT: [&str; 4] = [
    ".cargo/config.toml",
    ".cargo/config",
    ".config/nextest.toml",
    ".config/xtask.toml",
];

/// A package of the workspace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Relative to the root, `/` between its parts; empty for the root itself.
    pub directory: String,
    /// Its binaries.
    pub programs: Vec<String>,
    /// Whether it is a library whose documentation is tested.
    pub documented: bool,
    /// Whether it has tests beside those in a target called `integration`.
    pub unit_tests: bool,
    /// Whether it has tests in a target called `integration`.
    pub integration_tests: bool,
    /// Whether cargo means it where nothing is named.
    pub default: bool,
}

/// A workspace, as far as `init` has to know it.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    /// The name of its directory.
    pub name: String,
    /// The packages, by directory.
    pub members: Vec<Member>,
    /// Whether the root manifest has `default-members`.
    pub has_default_members: bool,
    /// Every file below the root that may be the user's own, `/` between the parts.
    pub names: BTreeSet<String>,
    /// The text of those that the plan may need.
    pub files: BTreeMap<String, String>,
}

/// `cargo metadata --no-deps`, as far as it is needed.
#[derive(Deserialize)]
struct Metadata {
    workspace_root: String,
    workspace_members: Vec<String>,
    #[serde(default)]
    workspace_default_members: Vec<String>,
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    manifest_path: String,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
    #[serde(default)]
    doctest: bool,
    #[serde(default)]
    test: bool,
    src_path: String,
}

/// Reads the workspace that `directory` lies in. Returns its root, too.
///
/// # Errors
/// When cargo does not know it as a workspace or package; when a file that has to be understood is not
/// UTF-8, or larger than any that a person wrote.
pub fn read(cx: &Cx, directory: &Path) -> anyhow::Result<(std::path::PathBuf, Survey)> {
    let mut command = Command::new(cx.cargo());
    command
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(directory);
    let output = proc::capture_any(&mut command)?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        return Err(Fault::usage(format!(
            "cargo does not take `{}` for a workspace: {}",
            directory.display(),
            words.trim().trim_start_matches("error: ")
        ))
        .hint("name a directory with a Cargo.toml that `cargo metadata` reads")
        .into());
    }
    let metadata: Metadata = serde_json::from_slice(&output.stdout)
        .context("failed to read what cargo says of the workspace")?;
    let root = Path::new(&metadata.workspace_root).to_path_buf();
    let mut names = BTreeSet::new();
    collect(&root, "", &mut names)?;
    let mut survey = Survey {
        name: root.file_name().map_or_else(
            || "workspace".to_owned(),
            |it| it.to_string_lossy().into_owned(),
        ),
        ..Survey::default()
    };
    for path in &names {
        if is_read(path) {
            survey.files.insert(path.clone(), text(&root, path)?);
        }
    }
    for path in ROOT {
        if root.join(path).is_file() {
            survey.files.insert(path.to_owned(), text(&root, path)?);
        }
    }
    survey.names = names;
    survey.has_default_members = survey
        .files
        .get("Cargo.toml")
        .and_then(|text| text.parse::<toml_edit::DocumentMut>().ok())
        .is_some_and(|it| {
            it.get("workspace")
                .is_some_and(|it| it.get("default-members").is_some())
        });
    let members = metadata
        .packages
        .iter()
        .filter(|it| metadata.workspace_members.contains(&it.id));
    for package in members {
        let default = metadata.workspace_default_members.contains(&package.id);
        survey.members.extend(member(&root, package, default)?);
    }
    survey.members.sort_by(|a, b| a.directory.cmp(&b.directory));
    read_extended(&root, &mut survey)?;
    Ok((root, survey))
}

fn is_read(path: &str) -> bool {
    let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
    READ.contains(&name)
        || directory.is_empty() && name.starts_with(".env")
        || directory == "cargo-make" && name.ends_with(".toml")
        || name.starts_with("requirements") && name.ends_with(".txt")
        || name == "main.rs"
}

fn text(root: &Path, path: &str) -> anyhow::Result<String> {
    let full = root.join(path);
    let length = fs::metadata(&full)
        .with_context(|| format!("failed to read `{}`", full.display()))?
        .len();
    if length > LARGEST {
        return Err(Fault::usage(format!(
            "`{}` has {} MiB, which no such file has",
            full.display(),
            length >> 20
        ))
        .into());
    }
    fsx::read_optional(&full)
        .map(Option::unwrap_or_default)
        .map_err(|error| Fault::usage(format!("{error:#}")).into())
}

/// Files below a directory: none of what tools make, none through a link, of hidden directories none.
fn collect(root: &Path, shown: &str, names: &mut BTreeSet<String>) -> anyhow::Result<()> {
    let directory = root.join(shown);
    let what = || format!("failed to read the directory `{}`", directory.display());
    for entry in fs::read_dir(&directory).with_context(what)? {
        let entry = entry.with_context(what)?;
        let Ok(name) = entry.file_name().into_string() else {
            continue; // No name that a manifest could have.
        };
        let path = if shown.is_empty() {
            name.clone()
        } else {
            format!("{shown}/{name}")
        };
        let kind = entry.file_type().with_context(what)?;
        if kind.is_dir() {
            if !name.starts_with('.') && !FOREIGN.contains(&name.as_str()) {
                collect(root, &path, names)?;
            }
        } else if kind.is_file() {
            names.insert(path);
        }
    }
    Ok(())
}

fn member(root: &Path, package: &Package, default: bool) -> anyhow::Result<Option<Member>> {
    let manifest = Path::new(&package.manifest_path);
    // A member may lie outside of the root; a task file there would not be the workspace's.
    let Some(directory) = manifest.parent().and_then(|it| it.strip_prefix(root).ok()) else {
        return Ok(None);
    };
    let parts: Vec<String> = directory
        .components()
        .map(|it| it.as_os_str().to_string_lossy().into_owned())
        .collect();
    let mut member = Member {
        name: package.name.clone(),
        directory: parts.join("/"),
        default,
        ..Member::default()
    };
    for target in &package.targets {
        let is = |kind: &str| target.kind.iter().any(|it| it == kind);
        if is("bin") {
            member.programs.push(target.name.clone());
        }
        if ["lib", "rlib", "proc-macro"].iter().any(|it| is(it)) && target.doctest {
            member.documented = true;
        }
        if !target.test || is("bench") || is("example") || is("custom-build") {
            continue;
        }
        let source = Path::new(&target.src_path);
        let tested = if is("test") {
            let own = source.file_stem().is_some_and(|it| it == "main");
            has_tests(source, own)?
        } else {
            has_tests(source, true)?
        };
        if is("test") && target.name == INTEGRATION {
            member.integration_tests |= tested;
        } else {
            member.unit_tests |= tested;
        }
    }
    member.programs.sort();
    Ok(Some(member))
}

/// Whether a source holds a test, or one in its directory does: by the words of the usual attributes
/// and macros.
fn has_tests(source: &Path, with_directory: bool) -> anyhow::Result<bool> {
    let Ok(bytes) = fs::read(source) else {
        return Ok(false); // Generated by a build script, or mended by cargo's own words later.
    };
    let text = String::from_utf8_lossy(&bytes);
    const WORDS: [&str; 7] = [
        "#[test]",
        "::test]",
        "::test(",
        "#[rstest",
        "#[test_case",
        "proptest!",
        "#[quickcheck",
    ];
    if WORDS.iter().any(|it| text.contains(it)) {
        return Ok(true);
    }
    let Some(directory) = source.parent().filter(|_| with_directory) else {
        return Ok(false);
    };
    let mut names = BTreeSet::new();
    collect(directory, "", &mut names)?;
    for name in names.iter().filter(|it| it.ends_with(".rs")) {
        let path = directory.join(name);
        if path != source && has_tests(&path, false)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Files that task files extend, wherever they are below the root.
fn read_extended(root: &Path, survey: &mut Survey) -> anyhow::Result<()> {
    let mut queue: Vec<String> = survey
        .files
        .keys()
        .filter(|it| it.ends_with("Makefile.toml"))
        .cloned()
        .collect();
    while let Some(path) = queue.pop() {
        let text_of = survey.files.get(&path).map_or("", String::as_str);
        for extended in super::merge::extended(&path, text_of) {
            if !survey.files.contains_key(&extended) && root.join(&extended).is_file() {
                let read = text(root, &extended)?;
                survey.files.insert(extended.clone(), read);
                queue.push(extended);
            }
        }
    }
    Ok(())
}
