//! A server for the tests of services and probes: well, ill, lying or deaf, as its arguments say.
//!
//! `fixture-server MODE` listens on 127.0.0.1:$PORT, `DELAY_MS` after its start, and ends with exit
//! code 7 after `LIFE_MS`.

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
    let mut args = std::env::args().skip(1);
    let mode = args.next().unwrap_or_default();
    thread::sleep(milliseconds("DELAY_MS").unwrap_or_default());
    if let Some(life) = milliseconds("LIFE_MS") {
        thread::spawn(move || {
            thread::sleep(life);
            // Whether or not somebody reads it.
            let _ = writeln!(std::io::stderr(), "the end has come");
            std::process::exit(7);
        });
    }
    match mode.as_str() {
        "die" => {
            eprintln!("cannot connect to postgresql://app:hunter2@db/app");
            std::process::exit(3);
        }
        "leave" => {}
        "deaf" => deaf(),
        "parent" => {
            below("deaf").spawn().expect("a child");
            serve("healthy");
        }
        // The child serves, and outlives its parent.
        "heir" => {
            below("healthy").spawn().expect("a child");
            deaf();
        }
        "shell" => {
            below("deaf").spawn().expect("a child");
            deaf();
        }
        // A build: it fails where there is a file `broken`, and takes its time where one is `slow`.
        "build" => {
            if std::path::Path::new("slow").exists() {
                below("deaf").spawn().expect("a child");
                deaf();
            }
            if std::path::Path::new("broken").exists() {
                eprintln!("it does not compile");
                std::process::exit(1);
            }
        }
        // A command: it says that it runs, and ends when a file of this name is there.
        "until" => {
            let file = args.next().expect("a file");
            std::fs::write(format!("{file}.runs"), "").expect("a file");
            while !std::path::Path::new(&file).exists() {
                thread::sleep(Duration::from_millis(10));
            }
        }
        "print" => {
            for name in args {
                println!("{name}={}", std::env::var(&name).unwrap_or_default());
            }
        }
        // Its arguments, as they have come.
        "args" => args.for_each(|it| println!("{it:?}")),
        "exit" => std::process::exit(args.next().and_then(|it| it.parse().ok()).expect("a code")),
        // Does not end when it is asked to.
        "stubborn" => {
            on_terminate(|| {});
            serve("healthy");
        }
        // Takes `GRACE_MS` to end, and says when it has.
        "graceful" => {
            on_terminate(|| {
                println!("cleaning up");
                thread::sleep(milliseconds("GRACE_MS").unwrap_or(Duration::from_millis(500)));
                println!("ended well");
                std::process::exit(0);
            });
            serve("healthy");
        }
        // Ends at once, as `uv run` or `npm start` may, while its child takes its time.
        "wrapper" => {
            below("graceful").spawn().expect("a child");
            deaf();
        }
        // Three generations.
        "tree" => {
            below("shell").spawn().expect("a child");
            deaf();
        }
        // Its child stays when it ends.
        "forsake" => {
            below("shell").spawn().expect("a child");
        }
        // Its child becomes a daemon: another session, its parent gone.
        "escape" => {
            let mut daemon = below("daemon");
            // On Unix it takes a session by itself.
            if cfg!(windows) {
                own_group(&mut daemon);
            }
            daemon.spawn().expect("a child").wait().expect("its end");
            serve("healthy");
        }
        "daemon" => {
            #[cfg(unix)]
            nix::unistd::setsid().expect("a session");
            below("deaf").spawn().expect("a grandchild");
        }
        // As `escape`, and its daemon knows nothing of where it comes from.
        #[cfg(unix)]
        "vanish" => {
            bare(below("daemon"))
                .spawn()
                .expect("a child")
                .wait()
                .expect("its end");
            serve("healthy");
        }
        // Becomes a daemon itself: what was started ends, and what is left knows nothing of it.
        #[cfg(unix)]
        "daemonize" => {
            bare(below("daemon"))
                .spawn()
                .expect("a child")
                .wait()
                .expect("its end");
        }
        // The same, with its output still open.
        #[cfg(unix)]
        "hold" => {
            println!("before it goes");
            below("daemon")
                .spawn()
                .expect("a child")
                .wait()
                .expect("its end");
        }
        // Its child has another group and knows nothing of where it comes from.
        "bare" => {
            let mut child = below("deaf");
            child.env_clear();
            for name in ["XTASK_TEST", "PATH", "SystemRoot"] {
                if let Some(value) = std::env::var_os(name) {
                    child.env(name, value);
                }
            }
            own_group(&mut child).spawn().expect("a child");
            serve("healthy");
        }
        mode => serve(mode),
    }
}

fn milliseconds(variable: &str) -> Option<Duration> {
    let value = std::env::var(variable).ok()?;
    Some(Duration::from_millis(value.parse().expect("milliseconds")))
}

/// This program in another mode. Not waited for: the tests look at what becomes of it.
fn below(mode: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("a path"));
    command
        .arg(mode)
        .stdin(Stdio::null())
        .env_remove("LIFE_MS")
        .env_remove("DELAY_MS");
    command
}

/// Without the environment (but for what the tests find it by), directory and output that it came from.
#[cfg(unix)]
fn bare(mut command: Command) -> Command {
    command.env_clear();
    for name in ["XTASK_TEST", "PATH"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
        .current_dir("/")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

fn deaf() -> ! {
    loop {
        thread::sleep(Duration::from_secs(1));
    }
}

/// Calls `act` once, when this process is asked to end: SIGTERM, or Ctrl-Break on Windows.
fn on_terminate(act: impl FnOnce() + Send + 'static) {
    xtask::platform::install_interrupt_handler();
    thread::spawn(move || {
        while !xtask::platform::interrupted() {
            thread::sleep(Duration::from_millis(5));
        }
        act();
    });
}

/// Makes a command start where nobody would look for it: in a group of its own.
fn own_group(command: &mut Command) -> &mut Command {
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
    // CREATE_NEW_PROCESS_GROUP and CREATE_BREAKAWAY_FROM_JOB.
    #[cfg(windows)]
    std::os::windows::process::CommandExt::creation_flags(command, 0x0100_0200);
    command
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
