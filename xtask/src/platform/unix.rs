//! Linux and macOS. What macOS has no `/proc` for is asked of `ps` and `lsof`.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode};

use nix::sys::signal::{self, Signal};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;

use super::{Holder, Process};
use crate::exit::Exit;

/// Turns SIGINT, SIGTERM and SIGHUP into [`super::interrupted`]. Handlers, not a blocked mask:
/// children would inherit the mask, and be deaf to SIGTERM.
///
/// SIGXFSZ is heard, too, and nothing is done: a write beyond the limit of a file's size is then an
/// error like that of a full disk, instead of our end in the middle of it.
pub fn install_interrupt_handler() {
    // Without a handler the default action ends us: nothing else to do about a failure.
    let Ok(mut signals) = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGXFSZ]) else {
        return;
    };
    let _ = std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            for signal in signals.forever().filter(|it| *it != SIGXFSZ) {
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

/// Hands our last signal on to a command and to what it runs in our own process group, as a terminal
/// would. What has left the group is for its parent to end. What is gone already is no error.
pub fn forward_signal(command: u32) {
    if let Ok(signal) = Signal::try_from(super::last_signal()) {
        send(&in_our_group(command), signal);
    }
}

/// A command and what it runs in our own process group.
#[must_use]
pub fn in_our_group(command: u32) -> Vec<Process> {
    let table = processes("");
    let group = nix::unistd::getpgrp().as_raw().cast_unsigned();
    super::tree(&table, command)
        .into_iter()
        .filter(|it| it.group == group || it.pid == command)
        .cloned()
        .collect()
}

fn send(to: &[Process], signal: Signal) {
    for process in to {
        if let Some(process) = pid(process.pid) {
            let _ = signal::kill(process, signal);
        }
    }
}

/// Asks one process to end (SIGTERM). One that is suspended goes on, as it would not hear it otherwise.
pub fn terminate(process: u32) {
    if let Some(process) = pid(process) {
        let _ = signal::kill(process, Signal::SIGTERM);
        let _ = signal::kill(process, Signal::SIGCONT);
    }
}

/// Ends one process at once (SIGKILL).
pub fn kill(process: u32) {
    if let Some(process) = pid(process) {
        let _ = signal::kill(process, Signal::SIGKILL);
    }
}

/// Becomes that program: this process goes on as it.
///
/// # Errors
/// When it cannot be started; there is no other return.
pub fn become_of(command: &mut Command) -> anyhow::Result<Exit> {
    Err(command.exec().into())
}

/// Whether this process runs the file that is there now; `false` where the system cannot tell.
#[must_use]
pub fn runs(program: &Path) -> bool {
    let file = |path: &Path| std::fs::metadata(path).ok().map(|it| (it.dev(), it.ino()));
    let own = file(Path::new("/proc/self/exe"));
    own.is_some() && own == file(program)
}

/// Where file systems are mounted, or directories and files once more (bind mounts), as this process sees
/// them. Empty where the system does not say it in a file; removal asks for each directory as it goes.
#[must_use]
pub fn mounts() -> Vec<PathBuf> {
    let table = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
    parse_mounts(&table)
}

/// proc_pid_mountinfo(5): the fifth field is the mount point; white space and backslashes in it are
/// written as three octal digits.
fn parse_mounts(table: &[u8]) -> Vec<PathBuf> {
    let octal = |digits: &[u8]| {
        let digits = std::str::from_utf8(digits).ok()?;
        u8::from_str_radix(digits, 8).ok()
    };
    let lines = table.split(|byte| *byte == b'\n');
    let points = lines.filter_map(|line| line.split(|byte| *byte == b' ').nth(4));
    points
        .map(|mut rest| {
            let mut path = Vec::new();
            while let Some((byte, after)) = rest.split_first() {
                let escaped = rest.get(1..4).filter(|_| *byte == b'\\').and_then(octal);
                path.push(escaped.unwrap_or(*byte));
                rest = if escaped.is_some() { &rest[4..] } else { after };
            }
            PathBuf::from(OsString::from_vec(path))
        })
        .collect()
}

/// Makes a command start in a process group of its own, led by it: a Ctrl-C at the terminal does
/// not reach it, and all below it can be ended together.
pub fn own_group(command: &mut Command) {
    command.process_group(0);
}

/// Starts a command as the leader of a group of its own.
///
/// # Errors
/// When it cannot be started.
pub fn spawn_group(command: &mut Command) -> io::Result<Child> {
    own_group(command);
    command.spawn()
}

/// As [`spawn_group`], for what is to outlive us.
///
/// # Errors
/// When it cannot be started.
pub fn spawn_service(command: &mut Command) -> io::Result<Child> {
    spawn_group(command)
}

/// Our first argument, where this program was started to become a service: [`as_service`].
#[cfg(target_os = "linux")]
const SERVICE: &str = "--xtask-become-service";

/// The command, made one that takes in its orphans: whatever is started below it and loses its parent becomes
/// its child, as under process 1 of a container, and not that of the machine's first process. So what has
/// left its group, its session and its environment is still below it.
///
/// A process has to ask for that itself: this very program does ([`begin`]), and then becomes the command.
/// Only Linux has it. stdin, stdout and stderr have to be set afterwards.
#[must_use]
pub fn as_service(command: Command) -> Command {
    #[cfg(target_os = "linux")]
    {
        // The program that runs, also where its file was replaced.
        let own = Path::new("/proc/self/exe");
        if !own.exists() {
            return command;
        }
        let mut service = Command::new(own);
        service
            .arg(SERVICE)
            .arg(command.get_program())
            .args(command.get_args());
        if let Some(directory) = command.get_current_dir() {
            service.current_dir(directory);
        }
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => service.env(name, value),
                None => service.env_remove(name),
            };
        }
        service
    }
    #[cfg(not(target_os = "linux"))]
    command
}

