//! Words of bash that a script under `sh` does not understand. Pure; exact rather than complete: what
//! it names fails, or means something else, in dash, which is `sh` on Debian and Ubuntu.

/// Something that only bash (and its kin) understands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bashism {
    /// Where in the script, in bytes.
    pub offset: usize,
    /// How long it is, in bytes.
    pub len: usize,
    /// What it is, in a few words.
    pub what: &'static str,
}

/// Commands within commands are looked at down to here: nobody writes more, and each is read once more
/// for each that it stands in.
const DEEPEST: usize = 16;

/// What stands in `script` that needs bash. Comments, quoted text and here-documents are not code.
#[must_use]
pub fn bashisms(script: &str) -> Vec<Bashism> {
    bashisms_at(script, 0)
}

fn bashisms_at(script: &str, depth: usize) -> Vec<Bashism> {
    Scanner {
        depth,
        text: script,
        bytes: script.as_bytes(),
        at: 0,
        found: Vec::new(),
        command: true,
        heredocs: Vec::new(),
    }
    .run()
}

/// The interpreter that a script's first line asks for, without its directory: `bash`.
#[must_use]
pub fn shebang(script: &str) -> Option<&str> {
    let line = script.trim_start().lines().next()?.strip_prefix("#!")?;
    let mut words = line.split_whitespace();
    let program = words.next()?.rsplit(['/', '\\']).next()?;
    if program == "env" {
        return words.find(|word| !word.starts_with('-') && !word.contains('='));
    }
    Some(program)
}

/// Commands that are built into bash and that dash has not, or that do something else there.
const COMMANDS: [(&str, &str); 9] = [
    ("source", "`source`; sh has `.`"),
    ("declare", "`declare`"),
    ("typeset", "`typeset`"),
    ("shopt", "`shopt`"),
    ("mapfile", "`mapfile`"),
    ("readarray", "`readarray`"),
    ("pushd", "`pushd`"),
    ("popd", "`popd`"),
    ("function", "the word `function`"),
];

struct Scanner<'a> {
    /// In how many commands within quotes the text stands.
    depth: usize,
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    found: Vec<Bashism>,
    /// Whether the next word is a command's name.
    command: bool,
    /// Delimiters of here-documents that begin after this line.
    heredocs: Vec<String>,
}

