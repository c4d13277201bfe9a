//! Who runs, since when, and with what environment.

use std::io;
use std::mem::size_of;
use std::os::windows::io::{AsRawHandle as _, OwnedHandle};
use std::path::Path;
use std::ptr::null_mut;

use windows_sys::Wdk::System::Threading::{NtQueryInformationProcess, ProcessBasicInformation};
use windows_sys::Win32::Foundation::{FILETIME, WAIT_TIMEOUT};
use windows_sys::Win32::System::Diagnostics::Debug::ReadProcessMemory;
use windows_sys::Win32::System::Diagnostics::ToolHelp::{
    CreateToolhelp32Snapshot, PROCESSENTRY32W, Process32FirstW, Process32NextW, TH32CS_SNAPPROCESS,
};
use windows_sys::Win32::System::Threading::{
    GetProcessTimes, OpenProcess, PROCESS_BASIC_INFORMATION, PROCESS_NAME_WIN32,
    PROCESS_QUERY_INFORMATION, PROCESS_QUERY_LIMITED_INFORMATION, PROCESS_SYNCHRONIZE,
    PROCESS_TERMINATE, PROCESS_VM_READ, QueryFullProcessImageNameW, TerminateProcess,
    WaitForSingleObject,
};

use crate::{checked, owned};

/// A line of the process table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The number of the process.
    pub pid: u32,
    /// The number that its parent had. That one may be gone, and its number another process's.
    pub parent: u32,
}

/// What Windows starts beside each console, as a child of the first process on it. It ends with the last
/// one, and whoever ends it ends them all.
const CONSOLE_HOST: &str = "conhost.exe";

/// The process table, without the hosts of consoles. Those that have ended may be in it while somebody has
/// them open.
///
/// # Errors
/// When it cannot be read.
pub fn processes() -> io::Result<Vec<Entry>> {
    // SAFETY: no pointer is passed.
    let snapshot = owned(unsafe { CreateToolhelp32Snapshot(TH32CS_SNAPPROCESS, 0) })?;
    let mut entry = PROCESSENTRY32W {
        dwSize: u32::try_from(size_of::<PROCESSENTRY32W>()).unwrap_or(u32::MAX),
        ..PROCESSENTRY32W::default()
    };
    let mut found = Vec::new();
    // SAFETY: the snapshot is open, and the entry says its own size.
    let mut more = unsafe { Process32FirstW(snapshot.as_raw_handle(), &raw mut entry) };
    while more != 0 {
        let name = entry.szExeFile.split(|unit| *unit == 0).next();
        let name = String::from_utf16_lossy(name.unwrap_or_default());
        if !name.eq_ignore_ascii_case(CONSOLE_HOST) {
            found.push(Entry {
                pid: entry.th32ProcessID,
                parent: entry.th32ParentProcessID,
            });
        }
        // SAFETY: as above.
        more = unsafe { Process32NextW(snapshot.as_raw_handle(), &raw mut entry) };
    }
    Ok(found)
}

fn open(pid: u32, access: u32) -> io::Result<OwnedHandle> {
    // SAFETY: no pointer is passed.
    owned(unsafe { OpenProcess(access, 0, pid) })
}

/// When a living process was made, in units of 100 ns since 1601 (UTC); `None` for one that is not
/// there, has ended, or may not be asked.
#[must_use]
pub fn start_time(pid: u32) -> Option<u64> {
    start_of(&open(pid, PROCESS_QUERY_LIMITED_INFORMATION | PROCESS_SYNCHRONIZE).ok()?)
}

fn start_of(process: &OwnedHandle) -> Option<u64> {
    // A process that has ended stays while somebody has it open. SAFETY: the handle is open.
    if unsafe { WaitForSingleObject(process.as_raw_handle(), 0) } != WAIT_TIMEOUT {
        return None;
    }
    let mut times = [FILETIME::default(); 4];
    let [created, ended, kernel, user] = &mut times;
    // SAFETY: the handle is open, and there are four places for four times.
    let done = unsafe { GetProcessTimes(process.as_raw_handle(), created, ended, kernel, user) };
    (done != 0).then(|| u64::from(created.dwHighDateTime) << 32 | u64::from(created.dwLowDateTime))
}

