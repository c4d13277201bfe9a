//! `cargo xtask clean-artifacts`

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use serde::Serialize;

use crate::artifacts::{self, Keep, Plan, Removal};
use crate::ci::git;
use crate::config;
use crate::cx::Cx;
use crate::error::Fault;
use crate::exit::Exit;
use crate::platform::{self, Doomed};
use crate::proc;
use crate::term::Style;

/// Remove build products of each language
///
/// Says what, and how many bytes. Never a file that git tracks, never .env, never outside of the
/// workspace, never through a symbolic link; the embedded database and this very program stay.
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
    removed: Vec<PathBuf>,
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
        let keep = keep(cx)?;
        let mut reports = Vec::new();
        for (language, rule) in rules {
            if !self.languages.is_empty() && !self.languages.contains(language) {
                continue;
            }
            cx.term.detail(&format!("looking for {language} products"));
            let plan = artifacts::plan(rule, &keep)?;
            reports.push(self.clean(cx, language, &plan, &keep.root)?);
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
            report.removed.push(shown.to_path_buf());
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

fn keep(cx: &Cx) -> anyhow::Result<Keep> {
    let root = cx
        .root
        .canonicalize()
        .context("failed to find the workspace's real path")?;
    // Our state is kept under its real path; a path that is not there needs no protection.
    let real = |path: PathBuf| path.canonicalize().ok();
    let own = [
        real(cx.state_dir()),
        std::env::current_exe().ok().and_then(real),
    ];
    let tracked = tracked_files(&root)?;
    Ok(Keep {
        root,
        tracked,
        own: own.into_iter().flatten().collect(),
    })
}

/// What git tracks. Without a repository that is nothing; with one that git cannot read, nothing may
/// be removed.
fn tracked_files(root: &Path) -> anyhow::Result<HashSet<PathBuf>> {
    if !root.ancestors().any(|dir| dir.join(".git").exists()) {
        return Ok(HashSet::new());
    }
    let mut command = Command::new("git");
    command
        .args(["ls-files", "-z", "--cached"])
        .current_dir(root);
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