impl Scanner<'_> {
    fn run(mut self) -> Vec<Bashism> {
        while let Some(byte) = self.peek(0) {
            match byte {
                b'\\' => self.at += 2,
                b'\'' => self.single(),
                b'"' => self.double(),
                b'`' => self.step(true),
                b'#' if self.word_starts() => self.skip_line(),
                b'\n' => {
                    self.at += 1;
                    self.skip_heredocs();
                    self.command = true;
                }
                b';' => {
                    if self.starts(";&") || self.starts(";;&") {
                        self.note(2, "`;&` in `case`");
                    }
                    self.step(true);
                }
                b'|' => {
                    if self.starts("|&") {
                        self.note(2, "`|&`");
                    }
                    self.step(true);
                }
                b'&' => self.ampersand(),
                b'<' => self.less(),
                b'>' => {
                    // `>&1` and `2>&1` are sh; `>& file` is bash.
                    if self.starts(">&")
                        && self
                            .peek(2)
                            .is_some_and(|c| c == b' ' || c == b'/' || c.is_ascii_alphabetic())
                    {
                        self.note(2, "`>&` to a file; sh has `> file 2>&1`");
                    }
                    self.step(false);
                    if matches!(self.peek(0), Some(b'&' | b'>')) {
                        self.at += 1;
                    }
                    // `>|` is sh.
                    if self.peek(0) == Some(b'|') {
                        self.at += 1;
                    }
                }
                b'(' => {
                    if self.starts("((") && self.command {
                        self.note(2, "`((` arithmetic; sh has `$((`");
                        self.at += 2;
                    } else {
                        self.step(true);
                    }
                }
                b'$' => self.dollar(false),
                b' ' | b'\t' | b'\r' => self.at += 1,
                b')' | b'}' | b'{' | b'!' => self.step(true),
                _ => self.word(),
            }
        }
        self.found
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    fn starts(&self, what: &str) -> bool {
        self.bytes
            .get(self.at..)
            .is_some_and(|rest| rest.starts_with(what.as_bytes()))
    }

    fn step(&mut self, command: bool) {
        self.at += 1;
        self.command = command;
    }

    fn note(&mut self, len: usize, what: &'static str) {
        self.found.push(Bashism {
            offset: self.at,
            len,
            what,
        });
    }

    fn word_starts(&self) -> bool {
        self.at == 0
            || matches!(
                self.bytes[self.at - 1],
                b' ' | b'\t' | b'\n' | b';' | b'(' | b'&' | b'|'
            )
    }

    fn skip_line(&mut self) {
        while self.peek(0).is_some_and(|byte| byte != b'\n') {
            self.at += 1;
        }
    }

    fn single(&mut self) {
        self.at += 1;
        while self.peek(0).is_some_and(|byte| byte != b'\'') {
            self.at += 1;
        }
        self.step(false);
    }

    fn double(&mut self) {
        self.at += 1;
        loop {
            match self.peek(0) {
                None => return,
                Some(b'"') => return self.step(false),
                Some(b'\\') => self.at += 2,
                Some(b'$') => self.dollar(true),
                Some(_) => self.at += 1,
            }
        }
    }

    fn ampersand(&mut self) {
        if self.starts("&>") {
            self.note(2, "`&>`; sh has `> file 2>&1`");
            self.at += 2;
            if self.peek(0) == Some(b'>') {
                self.at += 1;
            }
            self.command = false;
        } else {
            self.step(true);
        }
    }

    fn less(&mut self) {
        if self.starts("<<<") {
            self.note(3, "`<<<` here-string");
            self.at += 3;
        } else if self.starts("<(") {
            self.note(2, "`<(` process substitution");
            self.at += 2;
        } else if self.starts("<<") {
            self.heredoc();
        } else {
            self.at += 1;
        }
        self.command = false;
    }

    /// Remembers the delimiter; its text comes after this line.
    fn heredoc(&mut self) {
        self.at += 2;
        if self.peek(0) == Some(b'-') {
            self.at += 1;
        }
        while matches!(self.peek(0), Some(b' ' | b'\t')) {
            self.at += 1;
        }
        let start = self.at;
        while self
            .peek(0)
            .is_some_and(|byte| !byte.is_ascii_whitespace() && !b";|&<>()".contains(&byte))
        {
            self.at += 1;
        }
        let word: String = self
            .text
            .get(start..self.at)
            .unwrap_or_default()
            .chars()
            .filter(|c| !"'\"\\".contains(*c))
            .collect();
        if !word.is_empty() {
            self.heredocs.push(word);
        }
    }

    fn skip_heredocs(&mut self) {
        for delimiter in std::mem::take(&mut self.heredocs) {
            while self.at < self.bytes.len() {
                let start = self.at;
                self.skip_line();
                let line = self.text.get(start..self.at).unwrap_or_default();
                self.at = (self.at + 1).min(self.bytes.len());
                if line.trim_start_matches('\t').trim_end_matches('\r') == delimiter {
                    break;
                }
            }
        }
    }

    /// `$…`, also within double quotes.
    fn dollar(&mut self, quoted: bool) {
        if self.starts("$'") && !quoted {
            self.note(2, "`$'` quoting");
            self.at += 1;
            // `\'` does not end it.
            self.at += 1;
            while let Some(byte) = self.peek(0) {
                match byte {
                    b'\\' => self.at += 2,
                    b'\'' => break,
                    _ => self.at += 1,
                }
            }
            self.step(false);
        } else if self.starts("$((") {
            // Arithmetic is sh; what is in it is no command.
            self.at = after_arithmetic(self.bytes, self.at);
            self.command = false;
        } else if self.starts("${") {
            self.parameter();
            self.command = false;
        } else if self.starts("$(") && quoted {
            // A command within quotes: scanned as one, to its end.
            self.at += 2;
            self.substitution();
        } else {
            self.at += 1;
            self.command = self.command && self.peek(0) == Some(b'(');
        }
    }

    /// The inside of `"$(…)"`.
    fn substitution(&mut self) {
        let start = self.at;
        let end = end_of_command(self.bytes, start);
        if self.depth < DEEPEST {
            let inside = self.text.get(start..end).unwrap_or_default();
            for inner in bashisms_at(inside, self.depth + 1) {
                self.found.push(Bashism {
                    offset: start + inner.offset,
                    ..inner
                });
            }
        }
        self.at = (end + 1).min(self.bytes.len());
    }

    /// `${…}`: arrays, substrings, replacement, indirection and case are bash's.
    fn parameter(&mut self) {
        let start = self.at;
        self.at = after_parameter(self.bytes, start);
        let end = self.at.min(self.bytes.len());
        let inside = self
            .text
            .get(start + 2..end.saturating_sub(1))
            .unwrap_or_default();
        let name_len = inside
            .bytes()
            .take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
            .count();
        let rest = inside.get(name_len..).unwrap_or_default();
        let named = name_len > 0;
        let what = if inside.starts_with('!') {
            Some("`${!x}` indirection")
        } else if (named && rest.starts_with('['))
            || (inside.starts_with('#') && inside.contains('['))
        {
            Some("an array")
        } else if named && rest.starts_with('/') {
            Some("`${x/a/b}` replacement")
        } else if named && (rest.starts_with('^') || rest.starts_with(',')) {
            Some("`${x^}` or `${x,}` change of case")
        } else if named
            && rest.starts_with(':')
            && rest[1..].starts_with(|c: char| c.is_ascii_digit() || c == ' ' || c == '$')
        {
            Some("`${x:1:2}` substring")
        } else {
            None
        };
        if let Some(what) = what {
            self.found.push(Bashism {
                offset: start,
                len: end - start,
                what,
            });
        }
    }

    /// A plain word: a command's name, an argument, an assignment.
    fn word(&mut self) {
        let start = self.at;
        while self
            .peek(0)
            .is_some_and(|byte| !byte.is_ascii_whitespace() && !b";|&<>()'\"`$\\{}".contains(&byte))
        {
            self.at += 1;
        }
        if self.at == start {
            // A byte that is none of ours.
            self.at += 1;
        }
        let word = self.text.get(start..self.at).unwrap_or_default();
        let note = |what| Bashism {
            offset: start,
            len: word.len(),
            what,
        };
        // `a=(1 2)`, `a+=(3)`, `a+=x`, `a[0]=x`.
        if let Some((name, _)) = word.split_once('=') {
            let plain = |name: &str| {
                name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                    && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            };
            let (bare, index) = match name.split_once('[') {
                Some((bare, _)) => (bare, true),
                None => (name.strip_suffix('+').unwrap_or(name), false),
            };
            if self.command && plain(bare) {
                if index || (word.ends_with('=') && self.peek(0) == Some(b'(')) {
                    self.found.push(note("an array"));
                    // What is in the parentheses is no command.
                    if self.peek(0) == Some(b'(') {
                        self.at += 1;
                        self.command = false;
                    }
                } else if name.ends_with('+') {
                    self.found.push(note("`+=`"));
                }
                return; // An assignment: the command may follow.
            }
        }
        if !self.command {
            if word == "==" {
                // Only within `[ … ]`, where dash knows `=` alone.
                let line_start = self.text[..start].rfind('\n').map_or(0, |at| at + 1);
                let before = &self.text[line_start..start];
                if in_test(before) {
                    self.found.push(note("`==` in `[`; sh has `=`"));
                }
            }
            return;
        }
        match word {
            "[[" => self.found.push(note("`[[`; sh has `[`")),
            "if" | "while" | "until" | "then" | "do" | "else" | "elif" | "time" | "exec"
            | "command" => return,
            "set" => {
                let rest = self.text[self.at..].lines().next().unwrap_or_default();
                let pipefail = rest
                    .split([';', '&', '|', '#'])
                    .next()
                    .unwrap_or_default()
                    .split_whitespace()
                    .any(|it| it == "pipefail");
                if pipefail {
                    self.found.push(Bashism {
                        offset: start,
                        len: word.len(),
                        what: "`set -o pipefail`",
                    });
                }
            }
            "read" => {
                let rest = self.text[self.at..].lines().next().unwrap_or_default();
                let array = rest.split_whitespace().take_while(|it| it.starts_with('-'));
                if array
                    .into_iter()
                    .any(|it| it.contains('a') || it.contains('d'))
                {
                    self.found.push(note("`read -a` or `read -d`"));
                }
            }
            "export" | "local" | "readonly" => {}
            word => {
                if let Some((_, what)) = COMMANDS.iter().find(|(name, _)| *name == word) {
                    self.found.push(note(what));
                }
            }
        }
        self.command = false;
    }
}

