//! The compiler for other systems, and what it makes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context as _;

pub(crate) const WINDOWS: &str = "x86_64-pc-windows-gnu";
pub(crate) const MACOS: &str = "aarch64-apple-darwin";

/// A file that has to be there, and Debian's package that brings it. The compiler is the distribution's
/// newest: it has the sources of the standard library, with what they depend on, at its sysroot.
pub(crate) const PACKAGES: [(&str, &str); 7] = [
    ("/usr/bin/rustc", "rustc-web"),
    ("/usr/bin/cargo", "cargo-web"),
    ("/usr/bin/cargo-clippy", "rust-web-clippy"),
    (
        "/usr/lib/rustlib/src/rust/library/Cargo.lock",
        "rust-web-src",
    ),
    (GCC, "gcc-mingw-w64-x86-64-posix"),
    ("/usr/bin/wine", "wine"),
    ("/usr/lib/wine/wine64", "wine64"),
];
const GCC: &str = "/usr/bin/x86_64-w64-mingw32-gcc-posix";

/// Makes sure that all of it is there.
pub(crate) fn ensure(yes: bool) -> anyhow::Result<()> {
    let missing: Vec<&str> = PACKAGES
        .iter()
        .filter(|(file, _)| !Path::new(file).exists())
        .map(|(_, package)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    if !yes {
        anyhow::bail!(
            "missing: {list}\nhint: `apt-get install --no-install-recommends {list}`, or `--yes` to have that done"
        );
    }
    let apt = |args: &[&str]| {
        let mut command = Command::new("apt-get");
        command.args(args).env("DEBIAN_FRONTEND", "noninteractive");
        succeed(command.stdin(Stdio::null()).stdout(std::io::stderr()))
    };
    apt(&["update"])?;
    let mut install = vec!["install", "--yes", "--no-install-recommends"];
    install.extend(missing);
    apt(&install)
}

/// Runs a command to its end, which has to be a good one.
pub(crate) fn succeed(command: &mut Command) -> anyhow::Result<()> {
    let status = command
        .status()
        .with_context(|| format!("failed to start {:?}", command.get_program()))?;
    anyhow::ensure!(status.success(), "{command:?} ended with {status}");
    Ok(())
}

/// The compiler, with directories of its own.
pub(crate) struct Cross {
    root: PathBuf,
    /// `target/cross`.
    pub(crate) home: PathBuf,
}

/// A compiled test program.
#[derive(Clone, Debug)]
pub(crate) struct Binary {
    pub(crate) path: PathBuf,
    /// `xtask`, or `it`.
    pub(crate) target: String,
}

impl Cross {
    pub(crate) fn new(root: &Path) -> anyhow::Result<Cross> {
        let target = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| root.join("target"), |it| root.join(it));
        let home = target.join("cross");
        fs::create_dir_all(&home).with_context(|| format!("failed to make {}", home.display()))?;
        Ok(Cross {
            root: root.to_path_buf(),
            home,
        })
    }

    /// Debian's cargo, whatever else is called so on PATH: the sources of `std` belong to its compiler.
    fn cargo(&self, args: &[&str]) -> Command {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let paths = std::iter::once(PathBuf::from("/usr/bin")).chain(std::env::split_paths(&path));
        let mut command = Command::new("/usr/bin/cargo");
        for (name, _) in std::env::vars_os() {
            // What the cargo that runs us has set is about another compiler and another target.
            let name_text = name.to_string_lossy();
            let of_cargo = ["CARGO", "RUST", "CLIPPY"]
                .iter()
                .any(|it| name_text.starts_with(it));
            if of_cargo {
                command.env_remove(name);
            }
        }
        command
            .args(args)
            .current_dir(&self.root)
            .env("PATH", std::env::join_paths(paths).unwrap_or(path))
            .env("RUSTC", "/usr/bin/rustc")
            // `-Zbuild-std` is asked of a compiler that is no nightly one.
            .env("RUSTC_BOOTSTRAP", "1")
            .env("CARGO_HOME", self.home.join("cargo-home"))
            .env("CARGO_TARGET_DIR", self.home.join("target"))
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .env("CARGO_INCREMENTAL", "0")
            .stdin(Stdio::null());
        command
    }

    /// Lints xtask and its tests for a target; whether nothing was found.
    pub(crate) fn clippy(&self, target: &str) -> anyhow::Result<bool> {
        let mut command = self.cargo(&[
            "clippy",
            "--locked",
            "--quiet",
            "-Zbuild-std=std,panic_unwind,test",
            "--target",
            target,
            "--package",
            "xtask",
            "--package",
            "xtask-win",
            "--all-targets",
            "--all-features",
            "--",
            "-D",
            "warnings",
        ]);
        Ok(command
            .status()
            .context("failed to start cargo clippy")?
            .success())
    }

    /// Compiles the tests of xtask, and what they start, for Windows.
    pub(crate) fn build_tests(&self) -> anyhow::Result<Vec<Binary>> {
        let command = self.cargo(&[
            "test",
            "--locked",
            "--quiet",
            "-Zbuild-std=std,panic_unwind,test",
            "--target",
            WINDOWS,
            "--package",
            "xtask",
            "--all-features",
            "--no-run",
            "--message-format=json",
        ]);
        executables(command)
    }

    /// The names of the tests that this machine's own compiler makes.
    pub(crate) fn list_here(&self) -> anyhow::Result<Vec<String>> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.current_dir(&self.root).stdin(Stdio::null()).args([
            "test",
            "--quiet",
            "--package",
            "xtask",
            "--all-features",
            "--lib",
            "--tests",
            "--no-run",
            "--message-format=json",
        ]);
        let mut names = Vec::new();
        for binary in executables(command)? {
            let mut list = Command::new(&binary.path);
            let output = list.args(["--list", "--format", "terse"]).output()?;
            anyhow::ensure!(
                output.status.success(),
                "{list:?} ended with {}",
                output.status
            );
            names.extend(binary.names(&output.stdout));
        }
        Ok(names)
    }

    /// The directory of compiled programs.
    pub(crate) fn programs(&self) -> PathBuf {
        self.home.join("target").join(WINDOWS).join("debug")
    }

    /// Wine 8 has no `bcryptprimitives.dll`, which `std` takes its random numbers from. This is one with
    /// its one function, over what that Wine has.
    pub(crate) fn random_numbers(&self, into: &Path) -> anyhow::Result<()> {
        let source = self.home.join("prng.c");
        fs::write(&source, PRNG).context("failed to write prng.c")?;
        succeed(
            Command::new(GCC)
                .args(["-shared", "-o"])
                .arg(into)
                .arg(&source)
                .arg("-ladvapi32"),
        )
    }
}

