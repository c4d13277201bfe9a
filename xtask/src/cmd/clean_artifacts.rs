//! `cargo xtask clean-artifacts`

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use serde::Serialize;

use crate::artifacts::{self, Keep, Plan, Removal};
use crate::ci::git;
use crate::config::{self, CleanRule};
use crate::cx::Cx;
use crate::error::Fault;
use crate::exit::Exit;
use crate::platform::{self, Doomed};
use crate::proc;
use crate::term::Style;

/// Remove build products of each language
///
/// Says what, and how many bytes. Never a file that git tracks, never .env, never another repository,
/// never outside of the workspace, never through a symbolic link or a mount; the embedded database and
/// this very program stay.
///
/// Examples:
///   cargo xtask clean-artifacts --dry-run
///   cargo xtask clean-artifacts rust
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct CleanArtifacts {
    /// Languages (default: all)
    #[arg(value_name = "LANG")]
    languages: Vec<String>,
    /// Only say what would be removed
    #[arg(short = 'n', long)]
    dry_run: bool,
}

#[derive(Serialize)]
struct Report {
    language: String,
    /// As text: a name may be none.
    removed: Vec<String>,
    files: u64,
    bytes: u64,
    failed: Vec<String>,
}

impl CleanArtifacts {
    pub(crate) fn run(self, cx: &Cx) -> anyhow::Result<Exit> {
        let rules = &cx.config()?.clean;
        for language in &self.languages {
            if !rules.contains_key(language) {
                let message = format!("there is no [clean.{language}]");
                return Err(config::unknown_name(message, language, rules.keys()).into());
            }
        }
        let keep = keep(cx, rules.values())?;
        let mut looked = HashSet::new();
        let mut plans = Vec::new();
        for (language, rule) in rules {
            if !self.languages.is_empty() && !self.languages.contains(language) {
                continue;
            }
            cx.term.detail(&format!("looking for {language} products"));
            plans.push((language, artifacts::plan(rule, &keep, &mut looked)?));
        }
        // All of them are sound: nothing was removed before that is known.
        let mut reports = Vec::new();
        for (language, plan) in &plans {
            reports.push(self.clean(cx, language, plan, &keep.root)?);
        }
        if cx.term.json() {
            cx.term.json_data(&reports)?;
        } else {
            let bytes = reports.iter().map(|it| it.bytes).sum();
            let files: u64 = reports.iter().map(|it| it.files).sum();
            let verb = if self.dry_run { "Would free" } else { "Freed" };
            let what = if files == 0 {
                "nothing: there are no build products".to_owned()
            } else {
                format!("{} in {files} files", artifacts::size(bytes))
            };
            cx.term.status(verb, &what);
        }
        let failed = reports.iter().any(|report| !report.failed.is_empty());
        Ok(if failed { Exit::Failed } else { Exit::Done })
    }

    fn clean(&self, cx: &Cx, language: &str, plan: &Plan, root: &Path) -> anyhow::Result<Report> {
        let mut report = Report {
            language: language.to_owned(),
            removed: Vec::new(),
            files: 0,
            bytes: 0,
            failed: Vec::new(),
        };
        let results = if self.dry_run {
            plan.removals.iter().map(|_| Ok(())).collect()
        } else {
            platform::remove_all(root, &doomed(&plan.removals, root))
        };
        if platform::interrupted() {
            return Err(Fault::interrupted().into());
        }
        for (removal, result) in plan.removals.iter().zip(results) {
            let shown = removal.path.strip_prefix(root).unwrap_or(&removal.path);
            if let Err(error) = result {
                let message = format!("failed to remove `{}`: {error}", shown.display());
                cx.term.warn(&message);
                report.failed.push(message);
                continue;
            }
            if !cx.term.json() {
                let size = artifacts::size(removal.bytes);
                let suffix = if removal.directory {
                    std::path::MAIN_SEPARATOR_STR
                } else {
                    ""
                };
                cx.term.line(&format!(
                    "{size:>10}  {}  {}{suffix}",
                    cx.term.paint(Style::Dim, language),
                    shown.display()
                ))?;
            }
            report.files += removal.files;
            report.bytes += removal.bytes;
            report.removed.push(shown.to_string_lossy().into_owned());
        }
        for (path, reason) in &plan.kept {
            let shown = path.strip_prefix(root).unwrap_or(path);
            cx.term
                .status("Keeping", &format!("{}: {reason}", shown.display()));
        }
        Ok(report)
    }
}

