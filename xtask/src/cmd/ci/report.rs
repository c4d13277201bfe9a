//! `cargo xtask ci report`

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::Context as _;
use serde::Serialize;

use crate::ci::report::{Entry, Summary};
use crate::config;
use crate::cx::Cx;
use crate::error::Fault;
use crate::exit::Exit;
use crate::fsx;
use crate::github;
use crate::glob;
use crate::junit;
use crate::mask::Secrets;
use crate::services;

/// Sum up the JUnit reports of all languages
///
/// Failures with their output, flaky tests, the slowest ones, and counts by language. In GitHub Actions
/// also on the step's summary page ($GITHUB_STEP_SUMMARY), and as annotations where tests failed.
/// Ends with 1 if a test failed, and also if a report is cut off, lists no test, or none is there.
///
/// Examples:
///   cargo xtask ci report                               # what [tests] of .config/xtask.toml names
///   cargo xtask ci report --language rust --language python
///   cargo xtask ci report 'reports/**/junit.xml'
///   cargo xtask ci report --format json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Report {
    /// Reports, or patterns (`*`, `**`) of some; each must be there
    #[arg(value_name = "FILE")]
    files: Vec<String>,
    /// Languages that must have left a report (default: those that have)
    #[arg(long = "language", value_name = "LANG", conflicts_with = "files")]
    languages: Vec<String>,
    /// How many of the slowest tests are named
    #[arg(long, value_name = "N", default_value_t = 10)]
    slowest: usize,
}

/// `--format json`: the summary, and whether it is a good one.
#[derive(Serialize)]
struct Answer<'a> {
    passed: bool,
    #[serde(flatten)]
    summary: &'a Summary,
}

/// A report's file, and whose it is.
struct Found {
    path: PathBuf,
    name: String,
    language: String,
}

impl Report {
    pub(super) fn run(self, cx: &Cx) -> anyhow::Result<Exit> {
        let (found, missing) = self.find(cx)?;
        let secrets = services::secrets(cx);
        let mut entries = Vec::new();
        let mut broken = Vec::new();
        for report in found {
            match read(cx, &report, &secrets) {
                Ok(entry) => entries.push(entry),
                // One that cannot be read fails the whole, but does not hide what the others say.
                Err(error) => broken.push(format!("{error:#}")),
            }
        }
        let root = fsx::real(&cx.root);
        let shown = root.display().to_string().replace('\\', "/");
        let exists = |path: &str| inside(&root, path).is_file();
        let mut summary = Summary::of(
            &entries,
            self.slowest,
            shown.trim_start_matches("//?/"),
            &exists,
        );
        summary.problems.extend(broken);
        summary.missing = missing;
        self.show(cx, &summary)?;
        Ok(if summary.passed() {
            Exit::Done
        } else {
            Exit::Failed
        })
    }

    fn show(&self, cx: &Cx, summary: &Summary) -> anyhow::Result<()> {
        if let Some(path) = github::file(cx, "GITHUB_STEP_SUMMARY") {
            github::append(path, "GITHUB_STEP_SUMMARY", &summary.markdown())?;
        }
        for language in &summary.missing {
            cx.term
                .warn(&format!("no report of {language}: its tests did not run"));
        }
        for problem in &summary.problems {
            cx.term.warn(problem);
        }
        if cx.term.json() {
            let passed = summary.passed();
            cx.term.json_data(&Answer { passed, summary })?;
        } else if github::active(cx) {
            // A test may have printed what looks like a workflow command.
            let stop = github::random()?;
            let text = summary.render(&cx.term);
            cx.term
                .data(&format!("::stop-commands::{stop}\n{text}::{stop}::\n"))?;
            cx.term.data(&summary.annotations())?;
        } else {
            cx.term.data(&summary.render(&cx.term))?;
        }
        Ok(())
    }

