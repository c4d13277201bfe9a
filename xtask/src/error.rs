//! Errors that a user can act on: what happened, where, why, and the next command to run.

use std::fmt;

use crate::exit::Exit;

/// An error with a hint and an exit code. Wrap it in `anyhow` context like any other error.
#[derive(Debug)]
pub struct Fault {
    message: String,
    hint: Option<String>,
    exit: Exit,
    shown: bool,
}

impl Fault {
    /// The work failed (exit 1). `message`: lowercase, values in backticks, no final dot.
    pub fn new(message: impl Into<String>) -> Fault {
        Fault {
            message: message.into(),
            hint: None,
            exit: Exit::Failed,
            shown: false,
        }
    }

    /// Wrong use or wrong configuration (exit 2).
    pub fn usage(message: impl Into<String>) -> Fault {
        Fault {
            message: message.into(),
            hint: None,
            exit: Exit::Usage,
            shown: false,
        }
    }

    /// The user interrupted the work (exit 130).
    #[must_use]
    pub fn interrupted() -> Fault {
        Fault {
            message: "interrupted".to_owned(),
            hint: None,
            exit: Exit::Interrupted,
            shown: false,
        }
    }

    /// What an error leaves that was shown already, where cleaning up would have delayed it: its exit
    /// code.
    #[must_use]
    pub fn shown(error: &anyhow::Error) -> Fault {
        Fault {
            message: format!("{error:#}"),
            hint: None,
            exit: exit_of(error),
            shown: true,
        }
    }

    /// The next command to run, or what to mend.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Fault {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

/// The exit code that an error asks for: its [`Fault`]'s, else 1.
#[must_use]
pub fn exit_of(error: &anyhow::Error) -> Exit {
    error
        .downcast_ref::<Fault>()
        .map_or(Exit::Failed, |fault| fault.exit)
}

/// Whether the user has seen the error already.
#[must_use]
pub fn is_shown(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<Fault>()
        .is_some_and(|fault| fault.shown)
}

/// The hint of the [`Fault`] inside, if any.
#[must_use]
pub fn hint_of(error: &anyhow::Error) -> Option<&str> {
    error
        .downcast_ref::<Fault>()
        .and_then(|fault| fault.hint.as_deref())
}

/// The near one of `known` for a mistyped `word`, if one is near enough to be meant.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| {
            // One slip of the finger (two letters swapped counts as one) is near in short words, too.
            let slip = if strsim::osa_distance(word, candidate) == 1 {
                0.3
            } else {
                0.0
            };
            (strsim::jaro_winkler(word, candidate) + slip, candidate)
        })
        .filter(|(score, _)| *score > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn context_keeps_exit_code_and_hint() {
        let error = Err::<(), _>(Fault::usage("bad key").hint("mend it"))
            .context("failed to read `a.toml`")
            .unwrap_err();
        assert_eq!(exit_of(&error), Exit::Usage);
        assert_eq!(hint_of(&error), Some("mend it"));
        assert_eq!(format!("{error:#}"), "failed to read `a.toml`: bad key");
    }

    #[test]
    fn suggests_only_what_is_near() {
        assert_eq!(nearest("prot", ["port", "kind"]), Some("port"));
        assert_eq!(nearest("wbe", ["web", "worker"]), Some("web"));
        assert_eq!(nearest("zzz", ["port", "kind"]), None);
    }
}
