//! Unified diffs of texts. Pure.

use std::fmt::Write as _;

/// Lines of context around a change, as `diff -u` has it.
const CONTEXT: usize = 3;
/// Above so many changed lines the texts share too little for a diff to help: all old, then all new.
const EDITS: usize = 2000;

/// A line of a diff.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// In both texts.
    Same(&'a str),
    /// In the old one alone.
    Removed(&'a str),
    /// In the new one alone.
    Added(&'a str),
}

/// All lines of two texts, in order, by as few changes as there can be (Myers, 1986).
#[must_use]
pub fn lines<'a>(old: &'a str, new: &'a str) -> Vec<Line<'a>> {
    let old: Vec<&str> = old.split_inclusive('\n').collect();
    let new: Vec<&str> = new.split_inclusive('\n').collect();
    let head = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let most = old.len().min(new.len()) - head;
    let pairs = old.iter().rev().zip(new.iter().rev());
    let tail = pairs.take(most).take_while(|(a, b)| a == b).count();
    let mut all: Vec<Line<'a>> = old[..head].iter().map(|it| Line::Same(it)).collect();
    all.extend(middle(
        &old[head..old.len() - tail],
        &new[head..new.len() - tail],
    ));
    all.extend(old[old.len() - tail..].iter().map(|it| Line::Same(it)));
    all
}

/// The part of the texts between what begins and what ends both.
fn middle<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<Line<'a>> {
    let all_of = || {
        let removed = old.iter().map(|it| Line::Removed(it));
        removed.chain(new.iter().map(|it| Line::Added(it)))
    };
    if old.is_empty() || new.is_empty() {
        return all_of().collect();
    }
    let Some(trace) = trace(old, new) else {
        return all_of().collect();
    };
    let (mut x, mut y) = (old.len(), new.len());
    let mut reversed = Vec::new();
    for (edits, reached) in trace.iter().enumerate().rev() {
        let at = |diagonal: isize| reached[(diagonal + edits as isize + 1) as usize];
        let diagonal = x as isize - y as isize;
        let down = diagonal == -(edits as isize)
            || (diagonal != edits as isize && at(diagonal - 1) < at(diagonal + 1));
        let before = if down { diagonal + 1 } else { diagonal - 1 };
        let (from_x, from_y) = if edits == 0 {
            (0, 0)
        } else {
            (at(before), (at(before) as isize - before) as usize)
        };
        while x > from_x && y > from_y {
            (x, y) = (x - 1, y - 1);
            reversed.push(Line::Same(old[x]));
        }
        if edits > 0 {
            if down {
                y -= 1;
                reversed.push(Line::Added(new[y]));
            } else {
                x -= 1;
                reversed.push(Line::Removed(old[x]));
            }
        }
    }
    reversed.reverse();
    reversed
}

/// How far along the diagonals `-edits - 1 ..= edits + 1` one had got before each edit, up to the last
/// one; `None` where it takes too many.
fn trace(old: &[&str], new: &[&str]) -> Option<Vec<Vec<usize>>> {
    let most = (old.len() + new.len()).min(EDITS);
    let zero = most + 1; // The index of the diagonal 0.
    let mut reached = vec![0_usize; 2 * zero + 1];
    let mut trace = Vec::new();
    for edits in 0..=most {
        trace.push(reached[zero - edits - 1..=zero + edits + 1].to_vec());
        for at in (zero - edits..=zero + edits).step_by(2) {
            let down =
                at == zero - edits || (at != zero + edits && reached[at - 1] < reached[at + 1]);
            let mut x = match (edits, down) {
                (0, _) => 0,
                (_, true) => reached[at + 1],
                (_, false) => reached[at - 1] + 1,
            };
            let mut y = (x + zero).saturating_sub(at);
            while x < old.len() && y < new.len() && old[x] == new[y] {
                (x, y) = (x + 1, y + 1);
            }
            reached[at] = x;
            if x >= old.len() && y >= new.len() {
                return Some(trace);
            }
        }
    }
    None
}

/// A diff as `diff -u` writes it; empty where nothing differs. `None` for a file that is not there.
#[must_use]
pub fn unified(path: &str, old: Option<&str>, new: &str) -> String {
    let lines = lines(old.unwrap_or(""), new);
    let mut text = match old {
        Some(_) => format!("--- a/{path}\n+++ b/{path}\n"),
        None => format!("--- /dev/null\n+++ b/{path}\n"),
    };
    let empty = text.len();
    let changed: Vec<usize> = (0..lines.len())
        .filter(|at| !matches!(lines[*at], Line::Same(_)))
        .collect();
    let mut at = 0;
    while let Some(first) = changed.get(at) {
        let mut last = *first;
        while let Some(next) = changed.get(at).filter(|it| **it <= last + 2 * CONTEXT + 1) {
            last = *next;
            at += 1;
        }
        let from = first.saturating_sub(CONTEXT);
        let to = (last + CONTEXT + 1).min(lines.len());
        hunk(&mut text, &lines, from, to);
    }
    if text.len() == empty && old.is_some() {
        text.clear();
    }
    text
}

fn hunk(text: &mut String, lines: &[Line<'_>], from: usize, to: usize) {
    let count = |lines: &[Line<'_>], old: bool| {
        let in_it = |line: &&Line<'_>| match line {
            Line::Same(_) => true,
            Line::Removed(_) => old,
            Line::Added(_) => !old,
        };
        lines.iter().filter(in_it).count()
    };
    let range = |old: bool| {
        let (before, length) = (count(&lines[..from], old), count(&lines[from..to], old));
        // An empty range is named by the line before it.
        let start = if length == 0 { before } else { before + 1 };
        if length == 1 {
            start.to_string()
        } else {
            format!("{start},{length}")
        }
    };
    let _ = writeln!(text, "@@ -{} +{} @@", range(true), range(false));
    for line in &lines[from..to] {
        let (sign, line) = match line {
            Line::Same(line) => (' ', line),
            Line::Removed(line) => ('-', line),
            Line::Added(line) => ('+', line),
        };
        text.push(sign);
        text.push_str(line);
        if !line.ends_with('\n') {
            text.push_str("\n\\ No newline at end of file\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hunks_have_their_context_and_numbers() {
        let old = "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\nl\n";
        let new = "a\nB\nc\nd\ne\nf\ng\nh\ni\nj\nk\nl\nm";
        expect![[r"
            --- a/x
            +++ b/x
            @@ -1,5 +1,5 @@
             a
            -b
            +B
             c
             d
             e
            @@ -10,3 +10,4 @@
             j
             k
             l
            +m
            \ No newline at end of file
        "]]
        .assert_eq(&unified("x", Some(old), new));
    }

    #[test]
    fn a_new_file_comes_from_nowhere_and_no_change_is_no_diff() {
        expect![[r"
            --- /dev/null
            +++ b/x
            @@ -0,0 +1 @@
            +a
        "]]
        .assert_eq(&unified("x", None, "a\n"));
        assert_eq!(unified("x", Some("a\n"), "a\n"), "");
    }

    #[test]
    fn texts_that_share_nothing_are_not_searched_for_hours() {
        let old: String = (0..20_000).map(|n| format!("a{n}\n")).collect();
        let new: String = (0..20_000).map(|n| format!("b{n}\n")).collect();
        let since = std::time::Instant::now();
        assert_eq!(lines(&old, &new).len(), 40_000);
        assert!(since.elapsed().as_secs() < 20);
    }

    /// The fewest changes there can be, by the textbook's table.
    fn fewest(old: &[&str], new: &[&str]) -> usize {
        let mut common = vec![vec![0; new.len() + 1]; old.len() + 1];
        for (i, a) in old.iter().enumerate() {
            for (j, b) in new.iter().enumerate() {
                common[i + 1][j + 1] = if a == b {
                    common[i][j] + 1
                } else {
                    common[i][j + 1].max(common[i + 1][j])
                };
            }
        }
        old.len() + new.len() - 2 * common[old.len()][new.len()]
    }

    proptest! {
        #[test]
        fn a_diff_leads_from_one_text_to_the_other_by_the_fewest_changes(
            old in "([abc]\n){0,12}[ab]?", new in "([abc]\n){0,12}[ab]?"
        ) {
            let lines = lines(&old, &new);
            let side = |of_old: bool| -> String {
                lines.iter().filter_map(|line| match line {
                    Line::Same(it) => Some(*it),
                    Line::Removed(it) => of_old.then_some(*it),
                    Line::Added(it) => (!of_old).then_some(*it),
                }).collect()
            };
            prop_assert_eq!(side(true), old.clone());
            prop_assert_eq!(side(false), new.clone());
            let changes = lines.iter().filter(|it| !matches!(it, Line::Same(_))).count();
            let (old, new): (Vec<_>, Vec<_>) =
                (old.split_inclusive('\n').collect(), new.split_inclusive('\n').collect());
            prop_assert_eq!(changes, fewest(&old, &new));
        }
    }
}
