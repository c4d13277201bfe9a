//! What differs between operating systems: who may run a PostgreSQL, and how a disk comes to rest.

use std::path::Path;
use std::process::Command;

/// Makes a command run as the user that xtask would run a server as, and hands him this directory: root
/// may run none. For anybody but root it changes nothing.
///
/// # Errors
/// When there is no such user, or the directory cannot be handed over.
#[cfg(unix)]
pub fn as_server_user(command: &mut Command, directory: &Path) -> anyhow::Result<()> {
    use std::os::unix::process::CommandExt as _;
    if !nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    for name in ["postgres", "nobody"] {
        if let Some(user) = nix::unistd::User::from_name(name)? {
            let (uid, gid) = (user.uid.as_raw(), user.gid.as_raw());
            std::os::unix::fs::chown(directory, Some(uid), Some(gid))?;
            command.uid(uid).gid(gid);
            return Ok(());
        }
    }
    anyhow::bail!("there is neither a user `postgres` nor `nobody`")
}

/// Nothing to do here: pg_ctl gives up an administrator's rights by itself on Windows.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub fn as_server_user(_command: &mut Command, _directory: &Path) -> anyhow::Result<()> {
    Ok(())
}

/// Waits until what was written is on the disk, so that nobody's time pays for it.
#[cfg(unix)]
pub fn settle() {
    nix::unistd::sync();
}

/// Waits a moment: there is no one call for it.
#[cfg(not(unix))]
pub fn settle() {
    std::thread::sleep(std::time::Duration::from_secs(2));
}
