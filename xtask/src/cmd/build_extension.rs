//! `cargo xtask build-extension`

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use crate::config::{self, Extension, ExtensionKind};
use crate::cx::Cx;
use crate::error::Fault;
use crate::exit::Exit;
use crate::fsx;
use crate::proc;
use crate::services::Profile;

/// Build native extensions and put them where their languages load them
///
/// A process that has the old one loaded keeps it: the new one takes its name in one step.
///
/// Examples:
///   cargo xtask build-extension ruby
///   cargo xtask build-extension ruby typescript --release
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct BuildExtension {
    /// Extensions of `.config/xtask.toml`
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// Build for release
    #[arg(long)]
    release: bool,
}

impl BuildExtension {
    pub(crate) fn run(self, cx: &Cx) -> anyhow::Result<Exit> {
        let known = &cx.config()?.extensions;
        let chosen: Vec<&Extension> = self
            .names
            .iter()
            .map(|name| {
                known.get(name).ok_or_else(|| {
                    let message = format!("no extension is called `{name}`");
                    config::unknown_name(message, name, known.keys())
                })
            })
            .collect::<Result<_, Fault>>()?;
        let profile = Profile::of(self.release);
        for extension in chosen {
            proc::step(&mut build(cx, extension, profile))?;
            let from = built(cx, extension, profile);
            let to = cx.root.join(file_name(extension, std::env::consts::OS));
            if place(&from, &to)? {
                let shown = to.strip_prefix(&cx.root).unwrap_or(&to);
                cx.term.status("Built", &shown.display().to_string());
            }
        }
        Ok(Exit::Done)
    }
}

fn build(cx: &Cx, extension: &Extension, profile: Profile) -> Command {
    let mut command = Command::new(cx.cargo());
    command
        .args(["build", "--lib", "--package", &extension.package])
        .current_dir(&cx.root);
    if profile == Profile::Release {
        command.arg("--release");
    }
    if !extension.features.is_empty() {
        command.args(["--features", &extension.features.join(",")]);
    }
    command
}

/// The file that cargo makes of a `cdylib`.
fn built(cx: &Cx, extension: &Extension, profile: Profile) -> PathBuf {
    use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
    let library = &extension.library;
    cx.target_dir()
        .join(profile.directory())
        .join(format!("{DLL_PREFIX}{library}{DLL_SUFFIX}"))
}

/// The destination with the suffix that its language looks for on this system.
fn file_name(extension: &Extension, os: &str) -> PathBuf {
    let suffix = match (extension.kind, os) {
        (ExtensionKind::Node, _) => "node",
        // RbConfig::CONFIG["DLEXT"].
        (ExtensionKind::Ruby, "macos") => "bundle",
        (ExtensionKind::Python, "windows") => "pyd",
        (ExtensionKind::Ruby | ExtensionKind::Python, _) => "so",
    };
    // Not `with_extension`: that would take the end of a name with a dot.
    let mut path = extension.destination.clone().into_os_string();
    path.push(".");
    path.push(suffix);
    path.into()
}

/// Puts the file there if it is not the same already; whether it had to.
fn place(from: &Path, to: &Path) -> anyhow::Result<bool> {
    let new = fs::read(from).with_context(|| format!("failed to read `{}`", from.display()))?;
    if fs::read(to).is_ok_and(|old| old == new) {
        return Ok(false);
    }
    fsx::atomic_write(to, &new, fsx::Access::Default)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_suffix_is_the_languages() {
        let name = |kind, os| {
            let extension = Extension {
                package: String::new(),
                library: String::new(),
                kind,
                destination: "lib/core.v1".into(),
                features: Vec::new(),
            };
            file_name(&extension, os).display().to_string()
        };
        assert_eq!(name(ExtensionKind::Ruby, "linux"), "lib/core.v1.so");
        assert_eq!(name(ExtensionKind::Ruby, "macos"), "lib/core.v1.bundle");
        assert_eq!(name(ExtensionKind::Ruby, "windows"), "lib/core.v1.so");
        assert_eq!(name(ExtensionKind::Python, "windows"), "lib/core.v1.pyd");
        assert_eq!(name(ExtensionKind::Node, "macos"), "lib/core.v1.node");
    }

    #[test]
    fn what_is_the_same_stays_untouched() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("a").join("to"));
        fs::write(&from, "1").unwrap();
        assert!(place(&from, &to).unwrap());
        assert!(!place(&from, &to).unwrap());
        fs::write(&from, "2").unwrap();
        assert!(place(&from, &to).unwrap());
        assert_eq!(fs::read(&to).unwrap(), b"2");
    }
}
