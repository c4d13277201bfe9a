//! What a start costs: from nothing, and of cargo-make itself.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use crate::lab::{self, Lab};
use crate::pair::{Ready, Side};

const TRACEL_XTASK: &str = "5.3.0";

/// A directory that ends with the value. Outside of the workspace, whose `.cargo/config.toml` would hold
/// for what lies in it.
struct Outside(PathBuf);

impl Drop for Outside {
    fn drop(&mut self) {
        let _ = lab::remove(&self.0);
    }
}

pub(super) fn cold_help(lab: &Lab) -> anyhow::Result<Ready<'_>> {
    let peer = Outside(env::temp_dir().join(format!("xtask-bench-{}", std::process::id())));
    let file = |path: &[&str], text: &str| {
        lab::write(
            &path.iter().fold(peer.0.clone(), |dir, part| dir.join(part)),
            text,
        )
    };
    file(
        &["Cargo.toml"],
        "[workspace]\nmembers = [\"xtask\"]\nresolver = \"3\"\n",
    )?;
    file(
        &[".cargo", "config.toml"],
        "[alias]\nxtask = \"run --quiet --package xtask --\"\n",
    )?;
    file(
        &["xtask", "Cargo.toml"],
        &format!(
            "[package]\nname = \"xtask\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[dependencies]\n\
             tracel-xtask = {{ version = \"={TRACEL_XTASK}\", \
             features = [\"build\", \"check\", \"fix\", \"test\"] }}\n\
             # Its macro names this crate.\nstrum = {{ version = \"0.27\", features = [\"derive\"] }}\n"
        ),
    )?;
    file(
        &["xtask", "src", "main.rs"],
        "use tracel_xtask::prelude::*;\n\n#[macros::base_commands]\npub enum Command {}\n\n\
         fn main() -> anyhow::Result<()> {\n    \
         let (args, environment) = init_xtask::<Command>(parse_args::<Command>()?)?;\n    \
         dispatch_base_commands(args, environment)\n}\n",
    )?;
    lab.say("Fetching", &format!("tracel-xtask {TRACEL_XTASK}"));
    lab.time("tracel-fetch", lab.cargo(&["fetch"]).current_dir(&peer.0))?;
    lab.time("fetch", &mut lab.cargo(&["fetch"]))?;
    Ok(Ready::Yes(Box::new(move |side| {
        let target = lab.fresh("cold")?;
        let mut command = lab.cargo(&["xtask", "--help"]);
        command
            .env("CARGO_TARGET_DIR", &target)
            .env("CARGO_NET_OFFLINE", "true");
        if side == Side::Theirs {
            command.current_dir(&peer.0);
        }
        let time = lab.time("cold-help", &mut command)?;
        lab::remove(&target)?;
        Ok(time)
    })))
}

/// Installs the launcher for the harness alone: what a command needs to have it.
pub(super) fn launcher(lab: &Lab) -> anyhow::Result<[(&'static str, OsString); 2]> {
    let bin = lab.home.join("launcher");
    let mut install = lab.xtask_command(&["install-launcher", "--dir"])?;
    lab.time("launcher", install.arg(&bin))?;
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths(std::iter::once(bin).chain(env::split_paths(&path)))?;
    Ok([("PATH", path), ("CARGO_ALIAS_XTASK", "xt".into())])
}

/// `cargo xtask` with the launcher and without.
pub(super) fn launch(lab: &Lab) -> anyhow::Result<Ready<'_>> {
    let launcher = launcher(lab)?;
    Ok(Ready::Yes(Box::new(move |side| {
        let mut command = lab.cargo(&["xtask", "--version"]);
        if side == Side::Ours {
            command.envs(launcher.clone());
        }
        lab.time("launch", &mut command)
    })))
}

/// The program as the task files start it, and `cargo xtask`.
pub(super) fn launch_task(lab: &Lab) -> anyhow::Result<Ready<'_>> {
    lab.xtask()?;
    Ok(Ready::Yes(Box::new(|side| {
        let mut command = match side {
            Side::Ours => lab.xtask_command(&["xtask", "--version"])?,
            Side::Theirs => lab.cargo(&["xtask", "--version"]),
        };
        lab.time("launch-task", &mut command)
    })))
}

/// A task file with the settings that the specification's root has, and none of ours.
pub(super) const PLAIN_MAKEFILE: &str = "plain-makefile.toml";

pub(super) fn write_plain_makefile(lab: &Lab) -> anyhow::Result<()> {
    lab::write(
        &lab.copy.join(PLAIN_MAKEFILE),
        "[config]\ndefault_to_workspace = false\nskip_core_tasks = true\n\n\
         [tasks.check-services]\ndescription = \"Check required services are running\"\n\
         script = { file = \"benchmarks/bash/check-services.sh\" }\n",
    )
}

pub(super) fn make_noop(lab: &Lab) -> anyhow::Result<Ready<'_>> {
    write_plain_makefile(lab)?;
    Ok(Ready::Yes(Box::new(|side| {
        let mut command = lab.cargo(&["make"]);
        if side == Side::Theirs {
            command.args(["--makefile", PLAIN_MAKEFILE]);
        }
        lab.time("make-noop", command.arg("empty"))
    })))
}
