//! File locks: two runs at once take turns. A lock ends with its process, however that ends.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;

use crate::cx::Cx;
use crate::error::Fault;
use crate::fsx;
use crate::platform;

/// Takes the lock of a file, which is made if it is not there; it is held until the value is dropped.
/// `work` is what another run may be at: "for another run that {work}".
///
/// # Errors
/// When the file cannot be opened or locked, and after Ctrl-C while waiting.
pub fn take(cx: &Cx, path: &Path, work: &str) -> anyhow::Result<File> {
    if let Some(parent) = path.parent() {
        fsx::create_dir_all(parent)?;
    }
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .with_context(|| format!("failed to open `{}`", path.display()))?;
    let mut said = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("failed to lock `{}`", path.display()));
            }
        }
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
}
