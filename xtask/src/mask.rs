//! Secrets never print: passwords in URLs, and values of names that look secret.

use std::borrow::Cow;

/// What stands in place of a secret.
pub const MASK: &str = "***";

/// Whether the value of a variable of this name must not be shown (design.md, section 4).
#[must_use]
pub fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    ["SECRET", "TOKEN", "PASSWORD", "PASSWD", "PRIVATE", "KEY"]
        .iter()
        .any(|part| name.contains(part))
}

/// The value as it may be shown: masked whole for a secret name, else with URL passwords masked.
#[must_use]
pub fn mask_value<'a>(name: &str, value: &'a str) -> Cow<'a, str> {
    if is_secret_name(name) && !value.is_empty() {
        Cow::Borrowed(MASK)
    } else if value.starts_with("postgres://") || value.starts_with("postgresql://") {
        // The one value of which we know that it is a URL from its start to its end.
        mask_url(value)
    } else {
        mask_urls(value)
    }
}

/// Masks the password of every `scheme://user:password@host` in a text.
///
/// The password ends at the last `@` before a `/`, `?`, `#`, quote or white space, so that an
/// unescaped `@` inside it does not leak its tail.
#[must_use]
pub fn mask_urls(text: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(scheme) = rest.find("://") {
        let (before, after) = rest.split_at(scheme + 3);
        out.push_str(before);
        let end = after
            .find(|c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '\'' | '`'))
            .unwrap_or(after.len());
        let (authority, tail) = after.split_at(end);
        match authority
            .rfind('@')
            .and_then(|at| authority[..at].find(':').map(|c| (c, at)))
        {
            Some((colon, at)) => {
                out.push_str(&authority[..=colon]);
                out.push_str(MASK);
                out.push_str(&authority[at..]);
            }
            None => out.push_str(authority),
        }
        rest = tail;
    }
    if out.is_empty() {
        return Cow::Borrowed(text);
    }
    out.push_str(rest);
    Cow::Owned(mask_query_passwords(&out))
}

/// Masks the password of a text that is one URL as a whole: it ends at the last `@`, whatever nobody has
/// escaped before that.
#[must_use]
pub fn mask_url(text: &str) -> Cow<'_, str> {
    let masked = text.split_once("://").and_then(|(scheme, rest)| {
        let (user, rest) = rest.rsplit_once('@')?;
        let (user, _) = user.split_once(':')?;
        Some(format!("{scheme}://{user}:{MASK}@{rest}"))
    });
    match masked {
        Some(masked) => Cow::Owned(mask_query_passwords(&masked)),
        None => mask_urls(text),
    }
}

/// The passwords of the URLs in a text, as they stand there.
#[must_use]
pub fn url_passwords(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for after in text.split("://").skip(1) {
        let end = after
            .find(|c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '\'' | '`'))
            .unwrap_or(after.len());
        let Some((user, _)) = after[..end].rsplit_once('@') else {
            continue;
        };
        found.extend(
            user.split_once(':')
                .map(|(_, password)| password)
                .filter(|it| !it.is_empty()),
        );
    }
    found
}

/// Secrets that are known by their values, to be masked where somebody else has written them.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    values: Vec<String>,
}

impl Secrets {
    /// Shorter ones are words that stand everywhere.
    const SHORTEST: usize = 6;
    /// Longer ones stand nowhere by accident, not even within a word.
    const LONG: usize = 16;

    /// The secrets among variables: values of secret names, and the passwords in URLs.
    pub fn of<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Secrets {
        let mut values: Vec<String> = Vec::new();
        for (name, value) in variables {
            if is_secret_name(name) {
                values.push(value.to_owned());
            }
            for password in url_passwords(value) {
                values.push(password.to_owned());
                let plain = percent_encoding::percent_decode_str(password).decode_utf8();
                values.extend(plain.ok().map(Cow::into_owned));
            }
        }
        values.retain(|value| value.len() >= Secrets::SHORTEST && !value.contains('\n'));
        // The longest first: one may hold another.
        values.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        values.dedup();
        Secrets { values }
    }

