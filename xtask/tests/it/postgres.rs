//! PostgreSQL: servers that lie, and the real one. A machine without server programs fails here.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

#[cfg(unix)]
use crate::support::until;
use crate::support::{Fixture, Run};

const CONFIG: &str = "[database]\nname = \"shop\"\nrole = \"keeper\"\n\
                      [services.db]\nkind = \"postgres\"\nrequired = true\n";

/// A server that answers each connection with these bytes, and then holds it open.
fn fake(answer: Vec<u8>, close: bool) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let answer = answer.clone();
            thread::spawn(move || {
                let _ = stream.read(&mut [0; 1024]);
                let _ = stream.write_all(&answer);
                if !close {
                    thread::sleep(Duration::from_secs(30));
                }
            });
        }
    });
    port
}

/// An ErrorResponse with this SQLSTATE.
fn error(code: &str, message: &str) -> Vec<u8> {
    let body = format!("SFATAL\0C{code}\0M{message}\0\0");
    let mut bytes = vec![b'E'];
    bytes.extend_from_slice(&u32::try_from(body.len() + 4).unwrap().to_be_bytes());
    bytes.extend_from_slice(body.as_bytes());
    bytes
}

/// The server of [`fake`] keeps silent connections open for longer than this.
const PATIENCE: Duration = Duration::from_secs(20);

fn check(port: u16, timeout: &str) -> Run {
    let fixture = Fixture::new(CONFIG);
    let url = format!("postgresql://u:hunter2@127.0.0.1:{port}/shop");
    let since = Instant::now();
    let mut command = fixture.xtask(&["--format", "json", "check-services", "--timeout", timeout]);
    let run = Run::of(command.env("DATABASE_URL", url)).never_shows("hunter2");
    assert!(since.elapsed() < PATIENCE, "{run}");
    run.code(1)
}

#[test]
fn every_state_has_its_name_and_its_next_step() {
    let huge = [b'R', 0x7f, 0xff, 0xff, 0xff].to_vec();
    let endless = b"S\0\0\0\x08a\0b\0".repeat(200_000);
    for (answer, close, words, hint) in [
        (
            error("57P03", "the database system is starting up"),
            true,
            "starting up",
            "--wait",
        ),
        (
            error("28P01", "password authentication failed"),
            true,
            "password rejected",
            "DATABASE_URL",
        ),
        (
            error("3D000", "no"),
            true,
            "no such database: `shop`",
            "cargo xtask setup-db",
        ),
        (
            error("53300", "too many clients"),
            true,
            "too many clients (53300)",
            "log",
        ),
        (
            b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
            true,
            "does not speak PostgreSQL",
            "log",
        ),
        (huge, true, "does not speak PostgreSQL", "log"),
        (Vec::new(), true, "closed the connection", "log"),
        (Vec::new(), false, "no answer in time", "start that server"),
        (endless, false, "never stops greeting", "log"),
    ] {
        // Only a silent server may come to the deadline, however slow this machine is.
        let silent = words == "no answer in time";
        let run = check(fake(answer, close), if silent { "500" } else { "15000" });
        let row = run.json()[0].clone();
        assert!(
            row["detail"].as_str().unwrap().contains(words),
            "{words}: {run}"
        );
        assert!(
            row["hint"].as_str().unwrap().contains(hint),
            "{hint}: {run}"
        );
    }
    let run = check(crate::support::free_port(), "500");
    assert_eq!(run.json()[0]["status"], "unreachable");
}

#[test]
fn a_malformed_url_is_named_without_its_password() {
    let fixture = Fixture::new(CONFIG);
    let mut command = fixture.xtask(&["check-services"]);
    let run = Run::of(command.env("DATABASE_URL", "postgresql://u:hunter2@h:port/d")).code(2);
    run.says("DATABASE_URL")
        .says("is no PostgreSQL URL")
        .never_shows("hunter2");
}

/// A cluster of its own that ends with the test.
struct Cluster(Fixture);

impl Cluster {
    fn new() -> Cluster {
        Cluster(Fixture::new(CONFIG))
    }

    fn json(&self) -> serde_json::Value {
        self.0.run(&["--format", "json", "db", "status"]).json()
    }

