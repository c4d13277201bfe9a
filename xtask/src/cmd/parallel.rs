//! `cargo xtask parallel`
//!
//! cargo-make's own `fork` + `parallel` ends at the first failure and leaves the siblings running as
//! orphans, their lines mixed. Here every task that was started is waited for, each task's output
//! stays together, the failed ones come last, and Ctrl-C ends all.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{self, IsTerminal as _, Read, Write as _};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::Serialize;

use crate::cx::Cx;
use crate::error::Fault;
use crate::exit::Exit;
use crate::fan_out::lock;
use crate::github;
use crate::junit::Counts;
use crate::platform;
use crate::proc;
use crate::term::{Style, Term};
use crate::test_reports::{self, Watch};
use crate::tools;

/// Run cargo-make tasks side by side, output grouped by task
///
/// Every task that was started is waited for; exit code 1 if one failed. Only read-only tasks
/// should run side by side. A task whose language is not installed here (`[make.needs]` names its
/// tools) is skipped and said to be; with CI=true it fails. The tests of each language are counted
/// by their reports ([tests.LANGUAGE]); a test task that ends well and tested nothing has failed.
///
/// Examples:
///   cargo xtask parallel format-rust lint-rust
///   cargo xtask parallel --keep-going --jobs 4 format lint test
///   cargo xtask parallel --jobs 1 test-rust test-python    # one after the other, output as it comes
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Parallel {
    /// Tasks of the Makefile.toml where you stand
    #[arg(required = true, value_name = "TASK")]
    tasks: Vec<String>,
    /// Start the remaining tasks after one has failed, too
    #[arg(long)]
    keep_going: bool,
    /// How many run at once (default: all; each mostly waits for tools of its own)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
}

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Passed,
    Failed,
    /// Never started, because another had failed.
    Skipped,
    /// Never started, because its language is not installed here.
    Unavailable,
    /// Ended by Ctrl-C.
    Interrupted,
}

/// One task's result, as the summary and `--format json` show it.
#[derive(Debug, Serialize)]
struct Report {
    task: String,
    outcome: Outcome,
    seconds: f64,
    /// What is missing, and how it is installed.
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<String>,
    /// The language whose tests it ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<String>,
    /// How its tests ended, by the reports that it wrote.
    #[serde(skip_serializing_if = "Option::is_none")]
    tests: Option<Counts>,
    /// Why it failed although it ended well.
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<String>,
    #[serde(skip)]
    output: Vec<u8>,
}

/// A task that runs.
struct Running {
    index: usize,
    child: Child,
    since: Instant,
    tests: Option<Watch>,
    output: Output,
    /// When it was first seen to have ended, while its output was still open.
    ended: Option<Instant>,
}

/// What a task has written so far.
type Output = Arc<Mutex<Vec<u8>>>;

/// How long the output of a task that has ended is read on: longer than any of its own takes to come through.
/// What it has left running may hold it open for ever.
const DRAIN: Duration = Duration::from_secs(1);

/// What the readers tell the main loop.
enum Event {
    /// All of a task's output is there: both of its streams are closed.
    Closed(usize),
}

impl Parallel {
    pub(crate) fn run(self, cx: &Cx) -> anyhow::Result<Exit> {
        let started = Instant::now();
        let jobs = self.jobs.map_or(self.tasks.len(), usize::from);
        let reports = run_all(cx, &self.tasks, jobs, self.keep_going)?;
        if cx.term.json() {
            cx.term.json_data(&reports)?;
        } else {
            cx.term.say(&summary(&cx.term, &reports, started.elapsed()));
        }
        Ok(exit_of(&reports))
    }
}

impl Report {
    /// A task that did not run (yet).
    fn new(task: &str, outcome: Outcome) -> Report {
        Report {
            task: task.to_owned(),
            outcome,
            seconds: 0.0,
            missing: None,
            language: None,
            tests: None,
            fault: None,
            output: Vec::new(),
        }
    }

