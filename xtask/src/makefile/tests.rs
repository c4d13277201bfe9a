//! Places, faults and sharing. That the merges are cargo-make's own is the differential test's to hold
//! (`tests/it/tasks_differential.rs`).

use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::*;

fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

fn load(dir: &Path) -> Result<Makefile, Problem> {
    Loader::new(dir, Options::default()).load(&dir.canonicalize().unwrap())
}

#[test]
fn every_field_of_a_merged_task_knows_its_place() {
    let dir = tree(&[
        (
            "Makefile.toml",
            "extend = [{ path = 'a.toml' }, { path = 'b.toml' }]\n\n\
             [tasks]\nbuilt = { extend = 'base', private = false }\n\
             # é\n\"ü\" = { description = 'é', command = 'x' }\n",
        ),
        (
            "a.toml",
            "[tasks.base]\nprivate = true\ncommand = 'a'\nargs = ['a']\n",
        ),
        (
            "b.toml",
            "[tasks.base]\n  args = ['b']\n[tasks.base.linux]\ncwd = 'l'\n[tasks.base.mac]\ncwd = 'm'\n",
        ),
    ]);
    let options = Options {
        platform: Platform::Mac,
        ..Options::default()
    };
    let makefile = Loader::new(dir.path(), options)
        .load(&dir.path().canonicalize().unwrap())
        .unwrap();
    let task = makefile.resolve("built").unwrap();
    let places: Vec<String> = task
        .fields
        .iter()
        .map(|(name, field)| {
            let platform = if field.platform { " platform" } else { "" };
            format!("{name} {} {}{platform}", field.place(), field.task)
        })
        .collect();
    assert_eq!(
        places,
        [
            "private Makefile.toml:4:28 built",
            "extend Makefile.toml:4:11 built",
            "cwd b.toml:6:1 base platform",
            "command a.toml:3:1 base",
            "args b.toml:2:3 base",
        ]
    );
    // Columns count characters, not bytes.
    let task = makefile.resolve("ü").unwrap();
    assert_eq!(task.get("command").unwrap().place(), "Makefile.toml:6:28");
    assert_eq!(task.definitions[0].place(), "Makefile.toml:6:1");
    let shown: Vec<&str> = makefile.files.iter().map(|it| &*it.source.shown).collect();
    assert_eq!(shown, ["a.toml", "b.toml", "Makefile.toml"]);
    let base = makefile.tasks["base"].definitions.iter();
    let base: Vec<String> = base.map(Definition::place).collect();
    assert_eq!(base, ["a.toml:1:8", "b.toml:1:8"]);
}

#[test]
fn the_other_platforms_hold_where_they_are_asked_for() {
    let dir = tree(&[(
        "Makefile.toml",
        "[tasks.a]\nwindows_alias = 'w'\nlinux_alias = 'l'\n[tasks.w]\ncommand = 'w'\n\
         [tasks.w.windows]\nclear = true\nscript = 'w'\n[tasks.l]\ncommand = 'l'\n",
    )]);
    for (platform, name, actions) in [
        (Platform::Linux, "l", "command"),
        (Platform::Windows, "w", "script"),
        (Platform::Mac, "a", ""),
    ] {
        let options = Options {
            platform,
            ..Options::default()
        };
        let loader = Loader::new(dir.path(), options);
        let makefile = loader.load(dir.path()).unwrap();
        let task = makefile.resolve("a").unwrap();
        assert_eq!((&*task.name, &*task.actions().join(" ")), (name, actions));
    }
}