    /// The text with URL passwords and known secrets masked. A short one counts only where it is a
    /// word of its own: `tasker` as a password leaves `tasker-worker` alone.
    #[must_use]
    pub fn mask(&self, text: &str) -> String {
        let mut text = mask_urls(text).into_owned();
        for value in &self.values {
            if text.contains(value.as_str()) {
                text = mask_value_in(&text, value);
            }
        }
        text
    }
}

fn mask_value_in(text: &str, value: &str) -> String {
    let word = |c: char| c.is_alphanumeric() || "_-".contains(c);
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(value) {
        let (before, after) = (&rest[..at], &rest[at + value.len()..]);
        let alone = !before.ends_with(word) && !after.starts_with(word);
        out.push_str(before);
        out.push_str(if alone || value.len() >= Secrets::LONG {
            MASK
        } else {
            value
        });
        rest = after;
    }
    out.push_str(rest);
    out
}

/// Masks `password=…` in a URL's query, which libpq accepts too.
fn mask_query_passwords(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("password=") {
        let start = at + "password=".len();
        let end = rest[start..]
            .find(|c: char| c.is_whitespace() || matches!(c, '&' | '#' | '"' | '\'' | '`'))
            .map_or(rest.len(), |n| start + n);
        out.push_str(&rest[..start]);
        out.push_str(MASK);
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_as_a_whole_hides_what_nobody_has_escaped() {
        for url in [
            "postgres://u:hun/ter2@h/d",
            "postgres://u:hun?ter2 #@h/d?x=1",
        ] {
            let shown = mask_value("DATABASE_URL", url);
            assert!(shown.starts_with("postgres://u:***@h/d"), "{shown}");
        }
        assert_eq!(mask_value("URL", "postgres://h/d"), "postgres://h/d");
    }

    #[test]
    fn masks_passwords_in_urls() {
        for (input, expected) in [
            ("postgresql://u:p@h:1/d", "postgresql://u:***@h:1/d"),
            ("postgresql://u:p@ss@h/d", "postgresql://u:***@h/d"),
            (
                "a postgresql://u:p@h/d, b redis://:x@h",
                "a postgresql://u:***@h/d, b redis://:***@h",
            ),
            (
                "postgresql://h/d?user=u&password=p&x=1",
                "postgresql://h/d?user=u&password=***&x=1",
            ),
            ("http://h:80/x", "http://h:80/x"),
            ("no url", "no url"),
        ] {
            assert_eq!(mask_urls(input), expected);
        }
    }

    #[test]
    fn masks_values_of_secret_names_whole() {
        assert_eq!(mask_value("API_TOKEN", "abc"), MASK);
        assert_eq!(mask_value("api_key", "abc"), MASK);
        assert_eq!(mask_value("RUST_LOG", "warn"), "warn");
        assert_eq!(mask_value("DATABASE_URL", "pg://u:p@h"), "pg://u:***@h");
    }

    #[test]
    fn known_secrets_are_masked_wherever_they_stand() {
        let secrets = Secrets::of([
            ("API_TOKEN", "abc123"),
            ("SESSION_KEY", "0123456789abcdef0123"),
            ("DATABASE_URL", "postgresql://u:tasker%21@h/d"),
            ("PIN_SECRET", "true"),
            ("NAME", "harmless"),
        ]);
        for (text, expected) in [
            ("token=abc123.", "token=***."),
            ("abc123-worker abc1234", "abc123-worker abc1234"),
            ("x0123456789abcdef0123x", "x***x"),
            ("user u, password tasker!", "user u, password ***"),
            ("true harmless", "true harmless"),
            ("postgresql://a:other@h", "postgresql://a:***@h"),
        ] {
            assert_eq!(secrets.mask(text), expected);
        }
    }

    proptest::proptest! {
        #[test]
        fn a_password_never_survives(password in "[a-zA-Z0-9@:!$]{8,20}") {
            let url = format!("postgresql://user:{password}@localhost:5432/db");
            let masked = mask_urls(&url).into_owned();
            proptest::prop_assert!(!masked.contains(&password), "{masked}");
        }
    }
}
