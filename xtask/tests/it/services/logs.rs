//! Logs: what is in them, from run to run, while they grow.

use std::io::Write as _;
use std::sync::mpsc::{Receiver, channel};

use super::*;

fn append(fixture: &Fixture, name: &str, bytes: &[u8]) {
    let mut log = fs::File::options()
        .append(true)
        .open(log_of(fixture, name))
        .unwrap();
    log.write_all(bytes).unwrap();
}

#[test]
fn logs_are_kept_by_run() {
    let fixture = Fixture::new(&service("web", "die", free_port(), ""));
    for _ in 0..7 {
        fixture.run(&["services", "start"]).code(1);
    }
    let entries = fs::read_dir(fixture.path("target/xtask/services/web")).unwrap();
    let mut names: Vec<String> = entries
        .flatten()
        .map(|entry| entry.file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".log"))
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "run-3.log",
            "run-4.log",
            "run-5.log",
            "run-6.log",
            "run-7.log"
        ]
    );
}

#[cfg(unix)]
#[test]
fn logs_are_private_and_appended_to() {
    use std::os::unix::fs::PermissionsExt as _;
    let fixture = Fixture::new(&service("web", "graceful", free_port(), "stop_timeout = 5"));
    fixture.run(&["services", "start"]).code(0);
    let log = log_of(&fixture, "web");
    assert_eq!(
        fs::metadata(&log).unwrap().permissions().mode() & 0o777,
        0o600
    );
    append(&fixture, "web", b"xxxxxxxxxx\n");
    // Emptied while it is written to, it has no hole of NULs.
    fs::write(&log, "").unwrap();
    fixture.run(&["services", "stop"]).code(0);
    assert_eq!(
        fs::read_to_string(log).unwrap(),
        "cleaning up\nended well\n"
    );
}

#[test]
fn whatever_is_in_a_log_is_shown_and_secrets_are_not() {
    let text = service(
        "web",
        "healthy",
        free_port(),
        "env = { API_TOKEN = \"sesame-open\" }",
    ) + &service("db", "healthy", free_port(), "");
    let fixture = Fixture::new(&text);
    fixture.file(".env", "SESSION_SECRET=abcdefghijklmnopqrst\n");
    let _stop = Stop(&fixture);
    fixture.run(&["services", "start"]).code(0);
    append(
        &fixture,
        "web",
        b"first\n\nbad \xff\xfe bytes\nurl postgresql://a:hunter2@h/d\n",
    );
    append(
        &fixture,
        "web",
        b"token sesame-open, session xabcdefghijklmnopqrstx\nno end",
    );
    append(&fixture, "db", b"other\n");
    let run = fixture
        .run(&["services", "logs", "web", "-n", "5"])
        .code(0)
        .never_shows("hunter2")
        .never_shows("sesame-open")
        .never_shows("abcdefghijklmnopqrst");
    assert_eq!(
        run.stdout(),
        "\nbad \u{fffd}\u{fffd} bytes\nurl postgresql://a:***@h/d\ntoken ***, session x***x\nno end\n"
    );
    let run = fixture.run(&["services", "logs", "-n", "1"]).code(0);
    assert_eq!(run.stdout(), "[db]  other\n[web] no end\n");
    let run = fixture
        .run(&["--format", "json", "services", "logs", "web", "-n1"])
        .code(0);
    assert_eq!(
        run.json(),
        serde_json::json!({"service": "web", "line": "no end"})
    );
    append(&fixture, "db", &vec![b'x'; 3 << 20]);
    append(&fixture, "db", b"\nlast\n");
    let run = fixture.run(&["services", "logs", "db", "-n", "2"]).code(0);
    assert!(run.stdout().len() < 1 << 20);
    run.prints("bytes left out)\nlast\n");
}

#[test]
fn the_run_before_the_last_can_be_read() {
    let fixture = Fixture::new(&service("web", "die", free_port(), ""));
    fixture
        .run(&["services", "logs", "web"])
        .code(1)
        .says("`web` has no log yet");
    fixture.run(&["services", "start"]).code(1);
    fixture
        .run(&["services", "logs", "web", "--previous"])
        .code(1)
        .says("`web` has only one log");
    append(&fixture, "web", b"of the first run\n");
    fixture.run(&["services", "start"]).code(1);
    fixture
        .run(&["services", "logs", "web", "--previous"])
        .code(0)
        .prints("of the first run");
    fixture
        .run(&["services", "logs", "web"])
        .code(0)
        .never_shows("of the first run");
}

/// A follower, and the lines that it prints.
struct Follow(std::process::Child, Receiver<String>);

impl Follow {
    fn new(fixture: &Fixture, args: &[&str]) -> Follow {
        let mut command = fixture.xtask(&["services", "logs", "--follow"]);
        command
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, receiver) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Follow(child, receiver)
    }

    #[track_caller]
    fn shows(&self, expected: &str) {
        let line = self.1.recv_timeout(Duration::from_secs(10));
        assert_eq!(line.as_deref(), Ok(expected));
    }
}

impl Drop for Follow {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_log_is_followed_through_truncation_and_new_runs() {
    let fixture = Fixture::new(&service("web", "healthy", free_port(), ""));
    let _stop = Stop(&fixture);
    // Before there is any.
    let follow = Follow::new(&fixture, &["web"]);
    std::thread::sleep(Duration::from_millis(200));
    fixture.run(&["services", "start"]).code(0);
    append(&fixture, "web", b"one\ntwo, a");
    follow.shows("one");
    append(&fixture, "web", b"nd the rest of it\n");
    follow.shows("two, and the rest of it");
    fs::write(log_of(&fixture, "web"), "").unwrap();
    std::thread::sleep(Duration::from_millis(300));
    append(&fixture, "web", b"after\n");
    follow.shows("after");
    append(&fixture, "web", b"cut off");
    std::thread::sleep(Duration::from_millis(300));
    fixture.run(&["services", "restart", "web"]).code(0);
    follow.shows("cut off");
    append(&fixture, "web", b"of the new run\n");
    follow.shows("of the new run");
}

#[cfg(unix)]
#[test]
fn following_ends_when_nobody_reads_and_with_130_after_ctrl_c() {
    use nix::sys::signal::{Signal, kill};
    let fixture = Fixture::new(&service("web", "healthy", free_port(), ""));
    let _stop = Stop(&fixture);
    fixture.run(&["services", "start"]).code(0);
    append(&fixture, "web", b"one\n");
    let mut head = fixture
        .xtask(&["services", "logs", "web", "--follow"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(head.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    drop(stdout);
    until("it notices", || {
        append(&fixture, "web", b"more\n");
        head.try_wait().unwrap().is_some()
    });
    assert_eq!(head.wait().unwrap().code(), Some(0));
    let mut follow = Follow::new(&fixture, &["web", "-n", "1"]);
    follow.shows("more");
    append(&fixture, "web", b"without an end");
    std::thread::sleep(Duration::from_millis(300));
    let pid = nix::unistd::Pid::from_raw(follow.0.id().cast_signed());
    kill(pid, Signal::SIGINT).unwrap();
    follow.shows("without an end");
    assert_eq!(follow.0.wait().unwrap().code(), Some(130));
}
