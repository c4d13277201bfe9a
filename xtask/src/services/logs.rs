//! Logs: read from their end, whole lines at a time, whatever is in them.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use super::state::Home;
use crate::cx::Cx;
use crate::mask::Secrets;

/// Longer lines are shown as their beginning and how much is left out.
const LONGEST_LINE: usize = 256 * 1024;
const BLOCK: u64 = 64 * 1024;

/// The last lines of a service's last log, with secrets masked.
pub(super) fn tail(home: &Home, name: &str, lines: usize, secrets: &Secrets) -> Vec<String> {
    let Some((_, log)) = home.logs(name).pop() else {
        return Vec::new();
    };
    let mut reader = Reader::default();
    let mut found = Vec::new();
    // A log that cannot be read is shown as one that is empty: this is an addition to an error.
    let _ = reader.open(&log, lines).and_then(|()| {
        reader.read(&mut |line| found.push(secrets.mask(line)))?;
        reader.finish(&mut |line| found.push(secrets.mask(line)));
        Ok(())
    });
    found.retain(|line| !line.trim().is_empty());
    found
}

/// The end of a log, as errors go on with it.
pub(super) fn shown(tail: &[String]) -> String {
    if tail.is_empty() {
        "; its log is empty".to_owned()
    } else {
        format!("; the end of its log:\n{}", tail.join("\n"))
    }
}

/// The log of one service, read as it grows, through new runs and truncations.
#[derive(Debug)]
pub struct Follower {
    /// The service.
    pub name: String,
    home: Home,
    run: Option<u64>,
    reader: Reader,
}

/// What a look at a log came upon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen<'a> {
    /// A whole line.
    Line(&'a str),
    /// From here on it is another run's log, or the same one, emptied.
    Anew(&'static str),
}

impl Follower {
    /// A follower that has seen nothing yet.
    #[must_use]
    pub fn new(cx: &Cx, name: &str) -> Follower {
        Follower {
            name: name.to_owned(),
            home: Home::of(cx),
            run: None,
            reader: Reader::default(),
        }
    }

    /// Begins with the last lines of the log of the last run, or of the one before it. `false` when
    /// there is none yet.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn begin(&mut self, lines: usize, previous: bool) -> io::Result<bool> {
        let logs = self.home.logs(&self.name);
        let Some((run, log)) = logs.iter().rev().nth(usize::from(previous)) else {
            return Ok(false);
        };
        self.reader.open(log, lines)?;
        self.run = Some(*run);
        Ok(true)
    }

    /// Hands on what has come since the last look.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn read(&mut self, see: &mut dyn FnMut(Seen)) -> io::Result<()> {
        if self.reader.read(&mut |line| see(Seen::Line(line)))? {
            see(Seen::Anew("the log was emptied"));
            self.reader.read(&mut |line| see(Seen::Line(line)))?;
        }
        Ok(())
    }

    /// As [`Follower::read`], and goes on to newer runs.
    ///
    /// # Errors
    /// When a log cannot be read.
    pub fn follow(&mut self, see: &mut dyn FnMut(Seen)) -> io::Result<()> {
        self.read(see)?;
        let newer = self.home.logs(&self.name).into_iter().rev();
        let newer: Vec<(u64, PathBuf)> =
            newer.take_while(|(run, _)| Some(*run) > self.run).collect();
        for (run, log) in newer.into_iter().rev() {
            self.finish(see);
            if self.run.is_some() {
                see(Seen::Anew("a new run"));
            }
            self.reader.open(&log, usize::MAX)?;
            self.run = Some(run);
            self.reader.read(&mut |line| see(Seen::Line(line)))?;
        }
        Ok(())
    }

    /// Hands on a last line that has no end.
    pub fn finish(&mut self, see: &mut dyn FnMut(Seen)) {
        self.reader.finish(&mut |line| see(Seen::Line(line)));
    }
}

#[derive(Debug, Default)]
struct Reader {
    file: Option<File>,
    at: u64,
    lines: Lines,
}

impl Reader {
    /// Opens a log, some lines before its end.
    fn open(&mut self, path: &Path, lines: usize) -> io::Result<()> {
        let mut file = File::open(path)?;
        self.at = match lines {
            usize::MAX => 0,
            lines => start_of_last(&mut file, lines)?,
        };
        self.file = Some(file);
        self.lines = Lines::default();
        Ok(())
    }

    /// Hands on the lines that have come; `true` when the log has been emptied since the last call,
    /// which then reads nothing.
    fn read(&mut self, line: &mut dyn FnMut(&str)) -> io::Result<bool> {
        let Some(file) = &mut self.file else {
            return Ok(false);
        };
        if file.metadata()?.len() < self.at {
            self.lines.finish(line);
            self.at = 0;
            return Ok(true);
        }
        file.seek(SeekFrom::Start(self.at))?;
        let mut block = vec![0; usize::try_from(BLOCK).unwrap_or(usize::MAX)];
        loop {
            let n = file.read(&mut block)?;
            if n == 0 {
                return Ok(false);
            }
            self.at += n as u64;
            self.lines.push(&block[..n], line);
        }
    }

    fn finish(&mut self, line: &mut dyn FnMut(&str)) {
        self.lines.finish(line);
    }
}

