//! Where the task files of a workspace are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;

use crate::ci::git;
use crate::ci::manifest::{Manifests, Workspace};
use crate::fsx;
use crate::proc;

/// A directory with a task file, or a member without one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) name: String,
    /// Below the root, with `/`; empty for the root.
    pub(super) directory: String,
    pub(super) package: bool,
    pub(super) makefile: bool,
}

/// The workspace's places: the root first, then by directory.
pub(super) fn places(root: &Path) -> anyhow::Result<Vec<Place>> {
    let files = known_files(root)?;
    let mut manifests = Manifests::new();
    let mut makefiles = BTreeSet::new();
    for file in files {
        let (directory, name) = file.rsplit_once('/').unwrap_or(("", &file));
        if name == "Makefile.toml" {
            makefiles.insert(directory.to_owned());
            continue;
        }
        let path = file
            .split('/')
            .fold(root.to_path_buf(), |at, it| at.join(it));
        if let Some(text) = fsx::read_optional(&path)? {
            manifests.insert(file, text);
        }
    }
    let mut packages = BTreeMap::new();
    if manifests.contains_key("Cargo.toml") {
        let workspace = Workspace::read(&manifests)?;
        for index in workspace.members() {
            let package = &workspace.packages[index];
            packages.insert(package.directory.clone(), package.name.clone());
        }
    }
    let all: BTreeSet<&String> = makefiles.iter().chain(packages.keys()).collect();
    let mut places: Vec<Place> = all
        .into_iter()
        .map(|directory| Place {
            name: match packages.get(directory) {
                Some(name) => name.clone(),
                None if directory.is_empty() => "root".to_owned(),
                None => directory.clone(),
            },
            directory: directory.clone(),
            package: packages.contains_key(directory),
            makefile: makefiles.contains(directory),
        })
        .collect();
    // The root's tasks are there for all, also where it has no file.
    if places
        .first()
        .is_none_or(|first| !first.directory.is_empty())
    {
        let root = Place {
            name: "root".to_owned(),
            directory: String::new(),
            package: false,
            makefile: false,
        };
        places.insert(0, root);
    }
    Ok(places)
}

/// The files of these names that git knows or would take; without git, those outside of directories
/// that hold what was built or fetched.
fn known_files(root: &Path) -> anyhow::Result<Vec<String>> {
    if root.ancestors().any(|it| it.join(".git").exists()) {
        let mut command = Command::new("git");
        command
            .args(["ls-files", "-z", "--cached", "--others"])
            .args(["--exclude-standard", "--deduplicate", "--"])
            .args([":(glob)**/Makefile.toml", ":(glob)**/Cargo.toml"])
            .current_dir(root);
        if let Ok(output) = proc::capture_any(&mut command)
            && output.status.success()
        {
            let files = git::paths(&output.stdout).filter(|file| root.join(file).is_file());
            // The index still has what was removed.
            return files
                .map(|file| Ok(fsx::unicode(&file)?.replace('\\', "/")))
                .collect();
        }
    }
    let mut found = Vec::new();
    walk(root, "", &mut found)?;
    Ok(found)
}

fn walk(directory: &Path, shown: &str, found: &mut Vec<String>) -> anyhow::Result<()> {
    let failed = || format!("failed to read the directory `{}`", directory.display());
    for entry in std::fs::read_dir(directory).with_context(failed)? {
        let entry = entry.with_context(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let below = if shown.is_empty() {
            name.clone()
        } else {
            format!("{shown}/{name}")
        };
        let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let foreign =
            name.starts_with('.') || matches!(&*name, "target" | "node_modules" | "vendor");
        if is_directory && !foreign {
            walk(&entry.path(), &below, found)?;
        } else if !is_directory && matches!(&*name, "Makefile.toml" | "Cargo.toml") {
            fsx::unicode(&entry.path())?;
            found.push(below);
        }
    }
    Ok(())
}
