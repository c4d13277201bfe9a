//! `cargo xtask ci shards` and `cargo xtask ci test-shard`

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::super::with_services;
use crate::ci::shards::{self, Selection, Shard};
use crate::cx::Cx;
use crate::error::Fault;
use crate::exit::Exit;
use crate::fsx;
use crate::github;
use crate::junit;
use crate::proc;
use crate::services::Programs;

/// The variable that names the shard where no argument does.
const SHARD: &str = "XTASK_SHARD";
/// nextest's exit code for "no tests to run".
const NO_TESTS: u8 = 4;

/// Split the tests over runners: a matrix for GitHub
///
/// Balanced by the times of earlier JUnit reports of nextest, where there are some; without, nextest
/// slices by number. Every test runs in exactly one shard, tests that no report knows included.
///
/// Examples:
///   cargo xtask ci shards --of 3
///   cargo xtask ci shards --of 3 --times 'target/earlier/**/junit.xml' --format json
///   cargo xtask ci shards --of 3 --github       # `matrix`, to $GITHUB_OUTPUT
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Shards {
    /// How many runners; fewer are used where there are fewer tests
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    of: u16,
    /// Patterns of earlier reports, below the root (default: [ci.shards] times)
    #[arg(long, value_name = "PATTERN")]
    times: Vec<String>,
    /// Hand the matrix to later jobs through $GITHUB_OUTPUT (printed where that is not set)
    #[arg(long)]
    github: bool,
}

impl Shards {
    pub(super) fn run(self, cx: &Cx) -> anyhow::Result<Exit> {
        let patterns = if self.times.is_empty() {
            &cx.config()?.ci.shards.times
        } else {
            &self.times
        };
        let times = shards::times(&earlier(cx, patterns)?);
        let shards = shards::split(&times, usize::from(self.of));
        let entries: Vec<Value> = shards.iter().map(Shard::entry).collect();
        let matrix = json!({ "include": entries });
        if self.github {
            github::output(cx, &[("matrix", &matrix.to_string())])?;
        }
        if cx.term.json() {
            cx.term.json_data(&matrix)?;
        } else if !self.github || github::file(cx, "GITHUB_OUTPUT").is_some() {
            for shard in &shards {
                let seconds = shard
                    .seconds
                    .map_or_else(String::new, |it| format!("{it:>9.3}s  "));
                let selection = match &shard.selection {
                    Selection::Partition(it) | Selection::Filterset(it) => it,
                };
                cx.term.line(&format!(
                    "{}/{}  {seconds}{selection}",
                    shard.shard, shard.total
                ))?;
            }
        }
        if times.is_empty() {
            cx.term
                .status("Sliced", "by number: no earlier report has times");
        } else {
            cx.term.status(
                "Balanced",
                &format!("by the times of {} tests", times.len()),
            );
        }
        Ok(Exit::Done)
    }
}

/// The earlier reports. They only advise: one that cannot be read is no reason to fail.
fn earlier(cx: &Cx, patterns: &[String]) -> anyhow::Result<Vec<junit::Report>> {
    let mut reports = Vec::new();
    for pattern in patterns {
        for name in fsx::files_matching(&cx.root, pattern)? {
            let path = cx.root.join(&name);
            let bytes = std::fs::read(&path).with_context(|| format!("failed to read `{name}`"))?;
            match junit::parse(&bytes, &name) {
                Ok(report) => reports.push(report),
                Err(fault) => cx.term.warn(&format!("{fault}: its times are not used")),
            }
        }
    }
    Ok(reports)
}

/// Run one shard of the tests with nextest
///
/// Ends with nextest's exit code. A shard that has none of the tests that there are passes.
///
/// Examples:
///   cargo xtask ci test-shard 1/3 -- --workspace
///   cargo xtask ci test-shard 1/3 --archive tests.tar.zst -E 'not binary(integration)'
///   XTASK_SHARD='${{ toJSON(matrix) }}' cargo xtask ci test-shard --archive tests.tar.zst --with-services
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct TestShard {
    /// `K/N`, or an entry of the matrix of `ci shards` (default: $XTASK_SHARD)
    #[arg(value_name = "SHARD")]
    shard: Option<String>,
    /// The tests, as `cargo nextest archive` packed them (default: built here)
    #[arg(long, value_name = "FILE")]
    archive: Option<PathBuf>,
    /// Have the services up: with an archive those that are packed in it, which are not built again
    #[arg(long)]
    with_services: bool,
    /// nextest's profile: one that writes JUnit
    #[arg(long, value_name = "NAME", default_value = "ci")]
    profile: String,
    /// Only tests that this expression of nextest selects, too
    #[arg(short = 'E', long, value_name = "EXPR")]
    filterset: Option<String>,
    /// More arguments for nextest
    #[arg(last = true, value_name = "ARGS")]
    args: Vec<String>,
}