#[test]
fn each_fault_is_one_clear_error_with_its_place() {
    let long = format!("[tasks.a]\n# {}\n", "x".repeat(50 << 20));
    let deep = format!("a = {}", "[".repeat(100_000));
    for (files, kind, expected) in [
        (
            &[("Makefile.toml", "[tasks.a]\ncommand = \n")][..],
            ProblemKind::Malformed,
            "Makefile.toml:2:11: ",
        ),
        (
            &[("Makefile.toml", &deep)],
            ProblemKind::Malformed,
            "Makefile.toml:1:",
        ),
        (
            &[(
                "Makefile.toml",
                "[tasks]\na = { command = 'é', args = 'x' }\n",
            )],
            ProblemKind::WrongType,
            "Makefile.toml:2:29: expected an array, of which each is a string",
        ),
        (
            &[("Makefile.toml", "[tasks.a]\nrun_task = { fork = true }\n")],
            ProblemKind::WrongType,
            "Makefile.toml:2:12: expected `run_task` with `name`",
        ),
        (
            &[("Makefile.toml", "[env]\nA = ['x', 1]\n")],
            ProblemKind::WrongType,
            "Makefile.toml:2:11: expected a string",
        ),
        (
            &[("Makefile.toml", "extend = ['a.toml', 'b.toml']\n")],
            ProblemKind::WrongType,
            "Makefile.toml:1:11: expected a table with `path`",
        ),
        (
            &[
                ("Makefile.toml", "extend = 'a.toml'\n"),
                ("a.toml", "extend = [{ path = 'shared/b.toml' }]\n"),
            ],
            ProblemKind::MissingExtend,
            "a.toml:1:20: extends `shared/b.toml`, which is not there",
        ),
        (
            &[("Makefile.toml", "extend = 'x'\n"), ("x/y", "")],
            ProblemKind::MissingExtend,
            "Makefile.toml:1:10: extends `x`, which is a directory",
        ),
        (
            &[
                ("Makefile.toml", "extend = 'x/a.toml'\n"),
                ("x/a.toml", "extend = '../b.toml'\n"),
                (
                    "b.toml",
                    "extend = { path = 'x/a.toml', optional = true }\n",
                ),
            ],
            ProblemKind::ExtendCycle,
            "b.toml:1:19: files extend each other in a circle: x/a.toml -> b.toml -> x/a.toml",
        ),
        (
            &[("Makefile.toml", "extend = 'Makefile.toml'\n")],
            ProblemKind::ExtendCycle,
            "Makefile.toml:1:10: files extend each other in a circle: Makefile.toml -> Makefile.toml",
        ),
        (
            &[("Makefile.toml", "[env]\nA = '${B}'\nB = '${A}'\n")],
            ProblemKind::EnvCycle,
            "Makefile.toml:2:1: variables need each other: A -> B -> A",
        ),
        (
            &[("Makefile.toml", &long)],
            ProblemKind::TooLarge,
            "Makefile.toml: it has more than 4 MiB, which is no task file",
        ),
    ] {
        let dir = tree(files);
        let problem = load(dir.path()).unwrap_err();
        assert_eq!(problem.kind, kind, "{problem}");
        let said = problem.to_string();
        assert!(said.starts_with(expected), "{said}\n{expected}");
        assert!(!said.contains('\n') && !problem.hint.is_empty(), "{said}");
        let fault = anyhow::Error::from(Fault::from(problem));
        assert_eq!(crate::error::exit_of(&fault), crate::exit::Exit::Usage);
    }
}

#[test]
fn bytes_that_are_no_text_are_placed() {
    let dir = tree(&[]);
    fs::write(
        dir.path().join("Makefile.toml"),
        b"[tasks.a]\n# \xc3\xa9 \xff\n",
    )
    .unwrap();
    let problem = load(dir.path()).unwrap_err();
    assert_eq!(problem.kind, ProblemKind::NotUtf8);
    assert_eq!(
        problem.to_string(),
        "Makefile.toml:2:5: this byte is not UTF-8"
    );
}

#[test]
fn keys_that_cargo_make_ignores_are_listed_with_their_place() {
    let text = "extnd = 'x'\n[config]\nextend = 'y'\n[tasks.a]\ncommnad = 'z'\n\
                [tasks.a.linux]\nalias = 'b'\n[tasks.b]\nrun_task = { name = 'a', paralel = true }\n";
    let file = TaskFile::parse("x".into(), "x".into(), text.into()).unwrap();
    let unknown: Vec<String> = file
        .unknown
        .iter()
        .map(|it| {
            format!(
                "{} {} in {}",
                file.source.place(it.span),
                it.path.join("."),
                it.record
            )
        })
        .collect();
    assert_eq!(
        unknown,
        [
            "x:1:1 extnd in a task file",
            "x:3:1 config.extend in [config]",
            "x:5:1 tasks.a.commnad in a task",
            "x:7:1 tasks.a.linux.alias in a platform's override",
            "x:9:26 tasks.b.run_task.paralel in `run_task`",
        ]
    );
}

