//! File locks: two runs at once take turns. A lock ends with its process, however that ends; what a
//! process that was killed has left running is ended by the next one that takes its lock.
//!
//! A killed run cannot end its steps: its initdb or installer would write on, into the very directory
//! that the next run works in. So a lock file names the run that holds it, for as long as it holds it,
//! and the steps of that run carry its name in their environment. A name that is still there when the
//! lock is taken is that of a run that was killed.

use std::fs::{File, TryLockError};
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::cx::Cx;
use crate::error::Fault;
use crate::fsx;
use crate::platform::{self, Process};

/// The variable that names the run a step belongs to.
const MARK: &str = "XTASK_LOCK_RUN";
/// How long a step that was left has to end once it is asked to.
const GRACE: Duration = Duration::from_secs(5);

/// A lock that is held until the value is dropped.
#[derive(Debug)]
pub struct Lock {
    file: File,
    run: String,
}

impl Lock {
    /// Makes a command a step of this run: if we are killed, whoever takes the lock next ends it and
    /// all that it has started. Not for what is to outlive us.
    pub fn mark<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env(MARK, &self.run)
    }
}

impl Lock {
    /// Of a file that is locked now: it names us, once the steps of whoever it named have ended.
    fn of(cx: &Cx, mut file: File, path: &Path) -> anyhow::Result<Lock> {
        let mut killed = Vec::new();
        file.read_to_end(&mut killed)
            .with_context(|| format!("failed to read `{}`", path.display()))?;
        if !killed.is_empty() {
            // What is no name of ours is that of no step.
            end_steps(cx, &String::from_utf8_lossy(&killed))?;
        }
        let own = std::process::id();
        let run = format!("{own}-{}", platform::start_time(own).unwrap_or_default());
        let failed = || format!("failed to write `{}`", path.display());
        file.set_len(0).with_context(failed)?;
        if let Err(error) = write_at_start(&file, &run).with_context(failed) {
            // On a full disk, services and servers can still be stopped: unless we are killed while we
            // do so, nobody needs our name.
            file.set_len(0).with_context(failed)?;
            if !fsx::is_full(&error) {
                return Err(error);
            }
        }
        Ok(Lock { file, run })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // If that fails, the next one looks for steps that are not there: no more than that.
        let _ = self.file.set_len(0);
    }
}

/// Takes the lock of a file, which is made if it is not there; it is held until the value is dropped.
/// `work` is what another run may be at: "for another run that {work}".
///
/// # Errors
/// When the file cannot be opened or locked, and after Ctrl-C while waiting.
pub fn take(cx: &Cx, path: &Path, work: &str) -> anyhow::Result<Lock> {
    let file = open(path)?;
    let mut said = false;
    while !locked(&file, path)? {
        if !said {
            cx.term
                .status("Waiting", &format!("for another run that {work}"));
            said = true;
        }
        if platform::interrupted() {
            return Err(Fault::interrupted().into());
        }
        thread::sleep(Duration::from_millis(20));
    }
    Lock::of(cx, file, path)
}

/// As [`take`]; `None` where another run has it.
///
/// # Errors
/// When the file cannot be opened or locked.
pub fn try_take(cx: &Cx, path: &Path) -> anyhow::Result<Option<Lock>> {
    let file = open(path)?;
    if locked(&file, path)? {
        Lock::of(cx, file, path).map(Some)
    } else {
        Ok(None)
    }
}

fn open(path: &Path) -> anyhow::Result<File> {
    if let Some(parent) = path.parent() {
        fsx::create_dir_all(parent)?;
    }
    File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(path)
        .with_context(|| format!("failed to open `{}`", path.display()))
}

fn locked(file: &File, path: &Path) -> anyhow::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("failed to lock `{}`", path.display()))
        }
    }
}

fn write_at_start(mut file: &File, text: &str) -> std::io::Result<()> {
    use std::io::Seek as _;
    file.rewind()?;
    file.write_all(text.as_bytes())
}

/// Ends the steps of a run that was killed.
fn end_steps(cx: &Cx, run: &str) -> anyhow::Result<()> {
    let steps = || -> Vec<Process> {
        let table = platform::processes(MARK);
        let own = std::process::id();
        let ours = |it: &Process| it.mark.as_deref() == Some(run) && it.pid != own;
        table.into_iter().filter(ours).collect()
    };
    let since = Instant::now();
    let mut asked = false;
    loop {
        let left = steps();
        if left.is_empty() {
            return Ok(());
        }
        if !asked {
            let pids: Vec<String> = left.iter().map(|it| it.pid.to_string()).collect();
            let message = format!(
                "what a run that was killed has left (pid {})",
                pids.join(", ")
            );
            cx.term.status("Ending", &message);
        }
        for process in &left {
            if since.elapsed() > GRACE {
                platform::kill(process.pid);
            } else if !asked {
                platform::terminate(process.pid);
            }
        }
        asked = true;
        if since.elapsed() > GRACE * 2 {
            let message = "what a run that was killed has left does not end";
            return Err(Fault::new(message)
                .hint(format!("end it by hand: pid {}", left[0].pid))
                .into());
        }
        if platform::interrupted() {
            return Err(Fault::interrupted().into());
        }
        thread::sleep(Duration::from_millis(20));
    }
}
