//! Names with `*`. Pure.

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

#[cfg(test)]
mod tests {
    use super::*;

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
