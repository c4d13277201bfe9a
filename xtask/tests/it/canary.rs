//! No secret is shown: every command runs with canaries in each place that holds secrets, and all that
//! it leaves is searched for them.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::thread;

use crate::support::{Fixture, Run, commands, example, free_port, installer, server};

/// What every canary begins with. It stands in the environment, and in no argument that a test gives.
const CANARY: &str = "Kanarienvogel";
const FORMATS: [&[&str]; 4] = [&[], &["-v"], &["--format", "json"], &["--format", "github"]];

/// A command line, and whether its stdout is meant to hold secrets.
struct Case {
    args: Vec<String>,
    prints_secrets: bool,
}

fn case(words: &str) -> Case {
    Case {
        args: words.split_whitespace().map(str::to_owned).collect(),
        prints_secrets: false,
    }
}

/// As [`case`], where printing secrets is what the command is for.
fn revealing(words: &str) -> Case {
    Case {
        prints_secrets: true,
        ..case(words)
    }
}

/// How each command is run; the names of all of them come from the command line itself.
fn cases(command: &str, theirs: &Path) -> Vec<Case> {
    let theirs = theirs.display();
    let server = server();
    let all: &[&str] = match command {
        "make" => &["make build", "make no-such-task"],
        "check-services" => &[
            "check-services",
            "check-services --all --timeout 300",
            "check-services web",
        ],
        "services start" => &["services start web", "services start crash"],
        "services restart" => &["services restart web", "services restart"],
        "services status" => &["services status", "services status crash"],
        "services logs" => &["services logs", "services logs crash --previous"],
        "services stop" => &["services stop", "services stop web"],
        "with-services" => &[
            "with-services web -- {server} exit 3",
            "with-services crash -- {server} exit 0",
            "with-services web -- no-such-program",
        ],
        "run-service" => &["run-service mute", "run-service no-such"],
        "setup" => &["setup --force", "setup app"],
        "build-extension" => &["build-extension ext", "build-extension no-such"],
        "setup-db" => &["setup-db", "setup-db --reset --yes"],
        "db start" => &["db start"],
        "db stop" => &["db stop"],
        "db status" => &["db status"],
        "db migrate" => &["db migrate"],
        "db url" => return vec![revealing("db url"), revealing("db url --reveal")],
        "setup-env" => {
            let prints = ["sh", "fish", "powershell"]
                .map(|shell| revealing(&format!("setup-env --print {shell}")));
            let mut all: Vec<Case> = prints.into();
            let quiet = [
                "setup-env --check",
                "setup-env --profile wrong",
                "setup-env --github",
                "setup-env",
            ];
            all.extend(quiet.map(case));
            return all;
        }
        "env" => &["env", "env --explain", "env --profile p --explain"],
        "exec" => &["exec -- {server} exit 3", "exec -- no-such-program"],
        "setup-nextest" => &["setup-nextest --check", "setup-nextest"],
        "clean-artifacts" => &["clean-artifacts --dry-run", "clean-artifacts"],
        "doctor" => &["doctor", "doctor no-such", "doctor --require installer"],
        "parallel" => &["parallel build test", "parallel no-such"],
        "tasks check" => &["tasks check", "tasks check --fix"],
        "tasks list" => &["tasks list", "tasks list --all"],
        "tasks explain" => &["tasks explain build"],
        "tasks graph" => &["tasks graph build", "tasks graph build --as html"],
        "tasks docs" => &["tasks docs --check", "tasks docs"],
        "ci scope" => &["ci scope --base HEAD --explain", "ci scope --base no-such"],
        "ci shards" => &["ci shards --of 2"],
        "ci test-shard" => &["ci test-shard 1/2 -- --workspace"],
        "ci report" => &["ci report", "ci report no-such.xml"],
        "ci gate" => &["ci gate"],
        "init" => &[
            "init {theirs} --dry-run",
            "init {theirs} --yes",
            "init --dry-run",
        ],
        "install-launcher" => &["install-launcher"],
        "completions" => &["completions bash", "completions fish"],
        new => panic!("`{new}` is new: say here how it is to be run with canaries"),
    };
    all.iter()
        .map(|words| {
            let words = words.replace("{server}", &server);
            case(&words.replace("{theirs}", &theirs.to_string()))
        })
        .collect()
}

