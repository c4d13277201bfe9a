//! Servers that lie. Whatever one says, or does not say, a probe ends at its deadline, names what has
//! happened, and asks nobody else.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

#[cfg(target_os = "linux")]
use crate::support::with_mounts;
use crate::support::{Fixture, Run, in_time};

/// What a server does with a connection.
type Script = Box<dyn Fn(&mut TcpStream) + Send + Sync>;

/// A server with this script, and how many connections it has had.
fn serve(script: Script) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (script, seen) = (Arc::new(script), Arc::new(AtomicUsize::new(0)));
    let count = seen.clone();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            count.fetch_add(1, Ordering::SeqCst);
            let script = script.clone();
            thread::spawn(move || script(&mut stream));
        }
    });
    (port, seen)
}

/// Reads what the probe has asked, then says this, and closes.
fn says(answer: impl Into<Vec<u8>>) -> Script {
    let answer = answer.into();
    Box::new(move |stream| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(&answer);
    })
}

/// Says the first, then the second again and again, with a pause before each.
fn repeats(first: &str, again: &'static [u8], pause: Duration) -> Script {
    let first = first.to_owned();
    Box::new(move |stream| {
        let _ = stream.read(&mut [0; 4096]);
        let mut said = stream.write_all(first.as_bytes());
        while said.is_ok() {
            thread::sleep(pause);
            said = stream.write_all(again);
        }
    })
}

/// Says this, a byte each 100 ms.
fn drips(answer: impl Into<Vec<u8>>) -> Script {
    let answer = answer.into();
    Box::new(move |stream| {
        let _ = stream.read(&mut [0; 4096]);
        for byte in &answer {
            if stream.write_all(&[*byte]).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(100));
        }
    })
}

/// Takes the connection, and says nothing for as long as it stands.
fn hangs() -> Script {
    Box::new(|stream| while stream.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {})
}

/// Closes at once.
fn closes() -> Script {
    Box::new(|_| {})
}

const OK: &str = "HTTP/1.1 200 OK\r\n";
const NOW: Duration = Duration::ZERO;
/// What a TLS server says to somebody who does not greet it: an alert, "unexpected message".
const TLS_ALERT: &[u8] = b"\x15\x03\x01\x00\x02\x02\x0a";
/// The beginning of a TLS hello.
const TLS_HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";

/// What a probe finds that has come to its deadline.
const LATE: &str = "no answer in time";

/// A deadline that is waited for, and one that only a hang would come to, however slow the machine is.
const SHORT: Duration = Duration::from_millis(600);
const LONG: Duration = Duration::from_secs(15);
/// What a command takes besides, its start on a busy machine included.
const SLACK: Duration = Duration::from_secs(4);

fn check(config: &str, url: Option<&str>, deadline: Duration) -> Run {
    let fixture = Fixture::new(config);
    let milliseconds = deadline.as_millis().to_string();
    let mut command = fixture.xtask(&[
        "--format",
        "json",
        "check-services",
        "--timeout",
        &milliseconds,
    ]);
    if let Some(url) = url {
        command.env("DATABASE_URL", url);
    }
    let since = Instant::now();
    let run = Run::of(&mut command);
    let took = since.elapsed();
    assert!(took < deadline + in_time(SLACK), "{took:?}: {run}");
    run
}

fn http(port: u16, deadline: Duration) -> Run {
    check(
        &format!("[services.web]\nkind = \"http\"\nport = {port}\nrequired = true\n"),
        None,
        deadline,
    )
}

fn postgres(port: u16, deadline: Duration) -> Run {
    let config = "[database]\nname = \"shop\"\nrole = \"keeper\"\n\
                  [services.db]\nkind = \"postgres\"\nrequired = true\n";
    let url = format!("postgresql://u:hunter2@127.0.0.1:{port}/shop");
    check(config, Some(&url), deadline).never_shows("hunter2")
}

/// Each case with its probe: all at once, as most of them wait.
fn each(probe: fn(u16, Duration) -> Run, cases: Vec<(&str, Script, &str, &str)>) {
    thread::scope(|scope| {
        for (case, script, status, words) in cases {
            scope.spawn(move || {
                let (port, _) = serve(script);
                let late = words == LATE;
                let since = Instant::now();
                let run = probe(port, if late { SHORT } else { LONG });
                assert!(late || since.elapsed() < in_time(LONG), "{case}: {run}");
                let row = run.json()[0].clone();
                assert_eq!(row["status"], status, "{case}: {run}");
                let detail = row["detail"].as_str().unwrap();
                assert!(detail.contains(words), "{case}: `{words}` in {run}");
                run.code(i32::from(status != "healthy"));
            });
        }
    });
}

