//! Services as real processes: well, dying, deaf, and edited behind our back.

use std::fs;
use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{Fixture, free_port, server};

/// `[services.NAME]` with a fixture server in this mode.
fn service(name: &str, mode: &str, port: u16, further: &str) -> String {
    format!(
        "[services.{name}]\nkind = \"http\"\nport = {port}\nport_env = \"PORT\"\n\
         command = [{:?}, {mode:?}]\nready_timeout = 2\nstop_timeout = 1\n{further}\n",
        server()
    )
}

/// Stops what is left when a test ends, however it ends.
struct Stop<'a>(&'a Fixture);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        let _ = self.0.xtask(&["services", "stop"]).output();
    }
}

fn state_of(fixture: &Fixture, name: &str) -> String {
    let json = fixture
        .run(&["--format", "json", "services", "status", name])
        .json();
    json[0]["state"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_service_starts_is_healthy_restarts_and_stops() {
    let fixture = Fixture::new(&service("web", "healthy", free_port(), ""));
    let _stop = Stop(&fixture);
    assert_eq!(state_of(&fixture, "web"), "stopped");
    fixture
        .run(&["services", "start"])
        .code(0)
        .says("Healthy web on port");
    assert_eq!(state_of(&fixture, "web"), "healthy");
    fixture
        .run(&["services", "start"])
        .code(0)
        .says("Running web");
    fixture.run(&["check-services", "web"]).code(0);
    fixture
        .run(&["services", "restart", "web"])
        .code(0)
        .says("Stopped web")
        .says("Healthy web");
    fixture
        .run(&["services", "stop"])
        .code(0)
        .says("Stopped web");
    assert_eq!(state_of(&fixture, "web"), "stopped");
    fixture
        .run(&["services", "stop", "web"])
        .code(0)
        .says("web was not running");
}

#[test]
fn a_service_that_dies_is_reported_at_once_with_its_last_words_masked() {
    let text = service("ok", "healthy", free_port(), "")
        + &service("web", "die", free_port(), "depends_on = [\"ok\"]");
    let fixture = Fixture::new(&text);
    let since = Instant::now();
    fixture
        .run(&["services", "start"])
        .code(1)
        .says("`web` ended with exit code 3 before it was healthy")
        .says("postgresql://app:***@db/app")
        .says("Stopped ok")
        .never_shows("hunter2");
    assert!(
        since.elapsed() < Duration::from_millis(1900),
        "it waited for the timeout"
    );
    assert_eq!(state_of(&fixture, "ok"), "stopped");
    fixture
        .run(&["services", "logs", "web"])
        .code(0)
        .prints(":***@db")
        .never_shows("hunter2");
}

#[test]
fn one_that_never_gets_healthy_is_stopped() {
    let fixture = Fixture::new(&service("web", "ill", free_port(), ""));
    fixture
        .run(&["services", "start"])
        .code(1)
        .says("not healthy after 2 s: HTTP 503: no database");
    assert_eq!(state_of(&fixture, "web"), "stopped");
}

#[test]
fn a_taken_port_names_its_holder_and_nothing_is_started() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let fixture = Fixture::new(&service("web", "healthy", port, ""));
    let run = fixture
        .run(&["services", "start"])
        .code(1)
        .says(&format!("port {port} of `web`"));
    if cfg!(target_os = "linux") {
        run.says(&format!("(pid {})", std::process::id()));
    }
}

#[test]
fn a_stranger_that_answers_on_the_port_is_not_ours() {
    let port = free_port();
    let mut stranger = Command::new(server())
        .arg("healthy")
        .env("PORT", port.to_string())
        .spawn()
        .unwrap();
    let fixture = Fixture::new(&service("web", "healthy", port, ""));
    let answers = (0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    let state = state_of(&fixture, "web");
    fixture
        .run(&["services", "start"])
        .code(1)
        .says("is held by");
    fixture.run(&["services", "stop"]).code(0);
    let alive = stranger.try_wait().unwrap().is_none();
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    assert!(answers && alive, "the stranger was ended");
    assert_eq!(state, "foreign");
}

#[test]
fn an_edited_pid_file_never_ends_a_stranger() {
    let fixture = Fixture::new(&service("web", "healthy", free_port(), ""));
    let _stop = Stop(&fixture);
    fixture.run(&["services", "start"]).code(0);
    let mut stranger = Command::new(server()).arg("deaf").spawn().unwrap();
    let path = fixture.path("target/xtask/services/web/state.json");
    let original = fs::read_to_string(&path).unwrap();
    let mut json: serde_json::Value = serde_json::from_str(&original).unwrap();
    json["pid"] = stranger.id().into();
    json["run"] = "nobody".into();
    fs::write(&path, json.to_string()).unwrap();
    fixture
        .run(&["services", "stop", "web"])
        .code(0)
        .says("is left alone");
    let alive = stranger.try_wait().unwrap().is_none();
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    fs::write(&path, original).unwrap();
    assert!(alive, "a process of somebody else's was ended");
}

#[test]
fn logs_are_kept_by_run() {
    let fixture = Fixture::new(&service("web", "die", free_port(), ""));
    for _ in 0..7 {
        fixture.run(&["services", "start"]).code(1);
    }
    let logs = fs::read_dir(fixture.path("target/xtask/services/web"))
        .unwrap()
        .flatten();
    assert_eq!(
        logs.filter(|it| it.path().extension().is_some_and(|it| it == "log"))
            .count(),
        5
    );
}

#[test]
fn with_services_passes_the_code_on_and_stops_what_it_started() {
    let text = service("one", "healthy", free_port(), "").replace("\"PORT\"", "\"PORT_ONE\"");
    let fixture = Fixture::new(&text.replace("port_env = \"PORT_ONE\"\n", ""));
    // Without `port_env` the server is told nothing: it cannot come up, and is stopped.
    fixture
        .run(&["with-services", "--", "git", "--version"])
        .code(1);
    let fixture = Fixture::new(&service("one", "healthy", free_port(), ""));
    let xtask = env!("CARGO_BIN_EXE_xtask");
    fixture
        .run(&["with-services", "--", xtask, "services", "status"])
        .code(0)
        .prints("healthy");
    fixture
        .run(&["with-services", "--", xtask, "no-such-command"])
        .code(2)
        .says("Stopped one");
    assert_eq!(state_of(&fixture, "one"), "stopped");
    fixture
        .run(&["with-services", "--", "no-such-program"])
        .code(1)
        .says("command not found");
    // What was up before stays up.
    let _stop = Stop(&fixture);
    fixture.run(&["services", "start"]).code(0);
    fixture
        .run(&["with-services", "--", "git", "--version"])
        .code(0);
    assert_eq!(state_of(&fixture, "one"), "healthy");
}

#[test]
fn run_service_ends_with_the_services_own_code() {
    let fixture = Fixture::new(&service("web", "die", free_port(), ""));
    fixture.run(&["run-service", "web"]).code(3);
    fixture
        .run(&["run-service", "wbe"])
        .code(2)
        .says("did you mean `web`?");
}

#[cfg(target_os = "linux")]
mod linux {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    use super::*;
    use crate::support::living;

    fn signal(child: &std::process::Child, signal: Signal) {
        kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
    }

    /// A variable that marks every process of one test.
    fn mark() -> String {
        format!(
            "XTASK_TEST={}-{:?}",
            std::process::id(),
            std::thread::current().id()
        )
    }

    fn marked(fixture: &Fixture, mark: &str, args: &[&str]) -> Command {
        let (name, value) = mark.split_once('=').unwrap();
        let mut command = fixture.xtask(args);
        command.env(name, value);
        command
    }

    fn until(what: &str, mut condition: impl FnMut() -> bool) {
        let since = Instant::now();
        while !condition() {
            assert!(
                since.elapsed() < Duration::from_secs(20),
                "not in time: {what}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    #[test]
    fn the_whole_tree_is_ended() {
        let fixture = Fixture::new(&service("web", "parent", free_port(), ""));
        let mark = mark();
        let output = marked(&fixture, &mark, &["services", "start"])
            .output()
            .unwrap();
        assert!(output.status.success());
        assert_eq!(living(&mark).len(), 2, "server and child");
        fixture.run(&["services", "stop"]).code(0);
        assert_eq!(living(&mark), Vec::<u32>::new());
    }

    #[test]
    fn an_orphan_of_a_dead_leader_is_found() {
        let fixture = Fixture::new(&service("web", "parent", free_port(), ""));
        let mark = mark();
        assert!(
            marked(&fixture, &mark, &["services", "start"])
                .status()
                .unwrap()
                .success()
        );
        let json = fixture
            .run(&["--format", "json", "services", "status"])
            .json();
        let leader = i32::try_from(json[0]["pid"].as_i64().unwrap()).unwrap();
        kill(Pid::from_raw(leader), Signal::SIGKILL).unwrap();
        until("crashed", || state_of(&fixture, "web") == "crashed");
        fixture.run(&["services", "stop"]).code(0);
        assert_eq!(living(&mark), Vec::<u32>::new());
    }

    #[test]
    fn a_killed_start_leaves_nothing_that_stop_cannot_find() {
        let fixture = Fixture::new(&service("web", "deaf", free_port(), ""));
        let mark = mark();
        let mut start = marked(&fixture, &mark, &["services", "start"])
            .spawn()
            .unwrap();
        until("the record is there", || {
            fixture
                .path("target/xtask/services/web/state.json")
                .exists()
        });
        start.kill().unwrap();
        start.wait().unwrap();
        assert_eq!(state_of(&fixture, "web"), "starting");
        fixture
            .run(&["services", "stop"])
            .code(0)
            .says("Stopped web");
        assert_eq!(living(&mark), Vec::<u32>::new());
    }

    #[test]
    fn ctrl_c_in_the_middle_stops_all_and_ends_130() {
        let fixture = Fixture::new(&service("web", "parent", free_port(), ""));
        let mark = mark();
        let child = marked(&fixture, &mark, &["with-services", "--", "sleep", "300"])
            .spawn()
            .unwrap();
        until("the command runs", || {
            living(&mark).iter().any(|pid| {
                fs::read_to_string(format!("/proc/{pid}/comm"))
                    .is_ok_and(|name| name.trim() == "sleep")
            })
        });
        signal(&child, Signal::SIGINT);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130));
        assert_eq!(living(&mark), Vec::<u32>::new());
    }

    #[test]
    fn ctrl_c_while_it_starts_stops_all_and_ends_130() {
        let fixture = Fixture::new(&service("web", "deaf", free_port(), ""));
        let mark = mark();
        let child = marked(&fixture, &mark, &["services", "start"])
            .spawn()
            .unwrap();
        until("it starts", || {
            fixture
                .path("target/xtask/services/web/state.json")
                .exists()
        });
        signal(&child, Signal::SIGTERM);
        assert_eq!(child.wait_with_output().unwrap().status.code(), Some(130));
        assert_eq!(living(&mark), Vec::<u32>::new());
    }

    #[test]
    fn two_starts_at_once_end_in_one_process() {
        let fixture = Fixture::new(&service("web", "healthy", free_port(), ""));
        let _stop = Stop(&fixture);
        let mark = mark();
        let children: Vec<_> = (0..4)
            .map(|_| {
                marked(&fixture, &mark, &["services", "start"])
                    .spawn()
                    .unwrap()
            })
            .collect();
        for child in children {
            assert!(child.wait_with_output().unwrap().status.success());
        }
        assert_eq!(living(&mark).len(), 1);
    }
}