/// Where the last `n` lines begin. Blocks are read from the end: logs may be large.
fn start_of_last(file: &mut File, n: usize) -> io::Result<u64> {
    let end = file.metadata()?.len();
    if n == 0 {
        return Ok(end);
    }
    let mut seen = 0;
    let mut start = end;
    while start > 0 {
        let from = start.saturating_sub(BLOCK);
        let mut block = Vec::new();
        file.seek(SeekFrom::Start(from))?;
        file.by_ref().take(start - from).read_to_end(&mut block)?;
        for (at, _) in block.iter().enumerate().rev().filter(|it| *it.1 == b'\n') {
            let after = from + at as u64 + 1;
            // The one at the very end closes the last line.
            if after == end {
                continue;
            }
            seen += 1;
            if seen == n {
                return Ok(after);
            }
        }
        start = from;
    }
    Ok(0)
}

/// Cuts bytes into lines.
#[derive(Debug, Default)]
struct Lines {
    partial: Vec<u8>,
    left_out: usize,
}

impl Lines {
    fn push(&mut self, bytes: &[u8], line: &mut dyn FnMut(&str)) {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.keep(&rest[..end]);
            self.emit(line);
            rest = &rest[end + 1..];
        }
        self.keep(rest);
    }

    fn finish(&mut self, line: &mut dyn FnMut(&str)) {
        if !self.partial.is_empty() {
            self.emit(line);
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = LONGEST_LINE.saturating_sub(self.partial.len());
        let kept = bytes.len().min(room);
        self.partial.extend_from_slice(&bytes[..kept]);
        self.left_out += bytes.len() - kept;
    }

    fn emit(&mut self, line: &mut dyn FnMut(&str)) {
        let text = String::from_utf8_lossy(&self.partial);
        let text = text.strip_suffix('\r').unwrap_or(&text);
        match self.left_out {
            0 => line(text),
            // Where it is cut, half a secret would not be known as one.
            n => {
                let whole = text.rfind(char::is_whitespace).unwrap_or(text.len());
                let n = n + text.len() - whole;
                line(&format!("{} … ({n} bytes left out)", &text[..whole]));
            }
        }
        self.partial.clear();
        self.left_out = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(chunks: &[&[u8]]) -> Vec<String> {
        let mut lines = Lines::default();
        let mut found = Vec::new();
        for chunk in chunks {
            lines.push(chunk, &mut |line| found.push(line.to_owned()));
        }
        lines.finish(&mut |line| found.push(line.to_owned()));
        found
    }

    #[test]
    fn lines_are_whole_however_they_come() {
        assert_eq!(cut(&[b"a\nb", b"c\r\n", b"\nd"]), ["a", "bc", "", "d"]);
        // A character that is cut by a block is whole again.
        assert_eq!(cut(&[b"\xc3", b"\xa4\n"]), ["ä"]);
        assert_eq!(cut(&[b"\xff\xfe\n"]), ["\u{fffd}\u{fffd}"]);
    }

    #[test]
    fn a_very_long_line_is_cut_and_says_so() {
        let long = vec![b'x'; LONGEST_LINE];
        let found = cut(&[b"secret ", &long, b"yyy\nnext\n"]);
        assert_eq!(
            found[0],
            format!("secret … ({} bytes left out)", LONGEST_LINE + 4)
        );
        assert_eq!(found[1], "next");
    }

    #[test]
    fn the_end_of_a_log_is_found_in_any_size() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let last = |text: &str, n| {
            std::fs::write(&path, text).unwrap();
            let mut file = File::open(&path).unwrap();
            let start = usize::try_from(start_of_last(&mut file, n).unwrap()).unwrap();
            text[start..].to_owned()
        };
        assert_eq!(last("a\nb\nc\n", 2), "b\nc\n");
        assert_eq!(last("a\nb\nc", 2), "b\nc");
        assert_eq!(last("a\n", 5), "a\n");
        assert_eq!(last("a\n\n\n", 2), "\n\n");
        assert_eq!(last("", 2), "");
        assert_eq!(last("a\n", 0), "");
        let many: String = (0..50_000).map(|n| format!("line {n}\n")).collect();
        assert_eq!(last(&many, 2), "line 49998\nline 49999\n");
        assert_eq!(last(&many, 20_000).lines().count(), 20_000);
    }

    #[test]
    fn a_log_that_is_emptied_is_read_from_its_beginning() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, "one\ntwo\nthr").unwrap();
        let mut reader = Reader::default();
        let mut found = Vec::new();
        reader.open(&path, 1).unwrap();
        assert!(!reader.read(&mut |it| found.push(it.to_owned())).unwrap());
        std::fs::write(&path, "new\n").unwrap();
        assert!(reader.read(&mut |it| found.push(it.to_owned())).unwrap());
        assert!(!reader.read(&mut |it| found.push(it.to_owned())).unwrap());
        assert_eq!(found, ["thr", "new"]);
    }

    proptest::proptest! {
        #[test]
        fn blocks_make_no_difference(
            text in "[a-c\n]{0,60}",
            cuts in proptest::collection::vec(0usize..60, 0..6),
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|at| at.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> =
                cuts.windows(2).map(|it| &text.as_bytes()[it[0]..it[1]]).collect();
            let expected: Vec<&str> = text.lines().collect();
            proptest::prop_assert_eq!(cut(&chunks), expected);
        }
    }
}
