//! `setup-env`, `env` and `exec`: what real shells read back, and what is never shown.

#[cfg(unix)]
use std::process::Command;

use crate::support::{Fixture, Run, xtask_word};

/// Everything that a shell could trip over; no NUL, which no environment can hold.
const HOSTILE: &[(&str, &str)] = &[
    ("SPACES", "  two  words "),
    ("QUOTES", "it's \"quoted\" ''"),
    ("DOLLARS", "$HOME ${HOME} $(id) \\$x"),
    ("TICKS", "`id` \\`"),
    ("BREAKS", "one\ntwo\n\nthree"),
    ("EQUALS", "a=b==c"),
    ("TABS", "a\tb\\t\\n\\"),
    ("UNICODE", "Grüße \u{1f980} \u{2019}"),
    ("DASH", "-n --version"),
    ("GLOB", "* ? [a-z] {a,b} ~ # ; & | < > !"),
    ("EMPTY_END", "x\\"),
];

/// A workspace whose profile layer has the hostile values.
fn hostile() -> Fixture {
    let fixture = Fixture::new("[env]\nprofile = \"p\"\n[env.profiles]\np = [\"p.env\"]\n");
    let mut text = String::new();
    for (name, value) in HOSTILE {
        let escaped = value
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('$', "\\$");
        text.push_str(&format!("{name}=\"{escaped}\"\n"));
    }
    fixture.file("p.env", &text);
    fixture
}

/// Lets a shell read our text and print its environment; the values must be the same.
#[cfg(unix)]
fn read_back(shell: &str, kind: &str) {
    let fixture = hostile();
    let text = fixture
        .run(&["setup-env", "--print", kind])
        .code(0)
        .stdout();
    let Ok(program) = which::which(shell) else {
        assert!(std::env::var_os("CI").is_none(), "CI has to have {shell}");
        eprintln!("NOT TESTED: {shell} is not installed");
        return;
    };
    let file = fixture.file("values", &text);
    let source = if kind == "powershell" {
        ". ./values.ps1; env -0"
    } else {
        ". ./values; env -0"
    };
    if kind == "powershell" {
        std::fs::rename(&file, file.with_extension("ps1")).unwrap();
    }
    let output = Command::new(program)
        .args(["-c", source])
        .current_dir(fixture.root())
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    for (name, value) in HOSTILE {
        let found = shown
            .split('\0')
            .find_map(|pair| pair.strip_prefix(&format!("{name}=")));
        assert_eq!(found, Some(*value), "{shell}: {name}\n{text}");
    }
}

#[cfg(unix)]
#[test]
fn posix_shells_read_it_back() {
    for shell in ["sh", "bash", "dash", "zsh"] {
        read_back(shell, "sh");
    }
}

#[cfg(unix)]
#[test]
fn fish_reads_it_back() {
    read_back("fish", "fish");
}

#[test]
fn the_file_that_is_written_reads_back_and_stays_the_same() {
    let fixture = hostile();
    fixture.file(".env", "# mine\nEQUALS=changed\n");
    fixture.run(&["setup-env"]).code(0);
    let once = std::fs::read_to_string(fixture.path(".env")).unwrap();
    assert!(once.starts_with("# mine\nEQUALS=changed\n"), "{once}");
    fixture.run(&["setup-env"]).code(0).says("up to date");
    assert_eq!(std::fs::read_to_string(fixture.path(".env")).unwrap(), once);
    fixture.run(&["setup-env", "--check"]).code(0);
    let values: Vec<(String, String)> = dotenvy::from_path_iter(fixture.path(".env"))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    for (name, value) in HOSTILE.iter().filter(|(name, _)| *name != "EQUALS") {
        let found = values
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str());
        assert_eq!(found, Some(*value), "{name}\n{once}");
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(fixture.path(".env"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn github_gets_every_value_and_masks_secrets() {
    let fixture =
        Fixture::new("[env.defaults]\nAPI_TOKEN = \"s3cret\"\nTEXT = \"a\\nxtask_\\nB=evil\"\n");
    let file = fixture.file("github_env", "BEFORE=1\n");
    let run = Run::of(
        fixture
            .xtask(&["setup-env", "--github"])
            .env("GITHUB_ENV", &file),
    )
    .code(0);
    run.prints("::add-mask::s3cret");
    let text = std::fs::read_to_string(file).unwrap();
    let (_, rest) = text.split_once("TEXT<<").unwrap();
    let (delimiter, rest) = rest.split_once('\n').unwrap();
    let (value, _) = rest.split_once(&format!("\n{delimiter}\n")).unwrap();
    assert_eq!(value, "a\nxtask_\nB=evil");
    assert!(text.starts_with("BEFORE=1\n"));
    fixture
        .run(&["setup-env", "--github"])
        .code(2)
        .says("GITHUB_ENV is not set");
}

#[test]
fn secrets_are_never_shown_but_reach_the_child() {
    let fixture = Fixture::new("[env.defaults]\nURL = \"postgresql://u:hunter2@h/d\"\n");
    fixture.file(".env", "API_KEY=hunter2\n");
    for args in [
        &["env"][..],
        &["env", "--explain"],
        &["--format", "json", "env"],
        &["-v", "env"],
    ] {
        fixture
            .run(args)
            .code(0)
            .prints("API_KEY")
            .never_shows("hunter2");
    }
    let xtask = xtask_word();
    let run = fixture
        .run(&["exec", "--", &xtask, "setup-env", "--print", "sh"])
        .code(0);
    // In the child they are the process's own: nothing is left to print.
    assert_eq!(run.stdout(), "");
}

#[test]
fn the_process_wins_over_the_file_and_the_file_over_the_default() {
    let fixture =
        Fixture::new("[env.defaults]\nA = \"default\"\nB = \"default\"\nC = \"default\"\n");
    fixture.file(".env", "A=file\nB=file\n");
    let run = Run::of(
        fixture
            .xtask(&["--format", "json", "env"])
            .env("A", "process"),
    )
    .code(0);
    let json = run.json();
    let rows = json.as_array().unwrap();
    let value = |name: &str| rows.iter().find(|row| row["name"] == name).unwrap()["value"].clone();
    assert_eq!(
        (value("A"), value("B"), value("C")),
        ("process".into(), "file".into(), "default".into())
    );
}

#[test]
fn a_malformed_file_is_placed_and_not_shown() {
    let fixture = Fixture::new("");
    fixture.file(".env", "A=1\nmy secret line\n");
    fixture
        .run(&["env"])
        .code(2)
        .says(".env:2: expected `=`")
        .never_shows("secret line");
    fixture.run(&["setup-env"]).code(2);
    assert_eq!(
        std::fs::read_to_string(fixture.path(".env")).unwrap(),
        "A=1\nmy secret line\n"
    );
}

#[test]
fn exec_ends_with_the_commands_own_code() {
    let fixture = Fixture::new("");
    fixture
        .run(&["exec", "--", &xtask_word(), "no-such"])
        .code(2);
    fixture
        .run(&["exec", "--", "no-such-program"])
        .code(1)
        .says("command not found");
    fixture
        .run(&["env", "--profile", "x"])
        .code(2)
        .says("no profile is called `x`");
}
