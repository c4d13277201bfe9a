//! Names of tasks: actions, targets, and where texts name tasks. Pure.

use std::ops::Range;

use crate::config::lint::Lint;
use crate::glob;
use crate::makefile::WITH_VALUE;

/// The action that a name begins with: the longest of `actions` that is the name or is followed by `-`.
#[must_use]
pub fn action<'a>(lint: &'a Lint, name: &str) -> Option<&'a str> {
    lint.actions
        .iter()
        .filter(|action| {
            name.strip_prefix(action.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        })
        .max_by_key(|action| action.len())
        .map(String::as_str)
}

/// `TARGET-ACTION` turned round: `python-lint` to `lint-python`. None where the name begins with an
/// action, or does not end with one.
#[must_use]
pub fn turned(lint: &Lint, name: &str) -> Option<String> {
    if action(lint, name).is_some() {
        return None;
    }
    lint.actions
        .iter()
        .filter_map(|action| {
            let target = name.strip_suffix(action.as_str())?.strip_suffix('-')?;
            (!target.is_empty()).then_some((action, target))
        })
        .max_by_key(|(action, _)| action.len())
        .map(|(action, target)| format!("{action}-{target}"))
}

/// Whether a name says that the task is there to be extended.
#[must_use]
pub fn is_base(lint: &Lint, name: &str) -> bool {
    any(&lint.bases, name)
}

/// Whether one of the patterns matches.
#[must_use]
pub fn any(patterns: &[String], name: &str) -> bool {
    patterns.iter().any(|pattern| glob::matches(pattern, name))
}

/// A task that a document names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mention {
    /// The task.
    pub name: String,
    /// Where, in bytes.
    pub span: Range<usize>,
}

/// The tasks that a text tells people to call: words after `cargo make`, `cargo xtask make` and
/// `cargo xtask parallel`. In Markdown only what stands in code.
#[must_use]
pub fn mentions(text: &str, markdown: bool) -> Vec<Mention> {
    let mut found = Vec::new();
    if !text.contains("cargo make") && !text.contains("cargo xtask") {
        return found;
    }
    let mut fenced = false;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let start = at;
        at += line.len();
        let trimmed = line.trim_start();
        if markdown {
            if trimmed.starts_with("```") || trimmed.starts_with("~~~") {
                fenced = !fenced;
                continue;
            }
            if !fenced {
                for code in spans_of_code(line) {
                    commands(&line[code.clone()], start + code.start, &mut found);
                }
                continue;
            }
        }
        if !trimmed.starts_with('#') {
            commands(line, start, &mut found);
        }
    }
    found
}

/// What stands between backticks.
fn spans_of_code(line: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut open: Option<(usize, usize)> = None;
    let bytes = line.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] != b'`' {
            at += 1;
            continue;
        }
        let start = at;
        while at < bytes.len() && bytes[at] == b'`' {
            at += 1;
        }
        let ticks = at - start;
        match open {
            Some((many, from)) if many == ticks => {
                found.push(from..start);
                open = None;
            }
            Some(_) => {}
            None => open = Some((ticks, at)),
        }
    }
    found
}

/// How the commands begin that take tasks, and whether they take several.
const COMMANDS: [(&str, bool); 4] = [
    ("cargo xtask make ", true),
    ("cargo xtask parallel ", true),
    ("cargo make ", false),
    ("cargo-make make ", false),
];

fn commands(code: &str, start: usize, found: &mut Vec<Mention>) {
    for (words, several) in COMMANDS {
        for (at, _) in code.match_indices(words) {
            let before = code[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '-' || c == '_') {
                continue;
            }
            tasks(code, at + words.len(), start, several, found);
        }
    }
}

/// The tasks of one command line, from `at` on.
fn tasks(code: &str, mut at: usize, start: usize, several: bool, found: &mut Vec<Mention>) {
    let mut value = false;
    loop {
        let rest = &code[at..];
        let blank = rest.len() - rest.trim_start_matches([' ', '\t']).len();
        at += blank;
        let rest = &code[at..];
        let word = rest
            .split(|c: char| c.is_whitespace() || "`|;&)<>\"',".contains(c))
            .next()
            .unwrap_or_default();
        let ended = rest[word.len()..].chars().next();
        if word.is_empty() || word == "--" || word.starts_with('#') {
            return;
        }
        let skip = value;
        value = false;
        if skip {
        } else if word.starts_with('-') {
            value = WITH_VALUE.contains(&word);
        } else {
            // `TASK`, `$TASK`, `<task>`, `test-*`, a sentence's end: no name of a task.
            let bare = word.trim_end_matches(['.', ':', '!', '?', '…']);
            let plain = bare.starts_with(|c: char| c.is_ascii_lowercase())
                && bare
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_:.".contains(c));
            if !plain {
                return;
            }
            found.push(Mention {
                name: bare.to_owned(),
                span: start + at..start + at + bare.len(),
            });
            if !several || bare.len() != word.len() {
                return;
            }
        }
        at += word.len();
        if !matches!(ended, Some(' ' | '\t')) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_action_counts() {
        let lint = Lint::default();
        assert_eq!(action(&lint, "build-release-python"), Some("build-release"));
        assert_eq!(action(&lint, "build"), Some("build"));
        assert_eq!(action(&lint, "builder"), None);
        assert_eq!(
            turned(&lint, "python-lint-fix").as_deref(),
            Some("lint-fix-python")
        );
        assert_eq!(turned(&lint, "lint-python"), None);
        assert_eq!(turned(&lint, "rust-doctests"), None);
    }

    #[test]
    fn documents_name_tasks_in_code() {
        let names = |text: &str, markdown| -> Vec<String> {
            mentions(text, markdown)
                .into_iter()
                .map(|it| it.name)
                .collect()
        };
        for (text, expected) in [
            ("`cargo make build`", &["build"][..]),
            (
                "`cargo xtask make --yes setup test-all`",
                &["setup", "test-all"],
            ),
            ("cargo make is slow", &[]),
            (
                "`cargo make TASK`, `cargo make <task>`, `cargo make test-*`",
                &[],
            ),
            ("`cargo make test-crate tasker-shared`", &["test-crate"]),
            (
                "```sh\ncargo make lint   # and more\n# cargo make gone\n```\n",
                &["lint"],
            ),
            ("`cargo make --profile ci test`", &["test"]),
            ("`cargo xtask parallel --jobs 1 a b -- c`", &["a", "b"]),
            ("`cargo xtask make a | tee`", &["a"]),
            ("`cargo make setup`, `cargo make x.`", &["setup", "x"]),
            ("`mycargo make x`", &[]),
        ] {
            assert_eq!(names(text, true), expected, "{text}");
        }
        assert_eq!(
            names(
                "  - run: cargo make ci-flow\n  # cargo make x\n  - run: cargo make ${{ x }}",
                false
            ),
            ["ci-flow"]
        );
    }

    proptest::proptest! {
        #[test]
        fn every_text_is_read(text in "(cargo make |cargo xtask make |`|```\n|a|--|-p |\\.|é|\n| |#){0,30}") {
            for markdown in [false, true] {
                for it in mentions(&text, markdown) {
                    proptest::prop_assert_eq!(&text[it.span], it.name.as_str());
                }
            }
        }
    }
}
