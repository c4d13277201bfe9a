//! A new cluster is a copy of what initdb once made for this user on this machine: 0.05 s instead of
//! 0.5 s. The copy lies in the user's cache directory, readable by him alone; `cargo clean` and a new
//! checkout do not lose it. Whatever is wrong with it, initdb runs as if it were not there.
//!
//! A template is made by initdb and never started, so that it holds nothing but an empty cluster and
//! one password: the clusters that are copied from it share that one, as they share their user.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Context as _;

use super::server::Programs;
use super::user::{self, RunAs};
use crate::cx::Cx;
use crate::fsx;
use crate::hex;
use crate::platform;

/// Changes when what initdb is told does.
const FORMAT: &str = "2";
/// One that nobody has used for so long is removed when a new one is made.
const KEPT: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// Where the template of these programs and this role is, whether it exists yet or not.
#[derive(Debug)]
pub(super) struct Template {
    directory: PathBuf,
}

impl Template {
    /// `None` where the environment names no cache directory, or `XTASK_PG_TEMPLATE=0` wants none.
    pub(super) fn of(cx: &Cx, programs: &Programs, role: &str) -> Option<Template> {
        if cx.env.get("XTASK_PG_TEMPLATE").is_some_and(|it| it == "0") {
            return None;
        }
        let cache = cache_directory(&cx.env)?;
        let bin = programs.bin.to_string_lossy();
        let key = [FORMAT, &programs.version, &bin, role].join("\0");
        let digest = hmac_sha256::Hash::hash(key.as_bytes());
        let name = hex::encode(&digest[..8]);
        Some(Template {
            directory: cache.join("xtask").join("postgres").join(name),
        })
    }

    /// Copies the template to `data`, for the server's user; returns its password. `None` where there
    /// is no template, or one that somebody else may have made.
    ///
    /// # Errors
    /// When it cannot be read or copied.
    pub(super) fn copy_to(&self, data: &Path, user: &RunAs) -> anyhow::Result<Option<String>> {
        let Some(password) = fsx::read_optional(&self.password_file())? else {
            return Ok(None);
        };
        if !user.owns(&self.directory) {
            return Ok(None);
        }
        copy_tree(&self.directory.join("data"), data, user)?;
        // Whoever cleans up goes by this time. That it cannot be set is no reason to fail.
        let _ = File::options()
            .append(true)
            .open(self.password_file())
            .and_then(|file| file.set_modified(SystemTime::now()));
        Ok(Some(password))
    }

    /// Keeps a copy of a cluster that initdb has just made. Two that do so at once end in one template.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn keep(&self, data: &Path, password: &str) -> anyhow::Result<()> {
        let Some(parent) = self.directory.parent() else {
            return Ok(());
        };
        fsx::create_dir_all(parent)?;
        remove_old(parent);
        let staging = self
            .directory
            .with_extension(format!("new-{}", std::process::id()));
        let made = user::create_private(&staging)
            .map_err(anyhow::Error::from)
            .and_then(|()| copy_tree(data, &staging.join("data"), &RunAs::ourselves()))
            .and_then(|()| {
                let file = staging.join("password");
                fsx::atomic_write(&file, password.as_bytes(), fsx::Access::Private)
            })
            .and_then(|()| Ok(fs::rename(&staging, &self.directory)?));
        if made.is_err() {
            let _ = fs::remove_dir_all(&staging);
        }
        made.with_context(|| format!("failed to keep `{}`", self.directory.display()))
    }

    /// Removes it: a cluster that was copied from it did not start.
    pub(super) fn forget(&self) {
        let _ = fs::remove_dir_all(&self.directory);
    }

    fn password_file(&self) -> PathBuf {
        self.directory.join("password")
    }
}

/// The user's directory for what can be made again, in the terms of each operating system.
fn cache_directory(env: &BTreeMap<String, String>) -> Option<PathBuf> {
    let named = |name: &str| {
        let path = PathBuf::from(env.get(name)?);
        path.is_absolute().then_some(path)
    };
    named("XDG_CACHE_HOME").or_else(|| {
        if cfg!(windows) {
            named("LOCALAPPDATA")
        } else if cfg!(target_os = "macos") {
            Some(named("HOME")?.join("Library").join("Caches"))
        } else {
            Some(named("HOME")?.join(".cache"))
        }
    })
}

/// Copies directories and files, which keep their modes. A cluster of initdb holds nothing else.
fn copy_tree(from: &Path, to: &Path, user: &RunAs) -> anyhow::Result<()> {
    user::create_private(to).with_context(|| format!("failed to create `{}`", to.display()))?;
    user.give(to)?;
    let entries =
        fs::read_dir(from).with_context(|| format!("failed to look into `{}`", from.display()))?;
    for entry in entries {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy_tree(&source, &target, user)?;
        } else if kind.is_file() {
            fs::copy(&source, &target)
                .with_context(|| format!("failed to copy `{}`", source.display()))?;
            user.give(&target)?;
        } else {
            anyhow::bail!("`{}` is neither a file nor a directory", source.display());
        }
    }
    Ok(())
}

