//! Services for the time of a command.

use super::*;

#[test]
fn the_command_has_its_services_and_its_code_is_the_end() {
    let fixture = Fixture::new(&service("one", "healthy", free_port(), ""));
    fixture
        .run(&["with-services", "--", &xtask_word(), "services", "status"])
        .code(0)
        .prints("healthy")
        .prints("ends with the command that it was started for");
    fixture
        .run(&["with-services", "--", &xtask_word(), "no-such-command"])
        .code(2)
        .says("Stopped one");
    assert_eq!(state_of(&fixture, "one"), "stopped");
    fixture
        .run(&["with-services", "--", "no-such-program"])
        .code(1)
        .says("command not found")
        .never_shows("one");
    // What was up before stays up.
    let _stop = Stop(&fixture);
    fixture.run(&["services", "start"]).code(0);
    let pid = pid_of(&fixture, "one");
    fixture
        .run(&["with-services", "--", &xtask_word(), "--version"])
        .code(0);
    assert_eq!(pid_of(&fixture, "one"), pid);
}

#[cfg(unix)]
#[test]
fn a_command_that_is_killed_ends_as_shells_say_it() {
    let fixture = Fixture::new(&service("one", "healthy", free_port(), ""));
    fixture
        .run(&["with-services", "--", "sh", "-c", "kill -9 $$"])
        .code(137)
        .says("Stopped one");
}

#[test]
fn what_was_built_elsewhere_is_run_and_not_built() {
    let server = server();
    let name = Path::new(&server).file_name().unwrap().to_str().unwrap();
    let text = service(
        "one",
        "healthy",
        free_port(),
        "build = [\"no-such-builder\"]",
    );
    let fixture = Fixture::new(&text.replace(&server, &format!("{{target}}/{{profile}}/{name}")));
    let debug = fixture.path("elsewhere/debug");
    fs::create_dir_all(&debug).unwrap();
    fs::copy(&server, debug.join(name)).unwrap();
    let args = [
        "with-services",
        "--prebuilt",
        "elsewhere",
        "--",
        "git",
        "--version",
    ];
    fixture.run(&args).code(0).says("Healthy one");
    fixture
        .run(&["with-services", "--", "git", "--version"])
        .code(1)
        .says("no-such-builder");
}

#[test]
fn a_start_that_fails_runs_no_command() {
    let fixture = Fixture::new(&service("one", "die", free_port(), ""));
    fixture
        .run(&["with-services", "--", &xtask_word(), "--version"])
        .code(1)
        .says("`one` ended with exit code 3")
        .never_shows("cargo xtask 0");
}

#[test]
fn the_command_is_told_the_ports() {
    let (one, two, shared) = (free_port(), free_port(), free_port());
    let rename = |text: String, variable: &str, port: u16| {
        text.replace("port_env = \"PORT\"", &format!("port_env = \"{variable}\""))
            + &format!("env = {{ PORT = \"{port}\" }}\n")
    };
    let text = rename(service("one", "healthy", one, ""), "ONE_PORT", one)
        + &rename(service("two", "healthy", two, ""), "TWO_PORT", two)
        + &service("a", "healthy", shared, "autostart = false")
        + &service("b", "healthy", free_port(), "autostart = false");
    let fixture = Fixture::new(&text);
    fixture
        .run(&[
            "with-services",
            "--",
            &server(),
            "print",
            "ONE_PORT",
            "TWO_PORT",
            "PORT",
        ])
        .code(0)
        .prints(&format!("ONE_PORT={one}\nTWO_PORT={two}\n"))
        // One name for two services tells the port of neither.
        .prints("PORT=\n");
}

#[test]
fn a_service_that_ends_meanwhile_is_told_at_once() {
    let life = "env = { LIFE_MS = \"500\" }";
    let fixture = Fixture::new(&service("one", "healthy", free_port(), life));
    let program = server();
    let mut child = fixture
        .xtask(&["with-services", "--", &program, "until", "end"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    // It is told while the command runs on.
    while !said.contains("the end has come") {
        assert!(stderr.read_line(&mut said).unwrap() > 0, "{said}");
    }
    let ended = "`one` ended with exit code 7 while the command ran; the end of its log:";
    assert!(said.contains(ended), "{said}");
    fixture.file("end", "");
    assert_eq!(
        child.wait().unwrap().code(),
        Some(0),
        "the command's own code"
    );
}

#[test]
fn two_runs_at_once_share_what_one_of_them_has_started() {
    let fixture = Fixture::new(&service("one", "healthy", free_port(), ""));
    let hold = |file: &str| {
        let program = server();
        let child = fixture
            .xtask(&["with-services", "--", &program, "until", file])
            .stderr(Stdio::piped())
            .spawn();
        child.unwrap()
    };
    let first = hold("first");
    until("the first has it up", || {
        state_of(&fixture, "one") == "healthy"
    });
    let pid = pid_of(&fixture, "one");
    let second = hold("second");
    until("the second runs", || fixture.path("second.runs").exists());
    until("the first runs", || fixture.path("first.runs").exists());
    fixture.file("first", "");
    let output = first.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success() && said.contains("Leaving one up"),
        "{said}"
    );
    assert_eq!(
        (pid_of(&fixture, "one"), state_of(&fixture, "one")),
        (pid, "healthy".to_owned())
    );
    fixture.file("second", "");
    let output = second.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success() && said.contains("Stopped one"),
        "{said}"
    );
    assert_eq!(state_of(&fixture, "one"), "stopped");
}

#[test]
fn what_a_killed_run_has_left_ends_with_the_next() {
    let fixture = Fixture::new(&service("one", "healthy", free_port(), ""));
    let _stop = Stop(&fixture);
    let program = server();
    let mut killed = fixture
        .xtask(&["with-services", "--", &program, "until", "never"])
        .spawn()
        .unwrap();
    until("it runs", || fixture.path("never.runs").exists());
    killed.kill().unwrap();
    killed.wait().unwrap();
    fixture.file("never", "");
    assert_eq!(state_of(&fixture, "one"), "healthy");
    assert_eq!(row(&fixture, "one")["transient"], true);
    fixture
        .run(&["with-services", "--", &xtask_word(), "--version"])
        .code(0)
        .says("Stopped one");
    assert_eq!(state_of(&fixture, "one"), "stopped");
}

#[test]
fn a_start_makes_stay_what_a_command_had_brought_up() {
    let fixture = Fixture::new(&service("one", "healthy", free_port(), ""));
    let _stop = Stop(&fixture);
    fixture
        .run(&["with-services", "--", &xtask_word(), "services", "start"])
        .code(0)
        .says("Running one");
    assert_eq!(state_of(&fixture, "one"), "healthy");
    assert_eq!(row(&fixture, "one")["transient"], false);
}
