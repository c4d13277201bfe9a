//! Job objects: what a command starts stays in its job, whoever its parent is, so that it can be ended
//! whole.

use std::io;
use std::mem::size_of;
use std::os::windows::io::{AsRawHandle as _, OwnedHandle};
use std::os::windows::process::CommandExt as _;
use std::process::{Child, Command};
use std::ptr::{null, null_mut};

use windows_sys::Win32::Foundation::{DUPLICATE_SAME_ACCESS, DuplicateHandle, ERROR_MORE_DATA};
use windows_sys::Win32::System::Diagnostics::ToolHelp::{
    CreateToolhelp32Snapshot, TH32CS_SNAPTHREAD, THREADENTRY32, Thread32First, Thread32Next,
};
use windows_sys::Win32::System::JobObjects::{
    AssignProcessToJobObject, CreateJobObjectW, JOB_OBJECT_LIMIT_BREAKAWAY_OK,
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION, JobObjectBasicProcessIdList,
    JobObjectExtendedLimitInformation, OpenJobObjectW, QueryInformationJobObject,
    SetInformationJobObject, TerminateJobObject,
};
use windows_sys::Win32::System::Threading::{
    CREATE_SUSPENDED, GetCurrentProcess, OpenThread, ResumeThread, THREAD_SUSPEND_RESUME,
};

use crate::{checked, owned, wide};

/// Access rights of job objects, from "Job Object Security and Access Rights".
const JOB_OBJECT_QUERY: u32 = 0x0004;
const JOB_OBJECT_TERMINATE: u32 = 0x0008;

/// A job object.
#[derive(Debug)]
pub struct Job(OwnedHandle);

impl Job {
    /// A new job with this name. What is in it may start processes outside of it, if it asks to.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(name: &str) -> io::Result<Job> {
        let name = wide(name);
        // SAFETY: the name is zero-terminated and outlives the call; no attributes is allowed.
        let job = Job(owned(unsafe { CreateJobObjectW(null(), name.as_ptr()) })?);
        let mut limits = JOBOBJECT_EXTENDED_LIMIT_INFORMATION::default();
        limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_BREAKAWAY_OK;
        // SAFETY: the structure is the one of this class, and its size is given.
        checked(unsafe {
            SetInformationJobObject(
                job.0.as_raw_handle(),
                JobObjectExtendedLimitInformation,
                (&raw const limits).cast(),
                size(size_of::<JOBOBJECT_EXTENDED_LIMIT_INFORMATION>()),
            )
        })?;
        Ok(job)
    }

    /// The job of this name, while somebody has it open.
    ///
    /// # Errors
    /// When there is none, or it is not ours to use.
    pub fn open(name: &str) -> io::Result<Job> {
        let name = wide(name);
        // SAFETY: the name is zero-terminated and outlives the call.
        let job =
            unsafe { OpenJobObjectW(JOB_OBJECT_QUERY | JOB_OBJECT_TERMINATE, 0, name.as_ptr()) };
        Ok(Job(owned(job)?))
    }

    /// Puts a process into the job. What it starts from now on is in it, too.
    ///
    /// # Errors
    /// When the process cannot be put there.
    pub fn add(&self, child: &Child) -> io::Result<()> {
        // SAFETY: both handles are open, as their owners are borrowed.
        checked(unsafe { AssignProcessToJobObject(self.0.as_raw_handle(), child.as_raw_handle()) })
    }

    /// Gives a process a handle of the job, so that the job keeps its name while the process lives.
    ///
    /// # Errors
    /// When it cannot be given.
    pub fn keep_open_in(&self, child: &Child) -> io::Result<()> {
        let mut theirs = null_mut();
        // SAFETY: the three handles are open (ours by definition), and `theirs` is a place for one.
        checked(unsafe {
            DuplicateHandle(
                GetCurrentProcess(),
                self.0.as_raw_handle(),
                child.as_raw_handle(),
                &raw mut theirs,
                0,
                0,
                DUPLICATE_SAME_ACCESS,
            )
        })
    }

    /// Ends all that is in it, at once.
    ///
    /// # Errors
    /// When that is not allowed.
    pub fn terminate(&self, exit_code: u32) -> io::Result<()> {
        // SAFETY: the handle is open.
        checked(unsafe { TerminateJobObject(self.0.as_raw_handle(), exit_code) })
    }

    /// The pids of all that is in it.
    ///
    /// # Errors
    /// When that cannot be asked.
    pub fn members(&self) -> io::Result<Vec<u32>> {
        // Two counters of 32 bits, then the pids. Grown until all fit.
        let mut room = 64;
        loop {
            let mut list = vec![0_usize; 1 + room];
            // SAFETY: the list is as long as is said, and as aligned as the structure of this class.
            let done = unsafe {
                QueryInformationJobObject(
                    self.0.as_raw_handle(),
                    JobObjectBasicProcessIdList,
                    list.as_mut_ptr().cast(),
                    size(list.len() * size_of::<usize>()),
                    null_mut(),
                )
            };
            let error = io::Error::last_os_error();
            let too_small = error.raw_os_error() == Some(ERROR_MORE_DATA.cast_signed());
            if done == 0 && !(too_small && room < 1 << 20) {
                return Err(error);
            }
            // SAFETY: the first eight bytes are the two counters of the structure.
            let [assigned, listed] = unsafe { list.as_ptr().cast::<[u32; 2]>().read() };
            if done == 0 || listed < assigned {
                room *= 4;
                if room > 1 << 20 {
                    return Err(io::Error::other("a job of more than a million processes"));
                }
                continue;
            }
            // Behind the two counters, whatever the size of a pid here.
            let offset = (2 * size_of::<u32>()) / size_of::<usize>();
            let pids = list.iter().skip(offset).take(listed as usize);
            return Ok(pids.filter_map(|pid| u32::try_from(*pid).ok()).collect());
        }
    }
}

