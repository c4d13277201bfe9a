//! The removal of build products.

use std::path::PathBuf;

use crate::generate;
use crate::lab::{self, Lab};
use crate::pair::{Ready, Side};
use crate::platform;

/// A workspace to clean: a member, so that cargo has a project, and some tracked files.
fn workspace(lab: &Lab, name: &str) -> anyhow::Result<PathBuf> {
    let root = lab.fresh(name)?;
    generate::write_workspace(&root, 10, 20)?;
    lab::write(
        &root.join(".config").join("xtask.toml"),
        "[clean.rust]\npaths = [\"target\"]\n\n[clean.python]\n\
         directories = [\"__pycache__\", \".pytest_cache\", \".ruff_cache\"]\nfiles = [\"*.pyc\"]\n",
    )?;
    lab::write(&root.join(".gitignore"), "target/\n__pycache__/\n")?;
    lab::commit_all(&root)?;
    Ok(root)
}

pub(super) fn against_rm(lab: &Lab) -> anyhow::Result<Ready<'_>> {
    if which::which("rm").is_err() {
        return Ok(Ready::NotThere("`rm` is not there".to_owned()));
    }
    let root = workspace(lab, "clean-rm")?;
    let files = if lab.smoke { 600 } else { 200_000 };
    Ok(Ready::Yes(Box::new(move |side| {
        generate::grow(&root.join("target"), generate::target_tree(files))?;
        platform::settle();
        let mut command = match side {
            Side::Ours => lab.xtask_command(&["clean-artifacts", "rust"])?,
            Side::Theirs => {
                let mut command = lab.command("rm");
                command.args(["-rf", "target"]);
                command
            }
        };
        let time = lab.time("clean-rm", command.current_dir(&root))?;
        anyhow::ensure!(!root.join("target").exists(), "`target` is still there");
        Ok(time)
    })))
}

pub(super) fn against_find(lab: &Lab) -> anyhow::Result<Ready<'_>> {
    if which::which("bash").is_err() || which::which("find").is_err() {
        return Ok(Ready::NotThere("bash or find is not there".to_owned()));
    }
    let root = workspace(lab, "clean-find")?;
    let script = lab
        .copy
        .join("benchmarks")
        .join("bash")
        .join("clean-artifacts.sh");
    let (rust, python) = if lab.smoke {
        (450, 150)
    } else {
        (150_000, 50_000)
    };
    generate::grow(&root, generate::python_tree(python))?;
    lab::commit_all(&root)?;
    Ok(Ready::Yes(Box::new(move |side| {
        generate::grow(&root.join("target"), generate::target_tree(rust))?;
        generate::grow(&root, generate::python_tree(python))?;
        platform::settle();
        let mut command = match side {
            Side::Ours => lab.xtask_command(&["clean-artifacts"])?,
            Side::Theirs => {
                let mut command = lab.command("bash");
                command.arg(&script);
                command
            }
        };
        let time = lab.time("clean-find", command.current_dir(&root))?;
        let left = xtask::fsx::files_matching(&root.join("packages"), "**/*.pyc")?.len();
        anyhow::ensure!(
            left == 0 && !root.join("target").exists(),
            "{left} caches are left"
        );
        Ok(time)
    })))
}