/// What was interrupted, and what no server of this user has needed for long.
fn remove_old(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let maker = name
            .to_str()
            .and_then(|it| it.rsplit_once(".new-")?.1.parse().ok());
        if maker.is_some_and(|pid| platform::start_time(pid).is_none()) {
            // Whoever made it was killed.
            let _ = fs::remove_dir_all(entry.path());
            continue;
        }
        let unused = fs::metadata(entry.path().join("password"))
            .or_else(|_| entry.metadata())
            .and_then(|metadata| metadata.modified())
            .ok()
            .and_then(|time| time.elapsed().ok());
        if unused.is_some_and(|time| time > KEPT) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(directory: &Path) -> Template {
        Template {
            directory: directory.join("cache").join("key"),
        }
    }

    fn cluster(directory: &Path) -> PathBuf {
        let data = directory.join("data");
        fs::create_dir_all(data.join("base")).unwrap();
        fs::write(data.join("PG_VERSION"), "17").unwrap();
        fs::write(data.join("base").join("1"), "x").unwrap();
        data
    }

    #[test]
    fn a_copy_is_whole_and_the_first_template_stays() {
        let dir = tempfile::tempdir().unwrap();
        let template = template(dir.path());
        let user = RunAs::ourselves();
        let copy = dir.path().join("copy");
        assert_eq!(template.copy_to(&copy, &user).unwrap(), None);
        assert!(!copy.exists());
        let data = cluster(dir.path());
        template.keep(&data, "first").unwrap();
        // Somebody was faster: what is there stays, and nothing is left lying about.
        assert!(template.keep(&data, "second").is_err());
        assert_eq!(fs::read_dir(dir.path().join("cache")).unwrap().count(), 1);
        let password = template.copy_to(&copy, &user).unwrap();
        assert_eq!(password.as_deref(), Some("first"));
        assert_eq!(fs::read(copy.join("base").join("1")).unwrap(), b"x");
        template.forget();
        assert_eq!(
            template.copy_to(&dir.path().join("c"), &user).unwrap(),
            None
        );
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_can_look_into_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let template = template(dir.path());
        template.keep(&cluster(dir.path()), "secret").unwrap();
        for path in [template.directory.clone(), template.password_file()] {
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{}: {mode:o}", path.display());
        }
    }

    #[test]
    fn templates_that_nobody_uses_go() {
        let dir = tempfile::tempdir().unwrap();
        let template = template(dir.path());
        let data = cluster(dir.path());
        template.keep(&data, "old").unwrap();
        let other = Template {
            directory: template.directory.with_file_name("other"),
        };
        other.keep(&data, "new").unwrap();
        assert!(template.directory.exists(), "it is not old");
        let file = File::options().append(true).open(template.password_file());
        file.unwrap()
            .set_modified(SystemTime::now() - KEPT - Duration::from_secs(60))
            .unwrap();
        remove_old(dir.path().join("cache").as_path());
        assert!(!template.directory.exists() && other.directory.exists());
    }

    #[test]
    fn what_a_killed_run_has_left_goes_with_the_next_template() {
        let dir = tempfile::tempdir().unwrap();
        let template = template(dir.path());
        let data = cluster(dir.path());
        let of = |pid: u32| template.directory.with_extension(format!("new-{pid}"));
        // No system gives a process this number.
        let (dead, living) = (of(u32::MAX - 3), of(std::process::id()));
        fs::create_dir_all(dead.join("data")).unwrap();
        template.keep(&data, "one").unwrap();
        assert!(!dead.exists());
        fs::create_dir_all(&living).unwrap();
        remove_old(dir.path().join("cache").as_path());
        assert!(living.exists(), "it is being made");
    }

    #[test]
    fn the_cache_is_where_the_system_says() {
        let env = |pairs: &[(&str, &str)]| {
            pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect::<BTreeMap<_, _>>()
        };
        let root = if cfg!(windows) { r"C:\" } else { "/" };
        let chosen = format!("{root}cache");
        let found = cache_directory(&env(&[("XDG_CACHE_HOME", &chosen)]));
        assert_eq!(found, Some(PathBuf::from(&chosen)));
        // The specification of XDG: a relative path is to be ignored.
        assert_eq!(cache_directory(&env(&[("XDG_CACHE_HOME", "x")])), None);
        assert_eq!(cache_directory(&env(&[])), None);
    }
}