/// Whether this process's first thread has children: whoever became it may have left it some. `true` where
/// the system does not tell.
#[must_use]
pub fn has_children() -> bool {
    let own = std::process::id();
    let children = std::fs::read_to_string(format!("/proc/self/task/{own}/children"));
    children.map_or(true, |list| !list.trim().is_empty())
}

/// Whether orphans of what we have started become our children from now on; `false` where that cannot be.
pub fn adopt_orphans(adopt: bool) -> bool {
    #[cfg(target_os = "linux")]
    {
        nix::sys::prctl::set_child_subreaper(adopt).is_ok()
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = adopt;
        false
    }
}

/// To be called first: the end of this process, where it was started to become another ([`as_service`]).
#[must_use]
pub fn begin() -> Option<ExitCode> {
    #[cfg(target_os = "linux")]
    {
        let mut args = std::env::args_os().skip(1);
        if args.next()? != SERVICE {
            return None;
        }
        let program = args.next()?;
        // Without it the service runs all the same.
        adopt_orphans(true);
        let error = Command::new(&program).args(args).exec();
        eprintln!("failed to start `{}`: {error}", program.display());
        Some(ExitCode::from(127))
    }
    #[cfg(not(target_os = "linux"))]
    None
}

/// Opens a file; one that is created is its owner's alone (0600) from its first moment.
///
/// # Errors
/// When it cannot be opened.
pub fn open_private(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    options.mode(0o600).open(path)
}

/// A path as git prints it: any bytes, with `/` between the parts.
#[must_use]
pub fn path_from_git(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}

/// Gives a file the name of another, which goes.
///
/// # Errors
/// When it cannot be replaced.
pub fn replace(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::rename(from, to)
}

/// Asks a group to end (SIGTERM); what is suspended in it goes on, to hear it.
pub fn terminate_group(leader: u32) {
    if let Some(leader) = pid(leader) {
        let _ = signal::killpg(leader, Signal::SIGTERM);
        let _ = signal::killpg(leader, Signal::SIGCONT);
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
        stat(process).filter(Stat::lives).map(|stat| stat.start)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let text = ps(&["-p", &process.to_string()]);
        parse_ps(&text, "").pop().map(|it| it.start)
    }
}

/// Names this boot of the machine, where start times are counted from it: after another boot they
/// mean nothing. On macOS they are dates.
#[must_use]
pub fn boot() -> String {
    if cfg!(target_os = "linux") {
        std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .map(|id| id.trim().to_owned())
            .unwrap_or_default()
    } else {
        String::new()
    }
}

