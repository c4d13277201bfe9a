//! Which build products are removed, and what is kept inside of them. Looks, and decides; the command
//! removes.
//!
//! Never a file that git tracks, never `.env`, never outside of the workspace, never through a
//! symbolic link.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::Metadata;
use std::path::{Component, Path, PathBuf};

use anyhow::Context as _;

use crate::config::CleanRule;
use crate::error::Fault;
use crate::glob;

/// What is to be removed for one language.
#[derive(Debug, Default)]
pub struct Plan {
    /// Files, links, and directories that go whole.
    pub removals: Vec<Removal>,
    /// What stays inside of build products, and why.
    pub kept: Vec<(PathBuf, &'static str)>,
}

/// One thing to remove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    /// Its path.
    pub path: PathBuf,
    /// Whether it is a directory, to be removed with all in it.
    pub directory: bool,
    /// How many files it holds, itself included if it is one.
    pub files: u64,
    /// Their bytes; a file with several names counts once.
    pub bytes: u64,
}

/// What must stay, wherever it is.
#[derive(Debug, Default)]
pub struct Keep {
    /// The workspace's root, canonical.
    pub root: PathBuf,
    /// Files that git tracks, relative to the root.
    pub tracked: HashSet<PathBuf>,
    /// Paths that this tool needs itself: its state, its own program.
    pub own: Vec<PathBuf>,
}

impl Keep {
    fn reason(&self, path: &Path) -> Option<&'static str> {
        let relative = path.strip_prefix(&self.root).unwrap_or(path);
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or("");
        if self.tracked.contains(relative) {
            Some("tracked by git")
        } else if name == ".env" || name.starts_with(".env.") {
            Some("a dotenv file")
        } else if self.own.iter().any(|own| own == path) {
            Some("in use by xtask")
        } else {
            None
        }
    }
}

/// Plans the removal of one language's products.
///
/// # Errors
/// A rule that leads out of the workspace (exit 2), or a directory that cannot be read.
pub fn plan(rule: &CleanRule, keep: &Keep) -> anyhow::Result<Plan> {
    let mut plan = Plan::default();
    let mut seen = HashSet::new();
    for path in &rule.paths {
        add(&inside(&keep.root, path)?, keep, &mut plan, &mut seen)?;
    }
    let roots = if rule.under.is_empty() {
        vec![keep.root.clone()]
    } else {
        rule.under
            .iter()
            .map(|path| inside(&keep.root, path))
            .collect::<Result<_, _>>()?
    };
    if !rule.directories.is_empty() || !rule.files.is_empty() {
        for root in roots {
            find(&root, rule, keep, &mut plan, &mut seen)?;
        }
    }
    Ok(plan)
}

/// A configured path, which must be relative, and lead through no link.
fn inside(root: &Path, path: &Path) -> Result<PathBuf, Fault> {
    let fault = |why: &str| {
        Fault::usage(format!("[clean] names `{}`, {why}", path.display()))
            .hint("name paths inside of the workspace, relative to its root")
    };
    let plain = path
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    if !plain || path.as_os_str().is_empty() {
        return Err(fault("which is no path inside of the workspace"));
    }
    let full = root.join(path);
    let parents_are_real = full
        .ancestors()
        .skip(1)
        .take_while(|dir| *dir != root)
        .all(|dir| dir.symlink_metadata().is_ok_and(|it| it.is_dir()) || !dir.exists());
    if parents_are_real {
        Ok(full)
    } else {
        Err(fault("which leads through a symbolic link"))
    }
}

/// Looks for names below a directory. Links are not followed, and `.git` is not looked into.
fn find(
    directory: &Path,
    rule: &CleanRule,
    keep: &Keep,
    plan: &mut Plan,
    seen: &mut HashSet<(u64, u64)>,
) -> anyhow::Result<()> {
    for (path, metadata) in children(directory)? {
        let name = path
            .file_name()
            .and_then(OsStr::to_str)
            .unwrap_or("")
            .to_owned();
        if name == ".git" || plan.removals.iter().any(|it| it.path == path) {
            continue;
        }
        let directory = metadata.is_dir();
        let matched = if directory || metadata.is_symlink() {
            rule.directories
                .iter()
                .any(|pattern| glob::matches(pattern, &name))
        } else {
            rule.files
                .iter()
                .any(|pattern| glob::matches(pattern, &name))
        };
        if matched {
            add(&path, keep, plan, seen)?;
        } else if directory {
            find(&path, rule, keep, plan, seen)?;
        }
    }
    Ok(())
}

fn children(directory: &Path) -> anyhow::Result<Vec<(PathBuf, Metadata)>> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.with_context(|| format!("failed to look into `{}`", directory.display()))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        // Gone since the listing: nothing to remove.
        if let Ok(metadata) = entry.path().symlink_metadata() {
            found.push((entry.path(), metadata));
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
}

/// Adds one product: whole, or, where something inside has to stay, all around that.
fn add(
    path: &Path,
    keep: &Keep,
    plan: &mut Plan,
    seen: &mut HashSet<(u64, u64)>,
) -> anyhow::Result<()> {
    let Ok(metadata) = path.symlink_metadata() else {
        return Ok(());
    };
    let mut removals = Vec::new();
    let removable = visit(path, &metadata, keep, plan, seen, &mut removals)?;
    match removable {
        Some(whole) => plan.removals.push(whole),
        None => plan.removals.extend(removals),
    }
    Ok(())
}

