//! Windows.

/// Turns Ctrl-C, Ctrl-Break and the console's close into [`super::interrupted`].
pub fn install_interrupt_handler() {
    // Without a handler the default action ends us: nothing else to do about a failure.
    let _ = ctrlc::set_handler(super::note_interrupt);
}

/// Asks one process to end. A console child has had the same Ctrl-C event; others are ended.
pub fn terminate(pid: u32) {
    let _ = std::process::Command::new("taskkill")
        .args(["/PID", &pid.to_string()])
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status();
}
