//! Windows. A process group is a job object and a console's process group, both named after the process
//! that leads them: the job ends all that is in it, and the other is asked to end by Ctrl-Break.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use xtask_win::{Event, Job};

use super::{Holder, Process};
use crate::exit::Exit;

/// "Process Creation Flags" of the Windows API.
const CREATE_NEW_PROCESS_GROUP: u32 = 0x0000_0200;
const CREATE_BREAKAWAY_FROM_JOB: u32 = 0x0100_0000;
const CREATE_NO_WINDOW: u32 = 0x0800_0000;

/// The numbers that these have in C's `signal.h` on Windows.
const SIGINT: i32 = 2;
const SIGTERM: i32 = 15;
const SIGBREAK: i32 = 21;

/// What a process that we end leaves as its exit code: 128 + SIGTERM, as a shell would have it.
const ENDED: u32 = 143;

/// Our first argument, where this program is started to send Ctrl-Break on another console than ours.
const HELPER: &str = "--xtask-send-ctrl-break";

/// The jobs of the groups that this process has started, by their leaders.
static JOBS: Mutex<Option<HashMap<u32, Job>>> = Mutex::new(None);

fn with_jobs<T>(act: impl FnOnce(&mut HashMap<u32, Job>) -> T) -> T {
    let mut jobs = JOBS.lock().unwrap_or_else(PoisonError::into_inner);
    act(jobs.get_or_insert_default())
}

/// Turns Ctrl-C, Ctrl-Break and the console's end into [`super::interrupted`].
pub fn install_interrupt_handler() {
    // Without a handler the default action ends us: nothing else to do about a failure.
    let _ = xtask_win::on_event(|event| {
        super::note_interrupt(match event {
            Event::CtrlC => SIGINT,
            Event::CtrlBreak => SIGBREAK,
            Event::Close => SIGTERM,
        });
    });
}

/// There is no `sudo` to put before a command.
#[must_use]
pub fn is_root() -> bool {
    true
}

/// What runs on our console and in our process group has had the same event already.
pub fn forward_signal(_command: u32) {}

/// A command and all below it.
#[must_use]
pub fn in_our_group(command: u32) -> Vec<Process> {
    let table = processes("");
    super::tree(&table, command).into_iter().cloned().collect()
}

/// Ends one process. Windows has no polite word for one that leads no group.
pub fn terminate(process: u32) {
    kill(process);
}

/// Ends one process at once.
pub fn kill(process: u32) {
    if let Some(start) = xtask_win::start_time(process) {
        let _ = xtask_win::terminate(process, start, ENDED);
    }
}