#[test]
fn an_http_server_that_takes_its_time() {
    each(
        http,
        vec![
            (
                "slow headers",
                drips(format!("{OK}Content-Length: 2\r\n\r\n{{}}")),
                "unreachable",
                LATE,
            ),
            (
                "a slow body",
                repeats(
                    &format!("{OK}Content-Length: 1000\r\n\r\n"),
                    b"x",
                    Duration::from_millis(100),
                ),
                "unreachable",
                LATE,
            ),
            (
                "slow chunks",
                repeats(
                    &format!("{OK}Transfer-Encoding: chunked\r\n\r\n"),
                    b"1\r\nx\r\n",
                    Duration::from_millis(100),
                ),
                "unreachable",
                LATE,
            ),
            (
                "a body that never comes",
                repeats(
                    &format!("{OK}Content-Length: 10\r\n\r\n"),
                    b"",
                    Duration::from_millis(100),
                ),
                "unreachable",
                LATE,
            ),
            (
                "it never is ready to continue",
                repeats(
                    "",
                    b"HTTP/1.1 100 Continue\r\n\r\n",
                    Duration::from_millis(100),
                ),
                "unreachable",
                LATE,
            ),
            ("it hangs", hangs(), "unreachable", LATE),
        ],
    );
}

#[test]
fn an_http_server_that_says_too_much() {
    let chunked = format!("{OK}Transfer-Encoding: chunked\r\n\r\n");
    let large = "larger than any health report";
    let nonsense = "does not speak HTTP";
    each(
        http,
        vec![
            (
                "endless headers",
                repeats(OK, b"X-A: b\r\n", NOW),
                "unhealthy",
                nonsense,
            ),
            (
                "an endless header",
                repeats(&format!("{OK}X-A: "), &[b'a'; 4096], NOW),
                "unhealthy",
                nonsense,
            ),
            (
                "an endless status line",
                repeats("HTTP/1.1 200 ", &[b'a'; 4096], NOW),
                "unhealthy",
                nonsense,
            ),
            (
                "an endless body",
                repeats(&format!("{OK}\r\n"), &[b'a'; 65536], NOW),
                "unhealthy",
                large,
            ),
            (
                "endless chunks",
                repeats(&chunked, b"4\r\naaaa\r\n", NOW),
                "unhealthy",
                large,
            ),
            (
                "a chunk without an end",
                repeats(&format!("{chunked}ffffffffffffff\r\n"), &[b'a'; 65536], NOW),
                "unhealthy",
                large,
            ),
            (
                "a terabyte is announced",
                repeats(
                    &format!("{OK}Content-Length: 1099511627776\r\n\r\n"),
                    &[b'a'; 65536],
                    NOW,
                ),
                "unhealthy",
                large,
            ),
        ],
    );
}

#[test]
fn what_is_no_http_server() {
    let nonsense = "does not speak HTTP";
    each(
        http,
        vec![
            (
                "SSH",
                says("SSH-2.0-OpenSSH_9.2p1\r\n"),
                "unhealthy",
                nonsense,
            ),
            (
                "PostgreSQL",
                says(&b"E\0\0\0\x10SFATAL\0C08P01\0\0"[..]),
                "unhealthy",
                nonsense,
            ),
            ("TLS", says(TLS_ALERT), "unhealthy", nonsense),
            ("a TLS hello", says(TLS_HELLO), "unhealthy", nonsense),
            (
                "HTTP/2",
                says(&b"\0\0\x12\x04\0\0\0\0\0"[..]),
                "unhealthy",
                nonsense,
            ),
            (
                "a header without a name",
                says(format!("{OK}: x\r\n\r\n")),
                "unhealthy",
                nonsense,
            ),
            (
                "a length that is none",
                says(format!("{OK}Content-Length: many\r\n\r\n")),
                "unhealthy",
                nonsense,
            ),
            (
                "it is cut off in the headers",
                says("HTTP/1.1 200 OK\r\nContent-Le"),
                "unhealthy",
                "ends in the middle",
            ),
            (
                "it is cut off in the body",
                says(format!("{OK}Content-Length: 100\r\n\r\n{{")),
                "unhealthy",
                "ends in the middle",
            ),
            (
                "it closes at once",
                closes(),
                "unreachable",
                "closed the connection",
            ),
        ],
    );
}

