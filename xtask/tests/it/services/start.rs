//! What can go wrong on the way up, and how soon it is known.

use super::*;

#[test]
fn each_starts_as_soon_as_what_it_needs_is_healthy() {
    // In waves it would be 1.2 s (`slow`, and `quick` waits for it) and 1.2 s more.
    let delay = |ms: u32| format!("ready_timeout = 20\nenv = {{ DELAY_MS = \"{ms}\" }}\n");
    let text = service("slow", "healthy", free_port(), &delay(1200))
        + &service("quick", "healthy", free_port(), "")
        + &service(
            "next",
            "healthy",
            free_port(),
            &format!("{}depends_on = [\"quick\"]", delay(1200)),
        );
    let fixture = Fixture::new(&text);
    let _stop = Stop(&fixture);
    let since = Instant::now();
    fixture.run(&["services", "start"]).code(0);
    let took = since.elapsed();
    assert!(took < in_time(Duration::from_millis(2200)), "{took:?}");
}

#[test]
fn what_is_needed_is_healthy_before() {
    let text = service("a", "healthy", free_port(), "depends_on = [\"b\"]")
        + &service("b", "die", free_port(), "env = { DELAY_MS = \"300\" }");
    let fixture = Fixture::new(&text);
    fixture
        .run(&["services", "start", "a"])
        .code(1)
        .says("`b` ended");
    assert!(
        !fixture.path("target/xtask/services/a").exists(),
        "it was started"
    );
}

#[test]
fn a_service_that_dies_is_reported_at_once_with_its_last_words_masked() {
    let text = service("ok", "healthy", free_port(), "")
        + &service("deaf", "deaf", free_port(), "ready_timeout = 30")
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
    let took = since.elapsed();
    assert!(
        took < in_time(Duration::from_millis(1900)),
        "it waited: {took:?}"
    );
    assert_eq!(state_of(&fixture, "ok"), "stopped");
    assert_eq!(state_of(&fixture, "deaf"), "stopped");
    // How it ended is known still.
    let row = row(&fixture, "web");
    assert_eq!(
        (&row["state"], &row["exit"]),
        (&"crashed".into(), &"exit code 3".into())
    );
    assert_eq!(
        row["log_tail"][0],
        "cannot connect to postgresql://app:***@db/app"
    );
    fixture
        .run(&["services", "status"])
        .code(1)
        .prints("ended with exit code 3")
        .prints("cannot connect")
        .never_shows("hunter2");
    fixture
        .run(&["services", "logs", "web"])
        .code(0)
        .prints(":***@db")
        .never_shows("hunter2");
    fixture.run(&["services", "stop"]).code(0);
    assert_eq!(state_of(&fixture, "web"), "stopped");
}

#[test]
fn one_that_was_healthy_and_dies_while_others_start_fails_the_start() {
    let text = service(
        "gone",
        "healthy",
        free_port(),
        "env = { LIFE_MS = \"400\" }",
    ) + &service("deaf", "deaf", free_port(), "ready_timeout = 30");
    let fixture = Fixture::new(&text);
    let since = Instant::now();
    fixture
        .run(&["services", "start"])
        .code(1)
        .says("`gone` ended with exit code 7 while others were starting")
        .says("the end has come");
    assert!(since.elapsed() < in_time(Duration::from_secs(5)));
}