    /// Adds what the reports of a test task say. Ending well without a test that ran is a failure.
    fn with_tests(
        mut self,
        cx: &Cx,
        watch: Option<Watch>,
        counted: &mut BTreeSet<String>,
    ) -> Report {
        let Some(watch) = watch else { return self };
        let result = watch.written(cx).and_then(|written| {
            // Side by side, two tasks of a language see each other's: each report counts once.
            let own = test_reports::count(cx, written.difference(counted))?;
            let shared = test_reports::count(cx, written.intersection(counted))?;
            counted.extend(written);
            Ok((
                own,
                own.passed + own.failed + shared.passed + shared.failed > 0,
            ))
        });
        self.language = Some(watch.language);
        let fault = match result {
            Ok((counts, ran)) => {
                self.tests = Some(counts);
                (!ran).then(|| "it ended well, but no test ran".to_owned())
            }
            Err(error) => Some(format!("{error:#}")),
        };
        if self.outcome == Outcome::Passed && fault.is_some() {
            self.outcome = Outcome::Failed;
            self.fault = fault;
        }
        self
    }
}

/// The language whose tests a task would run.
fn language_of(cx: &Cx, task: &str) -> anyhow::Result<Option<String>> {
    let tests = cx.config()?.tests_of(task);
    Ok(tests.map(|(language, _)| language.to_owned()))
}

/// What a task's language lacks here, and how to get it; `None` where all is there. Tools that belong
/// to no language are the task's own business: it fails without them.
fn missing_tools(cx: &Cx, task: &str) -> anyhow::Result<Option<String>> {
    let path = std::env::var_os("PATH");
    let missing: Vec<String> = cx
        .config()?
        .tools_of(task)
        .filter(|(_, tool)| tool.language.is_some())
        .map(|(name, tool)| tools::look(&cx.root, name, tool, path.as_deref()))
        .filter(|found| found.health != tools::Health::Ok)
        .map(|found| {
            let install = found
                .install
                .map_or_else(String::new, |it| format!("; install it: `{it}`"));
            let what = match found.health {
                tools::Health::Old => "is too old",
                tools::Health::Broken => "does not run",
                tools::Health::Missing | tools::Health::Ok => "is missing",
            };
            format!("`{}` {what}{install}", found.name)
        })
        .collect();
    Ok((!missing.is_empty()).then(|| missing.join(", ")))
}

/// 130 after Ctrl-C, 1 if a task failed or never ran, else 0.
fn exit_of(reports: &[Report]) -> Exit {
    if reports
        .iter()
        .any(|report| report.outcome == Outcome::Interrupted)
    {
        Exit::Interrupted
    } else if reports
        .iter()
        .all(|report| matches!(report.outcome, Outcome::Passed | Outcome::Unavailable))
        // Nothing failed where nothing ran; nothing passed, either.
        && reports
            .iter()
            .any(|report| report.outcome == Outcome::Passed)
    {
        Exit::Done
    } else {
        Exit::Failed
    }
}

fn run_all(
    cx: &Cx,
    tasks: &[String],
    jobs: usize,
    keep_going: bool,
) -> anyhow::Result<Vec<Report>> {
    let mut running = Vec::new();
    let result = run_in(cx, tasks, jobs, keep_going, &mut running);
    if result.is_err() {
        // Nothing may outlive us, whatever went wrong.
        let mut asked_to_stop = None;
        let ended = |task: &mut Running| !matches!(task.child.try_wait(), Ok(None));
        while !running.iter_mut().all(ended) {
            stop(&mut running, &mut asked_to_stop);
            thread::sleep(Duration::from_millis(20));
        }
    }
    result
}

