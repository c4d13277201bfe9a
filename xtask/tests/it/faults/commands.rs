//! Every command, with a workspace in which each has its work to do: `shop`.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use super::held;
use crate::support::{
    Fixture, Mark, Run, cargo, commands, example, free_port, installer, mark, marked, root, server,
    xtask,
};

/// What a command does, beside printing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Does {
    /// Nothing.
    Reads,
    /// Writes, or removes, files of the workspace or the user.
    Writes,
    /// Starts or ends processes, and may write files.
    Runs,
    /// Makes, starts, stops or changes the embedded PostgreSQL.
    Database,
}

/// One command line for each command.
pub(super) struct Spec {
    /// Its name: `services start`.
    pub(super) name: &'static str,
    /// The words after its name, split at spaces; `{server}` is the fixture server, `{theirs}` another
    /// workspace.
    args: &'static str,
    pub(super) does: Does,
    /// How a run ends to which nothing happens.
    pub(super) code: i32,
    /// Brings the shop, whatever was done to it, to where the command has its work to do.
    prepare: fn(&Shop),
    /// Checks that a run to which nothing happened did that work.
    holds: fn(&Shop, &Run),
}

impl Spec {
    /// The whole command line, without `cargo xtask`.
    pub(super) fn words(&self, shop: &Shop) -> Vec<String> {
        let server = server();
        let theirs = shop.theirs.root().display().to_string();
        let words = self.name.split(' ').chain(self.args.split_whitespace());
        words
            .map(|it| it.replace("{server}", &server).replace("{theirs}", &theirs))
            .collect()
    }

    /// The command with all that it needs, marked.
    pub(super) fn command(&self, shop: &Shop) -> Command {
        let words = self.words(shop);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        shop.command(&words)
    }

    /// See [`Spec::prepare`].
    pub(super) fn prepare(&self, shop: &Shop) {
        (self.prepare)(shop);
    }

    /// See [`Spec::holds`].
    // The tests in which a call may fail are Linux's.
    #[cfg_attr(not(target_os = "linux"), allow(dead_code))]
    pub(super) fn holds(&self, shop: &Shop, run: &Run) {
        (self.holds)(shop, run);
    }

    /// A run to which nothing happens, on the shop as it is: it ends as it should, has done its work,
    /// and leaves nothing lying about. This is "the next run works".
    #[track_caller]
    pub(super) fn works(&self, shop: &Shop, when: &str) {
        let run = Run::of(&mut self.command(shop));
        assert_eq!(run.exit(), Some(self.code), "{when}: {run}");
        let held = catch_unwind(AssertUnwindSafe(|| (self.holds)(shop, &run)));
        assert!(held.is_ok(), "the work of {when}: see above\n{run}");
        shop.settled(when);
    }
}

/// A workspace with services, a database, tasks, tests, tools and things to install.
pub(super) struct Shop {
    pub(super) fixture: Fixture,
    /// A workspace of somebody else's, for `init`.
    pub(super) theirs: Fixture,
    /// In the environment of all that is started here.
    pub(super) mark: Mark,
    home: OnceLock<PathBuf>,
}

impl Shop {
    pub(super) fn new() -> Shop {
        let shop = Shop {
            fixture: Fixture::new(&config()),
            theirs: Fixture::new(""),
            mark: mark(),
            home: OnceLock::new(),
        };
        for (path, content) in FILES {
            shop.fixture.file(path, content);
        }
        shop.fixture
            .file("Makefile.toml", &MAKEFILE.replace("{server}", &server()));
        shop.fixture.git();
        // What the tests of before left.
        shop.fixture.file(
            "target/nextest/ci/junit.xml",
            "<testsuite name='s'><testcase name='fine' time='0.5'/></testsuite>",
        );
        fs::remove_dir_all(shop.theirs.path(".config")).unwrap();
        shop.theirs.file(
            "Cargo.toml",
            "[package]\nname = 'odd'\nversion = '0.1.0'\nedition = '2024'\n[workspace]\n",
        );
        shop.theirs.file("src/lib.rs", "");
        shop
    }

