//! `# xtask: allow(rule-name): reason`: a finding that is meant, said where it is. Pure.
//!
//! The comment stands above a task (or anywhere in it) and holds for the whole task; above any other
//! line, or at its end, it holds for that line. In Markdown it is `<!-- xtask: allow(…): reason -->`.

use std::ops::Range;

use crate::makefile::Source;

/// A comment that allows something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Allow {
    /// The rules that it names, with where each name stands.
    pub(super) rules: Vec<(String, Range<usize>)>,
    /// Why; empty where it says none.
    pub(super) reason: String,
    /// The comment.
    pub(super) span: Range<usize>,
    /// The bytes in which a finding has to begin.
    pub(super) scope: Range<usize>,
}

const WORDS: &str = "xtask: allow(";

/// The comments of a TOML file that allow something. `tasks`: the bytes of each task, from its header
/// or key to the end of its last value.
#[must_use]
pub(super) fn of_toml(source: &Source, tasks: &[Range<usize>]) -> Vec<Allow> {
    if !source.text.contains(WORDS) {
        return Vec::new();
    }
    comments(&source.text)
        .into_iter()
        .filter_map(|span| {
            let text = &source.text[span.clone()];
            let body = text.trim_start_matches('#').trim_start();
            let rest = body.strip_prefix(WORDS)?;
            let start = span.end - rest.len();
            let scope = scope(source, &span, tasks);
            Some(parse(rest, start, span.clone(), scope))
        })
        .collect()
}

/// The comments of a Markdown or YAML file that allow something: for their line and the next, in Markdown
/// also for the block of code below.
#[must_use]
pub(super) fn of_text(source: &Source) -> Vec<Allow> {
    let mut found = Vec::new();
    for (at, _) in source.text.match_indices(WORDS) {
        let line = source.line_at(at);
        let range = source.line_start(line)..source.line_start(line + 1);
        let before = &source.text[range.start..at];
        let markdown = source.shown.ends_with(".md");
        let sign = if markdown { "<!--" } else { "#" };
        // What an example shows is none.
        let Some(open) = before.trim_end().strip_suffix(sign).map(str::len) else {
            continue;
        };
        let rest = source.text[at + WORDS.len()..range.end].trim_end();
        let rest = rest.split("-->").next().unwrap_or_default();
        let start = range.start + open;
        let end = at + WORDS.len() + rest.len();
        let scope = range.start..if markdown {
            block_end(source, line + 1)
        } else {
            source.line_start(line + 2)
        };
        found.push(parse(rest, at + WORDS.len(), start..end, scope));
    }
    found
}

/// Where what stands below a comment in Markdown ends: a block of code as a whole, else a line. Comments
/// above it belong together.
fn block_end(source: &Source, mut line: usize) -> usize {
    let starts = |line: usize, sign: &str| text_of(source, line).trim_start().starts_with(sign);
    while starts(line, "<!--") {
        line += 1;
    }
    if starts(line, "```") {
        line += 1;
        while !starts(line, "```") && source.line_start(line) < source.text.len() {
            line += 1;
        }
    }
    source.line_start(line + 1)
}

/// `rest`: what follows `allow(`; `start`: where it begins.
fn parse(rest: &str, start: usize, span: Range<usize>, scope: Range<usize>) -> Allow {
    let (names, reason) = rest.split_once(')').unwrap_or((rest, ""));
    let mut rules = Vec::new();
    let mut at = start;
    for name in names.split(',') {
        let trimmed = name.trim();
        let from = at + (name.len() - name.trim_start().len());
        if !trimmed.is_empty() {
            rules.push((trimmed.to_owned(), from..from + trimmed.len()));
        }
        at += name.len() + 1;
    }
    Allow {
        rules,
        reason: reason.trim_start_matches(':').trim().to_owned(),
        span,
        scope,
    }
}

/// What a comment holds for.
fn scope(source: &Source, span: &Range<usize>, tasks: &[Range<usize>]) -> Range<usize> {
    let own = source.line_at(span.start);
    let trailing = !source.text[source.line_start(own)..span.start]
        .trim()
        .is_empty();
    // Comments above a line belong together.
    let mut line = own;
    if !trailing {
        line += 1;
        while text_of(source, line).trim_start().starts_with('#') {
            line += 1;
        }
    }
    let target = source.line_start(line)..source.line_start(line + 1);
    let of_task = tasks.iter().find(|task| {
        (task.start >= target.start && task.start < target.end)
            || (task.start <= span.start && span.start < task.end)
    });
    match of_task {
        Some(task) => task.start.min(span.start)..task.end.max(target.end),
        None => span.start.min(target.start)..target.end,
    }
}

fn text_of(source: &Source, line: usize) -> &str {
    &source.text[source.line_start(line)..source.line_start(line + 1)]
}

