//! The linter's own comments: `# xtask: allow(rule): reason`.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;

use crate::error;
use crate::lint::suppress::{self, Allow};
use crate::lint::{Check, Edit, Facts, Family, Level, Raw, Rule, rule, rules};
use crate::makefile::{Source, Span};

pub(super) static RULES: &[Rule] = &[
    Rule {
        name: "unused-allow",
        family: Family::Comments,
        level: Level::Warn,
        what: "a comment allows what is not there",
        why: "it hides the next one that comes",
        mend: "remove it",
        fixable: true,
        check: Check::Comments,
    },
    Rule {
        name: "allow-without-reason",
        family: Family::Comments,
        level: Level::Deny,
        what: "a comment allows something and does not say why",
        why: "whoever comes later cannot tell whether the reason still holds",
        mend: "write it after the colon: `# xtask: allow(rule): reason`",
        fixable: false,
        check: Check::Comments,
    },
    Rule {
        name: "unknown-allow",
        family: Family::Comments,
        level: Level::Deny,
        what: "a comment allows a rule that does not exist",
        why: "it allows nothing",
        mend: "mend the name",
        fixable: false,
        check: Check::Comments,
    },
];

/// Takes away what comments allow, and adds what is wrong with the comments themselves. `on`: the
/// rules that ran; of the others nothing can be said to be unused.
pub(in crate::lint) fn allow(
    facts: &Facts,
    all: Vec<Raw>,
    on: &BTreeSet<&str>,
) -> (Vec<Raw>, Vec<(Raw, String)>) {
    let texts = facts
        .files
        .iter()
        .map(|file| (&file.file.source, Some(file.wholes())))
        .chain(facts.manifest.iter().map(|it| (it, Some(Vec::new()))))
        .chain(facts.documents.iter().map(|it| (&it.source, None)));
    let mut allows: Vec<(&Arc<Source>, Allow, Vec<bool>)> = Vec::new();
    for (source, tasks) in texts {
        let found = match tasks {
            Some(tasks) => suppress::of_toml(source, &tasks),
            None => suppress::of_text(source),
        };
        allows.extend(found.into_iter().map(|it| {
            let used = vec![false; it.rules.len()];
            (source, it, used)
        }));
    }
    let mut by_source: HashMap<usize, Vec<usize>> = HashMap::new();
    for (n, (source, ..)) in allows.iter().enumerate() {
        let address = Arc::as_ptr(source) as usize;
        by_source.entry(address).or_default().push(n);
    }
    let (mut kept, mut suppressed) = (Vec::new(), Vec::new());
    for raw in all {
        let at = raw.span.range().start;
        let here = by_source.get(&(Arc::as_ptr(&raw.source) as usize));
        let allowed = here.into_iter().flatten().find_map(|n| {
            let (_, allow, used) = allows.get_mut(*n)?;
            let here = allow.scope.contains(&at);
            let n = allow.rules.iter().position(|(name, _)| name == raw.rule);
            let n = n.filter(|_| here && !allow.reason.is_empty())?;
            used[n] = true;
            Some(allow.reason.clone())
        });
        match allowed {
            Some(reason) => suppressed.push((raw, reason)),
            None => kept.push(raw),
        }
    }
    for (source, allow, used) in &allows {
        faults(source, allow, used, on, &mut kept);
    }
    (kept, suppressed)
}

fn faults(
    source: &Arc<Source>,
    allow: &Allow,
    used: &[bool],
    on: &BTreeSet<&str>,
    kept: &mut Vec<Raw>,
) {
    let say = |name: &'static str, span: Range<usize>, message: String| Raw {
        rule: name,
        source: source.clone(),
        span: Span::from(span),
        message,
        help: None,
        fix: None,
    };
    if allow.reason.is_empty() {
        if on.contains("allow-without-reason") {
            let message = "this allows something, and does not say why".to_owned();
            kept.push(say("allow-without-reason", allow.span.clone(), message));
        }
        return;
    }
    let unused = |n: usize| !used[n] && on.contains(allow.rules[n].0.as_str());
    let all = (0..allow.rules.len()).all(unused);
    for (n, (name, span)) in allow.rules.iter().enumerate() {
        if rule(name).is_none() {
            if on.contains("unknown-allow") {
                let mut raw = say(
                    "unknown-allow",
                    span.clone(),
                    format!("there is no rule `{name}`"),
                );
                if let Some(near) = error::nearest(name, rules().map(|it| it.name)) {
                    raw.help(format!("did you mean `{near}`?"));
                }
                kept.push(raw);
            }
        } else if unused(n) && on.contains("unused-allow") {
            let range = if all {
                whole_comment(&source.text, &allow.span)
            } else {
                one_name(&source.text, span)
            };
            let mut raw = say(
                "unused-allow",
                span.clone(),
                format!("`{name}` finds nothing here"),
            );
            let edit = Edit {
                file: source.shown.clone(),
                range,
                text: String::new(),
            };
            raw.fix("removes it", vec![edit]);
            kept.push(raw);
        }
    }
}

/// The comment, with its line where that holds nothing else.
fn whole_comment(text: &str, span: &Range<usize>) -> Range<usize> {
    let start = text[..span.start].rfind('\n').map_or(0, |at| at + 1);
    let end = text[span.end..]
        .find('\n')
        .map_or(text.len(), |at| span.end + at + 1);
    let comment = text[span.clone()].starts_with('#');
    if text[start..span.start].trim().is_empty() && comment {
        return start..end;
    }
    let before = text[..span.start].trim_end_matches([' ', '\t']).len();
    let close = match text[span.end..].strip_prefix("-->") {
        Some(_) => span.end + 3,
        None => span.end,
    };
    before..close
}

/// A name in the list, with the comma that it does not need any more.
fn one_name(text: &str, span: &Range<usize>) -> Range<usize> {
    let after = &text[span.end..];
    let blank = after.len() - after.trim_start().len();
    if after.trim_start().starts_with(',') {
        let next = &after[blank + 1..];
        return span.start..span.end + blank + 1 + (next.len() - next.trim_start().len());
    }
    let before = text[..span.start].trim_end();
    match before.strip_suffix(',') {
        Some(rest) => rest.len()..span.end,
        None => span.clone(),
    }
}