    /// `cargo xtask` with these words, in the shop and marked.
    pub(super) fn command(&self, words: &[&str]) -> Command {
        let mut command = marked(&self.fixture, &self.mark, words);
        let at = |path: &str| self.fixture.path(path);
        command
            .env("CARGO_INSTALL_ROOT", at("installed"))
            .env("FIXTURE_LOG", at("calls.log"))
            .env("GITHUB_OUTPUT", at("github-output.log"))
            .env("XTASK_NEEDS", r#"{"test": {"result": "success"}}"#);
        match words {
            ["make", ..] => {
                command
                    .env("CARGO", example("fixture-cargo"))
                    // What another program writes, and not whole at once: out of our sight.
                    .env("CARGO_INSTALL_ROOT", at("cache/installed"));
                // Nothing that this machine has by accident, `cargo binstall` above all.
                command.env("PATH", "");
            }
            ["setup-db" | "db" | "check-services", ..] => {
                command.env("XTASK_DB", xtask_db());
            }
            _ => {}
        }
        command
    }

    /// Runs `cargo xtask` with these words, split at spaces; it has to end well.
    #[track_caller]
    pub(super) fn run(&self, words: &str) -> Run {
        let words: Vec<&str> = words.split(' ').collect();
        Run::of(&mut self.command(&words)).code(0)
    }

    /// Stops what runs here in the background.
    pub(super) fn stop(&self) {
        self.run("services stop");
        if self.home().exists() {
            self.run("db stop");
        }
    }

    /// Where the embedded PostgreSQL is, or would be.
    pub(super) fn home(&self) -> &Path {
        self.home.get_or_init(|| {
            let run = Run::of(&mut self.command(&["db", "status", "--format", "json"]));
            PathBuf::from(run.json()["directory"].as_str().unwrap())
        })
    }

    /// Leaves nothing of the embedded PostgreSQL.
    pub(super) fn no_cluster(&self) {
        if self.home().exists() {
            self.run("db stop");
            fs::remove_dir_all(self.home()).unwrap();
        }
        self.remove("cache");
        self.remove(".env");
    }

    /// Removes a file or directory; it need not be there.
    pub(super) fn remove(&self, path: &str) {
        let path = self.fixture.path(path);
        let _ = fs::remove_file(&path);
        let _ = fs::remove_dir_all(&path);
        assert!(!path.exists(), "{}", path.display());
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.fixture.path(path)).unwrap_or_default()
    }

    /// How often the fixture cargo was asked to install something, since the command was prepared.
    pub(super) fn installs(&self) -> usize {
        let calls = self.read("calls.log");
        calls.lines().filter(|it| it.starts_with("install")).count()
    }

    /// The calls of the fixture cargo so far.
    fn calls(&self) -> usize {
        self.read("calls.log").lines().count()
    }

    /// No run is at work here: nothing of ours lies about, what we remember can be read, and no lock is
    /// held.
    #[track_caller]
    pub(super) fn settled(&self, when: &str) {
        for root in [self.fixture.root(), self.theirs.root()] {
            held::nothing_is_left_lying(root, when);
            held::state_is_whole(root, when);
            held::no_lock_is_held(root, when);
        }
    }

    /// Stops what runs in the background; then no process of the shop's is left.
    #[track_caller]
    pub(super) fn ends(&self, when: &str) {
        self.stop();
        held::no_process_left(&self.mark, Duration::from_secs(10), when);
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        let _ = self.command(&["services", "stop"]).output();
        let _ = self.command(&["db", "stop"]).output();
        // As root it lies outside of the fixture.
        if let Some(home) = self.home.get() {
            let _ = fs::remove_dir_all(home);
        }
    }
}

/// `xtask-db`, as the tests of the workspace have built it; built now where they have not.
fn xtask_db() -> &'static PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let path = xtask().with_file_name(format!("xtask-db{}", std::env::consts::EXE_SUFFIX));
        if !path.is_file() {
            let mut build = cargo();
            build.args(["build", "--quiet", "--package", "xtask-db"]);
            let status = build.current_dir(root()).status();
            assert!(status.unwrap().success(), "{build:?}");
        }
        path
    })
}

