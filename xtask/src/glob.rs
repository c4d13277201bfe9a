//! Names and paths with `*`. Pure.

/// Whether a name matches a pattern in which each `*` stands for any run of characters.
#[must_use]
pub fn matches(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(mut left) = name.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let Some(last) = parts.pop() else { return true };
    for part in parts {
        match left.find(part) {
            Some(at) => left = &left[at + part.len()..],
            None => return false,
        }
    }
    left.len() >= last.len() && left.ends_with(last)
}

/// Whether a path (`/` between its parts) matches a pattern in which `*` stands for any run of
/// characters within one part, and a part `**` for any number of parts; at the end for at least one.
#[must_use]
pub fn matches_path(pattern: &str, path: &str) -> bool {
    let path: Vec<&str> = path.split('/').collect();
    // `reached[n]`: the pattern up to here can match the first n parts. No way is tried twice.
    let mut reached = vec![false; path.len() + 1];
    reached[0] = true;
    let mut parts = pattern.split('/').peekable();
    while let Some(part) = parts.next() {
        let last = parts.peek().is_none();
        let mut next = vec![false; path.len() + 1];
        if part == "**" {
            let from = reached
                .iter()
                .position(|it| *it)
                .map(|at| at + usize::from(last));
            if let Some(from) = from.filter(|from| *from <= path.len()) {
                next[from..].fill(true);
            }
        } else {
            for (at, name) in path.iter().enumerate() {
                next[at + 1] = reached[at] && matches(part, name);
            }
        }
        reached = next;
    }
    reached[path.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_stars_are_any_directories() {
        for (pattern, path, expected) in [
            ("docs/**", "docs/a.md", true),
            ("docs/**", "docs/a/b.md", true),
            ("docs/**", "docs", false),
            ("docs/**", "docs2/a.md", false),
            ("**/*.md", "a.md", true),
            ("**/*.md", "a/b/c.md", true),
            ("**/*.md", "a/b/c.mdx", false),
            ("*.md", "a/b.md", false),
            ("a/**/b", "a/b", true),
            ("a/**/b", "a/x/y/b", true),
            ("a/**/b/*.x", "a/b/b/1.x", true),
            (
                "target/junit/python*.xml",
                "target/junit/python-integration.xml",
                true,
            ),
            ("target/*/x", "target/a/b/x", false),
            ("**", "a", true),
            ("**/**", "a", true),
            ("a", "a", true),
            ("a", "a/b", false),
            ("a/b", "a", false),
            ("ü*/**", "über/ä", true),
        ] {
            assert_eq!(matches_path(pattern, path), expected, "{pattern} {path}");
        }
    }

    /// The obvious way, which tries every split.
    fn naive(pattern: &[&str], path: &[&str]) -> bool {
        match pattern {
            [] => path.is_empty(),
            ["**"] => !path.is_empty(),
            ["**", rest @ ..] => (0..=path.len()).any(|skip| naive(rest, &path[skip..])),
            [part, rest @ ..] => path
                .split_first()
                .is_some_and(|(name, left)| matches(part, name) && naive(rest, left)),
        }
    }

    proptest::proptest! {
        #[test]
        fn paths_match_as_in_the_obvious_way(
            pattern in proptest::collection::vec("\\*\\*|a|b|\\*|a\\*", 1..6),
            path in proptest::collection::vec("a|b|ab", 1..6),
        ) {
            let parts = |it: &[String]| it.iter().map(String::as_str).collect::<Vec<_>>().join("/");
            let expected = naive(
                &pattern.iter().map(String::as_str).collect::<Vec<_>>(),
                &path.iter().map(String::as_str).collect::<Vec<_>>(),
            );
            proptest::prop_assert_eq!(matches_path(&parts(&pattern), &parts(&path)), expected);
        }
    }

    #[test]
    fn a_star_is_any_run() {
        for (pattern, name, expected) in [
            ("test*", "test-e2e", true),
            ("test*", "test", true),
            ("*-test*", "ci-test-rust", true),
            ("*.pyc", "a.pyc", true),
            ("*.pyc", "a.py", false),
            ("a*b*c", "axbyc", true),
            ("a*a", "a", false),
            ("test", "tests", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