/// How long a process has been running, whatever was done to the clock; `None` where only the clock
/// can tell.
#[must_use]
pub fn age(process: u32) -> Option<std::time::Duration> {
    #[cfg(target_os = "linux")]
    {
        let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
        let uptime: f64 = uptime.split_whitespace().next()?.parse().ok()?;
        // USER_HZ is 100 on every Linux: the kernel's own interface is fixed to it.
        let started: f64 = stat(process)?.start.parse().ok()?;
        std::time::Duration::try_from_secs_f64((uptime - started / 100.0).max(0.0)).ok()
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = process;
        None
    }
}

/// The living processes, each with the value that `variable` had in the environment that it was
/// started with. An empty name asks for none.
#[must_use]
pub fn processes(variable: &str) -> Vec<Process> {
    #[cfg(target_os = "linux")]
    {
        let prefix = format!("{variable}=");
        numbers()
            .filter_map(|pid| {
                let stat = stat(pid).filter(Stat::lives)?;
                let mark = (!variable.is_empty())
                    .then(|| environment_value(pid, prefix.as_bytes()))
                    .flatten();
                Some(Process {
                    pid,
                    parent: stat.parent,
                    group: stat.group,
                    start: stat.start,
                    suspended: matches!(stat.state, 'T' | 't'),
                    mark,
                })
            })
            .collect()
    }
    #[cfg(not(target_os = "linux"))]
    {
        parse_ps(&ps(&["-ax", "-E"]), variable)
    }
}

#[cfg(target_os = "linux")]
fn environment_value(process: u32, prefix: &[u8]) -> Option<String> {
    let environment = std::fs::read(format!("/proc/{process}/environ")).ok()?;
    let value = environment
        .split(|byte| *byte == 0)
        .find_map(|pair| pair.strip_prefix(prefix))?;
    Some(String::from_utf8_lossy(value).into_owned())
}

/// `ps` in the form that [`parse_ps`] reads: its dates follow locale and time zone.
#[cfg(not(target_os = "linux"))]
fn ps(args: &[&str]) -> String {
    Command::new("ps")
        .args(args)
        .args(["-ww", "-o", "pid=,ppid=,pgid=,stat=,lstart=,command="])
        .env("LC_ALL", "C")
        .env("TZ", "UTC0")
        .stdin(std::process::Stdio::null())
        .output()
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default()
}

/// The living processes in `ps`'s list: four fields, a date of five words, then the command and,
/// with `-E`, its environment.
#[cfg(any(test, not(target_os = "linux")))]
fn parse_ps(text: &str, variable: &str) -> Vec<Process> {
    let prefix = format!("{variable}=");
    text.lines()
        .filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let (fields, command) = words.split_at_checked(9)?;
            let state = fields[3];
            (!state.starts_with('Z')).then_some(())?;
            Some(Process {
                pid: fields[0].parse().ok()?,
                parent: fields[1].parse().ok()?,
                group: fields[2].parse().ok()?,
                start: fields[4..].join(" "),
                suspended: state.starts_with('T'),
                mark: command
                    .iter()
                    .filter(|_| !variable.is_empty())
                    .find_map(|word| word.strip_prefix(&prefix))
                    .map(str::to_owned),
            })
        })
        .collect()
}

/// Everyone who holds the socket that answers on a TCP port of 127.0.0.1, where that can be told: a
/// process of another user shows no sockets.
#[must_use]
pub fn port_holders(port: u16) -> Vec<Holder> {
    #[cfg(target_os = "linux")]
    {
        let tables: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
            .iter()
            .filter_map(|path| read_at_once(path).ok())
            .collect();
        let sockets: Vec<String> = answering(&tables, port)
            .into_iter()
            .map(|inode| format!("socket:[{inode}]"))
            .collect();
        if sockets.is_empty() {
            return Vec::new();
        }
        numbers()
            .filter(|process| {
                std::fs::read_dir(format!("/proc/{process}/fd"))
                    .into_iter()
                    .flatten()
                    .flatten()
                    .filter_map(|fd| std::fs::read_link(fd.path()).ok())
                    .any(|target| sockets.iter().any(|it| target.as_os_str() == it.as_str()))
            })
            .filter_map(|pid| {
                let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
                let name = name.trim().to_owned();
                Some(Holder { pid, name })
            })
            .collect()
    }
    #[cfg(not(target_os = "linux"))]
    {
        let output = Command::new("lsof")
            .args(["-nP", &format!("-iTCP:{port}"), "-sTCP:LISTEN", "-Fpc"])
            .output();
        let text = output.map(|it| String::from_utf8_lossy(&it.stdout).into_owned());
        parse_lsof(&text.unwrap_or_default())
    }
}

