//! `cargo run -p xtask-cross -- [--yes] [--only NAME] [--part N/M]`: on Debian, compiles the tests of `xtask` for
//! Windows and runs them under Wine, and lints `xtask` for Windows and macOS.
//!
//! What cannot run there stands in `docs/platforms.md` with its reason. A test that fails and is not
//! listed is a failure, and so is a listed one that passes, or that is no more.
//!
//! It needs a compiler that has the sources of the standard library beside it ([`tools::PACKAGES`]), and
//! keeps what it makes below `target/cross`.

#[cfg(unix)]
mod groups;
mod table;
#[cfg(unix)]
mod tools;
#[cfg(unix)]
mod wine;

use std::process::ExitCode;

#[cfg(not(unix))]
fn main() -> ExitCode {
    eprintln!("error: this runs on Linux alone: here, `cargo test -p xtask` is the real thing");
    ExitCode::from(2)
}

#[cfg(unix)]
fn main() -> ExitCode {
    match run::run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

#[cfg(unix)]
mod run {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};
    use std::time::Instant;

    use anyhow::Context as _;

    use crate::table::{Outcome, Table, judge};
    use crate::tools::{self, Cross, MACOS, WINDOWS};
    use crate::wine::Wine;

    const HELP: &str = "\
Runs the tests of xtask for Windows under Wine, and lints xtask for Windows and macOS

Usage: cargo run -p xtask-cross -- [--yes] [--only NAME] [--part N/M] [--no-lint | --no-tests]

  --yes         install what is missing by apt-get
  --only NAME   run the tests whose name has this in it; nothing is said of the others
  --part N/M    run the Nth of M parts of the tests; the lists are compared all the same
  --no-lint     only the tests
  --no-tests    only the lints
";

    #[derive(Default)]
    struct Args {
        yes: bool,
        only: Option<String>,
        part: Option<(usize, usize)>,
        no_lint: bool,
        no_tests: bool,
    }

    fn args() -> anyhow::Result<Option<Args>> {
        let mut parsed = Args::default();
        let mut args = std::env::args().skip(1);
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--yes" => parsed.yes = true,
                "--no-lint" => parsed.no_lint = true,
                "--no-tests" => parsed.no_tests = true,
                "--only" => {
                    parsed.only = Some(args.next().context("--only needs a part of a name")?)
                }
                "--part" => {
                    let text = args.next().unwrap_or_default();
                    let numbers = text.split_once('/');
                    let numbers =
                        numbers.and_then(|(n, m)| Some((n.parse().ok()?, m.parse().ok()?)));
                    let fits = numbers.filter(|(n, m)| (1..=*m).contains(n));
                    parsed.part = Some(fits.context("--part needs N/M, as in 1/3")?);
                }
                "--help" | "-h" => {
                    print!("{HELP}");
                    return Ok(None);
                }
                other => anyhow::bail!("unknown argument `{other}`\n\n{HELP}"),
            }
        }
        Ok(Some(parsed))
    }

    /// The root of the workspace that this program belongs to.
    fn root() -> anyhow::Result<PathBuf> {
        let member = std::env::var_os("CARGO_MANIFEST_DIR")
            .context("start it with `cargo run -p xtask-cross`")?;
        let root = Path::new(&member).parent().context("no parent")?;
        Ok(root.to_path_buf())
    }

    pub(crate) fn run() -> anyhow::Result<bool> {
        let Some(args) = args()? else {
            return Ok(true);
        };
        let since = Instant::now();
        let root = root()?;
        let page = root.join("docs").join("platforms.md");
        let text = std::fs::read_to_string(&page)
            .with_context(|| format!("failed to read `{}`", page.display()))?;
        let table = Table::parse(&text)?;
        tools::ensure(args.yes)?;
        let cross = Cross::new(&root)?;
        let mut problems = Vec::new();

        if !args.no_lint {
            for target in [WINDOWS, MACOS] {
                step(&since, &format!("clippy for {target}"));
                if !cross.clippy(target)? {
                    problems.push(format!("clippy for {target} found something"));
                }
            }
        }
        if args.no_tests {
            report(&problems);
            step(&since, "done");
            return Ok(problems.is_empty());
        }
        step(&since, "the tests, compiled for Windows");
        let mut binaries = cross.build_tests()?;
        // cargo names them in any order, and a part has to be the same each time.
        binaries.sort_by(|one, other| one.target.cmp(&other.target));
        step(
            &since,
            "the tests, compiled for this machine (for the list of those that Windows lacks)",
        );
        let here: BTreeSet<String> = cross.list_here()?.into_iter().collect();
        let wine = Wine::start(&cross, &root)?;
        let mut tests = Vec::new();
        for binary in &binaries {
            for name in wine.list(binary)? {
                tests.push((binary.clone(), name));
            }
        }
        let there: BTreeSet<String> = tests.iter().map(|(_, name)| name.clone()).collect();
        if let Some(part) = &args.only {
            tests.retain(|(_, name)| name.contains(part.as_str()));
        }
        if let Some((part, parts)) = args.part {
            let all = tests.len();
            tests.truncate(all * part / parts);
            tests.drain(..all * (part - 1) / parts);
        }
        step(
            &since,
            &format!("{} tests under {}", tests.len(), wine.version()),
        );
        let results = wine.run_all(&tests, &|name| table.has(name))?;
        drop(wine);

        let passed = count(&results, |it| *it == Outcome::Passed);
        let failed = results.len() - passed;
        let whole = args.only.is_none();
        problems.extend(judge(&table, &here, &there, &results, whole));
        report(&problems);
        let expected = results
            .iter()
            .filter(|(name, outcome)| **outcome != Outcome::Passed && table.has(name));
        println!(
            "{passed} passed, {} failed ({} listed as unable to run under Wine, {} not compiled for Windows; {:.0} s)",
            failed - expected.clone().count(),
            expected.count(),
            here.difference(&there).count(),
            since.elapsed().as_secs_f64()
        );
        Ok(problems.is_empty())
    }

    fn count<K>(
        results: &std::collections::BTreeMap<K, Outcome>,
        which: impl Fn(&Outcome) -> bool,
    ) -> usize {
        results.values().filter(|it| which(it)).count()
    }

    fn report(problems: &[String]) {
        for problem in problems {
            eprintln!("FAILED: {problem}");
        }
    }

    fn step(since: &Instant, what: &str) {
        eprintln!("[{:4.0} s] {what}", since.elapsed().as_secs_f64());
    }
}
