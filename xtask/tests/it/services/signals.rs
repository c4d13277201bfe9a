//! Ctrl-C and its kin in every phase: all that was started ends, and the exit code is 130.

use nix::sys::signal::Signal;

use super::*;
use crate::support::{Run, living, mark, marked};

/// Runs until the condition holds, sends the signals, and expects 130 and nothing left.
fn interrupted(
    fixture: &Fixture,
    args: &[&str],
    signals: &[Signal],
    ready: impl Fn(&[u32]) -> bool,
) -> Duration {
    let mark = mark();
    let child = marked(fixture, &mark, args)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    until("it is where it is to be met", || ready(&living(&mark)));
    let since = Instant::now();
    for it in signals {
        signal(child.id(), *it);
        std::thread::sleep(Duration::from_millis(150));
    }
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert_eq!(living(&mark), Vec::<u32>::new(), "{said}");
    since.elapsed()
}

fn runs(pids: &[u32], argument: &str) -> bool {
    pids.iter().any(|pid| {
        fs::read_to_string(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|it| it.ends_with(&format!("{argument}\0")))
    })
}

const ALL: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

#[test]
fn while_it_builds() {
    let build = format!("build = [{:?}, \"build\"]", server());
    for it in ALL {
        let fixture = Fixture::new(&service("web", "healthy", free_port(), &build));
        fixture.file("slow", "");
        let took = interrupted(&fixture, &["services", "start"], &[it], |pids| {
            runs(pids, "deaf")
        });
        assert!(took < Duration::from_secs(3), "{took:?}");
    }
}

#[test]
fn while_it_waits() {
    for it in ALL {
        let text = service("ok", "parent", free_port(), "")
            + &service("web", "deaf", free_port(), "ready_timeout = 60");
        let fixture = Fixture::new(&text);
        let took = interrupted(&fixture, &["services", "start"], &[it], |pids| {
            pids.len() == 4 && runs(pids, "parent")
        });
        assert!(took < Duration::from_secs(3), "{took:?}");
        assert_eq!(state_of(&fixture, "ok"), "stopped");
    }
}

#[test]
fn while_a_command_runs_with_what_that_runs() {
    for it in ALL {
        let fixture = Fixture::new(&service("web", "parent", free_port(), ""));
        let program = server();
        // The command dies at once and leaves a child, as a shell does.
        let args = ["with-services", "--", &program, "shell"];
        let took = interrupted(&fixture, &args, &[it], |pids| pids.len() == 5);
        assert!(took < Duration::from_secs(3), "{took:?}");
    }
}

#[test]
fn while_it_stops() {
    let fixture = Fixture::new(&service(
        "web",
        "stubborn",
        free_port(),
        "stop_timeout = 60",
    ));
    let service_mark = mark();
    Run::of(&mut marked(&fixture, &service_mark, &["services", "start"])).code(0);
    let took = interrupted(&fixture, &["services", "stop"], &[Signal::SIGINT], |_| {
        // It has asked, and waits.
        std::thread::sleep(Duration::from_millis(300));
        true
    });
    assert!(took < Duration::from_secs(3), "{took:?}");
    assert_eq!(state_of(&fixture, "web"), "stopped");
}

#[test]
fn asked_twice_it_does_not_wait_for_those_who_do_not_listen() {
    let text = service("a", "stubborn", free_port(), "stop_timeout = 60")
        + &service(
            "b",
            "deaf",
            free_port(),
            "ready_timeout = 60\ndepends_on = [\"a\"]",
        );
    let fixture = Fixture::new(&text);
    let took = interrupted(
        &fixture,
        &["services", "start"],
        &[Signal::SIGINT; 2],
        |pids| runs(pids, "deaf"),
    );
    assert!(took < Duration::from_secs(3), "{took:?}");
    // The command of `with-services`, too.
    let fixture = Fixture::new(&service("a", "stubborn", free_port(), "stop_timeout = 60"));
    let command = format!("PORT={} exec {} stubborn # run", free_port(), server());
    let args = ["with-services", "--", "sh", "-c", &command];
    let took = interrupted(&fixture, &args, &[Signal::SIGTERM; 2], |pids| {
        pids.len() == 3 && pids.iter().filter(|pid| runs(&[**pid], "stubborn")).count() == 2
    });
    assert!(took < Duration::from_secs(4), "{took:?}");
}

#[test]
fn while_it_waits_for_another_run() {
    let fixture = Fixture::new(&service("web", "deaf", free_port(), "ready_timeout = 60"));
    let mut first = fixture.xtask(&["services", "start"]).spawn().unwrap();
    until("the first has the lock", || {
        state_file(&fixture, "web").exists()
    });
    let took = interrupted(&fixture, &["services", "stop"], &[Signal::SIGINT], |pids| {
        std::thread::sleep(Duration::from_millis(200));
        !pids.is_empty()
    });
    assert!(took < Duration::from_secs(1), "{took:?}");
    signal(first.id(), Signal::SIGINT);
    assert_eq!(first.wait().unwrap().code(), Some(130));
}