/// A table of the kernel's, with as few reads as can be: for each, the kernel goes through all its hash
/// buckets of connections again, which takes a millisecond on a machine with much memory.
#[cfg(target_os = "linux")]
fn read_at_once(path: &str) -> std::io::Result<String> {
    use std::io::Read as _;
    let mut file = std::fs::File::open(path)?;
    let mut text = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(String::from_utf8_lossy(&text).into_owned()),
            length => text.extend_from_slice(&buffer[..length]),
        }
    }
}

/// `lsof -Fpc`: a line `p<pid>`, then a line `c<name>`, for each process.
#[cfg(any(test, not(target_os = "linux")))]
fn parse_lsof(text: &str) -> Vec<Holder> {
    let mut pid = None;
    let mut holders = Vec::new();
    for line in text.lines() {
        if let Some(number) = line.strip_prefix('p') {
            pid = number.parse().ok();
        } else if let (Some(name), Some(pid)) = (line.strip_prefix('c'), pid) {
            let name = name.to_owned();
            holders.push(Holder { pid, name });
        }
    }
    holders
}

#[cfg(target_os = "linux")]
fn numbers() -> impl Iterator<Item = u32> {
    std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

#[cfg(target_os = "linux")]
struct Stat {
    state: char,
    parent: u32,
    group: u32,
    threads: u32,
    start: String,
}

#[cfg(target_os = "linux")]
impl Stat {
    /// Not a zombie. One whose first thread has ended looks like one, but its others run on.
    fn lives(&self) -> bool {
        !matches!(self.state, 'Z' | 'X') || self.threads > 1
    }
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
        parent: fields.get(1)?.parse().ok()?,
        group: fields.get(2)?.parse().ok()?,
        threads: fields.get(17)?.parse().ok()?,
        start: (*fields.get(19)?).to_owned(),
    })
}

/// The inodes of the sockets that answer on a port of 127.0.0.1, in the tables of /proc/net/tcp and
/// tcp6: those that listen on that very address, else on any address, else on any other.
#[cfg(target_os = "linux")]
fn answering(tables: &[String], port: u16) -> Vec<String> {
    // The kernel prints an address as the numbers of this machine's byte order.
    let loopback = format!("{:08X}", u32::from_ne_bytes([127, 0, 0, 1]));
    let mut found: [Vec<String>; 3] = Default::default();
    for line in tables.iter().flat_map(|table| table.lines().skip(1)) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, local, _, state, _, _, _, _, _, inode, ..] = fields[..] else {
            continue;
        };
        let Some((address, local_port)) = local.rsplit_once(':') else {
            continue;
        };
        if state != "0A" || u16::from_str_radix(local_port, 16) != Ok(port) {
            continue;
        }
        let rank = match address {
            address if address == loopback => 0,
            address if address.bytes().all(|byte| byte == b'0') => 1,
            _ => 2,
        };
        found[rank].push(inode.to_owned());
    }
    found
        .into_iter()
        .find(|it| !it.is_empty())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_read_whatever_their_names() {
        let table = b"21 1 8:1 / / rw - ext4 /dev/a rw\n\
            36 21 8:1 /x /w/a\\040b\\134c\\9 rw,noatime master:1 - ext4 /dev/a rw\n\
            broken line\n37 21 0:5 / /w/\xff rw - tmpfs tmpfs rw\n";
        let expected = ["/", "/w/a b\\c\\9"].map(PathBuf::from);
        let found = parse_mounts(table);
        assert_eq!(found[..2], expected);
        assert_eq!(
            found[2],
            PathBuf::from(OsString::from_vec(b"/w/\xff".to_vec()))
        );
        assert_eq!(found.len(), 3);
        if cfg!(target_os = "linux") {
            assert!(mounts().contains(&PathBuf::from("/proc")), "{:?}", mounts());
        }
    }

    #[test]
    fn the_list_of_ps_is_read() {
        let text = "\
    7     1     7 Ss   Mon Nov  3 16:24:06 2025 /bin/web --x MARK=a/b/1 HOME=/root
    8     7     7 T    Mon Nov  3 16:24:07 2025 sleep 5 XMARK=no
    9     7     7 Z    Mon Nov  3 16:24:07 2025 (sleep)
";
        let list = parse_ps(text, "MARK");
        assert_eq!(list.len(), 2, "{list:?}");
        assert_eq!((list[0].pid, list[0].parent, list[0].group), (7, 1, 7));
        assert_eq!(list[0].start, "Mon Nov 3 16:24:06 2025");
        assert_eq!(list[0].mark.as_deref(), Some("a/b/1"));
        assert!(list[1].suspended && list[1].mark.is_none());
    }

    #[test]
    fn the_list_of_lsof_is_read() {
        let holders = parse_lsof("p7\ncweb server\nf3\np8\ncother\n");
        let pids: Vec<u32> = holders.iter().map(|it| it.pid).collect();
        assert_eq!((pids, holders[0].name.as_str()), (vec![7, 8], "web server"));
    }
}

