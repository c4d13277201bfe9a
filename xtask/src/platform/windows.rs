//! Windows. Process trees are ended by `taskkill`, which every Windows has.

use std::os::windows::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{Holder, Process};
use crate::exit::Exit;

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
pub fn forward_signal(_command: u32) {}

/// A command and all below it: there are no process groups of that kind.
#[must_use]
pub fn in_our_group(command: u32) -> Vec<Process> {
    let table = processes("");
    super::tree(&table, command).into_iter().cloned().collect()
}

/// Ends one process. Windows has no polite signal for a process without a window.
pub fn terminate(process: u32) {
    taskkill(&["/F"], process);
}

/// Ends one process at once.
pub fn kill(process: u32) {
    taskkill(&["/F"], process);
}

/// Runs that program in our place: Windows has no way to become one.
///
/// # Errors
/// When it cannot be started.
pub fn become_of(command: &mut Command) -> anyhow::Result<Exit> {
    // It ends by itself on Ctrl-C, and we have to be there for its code.
    install_interrupt_handler();
    crate::proc::run(command)
}

/// Whether this process runs the file that is there now: Windows keeps it while it runs, but cargo may have
/// moved it.
#[must_use]
pub fn runs(_program: &Path) -> bool {
    false
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
    let list = list_processes(&format!("-Filter 'ProcessId = {process}'"));
    list.into_iter().next().map(|it| it.start)
}

/// Start times are dates, which no boot repeats.
#[must_use]
pub fn boot() -> String {
    String::new()
}

/// Only the clock can tell.
#[must_use]
pub fn age(_process: u32) -> Option<std::time::Duration> {
    None
}

/// The running processes. Their environments cannot be read: none has a mark.
#[must_use]
pub fn processes(_variable: &str) -> Vec<Process> {
    list_processes("")
}

fn list_processes(filter: &str) -> Vec<Process> {
    let script = format!(
        "Get-CimInstance Win32_Process {filter} | Where-Object CreationDate | ForEach-Object \
         {{ '{{0}} {{1}} {{2}}' -f $_.ProcessId, $_.ParentProcessId, $_.CreationDate.ToFileTimeUtc() }}"
    );
    let output = Command::new("powershell")
        .args(["-NoProfile", "-NonInteractive", "-Command", &script])
        .stdin(Stdio::null())
        .output();
    let text = output.map(|it| String::from_utf8_lossy(&it.stdout).into_owned());
    text.unwrap_or_default()
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let pid = words.next()?.parse().ok()?;
            Some(Process {
                pid,
                parent: words.next()?.parse().ok()?,
                group: pid,
                start: words.next()?.to_owned(),
                ..Process::default()
            })
        })
        .collect()
}

/// Everyone who listens on a TCP port of this machine, by `netstat`.
#[must_use]
pub fn port_holders(port: u16) -> Vec<Holder> {
    let output = Command::new("netstat").args(["-ano", "-p", "TCP"]).output();
    let text = output.map(|it| String::from_utf8_lossy(&it.stdout).into_owned());
    let suffix = format!(":{port}");
    text.unwrap_or_default()
        .lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let listens = fields.get(1)?.ends_with(&suffix) && *fields.get(3)? == "LISTENING";
            let pid = fields.get(4)?.parse().ok()?;
            listens.then(|| Holder {
                pid,
                name: "a process".to_owned(),
            })
        })
        .collect()
}