/// Ends a process at once, if it is the one that was made at this time.
///
/// # Errors
/// When it is another one, or that is not allowed.
pub fn terminate(pid: u32, start: u64, exit_code: u32) -> io::Result<()> {
    let access = PROCESS_TERMINATE | PROCESS_QUERY_LIMITED_INFORMATION | PROCESS_SYNCHRONIZE;
    // While it is open, its number is nobody else's.
    let process = open(pid, access)?;
    if start_of(&process) != Some(start) {
        return Err(io::ErrorKind::NotFound.into());
    }
    // SAFETY: the handle is open.
    checked(unsafe { TerminateProcess(process.as_raw_handle(), exit_code) })
}

/// The file name of a process's program.
#[must_use]
pub fn image_name(pid: u32) -> Option<String> {
    let process = open(pid, PROCESS_QUERY_LIMITED_INFORMATION).ok()?;
    let mut path = vec![0_u16; 32_768];
    let mut length = u32::try_from(path.len()).ok()?;
    // SAFETY: the handle is open, and there is room for as many characters as is said.
    checked(unsafe {
        QueryFullProcessImageNameW(
            process.as_raw_handle(),
            PROCESS_NAME_WIN32,
            path.as_mut_ptr(),
            &raw mut length,
        )
    })
    .ok()?;
    let path = String::from_utf16_lossy(path.get(..length as usize)?);
    let name = Path::new(&path).file_name()?;
    Some(name.to_string_lossy().into_owned())
}

/// Where the process's parameters are noted, and in them the environment: 64-bit Windows, unchanged
/// since its first release (the debugger's `dt ntdll!_PEB` and `_RTL_USER_PROCESS_PARAMETERS`).
const PARAMETERS: usize = 0x20;
const ENVIRONMENT: usize = 0x80;
/// More of an environment is not looked at.
const ENVIRONMENT_LIMIT: usize = 4 << 20;

/// The value of a variable in the environment of another process, as it is now. `None` where there is
/// none, where it may not be read, and for 32-bit builds of this crate.
#[must_use]
pub fn environment_value(pid: u32, name: &str) -> Option<String> {
    if size_of::<usize>() != 8 {
        return None;
    }
    let process = open(pid, PROCESS_QUERY_INFORMATION | PROCESS_VM_READ).ok()?;
    let mut basic = PROCESS_BASIC_INFORMATION::default();
    // SAFETY: the handle is open, and the structure is the one of this class, with its size.
    let status = unsafe {
        NtQueryInformationProcess(
            process.as_raw_handle(),
            ProcessBasicInformation,
            (&raw mut basic).cast(),
            u32::try_from(size_of::<PROCESS_BASIC_INFORMATION>()).ok()?,
            null_mut(),
        )
    };
    if status < 0 || basic.PebBaseAddress.is_null() {
        return None;
    }
    let parameters = pointer(&process, basic.PebBaseAddress.addr() + PARAMETERS)?;
    let mut at = pointer(&process, parameters + ENVIRONMENT)?;
    let prefix: Vec<u16> = name.encode_utf16().chain([u16::from(b'=')]).collect();
    // Page by page: the length is not written everywhere, and what follows may not be ours to read.
    let mut text: Vec<u16> = Vec::new();
    let mut done = 0;
    let end = at + ENVIRONMENT_LIMIT;
    while at < end {
        let mut page = [0_u8; 4096];
        let length = page.len() - at % page.len();
        let bytes = read(&process, at, &mut page[..length])?;
        at += length;
        text.extend(
            bytes
                .chunks_exact(2)
                .map(|it| u16::from_le_bytes([it[0], it[1]])),
        );
        while let Some(length) = text[done..].iter().position(|unit| *unit == 0) {
            let entry = &text[done..done + length];
            if let Some(value) = entry.strip_prefix(prefix.as_slice()) {
                return Some(String::from_utf16_lossy(value));
            }
            if length == 0 {
                return None;
            }
            done += length + 1;
        }
    }
    None
}

fn pointer(process: &OwnedHandle, at: usize) -> Option<usize> {
    let mut bytes = [0; size_of::<usize>()];
    read(process, at, &mut bytes)?;
    Some(usize::from_ne_bytes(bytes)).filter(|it| *it != 0)
}

fn read<'a>(process: &OwnedHandle, at: usize, into: &'a mut [u8]) -> Option<&'a [u8]> {
    let mut length = 0;
    // SAFETY: the handle is open, and there is room for as many bytes as is said. The address is the
    // other process's: a wrong one is a failure, and nothing of ours.
    let done = unsafe {
        ReadProcessMemory(
            process.as_raw_handle(),
            std::ptr::without_provenance(at),
            into.as_mut_ptr().cast(),
            into.len(),
            &raw mut length,
        )
    };
    (done != 0 && length == into.len()).then_some(&*into)
}
