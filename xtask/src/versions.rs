//! Versions as tools print them. Pure.

/// The first version in a text: `[0, 9, 143]` of `cargo-nextest 0.9.143 (60fa45f 2026-08-04)`.
#[must_use]
pub fn find(text: &str) -> Option<Vec<u64>> {
    text.split(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | ',' | '"'))
        .map(|word| word.trim_start_matches(|c: char| c.is_ascii_alphabetic()))
        .find_map(parse)
}

/// `1.89.0-beta.1+x` as numbers, up to what is no number; at least one dot.
fn parse(word: &str) -> Option<Vec<u64>> {
    let core = word.split(['-', '+', '~']).next()?;
    let numbers: Vec<u64> = core
        .split('.')
        .map_while(|part| part.parse().ok())
        .collect();
    (numbers.len() >= 2).then_some(numbers)
}

/// Whether a version is at least the other; missing parts count as 0.
#[must_use]
pub fn at_least(found: &[u64], wanted: &str) -> bool {
    let wanted: Vec<u64> = wanted
        .split('.')
        .map_while(|part| part.parse().ok())
        .collect();
    let length = found.len().max(wanted.len());
    let part = |version: &[u64], index: usize| version.get(index).copied().unwrap_or(0);
    (0..length)
        .map(|index| part(found, index).cmp(&part(&wanted, index)))
        .find(|order| order.is_ne())
        .is_none_or(|order| order.is_gt())
}

/// `0.9.143`.
#[must_use]
pub fn show(version: &[u64]) -> String {
    version
        .iter()
        .map(u64::to_string)
        .collect::<Vec<_>>()
        .join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_tools_say() {
        for (text, version) in [
            ("cargo-nextest 0.9.143 (60fa45f63 2026-08-04)", "0.9.143"),
            ("v20.20.2", "20.20.2"),
            ("go version go1.2 linux/amd64", "1.2"),
            ("psql (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", "15.18"),
            ("ruby 3.1.2p20 (2022-04-12 revision 4491bb740a)", "3.1"),
            ("cc (Debian 12.2.0-14+deb12u1) 12.2.0", "12.2.0"),
        ] {
            assert_eq!(show(&find(text).unwrap()), version, "{text}");
        }
        assert_eq!(find("unknown"), None);
    }

    #[test]
    fn comparison_is_by_number() {
        for (found, wanted, expected) in [
            ("0.9.143", "0.9.99", true),
            ("0.9.9", "0.9.99", false),
            ("1.89", "1.89.0", true),
            ("2.0", "1.99.9", true),
            ("1.88.9", "1.89", false),
        ] {
            assert_eq!(
                at_least(&find(found).unwrap(), wanted),
                expected,
                "{found} {wanted}"
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,60}", wanted in "[0-9.]{0,12}") {
            if let Some(version) = find(&text) {
                let _ = at_least(&version, &wanted);
            }
        }
    }
}
