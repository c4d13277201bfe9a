//! Which build products are removed, and what is kept inside of them. Looks, and decides; the command
//! removes.
//!
//! Never a file that git tracks, never `.env`, never outside of the workspace, never through a
//! symbolic link.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{DirEntry, Metadata};
use std::num::NonZero;
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;

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
        if self.tracked.contains(relative) {
            Some("tracked by git")
        } else if self.own.iter().any(|own| own == path) {
            Some("in use by xtask")
        } else {
            dotenv(path.file_name().unwrap_or_default())
        }
    }
}

/// Plans the removal of one language's products.
///
/// # Errors
/// A rule that leads out of the workspace (exit 2), or a directory that cannot be read.
pub fn plan(rule: &CleanRule, keep: &Keep) -> anyhow::Result<Plan> {
    let look = Look::new(keep);
    let paths: Vec<PathBuf> = rule
        .paths
        .iter()
        .map(|path| Ok(inside(&keep.root, path)?))
        .collect::<anyhow::Result<_>>()?;
    let mut plan = look.all(&paths)?;
    let roots = if rule.under.is_empty() {
        vec![keep.root.clone()]
    } else {
        rule.under
            .iter()
            .map(|path| inside(&keep.root, path))
            .collect::<Result<_, _>>()?
    };
    if !rule.directories.is_empty() || !rule.files.is_empty() {
        let planned: HashSet<PathBuf> = plan.removals.iter().map(|it| it.path.clone()).collect();
        let mut found = Vec::new();
        for root in roots {
            find(&root, rule, &planned, &mut found)?;
        }
        let more = look.all(&found)?;
        plan.removals.extend(more.removals);
        plan.kept.extend(more.kept);
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
    planned: &HashSet<PathBuf>,
    found: &mut Vec<PathBuf>,
) -> anyhow::Result<()> {
    let matches = |patterns: &[String], name: &str| {
        patterns.iter().any(|pattern| glob::matches(pattern, name))
    };
    for entry in sorted(directory)? {
        let directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name == ".git" {
            continue;
        }
        let patterns = if directory || link {
            &rule.directories
        } else {
            &rule.files
        };
        if matches(patterns, &name) {
            let path = entry.path();
            if !planned.contains(&path) {
                found.push(path);
            }
        } else if directory {
            let path = entry.path();
            if !planned.contains(&path) {
                find(&path, rule, planned, found)?;
            }
        }
    }
    Ok(())
}

fn sorted(directory: &Path) -> anyhow::Result<Vec<DirEntry>> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.with_context(|| format!("failed to look into `{}`", directory.display()))?,
    };
    let mut entries: Vec<DirEntry> = entries.collect::<Result<_, _>>()?;
    entries.sort_by_key(DirEntry::file_name);
    Ok(entries)
}

/// Directories with at least so many entries are shared out among threads.
const WORTH_A_THREAD: usize = 32;
/// Below so many levels there is enough to do for every thread.
const SHARED_LEVELS: usize = 4;

/// What looking at products needs to know. Most of the time goes into asking for each file's size, which
/// several threads do at once.
struct Look<'a> {
    keep: &'a Keep,
    /// The directories that have something tracked or of our own somewhere below: in all others, only
    /// names have to be looked at.
    delicate: HashSet<PathBuf>,
    /// Files with several names that were counted.
    counted: Mutex<HashSet<(u64, u64)>>,
    threads: usize,
}

