//! Who may read a file.

use std::ffi::c_void;
use std::io;
use std::os::windows::ffi::OsStrExt as _;
use std::os::windows::io::AsRawHandle as _;
use std::path::Path;
use std::ptr::{null, null_mut};

use windows_sys::Win32::Foundation::{ERROR_SUCCESS, LocalFree};
use windows_sys::Win32::Security::Authorization::{
    ConvertSecurityDescriptorToStringSecurityDescriptorW, ConvertSidToStringSidW,
    ConvertStringSecurityDescriptorToSecurityDescriptorW, GetNamedSecurityInfoW, SDDL_REVISION_1,
    SE_FILE_OBJECT, SetNamedSecurityInfoW,
};
use windows_sys::Win32::Security::{
    DACL_SECURITY_INFORMATION, GetSecurityDescriptorDacl, GetTokenInformation,
    PROTECTED_DACL_SECURITY_INFORMATION, TOKEN_QUERY, TOKEN_USER, TokenUser,
};
use windows_sys::Win32::System::Threading::{GetCurrentProcess, OpenProcessToken};

use crate::{checked, owned, wide};

/// Memory that the API has given us.
struct Local(*mut c_void);

impl Drop for Local {
    fn drop(&mut self) {
        // SAFETY: it came from a call that says to free it so, and is freed once.
        unsafe { LocalFree(self.0) };
    }
}

impl Local {
    /// What it holds, where that is a zero-terminated string.
    ///
    /// # Safety
    /// It has to be one.
    unsafe fn text(&self) -> String {
        let start = self.0.cast_const().cast::<u16>();
        // SAFETY: it is read up to its zero, and no further.
        let units = unsafe {
            let length = (0..).take_while(|at| *start.add(*at) != 0).count();
            std::slice::from_raw_parts(start, length)
        };
        String::from_utf16_lossy(units)
    }
}

fn path_of(path: &Path) -> Vec<u16> {
    path.as_os_str().encode_wide().chain([0]).collect()
}

/// Lets nobody but this user read or write a file, whatever its directory allows.
///
/// # Errors
/// When the file's access list cannot be set.
pub fn make_private(path: &Path) -> io::Result<()> {
    let list = wide(&format!("D:P(A;;FA;;;{})", user()?));
    let mut descriptor = null_mut();
    // SAFETY: the text is zero-terminated, and there is a place for the result.
    checked(unsafe {
        ConvertStringSecurityDescriptorToSecurityDescriptorW(
            list.as_ptr(),
            SDDL_REVISION_1,
            &raw mut descriptor,
            null_mut(),
        )
    })?;
    let descriptor = Local(descriptor);
    let (mut present, mut defaulted, mut dacl) = (0, 0, null_mut());
    // SAFETY: the descriptor is one, and there are three places for three results.
    checked(unsafe {
        GetSecurityDescriptorDacl(
            descriptor.0,
            &raw mut present,
            &raw mut dacl,
            &raw mut defaulted,
        )
    })?;
    let path = path_of(path);
    // SAFETY: the path is zero-terminated; the list lies in the descriptor, which is still there.
    let result = unsafe {
        SetNamedSecurityInfoW(
            path.as_ptr(),
            SE_FILE_OBJECT,
            DACL_SECURITY_INFORMATION | PROTECTED_DACL_SECURITY_INFORMATION,
            null_mut(),
            null_mut(),
            dacl,
            null(),
        )
    };
    code(result)
}

/// A file's access list as text (SDDL).
///
/// # Errors
/// When it cannot be read.
pub fn access_list(path: &Path) -> io::Result<String> {
    let path = path_of(path);
    let mut descriptor = null_mut();
    // SAFETY: the path is zero-terminated, and there is a place for the result that is asked for.
    code(unsafe {
        GetNamedSecurityInfoW(
            path.as_ptr(),
            SE_FILE_OBJECT,
            DACL_SECURITY_INFORMATION,
            null_mut(),
            null_mut(),
            null_mut(),
            null_mut(),
            &raw mut descriptor,
        )
    })?;
    let descriptor = Local(descriptor);
    let mut text = null_mut();
    // SAFETY: the descriptor is one, and there is a place for the result.
    checked(unsafe {
        ConvertSecurityDescriptorToStringSecurityDescriptorW(
            descriptor.0,
            SDDL_REVISION_1,
            DACL_SECURITY_INFORMATION,
            &raw mut text,
            null_mut(),
        )
    })?;
    // SAFETY: the call has made a zero-terminated string.
    Ok(unsafe { Local(text.cast()).text() })
}

/// The user of this process, by number (`S-1-5-21-…`).
fn user() -> io::Result<String> {
    let mut token = null_mut();
    // SAFETY: there is a place for the handle.
    checked(unsafe { OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &raw mut token) })?;
    let token = owned(token)?;
    // A user's number has 68 bytes at the most, and the structure before it 16.
    let mut room = [0_u64; 32];
    let mut length = 0;
    // SAFETY: the handle is open, and there is room for as many bytes as is said.
    checked(unsafe {
        GetTokenInformation(
            token.as_raw_handle(),
            TokenUser,
            room.as_mut_ptr().cast(),
            u32::try_from(size_of_val(&room)).unwrap_or(0),
            &raw mut length,
        )
    })?;
    // SAFETY: the call has written this structure there, and the room is aligned for it.
    let user = unsafe { room.as_ptr().cast::<TOKEN_USER>().read() };
    let mut text = null_mut();
    // SAFETY: the number lies in `room`, and there is a place for the result.
    checked(unsafe { ConvertSidToStringSidW(user.User.Sid, &raw mut text) })?;
    // SAFETY: the call has made a zero-terminated string.
    Ok(unsafe { Local(text.cast()).text() })
}

fn code(result: u32) -> io::Result<()> {
    if result == ERROR_SUCCESS {
        return Ok(());
    }
    Err(io::Error::from_raw_os_error(result.cast_signed()))
}