#[cfg(all(test, target_os = "linux"))]
mod linux_tests {
    use super::*;

    #[test]
    fn a_name_cannot_forge_the_fields() {
        let text = "7 (a) Z 0 (x) S 1 42 42 0 -1 1 0 0 0 0 0 0 0 0 20 0 3 0 98765 0 0";
        let stat = parse_stat(text).unwrap();
        assert_eq!((stat.state, stat.parent, stat.group), ('S', 1, 42));
        assert_eq!((stat.threads, stat.start.as_str()), (3, "98765"));
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
        assert!(!processes("").iter().any(|it| it.pid == pid));
        child.wait().unwrap();
    }

    #[test]
    fn the_holder_of_a_port_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let holders = port_holders(listener.local_addr().unwrap().port());
        assert!(holders.iter().any(|it| it.pid == std::process::id()));
    }

    #[test]
    fn the_socket_that_answers_is_the_one_of_the_very_address() {
        let line = |address: &str, state: &str, inode: &str| {
            format!("0: {address}:1F90 00000000:0000 {state} 0:0 0:0 0 0 0 {inode} 1")
        };
        let loopback = format!("{:08X}", u32::from_ne_bytes([127, 0, 0, 1]));
        let any6 = "0".repeat(32);
        let tables = |lines: &[String]| vec![format!("header\n{}", lines.join("\n"))];
        let any = line("00000000", "0A", "1");
        let exact = line(&loopback, "0A", "2");
        let closing = line(&loopback, "06", "3");
        let six = line(&any6, "0A", "4");
        assert_eq!(answering(&tables(&[any.clone(), exact]), 8080), ["2"]);
        assert_eq!(answering(&tables(&[any, closing, six]), 8080), ["1", "4"]);
        assert!(answering(&tables(&[line(&loopback, "0A", "5")]), 8081).is_empty());
    }

    #[test]
    fn processes_are_found_by_their_mark() {
        let value = std::process::id().to_string();
        let mut child = Command::new("sleep")
            .arg("30")
            .env("XTASK_TEST_MARK", &value)
            .spawn()
            .unwrap();
        let found = (0..200).find_map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            processes("XTASK_TEST_MARK")
                .into_iter()
                .find(|it| it.mark.as_ref() == Some(&value))
        });
        let start = start_time(child.id());
        child.kill().unwrap();
        child.wait().unwrap();
        let found = found.unwrap();
        assert_eq!((found.pid, Some(found.start)), (child.id(), start));
        assert_eq!(found.parent, std::process::id());
    }

    #[test]
    fn an_age_is_told_without_the_clock() {
        let age = age(std::process::id()).unwrap();
        assert!(age < std::time::Duration::from_secs(3600), "{age:?}");
    }
}