/// Where something else is mounted. What is mounted at a directory here is a link of a kind, which is never
/// followed.
#[must_use]
pub fn mounts() -> Vec<PathBuf> {
    Vec::new()
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

/// Makes a command start in a console process group of its own: a Ctrl-C at the console does not reach
/// it. Where that is allowed, it leaves our job: who ends us and all of ours does not end it.
pub fn own_group(command: &mut Command) {
    use std::os::windows::process::CommandExt as _;
    command.creation_flags(group_flags());
}

fn group_flags() -> u32 {
    if xtask_win::may_break_away() {
        CREATE_NEW_PROCESS_GROUP | CREATE_BREAKAWAY_FROM_JOB
    } else {
        CREATE_NEW_PROCESS_GROUP
    }
}

/// Starts a command as the leader of a group of its own, on our console. Where we have none, it gets one
/// without a window: otherwise it could not be asked to end.
///
/// # Errors
/// When it cannot be started.
pub fn spawn_group(command: &mut Command) -> io::Result<Child> {
    if xtask_win::on_our_console().is_empty() {
        return spawn_service(command);
    }
    spawn(command, group_flags())
}

/// As [`spawn_group`], for what is to outlive us: on a console of its own, without a window, so that
/// closing ours does not end it.
///
/// # Errors
/// When it cannot be started.
pub fn spawn_service(command: &mut Command) -> io::Result<Child> {
    spawn(command, group_flags() | CREATE_NO_WINDOW)
}

fn spawn(command: &mut Command, flags: u32) -> io::Result<Child> {
    xtask_win::spawn_suspended(command, flags, |child| {
        let pid = child.id();
        let start = xtask_win::start_time(pid)
            .ok_or_else(|| io::Error::other("a new process without a start time"))?;
        let job = Job::create(&job_name(pid, start))?;
        job.add(child)?;
        // Others find it by its name as long as its leader lives.
        job.keep_open_in(child)?;
        with_jobs(|jobs| jobs.insert(pid, job));
        Ok(())
    })
}

fn job_name(leader: u32, start: u64) -> String {
    format!("Local\\xtask-group-{leader}-{start:x}")
}

/// The command as it is: its job holds whatever is started below it.
#[must_use]
pub fn as_service(command: Command) -> Command {
    command
}

/// Asked before orphans are adopted, which they are not here.
#[must_use]
pub fn has_children() -> bool {
    true
}

/// There are no orphans to adopt: a job holds them.
pub fn adopt_orphans(_adopt: bool) -> bool {
    false
}

/// Asks a group to end: Ctrl-Break. One without a console cannot be asked, and is ended.
pub fn terminate_group(leader: u32) {
    let ours = xtask_win::on_our_console();
    let asked = if ours.contains(&leader) {
        xtask_win::break_group(leader).is_ok()
    } else if ours.is_empty() {
        // Nothing is lost by going there.
        let _one_at_a_time = CONSOLE.lock().unwrap_or_else(PoisonError::into_inner);
        xtask_win::break_console_of(leader).is_ok()
    } else {
        break_elsewhere(leader).unwrap_or(false)
    };
    if !asked {
        kill_group(leader);
    }
}

/// Held while this process is on another one's console.
static CONSOLE: Mutex<()> = Mutex::new(());

/// Sends Ctrl-Break on another console than the one that we have. There can be one at a time: another
/// process of this program goes there.
fn break_elsewhere(leader: u32) -> io::Result<bool> {
    use std::os::windows::process::CommandExt as _;
    let Some(start) = xtask_win::start_time(leader) else {
        return Ok(false);
    };
    let status = Command::new(std::env::current_exe()?)
        .args([HELPER, &leader.to_string(), &start.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .creation_flags(CREATE_NO_WINDOW)
        .status()?;
    Ok(status.success())
}

/// To be called first. Does what this process was started for by another one of this program, and for
/// nothing else; `None` for a process that a person has started.
#[must_use]
pub fn begin() -> Option<ExitCode> {
    xtask_win::keep_streams_from_children();
    let mut args = std::env::args_os().skip(1);
    if args.next()? != HELPER {
        return None;
    }
    let mut number = || args.next()?.to_str()?.parse::<u64>().ok();
    let sent = (|| {
        let leader = u32::try_from(number()?).ok()?;
        // Its number may be another's by now.
        (xtask_win::start_time(leader) == number()).then_some(())?;
        xtask_win::break_console_of(leader).ok()
    })();
    Some(if sent.is_some() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Ends a group at once, with all that its processes have started, whoever their parents are.
pub fn kill_group(leader: u32) {
    let ended = with_jobs(|jobs| {
        jobs.get(&leader)
            .is_some_and(|job| job.terminate(ENDED).is_ok())
    });
    if ended {
        return;
    }
    let start = xtask_win::start_time(leader);
    let job = start.and_then(|start| Job::open(&job_name(leader, start)).ok());
    if job.is_some_and(|job| job.terminate(ENDED).is_ok()) {
        return;
    }
    // It has no job: another program has started it.
    for process in in_our_group(leader) {
        if let Ok(start) = process.start.parse() {
            let _ = xtask_win::terminate(process.pid, start, ENDED);
        }
    }
}

/// There are no zombies. A group that is empty is forgotten.
pub fn reap(process: u32) {
    with_jobs(|jobs| {
        let empty = |job: &Job| job.members().is_ok_and(|it| it.is_empty());
        if jobs.get(&process).is_some_and(empty) {
            jobs.remove(&process);
        }
    });
}

/// When a process started, as a file time; `None` for a process that is not there.
#[must_use]
pub fn start_time(process: u32) -> Option<String> {
    xtask_win::start_time(process).map(|it| it.to_string())
}

/// Start times are dates, which no boot repeats.
#[must_use]
pub fn boot() -> String {
    String::new()
}

/// Only the clock can tell.
#[must_use]
pub fn age(_process: u32) -> Option<Duration> {
    None
}

/// The living processes that may be asked, each with the value of `variable` in its environment. An
/// empty name asks for none.
#[must_use]
pub fn processes(variable: &str) -> Vec<Process> {
    let entries = xtask_win::processes().unwrap_or_default();
    let mut table: Vec<(u64, Process)> = entries
        .into_iter()
        .filter_map(|it| {
            let start = xtask_win::start_time(it.pid)?;
            let mark = (!variable.is_empty())
                .then(|| xtask_win::environment_value(it.pid, variable))
                .flatten();
            let process = Process {
                pid: it.pid,
                parent: it.parent,
                start: start.to_string(),
                suspended: false,
                mark,
                // Who is in no job of ours is alone.
                group: it.pid,
            };
            Some((start, process))
        })
        .collect();
    forget_strange_parents(&mut table);
    group(&mut table);
    table.into_iter().map(|(_, process)| process).collect()
}

/// A process keeps the number of its parent when that one has ended, and the number may be given to a
/// later process, which is no parent.
fn forget_strange_parents(table: &mut [(u64, Process)]) {
    let starts: HashMap<u32, u64> = table.iter().map(|(start, it)| (it.pid, *start)).collect();
    for (start, process) in table {
        if starts.get(&process.parent).is_none_or(|it| it > start) {
            process.parent = 0;
        }
    }
}

/// Notes who belongs to which group. One may lie in another: the inner one counts.
fn group(table: &mut [(u64, Process)]) {
    let mut leaders: Vec<(u64, u32)> = table.iter().map(|(start, it)| (*start, it.pid)).collect();
    leaders.sort_unstable();
    let own = with_jobs(|jobs| {
        let members = jobs.iter().map(|(leader, job)| (*leader, job.members()));
        let listed = members.filter_map(|(leader, it)| Some((leader, it.ok()?)));
        listed.collect::<HashMap<_, _>>()
    });
    let gone = own
        .keys()
        .filter(|it| !leaders.iter().any(|(_, pid)| pid == *it));
    let mut groups: Vec<(u32, Vec<u32>)> = gone.map(|it| (*it, own[it].clone())).collect();
    groups.extend(leaders.iter().filter_map(|(start, pid)| {
        let members = own.get(pid).cloned();
        let found = members.or_else(|| Job::open(&job_name(*pid, *start)).ok()?.members().ok())?;
        Some((*pid, found))
    }));
    let places: HashMap<u32, usize> = table
        .iter()
        .enumerate()
        .map(|(at, (_, it))| (it.pid, at))
        .collect();
    for (leader, members) in groups {
        for at in members.iter().filter_map(|pid| places.get(pid)) {
            table[*at].1.group = leader;
        }
    }
}

/// Everyone who listens on a TCP port of this machine: those on 127.0.0.1 itself, else those on all
/// addresses, else the others.
#[must_use]
pub fn port_holders(port: u16) -> Vec<Holder> {
    let loopback = std::net::Ipv4Addr::LOCALHOST.to_ipv6_mapped();
    let mut ranks: [Vec<Holder>; 3] = Default::default();
    for (address, pid) in xtask_win::listeners(port) {
        let any = address.is_unspecified()
            || address
                .to_ipv4_mapped()
                .is_some_and(|it| it.is_unspecified());
        let rank = if address == loopback {
            0
        } else if any {
            1
        } else {
            2
        };
        let name = xtask_win::image_name(pid).unwrap_or_else(|| "a process".to_owned());
        let holder = Holder { pid, name };
        if !ranks[rank].contains(&holder) {
            ranks[rank].push(holder);
        }
    }
    ranks
        .into_iter()
        .find(|it| !it.is_empty())
        .unwrap_or_default()
}

/// Opens a file that is this user's alone, before anything is written into it: what Windows has for 0600.
///
/// # Errors
/// When it cannot be opened, or not be made private.
pub fn open_private(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let file = options.open(path)?;
    xtask_win::make_private(path)?;
    Ok(file)
}

/// How long somebody else may have a file open that is to be replaced.
const PATIENCE: Duration = Duration::from_secs(2);
/// "The process cannot access the file because it is being used by another process", and "access is
/// denied", which it is for a file that is on its way out.
const SHARING_VIOLATION: i32 = 32;
const ACCESS_DENIED: i32 = 5;

/// A path as git prints it: UTF-8, with `/` between the parts.
#[must_use]
pub fn path_from_git(bytes: &[u8]) -> PathBuf {
    String::from_utf8_lossy(bytes).split('/').collect()
}

/// Gives a file the name of another, which goes. A reader, an indexer or a virus scanner may have that
/// one open for a moment.
///
/// # Errors
/// When it cannot be replaced, or stays open for too long.
pub fn replace(from: &Path, to: &Path) -> io::Result<()> {
    let since = Instant::now();
    loop {
        match std::fs::rename(from, to) {
            Err(error)
                if matches!(
                    error.raw_os_error(),
                    Some(SHARING_VIOLATION | ACCESS_DENIED)
                ) && !to.is_dir()
                    && since.elapsed() < PATIENCE =>
            {
                std::thread::sleep(Duration::from_millis(5));
            }
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(pid: u32, parent: u32, start: u64) -> (u64, Process) {
        let process = Process {
            pid,
            parent,
            start: start.to_string(),
            ..Process::default()
        };
        (start, process)
    }

    #[test]
    fn a_younger_parent_is_no_parent() {
        let mut table = [
            entry(4, 0, 1),
            entry(8, 4, 5),
            entry(12, 16, 5),
            entry(16, 4, 9),
        ];
        forget_strange_parents(&mut table);
        let parents: Vec<u32> = table.iter().map(|(_, it)| it.parent).collect();
        // 12 was started before 16, which has the number of its parent now; 0 is nobody.
        assert_eq!(parents, [0, 4, 0, 4]);
    }

    #[test]
    fn a_process_of_another_start_is_left_alone() {
        let mut command = Command::new(std::env::current_exe().unwrap());
        // This test program, waiting for whoever reads its list.
        command
            .args(["--list"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut child = xtask_win::spawn_suspended(&mut command, 0, |child| {
            let start = xtask_win::start_time(child.id()).unwrap();
            assert!(xtask_win::terminate(child.id(), start + 1, 1).is_err());
            assert_eq!(
                xtask_win::start_time(child.id()),
                Some(start),
                "it was ended"
            );
            xtask_win::terminate(child.id(), start, 77)
        });
        // It was ended before it could run: there is nothing to let run.
        if let Ok(child) = &mut child {
            assert_eq!(child.wait().unwrap().code(), Some(77));
        }
    }

    #[test]
    fn a_private_file_names_one_user() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, "x").unwrap();
        drop(open_private(File::options().append(true), &path).unwrap());
        let list = xtask_win::access_list(&path).unwrap();
        assert!(list.starts_with("D:P"), "inherits: {list}");
        assert_eq!(list.matches("(A;").count(), 1, "{list}");
        assert_eq!(std::fs::read(&path).unwrap(), b"x");
    }
}
