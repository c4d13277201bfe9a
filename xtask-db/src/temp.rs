//! A database for one test.

use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};

use crate::{Error, SetupOptions, Target, setup};

const PREFIX: &str = "tmp_";

/// The root of the workspace whose tests run: the nearest directory above the package with
/// `migrations/`. Told by cargo or nextest as the test starts, not as it is compiled: an archive of
/// tests may run on another machine.
///
/// # Panics
/// Outside of cargo and nextest, and where there is no such directory.
#[must_use]
pub fn test_root() -> PathBuf {
    let Some(package) = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from) else {
        panic!("CARGO_MANIFEST_DIR is not set: run the tests by `cargo nextest run`");
    };
    let mut above = package.ancestors();
    above
        .find(|it| it.join("migrations").is_dir())
        .unwrap_or_else(|| panic!("no `migrations` directory above {}", package.display()))
        .to_owned()
}

/// A fresh database with a name of its own, dropped at the end of its scope: tests that have one
/// each can run side by side and touch nothing else.
pub struct TempDatabase {
    url: String,
}

impl TempDatabase {
    /// Creates it on the server of `url`, with PGMQ, and with the migrations of a directory.
    ///
    /// # Errors
    /// As [`setup`].
    pub async fn create(url: &str, migrations: Option<&Path>) -> Result<Self, Error> {
        Self::create_with(
            url,
            SetupOptions {
                migrations: migrations.map(Path::to_owned),
                pgmq: true,
                ..SetupOptions::default()
            },
        )
        .await
    }

    /// Names one on the server of `url` without creating it; it is dropped all the same.
    pub fn name_only(url: &str) -> Self {
        // Two seeded hashes: unique enough, without a crate for random numbers.
        let random = RandomState::new().hash_one(std::process::id());
        let name = format!("{PREFIX}{}_{random:016x}", std::process::id());
        Self {
            url: with_database(url, &name),
        }
    }

    /// Creates it with options of the caller's; their `url` is set here.
    ///
    /// # Errors
    /// As [`setup`].
    pub async fn create_with(url: &str, options: SetupOptions) -> Result<Self, Error> {
        let database = Self::name_only(url);
        setup(&SetupOptions {
            url: database.url.clone(),
            ..options
        })
        .await?;
        Ok(database)
    }

    /// The URL to connect to, with its password.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for TempDatabase {
    fn drop(&mut self) {
        let url = self.url.clone();
        // A thread of its own: the caller may be inside a runtime, or unwinding from a panic.
        let dropper = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            if let Ok(runtime) = runtime
                && let Err(error) = runtime.block_on(drop_own(&url))
            {
                eprintln!("warning: {error}");
            }
        });
        dropper.join().ok();
    }
}

/// Drops one of ours, on whatever server it is: its name says that a [`TempDatabase`] made it.
async fn drop_own(url: &str) -> Result<(), Error> {
    let target = Target::parse(url)?;
    if !target.database.starts_with(PREFIX) {
        return Ok(());
    }
    let mut maintenance = target.maintenance().await?;
    target.drop(&mut maintenance).await
}

/// The URL with another database name. The other query parameters stay; `dbname` would win over
/// the path, so it goes.
fn with_database(url: &str, name: &str) -> String {
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let start = base.find("://").map_or(0, |at| at + 3);
    let end = base[start..].find('/').map_or(base.len(), |at| start + at);
    let kept: Vec<&str> = query
        .split('&')
        .filter(|pair| !pair.is_empty() && !pair.starts_with("dbname="))
        .collect();
    let mark = if kept.is_empty() { "" } else { "?" };
    format!("{}/{name}{mark}{}", &base[..end], kept.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_name_is_replaced_and_nothing_else() {
        for (url, expected) in [
            ("postgres://u:p@h:1/app", "postgres://u:p@h:1/x"),
            ("postgres://u:p@h:1", "postgres://u:p@h:1/x"),
            (
                "postgres://u@h/app?sslmode=disable",
                "postgres://u@h/x?sslmode=disable",
            ),
        ] {
            assert_eq!(with_database(url, "x"), expected);
        }
    }
}
