//! What differs between operating systems, behind one set of functions: signals, process groups,
//! and who a pid is. Each function has a counterpart on Windows.

use std::sync::atomic::{AtomicI32, Ordering};

mod remove;
pub use remove::{Doomed, remove_all};
#[cfg(unix)]
mod unix;
#[cfg(unix)]
pub use unix::*;
#[cfg(windows)]
mod windows;
#[cfg(windows)]
pub use windows::*;

/// The last signal that asked us to end; 0 for none.
static SIGNAL: AtomicI32 = AtomicI32::new(0);
/// How many have.
static COUNT: AtomicI32 = AtomicI32::new(0);

/// Whether Ctrl-C or a termination signal has arrived. Loops that wait ask this.
#[must_use]
pub fn interrupted() -> bool {
    SIGNAL.load(Ordering::SeqCst) != 0
}

/// How often we were asked to end: somebody who asks twice does not want to wait.
#[must_use]
pub fn interrupts() -> i32 {
    COUNT.load(Ordering::SeqCst)
}

/// The last signal that asked us to end.
#[must_use]
pub fn last_signal() -> i32 {
    SIGNAL.load(Ordering::SeqCst)
}

fn note_interrupt(signal: i32) {
    SIGNAL.store(signal, Ordering::SeqCst);
    COUNT.fetch_add(1, Ordering::SeqCst);
}

/// A process that holds a port.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Holder {
    /// Its number.
    pub pid: u32,
    /// Its name.
    pub name: String,
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` (pid {})", self.name, self.pid)
    }
}
