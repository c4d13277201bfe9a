//! Linux and macOS. What macOS has no `/proc` for is asked of `ps` and `lsof`.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use nix::sys::signal::{self, Signal};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::Holder;

/// Turns SIGINT, SIGTERM and SIGHUP into [`super::interrupted`]. Handlers, not a blocked mask:
/// children would inherit the mask, and be deaf to SIGTERM.
pub fn install_interrupt_handler() {
    // Without a handler the default action ends us: nothing else to do about a failure.
    let Ok(mut signals) = Signals::new([SIGINT, SIGTERM, SIGHUP]) else {
        return;
    };
    let _ = std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            for signal in signals.forever() {
                super::note_interrupt(signal);
            }
        });
}

fn pid(pid: u32) -> Option<Pid> {
    // 0 and negative numbers mean groups to kill(2): never by accident.
    i32::try_from(pid)
        .ok()
        .filter(|pid| *pid > 0)
        .map(Pid::from_raw)
}

/// Whether this process may do everything, so that no `sudo` is needed.
#[must_use]
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Hands our last signal on to one process. A process that is gone already is no error.
pub fn forward_signal(process: u32) {
    if let (Some(process), Ok(signal)) = (pid(process), Signal::try_from(super::last_signal())) {
        let _ = signal::kill(process, signal);
    }
}

/// Ends one process at once (SIGKILL).
pub fn kill(process: u32) {
    if let Some(process) = pid(process) {
        let _ = signal::kill(process, Signal::SIGKILL);
    }
}

/// Makes a command start in a process group of its own, led by it: a Ctrl-C at the terminal does
/// not reach it, and all below it can be ended together.
pub fn own_group(command: &mut Command) {
    command.process_group(0);
}

/// Asks a group to end (SIGTERM).
pub fn terminate_group(leader: u32) {
    if let Some(leader) = pid(leader) {
        let _ = signal::killpg(leader, Signal::SIGTERM);
    }
}

/// Ends a group at once (SIGKILL).
pub fn kill_group(leader: u32) {
    if let Some(leader) = pid(leader) {
        let _ = signal::killpg(leader, Signal::SIGKILL);
    }
}

/// Takes note of a child's end, so that it does not stay as a zombie. Not our child: nothing.
pub fn reap(process: u32) {
    if let Some(process) = pid(process) {
        let _ = waitpid(process, Some(WaitPidFlag::WNOHANG));
    }
}

/// When a process started, in the platform's own terms: with the pid it tells one process from a
/// later one of the same number. `None` for a process that is not there, or is a zombie.
#[must_use]
pub fn start_time(process: u32) -> Option<String> {
    #[cfg(target_os = "linux")]
    {
        let stat = stat(process)?;
        (stat.state != 'Z' && stat.state != 'X').then_some(stat.start)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let output = Command::new("ps")
            .args(["-o", "stat=,lstart=", "-p", &process.to_string()])
            .output()
            .ok()?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let (state, start) = text.split_once(' ')?;
        (!state.starts_with('Z')).then(|| start.trim().to_owned())
    }
}

/// The living processes of a group.
#[must_use]
pub fn group_members(leader: u32) -> Vec<u32> {
    #[cfg(target_os = "linux")]
    {
        processes()
            .filter(|process| {
                stat(*process)
                    .is_some_and(|it| it.group == leader && it.state != 'Z' && it.state != 'X')
            })
            .collect()
    }
    #[cfg(not(target_os = "linux"))]
    {
        let alive = pid(leader).is_some_and(|leader| signal::killpg(leader, None).is_ok());
        if alive { vec![leader] } else { Vec::new() }
    }
}

/// The living processes that have this `NAME=value` in the environment that they were started with:
/// descendants that have left their group. Only Linux can tell.
#[must_use]
pub fn processes_with_env(marker: &str) -> Vec<u32> {
    #[cfg(target_os = "linux")]
    {
        let own = std::process::id();
        processes()
            .filter(|process| *process != own)
            .filter(|process| {
                std::fs::read(format!("/proc/{process}/environ")).is_ok_and(|environ| {
                    environ
                        .split(|byte| *byte == 0)
                        .any(|pair| pair == marker.as_bytes())
                })
            })
            .filter(|process| start_time(*process).is_some())
            .collect()
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = marker;
        Vec::new()
    }
}

