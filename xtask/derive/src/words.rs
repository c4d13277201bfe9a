//! Names in other spellings.

/// `checkServices`, `CheckServices` and `check_services` as words.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut start = true;
    for c in name.trim_start_matches("r#").chars() {
        if c == '_' {
            start = true;
            continue;
        }
        match words.last_mut() {
            Some(word) if !start && !c.is_uppercase() => word.push(c),
            _ => words.push(c.to_lowercase().to_string()),
        }
        start = false;
    }
    words
}

pub(crate) fn kebab(name: &str) -> String {
    words(name).join("-")
}

pub(crate) fn screaming(name: &str) -> String {
    words(name).join("_").to_uppercase()
}

/// serde's `rename_all`, for the spellings that are used.
pub(crate) fn rename(name: &str, rule: &str) -> Result<String, String> {
    Ok(match rule {
        "lowercase" => name.to_lowercase(),
        "kebab-case" => kebab(name),
        "snake_case" => words(name).join("_"),
        other => return Err(format!("xtask-derive knows no rename_all = {other:?}")),
    })
}