#[test]
fn what_is_shared_is_read_once() {
    let mut files = vec![
        (
            "Cargo.toml".to_owned(),
            "[workspace]\nmembers = ['crates/*']\n".to_owned(),
        ),
        (
            "shared/base.toml".to_owned(),
            "[tasks.base]\ncommand = 'x'\n".to_owned(),
        ),
        ("plain/Makefile.toml".to_owned(), String::new()),
    ];
    for n in 0..100 {
        files.push((
            format!("crates/m{n}/Cargo.toml"),
            format!("[package]\nname = 'p{n}'\n"),
        ));
        let broken = if n == 7 { "?" } else { "" };
        files.push((
            format!("crates/m{n}/Makefile.toml"),
            format!("extend = '../../shared/base.toml'\n{broken}[tasks.own]\nextend = 'base'\n"),
        ));
    }
    files.retain(|(path, _)| path != "crates/m9/Makefile.toml");
    let files: Vec<(&str, &str)> = files.iter().map(|(a, b)| (&**a, &**b)).collect();
    let dir = tree(&files);
    let model = Model::load(dir.path(), Options::default()).unwrap();
    let names: Vec<&str> = model.members.iter().map(|it| &*it.name).take(3).collect();
    assert_eq!(
        (model.members.len(), &names[..]),
        (102, &["root", "p0", "p1"][..])
    );
    let faults = model.members.iter().filter(|it| it.makefile.is_err());
    assert_eq!(faults.map(|it| &*it.name).collect::<Vec<_>>(), ["p7"]);
    assert!(!model.member("p9").unwrap().has_makefile);
    assert!(model.member("plain").is_some_and(|it| !it.package));
    let shared: Vec<Arc<Source>> = model
        .members
        .iter()
        .filter_map(|it| it.makefile.as_ref().ok()?.files.first().cloned())
        .filter(|it| it.source.shown == "shared/base.toml")
        .map(|it| it.source.clone())
        .collect();
    assert_eq!(shared.len(), 98);
    assert!(shared.iter().all(|it| Arc::ptr_eq(it, &shared[0])));
    let inside = dir.path().join("crates").join("m3").join("src");
    fs::create_dir_all(&inside).unwrap();
    assert_eq!(model.member_at(&inside).unwrap().name, "p3");
}

#[test]
fn a_workspaces_file_lies_under_a_members() {
    let dir = tree(&[
        (
            "root.toml",
            "[tasks.a]\ncommand = 'root'\nargs = ['root']\n",
        ),
        ("one/Makefile.toml", "[tasks.a]\ncommand = 'one'\n"),
    ]);
    let options = Options {
        workspace_makefile: Some(dir.path().join("root.toml")),
        ..Options::default()
    };
    let makefile = Loader::new(dir.path(), options)
        .load(&dir.path().join("one"))
        .unwrap();
    assert_eq!(makefile.tasks["a"].action(), "one root");
}

#[test]
fn what_cargo_make_brings_can_be_read() {
    let dir = tree(&[]);
    let makefile = load(dir.path()).unwrap();
    assert!(makefile.file.is_none() && makefile.files.is_empty());
    assert_eq!(makefile.tasks.len(), 214);
    for name in makefile.tasks.keys() {
        let task = makefile.resolve(name).unwrap();
        assert!(task.is_internal() && !makefile.is_listed(&task), "{name}");
    }
    assert_eq!(makefile.near("biuld"), Some("build"));
}

#[test]
fn a_command_that_names_tasks_starts_them() {
    let dir = tree(&[(
        "Makefile.toml",
        "[tasks]\na = { command = 'cargo', args = ['make', '--profile', 'b', 'b', 'c'] }\n\
         b = { command = 'cargo', args = ['xtask', 'with-services', 'c', '--', 'cargo', 'xtask', 'parallel', '--jobs', '1', 'a', 'c', 'no'] }\n\
         c = { command = 'cargo', cwd = 'sub', args = ['make', 'build'] }\n\
         d = { command = 'cargo', args = ['make', '--cwd=sub', 'build'] }\n\
         e = { command = 'echo', args = ['make', 'a', '${X}'] }\n\
         f = { command = 'makers', args = ['a'] }\n\
         g = { command = 'cargo', args = ['make', '${X}'] }\n",
    )]);
    let makefile = load(dir.path()).unwrap();
    for (name, expected) in [
        ("a", "b"),
        ("b", "a c"),
        ("c", "sub:build"),
        ("d", "sub:build"),
        ("e", ""),
        ("f", "a"),
        ("g", ""),
    ] {
        let task = makefile.resolve(name).unwrap();
        let calls: Vec<String> = makefile
            .calls(&task)
            .into_iter()
            .map(|it| match it.path {
                Some(path) => format!("{path}:{}", it.name),
                None => it.name,
            })
            .collect();
        assert_eq!(calls.join(" "), expected, "{name}");
    }
}

