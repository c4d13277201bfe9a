//! Scripts in task files: what they are, and what they stumble over.

use crate::lint::facts::home;
use crate::lint::{Check, Family, Found, Level, Rule, View, shell};
use crate::makefile::{Data, Field, Span, Task, Value};

pub(super) static RULES: &[Rule] = &[
    Rule {
        name: "inline-script",
        family: Family::Scripts,
        level: Level::Deny,
        what: "a script in a task",
        why: "nothing checks it before it runs: no types, no tests, another shell on each system",
        mend: "make it a subcommand of `cargo xtask`, or a `command` with `args`",
        fixable: false,
        check: Check::Directory(inline_script),
    },
    Rule {
        name: "script-file",
        family: Family::Scripts,
        level: Level::Deny,
        what: "a task that runs a shell script's file",
        why: "cargo-make takes its path from the working directory, and Windows has no shell for it",
        mend: "make it a subcommand of `cargo xtask`",
        fixable: false,
        check: Check::Directory(script_file),
    },
    Rule {
        name: "start-script",
        family: Family::Scripts,
        level: Level::Deny,
        what: "a script that runs at every start: `load_script`, `env_scripts`, a variable from a script",
        why: "cargo-make runs it before every task of every directory that extends the file, also for `--list-all-steps`",
        mend: "let the command that needs the value find it",
        fixable: false,
        check: Check::Directory(start_script),
    },
    Rule {
        name: "bash-in-sh",
        family: Family::Scripts,
        level: Level::Deny,
        what: "a script with words of bash that runs under sh",
        why: "a script without a first line `#!` runs under `sh`, which is dash on Debian and Ubuntu: `[[` is not found there, `&>` starts a background job, `((n++))` fails",
        mend: "begin the script with `#!/usr/bin/env bash`, or use the words of sh",
        fixable: false,
        check: Check::Directory(bash_in_sh),
    },
    Rule {
        name: "counter-ends-script",
        family: Family::Scripts,
        level: Level::Deny,
        what: "`((n++))` under `set -e`",
        why: "it ends with 1 where n was 0, and `set -e` ends the script there: a check stops at its first success",
        mend: "write `n=$((n + 1))`",
        fixable: false,
        check: Check::Directory(counter_ends_script),
    },
    Rule {
        name: "lost-exports",
        family: Family::Scripts,
        level: Level::Deny,
        what: "a script that only sets variables",
        why: "each script has a process of its own: what it exports ends with it, and nothing is set up",
        mend: "put the values into [env], into `.env`, or run the command by `cargo xtask exec`",
        fixable: false,
        check: Check::Directory(lost_exports),
    },
    Rule {
        name: "unix-command",
        family: Family::Scripts,
        level: Level::Warn,
        what: "a command that Windows does not have",
        why: "the task fails there, where people have no `rm`, `cp`, `sh` or `export`",
        mend: "use `cargo xtask`, or give the task a `windows` override",
        fixable: false,
        check: Check::Directory(unix_command),
    },
];

/// The script of a task that stands in the file: its parts, with where each stands.
fn parts(value: &Value) -> Vec<(&str, Span)> {
    let text = |value: &'_ Value| value.as_str().map(|_| value.span);
    match &value.data {
        Data::String(script) => vec![(script, value.span)],
        Data::Array(lines) => lines
            .iter()
            .filter_map(|line| Some((line.as_str()?, text(line)?)))
            .collect(),
        Data::Table(entries) => entries
            .iter()
            .filter(|entry| matches!(&*entry.key, "pre" | "main" | "post"))
            .filter_map(|entry| Some((entry.value.as_str()?, entry.value.span)))
            .collect(),
        _ => Vec::new(),
    }
}

/// The lines of a script that say something.
pub(super) fn lines(script: &Value) -> Vec<&str> {
    parts(script)
        .into_iter()
        .flat_map(|(text, _)| text.lines())
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect()
}

/// The scripts of a task, also of its platforms', as they stand in files.
fn scripts(task: &Task) -> Vec<(&'static str, Field)> {
    let mut found = Vec::new();
    for name in ["script", "install_script", "condition_script"] {
        if let Some(field) = task.get(name) {
            found.push((name, field.clone()));
        }
        for platform in ["linux", "windows", "mac"] {
            if let Some(field) = task.get(platform)
                && let Some(entry) = field.value.entry(name)
            {
                found.push((
                    name,
                    Field {
                        value: std::sync::Arc::new(entry.value.clone()),
                        key: entry.key_span,
                        ..field.clone()
                    },
                ));
            }
        }
    }
    found.retain(|(_, field)| !field.source.is_internal());
    found
}

fn inline_script(view: &View, found: &mut Found) {
    for raw in view.raws() {
        for (name, field) in scripts(raw) {
            if field.value.get("file").is_some() || name == "condition_script" {
                continue;
            }
            let n = lines(&field.value).len();
            let many = if n == 1 { "line" } else { "lines" };
            let raw = found.at(
                &field.source,
                field.key,
                format!("`{}` has a script of {n} {many}", raw.name),
            );
            if let Some(command) = as_command(&lines(&field.value)) {
                raw.help(format!("it is one command: {command}"));
            }
        }
    }
}

