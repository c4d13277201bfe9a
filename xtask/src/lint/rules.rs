//! The table of rules: one file a family; the family of bodies has two.

use super::Rule;

mod bodies;
mod commands;
pub(super) mod comments;
mod conventions;
mod environment;
mod keys;
mod references;
mod scripts;
mod workspace;

/// All rules, by family, in the order of the documentation.
pub(super) static FAMILIES: [&[Rule]; 9] = [
    references::RULES,
    keys::RULES,
    bodies::RULES,
    commands::RULES,
    scripts::RULES,
    environment::RULES,
    conventions::RULES,
    workspace::RULES,
    comments::RULES,
];
