//! The quality checks of all languages, side by side and one after the other.

use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use xtask::error::Fault;

use crate::lab::Lab;
use crate::pair::{Ready, Side};

/// The task files' own words for the two halves of `code-quality`.
const HALVES: [&str; 2] = ["workspace-format-all", "workspace-lint-all"];

pub(super) fn parallel(lab: &Lab) -> anyhow::Result<Ready<'_>> {
    let path = lab.copy.join("cargo-make").join("workspace-config.toml");
    let text = fs::read_to_string(&path)?;
    let halves: Vec<Vec<String>> = HALVES
        .iter()
        .map(|task| lanes(&text, task).ok_or_else(|| Fault::new(format!("no lanes in `{task}`"))))
        .collect::<Result<_, _>>()?;
    // Languages whose tools are there get their dependencies.
    lab.attempt("setup-languages", &mut lab.cargo(&["make", "setup"]))?;
    if lab.smoke {
        return Ok(Ready::NotThere("it has no tiny size".to_owned()));
    }
    Ok(Ready::Yes(Box::new(move |side| {
        edit(lab)?;
        let mut time = Duration::ZERO;
        for lanes in &halves {
            let mut command = lab.xtask_command(&["parallel"])?;
            // A lane whose tools are missing is no time of zero: with this it fails.
            command.env("CI", "true");
            if side == Side::Theirs {
                command.args(["--jobs", "1"]);
            }
            time += lab.time("code-quality", command.args(lanes))?;
        }
        Ok(time)
    })))
}

/// What `args = ["xtask", "parallel", …]` of a task runs.
fn lanes(makefile: &str, task: &str) -> Option<Vec<String>> {
    let document: toml_edit::DocumentMut = makefile.parse().ok()?;
    let args = document.get("tasks")?.get(task)?.get("args")?.as_array()?;
    let words: Vec<String> = args
        .iter()
        .map(|it| it.as_str().map(str::to_owned))
        .collect::<Option<_>>()?;
    match words.split_first_chunk() {
        Some(([xtask, parallel], lanes)) if xtask == "xtask" && parallel == "parallel" => {
            Some(lanes.to_vec())
        }
        _ => None,
    }
}

/// Makes each crate of the copy look edited, so that clippy has work to do.
fn edit(lab: &Lab) -> anyhow::Result<()> {
    for file in xtask::fsx::files_matching(&lab.copy, "*/src/*.rs")? {
        let path = lab.copy.join(&file);
        File::options()
            .append(true)
            .open(&path)
            .and_then(|file| file.set_modified(SystemTime::now()))
            .with_context(|| format!("failed to touch `{file}`"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lanes_are_those_of_the_task() {
        let text = "[tasks.a]\nargs = [\"xtask\", \"parallel\", \"x\", \"y\"]\n\
                    [tasks.b]\nargs = [\"fmt\"]\n";
        assert_eq!(lanes(text, "a").unwrap(), ["x", "y"]);
        assert_eq!(lanes(text, "b"), None);
        assert_eq!(lanes(text, "c"), None);
    }
}
