//! Every command in surroundings that nobody expects: without HOME or PATH, with streams that are closed
//! or full, with names and values that are no text, with other clocks, in odd places.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::again::{self, behind};
use super::commands::{Does, Shop, Spec, named, specs};
use super::table::{Row, names, record};
use crate::support::{Fixture, Run};

/// No command takes longer than this, whatever its surroundings are.
const BOUND: Duration = Duration::from_secs(30);

/// How a command has to end.
enum Ends<'a> {
    /// As always, with its work done; the streams need not show it.
    Well,
    /// As always, or with an error that has one of these words.
    WellOrSays(&'a [&'a str]),
    /// With an error that has these words.
    Says(&'a str),
    /// As always; or with exit code 1, as cargo does that cannot say what it builds.
    WellOrFails,
}

/// Whether the work of a command can be looked at without what it printed.
fn shows_in_files(spec: &Spec) -> bool {
    spec.does != Does::Reads
}

/// Runs each command once in surroundings that `change` makes, and says how it ended.
fn each(
    shop: &Shop,
    what: &str,
    specs: &[Spec],
    change: impl Fn(Command) -> Command,
    ends: impl Fn(&Spec) -> Ends<'static>,
) {
    for spec in specs {
        spec.prepare(shop);
        let since = Instant::now();
        let run = Run::of(&mut change(spec.command(shop)));
        let when = format!("{what}: {}", spec.name);
        if std::env::var_os("SHOW").is_some() {
            eprintln!("{when} {:?}", since.elapsed());
        }
        assert!(since.elapsed() < BOUND, "{when} took {:?}", since.elapsed());
        assert!(run.exit().is_some(), "{when}: {run}");
        assert!(!run.stderr().contains("panicked at"), "{when}: {run}");
        let well = run.exit() == Some(spec.code);
        let says = |words: &[&str]| {
            let said = words.iter().any(|it| run.stderr().contains(it));
            assert!(said && !well, "{when} says none of {words:?}: {run}");
        };
        match ends(spec) {
            Ends::WellOrSays(_) | Ends::WellOrFails | Ends::Well if well => {
                if shows_in_files(spec) {
                    spec.holds(shop, &run);
                }
                shop.settled(&when);
                continue;
            }
            Ends::Well => panic!("{when}: {run}"),
            Ends::WellOrSays(words) => says(words),
            Ends::WellOrFails => assert_eq!(run.exit(), Some(1), "{when}: {run}"),
            Ends::Says(words) => says(&[words]),
        }
        shop.settled(&when);
        spec.works(shop, &when);
    }
}

/// Those that take seconds, and have nothing of their own to do with these surroundings.
const SLOW: [&str; 3] = ["setup-db", "db migrate", "ci test-shard"];

fn quick() -> Vec<Spec> {
    let mut all = specs();
    all.retain(|it| !SLOW.contains(&it.name));
    all
}

/// Those of [`quick`] that leave the database alone.
fn quickest() -> Vec<Spec> {
    let mut all = quick();
    all.retain(|it| !it.name.starts_with("db "));
    all
}

fn all_names(specs: &[Spec]) -> String {
    names(specs.iter().map(|it| it.name))
}

/// What cargo needs of a home, without one.
fn without_home(mut command: Command) -> Command {
    let home = std::env::home_dir().unwrap();
    for (name, below) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
        let named = std::env::var_os(name).map_or_else(|| home.join(below), Into::into);
        command.env(name, named);
    }
    for name in ["HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "USER"] {
        command.env_remove(name);
    }
    command
}

#[test]
fn without_a_home() {
    let shop = Shop::new();
    let specs = quick();
    each(&shop, "no HOME", &specs, without_home, |_| Ends::Well);
    shop.ends("without a home");
    record(
        "surroundings::without_a_home",
        &[Row {
            fault: "no HOME (nor USER, XDG_CACHE_HOME)".to_owned(),
            commands: all_names(&specs),
            points: "1".to_owned(),
            held: "each does its work".to_owned(),
        }],
    );
}

