//! Console events: Ctrl-C, Ctrl-Break, and the console's end. They are what Windows has for a signal
//! that a process can answer.

use std::io;
use std::sync::OnceLock;
use std::time::Duration;

use windows_sys::Win32::System::Console::{
    AttachConsole, CTRL_BREAK_EVENT, CTRL_C_EVENT, FreeConsole, GenerateConsoleCtrlEvent,
    GetConsoleProcessList, GetStdHandle, STD_ERROR_HANDLE, STD_INPUT_HANDLE, STD_OUTPUT_HANDLE,
    SetConsoleCtrlHandler, SetStdHandle,
};
use windows_sys::core::BOOL;

use windows_sys::Win32::Foundation::{HANDLE_FLAG_INHERIT, SetHandleInformation};

use crate::checked;

/// What a console says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Ctrl-C: all on the console have it, but those in process groups of their own.
    CtrlC,
    /// Ctrl-Break, or what was sent to our process group.
    CtrlBreak,
    /// The console's window closes, the user logs off, or the machine shuts down.
    Close,
}

static HANDLER: OnceLock<fn(Event)> = OnceLock::new();
/// How long the end is put off while the rest of the process cleans up. Windows itself ends it earlier.
const CLEAN_UP: Duration = Duration::from_secs(30);

unsafe extern "system" fn handle(kind: u32) -> BOOL {
    let Some(handler) = HANDLER.get() else {
        return 0;
    };
    match kind {
        CTRL_C_EVENT => handler(Event::CtrlC),
        CTRL_BREAK_EVENT => handler(Event::CtrlBreak),
        _ => {
            handler(Event::Close);
            // Windows ends the process as soon as this returns.
            std::thread::sleep(CLEAN_UP);
        }
    }
    1
}

/// Calls a function for each event, on a thread of its own. Only the first call counts.
///
/// # Errors
/// When there cannot be a handler: then the process ends by an event.
pub fn on_event(handler: fn(Event)) -> io::Result<()> {
    if HANDLER.set(handler).is_err() {
        return Ok(());
    }
    // SAFETY: the function is a handler's, takes no pointer, and lives as long as the process.
    checked(unsafe { SetConsoleCtrlHandler(Some(handle), 1) })
}

/// The pids of those on our console, ours among them; none where we have no console.
#[must_use]
pub fn on_our_console() -> Vec<u32> {
    let mut pids = vec![0_u32; 256];
    loop {
        let room = u32::try_from(pids.len()).unwrap_or(u32::MAX);
        // SAFETY: there is room for as many pids as is said.
        let count = unsafe { GetConsoleProcessList(pids.as_mut_ptr(), room) };
        if count > room {
            pids.resize(count as usize * 2, 0);
            continue;
        }
        pids.truncate(count as usize);
        return pids;
    }
}

/// Keeps stdin, stdout and stderr from those children that are given others. A child gets all handles that
/// are marked for it, and ours are, as they came from our parent: a service would hold the pipe of whoever
/// reads what we say, who would wait for its end.
pub fn keep_streams_from_children() {
    for stream in STREAMS {
        // SAFETY: no pointers are passed; a stream that is not there is refused.
        unsafe { SetHandleInformation(GetStdHandle(stream), HANDLE_FLAG_INHERIT, 0) };
    }
}

/// Sends Ctrl-Break to a process group on our console, named by the process that leads it.
///
/// # Errors
/// When there is no such group.
pub fn break_group(leader: u32) -> io::Result<()> {
    if leader == 0 {
        // To Windows this is everybody on the console.
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: no pointer is passed.
    checked(unsafe { GenerateConsoleCtrlEvent(CTRL_BREAK_EVENT, leader) })
}

/// As [`break_group`], on the console that the leader has. This process gives up its own, and has none
/// afterwards.
///
/// # Errors
/// When the leader has no console.
pub fn break_console_of(leader: u32) -> io::Result<()> {
    // Another console brings other streams with it.
    // SAFETY: no pointers are passed.
    let streams = STREAMS.map(|it| unsafe { GetStdHandle(it) });
    // SAFETY: no pointers are passed. Without a console there is nothing to give up.
    let sent = unsafe {
        FreeConsole();
        checked(AttachConsole(leader)).and_then(|()| {
            let sent = break_group(leader);
            FreeConsole();
            sent
        })
    };
    for (stream, handle) in STREAMS.into_iter().zip(streams) {
        // SAFETY: the handle was this stream's a moment ago, and is not closed by leaving a console that
        // it is not of.
        unsafe { SetStdHandle(stream, handle) };
    }
    sent
}

const STREAMS: [u32; 3] = [STD_INPUT_HANDLE, STD_OUTPUT_HANDLE, STD_ERROR_HANDLE];