/// Who listens on a TCP port of this machine, where that can be told.
#[must_use]
pub fn port_holder(port: u16) -> Option<Holder> {
    #[cfg(target_os = "linux")]
    {
        let inodes: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
            .iter()
            .filter_map(|path| std::fs::read_to_string(path).ok())
            .flat_map(|table| listening_inodes(&table, port))
            .collect();
        processes().find_map(|process| {
            let holds = std::fs::read_dir(format!("/proc/{process}/fd"))
                .ok()?
                .flatten()
                .any(|fd| {
                    std::fs::read_link(fd.path()).is_ok_and(|target| {
                        let target = target.to_string_lossy();
                        inodes
                            .iter()
                            .any(|inode| *target == format!("socket:[{inode}]"))
                    })
                });
            let name = std::fs::read_to_string(format!("/proc/{process}/comm")).ok()?;
            holds.then(|| Holder {
                pid: process,
                name: name.trim().to_owned(),
            })
        })
    }
    #[cfg(not(target_os = "linux"))]
    {
        let output = Command::new("lsof")
            .args(["-nP", &format!("-iTCP:{port}"), "-sTCP:LISTEN", "-Fpc"])
            .output()
            .ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let field = |kind: char| text.lines().find_map(|line| line.strip_prefix(kind));
        Some(Holder {
            pid: field('p')?.parse().ok()?,
            name: field('c')?.to_owned(),
        })
    }
}

#[cfg(target_os = "linux")]
fn processes() -> impl Iterator<Item = u32> {
    std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

#[cfg(target_os = "linux")]
struct Stat {
    state: char,
    group: u32,
    start: String,
}

#[cfg(target_os = "linux")]
fn stat(process: u32) -> Option<Stat> {
    parse_stat(&std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?)
}

/// proc_pid_stat(5). The name may hold spaces and parentheses: the fields begin after the last one.
#[cfg(target_os = "linux")]
fn parse_stat(text: &str) -> Option<Stat> {
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    Some(Stat {
        state: fields.first()?.chars().next()?,
        group: fields.get(2)?.parse().ok()?,
        start: (*fields.get(19)?).to_owned(),
    })
}

/// The inodes of the sockets that listen on a port, in the table of /proc/net/tcp.
#[cfg(target_os = "linux")]
fn listening_inodes(table: &str, port: u16) -> Vec<String> {
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (_, local) = fields.get(1)?.rsplit_once(':')?;
            let listens = *fields.get(3)? == "0A";
            (listens && u16::from_str_radix(local, 16) == Ok(port))
                .then(|| fields.get(9).map(|inode| (*inode).to_owned()))?
        })
        .collect()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_forge_the_fields() {
        let text = "7 (a) Z 0 (x) S 1 42 42 0 -1 1 0 0 0 0 0 0 0 0 20 0 1 0 98765 0 0";
        let stat = parse_stat(text).unwrap();
        assert_eq!(
            (stat.state, stat.group, stat.start.as_str()),
            ('S', 42, "98765")
        );
    }

    #[test]
    fn a_zombie_is_not_alive() {
        let mut child = Command::new("true").spawn().unwrap();
        let pid = child.id();
        let gone = (0..500).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            start_time(pid).is_none()
        });
        assert!(gone, "still counted as alive, although it has ended");
        child.wait().unwrap();
    }

    #[test]
    fn the_holder_of_a_port_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let holder = port_holder(listener.local_addr().unwrap().port()).unwrap();
        assert_eq!(holder.pid, std::process::id());
    }

    #[test]
    fn processes_are_found_by_their_mark() {
        let mark = format!("XTASK_TEST_MARK={}", std::process::id());
        let (name, value) = mark.split_once('=').unwrap();
        let mut child = Command::new("sleep")
            .arg("30")
            .env(name, value)
            .spawn()
            .unwrap();
        let found = (0..200).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            processes_with_env(&mark) == [child.id()]
        });
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(found);
    }
}
