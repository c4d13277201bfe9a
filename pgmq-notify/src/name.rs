//! Names that are safe as a queue, as a table and as a channel.

use std::fmt;
use std::str::FromStr;

/// PGMQ's own limit: with its prefixes and suffixes, a table's name has 63 bytes.
pub const MAX_QUEUE_NAME: usize = 47;

/// A checked queue name: lower-case letters, digits and `_`, a letter first.
///
/// PGMQ lower-cases names silently, so that `Jobs` and `jobs` would be one queue with two channels.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct QueueName(String);

/// Why a name is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is no queue name: {why}")]
pub struct InvalidQueueName {
    name: String,
    why: String,
}

impl QueueName {
    /// Checks a name.
    ///
    /// # Errors
    /// When it is empty, too long, or has other characters.
    pub fn new(name: impl Into<String>) -> Result<Self, InvalidQueueName> {
        let name = name.into();
        let why = if name.is_empty() {
            "it is empty".to_owned()
        } else if name.len() > MAX_QUEUE_NAME {
            format!(
                "it has {} characters, {MAX_QUEUE_NAME} at the most",
                name.len()
            )
        } else if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
            "it has to start with a lower-case letter".to_owned()
        } else if let Some(c) = name
            .chars()
            .find(|c| !(c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '_'))
        {
            format!(
                "`{}` is not a lower-case letter, a digit or `_`",
                c.escape_debug()
            )
        } else {
            return Ok(Self(name));
        };
        Err(InvalidQueueName {
            name: name.escape_debug().to_string(),
            why,
        })
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The channel on which its readers are woken.
    pub fn channel(&self) -> String {
        format!("pgmq_{}", self.0)
    }
}

impl fmt::Display for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for QueueName {
    type Err = InvalidQueueName;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::new(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_safe_everywhere_are_taken() {
        let longest = "q".repeat(MAX_QUEUE_NAME);
        for name in ["q", "worker_rust_queue", "a1_2", longest.as_str()] {
            let name = QueueName::new(name).unwrap();
            assert!(name.channel().len() <= 63);
        }
    }

    #[test]
    fn all_others_are_refused_with_the_reason() {
        let too_long = "q".repeat(MAX_QUEUE_NAME + 1);
        for (name, why) in [
            ("", "empty"),
            (too_long.as_str(), "47 at the most"),
            ("Queue", "start with"),
            ("1q", "start with"),
            ("_q", "start with"),
            ("a-b", "`-` is not"),
            ("a;drop table x", "`;` is not"),
            ("aé", "`é` is not"),
            ("a'b", "is not"),
            ("a\nb", "is not"),
        ] {
            let error = QueueName::new(name).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