/// What was found of one path.
#[derive(Default)]
struct Found {
    /// The removal of the whole of it; `None` where something inside has to stay, or nothing is there.
    whole: Option<Removal>,
    /// Where it cannot go whole: what can go inside.
    parts: Vec<Removal>,
    kept: Vec<(PathBuf, &'static str)>,
}

impl<'a> Look<'a> {
    fn new(keep: &'a Keep) -> Look<'a> {
        let tracked = keep.tracked.iter().map(|path| keep.root.join(path));
        let mut delicate = HashSet::new();
        for path in tracked.chain(keep.own.iter().cloned()) {
            for parent in path.ancestors().skip(1) {
                // Its parents are there already, too.
                if !delicate.insert(parent.to_path_buf()) {
                    break;
                }
            }
        }
        Look {
            keep,
            delicate,
            counted: Mutex::default(),
            threads: thread::available_parallelism().map_or(1, NonZero::get),
        }
    }

    /// Adds each product: whole, or, where something inside has to stay, all around that.
    fn all(&self, paths: &[PathBuf]) -> anyhow::Result<Plan> {
        let mut plan = Plan::default();
        let found = self.share(paths, 0, |path| match path.symlink_metadata() {
            Ok(metadata) => self.at(path, &metadata, 0, true),
            Err(_) => Ok(Found::default()),
        })?;
        for found in found {
            plan.kept.extend(found.kept);
            plan.removals.extend(found.whole);
            plan.removals.extend(found.parts);
        }
        Ok(plan)
    }

    fn at(
        &self,
        path: &Path,
        metadata: &Metadata,
        level: usize,
        delicate: bool,
    ) -> anyhow::Result<Found> {
        let name = path.file_name().unwrap_or_default();
        let reason = match delicate {
            true => self.keep.reason(path),
            false => dotenv(name),
        };
        if let Some(reason) = reason {
            return Ok(Found {
                kept: vec![(path.to_path_buf(), reason)],
                ..Found::default()
            });
        }
        let mut removal = Removal {
            path: path.to_path_buf(),
            directory: metadata.is_dir(),
            files: 0,
            bytes: 0,
        };
        if !removal.directory {
            (removal.files, removal.bytes) = (1, self.bytes(metadata));
            return Ok(Found {
                whole: Some(removal),
                ..Found::default()
            });
        }
        let delicate = delicate && self.delicate.contains(path);
        let entries = sorted(path)?;
        let found = self.share(&entries, level + 1, |entry| {
            // Gone since the listing: nothing to remove. `metadata` does not follow links.
            match entry.metadata() {
                Ok(metadata) => self.entry(entry, &metadata, level + 1, delicate),
                Err(_) => Ok(Entry::Counted(0, 0)),
            }
        })?;
        let mut below = Found::default();
        let mut counted = Vec::new();
        let mut whole = true;
        for (entry, found) in entries.iter().zip(found) {
            let (files, bytes) = match found {
                Entry::Counted(0, _) => continue,
                Entry::Counted(files, bytes) => {
                    counted.push((entry, files, bytes));
                    (files, bytes)
                }
                Entry::Found(found) => {
                    below.kept.extend(found.kept);
                    below.parts.extend(found.parts);
                    match found.whole {
                        Some(part) => {
                            let sums = (part.files, part.bytes);
                            below.parts.push(part);
                            sums
                        }
                        None => {
                            whole = false;
                            (0, 0)
                        }
                    }
                }
            };
            removal.files += files;
            removal.bytes += bytes;
        }
        if whole {
            below.parts.clear();
            below.whole = Some(removal);
            return Ok(below);
        }
        below
            .parts
            .extend(counted.into_iter().map(|(entry, files, bytes)| Removal {
                path: entry.path(),
                directory: false,
                files,
                bytes,
            }));
        below.parts.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(below)
    }

    /// One entry of a directory. Most are plain files without a name of their own: their path is not even
    /// put together.
    fn entry(
        &self,
        entry: &DirEntry,
        metadata: &Metadata,
        level: usize,
        delicate: bool,
    ) -> anyhow::Result<Entry> {
        if !delicate && !metadata.is_dir() && dotenv(&entry.file_name()).is_none() {
            return Ok(Entry::Counted(1, self.bytes(metadata)));
        }
        self.at(&entry.path(), metadata, level, delicate)
            .map(Entry::Found)
    }

    /// Cargo's products have several names (hard links): their bytes are freed once.
    fn bytes(&self, metadata: &Metadata) -> u64 {
        let first = match identity(metadata) {
            None => true,
            Some(identity) => self
                .counted
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(identity),
        };
        if first { metadata.len() } else { 0 }
    }

    /// Looks at all items, with several threads where there are enough of them; in their order.
    fn share<T: Sync, U: Send>(
        &self,
        items: &[T],
        level: usize,
        look: impl Fn(&T) -> anyhow::Result<U> + Sync,
    ) -> anyhow::Result<Vec<U>> {
        let alone = self.threads == 1
            || level >= SHARED_LEVELS
            || items.len() < if level < 2 { 2 } else { WORTH_A_THREAD };
        if alone {
            return items.iter().map(look).collect();
        }
        let look = &look;
        thread::scope(|scope| {
            let running: Vec<_> = items
                .chunks(items.len().div_ceil(self.threads))
                .map(|chunk| {
                    scope.spawn(move || chunk.iter().map(look).collect::<anyhow::Result<Vec<U>>>())
                })
                .collect();
            let mut all = Vec::with_capacity(items.len());
            for part in running {
                match part.join() {
                    Ok(part) => all.extend(part?),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            Ok(all)
        })
    }
}

/// What was found of an entry of a directory.
enum Entry {
    /// A file that can go, and its bytes; or nothing at all.
    Counted(u64, u64),
    Found(Found),
}

fn dotenv(name: &OsStr) -> Option<&'static str> {
    let name = name.as_encoded_bytes();
    (name == b".env" || name.starts_with(b".env.")).then_some("a dotenv file")
}

/// What tells a file with several names; `None` for one with a single name.
#[cfg(unix)]
fn identity(metadata: &Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    (metadata.nlink() > 1).then(|| (metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn identity(_metadata: &Metadata) -> Option<(u64, u64)> {
    None
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