#[test]
fn without_a_path() {
    // What these run is found by PATH alone.
    const LOST: [&str; 8] = [
        "with-services",
        "build-extension",
        "exec",
        "setup-nextest",
        "clean-artifacts",
        "parallel",
        "ci scope",
        "init",
    ];
    let shop = Shop::new();
    for (what, path, specs) in [
        ("no PATH", None, quick()),
        ("an empty PATH", Some(""), quickest()),
    ] {
        let change = |mut command: Command| {
            match path {
                Some(path) => command.env("PATH", path),
                None => command.env_remove("PATH"),
            };
            command
        };
        each(&shop, what, &specs, change, |spec| {
            if LOST.contains(&spec.name) {
                // Without PATH the system looks into /bin and /usr/bin: it may be there.
                Ends::WellOrSays(&[
                    "command not found: `",
                    "is not installed",
                    "failed to start `",
                    "linker `cc` not found",
                ])
            } else {
                Ends::Well
            }
        });
    }
    shop.ends("without a path");
    let lost = names(LOST);
    record(
        "surroundings::without_a_path",
        &[Row {
            fault: "no PATH, and an empty one".to_owned(),
            commands: all_names(&quick()),
            points: "2".to_owned(),
            held: format!("each does its work, or names the program that it lacks: {lost}"),
        }],
    );
}

/// A pipe that nobody reads.
fn nobody() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

/// cargo does not go on where it cannot say so.
fn cargo_may_fail(spec: &Spec) -> Ends<'static> {
    match spec.name {
        "build-extension" => Ends::WellOrFails,
        _ => Ends::Well,
    }
}

fn full() -> Stdio {
    File::options()
        .write(true)
        .open("/dev/full")
        .unwrap()
        .into()
}

#[test]
fn with_closed_streams() {
    let shop = Shop::new();
    let specs = quickest();
    // `make` has no PATH to find a shell by.
    let closed = ["/bin/sh", "-c", "exec \"$@\" <&- >&- 2>&-", "sh"].map(OsString::from);
    type Change<'a> = &'a dyn Fn(Command) -> Command;
    let changes: [(&str, Change); 2] = [
        ("streams that nobody reads", &|mut command| {
            command.stdout(nobody()).stderr(nobody());
            command
        }),
        ("no stream at all", &|command| behind(&closed, &command)),
    ];
    for (what, change) in changes {
        each(&shop, what, &specs, change, cargo_may_fail);
    }
    shop.ends("with closed streams");
    record(
        "surroundings::with_closed_streams",
        &[Row {
            fault: "stdout and stderr that nobody reads (`head` has ended), and all three closed"
                .to_owned(),
            commands: all_names(&specs),
            points: "2".to_owned(),
            held:
                "each does its work, and ends with its own exit code (`build-extension`: or with \
                   cargo's)"
                    .to_owned(),
        }],
    );
}

#[test]
fn with_full_streams() {
    let shop = Shop::new();
    let specs = quickest();
    let stderr = |mut command: Command| {
        command.stderr(full());
        command
    };
    each(&shop, "a full stderr", &specs, stderr, cargo_may_fail);
    let stdout = |mut command: Command| {
        command.stdout(full());
        command
    };
    each(&shop, "a full stdout", &specs, stdout, |spec| {
        let prints = spec.does == Does::Reads
            && !["tasks check", "check-services", "services logs"].contains(&spec.name);
        match spec.name {
            _ if prints => Ends::Says("failed to write to stdout: No space left on device"),
            _ => Ends::WellOrSays(&["failed to write to stdout: No space left on device"]),
        }
    });
    // No command at all: what clap prints.
    for words in [&["--help"][..], &["--version"], &["help", "make"]] {
        let mut command = shop.command(words);
        Run::of(command.stdout(full()))
            .code(1)
            .says("failed to write to stdout: No space left on device");
        Run::of(shop.command(words).stdout(nobody())).code(0);
    }
    shop.ends("with full streams");
    record(
        "surroundings::with_full_streams",
        &[Row {
            fault: "stdout or stderr on a full disk".to_owned(),
            commands: format!("{}, `--help`", all_names(&specs)),
            points: "2".to_owned(),
            held:
                "stderr: each does its work; stdout: exit code 1 where something was to be printed"
                    .to_owned(),
        }],
    );
}

