//! The command line.

use std::path::PathBuf;

use clap::Parser;
use xtask::error::{Fault, nearest};

/// Measure the task layer against what it replaces
///
/// Ours and theirs run in turn (A B B A ...) after a warm-up. Works in a copy of the workspace under
/// target/bench, with ports and a database of its own; all that it starts ends with it.
///
/// Examples:
///   cargo run --release -p xtask-bench -- --list
///   cargo run --release -p xtask-bench -- make-noop check-services --runs 20
///   cargo run --release -p xtask-bench -- --out docs/performance.md
#[derive(Debug, Default, Parser)]
#[command(name = "xtask-bench", verbatim_doc_comment)]
pub struct Args {
    /// Pairs to run; a name ending in `*` means all that begin so (default: all)
    #[arg(value_name = "PAIR")]
    pub names: Vec<String>,
    /// Counted runs of each pair (default: what each says in --list)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub runs: Option<u32>,
    /// Show the pairs and their goals, and run nothing
    #[arg(long)]
    pub list: bool,
    /// Replace the table between the markers of this Markdown file
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Keep the rows of earlier runs on this machine for pairs that are not run now
    #[arg(long)]
    pub keep: bool,
    /// Each pair once, on tiny sizes, installing nothing: whether it works, not how fast
    #[arg(long, conflicts_with_all = ["runs", "out", "keep"])]
    pub smoke: bool,
}

/// The pairs that are meant, in the order of `known`.
///
/// # Errors
/// A name that is none of them, with the near one (exit 2).
pub fn choose<'a>(known: &[&'a str], names: &[String]) -> Result<Vec<&'a str>, Fault> {
    let means = |name: &str, it: &str| match name.strip_suffix('*') {
        Some(start) => it.starts_with(start),
        None => it == name,
    };
    for name in names {
        if !known.iter().any(|it| means(name, it)) {
            let fault = Fault::usage(format!("there is no pair `{name}`"));
            return Err(match nearest(name, known.iter().copied()) {
                Some(near) => fault.hint(format!("did you mean `{near}`?")),
                None => fault.hint("`--list` shows them"),
            });
        }
    }
    Ok(known
        .iter()
        .copied()
        .filter(|it| names.is_empty() || names.iter().any(|name| means(name, it)))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_choose_in_the_order_of_the_list() {
        let known = ["a-one", "a-two", "b"];
        let chosen = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|it| (*it).to_owned()).collect();
            choose(&known, &names)
        };
        assert_eq!(chosen(&[]).unwrap(), known);
        assert_eq!(chosen(&["b", "a-two", "b"]).unwrap(), ["a-two", "b"]);
        assert_eq!(chosen(&["a-*"]).unwrap(), ["a-one", "a-two"]);
        assert!(chosen(&["c"]).unwrap_err().to_string().contains("`c`"));
        assert!(chosen(&["c*"]).is_err());
    }

    #[test]
    fn the_command_line_is_checked() {
        let parse = |line: &str| Args::try_parse_from(line.split(' '));
        let args = parse("xtask-bench make-noop --runs 3 --out a.md").unwrap();
        assert_eq!((args.names.len(), args.runs), (1, Some(3)));
        for wrong in [
            "--runs 0",
            "--runs x",
            "--smoke --runs 3",
            "--smoke --out x",
        ] {
            assert!(parse(&format!("xtask-bench {wrong}")).is_err(), "{wrong}");
        }
    }
}