/// As [`run_all`]; what still runs after an error is in `running`.
fn run_in(
    cx: &Cx,
    tasks: &[String],
    jobs: usize,
    keep_going: bool,
    running: &mut Vec<Running>,
) -> anyhow::Result<Vec<Report>> {
    let mut waiting: VecDeque<usize> = (0..tasks.len()).collect();
    let mut done: Vec<Option<Report>> = tasks.iter().map(|_| None).collect();
    let (sender, events) = mpsc::channel();
    let mut live = Live::new(cx, tasks.iter().map(String::len).max().unwrap_or(0));
    let mut failed = false;
    let mut counted = BTreeSet::new();
    // One at a time needs no grouping: its lines are shown as they come.
    let stream = jobs == 1 && !cx.term.json();
    let mut asked_to_stop: Option<Instant> = None;

    loop {
        if platform::interrupted() {
            stop(running, &mut asked_to_stop);
            waiting.clear();
        }
        while running.len() < jobs && (keep_going || !failed) {
            let Some(index) = waiting.pop_front() else {
                break;
            };
            if let Some(missing) = missing_tools(cx, &tasks[index])? {
                let outcome = if cx.ci() {
                    failed = true;
                    Outcome::Failed
                } else {
                    Outcome::Unavailable
                };
                cx.term
                    .warn(&format!("`{}` cannot run here: {missing}", tasks[index]));
                done[index] = Some(Report {
                    missing: Some(missing),
                    language: language_of(cx, &tasks[index])?,
                    ..Report::new(&tasks[index], outcome)
                });
                continue;
            }
            let tests = Watch::new(cx, &tasks[index])?;
            let output = Output::default();
            let child = start(cx, index, &tasks[index], stream, &output, &sender)?;
            running.push(Running {
                index,
                child,
                since: Instant::now(),
                tests,
                output,
                ended: None,
            });
        }
        if running.is_empty() {
            break;
        }
        live.draw(running, tasks);
        let next = match events.recv_timeout(Duration::from_millis(100)) {
            Ok(Event::Closed(index)) => running.iter().position(|task| task.index == index),
            Err(mpsc::RecvTimeoutError::Timeout) => left_open(running)?,
            // We hold a sender ourselves, so this cannot be; ending is the safe answer.
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
        };
        let Some(at) = next else {
            continue;
        };
        let mut task = running.remove(at);
        let index = task.index;
        let status = task.child.wait().context("failed to wait for a task")?;
        let outcome = match (status.success(), platform::interrupted()) {
            (true, _) => Outcome::Passed,
            (false, true) => Outcome::Interrupted,
            (false, false) => Outcome::Failed,
        };
        let report = Report {
            seconds: task.since.elapsed().as_secs_f64(),
            output: std::mem::take(&mut *lock(&task.output)),
            ..Report::new(&tasks[index], outcome)
        }
        .with_tests(cx, task.tests, &mut counted);
        failed |= report.outcome == Outcome::Failed;
        live.clear();
        if task.ended.is_some() {
            cx.term.warn(&format!(
                "`{}` has left something running that holds its output: that is not waited for",
                tasks[index]
            ));
        }
        if report.outcome == Outcome::Passed && !stream {
            show_group(cx, &report)?;
        }
        done[index] = Some(report);
    }
    live.clear();
    let reports: Vec<Report> = done
        .into_iter()
        .zip(tasks)
        .map(|(report, task)| {
            report.unwrap_or_else(|| {
                let interrupted = platform::interrupted();
                let outcome = if interrupted {
                    Outcome::Interrupted
                } else {
                    Outcome::Skipped
                };
                Report {
                    language: language_of(cx, task).ok().flatten(),
                    ..Report::new(task, outcome)
                }
            })
        })
        .collect();
    // The failed ones last: that is where the eye is when it is over.
    for report in reports
        .iter()
        .filter(|report| report.outcome == Outcome::Failed && report.missing.is_none() && !stream)
    {
        show_group(cx, report)?;
    }
    Ok(reports)
}