/// `parallel` must not leave behind what it has started when it cannot go on.
#[test]
fn parallel_tasks_end_with_a_stdout_that_takes_nothing() {
    let fixture = Fixture::new("");
    fixture.file(
        "Makefile.toml",
        "[config]\nskip_core_tasks = true\n[tasks.quick]\ncommand = \"true\"\n\
         [tasks.slow]\ncommand = \"sleep\"\nargs = [\"60\"]\n",
    );
    let mark = crate::support::mark();
    let mut command = crate::support::marked(
        &fixture,
        &mark,
        &["parallel", "--jobs", "2", "slow", "quick"],
    );
    let since = Instant::now();
    Run::of(command.stdout(full())).code(1);
    assert!(
        since.elapsed() < Duration::from_secs(20),
        "{:?}",
        since.elapsed()
    );
    super::held::no_process_left(&mark, Duration::from_secs(2), "a full stdout");
}

fn bytes(text: &[u8]) -> &OsStr {
    OsStr::from_bytes(text)
}

#[test]
fn with_variables_that_are_no_text() {
    let shop = Shop::new();
    let specs = quickest();
    let foreign = |mut command: Command| {
        command.env(bytes(b"A_NAME\xff"), "x");
        command.env("A_VALUE", bytes(b"\xfe\xff"));
        command
    };
    each(&shop, "foreign variables", &specs, foreign, |spec| {
        match spec.name {
            // cargo-make panics on them, and does not say which.
            "make" | "parallel" => {
                Ends::Says("of the process is not valid Unicode, which cargo-make")
            }
            _ => Ends::Well,
        }
    });
    // One that the workspace sets as well: the process would win, and there is no text to write.
    let asks = |spec: &Spec| {
        let reads = [
            "env",
            "exec",
            "setup-env",
            "with-services",
            "run-service",
            "check-services",
            "services start",
            "services restart",
            "services status",
        ];
        reads.contains(&spec.name) || spec.name.starts_with("db ") && spec.name != "db stop"
    };
    let ours = |mut command: Command| {
        command.env("DEFAULT_KEY", bytes(b"\xff"));
        command
    };
    let mut asking = quick();
    asking.retain(asks);
    each(&shop, "a variable of ours", &asking, ours, |_| {
        Ends::Says("the variable `DEFAULT_KEY` of the process is not valid Unicode")
    });
    // A value that is not ours goes through as it is.
    let mut command =
        foreign(shop.command(&["exec", "--", "sh", "-c", "printf %s \"$A_VALUE\" >raw"]));
    Run::of(&mut command).code(0);
    assert_eq!(fs::read(shop.fixture.path("raw")).unwrap(), b"\xfe\xff");
    // So does a path.
    let mut command = shop.command(&["ci", "shards", "--of", "2", "--github"]);
    let output = shop.fixture.root().join(bytes(b"output-\xff"));
    command
        .env("GITHUB_OUTPUT", &output)
        .env("GITHUB_ACTIONS", "true");
    Run::of(&mut command).code(0);
    assert!(fs::read_to_string(&output).unwrap().contains("slice:1/2"));
    shop.ends("with variables that are no text");
    record(
        "surroundings::with_variables_that_are_no_text",
        &[
            Row {
                fault: "a name and a value in the environment that are not UTF-8".to_owned(),
                commands: all_names(&specs),
                points: "1".to_owned(),
                held: "each does its work and hands them on; `make` and `parallel` name them, as \
                       cargo-make cannot run"
                    .to_owned(),
            },
            Row {
                fault: "one of the workspace's own variables is not UTF-8".to_owned(),
                commands: all_names(&asking),
                points: "1".to_owned(),
                held: "exit code 2, and the variable's name".to_owned(),
            },
        ],
    );
}

