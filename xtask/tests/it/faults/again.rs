//! A test that goes on in another process: with another environment, or in a namespace of its own.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::unistd::{getegid, geteuid};

/// Set where a test goes on, to the place that was made for it.
const PLACE: &str = "XTASK_FAULT_PLACE";

/// The place that was made for this test, where it goes on in it.
pub(super) fn place() -> Option<PathBuf> {
    std::env::var_os(PLACE).map(Into::into)
}

/// Runs the test of this name (below `faults`) once more, with temporary files, and so its workspaces,
/// at this place. `words` stand before the program.
#[track_caller]
pub(super) fn at(place: &Path, test: &str, words: &[&OsStr]) {
    let own = std::env::current_exe().unwrap();
    let mut line = words.iter().copied().chain([own.as_os_str()]);
    let mut command = Command::new(line.next().unwrap());
    command
        .args(line)
        .args(["--exact", &format!("faults::{test}"), "--nocapture"])
        .env(PLACE, place)
        .env("TMPDIR", place);
    let status = command.status().unwrap();
    assert!(status.success(), "{status}: its words are above");
}

/// The command, started by these words, in the environment that it has.
pub(super) fn behind(words: &[OsString], command: &Command) -> Command {
    let mut whole = Command::new(&words[0]);
    whole
        .args(&words[1..])
        .arg(command.get_program())
        .args(command.get_args())
        .stdin(Stdio::null())
        // As `support::clear_env` did.
        .env_clear();
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            whole.env(name, value);
        }
    }
    if let Some(directory) = command.get_current_dir() {
        whole.current_dir(directory);
    }
    whole
}

/// Words that run the command behind them after a script, by root and in mounts of its own: that is who
/// we are, or whom a namespace of users makes of us; then the command runs as we are. The script is
/// `sh`'s, and gets `place` as `$1`.
pub(super) fn in_mounts(script: &str, place: &Path) -> Vec<OsString> {
    let (user, group) = (geteuid().as_raw(), getegid().as_raw());
    let mut words: Vec<OsString> = vec!["unshare".into()];
    let go_on = if user == 0 {
        "exec \"$@\"".to_owned()
    } else {
        words.extend(["--user", "--map-root-user"].map(Into::into));
        format!("exec unshare --user --map-user={user} --map-group={group} \"$@\"")
    };
    let script = format!("set -e\n{script}\nshift\n{go_on}\n");
    words.extend(["--mount", "sh", "-c"].map(Into::into));
    words.extend([script.into(), "sh".into(), place.into()]);
    words
}

/// Fails where this machine lets nobody mount anything: nothing could be said then.
#[track_caller]
pub(super) fn mounts_work() {
    let place = tempfile::tempdir().unwrap();
    let words = in_mounts("mount -t tmpfs -o size=64k tmpfs \"$1\"", place.path());
    let output = Command::new(&words[0])
        .args(&words[1..])
        .arg("true")
        .output();
    let why = match output {
        Ok(output) if output.status.success() => return,
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    panic!(
        "a full disk and a read-only one need a file system to be mounted: run the tests as root, or \
         let users have namespaces (`sysctl kernel.unprivileged_userns_clone=1`, and on Ubuntu \
         `kernel.apparmor_restrict_unprivileged_userns=0`), with util-linux 2.36 or later: {why}"
    );
}