/// A task that has ended although its output is still open: it has left something running that holds it, as
/// a server that puts itself into the background does. Nobody waits for that.
fn left_open(running: &mut [Running]) -> anyhow::Result<Option<usize>> {
    for (at, task) in running.iter_mut().enumerate() {
        if task.ended.is_none() && task.child.try_wait()?.is_some() {
            task.ended = Some(Instant::now());
        }
        if task.ended.is_some_and(|since| since.elapsed() > DRAIN) {
            return Ok(Some(at));
        }
    }
    Ok(None)
}

/// Starts `cargo make TASK` in a process group of its own, with both streams in one pipe, in the
/// order in which they were written.
/// With `stream`, what it writes is shown at once.
fn start(
    cx: &Cx,
    index: usize,
    task: &str,
    stream: bool,
    output: &Output,
    sender: &mpsc::Sender<Event>,
) -> anyhow::Result<Child> {
    if stream {
        cx.term.data(&heading(cx, task, Style::Dim))?;
    }
    let (mut reader, writer) = io::pipe().context("failed to make a pipe")?;
    let mut command = proc::cargo_make(cx, task)?;
    command
        .stdin(Stdio::null())
        .stdout(writer.try_clone().context("failed to make a pipe")?)
        .stderr(writer);
    if cx.term.paint(Style::Dim, "").is_empty() {
        command.env("CARGO_TERM_COLOR", "never");
    } else {
        command.env("CARGO_TERM_COLOR", "always");
    }
    let child = platform::spawn_group(&mut command).map_err(|error| {
        Fault::new(format!(
            "failed to start `{}`: {error}",
            proc::display(&command)
        ))
        .hint("run `cargo xtask doctor`: is cargo-make installed?")
    })?;
    // The command holds our ends of the pipe: without this the reader never sees its end.
    drop(command);
    let (sender, output) = (sender.clone(), Arc::clone(output));
    thread::Builder::new()
        .name(format!("output of {task}"))
        .spawn(move || {
            if stream {
                let _ = io::copy(&mut reader, &mut io::stdout());
            } else {
                let mut piece = vec![0; 64 * 1024];
                loop {
                    match reader.read(&mut piece) {
                        Ok(n @ 1..) => lock(&output).extend_from_slice(&piece[..n]),
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Ok(0) | Err(_) => break,
                    }
                }
            }
            let _ = sender.send(Event::Closed(index));
        })
        .context("failed to start a thread")?;
    Ok(child)
}

/// Asks every group to end; after five seconds ends them.
fn stop(running: &mut [Running], asked: &mut Option<Instant>) {
    match asked {
        None => {
            *asked = Some(Instant::now());
            running
                .iter()
                .for_each(|task| platform::terminate_group(task.child.id()));
        }
        Some(since) if since.elapsed() > Duration::from_secs(5) => {
            running
                .iter()
                .for_each(|task| platform::kill_group(task.child.id()));
        }
        Some(_) => {}
    }
}

fn heading(cx: &Cx, title: &str, style: Style) -> String {
    let rule = "─".repeat(60_usize.saturating_sub(title.chars().count()));
    format!("{}\n", cx.term.paint(style, &format!("── {title} {rule}")))
}

/// One task's output, whole, under its heading. GitHub folds what passed; what failed stays open.
fn show_group(cx: &Cx, report: &Report) -> anyhow::Result<()> {
    let failed = report.outcome == Outcome::Failed;
    let title = format!("{} ({})", report.task, seconds(report.seconds));
    let mut text = Vec::new();
    let fold = github::active(cx) && !failed;
    if fold {
        text.extend_from_slice(format!("::group::{title}\n").as_bytes());
    } else {
        let style = if failed { Style::Red } else { Style::Green };
        text.extend_from_slice(heading(cx, &title, style).as_bytes());
    }
    text.extend_from_slice(&report.output);
    if !report.output.is_empty() && !report.output.ends_with(b"\n") {
        text.push(b'\n');
    }
    if fold {
        text.extend_from_slice(b"::endgroup::\n");
    }
    // With JSON on stdout, the talk goes to stderr.
    if cx.term.json() {
        cx.term.say(String::from_utf8_lossy(&text).trim_end());
        return Ok(());
    }
    cx.term.data(&String::from_utf8_lossy(&text))
}

