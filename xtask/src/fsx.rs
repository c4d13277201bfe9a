//! Files: written whole or not at all, and errors that carry the path.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::error::Fault;
use crate::glob;
use crate::platform;

/// Who may read a file that we write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The platform's default.
    Default,
    /// The owner alone (0600): files that may hold a password.
    Private,
}

/// Reads a UTF-8 file; `None` if there is none.
///
/// # Errors
/// Every failure but "not found", with the path.
pub fn read_optional(path: &Path) -> anyhow::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            Err(anyhow::anyhow!("`{}` is not UTF-8 text", path.display()))
        }
        Err(error) => Err(error).with_context(|| format!("failed to read `{}`", path.display())),
    }
}

/// The files below `root` that match a pattern as in [`glob::matches_path`], sorted: relative, with
/// `/` between their parts. Only directories that can hold one are read; links to directories are
/// not followed by `**`.
///
/// # Errors
/// When a directory cannot be read (one that is not there holds nothing), and when a file that matches
/// has a name that is not Unicode.
pub fn files_matching(root: &Path, pattern: &str) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    let parts: Vec<&str> = pattern.split('/').collect();
    collect(root, String::new(), &parts, &mut found)?;
    found.sort();
    found.dedup();
    Ok(found)
}

fn collect(
    directory: &Path,
    shown: String,
    pattern: &[&str],
    found: &mut Vec<String>,
) -> anyhow::Result<()> {
    let Some((part, rest)) = pattern.split_first() else {
        return Ok(());
    };
    let below = |name: &str| match shown.as_str() {
        "" => name.to_owned(),
        shown => format!("{shown}/{name}"),
    };
    if !part.contains('*') {
        let path = directory.join(part);
        if rest.is_empty() {
            if path.is_file() {
                unicode(&path)?;
                found.push(below(part));
            }
            return Ok(());
        }
        return collect(&path, below(part), rest, found);
    }
    let deep = *part == "**";
    if deep && !rest.is_empty() {
        collect(directory, shown.clone(), rest, found)?;
    }
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error)
            if matches!(
                error.kind(),
                // The last: how some file systems of Windows say that it is a file.
                io::ErrorKind::NotFound
                    | io::ErrorKind::NotADirectory
                    | io::ErrorKind::InvalidFilename
            ) =>
        {
            return Ok(());
        }
        Err(error) => {
            return Err(error).with_context(|| {
                format!("failed to read the directory `{}`", directory.display())
            });
        }
    };
    for entry in entries {
        let entry = entry
            .with_context(|| format!("failed to read the directory `{}`", directory.display()))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !glob::matches(part, &name) {
            continue;
        }
        let path = entry.path();
        let own = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if own && deep {
            collect(&path, below(&name), pattern, found)?;
        } else if path.is_dir() {
            if !deep {
                collect(&path, below(&name), rest, found)?;
            }
        } else if rest.is_empty() {
            unicode(&path)?;
            found.push(below(&name));
        }
    }
    Ok(())
}

/// A path as text.
///
/// # Errors
/// When it is not Unicode (exit 2): another name in its place would be that of no file, or of another.
pub fn unicode(path: &Path) -> Result<&str, Fault> {
    path.to_str().ok_or_else(|| {
        Fault::usage(format!(
            "the path `{}` is not valid Unicode",
            path.display()
        ))
        .hint("rename it, or take it out of the workspace")
    })
}

/// Creates a directory and its parents.
///
/// # Errors
/// When the directory cannot be made, with the path.
pub fn create_dir_all(path: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(path)
        .with_context(|| format!("failed to create the directory `{}`", path.display()))
}

/// Writes a file whole: to a temporary name beside it, synced, then renamed over it.
///
/// A symbolic link is followed, so that the link stays and its target is replaced.
///
/// # Errors
/// When any step fails, with the path; the old content is then still there.
pub fn atomic_write(path: &Path, content: &[u8], access: Access) -> anyhow::Result<()> {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    put(&target, |temporary| {
        write_new(temporary, content, access)?;
        keep_mode(&target, temporary, access)
    })
    .with_context(|| format!("failed to write `{}`", path.display()))
}

/// Copies a file with its mode, as [`atomic_write`] writes one.
///
/// # Errors
/// When any step fails, with the path; what was there before is then still there.
pub fn atomic_copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    put(to, |temporary| fs::copy(from, temporary).map(drop))
        .with_context(|| format!("failed to write `{}`", to.display()))
}

/// Makes a file under a temporary name beside its own, then gives it that.
fn put(target: &Path, make: impl FnOnce(&Path) -> io::Result<()>) -> anyhow::Result<()> {
    if let Some(parent) = target.parent() {
        create_dir_all(parent)?;
    }
    remove_leftovers(target);
    let temporary = temporary_beside(target);
    let result = make(&temporary).and_then(|()| platform::replace(&temporary, target));
    if result.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    Ok(result?)
}

