//! `cargo xtask install-launcher`

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use serde::Serialize;

use crate::cx::Cx;
use crate::error::Fault;
use crate::exit::Exit;
use crate::{install, launch};

/// Install `cargo xt`: `cargo xtask` without cargo's own start, in every workspace
///
/// It lies beside the other programs that cargo has installed. It runs what cargo has built as long as
/// nothing has changed since, and asks cargo otherwise (docs/launching.md).
///
/// Examples:
///   cargo xtask install-launcher
///   cargo xt check-services
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct InstallLauncher {
    /// The directory, instead of cargo's own for programs
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// What `--format json` shows.
#[derive(Debug, Serialize)]
struct Report {
    path: String,
    changed: bool,
}

impl InstallLauncher {
    pub(crate) fn run(self, cx: &Cx) -> anyhow::Result<Exit> {
        let directory = match &self.dir {
            Some(dir) => cx.cwd.join(dir),
            None => install::program_dir(cx).ok_or_else(|| {
                Fault::new("there is no home directory").hint("name a directory with --dir")
            })?,
        };
        let own = std::env::current_exe().context("failed to find this program")?;
        let name = format!("{}{}", launch::PROGRAM, std::env::consts::EXE_SUFFIX);
        let target = directory.join(name);
        let changed = fs::read(&own)? != fs::read(&target).unwrap_or_default();
        if changed {
            install::program(&own, &target)?;
        }
        let path = target.display().to_string();
        if cx.term.json() {
            cx.term.json_data(&Report { path, changed })?;
        } else {
            let verb = if changed { "installed" } else { "up to date" };
            cx.term.line(&format!("{path}: {verb}"))?;
        }
        Ok(Exit::Done)
    }
}
