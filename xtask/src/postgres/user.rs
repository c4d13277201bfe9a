//! Who runs the embedded server: initdb and postgres refuse to run as root.

#[cfg(not(unix))]
pub(super) use other::RunAs;
#[cfg(unix)]
pub(super) use unix::RunAs;

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    use std::os::unix::process::CommandExt as _;
    use std::path::Path;
    use std::process::Command;

    use anyhow::Context as _;

    use crate::error::Fault;

    /// An unprivileged user, or ourselves.
    #[derive(Clone, Debug)]
    pub(crate) struct RunAs {
        /// User and group, where it is not ourselves.
        other: Option<(u32, u32)>,
    }

    impl RunAs {
        /// Ourselves, unless we are root: then `postgres` where there is such a user, else `nobody`.
        pub(crate) fn decide() -> anyhow::Result<RunAs> {
            if !nix::unistd::geteuid().is_root() {
                return Ok(RunAs { other: None });
            }
            for name in ["postgres", "nobody"] {
                let found = nix::unistd::User::from_name(name)
                    .with_context(|| format!("failed to look up the user `{name}`"))?;
                if let Some(user) = found.filter(|user| !user.uid.is_root()) {
                    return Ok(RunAs {
                        other: Some((user.uid.as_raw(), user.gid.as_raw())),
                    });
                }
            }
            Err(Fault::new(
                "PostgreSQL refuses to run as root, and there is neither a user `postgres` nor \
                 `nobody`",
            )
            .hint("run this as an ordinary user, or set DATABASE_URL to a server that runs")
            .into())
        }

        /// Ourselves, whoever we are.
        pub(crate) fn ourselves() -> RunAs {
            RunAs { other: None }
        }

        /// Makes a child run as this user.
        pub(crate) fn apply(&self, command: &mut Command) {
            if let Some((user, group)) = self.other {
                command.uid(user).gid(group);
            }
        }

        /// Whether this user gets to `directory` and below: every directory on the way has to let
        /// others through. Ourselves always do.
        pub(crate) fn reaches(&self, directory: &Path) -> bool {
            let Some((user, _)) = self.other else {
                return true;
            };
            directory
                .ancestors()
                .skip(1)
                .filter(|dir| dir.exists())
                .all(|dir| {
                    std::fs::metadata(dir).is_ok_and(|metadata| {
                        metadata.permissions().mode() & 0o001 != 0 || metadata.uid() == user
                    })
                })
        }

        /// Hands a file or directory to this user.
        pub(crate) fn give(&self, path: &Path) -> anyhow::Result<()> {
            let Some((user, group)) = self.other else {
                return Ok(());
            };
            std::os::unix::fs::chown(path, Some(user), Some(group)).with_context(|| {
                format!("failed to hand `{}` to the server's user", path.display())
            })
        }

        /// Whether a directory is this user's or ours: nobody else's may be trusted.
        pub(crate) fn owns(&self, path: &Path) -> bool {
            let own = nix::unistd::geteuid().as_raw();
            std::fs::symlink_metadata(path).is_ok_and(|metadata| {
                metadata.is_dir()
                    && (metadata.uid() == own
                        || self.other.is_some_and(|(user, _)| metadata.uid() == user))
            })
        }
    }

    /// Creates a directory that only its owner can look into.
    pub(crate) fn create_private(path: &Path) -> std::io::Result<()> {
        use std::os::unix::fs::DirBuilderExt as _;
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
    }
}

#[cfg(not(unix))]
mod other {
    use std::path::Path;
    use std::process::Command;

    /// Ourselves: pg_ctl gives up an administrator's rights by itself on Windows.
    #[derive(Clone, Debug)]
    pub(crate) struct RunAs;

    impl RunAs {
        pub(crate) fn decide() -> anyhow::Result<RunAs> {
            Ok(RunAs)
        }

        pub(crate) fn ourselves() -> RunAs {
            RunAs
        }

        pub(crate) fn apply(&self, _command: &mut Command) {}

        pub(crate) fn reaches(&self, _directory: &Path) -> bool {
            true
        }

        pub(crate) fn give(&self, _path: &Path) -> anyhow::Result<()> {
            Ok(())
        }

        pub(crate) fn owns(&self, path: &Path) -> bool {
            path.is_dir()
        }
    }

    /// Creates a directory; a user's directories are private by their ACL.
    pub(crate) fn create_private(path: &Path) -> std::io::Result<()> {
        std::fs::create_dir_all(path)
    }
}

#[cfg(not(unix))]
pub(super) use other::create_private;
#[cfg(unix)]
pub(super) use unix::create_private;
