//! `.config/nextest.toml`, judged and completed. Pure: text in, text and faults out.

use toml_edit::{DocumentMut, InlineTable, Item, Table, TableLike, value};

/// Something in the file that does not do what its author means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextestFault {
    /// Where: `profile.ci.retries`.
    pub key: String,
    /// What is wrong and how to mend it.
    pub message: String,
}

/// The completed text and what was added to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completed {
    /// The whole file.
    pub text: String,
    /// The keys that were added.
    pub added: Vec<String>,
}

/// Adds what is missing to the profiles default, ci and local; what is there stays, comments too.
///
/// # Errors
/// When the text is no TOML.
pub fn complete(text: &str) -> Result<Completed, toml_edit::TomlError> {
    let mut document: DocumentMut = text.parse()?;
    let mut added = Vec::new();
    let settings: [(&str, &str, Item); 13] = [
        (
            "default",
            "slow-timeout",
            inline(&[("period", "30s".into()), ("terminate-after", 4.into())]),
        ),
        ("default", "status-level", value("pass")),
        ("default", "failure-output", value("immediate")),
        ("default", "junit.path", value("junit.xml")),
        ("ci", "fail-fast", value(false)),
        ("ci", "failure-output", value("immediate-final")),
        ("ci", "final-status-level", value("flaky")),
        (
            "ci",
            "retries",
            inline(&[
                ("backoff", "exponential".into()),
                ("count", 2.into()),
                ("delay", "1s".into()),
                ("jitter", true.into()),
                ("max-delay", "10s".into()),
            ]),
        ),
        (
            "ci",
            "slow-timeout",
            inline(&[("period", "60s".into()), ("terminate-after", 4.into())]),
        ),
        ("ci", "junit.path", value("junit.xml")),
        ("local", "fail-fast", value(true)),
        ("local", "failure-output", value("immediate")),
        ("local", "retries", value(0)),
    ];
    for (profile, key, item) in settings {
        let table = profile_table(&mut document, profile);
        let Some(table) = table else { continue };
        let placed = match key.split_once('.') {
            None => insert_missing(table, key, item),
            Some((outer, inner)) => match table.get_mut(outer) {
                Some(existing) => existing
                    .as_table_like_mut()
                    .is_some_and(|existing| insert_missing(existing, inner, item)),
                None => {
                    let mut below = Table::new();
                    below.insert(inner, item);
                    table.insert(outer, Item::Table(below));
                    true
                }
            },
        };
        if placed {
            added.push(format!("profile.{profile}.{key}"));
        }
    }
    Ok(Completed {
        text: document.to_string(),
        added,
    })
}

fn inline(pairs: &[(&str, toml_edit::Value)]) -> Item {
    value(pairs.iter().cloned().collect::<InlineTable>())
}

/// `[profile.NAME]`; `None` where the file has something else of that name.
fn profile_table<'a>(document: &'a mut DocumentMut, name: &str) -> Option<&'a mut dyn TableLike> {
    let profiles = document.entry("profile").or_insert_with(|| {
        let mut table = Table::new();
        table.set_implicit(true);
        Item::Table(table)
    });
    // In braces, there are only braces: toml_edit takes another table there, and panics on it later.
    let braces = profiles.is_inline_table();
    profiles
        .as_table_like_mut()?
        .entry(name)
        .or_insert_with(|| match braces {
            true => value(InlineTable::new()),
            false => Item::Table(Table::new()),
        })
        .as_table_like_mut()
}

fn insert_missing(table: &mut dyn TableLike, key: &str, item: Item) -> bool {
    if table.contains_key(key) {
        return false;
    }
    table.insert(key, item);
    true
}