#[test]
fn with_ten_thousand_variables() {
    let shop = Shop::new();
    let specs = quickest();
    let many = |mut command: Command| {
        for n in 0..10_000 {
            command.env(format!("VARIABLE_{n}"), "x".repeat(85));
        }
        command.env("LONG", "y".repeat(100_000));
        command
    };
    each(&shop, "10,000 variables", &specs, many, |_| Ends::Well);
    let run = Run::of(&mut many(shop.command(&["exec", "--", "env"]))).code(0);
    let printed = run.stdout();
    let got = printed.lines().filter(|it| it.starts_with("VARIABLE_"));
    assert_eq!(got.count(), 10_000);
    assert!(printed.contains(&format!("LONG={}", "y".repeat(100_000))));
    shop.ends("with many variables");
    record(
        "surroundings::with_ten_thousand_variables",
        &[Row {
            fault: "10,000 variables of 100 bytes, and one of 100 kB".to_owned(),
            commands: all_names(&specs),
            points: "1".to_owned(),
            held: "each does its work; `exec` hands all of them on".to_owned(),
        }],
    );
}

/// Spaces, quotes, what shells and patterns mean something by, and 200 characters.
fn odd_name() -> String {
    let mut name = "it's a \"place\" $HOME `x` %20 é 日本 #;&(1)!~".to_owned();
    while name.chars().count() < 200 {
        name.push('l');
    }
    name
}

#[test]
fn in_an_odd_place() {
    const NAME: &str = "surroundings::in_an_odd_place";
    let Some(place) = again::place() else {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join(odd_name());
        fs::create_dir(&place).unwrap();
        return again::at(&place, NAME, &[]);
    };
    let shop = Shop::new();
    assert!(shop.fixture.root().starts_with(&place));
    let mut specs = specs();
    // The linker does not take every name.
    specs.retain(|it| !["build-extension", "ci test-shard"].contains(&it.name));
    each(&shop, "an odd place", &specs, |it| it, |_| Ends::Well);
    shop.ends("in an odd place");
    record(
        NAME,
        &[Row {
            fault: "a path with spaces, quotes, `$`, other scripts, and 200 characters".to_owned(),
            commands: all_names(&specs),
            points: "1".to_owned(),
            held: "each does its work".to_owned(),
        }],
    );
}

#[test]
fn in_a_place_that_is_no_text() {
    let shop = Shop::new();
    let mut specs = specs();
    // These work anywhere.
    specs.retain(|it| !["completions", "init"].contains(&it.name));
    let outside = tempfile::tempdir().unwrap();
    let place = outside.path().join(bytes(b"shop-\xff"));
    fs::create_dir(&place).unwrap();
    fs::create_dir(place.join(".config")).unwrap();
    for path in ["Cargo.toml", "Makefile.toml", ".config/xtask.toml"] {
        fs::copy(shop.fixture.path(path), place.join(path)).unwrap();
    }
    for spec in &specs {
        let run = Run::of(spec.command(&shop).current_dir(&place));
        run.code(2)
            .says("the path of the workspace `")
            .says("hint: rename the directory");
    }
    let left = fs::read_dir(&place).unwrap().count();
    assert_eq!(left, 3, "something was written");
    let mut command = shop.command(&["init", "--dry-run"]);
    Run::of(command.current_dir(&place))
        .code(2)
        .says("cargo does not take");
    record(
        "surroundings::in_a_place_that_is_no_text",
        &[Row {
            fault: "a path of the workspace that is not UTF-8".to_owned(),
            commands: all_names(&specs),
            points: "1".to_owned(),
            held: "exit code 2, one error, nothing is written".to_owned(),
        }],
    );
}