fn fixture() -> Fixture {
    let (server, installer) = (server(), installer());
    let [web, crash] = [free_port(), free_port()];
    let fixture = Fixture::new(&format!(
        r#"
[env]
profile = "p"
required = ["APP_PASSWORD", "MISSING_TOKEN"]
[env.profiles]
p = [".env.p"]
wrong = [".env.wrong"]
[env.defaults]
DEFAULT_KEY = "{CANARY}-default"
[database]
name = "shop"
role = "keeper"
migrations = "migrations"
[services.db]
kind = "postgres"
required = true
autostart = false
[services.web]
kind = "http"
port = {web}
port_env = "PORT"
command = [{server:?}, "healthy"]
ready_timeout = 10
env = {{ SERVICE_SECRET = "{CANARY}-service", BROKER = "amqp://u:{CANARY}-broker@127.0.0.1/x" }}
[services.crash]
kind = "tcp"
autostart = false
port = {crash}
command = [{server:?}, "print", "API_TOKEN", "DATABASE_URL", "SERVICE_SECRET", "APP_PASSWORD", "PROFILE_KEY", "CACHE_URL"]
ready_timeout = 5
env = {{ SERVICE_SECRET = "{CANARY}-service" }}
[services.mute]
kind = "tcp"
autostart = false
port = {crash}
command = [{server:?}, "exit", "3"]
{installer}[tests.rust]
junit = ["target/nextest/*/junit.xml"]
"#
    ));
    fixture.file("app/app.lock", "1");
    fixture.file("app/modules/one", "");
    fixture.file("migrations/1_a.sql", "select 1;");
    fixture.file(
        "Makefile.toml",
        "[config]\nskip_core_tasks = true\n[tasks.build]\ndescription = \"Build\"\ncommand = \"true\"\n[tasks.test]\ncommand = \"true\"\n",
    );
    fixture.file(".gitignore", ".env*\ntarget\ncache\n");
    fixture.file(
        ".env",
        &format!(
            "APP_PASSWORD={CANARY}-dotenv\nCACHE_URL=redis://:{CANARY}-cache@127.0.0.1/1\n\
             DATABASE_URL=postgresql://u:{CANARY}-old@127.0.0.1:1/shop\n"
        ),
    );
    fixture.file(
        ".env.p",
        &format!("PROFILE_KEY={CANARY}-profile\nAPP_PASSWORD={CANARY}-shadowed\n"),
    );
    // A mistake in a line that holds a secret.
    fixture.file(
        ".env.wrong",
        &format!("GOOD=1\nBAD_TOKEN=\"{CANARY}-unclosed\nX Y={CANARY}-spaces\n"),
    );
    fixture.git();
    fixture.file(
        "target/nextest/ci/junit.xml",
        &format!(
            "<testsuite name='s'><testcase name='connects' time='0.5'><failure message='no {CANARY}-process'>\
             postgresql://u:{CANARY}-url@h/d refused {CANARY}-dotenv</failure>\
             <system-out>PROFILE_KEY {CANARY}-profile</system-out></testcase></testsuite>"
        ),
    );
    fixture
}

/// Somebody's workspace, with secrets where people keep them.
fn theirs() -> Fixture {
    let theirs = Fixture::new("");
    fs::remove_dir_all(theirs.path(".config")).unwrap();
    theirs.file(
        "Cargo.toml",
        "[package]\nname = 'odd'\nversion = '0.1.0'\nedition = '2024'\n[workspace]\n",
    );
    theirs.file("src/lib.rs", "");
    theirs.file(
        ".env",
        &format!(
            "DATABASE_URL=postgresql://u:{CANARY}-theirs@127.0.0.1:5433/shop\nAPI_KEY={CANARY}-key\nPORT=3000\n"
        ),
    );
    theirs.file(".env.test", &format!("TEST_TOKEN={CANARY}-test\n"));
    theirs.file(
        "compose.yaml",
        &format!(
            "services:\n  db:\n    image: postgres:17\n    ports: ['5433:5432']\n    environment:\n      \
             POSTGRES_PASSWORD: {CANARY}-compose\n      POSTGRES_DB: shop\n"
        ),
    );
    theirs
}

/// Files that are meant to hold secrets, or that hold what another program wrote.
fn may_hold(path: &str) -> bool {
    let log = path.starts_with("target/xtask/services/")
        && path
            .rsplit('/')
            .next()
            .is_some_and(|name| name.starts_with("run-") && name.ends_with(".log"));
    log || [
        ".env",
        ".env.p",
        ".env.wrong",
        ".env.test",
        "compose.yaml",
        ".config/xtask.toml",
        "target/nextest/ci/junit.xml",
        "github-env",
    ]
    .contains(&path)
}

fn search(root: &Path, directory: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(directory).unwrap().flatten() {
        let path = entry.path();
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        if kind.is_dir() {
            search(root, &path, found);
        } else if kind.is_file() {
            let shown = path.strip_prefix(root).unwrap().display().to_string();
            let shown = shown.replace('\\', "/");
            let bytes = fs::read(&path).unwrap_or_default();
            if !may_hold(&shown) && String::from_utf8_lossy(&bytes).contains(CANARY) {
                found.push(format!("the file {shown}"));
            }
        }
    }
}

/// Looks at the arguments of all processes until it is dropped (Linux).
#[cfg(target_os = "linux")]
struct Watch {
    stop: std::sync::mpsc::Sender<()>,
    seen: Option<thread::JoinHandle<Vec<String>>>,
}

