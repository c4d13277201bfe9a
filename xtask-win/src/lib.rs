//! The calls of the Windows API that `xtask` makes, as safe functions: job objects, processes, console
//! events, port holders, and who may read a file. Each `unsafe` block says why it is sound.
//!
//! On other systems this crate is empty.

#![cfg(windows)]

mod console;
mod file;
mod job;
mod port;
mod process;

pub use console::{
    Event, break_console_of, break_group, keep_streams_from_children, on_event, on_our_console,
};
pub use file::{access_list, make_private};
pub use job::{Job, may_break_away, spawn_suspended};
pub use port::listeners;
pub use process::{Entry, environment_value, image_name, processes, start_time, terminate};

use std::io;
use std::os::windows::io::{FromRawHandle as _, OwnedHandle};

use windows_sys::Win32::Foundation::{HANDLE, INVALID_HANDLE_VALUE};

/// A text as the wide, zero-terminated string that the API takes.
fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().chain([0]).collect()
}

/// Takes a handle that a call has just made, or that call's error.
fn owned(handle: HANDLE) -> io::Result<OwnedHandle> {
    if handle.is_null() || handle == INVALID_HANDLE_VALUE {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the caller got this handle from a call that made it for us, and gives it away here.
    Ok(unsafe { OwnedHandle::from_raw_handle(handle) })
}

/// The error of a call that says 0 for a failure.
fn checked(done: i32) -> io::Result<()> {
    if done == 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