fn summary(term: &Term, reports: &[Report], elapsed: Duration) -> String {
    let width = reports
        .iter()
        .map(|report| report.task.len())
        .max()
        .unwrap_or(0);
    let mut text = String::from("\n");
    for report in reports {
        let (style, word) = match report.outcome {
            Outcome::Passed => (Style::Green, "passed"),
            Outcome::Failed => (Style::Red, "FAILED"),
            Outcome::Skipped => (Style::Yellow, "skipped, as another task failed"),
            Outcome::Unavailable => (Style::Yellow, "SKIPPED"),
            Outcome::Interrupted => (Style::Yellow, "interrupted"),
        };
        let time = seconds(report.seconds);
        text.push_str(&format!(
            "  {:width$}  {time:>7}  {}\n",
            report.task,
            term.paint(style, word)
        ));
        if let Some(why) = report.missing.as_ref().or(report.fault.as_ref()) {
            text.push_str(&format!("  {:width$}           {why}\n", ""));
        } else if report.outcome == Outcome::Failed {
            text.push_str(&format!(
                "  {:width$}           again: cargo make {}\n",
                "", report.task
            ));
        }
    }
    text.push_str(&tests_summary(term, reports));
    let count = |outcome| {
        reports
            .iter()
            .filter(|report| report.outcome == outcome)
            .count()
    };
    let skipped = count(Outcome::Unavailable);
    let passed = count(Outcome::Passed);
    let called_off = count(Outcome::Skipped);
    let mut counts = format!(
        "{passed} passed, {} failed",
        reports.len() - passed - skipped - called_off
    );
    if called_off > 0 {
        counts.push_str(&format!(", {called_off} not run"));
    }
    if skipped > 0 {
        counts.push_str(&format!(", {skipped} SKIPPED"));
    }
    text.push_str(&format!(
        "  {counts} in {} (one after the other: {})",
        seconds(elapsed.as_secs_f64()),
        seconds(reports.iter().map(|report| report.seconds).sum()),
    ));
    text
}

