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

/// A living process, as far as the platform tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Its parent's number.
    pub parent: u32,
    /// The leader of its process group.
    pub group: u32,
    /// When it started, as [`start_time`] tells it: with the pid it is this process and no later one.
    pub start: String,
    /// Whether it is stopped (SIGSTOP, Ctrl-Z): it neither works nor ends by itself.
    pub suspended: bool,
    /// The value of the variable that was asked for, in the environment that it was started with;
    /// `None` also where that cannot be read, or was overwritten.
    pub mark: Option<String>,
}

/// A process and all below it, by parent.
#[must_use]
pub fn tree(table: &[Process], root: u32) -> Vec<&Process> {
    let mut found: Vec<&Process> = table.iter().filter(|it| it.pid == root).collect();
    let mut at = 0;
    while let Some(pid) = found.get(at).map(|it| it.pid) {
        at += 1;
        for child in table.iter().filter(|it| it.parent == pid) {
            if !found.iter().any(|it| it.pid == child.pid) {
                found.push(child);
            }
        }
    }
    found
}

/// Who listens on a TCP port of this machine, where that can be told.
#[must_use]
pub fn port_holder(port: u16) -> Option<Holder> {
    port_holders(port).into_iter().next()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: u32, parent: u32) -> Process {
        Process {
            pid,
            parent,
            ..Process::default()
        }
    }

    #[test]
    fn a_tree_has_all_below_its_root_and_nothing_else() {
        // A circle (a table is no snapshot of one instant) must not hang it.
        let table = [
            process(1, 0),
            process(5, 1),
            process(6, 5),
            process(7, 6),
            process(8, 1),
            process(9, 10),
            process(10, 9),
        ];
        let pids = |root| -> Vec<u32> { tree(&table, root).iter().map(|it| it.pid).collect() };
        assert_eq!(pids(5), [5, 6, 7]);
        assert_eq!(pids(9), [9, 10]);
        assert_eq!(pids(4), Vec::<u32>::new());
    }
}
