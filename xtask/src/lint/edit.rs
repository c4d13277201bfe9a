//! Edits: byte ranges replaced in texts. What is between them keeps its comments and layout. Pure.

use std::ops::Range;

/// A replacement in one file.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Edit {
    /// Relative to the root, `/` between its parts.
    pub file: String,
    /// The bytes that are replaced; an empty range inserts.
    pub range: Range<usize>,
    /// What stands there afterwards.
    pub text: String,
}

/// What mends a finding: all of its edits, or none.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Fix {
    /// What it does, in a few words.
    pub what: String,
    /// The edits; they do not overlap.
    pub edits: Vec<Edit>,
}

/// The fixes of `fixes` that can be made at once, first come first served: one that touches what an
/// earlier one touches has to wait for the next round. Fixes that are the same are made once.
#[must_use]
pub fn compatible<'a>(fixes: impl IntoIterator<Item = &'a Fix>) -> Vec<&'a Fix> {
    let mut taken: Vec<&Fix> = Vec::new();
    let mut held: std::collections::BTreeMap<&str, Vec<Range<usize>>> = Default::default();
    for fix in fixes {
        let clash = fix.edits.iter().any(|edit| {
            held.get(edit.file.as_str())
                .is_some_and(|ranges| ranges.iter().any(|it| touch(it, &edit.range)))
        });
        if clash {
            continue;
        }
        for edit in &fix.edits {
            held.entry(&edit.file).or_default().push(edit.range.clone());
        }
        taken.push(fix);
    }
    taken
}

/// Whether two ranges share a byte or an end.
fn touch(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start <= b.end && b.start <= a.end
}

/// The text with these edits of its file made. Edits outside of the text, or within a character, are
/// left out.
#[must_use]
pub fn apply<'a>(text: &str, edits: impl IntoIterator<Item = &'a Edit>) -> String {
    let mut edits: Vec<&Edit> = edits.into_iter().collect();
    edits.sort_by_key(|edit| edit.range.start);
    let mut out = String::with_capacity(text.len() + 256);
    let mut at = 0;
    for edit in edits {
        let Some(between) = text.get(at..edit.range.start) else {
            continue;
        };
        if !text.is_char_boundary(edit.range.end.min(text.len())) || edit.range.end > text.len() {
            continue;
        }
        out.push_str(between);
        out.push_str(&edit.text);
        at = edit.range.end;
    }
    out.push_str(&text[at..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(range: Range<usize>, text: &str) -> Edit {
        Edit {
            file: "a".to_owned(),
            range,
            text: text.to_owned(),
        }
    }

    fn fix(edits: Vec<Edit>) -> Fix {
        Fix {
            what: "x".to_owned(),
            edits,
        }
    }

    #[test]
    fn edits_are_made_in_the_order_of_the_text() {
        let edits = [edit(4..5, "E"), edit(0..1, "AA"), edit(2..2, "+")];
        assert_eq!(apply("abcde", &edits), "AAb+cdE");
    }

    #[test]
    fn a_fix_that_touches_another_waits() {
        let (one, two, three) = (
            fix(vec![edit(0..2, "x")]),
            fix(vec![edit(2..3, "y")]),
            fix(vec![edit(4..5, "z")]),
        );
        assert_eq!(compatible([&one, &two, &three, &one]), [&one, &three]);
    }

    proptest::proptest! {
        #[test]
        fn no_edit_splits_a_character(text in "[aé\\n]{0,20}", start in 0_usize..30, len in 0_usize..9) {
            let _ = apply(&text, &[edit(start..start + len, "x")]);
        }
    }
}