/// Removes the temporary files of runs that were killed while they wrote this file: it may hold secrets,
/// and nobody else would.
fn remove_leftovers(target: &Path) {
    let (Some(parent), Some(name)) = (target.parent(), target.file_name()) else {
        return;
    };
    let prefix = format!(".{}.", name.to_string_lossy());
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let writer = name
            .to_str()
            .and_then(|it| {
                it.strip_prefix(&prefix)?
                    .strip_suffix(".tmp")?
                    .split_once('-')
            })
            .and_then(|(pid, _)| pid.parse().ok());
        if writer.is_some_and(|pid| platform::start_time(pid).is_none()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Opens a file to append to, and makes it where it is not there. Several processes can append to it.
///
/// # Errors
/// When it cannot be opened, with the path.
pub fn append(path: &Path, access: Access) -> anyhow::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    let opened = open(options.create(true).append(true), path, access);
    opened.with_context(|| format!("failed to open `{}`", path.display()))
}

/// A name in the same directory (a rename must not cross file systems), unique to this process.
fn temporary_beside(target: &Path) -> PathBuf {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let n = COUNTER.fetch_add(1, Ordering::Relaxed);
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    target.with_file_name(format!(".{name}.{}-{n}.tmp", std::process::id()))
}

fn open(options: &mut fs::OpenOptions, path: &Path, access: Access) -> io::Result<fs::File> {
    match access {
        Access::Default => options.open(path),
        Access::Private => platform::open_private(options, path),
    }
}

fn write_new(path: &Path, content: &[u8], access: Access) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    let mut file = open(options.write(true).create_new(true), path, access)?;
    file.write_all(content)?;
    file.sync_all()
}

/// A replaced file keeps its permissions, unless it must be private.
fn keep_mode(old: &Path, new: &Path, access: Access) -> io::Result<()> {
    match fs::metadata(old) {
        Ok(metadata) if access == Access::Default => {
            fs::set_permissions(new, metadata.permissions())
        }
        _ => Ok(()),
    }
}

/// Whether something failed because there was no space left, in whatever terms.
#[must_use]
pub fn is_full(error: &anyhow::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    let mut causes = error.chain().filter_map(|it| it.downcast_ref());
    causes.any(|it: &io::Error| matches!(it.kind(), StorageFull | QuotaExceeded | FileTooLarge))
}

/// The system's directory for temporary files.
///
/// # Errors
/// When its name depends on where one stands (exit 2): what is put there would not be found again.
pub fn temporary_directory() -> Result<PathBuf, Fault> {
    let path = std::env::temp_dir();
    if path.is_absolute() {
        return Ok(path);
    }
    let variable = if cfg!(windows) { "TMP" } else { "TMPDIR" };
    Err(Fault::usage(format!(
        "the directory for temporary files, `{}`, is not an absolute path",
        path.display()
    ))
    .hint(format!("set {variable} to one, or unset it")))
}

/// The path without links in it; as it is where it cannot be followed.
#[must_use]
pub fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_path_buf())
}

/// This package where its tests run, which need not be where they were compiled.
#[cfg(test)]
pub(crate) fn test_package() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR")
        .expect("cargo and nextest set it")
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_content_and_no_temporary() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        atomic_write(&path, b"old", Access::Default).unwrap();
        assert!(atomic_write(&path.join("below-a-file"), b"new", Access::Default).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn patterns_find_what_they_match_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let all = [
            "junit/python.xml",
            "junit/python-integration.xml",
            "junit/ruby.xml",
            "nextest/ci/junit.xml",
            "nextest/ci/deep/junit.xml",
            "junit.xml",
        ];
        for file in all {
            atomic_write(&dir.path().join(file), b"", Access::Default).unwrap();
        }
        for pattern in [
            "junit/python*.xml",
            "nextest/*/junit.xml",
            "**/junit.xml",
            "nextest/**",
            "junit.xml",
            "nextest/**/deep/*",
            "**",
            "nowhere/*/x",
            "junit.xml/*",
            "*",
        ] {
            let mut expected: Vec<&str> = all
                .into_iter()
                .filter(|file| glob::matches_path(pattern, file))
                .collect();
            expected.sort_unstable();
            assert_eq!(
                files_matching(dir.path(), pattern).unwrap(),
                expected,
                "{pattern}"
            );
        }
    }

    #[test]
    fn what_a_killed_writer_left_goes_and_what_others_write_stays() {
        let dir = tempfile::tempdir().unwrap();
        // No system gives a process this number.
        let dead = u32::MAX - 3;
        let living = std::process::id();
        let gone = format!(".file.{dead}-0.tmp");
        let stay = [
            format!(".file.{living}-99.tmp"),
            format!(".other.{dead}-0.tmp"),
            ".file.x-0.tmp".to_owned(),
            ".file.tmp".to_owned(),
        ];
        for write in [
            (|path| atomic_write(path, b"new", Access::Default)) as fn(&Path) -> anyhow::Result<()>,
            |path| atomic_copy(&path.with_file_name(".file.tmp"), path),
        ] {
            for name in stay.iter().chain([&gone]) {
                fs::write(dir.path().join(name), "half").unwrap();
            }
            write(&dir.path().join("file")).unwrap();
            assert!(!dir.path().join(&gone).exists());
            for name in &stay {
                assert!(dir.path().join(name).exists(), "{name}");
            }
        }
    }

    #[cfg(unix)]
    #[test]
    fn private_files_are_0600_even_over_an_open_one() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(".env");
        fs::write(&path, "A=1").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        atomic_write(&path, b"A=2", Access::Private).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
}