    /// The reports, and the languages that have none.
    fn find(&self, cx: &Cx) -> anyhow::Result<(Vec<Found>, Vec<String>)> {
        let tests = &cx.config()?.tests;
        if !self.files.is_empty() {
            return Ok((named(cx, &self.files)?, Vec::new()));
        }
        for language in &self.languages {
            if !tests.contains_key(language) {
                let message = format!("there is no [tests.{language}]");
                return Err(config::unknown_name(message, language, tests.keys()).into());
            }
        }
        if tests.is_empty() {
            return Err(Fault::usage("no report is named")
                .hint("name some, or their patterns in .config/xtask.toml: [tests.LANGUAGE] junit")
                .into());
        }
        let mut found = Vec::new();
        let mut missing = Vec::new();
        let mut patterns = Vec::new();
        for (language, facts) in tests {
            if !self.languages.is_empty() && !self.languages.contains(language) {
                continue;
            }
            let before = found.len();
            for pattern in &facts.junit {
                let files = fsx::files_matching(&cx.root, pattern)?;
                found.extend(files.into_iter().map(|name| Found {
                    path: inside(&cx.root, &name),
                    name,
                    language: language.clone(),
                }));
                patterns.push(format!("`{pattern}`"));
            }
            if found.len() == before {
                missing.push(language.clone());
            }
        }
        if !self.languages.is_empty() && !missing.is_empty() {
            return Err(none(&format!("of {}", missing.join(" and of ")), &patterns).into());
        }
        if found.is_empty() {
            return Err(none("of any language", &patterns).into());
        }
        Ok((found, missing))
    }
}

fn none(whose: &str, patterns: &[String]) -> Fault {
    Fault::new(format!(
        "there is no report {whose}: nothing is at {}",
        patterns.join(", ")
    ))
    .hint("run the tests first; nextest writes a report with `--profile ci`")
}

/// The reports that the command line names, each once. A language is known where the configuration has
/// the file.
fn named(cx: &Cx, files: &[String]) -> anyhow::Result<Vec<Found>> {
    let tests = &cx.config()?.tests;
    let mut found: Vec<Found> = Vec::new();
    for file in files {
        let plain = cx.cwd.join(file);
        let paths = if plain.is_file() {
            vec![plain]
        } else {
            matching(&cx.cwd, file)?
        };
        if paths.is_empty() {
            return Err(Fault::new(format!("there is no report `{file}`"))
                .hint("run the tests first; nextest writes a report with `--profile ci`")
                .into());
        }
        for path in paths {
            let below = path.strip_prefix(&cx.root).unwrap_or(&path);
            let name = below.display().to_string().replace('\\', "/");
            let of = tests.iter().find(|(_, facts)| {
                let mut patterns = facts.junit.iter();
                patterns.any(|pattern| glob::matches_path(pattern, &name))
            });
            if !found.iter().any(|it| it.path == path) {
                found.push(Found {
                    path,
                    name,
                    language: of.map_or_else(|| "-".to_owned(), |(language, _)| language.clone()),
                });
            }
        }
    }
    Ok(found)
}

/// The files that match a pattern as a person writes it: from where they stand, or absolute.
fn matching(cwd: &Path, pattern: &str) -> anyhow::Result<Vec<PathBuf>> {
    let text = cwd.join(pattern).display().to_string().replace('\\', "/");
    // Up to the first wildcard it is a directory.
    let literal = text.find('*').map_or(text.as_str(), |at| &text[..at]);
    let (directory, _) = literal.rsplit_once('/').unwrap_or((".", ""));
    let rest = text[directory.len()..].trim_start_matches('/').to_owned();
    let root = PathBuf::from(format!("{directory}/"));
    let files = fsx::files_matching(&root, &rest)?;
    Ok(files.iter().map(|file| inside(&root, file)).collect())
}

fn inside(root: &Path, path: &str) -> PathBuf {
    path.split('/')
        .fold(root.to_path_buf(), |dir, part| dir.join(part))
}

fn read(cx: &Cx, found: &Found, secrets: &Secrets) -> anyhow::Result<Entry> {
    let bytes =
        std::fs::read(&found.path).with_context(|| format!("failed to read `{}`", found.name))?;
    let modified = std::fs::metadata(&found.path).and_then(|it| it.modified());
    let age = modified
        .ok()
        .and_then(|it| SystemTime::now().duration_since(it).ok());
    let mut report = junit::parse(&bytes, &found.name)?;
    report.mask(secrets);
    let facts = cx.config()?.tests.get(&found.language);
    let directory = facts.map_or_else(String::new, |it| it.directory.display().to_string());
    Ok(Entry {
        language: found.language.clone(),
        directory: directory.replace('\\', "/"),
        age: age.map_or(0, |age| age.as_secs()),
        report,
    })
}
