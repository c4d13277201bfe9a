//! Files that Rust sources compile in: `include_str!` and its like. Pure.
//!
//! A README that is a crate's documentation, or a schema that another crate embeds, is a source of that
//! crate wherever it lies and whatever its suffix. What looks like an include in a comment or in a string
//! counts, too: one crate too many costs minutes, one too few a broken main branch.

/// What `git grep --extended-regexp` looks for: a file without it includes nothing.
pub const PATTERN: &str = r#"include(_str|_bytes|_dir)?!|migrate!|path *= *""#;

/// Where a path starts.
#[derive(Clone, Copy)]
enum From {
    File,
    Package,
}

/// The paths (below the root) that a source at `file` of the package in `package` includes. A path
/// may name a directory, of which then everything counts.
#[must_use]
pub fn find(file: &str, package: &str, text: &str) -> Vec<String> {
    let directory = file.rsplit_once('/').map_or("", |(directory, _)| directory);
    let mut found = Vec::new();
    for (word, from) in [
        ("include!", From::File),
        ("include_str!", From::File),
        ("include_bytes!", From::File),
        ("include_dir!", From::Package),
        ("migrate!", From::Package),
    ] {
        for (at, _) in text.match_indices(word) {
            let rest = text[at + word.len()..].trim_start();
            if let Some(rest) = rest.strip_prefix(['(', '[', '{']) {
                found.extend(argument(rest, from).and_then(|(path, from)| {
                    super::manifest::join(
                        if matches!(from, From::File) {
                            directory
                        } else {
                            package
                        },
                        &path,
                    )
                }));
            }
        }
    }
    // `#[path = "..."] mod x;`
    for (at, word) in text.match_indices("path") {
        let rest = text[at + word.len()..].trim_start();
        if let Some(path) = rest
            .strip_prefix('=')
            .and_then(|rest| literal(rest.trim_start()))
        {
            found.extend(super::manifest::join(directory, path));
        }
    }
    // What leads to the root itself would be everything, and is never meant.
    found.retain(|path| !path.is_empty() && path != file);
    found.sort();
    found.dedup();
    found
}

/// The path that a macro is given: a literal, or one behind the manifest's directory.
fn argument(text: &str, from: From) -> Option<(String, From)> {
    const DIRECTORY: &str = "CARGO_MANIFEST_DIR";
    let text = text.trim_start();
    if let Some(rest) = text.strip_prefix("concat!") {
        let rest = rest
            .trim_start()
            .strip_prefix(['(', '[', '{'])?
            .trim_start();
        let rest = rest
            .strip_prefix("env!")?
            .trim_start()
            .strip_prefix(['(', '[', '{'])?;
        let (variable, rest) = rest.split_once([')', ']', '}'])?;
        variable.contains(DIRECTORY).then_some(())?;
        let path = literal(rest.trim_start().strip_prefix(',')?.trim_start())?;
        return Some((
            path.trim_start_matches(['/', '\\']).to_owned(),
            From::Package,
        ));
    }
    let path = literal(text)?;
    match path
        .strip_prefix('$')
        .and_then(|it| it.strip_prefix(DIRECTORY))
    {
        Some(path) => Some((
            path.trim_start_matches(['/', '\\']).to_owned(),
            From::Package,
        )),
        None => Some((path.to_owned(), from)),
    }
}

/// The content of the string literal that a text begins with, raw or not. Escapes stay: no path that
/// is meant to work everywhere has one.
fn literal(text: &str) -> Option<&str> {
    let text = text
        .strip_prefix('r')
        .map_or(text, |it| it.trim_start_matches('#'));
    text.strip_prefix('"')?.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_include_a_file() {
        for (text, expected) in [
            ("#![doc = include_str!(\"../README.md\")]", "a/README.md"),
            ("include_str! ( \n \"x.sql\" )", "a/src/x.sql"),
            ("include_bytes![r#\"../../b/x.bin\"#]", "b/x.bin"),
            (
                "include!(concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/../gen.rs\"))",
                "gen.rs",
            ),
            (
                "std::include_str!(concat!( env! ( \"CARGO_MANIFEST_DIR\" ) , \"/x\" ))",
                "a/x",
            ),
            ("include_dir!(\"$CARGO_MANIFEST_DIR/../assets\")", "assets"),
            ("sqlx::migrate!(\"../migrations\")", "migrations"),
            (
                "#[path = \"../../shared/mod.rs\"] mod shared;",
                "shared/mod.rs",
            ),
            (
                "#[cfg_attr(unix, path=\"unix.rs\")] mod os;",
                "a/src/unix.rs",
            ),
        ] {
            assert_eq!(find("a/src/lib.rs", "a", text), [expected], "{text}");
        }
    }

    #[test]
    fn what_leads_nowhere_is_left_out() {
        for text in [
            "include_str!(NAME)",
            "include!(concat!(env!(\"OUT_DIR\"), \"/x.rs\"))",
            "include_str!(\"../../../outside\")",
            "include_str!(\"/etc/passwd\")",
            "include_str!(\"../..\")",
            "sqlx::migrate!()",
            "include_str!(\"lib.rs\")",
            "let path = other;",
            "include_str!",
        ] {
            assert_eq!(find("a/src/lib.rs", "a", text), [""; 0], "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(parts in proptest::collection::vec(proptest::sample::select(vec![
            "include_str!", "include!", "(", ")", "[", "concat!", "env!", "\"", "CARGO_MANIFEST_DIR", ",", "é",
            "path", "=", "r#", "#", "../", "a", "$", " ", "\n",
        ]), 0..25)) {
            let _ = find("a/src/é.rs", "a", &parts.concat());
        }
    }
}