/// Whether `before`, the line up to here, is inside of `[ …`.
fn in_test(before: &str) -> bool {
    let mut inside = false;
    for word in before.split_whitespace() {
        match word {
            "[" => inside = true,
            "]" | "];" => inside = false,
            _ => {}
        }
    }
    inside
}

/// Where the command ends whose `"$(` ends at `at`: its `)`, or the text's end. One pass, however deep
/// quotes and commands stand in each other.
fn end_of_command(bytes: &[u8], mut at: usize) -> usize {
    enum Inside {
        /// With so many `(` open.
        Command(usize),
        Quotes,
    }
    let mut inside = vec![Inside::Command(1)];
    while let (Some(innermost), Some(byte)) = (inside.last_mut(), bytes.get(at)) {
        match (innermost, byte) {
            (_, b'\\') => at += 1,
            (Inside::Command(_), b'\'') => {
                let rest = &bytes[at + 1..];
                at += 1 + rest
                    .iter()
                    .position(|it| *it == b'\'')
                    .unwrap_or(rest.len());
            }
            (Inside::Command(_), b'"') => inside.push(Inside::Quotes),
            (Inside::Command(open), b'(') => *open += 1,
            (Inside::Command(open), b')') => {
                *open -= 1;
                if *open == 0 {
                    inside.pop();
                    if inside.is_empty() {
                        return at;
                    }
                }
            }
            (Inside::Quotes, b'"') => {
                inside.pop();
            }
            (Inside::Quotes, b'$') => {
                let rest = &bytes[at..];
                if rest.starts_with(b"$((") {
                    at = after_arithmetic(bytes, at);
                    continue;
                } else if rest.starts_with(b"${") {
                    at = after_parameter(bytes, at);
                    continue;
                } else if rest.starts_with(b"$(") {
                    at += 1;
                    inside.push(Inside::Command(1));
                }
            }
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

/// Past the `$((…))` at `at`.
fn after_arithmetic(bytes: &[u8], at: usize) -> usize {
    let mut open = 0_usize;
    for (n, byte) in bytes.iter().enumerate().skip(at + 1) {
        match byte {
            b'(' => open += 1,
            b')' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return n + 1;
        }
    }
    bytes.len()
}

/// Past the `${…}` at `at`.
fn after_parameter(bytes: &[u8], mut at: usize) -> usize {
    let mut open = 0_usize;
    at += 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 1,
            b'{' => open += 1,
            b'}' => open -= 1,
            _ => {}
        }
        at += 1;
        if open == 0 {
            break;
        }
    }
    at.min(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whats(script: &str) -> Vec<&'static str> {
        bashisms(script).into_iter().map(|it| it.what).collect()
    }

    #[test]
    fn what_only_bash_knows_is_found() {
        for (script, what) in [
            ("if [[ -f x ]]; then echo y; fi", "`[[`; sh has `[`"),
            ("set -euo pipefail", "`set -o pipefail`"),
            ("set -o pipefail\necho", "`set -o pipefail`"),
            ("((n++))", "`((` arithmetic; sh has `$((`"),
            ("n=1; (( n += 1 ))", "`((` arithmetic; sh has `$((`"),
            ("source .env", "`source`; sh has `.`"),
            ("a && source .env", "`source`; sh has `.`"),
            ("diff <(a) b", "`<(` process substitution"),
            ("bundle check &>/dev/null", "`&>`; sh has `> file 2>&1`"),
            ("make >& log", "`>&` to a file; sh has `> file 2>&1`"),
            ("files=(a b c)", "an array"),
            ("files+=(d)", "an array"),
            ("a[0]=x", "an array"),
            ("echo ${files[@]}", "an array"),
            ("echo \"${files[0]}\"", "an array"),
            ("echo ${#files[@]}", "an array"),
            ("echo \"${name//a/b}\"", "`${x/a/b}` replacement"),
            ("echo ${name^^}", "`${x^}` or `${x,}` change of case"),
            ("echo ${name:0:3}", "`${x:1:2}` substring"),
            ("echo ${!name}", "`${!x}` indirection"),
            ("cat <<< \"$x\"", "`<<<` here-string"),
            ("function f { echo; }", "the word `function`"),
            ("declare -A map", "`declare`"),
            ("a |& b", "`|&`"),
            ("x+=1", "`+=`"),
            ("echo \"$(source x)\"", "`source`; sh has `.`"),
            (
                "if [ \"$a\" == b ]; then echo; fi",
                "`==` in `[`; sh has `=`",
            ),
            ("IFS=, read -ra parts", "`read -a` or `read -d`"),
            ("echo $'a\\tb'", "`$'` quoting"),
            ("if true; then\n  [[ x ]]\nfi", "`[[`; sh has `[`"),
        ] {
            assert_eq!(whats(script), [what], "{script}");
        }
    }

    #[test]
    fn what_sh_knows_is_not() {
        for script in [
            "set -eu\nif [ -f x ]; then . ./.env; fi",
            "echo '[[ source ]]' \"((n++))\" # [[ source",
            "n=$((n + 1)); echo $((n*2))",
            "cmd > file 2>&1; cmd >&2; cmd 2>/dev/null; cmd >> log",
            "echo ${x:-default} ${x:=y} ${x%/*} ${x##*/} ${#x} ${x:+y} ${x:?gone}",
            "cat <<EOF\nsource x\n[[ a ]]\nEOF\necho done",
            "cat <<-'EOF'\n\tsource x\n\tEOF\n",
            "echo source; git add source",
            "(cd x && make)",
            "a=b c=d env",
            "make a=b x+=1",
            "sleep 1 & wait",
            "f() { echo x; }",
            "case $x in a) echo 1;; *) echo 2;; esac",
            "cargo test -- --exact a==b",
            "echo a == b",
            "x=$(cat y)",
            "x=`cat y`",
            "while read -r line; do echo \"$line\"; done < file",
            "printf '%s\\n' \"$@\"",
            "",
        ] {
            assert_eq!(whats(script), Vec::<&str>::new(), "{script}");
        }
    }

    /// Each one more was read twice: 2^40 times (found by fuzzing).
    #[test]
    fn commands_in_commands_are_read_once_for_each_that_they_stand_in() {
        let within = |n: usize| {
            let (open, close) = ("echo \"$(".repeat(n), ")\"".repeat(n));
            format!("{open}source x{close}; source y")
        };
        assert_eq!(whats(&within(3)).len(), 2);
        assert_eq!(whats(&within(DEEPEST)).len(), 2);
        assert_eq!(
            whats(&within(40)).len(),
            1,
            "the one in the middle is too deep"
        );
        assert_eq!(whats(&"echo \"$(".repeat(40)), Vec::<&str>::new());
    }

    #[test]
    fn the_end_of_a_command_in_quotes_is_found() {
        for (script, end) in [
            (r#"a) source b"#, 1),
            (r#"a (b) c) d"#, 7),
            (r#"a ")" \) ')' "$(b ")")" c) d"#, 25),
            (r#"a "${x)}" "$((1 + (2)))" c) d"#, 26),
            (r#"a "b"#, 4),
            ("a 'b)", 5),
            ("a\\", 2),
        ] {
            assert_eq!(end_of_command(script.as_bytes(), 0), end, "{script}");
        }
    }

    #[test]
    fn a_first_line_names_its_interpreter() {
        for (script, expected) in [
            ("#!/bin/bash\nx", Some("bash")),
            ("\n#!/usr/bin/env bash\nx", Some("bash")),
            ("#!/usr/bin/env -S python3 -u\n", Some("python3")),
            ("#!@rust", Some("@rust")),
            ("echo\n#!/bin/bash", None),
            ("", None),
        ] {
            assert_eq!(shebang(script), expected, "{script:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_text_is_scanned_to_its_end(text in "(?s).{0,80}") {
            for found in bashisms(&text) {
                proptest::prop_assert!(found.offset <= text.len());
            }
        }

        #[test]
        fn nor_does_shell_like_text_stop_it(text in "([ \\n;|&<>()'\"`$#{}\\\\!\\[\\]=+a-c]|source|<<E|\\$\\(\\(|é){0,60}") {
            for found in bashisms(&text) {
                proptest::prop_assert!(found.offset <= text.len());
            }
        }
    }
}