/// A script of one plain command, as `command` and `args`.
fn as_command(lines: &[&str]) -> Option<String> {
    let [line] = lines else { return None };
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@,+ ".contains(c);
    if !line.chars().all(plain) {
        return None;
    }
    let mut words = line.split_whitespace();
    let command = words.next()?;
    if command.contains('=') || matches!(command, "cd" | "." | "export" | "set") {
        return None;
    }
    let args: Vec<String> = words.map(|word| format!("\"{word}\"")).collect();
    Some(format!(
        "`command = \"{command}\"`, `args = [{}]`",
        args.join(", ")
    ))
}

const SHELLS: [&str; 8] = [
    "sh",
    "bash",
    "zsh",
    "dash",
    "ksh",
    "fish",
    "pwsh",
    "powershell",
];

/// Whether a path is that of a shell script.
fn is_script(path: &str) -> bool {
    let suffix = path.rsplit('.').next().unwrap_or_default();
    path.contains('.') && matches!(suffix, "sh" | "bash" | "zsh" | "ps1" | "bat" | "cmd")
}

fn script_file(view: &View, found: &mut Found) {
    for task in view.tasks() {
        if let Some(field) = task.get("script")
            && let Some(entry) = field.value.entry("file")
            && !field.source.is_internal()
        {
            let path = entry.value.as_str().unwrap_or_default();
            found.at(
                &field.source,
                entry.value.span,
                format!("`{}` runs the file `{path}`", task.name),
            );
        }
        let Some(command) = task.get("command").filter(|it| !it.source.is_internal()) else {
            continue;
        };
        let word = command.value.as_str().unwrap_or_default();
        if is_script(word) {
            found.at(
                &command.source,
                command.value.span,
                format!("`{}` runs the file `{word}`", task.name),
            );
        } else if SHELLS.contains(&word)
            && let Some(args) = task.get("args")
            && let Some(script) = args.value.elements().iter().find(|it| {
                it.as_str()
                    .is_some_and(|it| !it.starts_with('-') && is_script(it))
            })
        {
            let path = script.as_str().unwrap_or_default();
            found.at(
                &args.source,
                script.span,
                format!("`{}` runs the file `{path}`", task.name),
            );
        }
    }
}

fn start_script(view: &View, found: &mut Found) {
    let makefile = &view.directory.makefile;
    for key in [
        "load_script",
        "linux_load_script",
        "windows_load_script",
        "mac_load_script",
    ] {
        if let Some(field) = makefile
            .config
            .get(key)
            .filter(|it| !it.source.is_internal())
        {
            found.at(
                &field.source,
                field.key,
                format!("`{key}` runs at every start"),
            );
        }
    }
    for field in makefile
        .env_scripts
        .iter()
        .filter(|it| !it.source.is_internal())
    {
        found.at(&field.source, field.key, "this script runs at every start");
    }
    for (name, field) in &makefile.env {
        if let Some(entry) = field.value.entry("script")
            && !field.source.is_internal()
        {
            found.at(
                &field.source,
                entry.key_span,
                format!("`{name}` is found by a script at every start"),
            );
        }
    }
}

/// Whether cargo-make runs a task's script under `sh`.
fn runs_in_sh(task: &Task, script: &str) -> bool {
    if task.get("script_extension").is_some() {
        return false;
    }
    match task.text("script_runner") {
        Some("sh" | "/bin/sh" | "dash" | "@shell") => true,
        Some(_) => false,
        None => matches!(shell::shebang(script), None | Some("sh" | "dash")),
    }
}

fn bash_in_sh(view: &View, found: &mut Found) {
    for task in view.tasks() {
        for (name, field) in scripts(&task) {
            if field.value.get("file").is_some() {
                continue;
            }
            let all = parts(&field.value);
            let whole: Vec<&str> = all.iter().map(|(text, _)| *text).collect();
            let script = whole.join("\n");
            if name == "script" && !runs_in_sh(&task, &script) {
                continue;
            }
            if name != "script" && shell::shebang(&script).is_some_and(|it| it != "sh") {
                continue;
            }
            let words = shell::bashisms(&script);
            // Each kind once a script: the first place of it.
            let mut said = Vec::new();
            let mut start = 0;
            for (text, span) in all {
                let end = start + text.len();
                for it in &words {
                    if it.offset < start
                        || it.offset >= end.max(start + 1)
                        || said.contains(&it.what)
                    {
                        continue;
                    }
                    said.push(it.what);
                    let word = script
                        .get(it.offset..it.offset + it.len)
                        .unwrap_or_default();
                    let place = place(&field.source.text, span, text, it.offset - start, word);
                    let (what, instead) = match it.what.split_once("; ") {
                        Some((what, instead)) => (what, Some(instead)),
                        None => (it.what, None),
                    };
                    let raw = found.at(
                        &field.source,
                        place,
                        format!("`{}` runs under sh, which does not know {what}", task.name),
                    );
                    if let Some(instead) = instead {
                        raw.help(format!(
                            "{instead}; or begin the script with `#!/usr/bin/env bash`"
                        ));
                    }
                }
                start = end + 1;
            }
        }
    }
}

