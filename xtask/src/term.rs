//! The terminal: stdout is data, stderr is talk, colour is decoration.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::cmd::GlobalArgs;
use crate::error::{self, Fault};
use crate::exit::Exit;
use crate::mask;
use crate::platform;

/// How results are written to stdout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Human,
    /// For machines.
    Json,
    /// Annotations of GitHub Actions: `tasks check` alone.
    #[value(hide = true)]
    Github,
    /// SARIF 2.1.0: `tasks check` alone.
    #[value(hide = true)]
    Sarif,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` says no or `CLICOLOR_FORCE` says yes.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Whether a live line stands on the terminal, which the next words replace.
static LIVE: AtomicBool = AtomicBool::new(false);
/// A longer one would wrap, and only its last row be replaced.
const LIVE_WIDTH: usize = 79;
/// To the left edge, and everything there away (ECMA-48).
const CLEAR_LINE: &str = "\r\u{1b}[2K";

/// Where a command talks to its user. Cheap to clone; safe to share.
#[derive(Clone, Debug)]
pub struct Term {
    /// How results are written.
    pub format: Format,
    verbosity: i8,
    color: bool,
    live: bool,
}

/// A style: the SGR parameters of ECMA-48.
#[derive(Clone, Copy, Debug)]
pub enum Style {
    /// Success.
    Green,
    /// Failure.
    Red,
    /// Warning.
    Yellow,
    /// Names and hints.
    Cyan,
    /// Emphasis.
    Bold,
    /// Less important.
    Dim,
}

impl Term {
    /// Decides colour and verbosity once, from the flags and the environment.
    #[must_use]
    pub fn new(global: &GlobalArgs) -> Term {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let forced =
            set("CLICOLOR_FORCE") && std::env::var_os("CLICOLOR_FORCE") != Some("0".into());
        let color = decide_color(
            global.color,
            set("NO_COLOR"),
            forced,
            io::stderr().is_terminal() && io::stdout().is_terminal(),
        );
        let verbosity = i8::try_from(global.verbose).unwrap_or(i8::MAX)
            - i8::try_from(global.quiet).unwrap_or(i8::MAX);
        let dumb = std::env::var_os("TERM").is_some_and(|it| it == "dumb");
        Term {
            format: global.format,
            verbosity,
            color,
            live: verbosity >= 0 && !dumb && io::stderr().is_terminal(),
        }
    }

    /// A terminal for tests: no colour, normal verbosity.
    #[must_use]
    pub fn plain() -> Term {
        Term {
            format: Format::Human,
            verbosity: 0,
            color: false,
            live: false,
        }
    }

    /// The text in a style, or plain where colour is off.
    #[must_use]
    pub fn paint(&self, style: Style, text: &str) -> String {
        if !self.color {
            return text.to_owned();
        }
        let code = match style {
            Style::Green => "32",
            Style::Red => "31",
            Style::Yellow => "33",
            Style::Cyan => "36",
            Style::Bold => "1",
            Style::Dim => "2",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    /// Whether results go out as JSON.
    #[must_use]
    pub fn json(&self) -> bool {
        self.format == Format::Json
    }

    /// Whether `-v` was given.
    #[must_use]
    pub fn verbose(&self) -> bool {
        self.verbosity > 0
    }

    /// Progress: a right-aligned verb and what it is about (stderr; silent with `-q`).
    pub fn status(&self, verb: &str, message: &str) {
        if self.verbosity >= 0 {
            let verb = self.paint(Style::Green, &format!("{verb:>12}"));
            self.say(&format!("{verb} {message}"));
        }
    }

    /// Whether there are live lines: on a terminal, unless it is a dumb one.
    #[must_use]
    pub fn has_live_lines(&self) -> bool {
        self.live
    }

    /// Progress that the next words replace, whatever they are. While one stands, nothing else may
    /// write to the terminal but through this type.
    pub fn live(&self, verb: &str, message: &str) {
        let line: String = mask::mask_urls(&format!("{verb:>12} {message}"))
            .chars()
            .take(LIVE_WIDTH)
            .collect();
        let mut stderr = io::stderr().lock();
        LIVE.store(true, Ordering::SeqCst);
        let _ = write!(stderr, "{CLEAR_LINE}{}", self.paint(Style::Dim, &line));
        let _ = stderr.flush();
    }

    /// A detail (stderr; only with `-v`).
    pub fn detail(&self, message: &str) {
        if self.verbosity > 0 {
            self.say(&self.paint(Style::Dim, &format!("{:>12} {message}", "")));
        }
    }

    /// A warning (stderr; always).
    pub fn warn(&self, message: &str) {
        self.say(&format!(
            "{} {message}",
            self.paint(Style::Yellow, "warning:")
        ));
    }

    /// A hint: the next command to run (stderr; always).
    pub fn hint(&self, message: &str) {
        self.say(&format!("{} {message}", self.paint(Style::Cyan, "hint:")));
    }

    /// An error with its chain of causes and its hint (stderr; always, but once).
    pub fn error(&self, error: &anyhow::Error) {
        if error::is_shown(error) {
            return;
        }
        if error::exit_of(error) == Exit::Interrupted {
            self.say(&self.paint(Style::Yellow, "interrupted"));
            return;
        }
        self.say(&format!("{} {error:#}", self.paint(Style::Red, "error:")));
        if let Some(hint) = error::hint_of(error) {
            self.say("");
            self.hint(hint);
        }
    }

    /// A raw line on stderr, with URL passwords masked. A closed stderr is no reason to fail.
    pub fn say(&self, line: &str) {
        let mut stderr = io::stderr().lock();
        let clear = if LIVE.swap(false, Ordering::SeqCst) {
            CLEAR_LINE
        } else {
            ""
        };
        let _ = writeln!(stderr, "{clear}{}", mask::mask_urls(line));
    }

    /// Asks, and says whether the answer is `yes`. Whether there is anybody to ask is the caller's to know.
    ///
    /// # Errors
    /// After Ctrl-C, and when stdin cannot be read.
    pub fn confirmed(&self, question: &str) -> anyhow::Result<bool> {
        self.say(&format!("{question} Type `yes` to go on:"));
        // A read goes on after a signal: the thread that waits for it ends with the process.
        let (answer, answered) = mpsc::channel();
        thread::spawn(move || {
            let mut line = String::new();
            let _ = answer.send(io::stdin().lock().read_line(&mut line).map(|_| line));
        });
        loop {
            if platform::interrupted() {
                return Err(Fault::interrupted().into());
            }
            match answered.recv_timeout(Duration::from_millis(50)) {
                Ok(line) => return Ok(line?.trim() == "yes"),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(false),
            }
        }
    }

    /// Data on stdout, as it is. A closed pipe (`| head`) is a normal end.
    ///
    /// # Errors
    /// Any other failure to write.
    pub fn data(&self, text: &str) -> anyhow::Result<()> {
        self.stream(text).map(|_| ())
    }

    /// Data on stdout that more will follow: `false` when nobody reads it any more.
    ///
    /// # Errors
    /// As [`Term::data`].
    pub fn stream(&self, text: &str) -> anyhow::Result<bool> {
        let mut stdout = io::stdout().lock();
        match stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush())
        {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(anyhow::Error::from(error).context("failed to write to stdout")),
        }
    }

    /// A line of data on stdout.
    ///
    /// # Errors
    /// As [`Term::data`].
    pub fn line(&self, text: &str) -> anyhow::Result<()> {
        self.data(&format!("{text}\n"))
    }

    /// A value as pretty JSON on stdout.
    ///
    /// # Errors
    /// As [`Term::data`].
    pub fn json_data(&self, value: &impl serde::Serialize) -> anyhow::Result<()> {
        self.line(&serde_json::to_string_pretty(value)?)
    }
}

/// How long something took: `3.2s`, `2m 05s`.
#[must_use]
pub fn seconds(took: Duration) -> String {
    let seconds = took.as_secs();
    if seconds < 60 {
        format!("{:.1}s", took.as_secs_f64())
    } else {
        format!("{}m {:02}s", seconds / 60, seconds % 60)
    }
}

fn decide_color(choice: ColorChoice, no_color: bool, forced: bool, terminal: bool) -> bool {
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => !no_color && (forced || terminal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_follows_the_flag_then_the_conventions() {
        use ColorChoice::{Always, Auto, Never};
        for (choice, no_color, forced, terminal, expected) in [
            (Auto, false, false, true, true),
            (Auto, false, false, false, false),
            (Auto, true, false, true, false),
            (Auto, true, true, true, false),
            (Auto, false, true, false, true),
            (Always, true, false, false, true),
            (Never, false, true, true, false),
        ] {
            assert_eq!(decide_color(choice, no_color, forced, terminal), expected);
        }
    }
}
