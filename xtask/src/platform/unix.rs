//! Linux and macOS.

use nix::sys::signal::{SigSet, Signal};

/// Turns SIGINT, SIGTERM and SIGHUP into [`super::interrupted`]. Call before any thread starts:
/// the signals are blocked in every thread and taken by one that waits for them. `std` resets the
/// mask in children, so they still get theirs.
pub fn install_interrupt_handler() {
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        signals.add(signal);
    }
    if signals.thread_block().is_err() {
        return; // The default action then ends us, as it would without a handler.
    }
    let _ = std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            while signals.wait().is_ok() {
                super::note_interrupt();
            }
        });
}

/// Asks one process to end (SIGTERM). A process that is gone already is no error.
pub fn terminate(pid: u32) {
    if let Ok(pid) = i32::try_from(pid) {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGTERM);
    }
}
