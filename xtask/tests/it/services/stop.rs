//! Whole process trees end, however they take it.

use super::*;
use crate::support::{Run, living, mark, marked};

/// Starts a service in this mode, expects so many processes, stops it, and expects none.
fn stops(mode: &str, further: &str, processes: usize) -> (Duration, String) {
    let fixture = Fixture::new(&service("web", mode, free_port(), further));
    let mark = mark();
    let output = marked(&fixture, &mark, &["services", "start"])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    until("all are there", || living(&mark).len() == processes);
    let known = row(&fixture, "web");
    assert_eq!(
        known["pids"].as_array().unwrap().len(),
        processes,
        "{known}"
    );
    let log = log_of(&fixture, "web");
    let since = Instant::now();
    fixture
        .run(&["services", "stop"])
        .code(0)
        .says("Stopped web");
    assert_eq!(living(&mark), Vec::<u32>::new());
    (since.elapsed(), fs::read_to_string(log).unwrap())
}

#[test]
fn the_whole_tree_is_ended() {
    let (took, _) = stops("parent", "", 2);
    assert!(
        took < in_time(Duration::from_secs(1)),
        "it waited for nothing: {took:?}"
    );
}

#[test]
fn a_daemon_with_a_session_of_its_own_is_ended() {
    stops("escape", "", 2);
}

#[test]
fn a_child_without_group_and_environment_is_ended() {
    stops("bare", "", 2);
}

#[test]
fn a_child_has_its_time_although_its_wrapper_is_gone() {
    let (_, log) = stops("wrapper", "stop_timeout = 5", 2);
    assert!(log.contains("ended well"), "{log}");
}

#[test]
fn one_that_does_not_listen_is_killed_after_its_time() {
    let fixture = Fixture::new(&service("web", "stubborn", free_port(), "stop_timeout = 2"));
    let mark = mark();
    Run::of(&mut marked(&fixture, &mark, &["services", "start"])).code(0);
    let since = Instant::now();
    let run = fixture
        .run(&["--format", "json", "services", "stop"])
        .code(0)
        .says("Waiting up to")
        .says("`web` did not end within 2 s");
    assert_eq!(run.json()[0]["outcome"], "killed");
    let took = since.elapsed();
    assert!(
        took > Duration::from_secs(2) && took < in_time(Duration::from_millis(3500)),
        "{took:?}"
    );
    assert_eq!(living(&mark), Vec::<u32>::new());
}

#[cfg(target_os = "linux")]
#[test]
fn a_suspended_one_is_woken_to_end_well() {
    use nix::sys::signal::Signal;
    let fixture = Fixture::new(&service(
        "web",
        "graceful",
        free_port(),
        "stop_timeout = 10",
    ));
    fixture.run(&["services", "start"]).code(0);
    let log = log_of(&fixture, "web");
    signal(pid_of(&fixture, "web"), Signal::SIGSTOP);
    let since = Instant::now();
    fixture.run(&["services", "stop"]).code(0);
    assert!(since.elapsed() < in_time(Duration::from_secs(5)));
    assert!(fs::read_to_string(log).unwrap().contains("ended well"));
}

#[test]
fn orphans_of_a_dead_leader_are_found() {
    let fixture = Fixture::new(&service("web", "parent", free_port(), ""));
    let mark = mark();
    Run::of(&mut marked(&fixture, &mark, &["services", "start"])).code(0);
    xtask::platform::kill(pid_of(&fixture, "web"));
    until("crashed", || state_of(&fixture, "web") == "crashed");
    fixture
        .run(&["services", "stop"])
        .code(0)
        .says("`web` had ended by itself");
    assert_eq!(living(&mark), Vec::<u32>::new());
}

#[test]
fn independent_services_end_side_by_side() {
    let grace = "stop_timeout = 10\nenv = { GRACE_MS = \"1000\" }";
    let text: String = ["a", "b", "c"]
        .iter()
        .map(|name| service(name, "graceful", free_port(), grace))
        .collect();
    let fixture = Fixture::new(&text);
    fixture.run(&["services", "start"]).code(0);
    let since = Instant::now();
    fixture.run(&["services", "stop"]).code(0);
    let took = since.elapsed();
    assert!(
        took < in_time(Duration::from_millis(2200)),
        "one after the other: {took:?}"
    );
}

#[test]
fn what_depends_on_another_is_gone_first() {
    let text = service("base", "healthy", free_port(), "")
        + &service(
            "above",
            "graceful",
            free_port(),
            "depends_on = [\"base\"]\nstop_timeout = 10",
        );
    let fixture = Fixture::new(&text);
    fixture.run(&["services", "start"]).code(0);
    let log = log_of(&fixture, "above");
    let base = pid_of(&fixture, "base");
    let stop = fixture.xtask(&["services", "stop"]).spawn().unwrap();
    until("the base is gone", || {
        xtask::platform::start_time(base).is_none()
    });
    assert!(fs::read_to_string(log).unwrap().contains("ended well"));
    assert!(stop.wait_with_output().unwrap().status.success());
}

#[test]
fn stopping_one_leaves_what_depends_on_it_and_says_so() {
    let text = service("base", "healthy", free_port(), "")
        + &service("above", "healthy", free_port(), "depends_on = [\"base\"]");
    let fixture = Fixture::new(&text);
    let _stop = Stop(&fixture);
    fixture.run(&["services", "start"]).code(0);
    fixture
        .run(&["services", "stop", "base"])
        .code(0)
        .says("what depends on it runs on: above");
    assert_eq!(state_of(&fixture, "above"), "healthy");
    assert_eq!(state_of(&fixture, "base"), "stopped");
}