fn config() -> String {
    let (server, installer) = (server(), installer());
    let [web, api, brief] = [free_port(), free_port(), free_port()];
    format!(
        r#"
[workspace]
name = "shop"
[env]
profile = "p"
[env.profiles]
p = [".env.p"]
[env.defaults]
DEFAULT_KEY = "default"
[database]
name = "shop"
role = "keeper"
pgmq = true
migrations = "migrations"
[services.db]
kind = "postgres"
autostart = false
[services.web]
kind = "http"
port = {web}
port_env = "PORT"
command = [{server:?}, "healthy"]
ready_timeout = 20
stop_timeout = 5
[services.api]
kind = "http"
depends_on = ["web"]
port = {api}
port_env = "PORT"
command = [{server:?}, "parent"]
ready_timeout = 20
stop_timeout = 5
[services.brief]
kind = "http"
autostart = false
port = {brief}
port_env = "PORT"
command = [{server:?}, "healthy"]
env = {{ LIFE_MS = "300" }}
[tools.fixture-make]
crate = "fixture-make"
version = "1.2.3"
[make]
tools = ["fixture-make"]
{installer}[extensions.native]
package = "native-core"
library = "core_of_it"
kind = "node"
destination = "lib/core"
[clean.app]
paths = ["products"]
[tests.rust]
junit = ["target/nextest/*/junit.xml"]
"#
    )
}

const FILES: &[(&str, &str)] = &[
    (
        "Cargo.toml",
        "[workspace]\nresolver = \"3\"\nmembers = [\"native\"]\n",
    ),
    (
        "Cargo.lock",
        "version = 4\n\n[[package]]\nname = \"native-core\"\nversion = \"0.0.0\"\n",
    ),
    (
        "native/Cargo.toml",
        "[package]\nname = \"native-core\"\nedition = \"2024\"\n[lib]\nname = \"core_of_it\"\ncrate-type = [\"cdylib\", \"rlib\"]\n",
    ),
    (
        "native/src/lib.rs",
        "pub fn one() -> u8 { 1 }\n#[test]\nfn is_one() { assert_eq!(one(), 1) }\n",
    ),
    (
        ".config/nextest.toml",
        "[profile.default]\nstatus-level = \"pass\"\n[profile.ci]\nfail-fast = false\n[profile.ci.junit]\npath = \"junit.xml\"\n",
    ),
    ("app/app.lock", "1"),
    ("app/modules/one", ""),
    (
        "migrations/1_first.sql",
        "create table first (id bigint primary key);\n",
    ),
    (
        "migrations/2_second.sql",
        "create table second (id bigint primary key);\nselect pg_sleep(0.1);\ninsert into second select generate_series(1, 1000);\n",
    ),
    (".env.p", "PROFILE_KEY=profile\n"),
    (
        ".gitignore",
        ".env*\ntarget\ncache\nproducts\ninstalled\nlib\n*.log\n.*.tmp\n",
    ),
];

const MAKEFILE: &str = r#"
[config]
skip_core_tasks = true
skip_git_env_info = true
skip_rust_env_info = true
skip_crate_env_info = true

[tasks.build]
description = "Build"
category = "Build"
command = "true"

[tasks.wait]
description = "Wait"
category = "Build"
command = "sleep"
args = ["0.3"]
"#;

fn nothing(_: &Shop) {}

fn fine(_: &Shop, _: &Run) {}

/// That a command prints this is all that there is to it.
macro_rules! prints {
    ($part:expr) => {
        |_, run| assert!(run.stdout().contains($part), "{run}")
    };
}

/// A command that changes nothing but what `prepare` undoes.
const fn spec(name: &'static str, args: &'static str, does: Does) -> Spec {
    Spec {
        name,
        args,
        does,
        code: 0,
        prepare: nothing,
        holds: fine,
    }
}

