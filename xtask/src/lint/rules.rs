//! The table of rules: one file a family.

use super::Rule;

mod bodies;
pub(super) mod comments;
mod conventions;
mod environment;
mod keys;
mod references;
mod scripts;
mod workspace;

/// All rules, by family, in the order of the documentation.
pub(super) static FAMILIES: [&[Rule]; 8] = [
    references::RULES,
    keys::RULES,
    bodies::RULES,
    scripts::RULES,
    environment::RULES,
    conventions::RULES,
    workspace::RULES,
    comments::RULES,
];
