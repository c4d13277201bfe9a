//! `cargo xtask tasks check`

use std::fmt::Write as _;

use crate::cx::Cx;
use crate::error::{self, Fault};
use crate::exit::Exit;
use crate::github;
use crate::lint::read;
use crate::lint::{self, Level, Levels, Report, Rule};
use crate::term::{Format, Style};

/// Lint the task files of this workspace
///
/// Reads them as cargo-make does (files and tasks that extend, merges, aliases), and reports what would
/// fail, mislead or decay, with file, line and column. Each rule has a level in [lint.rules] of
/// .config/xtask.toml (off, warn, deny); at one task, `# xtask: allow(RULE): REASON` stands above it.
/// Ends with 1 if a denied rule finds something, with 2 if a file cannot be read.
///
/// --format is also `github` (annotations) and `sarif` (2.1.0). In a step of GitHub Actions there are
/// annotations whatever the format, unless stdout is for machines.
///
/// Examples:
///   cargo xtask tasks check
///   cargo xtask tasks check --fix                    # mend what is safe; comments and layout stay
///   cargo xtask tasks check --rule undefined-task    # one rule alone
///   cargo xtask tasks check --explain bash-in-sh
///   cargo xtask tasks check --format sarif > tasks.sarif
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, after_help = table())]
pub(super) struct Check {
    /// Mend what is safe
    #[arg(long)]
    fix: bool,
    /// Run this rule alone (repeat for more)
    #[arg(long = "rule", value_name = "RULE")]
    rules: Vec<String>,
    /// The level of every rule, whatever the configuration says
    #[arg(long, value_enum, value_name = "LEVEL")]
    level: Option<LevelArg>,
    /// Say what a rule finds, why it matters, and how it is mended
    #[arg(long, value_name = "RULE", conflicts_with_all = ["fix", "rules", "level"])]
    explain: Option<String>,
}

/// `--level`.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum LevelArg {
    /// Report
    Warn,
    /// Report, and fail
    Deny,
}

impl Check {
    pub(super) fn run(self, cx: &Cx) -> anyhow::Result<Exit> {
        if let Some(name) = &self.explain {
            cx.term.data(&explained(known(name)?, cx))?;
            return Ok(Exit::Done);
        }
        for name in &self.rules {
            known(name)?;
        }
        let config = cx.config()?;
        let levels = match self.level {
            Some(LevelArg::Warn) => Levels::all(Level::Warn),
            Some(LevelArg::Deny) => Levels::all(Level::Deny),
            None => Levels::new(&config.lint),
        }
        .only(&self.rules);
        let (input, mut report) = if self.fix {
            let (mended, input, report) = read::fix(&cx.root, config, &levels)?;
            for file in &mended.files {
                cx.term.status("Mended", file);
            }
            (input, report)
        } else {
            let input = read::read(&cx.root, config)?;
            let report = lint::check(&input.facts, &levels);
            (input, report)
        };
        report.problems = input.problems;
        show(cx, &report)?;
        for problem in &report.problems {
            let fault = Fault::from(problem.clone());
            cx.term.error(&fault.into());
        }
        cx.term.status("Checked", &report.summary());
        Ok(exit(&report))
    }
}

/// What cannot be read is worse than what is denied.
fn exit(report: &Report) -> Exit {
    if !report.problems.is_empty() {
        Exit::Usage
    } else if report.passed() {
        Exit::Done
    } else {
        Exit::Failed
    }
}

fn show(cx: &Cx, report: &Report) -> anyhow::Result<()> {
    match cx.term.format {
        Format::Human => {
            cx.term.data(&report.human(&cx.term))?;
            if github::active(cx) {
                cx.term.data(&report.github())?;
            }
            Ok(())
        }
        Format::Json => cx.term.json_data(&report.json()),
        Format::Github => cx.term.data(&report.github()),
        Format::Sarif => cx.term.json_data(&report.sarif()),
    }
}

fn known(name: &str) -> anyhow::Result<&'static Rule> {
    lint::rule(name).ok_or_else(|| {
        let fault = Fault::usage(format!("no rule is called `{name}`"));
        match error::nearest(name, lint::rules().map(|it| it.name)) {
            Some(near) => fault.hint(format!("did you mean `{near}`?")),
            None => fault.hint("`cargo xtask tasks check --help` lists them"),
        }
        .into()
    })
}

fn explained(rule: &Rule, cx: &Cx) -> String {
    let head = |word: &str| cx.term.paint(Style::Bold, word);
    format!(
        "{} ({}, {} by default)\n\n{}: {}.\n{}: {}.\n{}: {}{}.\n",
        head(rule.name),
        rule.family.title(),
        rule.level.word(),
        head("what"),
        rule.what,
        head("why"),
        rule.why,
        head("mend"),
        rule.mend,
        if rule.fixable {
            "; `--fix` does it where it is safe"
        } else {
            ""
        },
    )
}

/// The rules, by family.
fn table() -> String {
    let mut out = String::from("Rules (level by default; * mended by --fix):\n");
    let mut family = None;
    for rule in lint::rules() {
        if family != Some(rule.family) {
            family = Some(rule.family);
            let _ = writeln!(out, "  {}", rule.family.title());
        }
        let mark = if rule.fixable { "*" } else { " " };
        let (name, level, what) = (rule.name, rule.level.word(), rule.what);
        let _ = writeln!(out, "   {mark}{name:<23} {level:<5} {what}");
    }
    out
}
