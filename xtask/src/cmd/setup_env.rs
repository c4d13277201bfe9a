//! `cargo xtask setup-env`

use std::fmt::Write as _;

use crate::cx::Cx;
use crate::env_file;
use crate::environment::{Choice, Environment, Origin};
use crate::error::Fault;
use crate::exit::Exit;
use crate::fsx;
use crate::github;
use crate::mask;

/// Compose the environment from its layers and write .env
///
/// What a person added to .env or changed there stays, comments and order too; a second run changes
/// no byte.
///
/// Examples:
///   cargo xtask setup-env
///   cargo xtask setup-env --profile test --check
///   eval "$(cargo xtask setup-env --print sh)"
///   cargo xtask setup-env --print fish | source
///   cargo xtask setup-env --print powershell | Out-String | Invoke-Expression
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct SetupEnv {
    #[command(flatten)]
    choice: Choice,
    /// Print the environment for a shell instead of writing .env
    #[arg(long, value_enum, value_name = "SHELL", conflicts_with_all = ["github", "check"])]
    print: Option<Shell>,
    /// Append to the file that GITHUB_ENV names, and mask secrets in the log
    #[arg(long, conflicts_with = "check")]
    github: bool,
    /// Write nothing; exit 1 when .env is out of date or a required variable has no value
    #[arg(long)]
    check: bool,
}

/// A family of shells that read the same text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Shell {
    #[value(alias = "posix", alias = "bash", alias = "zsh", alias = "dash")]
    Sh,
    Fish,
    #[value(alias = "pwsh")]
    Powershell,
}

impl SetupEnv {
    pub(crate) fn run(self, cx: &Cx) -> anyhow::Result<Exit> {
        if let Some(shell) = self.print {
            let environment = Environment::resolve(cx, &self.choice)?;
            cx.term.data(&render(shell, &overlay(&environment)))?;
            return Ok(Exit::Done);
        }
        if self.github {
            return to_github(cx, &Environment::resolve(cx, &self.choice)?);
        }
        let path = cx.root.join(".env");
        let text = fsx::read_optional(&path)?.unwrap_or_default();
        let below = Environment::below_env_file(cx, &self.choice)?;
        // A `.env` that cannot be read is not written over: this names the line.
        let before = Environment::resolve(cx, &self.choice)?;
        let kept = cx
            .config()?
            .database
            .as_ref()
            .map(|database| database.url_env.as_str());
        let wanted: Vec<(&str, &str)> = below
            .iter()
            .map(|(name, entry)| (name, entry.value.as_str()))
            .collect();
        let (updated, changes) = merge(&text, &wanted, kept);
        let missing: Vec<&String> = cx
            .config()?
            .env
            .required
            .iter()
            .filter(|name| before.get(name).is_none() && env_file::get(&updated, name).is_none())
            .collect();
        if self.check {
            for change in &changes {
                cx.term.warn(&format!(".env is out of date: {change}"));
            }
            for name in &missing {
                cx.term
                    .warn(&format!("the required variable `{name}` has no value"));
            }
            if changes.is_empty() && missing.is_empty() {
                cx.term.status("Checked", ".env is up to date");
                return Ok(Exit::Done);
            }
            cx.term.hint("run `cargo xtask setup-env`");
            return Ok(Exit::Failed);
        }
        if updated == text {
            cx.term.status("Kept", ".env, which is up to date");
        } else {
            fsx::atomic_write(&path, updated.as_bytes(), fsx::Access::Private)?;
            cx.term
                .status("Wrote", &format!(".env ({})", changes.join(", ")));
        }
        for name in missing {
            cx.term.warn(&format!(
                "the required variable `{name}` has no value: add it to .env"
            ));
        }
        Ok(Exit::Done)
    }
}

/// The `.env` text with every wanted value in it, and what changed. A value that a person wrote or
/// changed stays; one of ours that is no longer wanted goes, but for `kept`, which others manage.
fn merge(text: &str, wanted: &[(&str, &str)], kept: Option<&str>) -> (String, Vec<String>) {
    let mut updated = text.to_owned();
    let mut changes = Vec::new();
    for (name, value) in wanted {
        let ours = env_file::managed_value(&updated, name);
        let present = env_file::get(&updated, name).is_some();
        if ours.as_deref() == Some(value) || (present && ours.is_none()) {
            continue;
        }
        changes.push(format!(
            "{name} {}",
            if present { "changed" } else { "added" }
        ));
        updated = env_file::set_managed(&updated, name, value);
    }
    for name in env_file::managed_names(&updated) {
        let still = wanted.iter().any(|(wanted, _)| *wanted == name) || kept == Some(name.as_str());
        if !still {
            changes.push(format!("{name} removed"));
            updated = env_file::remove_managed(&updated, &name);
        }
    }
    (updated, changes)
}

