//! Child processes: argument lists, never shell strings; errors with the command, its code and its
//! last words; secrets masked.

use std::io::{IsTerminal as _, Read as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::cx::Cx;
use crate::error::Fault;
use crate::exit::Exit;
use crate::mask;
use crate::platform::{self, Process};

/// The command as a person would type it, with URL passwords masked.
#[must_use]
pub fn display(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let line: Vec<String> = words
        .map(|word| {
            let word = word.to_string_lossy();
            if word.is_empty()
                || word.contains(|c: char| c.is_whitespace() || "\"'$`\\".contains(c))
            {
                format!("'{}'", word.replace('\'', r"'\''"))
            } else {
                word.into_owned()
            }
        })
        .collect();
    mask::mask_urls(&line.join(" ")).into_owned()
}

/// An argument list as a command in a directory: `cargo` is the one that runs us, any other program is
/// found as a shell would find it from there (so that `npm` is `npm.cmd` on Windows).
///
/// # Errors
/// An empty list (exit 2), or a program that is not there.
pub fn command(cx: &Cx, words: &[String], directory: &Path) -> anyhow::Result<Command> {
    let Some((program, args)) = words.split_first() else {
        return Err(Fault::usage("no command was given").into());
    };
    let path = if program == "cargo" {
        cx.cargo().into()
    } else {
        which::which_in(program, std::env::var_os("PATH"), directory)
            .map_err(|_| not_found(program))?
    };
    let mut command = Command::new(path);
    command.args(args).current_dir(directory);
    Ok(command)
}

/// cargo-make for one task, without its question for updates.
///
/// # Errors
/// When a variable of the process is not Unicode (exit 2): cargo-make, which reads them all, ends in a
/// panic that does not name it.
pub fn cargo_make(cx: &Cx, task: &str) -> Result<Command, Fault> {
    if let Some(name) = cx.not_unicode.keys().next() {
        return Err(Fault::usage(format!(
            "the variable `{}` of the process is not valid Unicode, which cargo-make cannot work with",
            name.display()
        ))
        .hint("set it anew, or unset it"));
    }
    let mut command = Command::new(cx.cargo());
    command
        .args(["make", "--disable-check-for-updates", task])
        .current_dir(&cx.cwd);
    Ok(command)
}

/// How a child ended, as our own exit: its code, or 128 + the signal that ended it.
#[must_use]
pub fn exit_of(status: ExitStatus) -> Exit {
    if status.success() {
        return Exit::Done;
    }
    Exit::Child(match status.code() {
        // Windows codes are 32 bits wide: what does not fit is still a failure.
        Some(code) => u8::try_from(code).unwrap_or(1),
        None => signal_code(status),
    })
}

#[cfg(unix)]
fn signal_code(status: ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt as _;
    status
        .signal()
        .and_then(|signal| u8::try_from(128 + signal).ok())
        .unwrap_or(1)
}

#[cfg(not(unix))]
fn signal_code(_status: ExitStatus) -> u8 {
    1
}

/// "exit code 3" or "signal 9 (SIGKILL)".
#[must_use]
pub fn describe_status(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("exit code {code}"),
        None => status.to_string().replacen("signal: ", "signal ", 1),
    }
}

/// How long a command that was asked to end twice has left, and what outlives one that was asked once.
const HURRY: Duration = Duration::from_secs(1);
const REST: Duration = Duration::from_secs(5);

/// How long the news of a signal takes to reach us.
const NOTICE: Duration = Duration::from_millis(50);

/// Whether a command ended by a signal, or by Ctrl-C or Ctrl-Break on Windows (STATUS_CONTROL_C_EXIT).
fn was_told(status: ExitStatus) -> bool {
    const CONTROL_C_EXIT: u32 = 0xC000_013A;
    let code = status.code();
    code.is_none_or(|code| code == CONTROL_C_EXIT.cast_signed())
}

