//! `docs/adding-tasks.md` does what it says: its files are written into a workspace with this
//! repository's shared task files, its commands are run there, its code stands in the sources.

use std::fs;
use std::process::Stdio;

use crate::support::{Fixture, Run, cargo, root};

/// A block of the page: what the comment before it says, and its lines.
struct Block {
    says: String,
    text: String,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        // It is for `tasks check`.
        if line.starts_with("<!-- xtask: ") {
            continue;
        }
        let Some(says) = line
            .strip_prefix("<!-- ")
            .and_then(|it| it.strip_suffix(" -->"))
        else {
            assert!(
                !line.starts_with("```"),
                "a block without a comment: {line}"
            );
            continue;
        };
        let fence = lines.next().unwrap_or_default();
        assert!(fence.starts_with("```"), "{says}: {fence}");
        let text = lines.by_ref().take_while(|line| !line.starts_with("```"));
        let text: String = text.map(|line| format!("{line}\n")).collect();
        blocks.push(Block {
            says: says.to_owned(),
            text,
        });
    }
    blocks
}

/// A workspace that has this repository's shared files, and a crate as on the page.
fn workspace() -> Fixture {
    let fixture = Fixture::new("");
    fixture.file(
        "Cargo.toml",
        "[workspace]\nresolver = \"3\"\nmembers = [\"greeter\"]\n",
    );
    fixture.file(
        "greeter/Cargo.toml",
        "[package]\nname = \"greeter\"\nversion = \"0.1.0\"\nedition = \"2024\"\n",
    );
    fixture.file(
        "greeter/src/main.rs",
        "fn main() {\n    println!(\"hello {:?}\", std::env::args().nth(1));\n}\n",
    );
    for entry in fs::read_dir(root().join("cargo-make")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        fixture.file(
            &format!("cargo-make/{name}"),
            &fs::read_to_string(&path).unwrap(),
        );
    }
    let makefile = fs::read_to_string(root().join("Makefile.toml")).unwrap();
    fixture.file("Makefile.toml", &makefile);
    fixture
}

/// A line number is no promise of the page.
fn without_lines(text: &str) -> String {
    let mut plain = String::new();
    for line in text.lines() {
        match line.rfind(".toml:") {
            Some(at) => {
                let place = at + ".toml:".len();
                let end = line[place..].find(|it: char| !(it.is_ascii_digit() || it == ':'));
                let rest = end.map_or("", |end| &line[place + end..]);
                plain.push_str(&format!("{}LINE{rest}\n", &line[..place]));
            }
            None => plain.push_str(&format!("{line}\n")),
        }
    }
    plain
}

fn run(fixture: &Fixture, directory: &str, line: &str) -> Run {
    let words: Vec<&str> = line.split(' ').collect();
    let mut command = match words.as_slice() {
        ["cargo", "xtask", rest @ ..] => fixture.xtask(rest),
        ["cargo", "make", rest @ ..] => {
            let mut command = cargo();
            command
                .args(["make", "--disable-check-for-updates"])
                .args(rest);
            // Nothing of a cargo-make that may run this test.
            for (name, _) in std::env::vars_os() {
                if name.to_string_lossy().starts_with("CARGO_MAKE") {
                    command.env_remove(name);
                }
            }
            command.env_remove("CARGO_TARGET_DIR");
            command
        }
        _ => panic!("`{line}`: the page runs cargo make and cargo xtask alone"),
    };
    command
        .current_dir(fixture.path(directory))
        .stdin(Stdio::null());
    Run::of(&mut command).code(0)
}

/// Each `$ command`, and the lines that follow it: all of its output, or up to a line `...`.
fn console(fixture: &Fixture, directory: &str, text: &str) {
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let command = line.strip_prefix("$ ").expect("a command");
        let mut expected = Vec::new();
        while let Some(line) = lines.next_if(|line| !line.starts_with("$ ")) {
            expected.push(line);
        }
        let ran = run(fixture, directory, command);
        let printed = without_lines(&ran.stdout());
        let printed: Vec<&str> = printed.lines().collect();
        match expected.split_last() {
            None => {}
            Some((&"...", first)) => {
                assert!(printed.starts_with(first), "{first:#?}\n{ran}");
            }
            Some(_) => assert_eq!(printed, expected, "{ran}"),
        }
    }
}

#[test]
fn the_page_does_what_it_says() {
    let page = fs::read_to_string(root().join("docs").join("adding-tasks.md")).unwrap();
    let fixture = workspace();
    let mut commands = 0;
    for block in blocks(&page) {
        let (kind, what) = block.says.split_once(": ").expect("what a block is");
        match kind {
            "file" => {
                fixture.file(what, &block.text);
            }
            "add to" => {
                let old = fs::read_to_string(fixture.path(what)).unwrap();
                fixture.file(what, &(old + &block.text));
            }
            "run in" => {
                console(&fixture, what, &block.text);
                commands += block.text.matches("$ ").count();
            }
            "from" => {
                let source = fs::read_to_string(root().join(what)).unwrap();
                let source = source.replace("\r\n", "\n");
                assert!(source.contains(&block.text), "{what}:\n{}", block.text);
            }
            other => panic!("`{other}` is no kind of block"),
        }
    }
    assert_eq!(commands, 8, "the commands of the page");
}