impl TestShard {
    pub(super) fn run(self, cx: &Cx) -> anyhow::Result<Exit> {
        let from_env = || cx.env.get(SHARD).filter(|it| !it.is_empty());
        let text = self.shard.as_ref().or_else(from_env).ok_or_else(|| {
            Fault::usage("no shard is named").hint(format!("name one, `1/3`, or set {SHARD}"))
        })?;
        let shard = Shard::parse(text)?;
        // Of several expressions nextest runs what any of them selects: a test would run twice.
        let adds = |arg: &&String| {
            let own = ["-E", "--filterset", "--filter-expr"];
            own.iter().any(|it| arg.starts_with(it))
        };
        if let Some(arg) = self.args.iter().find(adds) {
            let message = format!("`{arg}` stands behind `--`, where it adds to the shard's tests");
            return Err(Fault::usage(message)
                .hint("write it before the `--`: there it narrows them down")
                .into());
        }
        let unpacked = match &self.archive {
            Some(archive) => Some(self.unpack(cx, &cx.cwd.join(archive))?),
            None => None,
        };
        let mut command = self.nextest(cx, "run", unpacked.as_deref());
        match (&shard.selection, &self.filterset) {
            (Selection::Partition(it), None) => command.args(["--partition", it]),
            (Selection::Partition(it), Some(also)) => {
                command.args(["--partition", it, "--filterset", also])
            }
            (Selection::Filterset(it), None) => command.args(["--filterset", it]),
            (Selection::Filterset(it), Some(also)) => {
                command.arg("--filterset").arg(format!("({it}) & ({also})"))
            }
        };
        cx.term.status(
            "Running",
            &format!("shard {} of {}", shard.shard, shard.total),
        );
        let exit = if self.with_services {
            let programs = Programs {
                prebuilt: unpacked.as_deref(),
                ..Programs::built(false)
            };
            with_services::run_with(cx, &[], programs, &mut command)?
        } else {
            proc::run(&mut command)?
        };
        if exit != Exit::Child(NO_TESTS) {
            return Ok(exit);
        }
        // With few tests a shard may be empty. Without any, something is wrong.
        let all = self.count(cx, unpacked.as_deref()).unwrap_or_else(|error| {
            cx.term.warn(&format!("{error:#}"));
            0
        });
        if all == 0 {
            return Ok(exit);
        }
        cx.term.status(
            "Passed",
            &format!("none of the {all} tests is of this shard"),
        );
        Ok(Exit::Done)
    }

    /// Unpacks the archive, for services as well as tests; the target directory in it.
    fn unpack(&self, cx: &Cx, archive: &Path) -> anyhow::Result<PathBuf> {
        let directory = cx.state_dir().join("archive");
        std::fs::create_dir_all(&directory)
            .with_context(|| format!("failed to create `{}`", directory.display()))?;
        cx.term.status("Unpacking", &archive.display().to_string());
        let mut command = Command::new(cx.cargo());
        command
            .args(["nextest", "list", "--profile", &self.profile])
            .args(["--message-format", "json"])
            .arg("--archive-file")
            .arg(archive)
            .arg("--extract-to")
            .arg(&directory)
            .arg("--extract-overwrite")
            .arg("--workspace-remap")
            .arg(&cx.root)
            .current_dir(&cx.root);
        proc::capture(&mut command)?;
        Ok(directory.join("target"))
    }

    fn nextest(&self, cx: &Cx, verb: &str, unpacked: Option<&Path>) -> Command {
        let mut command = Command::new(cx.cargo());
        command
            .args(["nextest", verb, "--profile", &self.profile])
            .current_dir(&cx.root);
        if let Some(target) = unpacked {
            let metadata = target.join("nextest");
            command
                .arg("--binaries-metadata")
                .arg(metadata.join("binaries-metadata.json"))
                .arg("--cargo-metadata")
                .arg(metadata.join("cargo-metadata.json"))
                .arg("--target-dir-remap")
                .arg(target)
                .arg("--workspace-remap")
                .arg(&cx.root);
        }
        command.args(&self.args);
        command
    }

    /// How many tests all shards have together.
    fn count(&self, cx: &Cx, unpacked: Option<&Path>) -> anyhow::Result<usize> {
        let mut command = self.nextest(cx, "list", unpacked);
        command.args(["--message-format", "json"]);
        if let Some(filterset) = &self.filterset {
            command.args(["--filterset", filterset]);
        }
        let list: Value = serde_json::from_str(&proc::capture(&mut command)?)
            .context("nextest's list of tests is no JSON")?;
        let suites = list["rust-suites"].as_object().into_iter().flatten();
        let tests = suites.filter_map(|(_, suite)| suite["testcases"].as_object());
        Ok(tests
            .flat_map(|tests| tests.values())
            .filter(|test| test["filter-match"]["status"] == "matches")
            .count())
    }
}