#[test]
fn with_a_directory_that_is_gone() {
    let shop = Shop::new();
    let specs = specs();
    for spec in &specs {
        let gone = "d=$(mktemp -d) && cd \"$d\" && rmdir \"$d\" && exec \"$@\"";
        let mut command = spec.command(&shop);
        // `make` has none, and the shell needs one.
        command.env("PATH", std::env::var_os("PATH").unwrap());
        let words = ["/bin/sh", "-c", gone, "sh"].map(OsString::from);
        Run::of(&mut behind(&words, &command))
            .code(1)
            .says("failed to find the current directory");
    }
    record(
        "surroundings::with_a_directory_that_is_gone",
        &[Row {
            fault: "the directory that it is started in is gone".to_owned(),
            commands: all_names(&specs),
            points: "1".to_owned(),
            held: "exit code 1, one error".to_owned(),
        }],
    );
}

#[test]
fn with_no_place_for_temporary_files() {
    let shop = Shop::new();
    let relative = |mut command: Command| {
        command.env("TMPDIR", "no/such/directory");
        command
    };
    // Only as root the database lies there.
    let uses = ["db start", "db stop", "db status", "db url", "init"];
    let further = ["services start", "setup-env", "tasks docs", "setup"];
    let specs: Vec<Spec> = uses.into_iter().chain(further).map(named).collect();
    each(&shop, "a relative TMPDIR", &specs, relative, |spec| {
        if uses.contains(&spec.name) {
            Ends::WellOrSays(&["`no/such/directory`, is not an absolute path"])
        } else {
            Ends::Well
        }
    });
    assert!(!shop.fixture.path("no").exists());
    let init = named("init");
    init.prepare(&shop);
    let mut command = init.command(&shop);
    let missing = shop.fixture.path("missing");
    Run::of(command.env("TMPDIR", &missing))
        .code(1)
        .says(&format!("failed to create `{}", missing.display()));
    init.works(&shop, "after a missing TMPDIR");
    shop.ends("without temporary files");
    record(
        "surroundings::with_no_place_for_temporary_files",
        &[Row {
            fault: "TMPDIR is relative, and not there".to_owned(),
            commands: all_names(&specs),
            points: "1".to_owned(),
            held: format!(
                "each does its work, or (exit code 2) names the directory: {}",
                names(uses)
            ),
        }],
    );
}

/// Gives everything below a directory this time of change, what is ours and what is not.
fn date(directory: &Path, time: SystemTime) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() && entry.file_name() != ".git" {
            date(&path, time);
        }
        if !kind.is_symlink()
            && let Ok(file) = File::open(&path)
        {
            // A socket of the server's, or what is gone already.
            let _ = file.set_modified(time);
        }
    }
}

#[test]
fn with_times_of_another_century() {
    let shop = Shop::new();
    let specs = quickest();
    let year = Duration::from_secs(365 * 24 * 60 * 60);
    for (what, time) in [
        ("files of 1970", UNIX_EPOCH),
        ("files of the future", SystemTime::now() + 75 * year),
    ] {
        // Everything that is remembered is there, and has that time: stamps, notes, locks, caches.
        for words in [
            "services start",
            "setup-env",
            "setup app",
            "tasks docs",
            "setup-nextest",
        ] {
            shop.run(words);
        }
        let change = |command: Command| {
            date(shop.fixture.root(), time);
            date(shop.theirs.root(), time);
            command
        };
        each(&shop, what, &specs, change, |_| Ends::Well);
        // Nothing is done again, and nothing taken for new, because of the time alone.
        shop.run("setup app");
        date(shop.fixture.root(), time);
        shop.remove("calls.log");
        shop.run("setup app");
        assert!(
            !shop.fixture.path("calls.log").exists(),
            "{what}: set up again"
        );
    }
    shop.ends("with other times");
    record(
        "surroundings::with_times_of_another_century",
        &[Row {
            fault: "all files (state, stamps, locks, caches) are of 1970, and of 75 years ahead"
                .to_owned(),
            commands: all_names(&specs),
            points: "2".to_owned(),
            held: "each does its work".to_owned(),
        }],
    );
}