/// The removal of the whole of it; `None` where something inside has to stay: then what can go is in
/// `parts`.
fn visit(
    path: &Path,
    metadata: &Metadata,
    keep: &Keep,
    plan: &mut Plan,
    seen: &mut HashSet<(u64, u64)>,
    parts: &mut Vec<Removal>,
) -> anyhow::Result<Option<Removal>> {
    if let Some(reason) = keep.reason(path) {
        plan.kept.push((path.to_path_buf(), reason));
        return Ok(None);
    }
    if !metadata.is_dir() {
        let bytes = if counted_before(metadata, seen) {
            0
        } else {
            metadata.len()
        };
        let path = path.to_path_buf();
        return Ok(Some(Removal {
            path,
            directory: false,
            files: 1,
            bytes,
        }));
    }
    let mut whole = true;
    let mut removal = Removal {
        path: path.to_path_buf(),
        directory: true,
        files: 0,
        bytes: 0,
    };
    let mut below = Vec::new();
    for (child, metadata) in children(path)? {
        match visit(&child, &metadata, keep, plan, seen, &mut below)? {
            Some(part) => {
                removal.files += part.files;
                removal.bytes += part.bytes;
                below.push(part);
            }
            None => whole = false,
        }
    }
    if whole {
        return Ok(Some(removal));
    }
    parts.append(&mut below);
    Ok(None)
}

/// Cargo's products have several names (hard links): their bytes are freed once.
#[cfg(unix)]
fn counted_before(metadata: &Metadata, seen: &mut HashSet<(u64, u64)>) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    metadata.nlink() > 1 && !seen.insert((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn counted_before(_metadata: &Metadata, _seen: &mut HashSet<(u64, u64)>) -> bool {
    false
}

/// 1.5 MiB.
#[must_use]
pub fn size(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{bytes} B")
    } else {
        format!("{value:.1} {}", units[unit])
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn tree(files: &[&str]) -> (tempfile::TempDir, Keep) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        for file in files {
            let path = root.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "12345").unwrap();
        }
        (
            dir,
            Keep {
                root,
                ..Keep::default()
            },
        )
    }

    fn rule(paths: &[&str], directories: &[&str]) -> CleanRule {
        CleanRule {
            paths: paths.iter().map(PathBuf::from).collect(),
            directories: directories.iter().map(|it| (*it).to_owned()).collect(),
            ..CleanRule::default()
        }
    }

    #[test]
    fn a_directory_goes_whole_unless_something_in_it_stays() {
        let (_dir, mut keep) = tree(&["target/a/b", "target/a/c", "target/d/.env", "target/e/f"]);
        keep.tracked.insert(PathBuf::from("target/a/b"));
        let plan = plan(&rule(&["target"], &[]), &keep).unwrap();
        let removed: Vec<String> = plan
            .removals
            .iter()
            .map(|it| {
                it.path
                    .strip_prefix(&keep.root)
                    .unwrap()
                    .display()
                    .to_string()
                    .replace('\\', "/")
            })
            .collect();
        assert_eq!(removed, ["target/a/c", "target/e"]);
        let reasons: Vec<&str> = plan.kept.iter().map(|(_, reason)| *reason).collect();
        assert_eq!(reasons, ["tracked by git", "a dotenv file"]);
    }

    #[test]
    fn names_are_found_anywhere_and_sizes_add_up() {
        let (_dir, keep) = tree(&["a/__pycache__/x", "b/c/__pycache__/y", "b/c/keep"]);
        let plan = plan(&rule(&[], &["__pycache__"]), &keep).unwrap();
        assert_eq!(plan.removals.len(), 2);
        assert_eq!(plan.removals.iter().map(|it| it.bytes).sum::<u64>(), 10);
    }

    #[test]
    fn a_path_out_of_the_workspace_is_refused() {
        let (_dir, keep) = tree(&[]);
        for path in ["../x", "/x", "a/../../x", ""] {
            assert!(plan(&rule(&[path], &[]), &keep).is_err(), "{path}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_are_never_followed() {
        let (_dir, keep) = tree(&["a/b"]);
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("precious"), "x").unwrap();
        std::os::unix::fs::symlink(outside.path(), keep.root.join("target")).unwrap();
        std::os::unix::fs::symlink(outside.path(), keep.root.join("link")).unwrap();
        // The link itself may go, what it leads to may not.
        let planned = plan(&rule(&["target"], &[]), &keep).unwrap();
        assert_eq!(planned.removals.len(), 1);
        assert!(!planned.removals[0].directory);
        assert!(plan(&rule(&["link/precious"], &[]), &keep).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_file_with_two_names_counts_once() {
        let (_dir, keep) = tree(&["target/one"]);
        fs::hard_link(keep.root.join("target/one"), keep.root.join("target/two")).unwrap();
        let plan = plan(&rule(&["target"], &[]), &keep).unwrap();
        assert_eq!((plan.removals[0].files, plan.removals[0].bytes), (2, 5));
    }

    #[test]
    fn sizes_are_for_people() {
        assert_eq!(
            (size(5), size(1536), size(3 << 30)),
            ("5 B".into(), "1.5 KiB".into(), "3.0 GiB".into())
        );
    }
}
