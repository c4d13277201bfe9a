//! `docs/task-rules.md`, from the table of rules. Pure.

use std::fmt::Write as _;

use super::rules;

/// The page.
#[must_use]
pub(super) fn page() -> String {
    let mut out = String::from(
        "# Rules for task files\n\n\
         <!-- Generated from xtask/src/lint/rules: UPDATE_DOCS=1 cargo nextest run -p xtask rules -->\n\n\
         `cargo xtask tasks check` reads the task files as cargo-make does and reports what would fail,\n\
         mislead or decay. Levels stand in `[lint.rules]` of `.config/xtask.toml`: `off`, `warn`, `deny`;\n\
         `[lint] level` is that of all rules that it does not name. What is meant at one task is said there,\n\
         with a reason:\n\n\
         ```toml\n\
         # xtask: allow(missing-category): it is gone with the next release\n\
         [tasks.old]\n\
         ```\n\n\
         The comment holds for the task that it stands above or in; elsewhere, for its line or the next.\n\
         `--fix` mends what is safe, and keeps comments and layout.\n",
    );
    let mut family = None;
    for rule in rules() {
        if family != Some(rule.family) {
            family = Some(rule.family);
            let title = rule.family.title();
            let (first, rest) = title.split_at(1);
            let _ = write!(out, "\n## {}{rest}\n", first.to_uppercase());
        }
        let _ = write!(
            out,
            "\n### {}\n\n{}. Level: `{}`{}.\n\n- Why: {}.\n- Mend: {}.\n",
            rule.name,
            upper(rule.what),
            rule.level.word(),
            if rule.fixable {
                "; `--fix` mends it"
            } else {
                ""
            },
            rule.why,
            rule.mend,
        );
    }
    out
}

fn upper(words: &str) -> String {
    let mut chars = words.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => String::new(),
    }
}
