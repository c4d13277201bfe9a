//! Children that are timed, and children that stay for a while. Each leads a process group, and none
//! outlives the harness: not after a failure, and not after Ctrl-C.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, Once, PoisonError};
use std::time::{Duration, Instant};
use std::{fs, thread};

use anyhow::Context as _;
use xtask::error::Fault;
use xtask::{mask, platform, proc};

/// The groups to end when we are asked to end. A group leaves before its leader is waited for a last
/// time wherever that can be told, so that no later process of that number is hit.
static GROUPS: Mutex<Vec<u32>> = Mutex::new(Vec::new());
static WATCH: Once = Once::new();

fn groups<T>(change: impl FnOnce(&mut Vec<u32>) -> T) -> T {
    change(&mut GROUPS.lock().unwrap_or_else(PoisonError::into_inner))
}

/// A child blocks its waiter, which is what makes its time exact; so another thread listens for Ctrl-C.
fn watch() {
    WATCH.call_once(|| {
        thread::spawn(|| {
            while !platform::interrupted() {
                thread::sleep(Duration::from_millis(20));
            }
            groups(|leaders| leaders.iter().for_each(|it| platform::terminate_group(*it)));
            thread::sleep(Duration::from_secs(5));
            groups(|leaders| leaders.iter().for_each(|it| platform::kill_group(*it)));
        });
    });
}

fn spawn(command: &mut Command, log: &Path) -> anyhow::Result<Child> {
    check_interrupt()?;
    watch();
    let out = File::create(log).with_context(|| format!("failed to write `{}`", log.display()))?;
    command
        .stdin(Stdio::null())
        .stdout(out.try_clone()?)
        .stderr(out);
    platform::own_group(command);
    let child = command
        .spawn()
        .with_context(|| format!("failed to start `{}`", proc::display(command)))?;
    groups(|leaders| leaders.push(child.id()));
    Ok(child)
}

/// An error once somebody asked us to end.
///
/// # Errors
/// The interruption (exit 130).
pub fn check_interrupt() -> anyhow::Result<()> {
    if platform::interrupted() {
        return Err(Fault::interrupted().into());
    }
    Ok(())
}

/// Runs a command to its end and returns how long that took, from before it was started. What it says
/// goes to `log`.
///
/// # Errors
/// When it cannot be started, was interrupted, or failed: with the end of what it said.
pub fn timed(command: &mut Command, log: &Path) -> anyhow::Result<Duration> {
    let (status, time) = timed_any(command, log)?;
    if status.success() {
        return Ok(time);
    }
    let said = fs::read(log).unwrap_or_default();
    let tail = proc::last_lines(&String::from_utf8_lossy(&said), 20);
    Err(Fault::new(format!(
        "`{}` ended with {}:\n{}",
        proc::display(command),
        proc::describe_status(status),
        mask::mask_urls(&tail)
    ))
    .into())
}

/// As [`timed`], however the command ends.
///
/// # Errors
/// When it cannot be started, or was interrupted.
pub fn timed_any(command: &mut Command, log: &Path) -> anyhow::Result<(ExitStatus, Duration)> {
    let since = Instant::now();
    let mut child = spawn(command, log)?;
    let status = child.wait();
    let time = since.elapsed();
    groups(|leaders| leaders.retain(|it| *it != child.id()));
    check_interrupt()?;
    Ok((status?, time))
}

/// A child that stays until this value is dropped, and all below it with it.
pub struct Background {
    child: Child,
}

impl Background {
    /// Starts it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(command: &mut Command, log: &Path) -> anyhow::Result<Background> {
        Ok(Background {
            child: spawn(command, log)?,
        })
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_some())
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let leader = self.child.id();
        if !self.has_ended() {
            platform::terminate_group(leader);
            let since = Instant::now();
            while !self.has_ended() && since.elapsed() < Duration::from_secs(5) {
                thread::sleep(Duration::from_millis(10));
            }
            if !self.has_ended() {
                platform::kill_group(leader);
                let _ = self.child.wait();
            }
        }
        groups(|leaders| leaders.retain(|it| *it != leader));
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_failure_comes_with_its_last_words() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let shell = |line: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", line]);
            timed(&mut command, &log)
        };
        assert!(shell("exit 0").unwrap() < Duration::from_secs(5));
        let error = shell("echo words; exit 3").unwrap_err().to_string();
        assert!(
            error.contains("exit code 3") && error.contains("words"),
            "{error}"
        );
    }

    #[test]
    fn the_time_is_the_childs() {
        let dir = tempfile::tempdir().unwrap();
        let time = timed(Command::new("sleep").arg("0.2"), &dir.path().join("log")).unwrap();
        assert!(time >= Duration::from_millis(200), "{time:?}");
    }

    #[test]
    fn what_stays_ends_with_its_value() {
        let dir = tempfile::tempdir().unwrap();
        // `sh` waits for its own child: both are in the group.
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 60 & wait"]);
        let mut child = Background::start(&mut command, &dir.path().join("log")).unwrap();
        assert!(!child.has_ended());
        let leader = child.child.id();
        let members = || {
            let all = platform::processes("");
            all.into_iter().filter(|it| it.group == leader).count()
        };
        let both = (0..200).any(|_| {
            thread::sleep(Duration::from_millis(10));
            members() == 2
        });
        assert!(both, "{} live", members());
        drop(child);
        let gone = (0..200).any(|_| {
            thread::sleep(Duration::from_millis(10));
            members() == 0
        });
        assert!(gone, "{} still live", members());
    }
}
