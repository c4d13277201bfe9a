//! Trees by hand: one for each piece of cargo-make's semantics.

use xtask::makefile::ProblemKind;

use super::{Expected, Tree};

mod bodies;
mod core;
mod extends;
mod faults;
mod forms;
mod sections;

/// `@fast` in a file: the `[config]` with which cargo-make starts quickly, open for more keys.
const FAST: &str = "[config]
skip_core_tasks = true
skip_git_env_info = true
skip_rust_env_info = true
skip_crate_env_info = true";

/// Without `skip_core_tasks`.
const QUICK: &str = "[config]
skip_git_env_info = true
skip_rust_env_info = true
skip_crate_env_info = true";

fn tree(name: &str, expected: Expected, files: &str) -> Tree {
    Tree {
        name: name.to_owned(),
        files: files.replace("@fast", FAST).replace("@quick", QUICK),
        directory: "",
        under: None,
        expected,
    }
}

fn same(name: &str, files: &str) -> Tree {
    tree(name, Expected::Same, files)
}

/// With a file that cargo-make is told to lay underneath.
fn under(name: &str, directory: &'static str, file: &'static str, files: &str) -> Tree {
    Tree {
        under: Some(file),
        ..within(name, directory, files)
    }
}

fn within(name: &str, directory: &'static str, files: &str) -> Tree {
    Tree {
        directory,
        ..same(name, files)
    }
}

fn refused(name: &str, kind: ProblemKind, files: &str) -> Tree {
    tree(name, Expected::Refused(kind), files)
}

fn no_plan(name: &str, task: &'static str, files: &str) -> Tree {
    tree(name, Expected::NoPlan(task), files)
}

pub(super) fn trees() -> Vec<Tree> {
    [
        extends::trees(),
        sections::trees(),
        bodies::trees(),
        core::trees(),
        forms::trees(),
        faults::trees(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
