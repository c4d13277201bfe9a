//! What the alias `xtask` of `.cargo/config.toml` runs, and how cargo builds that.

use std::path::{Path, PathBuf};

use toml_edit::DocumentMut;

/// The alias, as far as it is a `run` of one program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias {
    /// The arguments of cargo that build the program and tell where it is.
    pub build: Vec<String>,
    /// The directory of its profile, under the target directory.
    pub directory: String,
    /// The program's name.
    pub name: String,
}

impl Alias {
    /// The alias of the workspace at `root`.
    #[must_use]
    pub fn read(root: &Path) -> Option<Alias> {
        let config = root.join(".cargo").join("config.toml");
        Alias::parse(&std::fs::read_to_string(config).ok()?)
    }

    /// The alias of this `.cargo/config.toml`.
    #[must_use]
    pub fn parse(config: &str) -> Option<Alias> {
        let document: DocumentMut = config.parse().ok()?;
        let alias = document.get("alias")?.get("xtask")?;
        let words: Vec<&str> = match (alias.as_str(), alias.as_array()) {
            (Some(text), _) => text.split_whitespace().collect(),
            (None, Some(array)) => array.iter().filter_map(|it| it.as_str()).collect(),
            _ => return None,
        };
        let (run, options) = words.split_first()?;
        // What follows `--` is the program's own: it would be lost.
        let (last, options) = options.split_last()?;
        if !["run", "r"].contains(run) || *last != "--" || options.contains(&"--") {
            return None;
        }
        // Another place, or a program for another machine.
        let elsewhere = ["--target", "--target-dir", "--manifest-path"];
        if options
            .iter()
            .any(|it| elsewhere.iter().any(|no| it.starts_with(no)))
        {
            return None;
        }
        let profile = match value(options, "--profile") {
            Some(profile) => profile,
            None if options.iter().any(|it| ["--release", "-r"].contains(it)) => "release",
            None => "dev",
        };
        let build = ["build", "--message-format", "json-render-diagnostics"];
        Some(Alias {
            build: build
                .iter()
                .chain(options)
                .map(|it| (*it).to_owned())
                .collect(),
            directory: match profile {
                "dev" | "test" => "debug",
                "bench" => "release",
                other => other,
            }
            .to_owned(),
            name: value(options, "--bin")?.to_owned(),
        })
    }

    /// The program's file name here.
    #[must_use]
    pub fn program(&self) -> String {
        format!("{}{}", self.name, std::env::consts::EXE_SUFFIX)
    }
}

/// `--name VALUE` or `--name=VALUE`.
fn value<'a>(options: &[&'a str], name: &str) -> Option<&'a str> {
    let mut options = options.iter();
    while let Some(option) = options.next() {
        if let Some(rest) = option.strip_prefix(name) {
            return match rest.strip_prefix('=') {
                None if rest.is_empty() => options.next().copied(),
                value => value,
            };
        }
    }
    None
}

/// The last program that cargo says it has built (one JSON document a line).
#[must_use]
pub fn executable(messages: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|message| Some(message.get("executable")?.as_str()?.into()))
        .next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alias_says_how_to_build_and_where_it_lands() {
        let alias = |alias: &str| Alias::parse(&format!("[alias]\nxtask = {alias}\n"));
        for text in [
            r#""run -q --profile tool --bin x --""#,
            r#"["r", "-q", "--profile=tool", "--bin=x", "--"]"#,
        ] {
            let alias = alias(text).unwrap();
            assert!(
                alias
                    .build
                    .join(" ")
                    .starts_with("build --message-format json-render-diagnostics -q --profile")
            );
            assert_eq!(
                (alias.directory.as_str(), alias.name.as_str()),
                ("tool", "x")
            );
        }
        let directory = |text: &str| alias(text).map(|it| it.directory);
        assert_eq!(directory(r#""run --bin x --""#), Some("debug".to_owned()));
        assert_eq!(
            directory(r#""run --release --bin x --""#),
            Some("release".to_owned())
        );
        for other in [
            r#""test --bin x --""#,
            r#""run --bin x""#,
            r#""run --bin x -- db --""#,
            r#""run --package x --""#,
            r#""run --bin x --target y --""#,
            r#""run --bin x --manifest-path y --""#,
            "1",
        ] {
            assert_eq!(alias(other), None, "{other}");
        }
        assert_eq!(Alias::parse(""), None);
    }

    #[test]
    fn the_program_is_the_last_that_cargo_names() {
        let messages = "{\"reason\":\"x\",\"executable\":null}\n{\"executable\":\"/a\"}\n\
                        {\"executable\":\"/b\"}\nno json\n";
        assert_eq!(executable(messages), Some(PathBuf::from("/b")));
        assert_eq!(executable(""), None);
    }
}