    /// Starts and stops it: the URL and the port that it had.
    fn stopped(&self) -> (String, u16) {
        self.0.run(&["db", "start"]).code(0);
        let url = self.0.run(&["db", "url"]).stdout();
        self.0.run(&["db", "stop"]).code(0);
        let port = url.rsplit([':', '/']).nth(1).unwrap().parse().unwrap();
        (url, port)
    }

    /// It has another URL than this, and `.env` has followed.
    fn has_moved(&self, before: &str) {
        let after = self.0.run(&["db", "url"]).stdout();
        assert_ne!(before, after);
        let env = std::fs::read_to_string(self.0.path(".env")).unwrap();
        assert!(
            env.contains(after.trim()) && !env.contains(before.trim()),
            "{env}"
        );
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let status = self.0.run(&["--format", "json", "db", "status"]);
        let _ = self.0.xtask(&["db", "stop"]).output();
        // As root it lies outside of the fixture.
        if let Ok(json) = serde_json::from_str::<serde_json::Value>(&status.stdout())
            && let Some(directory) = json["directory"].as_str()
        {
            let _ = std::fs::remove_dir_all(directory);
        }
    }
}

#[test]
fn the_embedded_cluster_starts_once_answers_and_stops() {
    let cluster = Cluster::new();
    let fixture = &cluster.0;
    fixture
        .run(&["db", "status"])
        .code(1)
        .prints("not made yet");
    fixture
        .run(&["db", "start"])
        .code(0)
        .says("Creating")
        .says("Started PostgreSQL on 127.0.0.1:");
    let since = Instant::now();
    fixture.run(&["db", "start"]).code(0).says("already");
    assert!(since.elapsed() < Duration::from_secs(2));
    let url = fixture.run(&["db", "url"]).code(0).stdout();
    let password = url.split([':', '@']).nth(2).unwrap().to_owned();
    let env = std::fs::read_to_string(fixture.path(".env")).unwrap();
    assert!(env.contains(url.trim()), "{env}");
    for args in [
        &["db", "status"][..],
        &["env"],
        &["--format", "json", "env"],
        &["-v", "services", "status"],
        &["-v", "check-services"],
    ] {
        fixture.run(args).never_shows(&password);
    }
    // The database itself is not there yet: only the server is.
    let run = fixture.run(&["--format", "json", "check-services"]).code(1);
    assert_eq!(run.json()[0]["detail"], "no such database: `shop`");
    // The real server rejects a wrong password.
    let wrong = url.trim().replace(&password, "wrong");
    let run = Run::of(
        fixture
            .xtask(&["check-services"])
            .env("DATABASE_URL", wrong),
    )
    .code(1);
    run.prints("password rejected");
    // Its own database of maintenance is there: a query runs through SCRAM.
    let maintenance = url.trim().replace("/shop", "/postgres");
    Run::of(
        fixture
            .xtask(&["check-services"])
            .env("DATABASE_URL", maintenance),
    )
    .code(0);
    fixture
        .run(&["db", "stop"])
        .code(0)
        .says("Stopped PostgreSQL");
    fixture.run(&["db", "stop"]).code(0).says("was not running");
    // What the server keeps is neither the password nor dear to check.
    let status = fixture.run(&["--format", "json", "db", "status"]).json();
    let global = Path::new(status["directory"].as_str().unwrap())
        .join("data")
        .join("global");
    let kept: Vec<String> = std::fs::read_dir(global)
        .unwrap()
        .filter_map(|entry| std::fs::read(entry.ok()?.path()).ok())
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .collect();
    assert!(kept.iter().any(|it| it.contains("SCRAM-SHA-256$1:")));
    assert!(!kept.iter().any(|it| it.contains(&password)));
    fixture.run(&["db", "start"]).code(0);
    assert_eq!(
        fixture.run(&["db", "url"]).stdout(),
        url,
        "port and password stay"
    );
}

#[test]
fn a_taken_port_is_replaced_and_the_url_follows() {
    let cluster = Cluster::new();
    let fixture = &cluster.0;
    let (before, port) = cluster.stopped();
    let _listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    fixture.run(&["db", "start"]).code(0);
    cluster.has_moved(&before);
}