/// The comments of a TOML text, in order. What stands in strings is none.
#[must_use]
pub(super) fn comments(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    let starts = |at: usize, what: &[u8]| bytes.get(at..).is_some_and(|it| it.starts_with(what));
    while at < bytes.len() {
        match bytes[at] {
            b'#' => {
                let mut end = at;
                while end < bytes.len() && bytes[end] != b'\n' {
                    end += 1;
                }
                if end > at && bytes[end - 1] == b'\r' {
                    end -= 1;
                }
                found.push(at..end);
                at = end.max(at + 1);
            }
            quote @ (b'"' | b'\'') => {
                let three = [quote; 3];
                let many = starts(at, &three);
                at += if many { 3 } else { 1 };
                while at < bytes.len() {
                    if bytes[at] == b'\\' && quote == b'"' {
                        at += 2;
                    } else if many && starts(at, &three) {
                        at += 3;
                        // A text may end with one or two quotes of its own.
                        while at < bytes.len() && bytes[at] == quote {
                            at += 1;
                        }
                        break;
                    } else if !many && (bytes[at] == quote || bytes[at] == b'\n') {
                        at += 1;
                        break;
                    } else {
                        at += 1;
                    }
                }
            }
            _ => at += 1,
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source::new(
            std::path::PathBuf::from("a.md"),
            "a.md".to_owned(),
            text.to_owned(),
        )
    }

    fn one(text: &str, tasks: &[Range<usize>]) -> Allow {
        let mut all = of_toml(&source(text), tasks);
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    #[test]
    fn a_comment_above_a_task_holds_for_the_task() {
        let text = "[tasks.a]\nx = 1\n\n# xtask: allow(one, two): it is meant\n# more\n[tasks.b]\ny = 2\nz = 3\n";
        let at = text.find("[tasks.b]").unwrap();
        let allow = one(text, &[0..16, at..text.len()]);
        let names: Vec<&str> = allow.rules.iter().map(|it| it.0.as_str()).collect();
        assert_eq!(names, ["one", "two"]);
        assert_eq!(&text[allow.rules[1].1.clone()], "two");
        assert_eq!(allow.reason, "it is meant");
        assert!(allow.scope.contains(&(text.len() - 2)));
        assert!(!allow.scope.contains(&12));
    }

    #[test]
    fn elsewhere_it_holds_for_a_line() {
        let text = "[env]\nA = 1 # xtask: allow(x): y\nB = 2\n";
        let allow = one(text, &[]);
        assert!(allow.scope.contains(&6) && !allow.scope.contains(&(text.len() - 2)));
        let text = "[env]\n# xtask: allow(x): y\nA = 1\nB = 2\n";
        let allow = one(text, &[]);
        assert!(allow.scope.contains(&(text.find("A = 1").unwrap())));
        assert!(!allow.scope.contains(&(text.find("B = 2").unwrap())));
    }

    #[test]
    fn strings_hold_no_comments() {
        let text = "a = \"# no\"\nb = '''\n# no\n'''\nc = \"\"\"\\\"\"\" # no\n\"\"\" # yes\n";
        let found: Vec<&str> = comments(text).into_iter().map(|it| &text[it]).collect();
        assert_eq!(found, ["# yes"]);
    }

    #[test]
    fn a_reason_can_be_missing() {
        assert_eq!(one("# xtask: allow(x)\na = 1\n", &[]).reason, "");
        assert_eq!(one("# xtask: allow(x):  \na = 1\n", &[]).reason, "");
    }

    #[test]
    fn markdown_has_comments_of_its_own() {
        let source = source("x\n<!-- xtask: allow(stale-docs): old -->\n`y`\nz\n");
        let all = of_text(&source);
        assert_eq!(all[0].reason, "old");
        assert!(all[0].scope.contains(&source.line_start(2)));
        assert!(!all[0].scope.contains(&source.line_start(3)));
        let text = "<!-- xtask: allow(stale-docs): old -->\n<!-- more -->\n```sh\na\nb\n```\nz\n";
        let all = of_text(&self::source(text));
        assert!(all[0].scope.contains(&(text.find("b\n").unwrap())));
        assert!(!all[0].scope.contains(&(text.find('z').unwrap())));
        // An open block ends with the text.
        let text = "<!-- xtask: allow(stale-docs): old -->\n```sh\na\n";
        assert_eq!(of_text(&self::source(text))[0].scope.end, text.len());
    }

    proptest::proptest! {
        #[test]
        fn every_text_is_read(text in "([#\"'\\\\\\n =\\[\\]a,():é]|xtask: allow\\(|<!--|-->){0,40}") {
            let source = source(&text);
            let _ = of_toml(&source, &[]);
            let _ = of_text(&source);
        }
    }
}
