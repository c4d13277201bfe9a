//! A server for the tests of services and probes: well, ill, or lying, as its arguments say.
//!
//! `fixture-server MODE` listens on 127.0.0.1:$PORT.

#![allow(clippy::expect_used, reason = "it serves tests: a panic is the report")]
#![allow(
    clippy::zombie_processes,
    reason = "what becomes of an orphan is what is tested"
)]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

fn main() {
    let mode = std::env::args().nth(1).unwrap_or_default();
    match mode.as_str() {
        "die" => {
            eprintln!("cannot connect to postgresql://app:hunter2@db/app");
            std::process::exit(3);
        }
        "deaf" => loop {
            thread::sleep(Duration::from_secs(1));
        },
        "parent" => {
            let program = std::env::current_exe().expect("a path");
            // Not waited for: the tests look at what becomes of it.
            let _child = Command::new(program)
                .arg("deaf")
                .stdin(Stdio::null())
                .spawn()
                .expect("a child");
            serve("healthy");
        }
        mode => serve(mode),
    }
}

fn serve(mode: &str) {
    let port = std::env::var("PORT")
        .expect("PORT")
        .parse::<u16>()
        .expect("a port");
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("a free port");
    for stream in listener.incoming().flatten() {
        let mode = mode.to_owned();
        thread::spawn(move || answer(&mode, stream));
    }
}

fn answer(mode: &str, mut stream: TcpStream) {
    let _ = stream.read(&mut [0; 4096]);
    let mut say = |status: &str, headers: &str, body: &str| {
        let length = body.len();
        let _ = write!(
            stream,
            "HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        );
    };
    match mode {
        "healthy" => say("200 OK", "", r#"{"status":"healthy"}"#),
        "ill" => say(
            "503 Service Unavailable",
            "",
            r#"{"status":"unhealthy","error":"no database"}"#,
        ),
        "liar" => say("200 OK", "", r#"{"status":"starting"}"#),
        "broken" => say("500 Internal Server Error", "", "boom"),
        "redirect" => say("302 Found", "Location: http://127.0.0.1:1/\r\n", ""),
        "huge" => say("200 OK", "", &"x".repeat(1 << 20)),
        "garbage" => {
            let _ = stream.write_all(b"\x00\x01nonsense\r\n\r\n");
        }
        "slow" => {
            for byte in b"HTTP/1.1 200 OK\r\n".iter().cycle() {
                if stream.write_all(&[*byte]).is_err() {
                    return;
                }
                thread::sleep(Duration::from_millis(100));
            }
        }
        "headers" => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
            while stream.write_all(b"X-More: of this\r\n").is_ok() {}
        }
        // Accepts, and never answers.
        _ => loop {
            thread::sleep(Duration::from_secs(1));
        },
    }
}
