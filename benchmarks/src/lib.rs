//! Measures the task layer against what it replaces: pairs of commands, run in turn, on the same machine,
//! in the same run.
//!
//! [`pairs`] says what is compared and what is asked; [`pair`] runs it, [`stats`] and [`report`] are
//! plain data; [`lab`] and [`child`] are the edge.

pub mod args;
pub mod child;
pub mod generate;
pub mod lab;
pub mod machine;
pub mod pair;
pub mod pairs;
pub mod platform;
pub mod report;
pub mod stats;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use xtask::cmd::GlobalArgs;
use xtask::error::{self, Fault};
use xtask::exit::Exit;
use xtask::fsx::{self, Access};
use xtask::term::Term;

use args::Args;
use lab::Lab;
use machine::Machine;
use pair::{Goal, Outcome, Pair};
use report::{Report, Row};

/// Parses the command line, runs, renders at most one error, and returns the code.
#[must_use]
pub fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    xtask::platform::install_interrupt_handler();
    let term = Term::new(&GlobalArgs::default());
    let exit = run(&args, &term).unwrap_or_else(|error| {
        let exit = error::exit_of(&error);
        if exit != Exit::Interrupted {
            term.error(&error);
        }
        exit
    });
    exit.into()
}

fn run(args: &Args, term: &Term) -> anyhow::Result<Exit> {
    let names: Vec<&str> = pairs::ALL.iter().map(|pair| pair.name).collect();
    let chosen = args::choose(&names, &args.names)?;
    let chosen: Vec<&Pair> = pairs::ALL
        .iter()
        .filter(|pair| chosen.contains(&pair.name))
        .collect();
    if args.list {
        for pair in chosen {
            let goal = report::goal(pair.goal);
            let line = format!(
                "{:22} {goal:14} {:3} runs  {}",
                pair.name, pair.runs, pair.ours
            );
            term.line(&format!("{line} against {}", pair.theirs))?;
        }
        return Ok(Exit::Done);
    }
    let here = std::env::current_dir()?;
    // Found out before the hours are spent.
    let document = args.out.as_deref().map(read_document).transpose()?;
    let lab = Lab::open(&here, term.clone(), args.smoke)?;
    let results = lab.home.join("results.json");
    let earlier = match (args.keep, fsx::read_optional(&results)?) {
        (true, Some(text)) => serde_json::from_str(&text).ok(),
        _ => None,
    };
    let mut report = Report {
        machine: Machine::here(&lab),
        rows: Vec::new(),
    };
    let mut failed = Vec::new();
    for pair in &chosen {
        let (warm_up, runs) = match args.smoke {
            true => (0, 1),
            false => (1, args.runs.unwrap_or(pair.runs)),
        };
        term.status(
            "Pair",
            &format!("{}: {} against {}", pair.name, pair.ours, pair.theirs),
        );
        match pair::run(&lab, pair, warm_up, runs) {
            Ok(outcome) => {
                if let Outcome::NotThere(why) = &outcome {
                    term.status("Skipping", &format!("{}: {why}", pair.name));
                }
                report.rows.push(Row::new(pair, &outcome));
            }
            Err(error) if error::exit_of(&error) == Exit::Interrupted => return Err(error),
            Err(error) => {
                term.error(&error);
                failed.push(pair.name);
            }
        }
        if !args.smoke {
            save(&report, earlier.clone(), &names, &results)?;
        }
    }
    let report = report.over(earlier, &names);
    let table = report.markdown();
    if !args.smoke {
        term.line(table.trim_end())?;
    }
    if let (Some(path), Some(document)) = (&args.out, document) {
        let text = report::replace_block(&document, &table)?;
        fsx::atomic_write(path, text.as_bytes(), Access::Default)?;
    }
    let (met, asked) = score(&report);
    term.status("Measured", &format!("{met} of {asked} goals are met"));
    if failed.is_empty() {
        return Ok(Exit::Done);
    }
    Err(Fault::new(format!(
        "these could not be measured: {}",
        failed.join(", ")
    ))
    .hint(format!(
        "their logs are in `{}`",
        lab.home.join("logs").display()
    ))
    .into())
}

fn save(report: &Report, earlier: Option<Report>, names: &[&str], to: &Path) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(&report.clone().over(earlier, names))?;
    fsx::atomic_write(to, text.as_bytes(), Access::Default)
}

fn read_document(path: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("failed to read `{}`", path.display()))?;
    report::replace_block(&text, "").with_context(|| path.display().to_string())?;
    Ok(text)
}

/// How many goals were met, of how many that were asked and measured.
fn score(report: &Report) -> (usize, usize) {
    let asked = report.rows.iter().filter(|row| row.goal != Goal::Report);
    let met: Vec<bool> = asked.filter_map(|row| row.met).collect();
    (met.iter().filter(|met| **met).count(), met.len())
}
