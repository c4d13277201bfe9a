//! `cargo xtask setup-nextest`

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cx::Cx;
use crate::error::Fault;
use crate::exit::Exit;
use crate::fsx;
use crate::hex;
use crate::nextest_config;
use crate::proc;

/// Make sure that nextest has the profiles default, ci (JUnit) and local
///
/// What is missing in .config/nextest.toml is added; your values and comments stay. The result is
/// put before the real nextest.
///
/// Examples:
///   cargo xtask setup-nextest
///   cargo xtask setup-nextest --check
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct SetupNextest {
    /// Write nothing; exit 1 when something is missing or wrong
    #[arg(long)]
    check: bool,
}

impl SetupNextest {
    pub(crate) fn run(self, cx: &Cx) -> anyhow::Result<Exit> {
        let path = cx.root.join(".config").join("nextest.toml");
        let text = fsx::read_optional(&path)?.unwrap_or_default();
        let bad_toml = |error: toml_edit::TomlError| {
            Fault::usage(format!(
                "`{}`: {}",
                path.display(),
                error.to_string().trim()
            ))
        };
        let faults = nextest_config::faults(&text).map_err(bad_toml)?;
        for fault in &faults {
            cx.term.warn(&format!(
                ".config/nextest.toml: {}: {}",
                fault.key, fault.message
            ));
        }
        if !faults.is_empty() {
            return Err(
                Fault::new("`.config/nextest.toml` does not do what it says")
                    .hint("mend the lines above; nothing was written")
                    .into(),
            );
        }
        let completed = nextest_config::complete(&text).map_err(bad_toml)?;
        if self.check && completed.text != text {
            for key in &completed.added {
                cx.term.warn(&format!(".config/nextest.toml lacks `{key}`"));
            }
            cx.term.hint("run `cargo xtask setup-nextest`");
            return Ok(Exit::Failed);
        }
        if completed.text == text {
            validate(cx, &path, &text)?;
            cx.term.status(
                "Checked",
                ".config/nextest.toml has the profiles default, ci and local",
            );
        } else {
            fsx::atomic_write(&path, completed.text.as_bytes(), fsx::Access::Default)?;
            cx.term.status(
                "Wrote",
                &format!(".config/nextest.toml (+ {})", completed.added.join(", ")),
            );
            validate(cx, &path, &completed.text)?;
        }
        Ok(Exit::Done)
    }
}

/// Lets the real nextest read the file. `nextest list` is what reads all of it: `show-config` accepts a
/// bad profile. It gets the workspace's real packages, which filters may name, and an empty list of
/// test programs, so that nothing is built. A text that was found good by this nextest is not asked
/// about again.
fn validate(cx: &Cx, path: &Path, text: &str) -> anyhow::Result<()> {
    let Ok(nextest) = which::which("cargo-nextest") else {
        return Err(
            Fault::new("cargo-nextest is not installed, so the file could not be checked")
                .hint("run `cargo xtask make setup-nextest-profile`, which installs it")
                .into(),
        );
    };
    let identity = format!("{} {:?}\n{text}", nextest.display(), modified(&nextest));
    let digest = hex::encode(&hmac_sha256::Hash::hash(identity.as_bytes()));
    let seal = cx.state_dir().join("nextest.checked");
    if fsx::read_optional(&seal)?.as_deref() == Some(digest.as_str()) {
        return Ok(());
    }
    cx.term
        .detail("asking cargo-nextest whether it reads the file");
    let scratch = cx.state_dir().join("nextest-check");
    let (metadata, binaries) = (scratch.join("metadata.json"), scratch.join("binaries.json"));
    let packages = match metadata_of(cx, &cx.root) {
        Ok(packages) => packages,
        // A workspace without packages, or one that cargo cannot read: its words come with the tests.
        Err(error) => {
            cx.term.detail(&format!("{error:#}"));
            metadata_of(cx, &stub(&scratch)?)?
        }
    };
    fsx::atomic_write(&metadata, packages.as_bytes(), fsx::Access::Default)?;
    fsx::atomic_write(&binaries, NO_BINARIES.as_bytes(), fsx::Access::Default)?;
    for profile in ["default", "ci", "local"] {
        let mut command = Command::new(cx.cargo());
        command
            .args(["nextest", "list", "--color", "never"])
            .args(["--profile", profile])
            .arg("--cargo-metadata")
            .arg(&metadata)
            .arg("--binaries-metadata")
            .arg(&binaries)
            .arg("--config-file")
            .arg(path)
            .current_dir(&scratch);
        proc::capture(&mut command).map_err(|error| {
            Fault::new(format!(
                "nextest does not take `{}`: {error}",
                path.display()
            ))
            .hint("mend the key that nextest names")
        })?;
    }
    fsx::atomic_write(&seal, digest.as_bytes(), fsx::Access::Default)
}

/// What `cargo nextest list --message-format json` says of a workspace in which nothing was built
/// (nextest-metadata, `BinaryListSummary`).
const NO_BINARIES: &str = r#"{
  "rust-build-meta": {
    "target-directory": "", "base-output-directories": [], "non-test-binaries": {}, "linked-paths": []
  },
  "rust-binaries": {}
}"#;

fn metadata_of(cx: &Cx, directory: &Path) -> anyhow::Result<String> {
    let mut command = Command::new(cx.cargo());
    command
        .args(["metadata", "--format-version", "1"])
        .current_dir(directory);
    proc::capture(&mut command)
}

/// A workspace of one empty package.
fn stub(scratch: &Path) -> anyhow::Result<PathBuf> {
    let package = "[package]\nname = \"nextest-check\"\nversion = \"0.0.0\"\nedition = \"2021\"\n[workspace]\n";
    let directory = scratch.join("stub");
    fsx::atomic_write(
        &directory.join("Cargo.toml"),
        package.as_bytes(),
        fsx::Access::Default,
    )?;
    fsx::atomic_write(
        &directory.join("src").join("lib.rs"),
        b"",
        fsx::Access::Default,
    )?;
    Ok(directory)
}

fn modified(path: &Path) -> Option<std::time::SystemTime> {
    std::fs::metadata(path)
        .and_then(|metadata| metadata.modified())
        .ok()
}