/// A line for each language whose tests were to run.
fn tests_summary(term: &Term, reports: &[Report]) -> String {
    let mut languages: BTreeMap<&str, (Counts, bool)> = BTreeMap::new();
    for report in reports {
        let Some(language) = &report.language else {
            continue;
        };
        let (counts, whole) = languages
            .entry(language)
            .or_insert((Counts::default(), true));
        *counts += report.tests.unwrap_or_default();
        *whole &= report.tests.is_some();
    }
    let width = languages.keys().map(|it| it.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (language, (counts, whole)) in languages {
        let mut line = format!("  tests of {language:width$}  ");
        if counts.total() == 0 {
            line.push_str(&term.paint(Style::Yellow, "NONE RAN"));
        } else {
            let style = if counts.failed > 0 {
                Style::Red
            } else {
                Style::Green
            };
            let passed = format!("{} passed, {} failed", counts.passed, counts.failed);
            line.push_str(&term.paint(style, &passed));
            for (count, what) in [(counts.skipped, "skipped"), (counts.flaky, "flaky")] {
                if count > 0 {
                    line.push_str(&term.paint(Style::Yellow, &format!(", {count} {what}")));
                }
            }
            if !whole {
                line.push_str(&term.paint(Style::Yellow, ", and some did not run"));
            }
        }
        text.push_str(&line);
        text.push('\n');
    }
    text
}

fn seconds(seconds: f64) -> String {
    if seconds < 10.0 {
        format!("{seconds:.2}s")
    } else {
        format!("{seconds:.0}s")
    }
}

/// A live line for each running task, on a terminal alone.
struct Live {
    on: bool,
    width: usize,
    lines: usize,
}

impl Live {
    fn new(cx: &Cx, width: usize) -> Live {
        Live {
            on: io::stderr().is_terminal() && !cx.ci(),
            width,
            lines: 0,
        }
    }

    fn draw(&mut self, running: &[Running], tasks: &[String]) {
        if !self.on {
            return;
        }
        self.clear();
        let mut text = String::new();
        for task in running {
            let time = seconds(task.since.elapsed().as_secs_f64());
            text.push_str(&format!(
                "  {:w$}  {time:>7}  running\n",
                tasks[task.index],
                w = self.width
            ));
        }
        self.lines = running.len();
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }

    fn clear(&mut self) {
        if self.lines > 0 {
            // Cursor up, then erase to the end of the screen (ECMA-48).
            let _ = write!(io::stderr().lock(), "\u{1b}[{}A\u{1b}[J", self.lines);
            self.lines = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn report(task: &str, outcome: Outcome, seconds: f64) -> Report {
        Report {
            seconds,
            ..Report::new(task, outcome)
        }
    }

    #[test]
    fn the_summary_names_each_task_and_the_way_to_run_a_failed_one_again() {
        let reports = [
            report("format-rust", Outcome::Passed, 0.5),
            report("lint-rust", Outcome::Failed, 12.3),
            report("lint-go", Outcome::Skipped, 0.0),
            Report {
                missing: Some("`ruby` is missing".to_owned()),
                ..report("lint-ruby", Outcome::Unavailable, 0.0)
            },
        ];
        let text = summary(&Term::plain(), &reports, Duration::from_secs_f64(12.4));
        // `expect!` takes the common indent away: the first line keeps it from all.
        expect![[r#"
            summary:
              format-rust    0.50s  passed
              lint-rust        12s  FAILED
                                    again: cargo make lint-rust
              lint-go        0.00s  skipped, as another task failed
              lint-ruby      0.00s  SKIPPED
                                    `ruby` is missing
              1 passed, 1 failed, 1 not run, 1 SKIPPED in 12s (one after the other: 13s)"#]]
        .assert_eq(&format!("summary:{text}"));
    }

    #[test]
    fn the_tests_of_each_language_are_added_up() {
        let tested = |task: &str, language: &str, tests| Report {
            language: Some(language.to_owned()),
            tests,
            ..report(task, Outcome::Passed, 1.0)
        };
        let counts = |passed, failed, skipped, flaky| {
            Some(Counts {
                passed,
                failed,
                skipped,
                flaky,
            })
        };
        let text = tests_summary(
            &Term::plain(),
            &[
                report("lint", Outcome::Passed, 1.0),
                tested("test-ruby", "ruby", None),
                tested("test-rust", "rust", counts(7, 0, 1, 2)),
                tested("test-e2e", "rust", counts(3, 1, 0, 0)),
                tested("test-go", "go", counts(1, 0, 0, 0)),
                tested("test-go-more", "go", None),
            ],
        );
        expect![[r#"
            tests:
              tests of go    1 passed, 0 failed, and some did not run
              tests of ruby  NONE RAN
              tests of rust  10 passed, 1 failed, 1 skipped, 2 flaky
        "#]]
        .assert_eq(&format!("tests:\n{text}"));
    }

    #[test]
    fn a_task_that_never_ran_is_no_success() {
        assert_eq!(exit_of(&[report("a", Outcome::Passed, 0.0)]), Exit::Done);
        assert_eq!(exit_of(&[report("a", Outcome::Skipped, 0.0)]), Exit::Failed);
        let unavailable = report("a", Outcome::Unavailable, 0.0);
        assert_eq!(exit_of(&[unavailable]), Exit::Failed);
        let some = [
            report("a", Outcome::Unavailable, 0.0),
            report("b", Outcome::Passed, 0.0),
        ];
        assert_eq!(exit_of(&some), Exit::Done);
        let mixed = [
            report("a", Outcome::Failed, 0.0),
            report("b", Outcome::Interrupted, 0.0),
        ];
        assert_eq!(exit_of(&mixed), Exit::Interrupted);
    }
}