fn state(shop: &Shop, service: &str) -> String {
    let words = ["services", "status", service, "--format", "json"];
    let run = Run::of(&mut shop.command(&words));
    run.json()[0]["state"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

fn both(shop: &Shop, expected: &str) {
    for service in ["web", "api"] {
        assert_eq!(state(shop, service), expected, "{service}");
    }
}

fn stop_services(shop: &Shop) {
    shop.run("services stop");
}

fn start_services(shop: &Shop) {
    shop.run("services start");
}

fn database_is_ready(shop: &Shop, _: &Run) {
    shop.run("check-services db").prints("healthy");
}

fn database_runs(shop: &Shop) -> bool {
    let run = Run::of(&mut shop.command(&["db", "status", "--format", "json"]));
    run.json()["running"] == true
}

/// A new migration, which takes a moment.
fn one_more_migration(shop: &Shop) {
    shop.run("setup-db");
    let files = fs::read_dir(shop.fixture.path("migrations")).unwrap();
    let n = files.count() + 1;
    shop.fixture.file(
        &format!("migrations/{n}_next.sql"),
        &format!("create table t{n} (id bigint primary key);\nselect pg_sleep(0.1);\ninsert into t{n} values (1);\n"),
    );
}

fn touch_the_extension(shop: &Shop) {
    shop.remove("lib");
    // Cargo tells by the time of a file whether it has changed.
    shop.remove("target/debug");
}

/// All commands. `every_command_has_its_line` holds that none is missing.
pub(super) fn specs() -> Vec<Spec> {
    use Does::{Database, Reads, Runs, Writes};
    vec![
        Spec {
            prepare: |shop| {
                shop.remove("cache/installed");
                shop.remove("calls.log");
            },
            holds: |shop, _| {
                let calls = shop.read("calls.log");
                let made = "make --disable-check-for-updates build";
                assert_eq!(calls.lines().last(), Some(made), "{calls}");
            },
            ..spec("make", "build", Runs)
        },
        Spec {
            prepare: start_services,
            holds: prints!("healthy"),
            ..spec("check-services", "web api", Reads)
        },
        Spec {
            prepare: stop_services,
            holds: |shop, _| both(shop, "healthy"),
            ..spec("services start", "", Runs)
        },
        Spec {
            prepare: start_services,
            holds: |shop, _| both(shop, "stopped"),
            ..spec("services stop", "", Runs)
        },
        Spec {
            prepare: start_services,
            holds: |shop, _| both(shop, "healthy"),
            ..spec("services restart", "web api", Runs)
        },
        Spec {
            prepare: start_services,
            holds: prints!("healthy"),
            ..spec("services status", "", Reads)
        },
        Spec {
            prepare: start_services,
            ..spec("services logs", "", Reads)
        },
        Spec {
            code: 3,
            prepare: stop_services,
            holds: |shop, _| both(shop, "stopped"),
            ..spec("with-services", "-- sh -c sleep${IFS}0.2;exit${IFS}3", Runs)
        },
        Spec {
            code: 7,
            prepare: stop_services,
            ..spec("run-service", "brief", Runs)
        },
        Spec {
            prepare: |shop| {
                shop.remove("app/modules");
                shop.fixture.file("app/modules/one", "");
                shop.remove("calls.log");
            },
            holds: |shop, _| assert!(shop.calls() > 0 && shop.fixture.path("app/modules").exists()),
            ..spec("setup", "app", Runs)
        },
        Spec {
            prepare: touch_the_extension,
            holds: |shop, _| {
                let built = fs::read(shop.fixture.path("lib/core.node")).unwrap();
                assert!(built.len() > 1000, "{} bytes", built.len());
            },
            ..spec("build-extension", "native", Runs)
        },
        Spec {
            holds: database_is_ready,
            ..spec("setup-db", "--reset --yes", Database)
        },
        Spec {
            prepare: Shop::no_cluster,
            holds: |shop, _| assert!(database_runs(shop)),
            ..spec("db start", "", Database)
        },
        Spec {
            prepare: |shop| drop(shop.run("db start")),
            holds: |shop, _| assert!(!database_runs(shop)),
            ..spec("db stop", "", Database)
        },
        Spec {
            prepare: |shop| drop(shop.run("db start")),
            holds: prints!("running"),
            ..spec("db status", "", Reads)
        },
        Spec {
            prepare: |shop| drop(shop.run("db start")),
            holds: prints!("postgres"),
            ..spec("db url", "", Reads)
        },
        Spec {
            prepare: one_more_migration,
            holds: database_is_ready,
            ..spec("db migrate", "", Database)
        },
        Spec {
            prepare: |shop| {
                shop.fixture.file(".env", "# mine\nOWN=1\n");
            },
            holds: |shop, _| {
                let text = shop.read(".env");
                for line in [
                    "# mine",
                    "OWN=1",
                    "PROFILE_KEY=profile",
                    "DEFAULT_KEY=default",
                ] {
                    assert!(text.lines().any(|it| it == line), "{line}: {text}");
                }
            },
            ..spec("setup-env", "", Writes)
        },
        Spec {
            holds: prints!("DEFAULT_KEY"),
            ..spec("env", "", Reads)
        },
        Spec {
            code: 3,
            ..spec("exec", "-- sh -c sleep${IFS}0.2;exit${IFS}3", Runs)
        },
        Spec {
            prepare: |shop| shop.remove(".config/nextest.toml"),
            holds: |shop, _| {
                assert!(
                    shop.read(".config/nextest.toml")
                        .contains("[profile.local]")
                )
            },
            ..spec("setup-nextest", "", Writes)
        },
        Spec {
            prepare: |shop| {
                for n in 0..300 {
                    shop.fixture.file(&format!("products/{}/{n}", n % 20), "x");
                }
            },
            holds: |shop, _| assert!(!shop.fixture.path("products").exists()),
            ..spec("clean-artifacts", "", Writes)
        },
        Spec {
            holds: prints!("installer"),
            ..spec("doctor", "installer", Reads)
        },
        spec("parallel", "wait build", Runs),
        spec("tasks check", "", Reads),
        Spec {
            holds: prints!("build"),
            ..spec("tasks list", "", Reads)
        },
        Spec {
            holds: prints!("build"),
            ..spec("tasks explain", "build", Reads)
        },
        Spec {
            holds: prints!("build"),
            ..spec("tasks graph", "build", Reads)
        },
        Spec {
            prepare: |shop| shop.remove("docs/tasks.md"),
            holds: |shop, _| assert!(shop.read("docs/tasks.md").contains("build")),
            ..spec("tasks docs", "", Writes)
        },
        spec("ci scope", "--base HEAD", Reads),
        Spec {
            holds: prints!("2/2"),
            ..spec("ci shards", "--of 2", Reads)
        },
        spec("ci test-shard", "1/1 -- --workspace", Runs),
        Spec {
            prepare: |shop| {
                shop.fixture.file(
                    "target/nextest/ci/junit.xml",
                    "<testsuite name='s'><testcase name='fine' time='0.5'/></testsuite>",
                );
            },
            holds: prints!("rust"),
            ..spec("ci report", "", Reads)
        },
        Spec {
            holds: prints!("good"),
            ..spec("ci gate", "", Reads)
        },
        Spec {
            prepare: |shop| {
                for path in [".config", ".cargo", "cargo-make", "xtask", "Makefile.toml"] {
                    let path = shop.theirs.path(path);
                    let _ = fs::remove_file(&path);
                    let _ = fs::remove_dir_all(&path);
                }
                shop.theirs.file(
                    "Cargo.toml",
                    "[package]\nname = 'odd'\nversion = '0.1.0'\nedition = '2024'\n[workspace]\n",
                );
            },
            holds: |shop, _| {
                for file in ["Makefile.toml", ".config/xtask.toml", ".cargo/config.toml"] {
                    assert!(shop.theirs.path(file).is_file(), "{file}");
                }
            },
            ..spec("init", "{theirs} --yes", Writes)
        },
        Spec {
            prepare: |shop| shop.remove("installed"),
            holds: |shop, _| {
                let program = shop.fixture.path("installed/bin/cargo-xt");
                let size = |path| fs::metadata(path).unwrap().len();
                assert_eq!(size(program), size(xtask()));
            },
            ..spec("install-launcher", "", Writes)
        },
        Spec {
            holds: prints!("xtask"),
            ..spec("completions", "bash", Reads)
        },
    ]
}

/// Those of one kind.
pub(super) fn that(does: Does) -> Vec<Spec> {
    specs().into_iter().filter(|it| it.does == does).collect()
}

/// The command of this name.
pub(super) fn named(name: &str) -> Spec {
    let found = specs().into_iter().find(|it| it.name == name);
    found.unwrap_or_else(|| panic!("no command is called `{name}`"))
}

#[test]
fn every_command_has_its_line() {
    let ours: Vec<&str> = specs().iter().map(|it| it.name).collect();
    assert_eq!(ours, commands());
}

/// All that the fault tests build upon: where nothing happens to it, each command does its work.
#[test]
fn where_nothing_happens_every_command_does_its_work() {
    let shop = Shop::new();
    for spec in specs() {
        let since = std::time::Instant::now();
        spec.prepare(&shop);
        let prepared = since.elapsed();
        spec.works(&shop, spec.name);
        println!("{:?} {:?} {}", prepared, since.elapsed(), spec.name);
    }
    shop.ends("at the end");
}