impl Binary {
    /// The tests in what `--list --format terse` has printed: those of the library as they are, those of
    /// `tests/it` below `it::`.
    pub(crate) fn names(&self, list: &[u8]) -> Vec<String> {
        let text = String::from_utf8_lossy(list);
        let names = text
            .lines()
            .filter_map(|line| line.trim_end().strip_suffix(": test"));
        names.map(|name| self.full(name)).collect()
    }

    fn full(&self, name: &str) -> String {
        match self.target.as_str() {
            "xtask" => name.to_owned(),
            other => format!("{other}::{name}"),
        }
    }

    /// The name by which the program itself knows a test.
    pub(crate) fn own<'a>(&self, name: &'a str) -> &'a str {
        name.strip_prefix(&format!("{}::", self.target))
            .unwrap_or(name)
    }
}

/// The test programs that a `cargo test --no-run --message-format=json` has made.
fn executables(mut command: Command) -> anyhow::Result<Vec<Binary>> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .context("failed to start cargo")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut found = Vec::new();
    for line in text.lines() {
        let Ok(message) = serde_json::from_str::<serde_json::Value>(line) else {
            continue;
        };
        if let Some(error) = message["message"]["rendered"].as_str()
            && message["message"]["level"] == "error"
        {
            eprint!("{error}");
        }
        let kinds = &message["target"]["kind"];
        let is_test =
            message["profile"]["test"] == true && (kinds[0] == "lib" || kinds[0] == "test");
        if let (true, Some(path)) = (is_test, message["executable"].as_str()) {
            found.push(Binary {
                path: path.into(),
                target: message["target"]["name"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned(),
            });
        }
    }
    anyhow::ensure!(output.status.success(), "the tests do not compile");
    anyhow::ensure!(!found.is_empty(), "cargo has made no test program");
    Ok(found)
}

const PRNG: &str = r"
#include <windows.h>
BOOLEAN NTAPI SystemFunction036(PVOID, ULONG);
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE p, SIZE_T n) {
    while (n) {
        ULONG c = n > 0x40000000 ? 0x40000000 : (ULONG)n;
        if (!SystemFunction036(p, c)) return FALSE;
        p += c;
        n -= c;
    }
    return TRUE;
}
";
