//! Services as real processes: well, dying, deaf, and edited behind our back.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Fixture, free_port, in_time, server, until, xtask_word};

#[cfg(any(target_os = "linux", windows))]
mod crash;
#[cfg(target_os = "linux")]
mod daemons;
mod logs;
mod session;
#[cfg(target_os = "linux")]
mod signals;
mod start;
#[cfg(any(target_os = "linux", windows))]
mod stop;

/// `[services.NAME]` with a fixture server in this mode.
fn service(name: &str, mode: &str, port: u16, further: &str) -> String {
    let ready = if further.contains("ready_timeout") {
        ""
    } else if cfg!(windows) {
        "ready_timeout = 10\n"
    } else {
        "ready_timeout = 2\n"
    };
    let stop = if further.contains("stop_timeout") {
        ""
    } else {
        "stop_timeout = 1\n"
    };
    format!(
        "[services.{name}]\nkind = \"http\"\nport = {port}\nport_env = \"PORT\"\n\
         command = [{:?}, {mode:?}]\n{ready}{stop}{further}\n",
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

/// Ends a process that is no service when a test ends, however it ends.
struct Stranger(std::process::Child);

impl Stranger {
    fn new(mode: &str, port: u16) -> Stranger {
        let mut command = Command::new(server());
        command.arg(mode).env("PORT", port.to_string());
        command.stdin(Stdio::null());
        Stranger(command.spawn().unwrap())
    }

    fn lives(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn row(fixture: &Fixture, name: &str) -> serde_json::Value {
    let json = fixture
        .run(&["--format", "json", "services", "status", name])
        .json();
    json[0].clone()
}

fn state_of(fixture: &Fixture, name: &str) -> String {
    row(fixture, name)["state"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

fn pid_of(fixture: &Fixture, name: &str) -> u32 {
    let pid = row(fixture, name)["pid"].as_u64();
    u32::try_from(pid.unwrap_or_else(|| panic!("{name} does not run"))).unwrap()
}

#[cfg(any(target_os = "linux", windows))]
fn state_file(fixture: &Fixture, name: &str) -> PathBuf {
    fixture.path(&format!("target/xtask/services/{name}/state.json"))
}

/// The log of the last run.
fn log_of(fixture: &Fixture, name: &str) -> PathBuf {
    let log = row(fixture, name)["log"].as_str().map(PathBuf::from);
    log.unwrap_or_else(|| panic!("{name} has no log"))
}

fn answers(port: u16) -> bool {
    std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
}

/// Sends any signal.
#[cfg(target_os = "linux")]
fn signal(pid: u32, signal: nix::sys::signal::Signal) {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid.cast_signed()), signal).unwrap();
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
    let pid = pid_of(&fixture, "web");
    fixture
        .run(&["services", "start"])
        .code(0)
        .says(&format!("Running web (pid {pid}) already"));
    fixture.run(&["check-services", "web"]).code(0);
    fixture
        .run(&["services", "restart", "web"])
        .code(0)
        .says("Stopped web")
        .says("Healthy web");
    assert_ne!(pid_of(&fixture, "web"), pid);
    fixture
        .run(&["services", "stop"])
        .code(0)
        .says("Stopped web");
    assert_eq!(state_of(&fixture, "web"), "stopped");
    fixture
        .run(&["services", "stop", "web"])
        .code(0)
        .says("web was not running");
    fixture
        .run(&["services", "stop"])
        .code(0)
        .says("no service was running");
    fixture
        .run(&["services", "restart"])
        .code(1)
        .says("no service is running");
}

#[test]
fn status_and_stop_tell_machines_all_that_they_tell_people() {
    let fixture = Fixture::new(&service("web", "healthy", free_port(), ""));
    let _stop = Stop(&fixture);
    let started = fixture
        .run(&["--format", "json", "services", "start"])
        .code(0)
        .json();
    assert_eq!(started[0]["state"], "healthy");
    let row = row(&fixture, "web");
    let mut keys: Vec<&str> = row
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    keys.sort_unstable();
    assert_eq!(
        keys,
        [
            "detail",
            "exit",
            "log",
            "log_tail",
            "name",
            "outdated",
            "pid",
            "pids",
            "port",
            "state",
            "transient",
            "uptime_seconds"
        ]
    );
    assert_eq!(
        (&row["pids"][0], &row["transient"]),
        (&row["pid"], &false.into())
    );
    assert!(row["uptime_seconds"].as_u64().unwrap() < 20, "{row}");
    let stopped = fixture
        .run(&["--format", "json", "services", "stop"])
        .code(0)
        .json();
    assert_eq!(stopped[0]["outcome"], "stopped");
    assert_eq!(stopped[0]["pid"], row["pid"]);
    let stopped = fixture
        .run(&["--format", "json", "services", "stop"])
        .code(0)
        .json();
    assert_eq!(stopped[0]["outcome"], "not_running");
}

#[test]
fn a_service_whose_program_was_built_anew_is_outdated() {
    let fixture = Fixture::new("");
    let program = fixture.path(&format!("web{}", std::env::consts::EXE_SUFFIX));
    fs::copy(server(), &program).unwrap();
    let text = service("web", "healthy", free_port(), "");
    let shown = program.display().to_string().replace('\\', "/");
    fixture.file(".config/xtask.toml", &text.replace(&server(), &shown));
    let _stop = Stop(&fixture);
    fixture.run(&["services", "start"]).code(0);
    assert_eq!(row(&fixture, "web")["outdated"], false);
    // As cargo does it: another file takes its place.
    let new = fixture.path("new");
    fs::copy(server(), &new).unwrap();
    if fs::rename(&new, &program).is_err() {
        return; // A program that runs cannot be replaced on Windows, and so never is outdated.
    }
    assert_eq!(row(&fixture, "web")["outdated"], true);
    fixture
        .run(&["services", "start"])
        .code(0)
        .says("has been built anew since: `cargo xtask services restart web`");
    fixture.run(&["services", "restart", "web"]).code(0);
    assert_eq!(row(&fixture, "web")["outdated"], false);
}

#[test]
fn a_service_that_is_no_longer_configured_is_shown_and_can_be_stopped() {
    let port = free_port();
    let fixture = Fixture::new(&service("web", "healthy", port, ""));
    let _stop = Stop(&fixture);
    fixture.run(&["services", "start"]).code(0);
    fixture.file(
        ".config/xtask.toml",
        &service("other", "healthy", free_port(), ""),
    );
    assert_eq!(state_of(&fixture, "web"), "unconfigured");
    fixture
        .run(&["services", "status"])
        .code(0)
        .prints("unconfigured");
    fixture
        .run(&["services", "stop"])
        .code(0)
        .says("Stopped web");
    assert!(!answers(port));
    fixture
        .run(&["services", "stop", "web"])
        .code(2)
        .says("no service is called `web`");
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

#[test]
fn run_service_brings_up_what_it_needs_and_takes_it_down_again() {
    let text = service("db", "healthy", free_port(), "").replace("\"PORT\"", "\"DB_PORT\"")
        + &service("web", "die", free_port(), "depends_on = [\"db\"]");
    let text = text.replace("port_env = \"DB_PORT\"", "env = { PORT = \"@\" }");
    let port = free_port().to_string();
    let text = text.replace("\"@\"", &format!("\"{port}\"")).replacen(
        "port = ",
        &format!("port = {port} # "),
        1,
    );
    let fixture = Fixture::new(&text);
    fixture
        .run(&["run-service", "web"])
        .code(3)
        .says("Healthy db")
        .says("Stopped db");
    assert_eq!(state_of(&fixture, "db"), "stopped");
    let _stop = Stop(&fixture);
    fixture.run(&["services", "start", "db"]).code(0);
    fixture.run(&["run-service", "web"]).code(3);
    assert_eq!(state_of(&fixture, "db"), "healthy", "it was up before");
    let pid = pid_of(&fixture, "db");
    fixture
        .run(&["run-service", "db"])
        .code(1)
        .says(&format!("`db` (pid {pid}) runs in the background already"))
        .says("services stop db");
}