/// Nothing holds the port between the look and the server's own bind.
#[cfg(unix)]
#[test]
fn a_port_that_is_taken_while_the_server_comes_up_is_replaced() {
    use std::os::unix::fs::PermissionsExt as _;
    let cluster = Cluster::new();
    let fixture = &cluster.0;
    let (before, port) = cluster.stopped();
    let home = std::path::PathBuf::from(cluster.json()["directory"].as_str().unwrap());

    // A pg_ctl that waits when it is about to start the server, the first time.
    let record = home.join("cluster.json");
    let mut facts: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&record).unwrap()).unwrap();
    let real = Path::new(facts["bin"].as_str().unwrap()).join("pg_ctl");
    let slow = home.join("pg_ctl");
    let script = format!(
        "#!/bin/sh\n\
         if [ \"$1\" = start ] && mkdir asked; then until [ -e go ]; do sleep 0.01; done; fi\n\
         exec '{}' \"$@\"\n",
        real.display()
    );
    std::fs::write(&slow, script).unwrap();
    std::fs::set_permissions(&slow, std::fs::Permissions::from_mode(0o755)).unwrap();
    facts["bin"] = home.display().to_string().into();
    std::fs::write(&record, facts.to_string()).unwrap();

    let starts = fixture.xtask(&["db", "start"]).spawn().unwrap();
    until("pg_ctl is asked to start", || home.join("asked").exists());
    let _listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    std::fs::write(home.join("go"), "").unwrap();
    let run = starts.wait_with_output().unwrap();
    assert!(run.status.success());
    assert_eq!(cluster.json()["running"], true);
    cluster.has_moved(&before);
}

#[test]
fn two_starts_at_once_end_in_one_server_and_a_half_made_cluster_is_made_anew() {
    let cluster = Cluster::new();
    let fixture = &cluster.0;
    let home = std::path::PathBuf::from(cluster.json()["directory"].as_str().unwrap());
    // What an initdb that was killed leaves behind.
    std::fs::create_dir_all(home.join("data.new").join("base")).unwrap();
    let children: Vec<_> = (0..3)
        .map(|_| fixture.xtask(&["db", "start"]).spawn().unwrap())
        .collect();
    for child in children {
        assert!(child.wait_with_output().unwrap().status.success());
    }
    assert_eq!(cluster.json()["running"], true);
}

#[test]
fn a_server_that_is_named_is_used_and_no_other_is_started() {
    let cluster = Cluster::new();
    let fixture = &cluster.0;
    let mut command = fixture.xtask(&["db", "start"]);
    let run = Run::of(command.env("DATABASE_URL", "postgresql://u@127.0.0.1:1/d")).code(2);
    run.says("that server is used");
    fixture.file(".env", "DATABASE_URL=postgresql://u@127.0.0.1:1/d\n");
    fixture.run(&["db", "start"]).code(2);
    fixture
        .run(&["setup-db"])
        .code(1)
        .says("connection refused");
    assert_eq!(cluster.json()["exists"], false);
    fixture
        .run(&["setup-db", "--reset"])
        .code(2)
        .says("nobody to ask");
    fixture.file(".env", "DATABASE_URL=postgresql://u@db.example.org/d\n");
    fixture
        .run(&["setup-db", "--reset", "--yes"])
        .code(2)
        .says("not on this machine");
}

/// initdb runs once a user and machine: the next cluster is a copy.
#[test]
fn a_new_cluster_is_a_copy_of_the_first() {
    let fixture = Fixture::new(CONFIG);
    let said = |step: &str| {
        let run = Run::of(&mut fixture.xtask(&["-v", "db", "start"]));
        assert!(run.stderr().contains("Started"), "{step}: {run}");
        let run = fixture.run(&["db", "url"]).code(0).stdout();
        fixture.run(&["db", "stop"]).code(0);
        let status = fixture
            .xtask(&["db", "status", "--format", "json"])
            .output()
            .unwrap();
        let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
        std::fs::remove_dir_all(status["directory"].as_str().unwrap()).unwrap();
        run
    };
    let password = |url: &str| url.split(['/', ':', '@']).nth(4).unwrap().to_owned();
    let first = said("by initdb");
    let cache = fixture.path("cache/xtask/postgres");
    let template = std::fs::read_dir(&cache)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    // The copy has the template's password, which a cluster of initdb's own would not have.
    assert_eq!(password(&said("by copy")), password(&first));
    // A template that is broken is thrown away, and initdb makes the cluster.
    std::fs::write(template.join("data").join("PG_VERSION"), "1\n").unwrap();
    let third = said("by initdb again");
    assert_ne!(password(&third), password(&first));
    assert_eq!(password(&said("by copy again")), password(&third));
}
