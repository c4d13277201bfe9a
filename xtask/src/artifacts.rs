//! Which build products are removed, and what is kept inside of them. Looks, and decides; the command
//! removes.
//!
//! Never a file that git tracks, never `.env`, never another repository, never outside of the workspace,
//! never through a symbolic link or a mount.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{DirEntry, Metadata};
use std::num::NonZero;
use std::path::{Component, Path, PathBuf};
use std::sync::Mutex;
use std::thread;

use anyhow::Context as _;

use crate::config::CleanRule;
use crate::error::Fault;
use crate::fan_out::lock;
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
    /// Files that git tracks, and submodules, relative to the root.
    pub tracked: HashSet<PathBuf>,
    /// Paths that this tool needs itself: its state, its own program.
    pub own: Vec<PathBuf>,
    /// Where something else is mounted: [`crate::platform::mounts`].
    pub mounts: HashSet<PathBuf>,
}

/// Why a mount stays: what is in it lies elsewhere, and is seen from there.
const MOUNT: &str = "something else is mounted there";
/// Why another repository stays: what it has not pushed is nowhere else, and only it knows what it tracks.
const REPOSITORY: &str = "a git repository of its own";

impl Keep {
    fn reason(&self, path: &Path) -> Option<&'static str> {
        let relative = path.strip_prefix(&self.root).unwrap_or(path);
        if self.tracked.contains(relative) {
            Some("tracked by git")
        } else if self.own.iter().any(|own| own == path) {
            Some("in use by xtask")
        } else if self.mounts.contains(path) {
            Some(MOUNT)
        } else {
            dotenv(path.file_name().unwrap_or_default())
        }
    }
}

/// Plans the removal of one language's products. What others have `looked` at is not looked at again; what
/// this plan has looked at is added to it.
///
/// # Errors
/// A rule that leads out of the workspace (exit 2), or a directory that cannot be read.
pub fn plan(rule: &CleanRule, keep: &Keep, looked: &mut HashSet<PathBuf>) -> anyhow::Result<Plan> {
    let look = Look::new(keep);
    let mut paths = Vec::new();
    for path in &rule.paths {
        paths.push(inside(&keep.root, path)?);
    }
    // What is around another comes before it.
    paths.sort();
    paths.retain(|path| {
        let new = !is_among(path, looked);
        if new {
            looked.insert(path.clone());
        }
        new
    });
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
        let mut found = Vec::new();
        for root in roots {
            if !is_among(&root, looked) && !look.is_mounted(&root) {
                // The root may be another repository's: the rule says so.
                find(&sorted(&root)?, rule, keep, looked, &mut found)?;
            }
        }
        // Two roots may lie one in the other.
        found.sort();
        found.dedup();
        let more = look.all(&found)?;
        looked.extend(found);
        plan.removals.extend(more.removals);
        plan.kept.extend(more.kept);
    }
    Ok(plan)
}