/// Where a byte of a decoded string stands in the file; the string's own place where escapes hide it.
fn place(file: &str, span: Span, decoded: &str, offset: usize, word: &str) -> Span {
    let Some(raw) = file.get(span.range()) else {
        return span;
    };
    let Some(before) = decoded.get(..offset) else {
        return span;
    };
    // The same occurrence of the word, counted from the string's beginning.
    let n = before.matches(word).count();
    let found = raw.match_indices(word).nth(n);
    match found {
        Some((at, _)) if !word.is_empty() && !word.contains('\n') => {
            let start = span.range().start + at;
            Span::from(start..start + word.len())
        }
        _ => span,
    }
}

/// Programs of Unix, and words of its shells, that Windows has not.
const UNIX: [&str; 40] = [
    "awk",
    "bash",
    "cat",
    "chmod",
    "chown",
    "cp",
    "curl-config",
    "cut",
    "dash",
    "df",
    "du",
    "echo",
    "env",
    "export",
    "find",
    "grep",
    "head",
    "kill",
    "killall",
    "ln",
    "ls",
    "mkdir",
    "mv",
    "pkill",
    "pwd",
    "rm",
    "rmdir",
    "sed",
    "sh",
    "sleep",
    "source",
    "sudo",
    "tail",
    "tee",
    "test",
    "touch",
    "true",
    "which",
    "xargs",
    "zsh",
];

fn unix_command(view: &View, found: &mut Found) {
    for task in view.tasks() {
        let Some(command) = task.get("command").filter(|it| !it.source.is_internal()) else {
            continue;
        };
        let word = command.value.as_str().unwrap_or_default();
        let name = ["/bin/", "/usr/bin/"]
            .iter()
            .find_map(|directory| word.strip_prefix(directory))
            .unwrap_or(word);
        if !UNIX.contains(&name) {
            continue;
        }
        // It says what it does elsewhere, or that it is not for Windows.
        let raw = view.raw(&task.name);
        let elsewhere = raw.is_some_and(|it| it.get("windows").is_some())
            || command.platform
            || task
                .get("condition")
                .and_then(|it| it.value.get("platforms"))
                .is_some_and(|it| {
                    it.elements()
                        .iter()
                        .all(|it| it.as_str() != Some("windows"))
                });
        if elsewhere || home(&task).is_none() {
            continue;
        }
        found.at(
            &command.source,
            command.value.span,
            format!("Windows has no `{name}`"),
        );
    }
}

/// Whether a line makes the script end at the first failure.
fn ends_at_failure(line: &str) -> bool {
    let mut words = line.split_whitespace();
    words.next() == Some("set")
        && words.any(|it| {
            it == "errexit" || it.starts_with('-') && !it.starts_with("--") && it.contains('e')
        })
}

fn counter_ends_script(view: &View, found: &mut Found) {
    for raw in view.raws() {
        for (_, field) in scripts(raw) {
            let all = lines(&field.value);
            if !all.iter().any(|line| ends_at_failure(line)) {
                continue;
            }
            for (text, span) in parts(&field.value) {
                for line in text.lines().map(str::trim) {
                    let counts = line.starts_with("((")
                        && (line.contains("++))") || line.contains("--))"))
                        && !line.contains("||");
                    if !counts {
                        continue;
                    }
                    let at = text.find(line).unwrap_or(0);
                    let end = line.find("))").map_or(line.len(), |at| at + 2);
                    let place = place(&field.source.text, span, text, at, &line[..end]);
                    found.at(
                        &field.source,
                        place,
                        format!("`{}` ends here where it is 0", raw.name),
                    );
                }
            }
        }
    }
}

fn lost_exports(view: &View, found: &mut Found) {
    for raw in view.raws() {
        let Some(field) = raw.get("script").filter(|it| !it.source.is_internal()) else {
            continue;
        };
        let all = lines(&field.value);
        let sets = |line: &&str| {
            let word = line.split_whitespace().next().unwrap_or("");
            let assigns = word.split_once('=').is_some_and(|(name, _)| {
                !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            });
            assigns && line.split_whitespace().count() == 1
                || matches!(
                    word,
                    "export" | "source" | "." | "set" | "cd" | "declare" | "unset"
                )
        };
        let exports = all.iter().any(|line| {
            line.starts_with("export ") || line.starts_with("source ") || line.starts_with(". ")
        });
        if exports && all.iter().all(sets) {
            found.at(
                &field.source,
                field.key,
                format!("what `{}` exports ends with its script", raw.name),
            );
        }
    }
}