#[test]
fn file_names_that_are_no_text() {
    let shop = Shop::new();
    let put = |path: &[u8], text: &str| {
        let path = shop.fixture.root().join(bytes(path));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    put(b"products/\xff/\xfe", "x");
    put(b"native/src/\xff.rs", "");
    put(b"app/\xff.txt", "");
    Run::of(&mut named("clean-artifacts").command(&shop)).code(0);
    assert!(!shop.fixture.path("products").exists());
    // One that git tracks stays.
    put(b"products/\xff", "mine");
    let add = ["add", "--force", "products"];
    let status = Command::new("git")
        .args(add)
        .current_dir(shop.fixture.root())
        .status();
    assert!(status.unwrap().success());
    put(b"products/\xfe", "x");
    Run::of(&mut named("clean-artifacts").command(&shop))
        .code(0)
        .says("tracked by git");
    let left: Vec<OsString> = fs::read_dir(shop.fixture.path("products"))
        .unwrap()
        .map(|it| it.unwrap().file_name())
        .collect();
    assert_eq!(left, [bytes(b"\xff")]);
    Run::of(&mut shop.command(&["ci", "scope", "--base", "HEAD", "--explain"]))
        .code(0)
        .prints("native-core")
        .prints("app/\u{fffd}.txt");
    for words in ["tasks check", "tasks list", "tasks docs --check"] {
        let words: Vec<&str> = words.split(' ').collect();
        shop.run("tasks docs");
        Run::of(&mut shop.command(&words)).code(0);
    }
    // Task files and documents that cannot be named are not left out in silence.
    put(b"sub-\xff/Makefile.toml", "[tasks.x]\ncommand = \"true\"\n");
    for words in [&["tasks", "check"][..], &["tasks", "docs"]] {
        Run::of(&mut shop.command(words))
            .code(2)
            .says("the path `sub-\u{fffd}/Makefile.toml` is not valid Unicode");
    }
    shop.ends("with odd names");
    record(
        "surroundings::file_names_that_are_no_text",
        &[Row {
            fault: "names of files and directories that are not UTF-8".to_owned(),
            commands: names([
                "clean-artifacts",
                "ci scope",
                "tasks check",
                "tasks list",
                "tasks docs",
            ]),
            points: "4: products, sources, files that git tracks, a task file".to_owned(),
            held: "each does its work; a task file of such a name is an error that names it"
                .to_owned(),
        }],
    );
}

/// A container counts the time since the boot otherwise than its host, and so the starts of processes.
#[test]
fn with_another_clock() {
    let shop = Shop::new();
    let mut words: Vec<OsString> = ["unshare", "--fork", "--time", "--boottime", "1000000"]
        .map(OsString::from)
        .into();
    words.extend(["--monotonic", "1000000"].map(OsString::from));
    if !nix::unistd::geteuid().is_root() {
        let user = nix::unistd::geteuid().as_raw().to_string();
        words.extend(["--user", "--map-user"].map(OsString::from));
        words.push(user.into());
    }
    let elsewhere = |command: Command| behind(&words, &command);
    let specs: Vec<Spec> = [
        "check-services",
        "services start",
        "services status",
        "services restart",
        "services stop",
        "with-services",
        "run-service",
        "db start",
        "db status",
        "db stop",
        "exec",
    ]
    .map(named)
    .into();
    // Started here, seen there.
    each(&shop, "another clock", &specs, elsewhere, |_| Ends::Well);
    // And the other way round.
    shop.run("services stop");
    Run::of(&mut elsewhere(named("services start").command(&shop))).code(0);
    let seen = shop.run("services status --format json").json();
    for service in ["web", "api"] {
        let all = seen.as_array().unwrap();
        let it = all.iter().find(|it| it["name"] == service).unwrap();
        assert_eq!(it["state"], "healthy", "{it}");
    }
    shop.run("services start").says("already");
    shop.run("services stop");
    shop.ends("with another clock");
    record(
        "surroundings::with_another_clock",
        &[Row {
            fault: "a monotonic clock that is eleven days ahead (a time namespace)".to_owned(),
            commands: all_names(&specs),
            points: "2: what was started under one clock is seen under the other, both ways"
                .to_owned(),
            held: "each does its work; a process is known again".to_owned(),
        }],
    );
}
