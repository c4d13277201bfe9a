//! What differs between operating systems, behind one set of functions.

use std::sync::atomic::{AtomicBool, Ordering};

#[cfg(unix)]
mod unix;
#[cfg(unix)]
pub use unix::*;
#[cfg(windows)]
mod windows;
#[cfg(windows)]
pub use windows::*;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Whether Ctrl-C or a termination signal has arrived. Loops that wait ask this.
#[must_use]
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

fn note_interrupt() {
    INTERRUPTED.store(true, Ordering::SeqCst);
}
