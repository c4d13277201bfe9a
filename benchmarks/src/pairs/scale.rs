//! How commands that read the whole workspace grow with it: ten times the members, how many times as long?

use xtask::error::Fault;

use crate::child;
use crate::generate;
use crate::lab::{self, Lab};
use crate::pair::{Ready, Side};

const TASKS: usize = 20;

pub(super) fn tasks_check_100(lab: &Lab) -> anyhow::Result<Ready<'_>> {
    growth(lab, &["tasks", "check"], 100)
}

pub(super) fn tasks_check_1000(lab: &Lab) -> anyhow::Result<Ready<'_>> {
    growth(lab, &["tasks", "check"], 1000)
}

pub(super) fn ci_scope_100(lab: &Lab) -> anyhow::Result<Ready<'_>> {
    growth(
        lab,
        &["ci", "scope", "--base", "HEAD~1", "--head", "HEAD"],
        100,
    )
}

pub(super) fn ci_scope_1000(lab: &Lab) -> anyhow::Result<Ready<'_>> {
    growth(
        lab,
        &["ci", "scope", "--base", "HEAD~1", "--head", "HEAD"],
        1000,
    )
}

/// A command on a workspace of so many members, against one of a tenth of them.
fn growth<'a>(
    lab: &'a Lab,
    args: &'static [&'static str],
    members: usize,
) -> anyhow::Result<Ready<'a>> {
    let name = args[..2].join("-");
    let program = lab.released()?;
    let mut help = lab.command(program);
    if !lab.attempt(&name, help.args(&args[..2]).arg("--help"))? {
        return Ok(Ready::NotThere(format!(
            "`{}` is not there yet",
            args[..2].join(" ")
        )));
    }
    let sizes = if lab.smoke {
        [4, 2]
    } else {
        [members, members / 10]
    };
    let mut roots = Vec::new();
    for size in sizes {
        let root = lab.home.join("generated").join(size.to_string());
        if !root.join("written").is_file() {
            lab::remove(&root)?;
            lab.say("Generating", &format!("a workspace of {size} members"));
            generate::write_workspace(&root, size, TASKS)?;
            // A change for `ci scope` to look at.
            lab::write(&root.join("crates/member-0/src/lib.rs"), "//! Changed.\n")?;
            let mut lock = lab.cargo(&["generate-lockfile", "--offline", "--quiet"]);
            lab.time("generate-lockfile", lock.current_dir(&root))?;
            lab::commit_all(&root)?;
            lab::write(&root.join("written"), "")?;
        }
        roots.push(root);
    }
    Ok(Ready::Yes(Box::new(move |side| {
        let mut command = lab.command(program);
        command.args(args);
        let log = lab.log(&name);
        let at = match side {
            Side::Ours => &roots[0],
            Side::Theirs => &roots[1],
        };
        let (status, time) = child::timed_any(command.current_dir(at), &log)?;
        // 1 is a finding, which is an answer, too.
        match status.code() {
            Some(0 | 1) => Ok(time),
            _ => Err(Fault::new(format!(
                "`{}` failed: see `{}`",
                args.join(" "),
                log.display()
            ))
            .into()),
        }
    })))
}