#[test]
fn secrets_are_not_shown() {
    let dir = tree(&[(
        "Makefile.toml",
        "[env]\nAPI_TOKEN = 'hidden'\nNAME = 'seen'\n[tasks.a]\ncommand = 'x'\n\
         args = ['postgres://u:hidden@h/d', '${API_TOKEN}', '${NAME}']\n\
         env = { PASSWORD = 'hidden', URL = 'postgres://u:hidden@h/d' }\n",
    )]);
    let makefile = load(dir.path()).unwrap();
    let task = makefile.resolve("a").unwrap();
    let does = makefile.filled(&task, &task.summary());
    let env = shown(&task.get("env").unwrap().value);
    assert_eq!(does, "x postgres://u:***@h/d ${API_TOKEN} seen");
    assert_eq!(
        env,
        "{ PASSWORD = \"***\", URL = \"postgres://u:***@h/d\" }"
    );
}

proptest! {
    /// Nothing that stands in a file ends the program, and every place is in the file.
    #[test]
    fn any_text_is_read_or_refused(text in "[a-z=\\[\\]{}'\"\\\\\n.,# é0-9${}]{0,80}") {
        match TaskFile::parse("x".into(), "x".into(), text.clone()) {
            Ok(file) => {
                for unknown in &file.unknown {
                    prop_assert!(unknown.span.range().end <= text.len());
                }
            }
            Err(problem) => {
                let at = problem.position.unwrap();
                prop_assert!(at.line as usize <= text.matches('\n').count() + 1);
            }
        }
    }

    /// A place's line and column lead back to its byte.
    #[test]
    fn places_lead_back(text in "[a-z\né]{0,60}", at in 0usize..60) {
        let at = (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap();
        let source = Source::new("x".into(), "x".into(), text.clone());
        let Position { line, column } = source.position(u32::try_from(at).unwrap());
        let before: usize = text.split('\n').take(line as usize - 1).map(|it| it.len() + 1).sum();
        let within: usize = text[before..].chars().take(column as usize - 1).map(char::len_utf8).sum();
        prop_assert_eq!(before + within, at);
    }

    /// A value that was shown is read as the same value.
    #[test]
    fn values_are_shown_as_toml(words in prop::collection::vec("\\PC{0,12}", 0..4), key in "\\PC{1,8}") {
        let texts = words.into_iter().map(|it| Value::made(Data::String(it.into())));
        let value = Value::made(Data::Array(texts.collect()));
        let entry = Entry { key: key.into(), key_span: Span::default(), value };
        let table = Value::made(Data::Table(vec![entry]));
        let text = format!("x = {table}\n");
        let document = toml_edit::Document::parse(text.as_str());
        prop_assert!(document.is_ok(), "{text}");
        let read = document.unwrap()["x"].clone();
        let (key, items) = read.as_inline_table().unwrap().iter().next().unwrap();
        let items: Vec<&str> = items.as_array().unwrap().iter().filter_map(|it| it.as_str()).collect();
        prop_assert_eq!(serde_json::json!({ key: items }), table.to_json());
    }
}

/// The names in a command line: `=` after one that runs alone, `+` after one with others at its side.
#[test]
fn tasks_that_a_command_line_names() {
    for (line, expected) in [
        ("cargo xtask parallel a b", "a+ b+"),
        ("cargo xtask parallel --jobs 1 --keep-going a b", "a= b="),
        ("cargo xtask parallel a b --jobs=1", "a= b="),
        (
            "cargo xtask with-services db -- cargo xtask parallel a",
            "a+",
        ),
        ("cargo make --profile ci build arg", "build"),
        ("cargo xtask make --yes a b -- c", "a b"),
        ("cargo make --cwd x build", "build@x"),
        ("makers --makefile other.toml build", "build!"),
        ("cargo run make a", ""),
        ("cargo make ${@}", ""),
        ("echo make a", ""),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let found: Vec<String> = super::named(words[0], &words[1..], None)
            .into_iter()
            .map(|it| {
                let mark = match (it.parallel, it.together, it.elsewhere) {
                    (true, true, _) => "+",
                    (true, false, _) => "=",
                    (false, _, true) => "!",
                    (false, _, false) => "",
                };
                let place = it.cwd.map(|it| format!("@{it}")).unwrap_or_default();
                format!("{}{mark}{place}", words[it.at + 1])
            })
            .collect();
        assert_eq!(found.join(" "), expected, "{line}");
    }
}