/// Where a redirect leads to is not asked.
#[test]
fn a_redirect_is_not_followed() {
    let (elsewhere, asked) = serve(says(format!("{OK}Content-Length: 0\r\n\r\n")));
    for status in [301, 302, 303, 307, 308] {
        for place in [
            format!("http://127.0.0.1:{elsewhere}/health"),
            format!("//127.0.0.1:{elsewhere}/"),
        ] {
            let (port, _) = serve(says(format!(
                "HTTP/1.1 {status} Elsewhere\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n"
            )));
            let run = http(port, LONG).code(1);
            let row = run.json()[0].clone();
            let detail = row["detail"].as_str().unwrap();
            assert!(detail.starts_with(&format!("HTTP {status}")), "{run}");
        }
    }
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

/// A TCP probe asks for no more than a connection, and waits for nothing.
#[test]
fn a_tcp_server_may_say_what_it_likes() {
    let tcp = |port: u16, deadline: Duration| {
        check(
            &format!("[services.raw]\nkind = \"tcp\"\nport = {port}\nrequired = true\n"),
            None,
            deadline,
        )
    };
    each(
        tcp,
        vec![
            ("it hangs", hangs(), "healthy", ""),
            ("it closes at once", closes(), "healthy", ""),
            ("it drips", drips("hello"), "healthy", ""),
        ],
    );
}

/// The system's resolver knows no deadline of ours.
#[cfg(target_os = "linux")]
#[test]
fn a_name_that_is_looked_up_for_ever_is_not_waited_for() {
    let fixture = Fixture::new(
        "[database]\nname = \"shop\"\nrole = \"keeper\"\n\
         [services.db]\nkind = \"postgres\"\nrequired = true\n\
         [services.web]\nkind = \"http\"\nhost = \"slow.example\"\nport = 80\nrequired = true\n",
    );
    // Whoever opens it waits for somebody who writes.
    let hosts = fixture.path("hosts");
    nix::unistd::mkfifo(&hosts, nix::sys::stat::Mode::S_IRUSR).unwrap();
    let mut command = fixture.xtask(&["--format", "json", "check-services", "--timeout", "600"]);
    command.env("DATABASE_URL", "postgresql://u:hunter2@slow.example/shop");
    let mut command = with_mounts(&[(&hosts, std::path::Path::new("/etc/hosts"))], &command);
    let since = Instant::now();
    let run = Run::of(&mut command).code(1);
    let took = since.elapsed();
    assert!(took < SHORT + in_time(SLACK), "{took:?}: {run}");
    for service in [0, 1] {
        let row = run.json()[service].clone();
        assert_eq!(row["status"], "unreachable", "{run}");
        assert_eq!(row["detail"], LATE, "{run}");
    }
}

/// A message of PostgreSQL's.
fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&[kind][..], &length.to_be_bytes(), body].concat()
}

/// A login that succeeds, up to the first question.
fn greeting() -> Vec<u8> {
    [
        message(b'R', &[0, 0, 0, 0]),
        message(b'S', b"server_version\x0017\0"),
        message(b'Z', b"I"),
    ]
    .concat()
}

/// Logs in, then says the second again and again.
fn answers(again: Vec<u8>) -> Script {
    Box::new(move |stream| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(&greeting());
        let _ = stream.read(&mut [0; 4096]);
        while stream.write_all(&again).is_ok() {}
    })
}

/// The server's side of SCRAM, with this many rounds, and a signature that is made up.
fn scram(rounds: &'static str) -> Script {
    Box::new(move |stream| {
        let mut buffer = [0; 4096];
        let _ = stream.read(&mut buffer);
        let _ = stream.write_all(&message(b'R', b"\0\0\0\x0aSCRAM-SHA-256\0\0"));
        let read = stream.read(&mut buffer).unwrap_or(0);
        let first = String::from_utf8_lossy(&buffer[..read]).into_owned();
        let nonce = first.split("r=").nth(1).unwrap_or_default();
        let challenge = format!("\0\0\0\x0br={nonce}X,s=c2FsdA==,i={rounds}");
        let _ = stream.write_all(&message(b'R', challenge.as_bytes()));
        let _ = stream.read(&mut buffer);
        let _ = stream.write_all(&message(b'R', b"\0\0\0\x0cv=AAAA"));
    })
}

#[test]
fn a_postgres_that_lies() {
    let nonsense = "does not speak PostgreSQL";
    let row = message(b'D', &[&[0, 1, 0, 0, 16, 0][..], &[b'a'; 4096]].concat());
    each(
        postgres,
        vec![
            ("it drips", drips(greeting()), "unreachable", LATE),
            ("it hangs", hangs(), "unreachable", LATE),
            (
                "it closes at once",
                closes(),
                "unhealthy",
                "closed the connection",
            ),
            ("TLS", says(TLS_ALERT), "unhealthy", nonsense),
            ("a TLS hello", says(TLS_HELLO), "unhealthy", nonsense),
            (
                "SSH",
                says("SSH-2.0-OpenSSH_9.2p1\r\n"),
                "unhealthy",
                nonsense,
            ),
            (
                "endless rows",
                answers(row),
                "unhealthy",
                "its answer never ends",
            ),
            (
                "a row that is cut off",
                answers(message(b'D', &[0, 2, 0, 0])),
                "unhealthy",
                nonsense,
            ),
            (
                "it goes after the login",
                says(greeting()),
                "unhealthy",
                "closed the connection",
            ),
            (
                "more work than there is time",
                scram("1000000"),
                "unreachable",
                LATE,
            ),
            (
                "more work than anybody asks for",
                scram("4000000000"),
                "unhealthy",
                "its login makes no sense",
            ),
            (
                "a stranger who does not know the password",
                scram("4096"),
                "unhealthy",
                "does not know the password itself",
            ),
        ],
    );
}