/// Whether a path, or a directory around it, is among those.
fn is_among(path: &Path, paths: &HashSet<PathBuf>) -> bool {
    path.ancestors().any(|it| paths.contains(it))
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
    if path.components().any(|part| part.as_os_str() == ".git") {
        return Err(fault("which is git's own"));
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

/// Looks for names in a directory and below it. Links and mounts are not followed, and neither `.git` nor another
/// repository is looked into: that one's rules are its own.
fn find(
    entries: &[DirEntry],
    rule: &CleanRule,
    keep: &Keep,
    looked: &HashSet<PathBuf>,
    found: &mut Vec<PathBuf>,
) -> anyhow::Result<()> {
    let matches = |patterns: &[String], name: &str| {
        patterns.iter().any(|pattern| glob::matches(pattern, name))
    };
    for entry in entries {
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
            if !looked.contains(&path) {
                found.push(path);
            }
        } else if directory {
            let path = entry.path();
            if !looked.contains(&path) && !keep.mounts.contains(&path) {
                let below = sorted(&path)?;
                if !is_repository(&below) {
                    find(&below, rule, keep, looked, found)?;
                }
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

/// Whether a directory with these entries, in their order, is a repository's top. The `.git` of a worktree
/// or a submodule is a file.
fn is_repository(entries: &[DirEntry]) -> bool {
    let git = OsStr::new(".git");
    let found = entries.binary_search_by(|it| it.file_name().as_os_str().cmp(git));
    found.is_ok()
}

/// Directories with at least so many entries are shared out among threads.
const WORTH_A_THREAD: usize = 32;
/// Below so many levels there is enough to do for every thread.
const SHARED_LEVELS: usize = 4;

/// What looking at products needs to know. Most of the time goes into asking for each file's size, which
/// several threads do at once.
struct Look<'a> {
    keep: &'a Keep,
    /// The directories that have something tracked, mounted or of our own somewhere below: in all others,
    /// only names have to be looked at.
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

impl Found {
    fn kept(path: &Path, reason: &'static str) -> Found {
        Found {
            kept: vec![(path.to_path_buf(), reason)],
            ..Found::default()
        }
    }
}

impl<'a> Look<'a> {
    fn new(keep: &'a Keep) -> Look<'a> {
        let tracked = keep.tracked.iter().map(|path| keep.root.join(path));
        let mut delicate = HashSet::new();
        let others = keep.own.iter().chain(&keep.mounts).cloned();
        for path in tracked.chain(others) {
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
            Ok(_) if self.is_mounted(path) => Ok(Found::kept(path, MOUNT)),
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

    /// Whether a path is where something is mounted, or lies in it.
    fn is_mounted(&self, path: &Path) -> bool {
        path.ancestors()
            .take_while(|it| *it != self.keep.root)
            .any(|it| self.keep.mounts.contains(it))
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
            return Ok(Found::kept(path, reason));
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
        if is_repository(&entries) {
            return Ok(Found::kept(path, REPOSITORY));
        }
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
            Some(identity) => lock(&self.counted).insert(identity),
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
        let plan = plan(&rule(&["target"], &[]), &keep, &mut HashSet::new()).unwrap();
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
        let plan = plan(&rule(&[], &["__pycache__"]), &keep, &mut HashSet::new()).unwrap();
        assert_eq!(plan.removals.len(), 2);
        assert_eq!(plan.removals.iter().map(|it| it.bytes).sum::<u64>(), 10);
    }

    #[test]
    fn a_path_out_of_the_workspace_is_refused() {
        let (_dir, keep) = tree(&[]);
        for path in ["../x", "/x", "a/../../x", "", ".git", "a/.git/x"] {
            assert!(
                plan(&rule(&[path], &[]), &keep, &mut HashSet::new()).is_err(),
                "{path}"
            );
        }
    }

    #[test]
    fn what_is_mounted_and_other_repositories_stay_whole() {
        let (_dir, mut keep) = tree(&[
            "target/a/b",
            "target/volume/x",
            "target/clone/.git/HEAD",
            "target/clone/x",
            "sub/.git",
            "sub/__pycache__/x",
            "member/__pycache__/x",
            "disk/__pycache__/x",
        ]);
        for path in ["target/volume", "disk"] {
            keep.mounts.insert(
                path.split('/')
                    .fold(keep.root.clone(), |dir, it| dir.join(it)),
            );
        }
        let rule = rule(&["target", "disk/__pycache__"], &["__pycache__"]);
        let found = plan(&rule, &keep, &mut HashSet::new()).unwrap();
        let names = |paths: Vec<&PathBuf>| -> Vec<String> {
            let relative = paths
                .into_iter()
                .map(|it| it.strip_prefix(&keep.root).unwrap());
            relative
                .map(|it| it.display().to_string().replace('\\', "/"))
                .collect()
        };
        assert_eq!(
            names(found.removals.iter().map(|it| &it.path).collect()),
            ["target/a", "member/__pycache__"]
        );
        assert_eq!(
            names(found.kept.iter().map(|(path, _)| path).collect()),
            ["disk/__pycache__", "target/clone", "target/volume"]
        );
    }

    #[test]
    fn nothing_is_planned_twice() {
        let (_dir, keep) = tree(&["target/a/__pycache__/x", "b/__pycache__/x"]);
        let looked = &mut HashSet::new();
        let first = plan(&rule(&["target/a", "target", "target"], &[]), &keep, looked).unwrap();
        assert_eq!((first.removals.len(), first.removals[0].files), (1, 1));
        let second = plan(&rule(&["target/a"], &["__pycache__"]), &keep, looked).unwrap();
        assert_eq!(second.removals.len(), 1);
        assert_eq!(
            second.removals[0].path,
            keep.root.join("b").join("__pycache__")
        );
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
        let planned = plan(&rule(&["target"], &[]), &keep, &mut HashSet::new()).unwrap();
        assert_eq!(planned.removals.len(), 1);
        assert!(!planned.removals[0].directory);
        assert!(plan(&rule(&["link/precious"], &[]), &keep, &mut HashSet::new()).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_file_with_two_names_counts_once() {
        let (_dir, keep) = tree(&["target/one"]);
        fs::hard_link(keep.root.join("target/one"), keep.root.join("target/two")).unwrap();
        let plan = plan(&rule(&["target"], &[]), &keep, &mut HashSet::new()).unwrap();
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
