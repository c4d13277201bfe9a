//! Windows. Process trees are ended by `taskkill`, which every Windows has.

use std::os::windows::process::CommandExt as _;
use std::process::{Command, Stdio};

use super::Holder;

/// "Process Creation Flags" of the Windows API.
const CREATE_NEW_PROCESS_GROUP: u32 = 0x0000_0200;
/// What stands for Ctrl-C where Unix has signal numbers.
const CTRL_C: i32 = 2;

/// Turns Ctrl-C, Ctrl-Break and the console's close into [`super::interrupted`].
pub fn install_interrupt_handler() {
    // Without a handler the default action ends us: nothing else to do about a failure.
    let _ = ctrlc::set_handler(|| super::note_interrupt(CTRL_C));
}

fn taskkill(args: &[&str], process: u32) {
    let _ = Command::new("taskkill")
        .args(args)
        .args(["/PID", &process.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
}

/// There is no `sudo` to put before a command.
#[must_use]
pub fn is_root() -> bool {
    true
}

/// A console child has had the same Ctrl-C event already.
pub fn forward_signal(_process: u32) {}

/// Ends one process at once.
pub fn kill(process: u32) {
    taskkill(&["/F"], process);
}

/// Makes a command start in a process group of its own.
pub fn own_group(command: &mut Command) {
    command.creation_flags(CREATE_NEW_PROCESS_GROUP);
}

/// Ends a tree. Windows has no polite signal for a process without a window.
pub fn terminate_group(leader: u32) {
    taskkill(&["/T", "/F"], leader);
}

/// Ends a tree at once.
pub fn kill_group(leader: u32) {
    taskkill(&["/T", "/F"], leader);
}

/// There are no zombies.
pub fn reap(_process: u32) {}

/// When a process started, as a file time; `None` for a process that is not there.
#[must_use]
pub fn start_time(process: u32) -> Option<String> {
    let script = format!("(Get-Process -Id {process} -ErrorAction Stop).StartTime.ToFileTimeUtc()");
    let output = Command::new("powershell")
        .args(["-NoProfile", "-NonInteractive", "-Command", &script])
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

/// The living processes of a tree: its leader, as far as can be told.
#[must_use]
pub fn group_members(leader: u32) -> Vec<u32> {
    start_time(leader).map(|_| leader).into_iter().collect()
}

/// Other processes' environments cannot be read.
#[must_use]
pub fn processes_with_env(_marker: &str) -> Vec<u32> {
    Vec::new()
}

/// Who listens on a TCP port of this machine, by `netstat`.
#[must_use]
pub fn port_holder(port: u16) -> Option<Holder> {
    let output = Command::new("netstat")
        .args(["-ano", "-p", "TCP"])
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let suffix = format!(":{port}");
    text.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let listens = fields.get(1)?.ends_with(&suffix) && *fields.get(3)? == "LISTENING";
        let pid = fields.get(4)?.parse().ok()?;
        listens.then(|| Holder {
            pid,
            name: "a process".to_owned(),
        })
    })
}
