//! The ways in which GitHub Actions takes what a step has to say: workflow commands on its output,
//! and files named by variables. Rendering is pure.

use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;

use crate::cx::Cx;
use crate::hex;

/// Whether this run is a step of GitHub Actions.
#[must_use]
pub fn active(cx: &Cx) -> bool {
    cx.env
        .get("GITHUB_ACTIONS")
        .is_some_and(|value| value == "true")
}

/// The data of a workflow command: these three characters are escaped.
#[must_use]
pub fn escape_data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// A property of a workflow command: two more.
#[must_use]
pub fn escape_property(text: &str) -> String {
    escape_data(text).replace(':', "%3A").replace(',', "%2C")
}

/// `NAME<<DELIMITER`, the value, the delimiter. No line of a value may be the delimiter: it is made
/// of `random`, and grows where the value has it.
#[must_use]
pub fn assignments(values: &[(&str, &str)], random: &str) -> String {
    let mut text = String::new();
    for (name, value) in values {
        let mut delimiter = format!("xtask_{random}");
        while value.contains(&delimiter) {
            delimiter.push('_');
        }
        text.push_str(&format!("{name}<<{delimiter}\n{value}\n{delimiter}\n"));
    }
    text
}

/// Thirty-two hexadecimal digits that nobody could foresee.
///
/// # Errors
/// When the system gives no random numbers.
pub fn random() -> anyhow::Result<String> {
    let mut random = [0_u8; 16];
    getrandom::fill(&mut random).map_err(|error| anyhow::anyhow!("no random numbers: {error}"))?;
    Ok(hex::encode(&random))
}

/// The file that a variable like `GITHUB_OUTPUT` names.
#[must_use]
pub fn file<'a>(cx: &'a Cx, variable: &str) -> Option<&'a Path> {
    cx.os(variable).map(Path::new)
}

/// Appends to such a file, all or nothing: the runner reads it even after a step that failed. Other
/// steps' lines in it stay.
///
/// # Errors
/// When it cannot be written, with its path and variable.
pub fn append(path: &Path, variable: &str, text: &str) -> anyhow::Result<()> {
    let append = || {
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.append(true).create(true).open(path)?;
        let before = file.metadata()?;
        let written = file.write_all(text.as_bytes());
        if written.is_err() && before.is_file() {
            // Half a value would pass for a whole one.
            file.set_len(before.len())?;
        }
        written
    };
    append().with_context(|| format!("failed to append to `{}` ({variable})", path.display()))
}

/// Hands values to later steps: appended to `$GITHUB_OUTPUT`, or where there is none, `name=value`
/// lines on stdout, to be looked at.
///
/// # Errors
/// As [`append`], and when stdout cannot be written.
pub fn output(cx: &Cx, values: &[(&str, &str)]) -> anyhow::Result<()> {
    match file(cx, "GITHUB_OUTPUT") {
        Some(path) => append(path, "GITHUB_OUTPUT", &assignments(values, &random()?)),
        None => values
            .iter()
            .try_for_each(|(name, value)| cx.term.line(&format!("{name}={value}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_escaped_as_github_wants() {
        assert_eq!(escape_data("a%b\r\n:,"), "a%25b%0D%0A:,");
        assert_eq!(escape_property("C:\\a,b%\n"), "C%3A\\a%2Cb%25%0A");
    }

    #[test]
    fn a_value_with_the_delimiter_gets_another_one() {
        let text = assignments(&[("A", "x\nxtask_7\nB=evil")], "7");
        assert_eq!(text, "A<<xtask_7_\nx\nxtask_7\nB=evil\nxtask_7_\n");
    }
}