/// What a shell does not have yet: everything that is not in the process already.
fn overlay(environment: &Environment) -> Vec<(&str, &str)> {
    environment
        .iter()
        .filter(|(_, entry)| entry.origin != Origin::Process)
        .map(|(name, entry)| (name, entry.value.as_str()))
        .collect()
}

fn render(shell: Shell, values: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (name, value) in values {
        let _ = match shell {
            Shell::Sh => writeln!(text, "export {name}='{}'", value.replace('\'', r"'\''")),
            Shell::Fish => {
                let value = value.replace('\\', r"\\").replace('\'', r"\'");
                writeln!(text, "set -gx {name} '{value}'")
            }
            Shell::Powershell => writeln!(text, "$env:{name} = '{}'", double_quotes(value)),
        };
    }
    text
}

/// PowerShell takes each of these for a single quote; a doubled one is one ("about_Quoting_Rules").
fn double_quotes(value: &str) -> String {
    let quotes = ['\'', '\u{2018}', '\u{2019}', '\u{201a}', '\u{201b}'];
    value
        .chars()
        .flat_map(|c| std::iter::repeat_n(c, if quotes.contains(&c) { 2 } else { 1 }))
        .collect()
}

/// Appends to `$GITHUB_ENV` in the form for any value, and masks secrets in the job's log.
fn to_github(cx: &Cx, environment: &Environment) -> anyhow::Result<Exit> {
    let Some(file) = github::file(cx, "GITHUB_ENV") else {
        return Err(Fault::usage("GITHUB_ENV is not set")
            .hint("this is for GitHub Actions; use `--print sh` elsewhere")
            .into());
    };
    let values = overlay(environment);
    for (name, value) in &values {
        for secret in secrets(name, value) {
            cx.term
                .line(&format!("::add-mask::{}", github::escape_data(secret)))?;
        }
    }
    let text = github::assignments(&values, &github::random()?);
    github::append(file, "GITHUB_ENV", &text)?;
    cx.term.status(
        "Appended",
        &format!("{} variables to GITHUB_ENV", values.len()),
    );
    Ok(Exit::Done)
}

/// What must not appear in a log: each line of a secret value, and the password in a URL.
fn secrets<'a>(name: &str, value: &'a str) -> Vec<&'a str> {
    if mask::is_secret_name(name) {
        return value
            .lines()
            .filter(|line| !line.trim().is_empty())
            .collect();
    }
    mask::url_passwords(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_persons_values_stay_and_a_second_run_changes_nothing() {
        let text = "# mine\nLOG=debug\n";
        let (updated, changes) = merge(text, &[("LOG", "warn"), ("MODE", "test")], None);
        assert!(updated.starts_with(text), "{updated}");
        assert_eq!(changes, ["MODE added"]);
        let (again, changes) = merge(&updated, &[("LOG", "warn"), ("MODE", "test")], None);
        assert_eq!((again.as_str(), changes.len()), (updated.as_str(), 0));
        let (updated, changes) = merge(&updated, &[("LOG", "warn")], None);
        assert_eq!(
            (updated.as_str(), changes),
            (text, vec!["MODE removed".to_owned()])
        );
    }

    #[test]
    fn what_others_manage_is_left_alone() {
        let text = env_file::set_managed("", "DATABASE_URL", "postgresql://u:p@h/d");
        assert_eq!(merge(&text, &[], Some("DATABASE_URL")).0, text);
    }

    #[test]
    fn powershell_knows_five_single_quotes() {
        let text = render(Shell::Powershell, &[("A", "it's \u{2019}$x`")]);
        assert_eq!(text, "$env:A = 'it''s \u{2019}\u{2019}$x`'\n");
    }

    #[test]
    fn secrets_are_masked_line_by_line() {
        assert_eq!(secrets("API_TOKEN", "one\n\ntwo"), ["one", "two"]);
        assert_eq!(secrets("DATABASE_URL", "postgresql://u:pw@h/d"), ["pw"]);
    }
}