/// Faults that nextest takes silently, or refuses with words that do not help (design.md, section 7).
///
/// # Errors
/// When the text is no TOML.
pub fn faults(text: &str) -> Result<Vec<NextestFault>, toml_edit::TomlError> {
    let document: DocumentMut = text.parse()?;
    let mut faults = Vec::new();
    let profiles = document.get("profile").and_then(Item::as_table_like);
    for (name, profile) in profiles.into_iter().flat_map(|it| it.iter()) {
        let Some(profile) = profile.as_table_like() else {
            continue;
        };
        let mut fault = |key: &str, message: &str| {
            faults.push(NextestFault {
                key: format!("profile.{name}.{key}"),
                message: message.to_owned(),
            });
        };
        let retries = profile.get("retries").and_then(Item::as_table_like);
        if retries.is_some_and(|it| it.contains_key("backoff") && !it.contains_key("delay")) {
            fault("retries", "a backoff needs a `delay`: add `delay = \"1s\"`");
        }
        if profile.get("test-threads").and_then(Item::as_str) == Some("auto") {
            fault(
                "test-threads",
                "`auto` is not known to nextest: write \"num-cpus\"",
            );
        }
        if profile.contains_key("failure-summary") {
            fault(
                "failure-summary",
                "nextest ignores this key: use `final-status-level`",
            );
        }
        let path = profile
            .get("junit")
            .and_then(Item::as_table_like)
            .and_then(|junit| junit.get("path"))
            .and_then(Item::as_str);
        if path.is_some_and(|path| path.contains(['/', '\\'])) {
            fault(
                "junit.path",
                "the path is relative to target/nextest/<profile>: write \"junit.xml\"",
            );
        }
    }
    Ok(faults)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_gets_the_three_profiles() {
        let completed = complete("").unwrap();
        for part in [
            "[profile.default]",
            "[profile.ci]",
            "[profile.local]",
            "path = \"junit.xml\"",
        ] {
            assert!(completed.text.contains(part), "{}", completed.text);
        }
        assert_eq!(
            complete(&completed.text).unwrap().added,
            Vec::<String>::new()
        );
        assert_eq!(faults(&completed.text).unwrap(), []);
    }

    /// In braces with a comma at their end it panicked (found by fuzzing).
    #[test]
    fn profiles_are_completed_however_they_are_written() {
        for text in [
            "profile = {}\n",
            "profile = { ci = {} }\n",
            "profile = { ci = {}, }\n",
            "profile = { ci = { junit = {} }, x = 1 }\n",
            "profile.ci = {}\n",
            "profile.ci.retries = 1\n",
            "profile.ci.junit.path = \"x\"\n",
            "[profile]\nci = {}\n",
            "[profile]\nci.retries = 1\n",
            "[profile]\nci.junit.path = \"x\"\n",
            "[profile.ci]\njunit.path = \"x\"\n",
            "[profile.ci]\njunit = {}\n",
            "[profile.ci.junit]\n[profile]\n",
        ] {
            let completed = complete(text).unwrap();
            let parsed = completed.text.parse::<DocumentMut>();
            assert!(parsed.is_ok(), "{text}=>\n{}", completed.text);
            let again = complete(&completed.text).unwrap();
            assert_eq!(
                (again.text, again.added.len()),
                (completed.text, 0),
                "{text}"
            );
        }
    }

    #[test]
    fn values_and_comments_of_the_user_stay() {
        let text = "# ours\n[profile.ci]\nretries = 7 # flaky network\n\n[profile.ci.junit]\npath = \"r.xml\"\n";
        let completed = complete(text).unwrap();
        assert!(completed.text.contains("# ours\n"), "{}", completed.text);
        assert!(completed.text.contains("retries = 7 # flaky network\n"));
        assert!(completed.text.contains("path = \"r.xml\""));
        assert!(
            !completed
                .added
                .iter()
                .any(|key| key == "profile.ci.retries")
        );
        assert!(
            completed
                .added
                .iter()
                .any(|key| key == "profile.ci.fail-fast")
        );
    }

    #[test]
    fn the_faults_of_the_specification_are_known() {
        let text = r#"
[profile.default]
test-threads = "auto"
retries = { backoff = "exponential", count = 2 }
[profile.ci]
failure-summary = "json"
junit = { path = "target/nextest/ci/junit.xml" }
"#;
        let keys: Vec<String> = faults(text).unwrap().into_iter().map(|it| it.key).collect();
        assert_eq!(
            keys,
            [
                "profile.default.retries",
                "profile.default.test-threads",
                "profile.ci.failure-summary",
                "profile.ci.junit.path"
            ]
        );
    }

    proptest::proptest! {
        #[test]
        fn completing_twice_changes_no_byte(text in "(\\[profile\\.(ci|default|x)\\]\n)?([a-z]{1,5} = [0-9]\n){0,3}") {
            if let Ok(once) = complete(&text) {
                proptest::prop_assert_eq!(complete(&once.text).unwrap().text, once.text);
            }
        }
    }
}