fn doomed(removals: &[Removal], root: &Path) -> Vec<Doomed> {
    removals
        .iter()
        .map(|removal| Doomed {
            path: removal
                .path
                .strip_prefix(root)
                .unwrap_or(&removal.path)
                .to_path_buf(),
            directory: removal.directory,
        })
        .collect()
}

fn keep<'a>(cx: &Cx, rules: impl Iterator<Item = &'a CleanRule>) -> anyhow::Result<Keep> {
    let root = cx
        .root
        .canonicalize()
        .context("failed to find the workspace's real path")?;
    // A path that is not there needs no protection. The way to our state may lead through a link, which
    // we need as much as what it leads to.
    let real = |path: PathBuf| path.canonicalize().ok();
    let state = cx.state_dir();
    let inside = state.strip_prefix(&cx.root).map(|it| root.join(it));
    let ways = inside.iter().filter(|it| it.exists());
    let links = ways
        .flat_map(|it| it.ancestors())
        .take_while(|it| *it != root)
        .filter(|it| it.is_symlink());
    let mut own: Vec<PathBuf> = links.map(Path::to_path_buf).collect();
    own.extend(real(state));
    own.extend(std::env::current_exe().ok().and_then(real));
    let mut tracked = tracked_files(&root)?;
    // Rules may name paths inside of other repositories (submodules, for one): what those track, they say.
    let paths = rules.flat_map(|rule| rule.paths.iter().chain(&rule.under));
    let others: BTreeSet<&Path> = paths
        .flat_map(|path| path.ancestors().skip(1))
        .filter(|path| !path.as_os_str().is_empty() && is_repository(&root.join(path)))
        .collect();
    for other in others {
        let theirs = ls_files(&root.join(other), &NOT_OURS)?;
        tracked.extend(theirs.into_iter().map(|path| other.join(path)));
    }
    let mounts = platform::mounts().into_iter();
    Ok(Keep {
        mounts: mounts
            .filter(|it| it.starts_with(&root) && *it != root)
            .collect(),
        root,
        tracked,
        own,
    })
}

/// Whether a directory is a repository's top. The `.git` of a worktree or a submodule is a file; even a
/// link that leads nowhere is one whose meaning only git can tell.
fn is_repository(directory: &Path) -> bool {
    directory.join(".git").symlink_metadata().is_ok()
}

/// What git tracks. Without a repository that is nothing; with one that git cannot read, nothing may
/// be removed.
fn tracked_files(root: &Path) -> anyhow::Result<HashSet<PathBuf>> {
    let mut tracked = HashSet::new();
    if root.ancestors().any(is_repository) {
        tracked.extend(ls_files(root, &NOT_OURS)?);
    }
    // A hook's git says by the environment which repository it means, and so does whoever keeps one
    // without a `.git` here. What that tracks stays, too; if it means nothing here, nothing is lost.
    if std::env::var_os("GIT_DIR").is_some() {
        tracked.extend(ls_files(root, &[]).unwrap_or_default());
    }
    Ok(tracked)
}

/// Variables that make git look at another repository, or another index, than is there.
const NOT_OURS: [&str; 6] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
];

fn ls_files(directory: &Path, without: &[&str]) -> anyhow::Result<Vec<PathBuf>> {
    let mut command = Command::new("git");
    command
        .args(["ls-files", "-z", "--cached"])
        .current_dir(directory);
    for name in without {
        command.env_remove(name);
    }
    let output = proc::capture_any(&mut command)?;
    if !output.status.success() {
        return Err(Fault::new(format!(
            "git does not say which files it tracks, so nothing is removed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        ))
        .hint("mend the repository: `git status`")
        .into());
    }
    Ok(git::paths(&output.stdout).collect())
}
