//! Probes against servers that are well, ill, or lie; each ends at its deadline.

use std::net::TcpListener;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use crate::support::{Fixture, Run, free_port, server};

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(mode: &str) -> (Server, u16) {
    let port = free_port();
    let child = Command::new(server())
        .arg(mode)
        .env("PORT", port.to_string())
        .spawn()
        .unwrap();
    let server = Server(child);
    let since = Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(
            since.elapsed() < Duration::from_secs(10),
            "the fixture server does not start"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    (server, port)
}

fn check(kind: &str, port: u16) -> (Run, Duration) {
    let text = format!("[services.web]\nkind = \"{kind}\"\nport = {port}\nrequired = true\n");
    let fixture = Fixture::new(&text);
    let since = Instant::now();
    let run = fixture.run(&["--format", "json", "check-services", "--timeout", "500"]);
    (run, since.elapsed())
}

#[test]
fn each_fault_has_its_words_and_ends_in_time() {
    for (mode, status, words) in [
        ("healthy", "healthy", ""),
        ("ill", "unhealthy", "HTTP 503: no database"),
        ("liar", "unhealthy", "it says that it is `starting`"),
        ("broken", "unhealthy", "HTTP 500"),
        ("redirect", "unhealthy", "HTTP 302"),
        ("huge", "unhealthy", "larger than any health report"),
        ("garbage", "unhealthy", "does not speak HTTP"),
        ("slow", "unreachable", "no answer in time"),
        ("headers", "unhealthy", "does not speak HTTP"),
        ("hang", "unreachable", "no answer in time"),
    ] {
        let (_server, port) = start(mode);
        let (run, took) = check("http", port);
        let row = run.json()[0].clone();
        assert_eq!(row["status"], status, "{mode}: {run}");
        assert!(
            row["detail"].as_str().unwrap().contains(words),
            "{mode}: {run}"
        );
        assert!(took < Duration::from_secs(3), "{mode} took {took:?}");
        run.code(i32::from(status != "healthy"));
    }
}

#[test]
fn json_has_every_field_for_every_service() {
    let (_server, port) = start("healthy");
    let text = format!(
        "[services.a]\nkind = \"tcp\"\nport = {port}\n[services.b]\nkind = \"http\"\nport = {}\n",
        free_port()
    );
    let fixture = Fixture::new(&text);
    let run = fixture.run(&["--format", "json", "check-services"]).code(0);
    let json = run.json();
    for row in json.as_array().unwrap() {
        let keys: Vec<&str> = row
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        for key in [
            "name",
            "kind",
            "endpoint",
            "required",
            "status",
            "latency_ms",
            "detail",
            "hint",
        ] {
            assert!(keys.contains(&key), "{key} is missing in {row}");
        }
    }
    assert_eq!(
        (&json[0]["status"], &json[1]["status"]),
        (&"healthy".into(), &"unreachable".into())
    );
    // An optional one that is down is a warning; asked for by name or with --all, it counts.
    fixture.run(&["check-services", "b"]).code(1);
    fixture.run(&["check-services", "--all"]).code(1);
    fixture
        .run(&["check-services", "c"])
        .code(2)
        .says("no service is called `c`");
}

#[test]
fn waiting_ends_when_it_is_well() {
    let port = free_port();
    let text = format!("[services.web]\nkind = \"tcp\"\nport = {port}\nrequired = true\n");
    let fixture = Fixture::new(&text);
    let late = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(400));
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        std::thread::sleep(Duration::from_secs(3));
        drop(listener);
    });
    let since = Instant::now();
    fixture.run(&["check-services", "--wait", "20"]).code(0);
    assert!(since.elapsed() < Duration::from_secs(3));
    fixture.run(&["check-services", "--wait", "0"]);
    late.join().unwrap();
}

#[test]
fn no_service_at_all_is_no_success() {
    Fixture::new("")
        .run(&["check-services"])
        .code(2)
        .says("no [services]");
}
