//! Programs that fork twice, and numbers of processes that are given out again.

use super::*;
use crate::support::{Run, in_namespaces, living, mark, marked};

/// A second fork, a session of its own, and an environment without any mark: it is still below its service.
#[test]
fn a_daemon_that_has_left_everything_is_ended_with_its_service() {
    for mode in ["escape", "vanish"] {
        let fixture = Fixture::new(&service("web", mode, free_port(), ""));
        let mark = mark();
        Run::of(&mut marked(&fixture, &mark, &["services", "start"])).code(0);
        until("both are there", || living(&mark).len() == 2);
        let known = row(&fixture, "web");
        assert_eq!(
            known["pids"].as_array().unwrap().len(),
            2,
            "{mode}: {known}"
        );
        fixture
            .run(&["services", "stop"])
            .code(0)
            .says("Stopped web");
        assert_eq!(living(&mark), Vec::<u32>::new(), "{mode}");
    }
}

/// The same for a restart: what the old one had left holds nothing of the new one.
#[test]
fn a_restart_leaves_no_daemon_of_the_old_one() {
    let fixture = Fixture::new(&service("web", "vanish", free_port(), ""));
    let _stop = Stop(&fixture);
    let mark = mark();
    Run::of(&mut marked(&fixture, &mark, &["services", "start"])).code(0);
    until("both are there", || living(&mark).len() == 2);
    let old = living(&mark);
    Run::of(&mut marked(&fixture, &mark, &["services", "restart"])).code(0);
    until("two new ones", || living(&mark).len() == 2);
    let new = living(&mark);
    assert!(new.iter().all(|pid| !old.contains(pid)), "{old:?} {new:?}");
}

#[test]
fn a_program_that_becomes_a_daemon_is_refused_and_ended() {
    let fixture = Fixture::new(&service("web", "daemonize", free_port(), ""));
    for args in [&["services", "start"][..], &["with-services", "--", "true"]] {
        let mark = mark();
        Run::of(&mut marked(&fixture, &mark, args))
            .code(1)
            .says("has to stay in the foreground")
            .says("Stopping what they had left behind");
        assert_eq!(living(&mark), Vec::<u32>::new(), "{args:?}");
    }
}

/// Whoever becomes `xtask` may have started something before: that is none of ours.
#[test]
fn what_was_below_us_before_stays() {
    let fixture = Fixture::new(&service("web", "daemonize", free_port(), ""));
    let mark = mark();
    let (name, value) = mark.split_once('=').unwrap();
    let own = marked(&fixture, &mark, &["services", "start"]);
    let mut shell = Command::new("sh");
    crate::support::clear_env(&mut shell);
    shell
        .args(["-c", "\"$1\" deaf & shift; exec \"$@\"", "sh", &server()])
        .arg(own.get_program())
        .args(own.get_args())
        .current_dir(fixture.root())
        .env(name, value)
        .stdin(Stdio::null());
    // Its end is not the end of its output, which the stranger has too.
    shell.stdout(Stdio::null()).stderr(Stdio::null());
    assert_eq!(shell.status().unwrap().code(), Some(1));
    // It, and the daemon: nobody can tell the two apart by where they come from.
    assert_eq!(living(&mark).len(), 2);
}

#[test]
fn a_command_with_services_ends_with_all_that_they_have_left() {
    let fixture = Fixture::new(&service("web", "vanish", free_port(), ""));
    let mark = mark();
    let server = server();
    let args = ["with-services", "--", &server, "exit", "5"];
    Run::of(&mut marked(&fixture, &mark, &args))
        .code(5)
        .says("Stopped web");
    assert_eq!(living(&mark), Vec::<u32>::new());
}

/// A command's own daemon is the command's: as from a shell, it is neither waited for nor ended.
#[test]
fn a_commands_own_daemon_is_neither_waited_for_nor_ended() {
    let fixture = Fixture::new(&service("web", "healthy", free_port(), ""));
    let server = server();
    for args in [
        &["exec", "--", &server, "daemonize"][..],
        &["with-services", "--", &server, "daemonize"],
    ] {
        let mark = mark();
        let since = Instant::now();
        Run::of(&mut marked(&fixture, &mark, args)).code(0);
        assert!(since.elapsed() < Duration::from_secs(5), "{args:?}");
        assert_eq!(living(&mark).len(), 1, "{args:?}");
    }
}

/// In a namespace of its own, where numbers of processes can be chosen, this test runs itself: the service's
/// very number is given to a stranger.
#[test]
fn a_number_that_is_given_out_again_is_nobodys() {
    const INSIDE: &str = "XTASK_TEST_INSIDE";
    if std::env::var_os(INSIDE).is_none() {
        let mut command = in_namespaces(&["--pid", "--fork", "--mount-proc"]);
        command
            .arg(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "services::daemons::a_number_that_is_given_out_again_is_nobodys",
                "--nocapture",
            ])
            .env(INSIDE, "1");
        Run::of(&mut command).code(0).prints("1 passed");
        return;
    }
    let fixture = Fixture::new(&service("web", "healthy", free_port(), ""));
    fixture.run(&["services", "start"]).code(0);
    let pid = pid_of(&fixture, "web");
    let start = xtask::platform::start_time(pid).unwrap();
    xtask::platform::kill(pid);
    gone(pid);
    let mut stranger = reborn(pid);
    assert_ne!(xtask::platform::start_time(pid), Some(start));
    let seen = row(&fixture, "web");
    assert_eq!(
        (&seen["state"], &seen["pids"]),
        (&"crashed".into(), &serde_json::json!([])),
        "{seen}"
    );
    fixture.run(&["services", "stop"]).code(0).says(&format!(
        "pid {pid} is no longer `web` but another process, which is left alone"
    ));
    assert!(stranger.lives(), "a process of somebody else's was ended");

    // The same once more, and it is started anew beside the stranger.
    drop(stranger);
    fixture.run(&["services", "start"]).code(0);
    let pid = pid_of(&fixture, "web");
    xtask::platform::kill(pid);
    gone(pid);
    let mut stranger = reborn(pid);
    for args in [
        &["services", "start"][..],
        &["services", "restart"],
        &["services", "stop"],
    ] {
        fixture.run(args).code(0);
        assert!(stranger.lives(), "{args:?} ended somebody else's process");
    }
}

/// Waits until a number is free: in its namespace, this process is everybody's last parent.
fn gone(pid: u32) {
    until("it is gone", || {
        xtask::platform::reap(pid);
        !Path::new(&format!("/proc/{pid}")).exists()
    });
}

/// A process with this number.
fn reborn(pid: u32) -> Stranger {
    for _ in 0..200 {
        fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).unwrap();
        let stranger = Stranger::new("deaf", 0);
        if stranger.0.id() == pid {
            return stranger;
        }
    }
    panic!("no process has got the number {pid}");
}