#[test]
fn a_failure_is_shown_before_the_others_have_ended() {
    let text = service("a", "stubborn", free_port(), "stop_timeout = 3")
        + &service("b", "die", free_port(), "depends_on = [\"a\"]");
    let fixture = Fixture::new(&text);
    let since = Instant::now();
    let mut start = fixture
        .xtask(&["services", "start"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stderr = BufReader::new(start.stderr.take().unwrap());
    let mut shown = None;
    for line in stderr.lines().map_while(Result::ok) {
        if line.contains("ended with exit code 3") {
            shown = Some(since.elapsed());
        }
    }
    let status = start.wait().unwrap();
    let took = since.elapsed();
    assert_eq!(status.code(), Some(1));
    assert!(
        shown.unwrap() < in_time(Duration::from_millis(1500)),
        "{shown:?}"
    );
    assert!(
        took > Duration::from_secs(3),
        "it was not asked first: {took:?}"
    );
}

#[test]
fn one_that_never_gets_healthy_is_stopped_and_says_why() {
    let fixture = Fixture::new(&service("web", "ill", free_port(), ""));
    let since = Instant::now();
    fixture
        .run(&["services", "start"])
        .code(1)
        .says("Waiting for web")
        .says("`web` is not healthy after 2 s: HTTP 503: no database; its log is empty");
    let took = since.elapsed();
    assert!(took < in_time(Duration::from_millis(3500)), "{took:?}");
    assert_eq!(state_of(&fixture, "web"), "stopped");
}

#[test]
fn a_program_that_leaves_the_foreground_is_told_to_stay() {
    let fixture = Fixture::new(&service("web", "leave", free_port(), ""));
    fixture
        .run(&["services", "start"])
        .code(1)
        .says("`web` ended with exit code 0")
        .says("has to stay in the foreground");
}

#[test]
fn a_taken_port_names_its_holder_before_anything_is_built_or_started() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let build = format!("build = [{:?}, \"build\"]", server());
    let text = service("ok", "healthy", free_port(), "") + &service("web", "healthy", port, &build);
    let fixture = Fixture::new(&text);
    let since = Instant::now();
    let run = fixture
        .run(&["services", "start"])
        .code(1)
        .says(&format!("port {port} of `web`"))
        .never_shows("Building")
        .never_shows("Healthy");
    assert!(since.elapsed() < in_time(Duration::from_secs(1)));
    assert_eq!(state_of(&fixture, "ok"), "stopped");
    if cfg!(any(target_os = "linux", windows)) {
        run.says(&format!("(pid {})", std::process::id()));
    }
}

#[test]
fn two_services_cannot_have_one_port() {
    let port = free_port();
    let text = service("a", "healthy", port, "") + &service("b", "healthy", port, "");
    Fixture::new(&text)
        .run(&["services", "start"])
        .code(2)
        .says(&format!("`a` and `b` both want port {port}"));
}

#[test]
fn a_stranger_that_answers_on_the_port_is_not_ours() {
    let port = free_port();
    let mut stranger = Stranger::new("healthy", port);
    let fixture = Fixture::new(&service("web", "healthy", port, ""));
    until("the stranger answers", || answers(port));
    assert_eq!(state_of(&fixture, "web"), "foreign");
    fixture
        .run(&["services", "start"])
        .code(1)
        .says("is held by");
    fixture.run(&["services", "stop"]).code(0);
    assert!(stranger.lives(), "the stranger was ended");
}

#[cfg(any(target_os = "linux", windows))]
#[test]
fn a_stranger_that_takes_the_port_after_the_start_does_not_count_as_ours() {
    let port = free_port();
    // Ours never opens its port; the stranger does, and says that all is well.
    let fixture = Fixture::new(&service("web", "deaf", port, "ready_timeout = 10"));
    let start = fixture
        .xtask(&["services", "start"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    until("ours runs", || {
        fs::read_to_string(state_file(&fixture, "web"))
            .is_ok_and(|it| !it.contains("\"pid\": null"))
    });
    let mut stranger = Stranger::new("healthy", port);
    let output = start.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let name = format!("(pid {})", stranger.0.id());
    assert!(
        said.contains("is not it but") && said.contains(&name),
        "{said}"
    );
    assert!(stranger.lives());
    assert_eq!(state_of(&fixture, "web"), "foreign");
}

#[cfg(any(target_os = "linux", windows))]
#[test]
fn a_daemon_may_serve_for_a_service_that_says_so() {
    let port = free_port();
    let fixture = Fixture::new(&service(
        "web",
        "deaf",
        port,
        "ready_timeout = 10\nowns_port = false",
    ));
    let _stop = Stop(&fixture);
    let start = fixture.xtask(&["services", "start"]).spawn().unwrap();
    until("ours runs", || state_file(&fixture, "web").exists());
    let _daemon = Stranger::new("healthy", port);
    assert!(start.wait_with_output().unwrap().status.success());
    assert_eq!(state_of(&fixture, "web"), "healthy");
}

#[test]
fn what_was_up_before_stays_up_when_a_start_fails() {
    let text = service("ok", "healthy", free_port(), "")
        + &service("web", "die", free_port(), "depends_on = [\"ok\"]");
    let fixture = Fixture::new(&text);
    let _stop = Stop(&fixture);
    fixture.run(&["services", "start", "ok"]).code(0);
    let pid = pid_of(&fixture, "ok");
    fixture.run(&["services", "start"]).code(1);
    assert_eq!(pid_of(&fixture, "ok"), pid);
    assert_eq!(state_of(&fixture, "ok"), "healthy");
}

#[test]
fn a_build_that_fails_starts_nothing() {
    let build = format!("build = [{:?}, \"build\"]", server());
    let text =
        service("ok", "healthy", free_port(), "") + &service("web", "healthy", free_port(), &build);
    let fixture = Fixture::new(&text);
    fixture.file("broken", "");
    fixture
        .run(&["services", "start"])
        .code(1)
        .says("it does not compile")
        .never_shows("Healthy");
    assert_eq!(state_of(&fixture, "ok"), "stopped");
}

#[test]
fn a_restart_that_does_not_build_leaves_the_old_one_running() {
    let build = format!("build = [{:?}, \"build\"]", server());
    let text = service("web", "healthy", free_port(), &build)
        + &service("above", "healthy", free_port(), "depends_on = [\"web\"]");
    let fixture = Fixture::new(&text);
    let _stop = Stop(&fixture);
    fixture.run(&["services", "start"]).code(0);
    let (pid, above) = (pid_of(&fixture, "web"), pid_of(&fixture, "above"));
    fixture.file("broken", "");
    fixture
        .run(&["services", "restart", "web"])
        .code(1)
        .says("it does not compile");
    assert_eq!(
        (pid_of(&fixture, "web"), state_of(&fixture, "web")),
        (pid, "healthy".to_owned())
    );
    // Nor does one whose program is not there.
    fs::remove_file(fixture.path("broken")).unwrap();
    let gone = text.replacen(
        &format!("command = [{:?}", server()),
        "command = [\"no-such-program\"",
        1,
    );
    fixture.file(".config/xtask.toml", &gone);
    fixture
        .run(&["services", "restart", "web"])
        .code(1)
        .says("the program of `web` is not there");
    assert_eq!(pid_of(&fixture, "web"), pid);
    // And what depends on it stays.
    fixture.file(".config/xtask.toml", &text);
    fixture.run(&["services", "restart", "web"]).code(0);
    assert_ne!(pid_of(&fixture, "web"), pid);
    assert_eq!(pid_of(&fixture, "above"), above);
}

#[cfg(target_os = "linux")]
#[test]
fn one_that_is_up_but_does_not_answer_is_no_success_and_stays() {
    use nix::sys::signal::Signal;
    let fixture = Fixture::new(&service("web", "healthy", free_port(), "ready_timeout = 1"));
    let _stop = Stop(&fixture);
    fixture.run(&["services", "start"]).code(0);
    let pid = pid_of(&fixture, "web");
    signal(pid, Signal::SIGSTOP);
    until("suspended", || {
        row(&fixture, "web")["detail"]
            .as_str()
            .unwrap()
            .contains("suspended")
    });
    assert_eq!(state_of(&fixture, "web"), "unhealthy");
    fixture
        .run(&["services", "start"])
        .code(1)
        .says(&format!(
            "`web` (pid {pid}), which was up before, is not healthy"
        ))
        .says("services restart web");
    assert_eq!(pid_of(&fixture, "web"), pid);
}

#[cfg(any(target_os = "linux", windows))]
#[test]
fn an_orphan_that_holds_the_port_is_ended_by_the_next_start() {
    let port = free_port();
    let fixture = Fixture::new(&service("web", "heir", port, ""));
    let _stop = Stop(&fixture);
    fixture.run(&["services", "start"]).code(0);
    let pid = pid_of(&fixture, "web");
    xtask::platform::kill(pid);
    until("crashed", || state_of(&fixture, "web") == "crashed");
    assert!(answers(port), "the orphan serves on");
    let row = row(&fixture, "web");
    assert_eq!(row["pids"].as_array().unwrap().len(), 1, "{row}");
    fixture
        .run(&["services", "start"])
        .code(0)
        .says("Healthy web");
    assert_ne!(pid_of(&fixture, "web"), pid);
}

#[cfg(target_os = "linux")]
#[test]
fn a_program_that_clears_its_environment_is_known_all_the_same() {
    let port = free_port();
    let text = service("web", "healthy", port, "").replace(
        "command = [",
        &format!("command = [\"env\", \"-i\", \"PORT={port}\", "),
    );
    let fixture = Fixture::new(&text);
    fixture.run(&["services", "start"]).code(0);
    assert_eq!(state_of(&fixture, "web"), "healthy");
    fixture
        .run(&["services", "stop"])
        .code(0)
        .says("Stopped web");
    assert!(!answers(port));
}

#[test]
fn a_service_is_looked_for_where_it_was_told_to_be() {
    let (configured, told) = (free_port(), free_port());
    let fixture = Fixture::new(&service("web", "healthy", configured, ""));
    let _stop = Stop(&fixture);
    let mut command = fixture.xtask(&["services", "start"]);
    command.env("PORT", told.to_string());
    assert!(command.output().unwrap().status.success());
    let row = row(&fixture, "web");
    assert_eq!(
        (&row["state"], &row["port"]),
        (&"healthy".into(), &told.into()),
        "{row}"
    );
    fixture.run(&["services", "start"]).code(0).says(&format!(
        "`web` listens on port {told}, as it was told at its start, and not on {configured}"
    ));
    fixture
        .run(&["with-services", "--", &server(), "print", "PORT"])
        .code(0)
        .prints(&format!("PORT={told}\n"));
    fixture.run(&["services", "restart", "web"]).code(0);
    assert!(answers(configured) && !answers(told));
}

#[test]
fn a_build_ends_when_there_is_nothing_more_to_build_for() {
    let build = format!("build = [{:?}, \"build\"]", server());
    // Somebody else is to start `db`, and has not.
    let text = format!("[services.db]\nkind = \"tcp\"\nport = {}\n", free_port())
        + &service("web", "healthy", free_port(), &build);
    let fixture = Fixture::new(&text);
    fixture.file("slow", "");
    let since = Instant::now();
    fixture
        .run(&["services", "start", "db", "web"])
        .code(1)
        .says("`db` is not healthy")
        .says("has no `command` to start it by");
    assert!(since.elapsed() < in_time(Duration::from_secs(3)));
}

#[cfg(target_os = "linux")]
#[test]
fn on_a_terminal_waiting_is_one_line() {
    let fixture = Fixture::new(&service("web", "ill", free_port(), ""));
    let xtask = xtask_word();
    let mut command = Command::new("script");
    command
        .args(["--quiet", "--return", "--command"])
        .arg(format!("{xtask} services start"))
        .arg("/dev/null")
        .current_dir(fixture.root())
        .env_remove("CARGO_TARGET_DIR")
        .env("TERM", "xterm")
        .stdin(Stdio::null());
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("Waiting for web (1 s: HTTP 503: no database)"),
        "{said}"
    );
    // The error takes its place.
    assert!(said.contains("\r\u{1b}[2K\u{1b}[31merror:"), "{said:?}");
}