/// Runs a command with the terminal's stdin, stdout and stderr, and waits for it.
///
/// After Ctrl-C or a termination signal the child, and what it runs in our process group, is told and
/// waited for, so that it can clean up; the result is then [`Exit::Interrupted`]. A second signal
/// leaves it one more second.
///
/// # Errors
/// When the command cannot be started.
pub fn run(command: &mut Command) -> anyhow::Result<Exit> {
    let mut child = command
        .spawn()
        .map_err(|error| not_started(command, &error))?;
    // At a terminal, Ctrl-C has reached the child already: once more would cut its cleanup short.
    let terminal = std::io::stdin().is_terminal();
    let mut seen = 0;
    let mut below = Vec::new();
    let mut kill_at = None;
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait()? {
            if !platform::interrupted() && was_told(status) {
                // Whoever ended it may have told us as well: that is on its way.
                thread::sleep(NOTICE);
            }
            if !platform::interrupted() {
                return Ok(exit_of(status));
            }
            end_rest(&below, kill_at.unwrap_or_else(|| Instant::now() + REST));
            return Ok(Exit::Interrupted);
        }
        let interrupts = platform::interrupts();
        if interrupts > seen {
            seen = interrupts;
            // Before they are told: later they are no longer below it.
            below = platform::in_our_group(child.id());
            if !(terminal && platform::last_signal() == INTERRUPT) {
                platform::forward_signal(child.id());
            }
            if interrupts > 1 {
                let soon = Instant::now() + HURRY;
                kill_at = Some(kill_at.map_or(soon, |at| soon.min(at)));
            }
        }
        if kill_at.is_some_and(|at| at <= Instant::now()) {
            below.extend(platform::in_our_group(child.id()));
            kill_all(&below);
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// As [`run`], in a process group of its own, which is ended whole after a signal, or once `cancelled`
/// is set by another thread: what the child starts in the very moment in which it is told belongs to
/// the group, too.
fn run_unless(command: &mut Command, cancelled: &AtomicBool) -> anyhow::Result<Exit> {
    let mut child = platform::spawn_group(command).map_err(|error| not_started(command, &error))?;
    wait_unless(&mut child, cancelled)
}

fn wait_unless(child: &mut Child, cancelled: &AtomicBool) -> anyhow::Result<Exit> {
    let group = child.id();
    let mut seen = 0;
    let mut told = false;
    let mut kill_at = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        let ended = child.try_wait()?;
        if let Some(status) = ended
            && !told
        {
            return Ok(if platform::interrupted() {
                Exit::Interrupted
            } else {
                exit_of(status)
            });
        }
        if ended.is_some() && !platform::processes("").iter().any(|it| it.group == group) {
            return Ok(Exit::Interrupted);
        }
        let interrupts = platform::interrupts();
        if interrupts > seen || (cancelled.load(Ordering::SeqCst) && !told) {
            platform::terminate_group(group);
            kill_at = Instant::now() + if interrupts > 1 { HURRY } else { REST };
            told = true;
            seen = interrupts;
        }
        if told && kill_at <= Instant::now() {
            platform::kill_group(group);
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// Waits until what a command has left behind has ended too, as it was asked to; then kills it.
pub(crate) fn end_rest(processes: &[Process], deadline: Instant) {
    let lives = || {
        let mut all = processes.iter();
        all.any(|it| platform::start_time(it.pid).is_some_and(|start| start == it.start))
    };
    while lives() {
        if deadline <= Instant::now() || platform::interrupts() > 1 {
            kill_all(processes);
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
}

fn kill_all(processes: &[Process]) {
    for process in processes {
        if platform::start_time(process.pid).is_some_and(|start| start == process.start) {
            platform::kill(process.pid);
        }
    }
}

/// Runs a command as a step of our own work: without stdin, and its words go where our talk goes, as
/// stdout is for results.
///
/// # Errors
/// When it cannot be started, when it fails (its own words are on stderr), and after Ctrl-C.
pub fn step(command: &mut Command) -> anyhow::Result<()> {
    step_unless(command, &AtomicBool::new(false))
}

/// As [`step`], and ends it as a signal would once `cancelled` is set by another thread.
///
/// # Errors
/// As [`step`]; the end of one that was cancelled is an interruption.
pub fn step_unless(command: &mut Command, cancelled: &AtomicBool) -> anyhow::Result<()> {
    command.stdin(Stdio::null()).stdout(std::io::stderr());
    let exit = run_unless(command, cancelled)?;
    ended_well(command, exit)
}

/// As [`step`], and returns what it prints on stdout.
///
/// # Errors
/// As [`step`].
pub fn step_output(command: &mut Command) -> anyhow::Result<String> {
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = platform::spawn_group(command).map_err(|error| not_started(command, &error))?;
    let mut pipe = child.stdout.take();
    let reader = thread::spawn(move || {
        let mut text = Vec::new();
        // What cannot be read any more was not printed.
        let _ = pipe.as_mut().map(|it| it.read_to_end(&mut text));
        text
    });
    let exit = wait_unless(&mut child, &AtomicBool::new(false))?;
    ended_well(command, exit)?;
    let text = reader.join().unwrap_or_default();
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn ended_well(command: &Command, exit: Exit) -> anyhow::Result<()> {
    match exit {
        Exit::Done => Ok(()),
        Exit::Interrupted => Err(Fault::interrupted().into()),
        exit => Err(Fault::new(format!(
            "`{}` ended with exit code {}",
            display(command),
            exit.code()
        ))
        .into()),
    }
}

/// SIGINT's number, the same on every Unix; Windows' handler uses it too.
const INTERRUPT: i32 = 2;

/// Runs a command and keeps what it prints. stdin is empty.
///
/// # Errors
/// When it cannot be started, or ends with a failure: then with the last lines of its stderr.
pub fn capture(command: &mut Command) -> anyhow::Result<String> {
    let output = capture_any(command)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let mut message = format!(
        "`{}` ended with {}",
        display(command),
        describe_status(output.status)
    );
    let tail = last_lines(&said, 20);
    if !tail.is_empty() {
        message.push_str(":\n");
        message.push_str(&mask::mask_urls(&tail));
    }
    Err(Fault::new(message).into())
}

/// Runs a command and keeps what it prints, however it ends. stdin is empty.
///
/// # Errors
/// When it cannot be started, or has ended by the signal that told us to end, too.
pub fn capture_any(command: &mut Command) -> anyhow::Result<Output> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| not_started(command, &error))?;
    if was_told(output.status) {
        if !platform::interrupted() {
            // Whoever ended it may have told us as well: that is on its way.
            thread::sleep(NOTICE);
        }
        if platform::interrupted() {
            return Err(Fault::interrupted().into());
        }
    }
    Ok(output)
}

fn not_started(command: &Command, error: &std::io::Error) -> Fault {
    let program = command.get_program().to_string_lossy().into_owned();
    if error.kind() == std::io::ErrorKind::NotFound {
        not_found(&program)
    } else {
        Fault::new(format!("failed to start `{}`: {error}", display(command)))
    }
}

fn not_found(program: &str) -> Fault {
    Fault::new(format!("command not found: `{program}`"))
        .hint("run `cargo xtask doctor` to see what this workspace needs and how to install it")
}

/// The last `n` non-empty lines of a text.
#[must_use]
pub fn last_lines(text: &str, n: usize) -> String {
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    lines[lines.len().saturating_sub(n)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_arguments_quoted_and_passwords_masked() {
        let mut command = Command::new("psql");
        command.args(["postgresql://u:secret@h/d", "a b", ""]);
        assert_eq!(display(&command), "psql postgresql://u:***@h/d 'a b' ''");
    }

    #[test]
    fn keeps_the_last_lines() {
        assert_eq!(last_lines("a\n\nb\nc\n", 2), "b\nc");
        assert_eq!(last_lines("a", 5), "a");
    }
}