/// Whether what we start may leave the job that we are in. Without a job there is nothing to leave.
#[must_use]
pub fn may_break_away() -> bool {
    let mut limits = JOBOBJECT_EXTENDED_LIMIT_INFORMATION::default();
    // SAFETY: no handle means the job of this process; the structure is the one of this class.
    let done = unsafe {
        QueryInformationJobObject(
            null_mut(),
            JobObjectExtendedLimitInformation,
            (&raw mut limits).cast(),
            size(size_of::<JOBOBJECT_EXTENDED_LIMIT_INFORMATION>()),
            null_mut(),
        )
    };
    done != 0 && limits.BasicLimitInformation.LimitFlags & JOB_OBJECT_LIMIT_BREAKAWAY_OK != 0
}

/// Starts a command with these creation flags, shows it to `prepare` before its first instruction, and
/// lets it run. When `prepare` fails, it has never run.
///
/// # Errors
/// When it cannot be started or prepared.
pub fn spawn_suspended(
    command: &mut Command,
    flags: u32,
    prepare: impl FnOnce(&Child) -> io::Result<()>,
) -> io::Result<Child> {
    let mut child = command.creation_flags(flags | CREATE_SUSPENDED).spawn()?;
    // A command that is used again, without us, must not hang.
    command.creation_flags(flags);
    if let Err(error) = prepare(&child).and_then(|()| resume(child.id())) {
        let _ = child.kill();
        let _ = child.wait();
        return Err(error);
    }
    Ok(child)
}

/// Lets the only thread of a new process run. `std` keeps the handle of that thread to itself.
fn resume(process: u32) -> io::Result<()> {
    // SAFETY: no pointer is passed.
    let snapshot = owned(unsafe { CreateToolhelp32Snapshot(TH32CS_SNAPTHREAD, 0) })?;
    let mut entry = THREADENTRY32 {
        dwSize: size(size_of::<THREADENTRY32>()),
        ..THREADENTRY32::default()
    };
    let mut resumed = false;
    // SAFETY: the snapshot is open, and the entry says its own size.
    let mut more = unsafe { Thread32First(snapshot.as_raw_handle(), &raw mut entry) };
    while more != 0 {
        if entry.th32OwnerProcessID == process {
            // SAFETY: no pointer is passed.
            let thread =
                owned(unsafe { OpenThread(THREAD_SUSPEND_RESUME, 0, entry.th32ThreadID) })?;
            // SAFETY: the handle is open.
            if unsafe { ResumeThread(thread.as_raw_handle()) } == u32::MAX {
                return Err(io::Error::last_os_error());
            }
            resumed = true;
        }
        // SAFETY: as above.
        more = unsafe { Thread32Next(snapshot.as_raw_handle(), &raw mut entry) };
    }
    if resumed {
        Ok(())
    } else {
        Err(io::Error::other("a new process without a thread"))
    }
}

/// The size of a structure of the API, which are small.
fn size(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