#[cfg(target_os = "linux")]
impl Watch {
    fn new() -> Watch {
        let (stop, stopped) = std::sync::mpsc::channel();
        let look = || {
            let entries = fs::read_dir("/proc").unwrap().flatten();
            let lines = entries.filter_map(|it| fs::read(it.path().join("cmdline")).ok());
            lines
                .map(|it| String::from_utf8_lossy(&it).replace('\0', " "))
                .find(|it| it.contains(CANARY))
        };
        let seen = thread::spawn(move || {
            let mut seen = Vec::new();
            let pause = std::time::Duration::from_millis(3);
            while stopped.recv_timeout(pause) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                seen.extend(look());
            }
            seen
        });
        Watch {
            stop,
            seen: Some(seen),
        }
    }

    fn end(mut self) -> Vec<String> {
        self.stop.send(()).unwrap();
        self.seen.take().unwrap().join().unwrap()
    }
}

/// Runs everything against a database server at this port.
fn run_all(port: u16) {
    let (fixture, theirs) = (fixture(), theirs());
    #[cfg(target_os = "linux")]
    let watch = Watch::new();
    let mut leaks = Vec::new();
    for name in commands() {
        for format in FORMATS {
            for case in cases(&name, theirs.root()) {
                // The format stands first: behind `--` it would be the command's.
                let args: Vec<&str> = format
                    .iter()
                    .copied()
                    .chain(case.args.iter().map(String::as_str))
                    .collect();
                let mut command = fixture.xtask(&args);
                command
                    .env("CARGO", example("fixture-cargo"))
                    .env("CARGO_INSTALL_ROOT", fixture.path("installed"))
                    // What is installed goes nowhere else.
                    .env("HOME", fixture.path("home"))
                    .env("USERPROFILE", fixture.path("home"))
                    .env("CARGO_HOME", fixture.path("home/cargo"))
                    .env("FIXTURE_LOG", fixture.path("calls"))
                    .env("API_TOKEN", format!("{CANARY}-process"))
                    .env(
                        "DATABASE_URL",
                        format!("postgresql://u:{CANARY}-url@127.0.0.1:{port}/shop"),
                    )
                    .env("GITHUB_ACTIONS", "true")
                    .env("GITHUB_ENV", fixture.path("github-env"))
                    .env("GITHUB_OUTPUT", fixture.path("github-output"))
                    .env("GITHUB_STEP_SUMMARY", fixture.path("summary.md"))
                    .stdin(Stdio::null());
                let run = Run::of(&mut command);
                // How GitHub is told what to mask.
                let stdout = run.stdout();
                let shown: Vec<&str> = stdout
                    .lines()
                    .filter(|line| !line.starts_with("::add-mask::"))
                    .collect();
                let on_stdout = !case.prints_secrets && shown.join("\n").contains(CANARY);
                if on_stdout || run.stderr().contains(CANARY) {
                    leaks.push(format!("{args:?}\n{run}"));
                }
                let panicked = run.stderr().contains("panicked at");
                assert!(!panicked, "{run}");
            }
        }
        search(fixture.root(), fixture.root(), &mut leaks);
        search(theirs.root(), theirs.root(), &mut leaks);
    }
    let _ = fixture.xtask(&["services", "stop"]).output();
    // That it looked into the right things at all.
    assert!(fixture.path("summary.md").is_file());
    assert!(fixture.path("calls").is_file());
    for (file, canary) in [
        ("github-env", "dotenv"),
        (".env", "dotenv"),
        ("target/xtask/services/crash", "service"),
    ] {
        let path = fixture.path(file);
        let path = if path.is_dir() {
            let logs = fs::read_dir(&path).unwrap().flatten().map(|it| it.path());
            logs.filter(|it| it.extension().is_some_and(|it| it == "log"))
                .max()
                .unwrap()
        } else {
            path
        };
        let text = fs::read_to_string(&path).unwrap();
        let wanted = format!("{CANARY}-{canary}");
        assert!(text.contains(&wanted), "{}: {text}", path.display());
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(fixture.path(".env"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    #[cfg(target_os = "linux")]
    leaks.extend(watch.end());
    assert!(
        leaks.is_empty(),
        "{} leaks\n{}",
        leaks.len(),
        leaks.join("\n\n")
    );
}

#[test]
fn with_a_database_that_is_down_no_secret_is_shown() {
    run_all(free_port());
}

/// A server that knows the password, and says it.
#[test]
fn with_a_database_that_rejects_and_repeats_the_password_no_secret_is_shown() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let body = format!("SFATAL\0C28P01\0Mno role u with the password {CANARY}-url\0\0");
    let mut answer = vec![b'E'];
    answer.extend_from_slice(&u32::try_from(body.len() + 4).unwrap().to_be_bytes());
    answer.extend_from_slice(body.as_bytes());
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(&answer);
        }
    });
    run_all(port);
}
