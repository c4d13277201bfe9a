//! `cargo xtask setup`
//!
//! Package managers spend seconds to find out that nothing is to be done. A digest of what an
//! installation depends on (the input files, the commands, the tools' own files) is kept beside what
//! was installed: while it is the same, nothing runs.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::config::{self, Setup as Part};
use crate::cx::Cx;
use crate::error::Fault;
use crate::exit::Exit;
use crate::fsx;
use crate::hex;
use crate::lock;
use crate::proc;
use crate::tools;

/// The note of the last success, in the first output.
const NOTE: &str = ".xtask-setup";

/// Install the dependencies of parts of the workspace, where something changed
///
/// Examples:
///   cargo xtask setup                 # every part
///   cargo xtask setup python
///   cargo xtask setup python --force  # although nothing changed
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Setup {
    /// Parts of `.config/xtask.toml` (default: all)
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Install although nothing changed
    #[arg(long)]
    force: bool,
}

impl Setup {
    pub(crate) fn run(self, cx: &Cx) -> anyhow::Result<Exit> {
        let known = &cx.config()?.setup;
        for name in &self.names {
            if !known.contains_key(name) {
                let message = format!("there is no [setup.{name}]");
                return Err(config::unknown_name(message, name, known.keys()).into());
            }
        }
        for (name, part) in known {
            if self.names.is_empty() || self.names.contains(name) {
                install(cx, name, part, self.force)?;
            }
        }
        Ok(Exit::Done)
    }
}

fn install(cx: &Cx, name: &str, part: &Part, force: bool) -> anyhow::Result<()> {
    let directory = cx.root.join(&part.directory);
    let note = note_path(cx, name, part, &directory);
    let digest = digest(cx, part, &directory)?;
    if !force && is_done(part, &directory, &note, &digest)? {
        cx.term.detail(&format!("{name}: nothing changed"));
        return Ok(());
    }
    tools::require(cx, &part.tools)?;
    let locks = cx.state_dir().join("setup");
    let lock = lock::take(
        cx,
        &locks.join(format!("{name}.lock")),
        &format!("sets {name} up"),
    )?;
    // Another run may have done it while we waited.
    if !force && is_done(part, &directory, &note, &digest)? {
        return Ok(());
    }
    // An installation that breaks off must not pass for the one before it.
    match std::fs::remove_file(&note) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("failed to remove `{}`", note.display()));
        }
        _ => {}
    }
    for words in &part.commands {
        cx.term
            .status("Setting up", &format!("{name}: {}", words.join(" ")));
        let mut command = proc::command(cx, words, &directory)?;
        proc::step(lock.mark(&mut command))?;
    }
    if let Some(missing) = missing_output(part, &directory) {
        return Err(Fault::new(format!(
            "[setup.{name}] ended well, but did not make `{}`",
            missing.display()
        ))
        .hint("mend its `commands` or `outputs` in `.config/xtask.toml`")
        .into());
    }
    // The inputs as they were at the start: what changed meanwhile counts next time.
    fsx::atomic_write(
        &note_path(cx, name, part, &directory),
        digest.as_bytes(),
        fsx::Access::Default,
    )
}

/// In the first output if that is a directory, so that both go together; else with our state.
fn note_path(cx: &Cx, name: &str, part: &Part, directory: &Path) -> PathBuf {
    part.outputs
        .first()
        .map(|output| directory.join(output))
        .filter(|output| output.is_dir())
        .map_or_else(
            || cx.state_dir().join("setup").join(name),
            |output| output.join(NOTE),
        )
}

fn missing_output<'a>(part: &'a Part, directory: &Path) -> Option<&'a PathBuf> {
    part.outputs
        .iter()
        .find(|output| !directory.join(output).exists())
}

fn is_done(part: &Part, directory: &Path, note: &Path, digest: &str) -> anyhow::Result<bool> {
    Ok(missing_output(part, directory).is_none()
        && fsx::read_optional(note)?.is_some_and(|last| last == digest))
}

/// All that decides what would be installed. A tool stands for its version by its file: asking each
/// one would take longer than everything else here.
fn digest(cx: &Cx, part: &Part, directory: &Path) -> anyhow::Result<String> {
    let mut facts = Facts::default();
    for words in &part.commands {
        facts.add("command", words.join("\0").as_bytes());
    }
    for input in &part.inputs {
        let path = directory.join(input);
        let content =
            std::fs::read(&path).with_context(|| format!("failed to read `{}`", path.display()))?;
        facts.add(&input.display().to_string(), &content);
    }
    let path = std::env::var_os("PATH");
    for (name, tool) in part.tools.iter().filter_map(|name| {
        let tool = cx.config().ok()?.tools.get(name)?;
        Some((name, tool))
    }) {
        let file = tools::find(&cx.root, name, tool, path.as_deref())
            .and_then(|path| path.canonicalize().ok());
        let stamp = file.and_then(|file| {
            let metadata = file.metadata().ok()?;
            let modified = metadata
                .modified()
                .ok()?
                .duration_since(std::time::UNIX_EPOCH)
                .ok()?;
            Some(format!(
                "{} {} {}",
                file.display(),
                metadata.len(),
                modified.as_nanos()
            ))
        });
        facts.add(name, stamp.unwrap_or_default().as_bytes());
    }
    Ok(facts.digest())
}

/// A digest over named values; neither a name nor a value can pass for another.
#[derive(Default)]
struct Facts(hmac_sha256::Hash);

impl Facts {
    fn add(&mut self, name: &str, value: &[u8]) {
        for part in [name.as_bytes(), value] {
            self.0.update((part.len() as u64).to_le_bytes());
            self.0.update(part);
        }
    }

    fn digest(self) -> String {
        hex::encode(&self.0.finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_tells_names_from_values() {
        let of = |pairs: &[(&str, &str)]| {
            let mut facts = Facts::default();
            for (name, value) in pairs {
                facts.add(name, value.as_bytes());
            }
            facts.digest()
        };
        assert_eq!(of(&[("a", "b")]), of(&[("a", "b")]));
        assert_ne!(of(&[("a", "bc")]), of(&[("ab", "c")]));
        assert_ne!(of(&[("a", "b"), ("c", "")]), of(&[("a", "b")]));
        assert_ne!(of(&[("a", ""), ("b", "")]), of(&[("b", ""), ("a", "")]));
    }
}
