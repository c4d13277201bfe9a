//! The tool is killed, its files are damaged, and others are at work at the same time.

use super::*;
use crate::support::{living, mark, marked};

#[test]
fn a_start_that_is_killed_at_any_moment_leaves_nothing_that_stop_cannot_find() {
    let needs = "depends_on = [\"a\"]\nready_timeout = 20";
    let text = service("a", "parent", free_port(), "env = { DELAY_MS = \"20\" }")
        + &service("b", "parent", free_port(), needs)
        + &service("c", "deaf", free_port(), needs);
    let fixture = Fixture::new(&text);
    let mark = mark();
    let mut met = [false; 2];
    // Processes start more slowly on Windows, and under Wine the more so.
    let (steps, pause) = if cfg!(windows) { (6, 400) } else { (40, 3) };
    for step in 0..steps {
        let mut start = marked(&fixture, &mark, &["services", "start"])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(step * pause));
        start.kill().unwrap();
        start.wait().unwrap();
        for name in ["a", "b", "c"] {
            let row = row(&fixture, name);
            let pids = row["pids"].as_array().unwrap();
            // What runs is known as running, and what does not, as not.
            for pid in pids {
                let pid = u32::try_from(pid.as_u64().unwrap()).unwrap();
                let lives = xtask::platform::start_time(pid).is_some();
                assert!(lives, "step {step}: {row}");
            }
            let runs = matches!(row["state"].as_str(), Some("healthy" | "starting"));
            assert_eq!(runs, !pids.is_empty(), "step {step}: {row}");
            met[usize::from(runs)] = true;
        }
        fixture.run(&["services", "stop"]).code(0);
        assert_eq!(living(&mark), Vec::<u32>::new(), "step {step}");
    }
    assert_eq!(met, [true, true], "every kill came too early or too late");
}

#[test]
fn a_start_that_was_killed_is_finished_by_the_next() {
    let fixture = Fixture::new(&service(
        "web",
        "healthy",
        free_port(),
        // Long enough for a look at it, however slow processes are to start.
        "ready_timeout = 20\nenv = { DELAY_MS = \"3000\" }",
    ));
    let _stop = Stop(&fixture);
    let mut start = fixture.xtask(&["services", "start"]).spawn().unwrap();
    until("it runs", || state_of(&fixture, "web") == "starting");
    start.kill().unwrap();
    start.wait().unwrap();
    let pid = pid_of(&fixture, "web");
    fixture
        .run(&["services", "start"])
        .code(0)
        .says("Running web");
    assert_eq!(pid_of(&fixture, "web"), pid);
}

/// Damages the state file of a running service, and expects that nothing is lost by that.
fn damaged(damage: impl Fn(&std::path::Path)) {
    let fixture = Fixture::new(&service("web", "parent", free_port(), ""));
    let mark = mark();
    let start = || {
        marked(&fixture, &mark, &["services", "start"])
            .output()
            .unwrap()
    };
    assert!(start().status.success());
    let pid = pid_of(&fixture, "web");
    damage(&state_file(&fixture, "web"));
    assert_eq!(
        (pid_of(&fixture, "web"), state_of(&fixture, "web")),
        (pid, "healthy".to_owned())
    );
    let again = start();
    assert!(
        again.status.success(),
        "{}",
        String::from_utf8_lossy(&again.stderr)
    );
    assert_eq!(living(&mark).len(), 2, "it was started twice");
    damage(&state_file(&fixture, "web"));
    fixture
        .run(&["services", "stop", "web"])
        .code(0)
        .says("Stopped web");
    assert_eq!(living(&mark), Vec::<u32>::new());
    assert_eq!(state_of(&fixture, "web"), "stopped");
}

#[test]
fn a_state_file_that_was_removed_loses_nothing() {
    damaged(|path| fs::remove_file(path).unwrap());
}

#[test]
fn a_state_file_that_was_cut_off_loses_nothing() {
    damaged(|path| {
        let text = fs::read(path).unwrap();
        fs::write(path, &text[..text.len() / 2]).unwrap();
    });
}

#[test]
fn a_state_file_that_is_empty_or_no_text_loses_nothing() {
    damaged(|path| fs::write(path, "").unwrap());
    damaged(|path| fs::write(path, b"\xff\xfe\x00").unwrap());
}

#[test]
fn a_whole_target_directory_that_was_removed_loses_nothing() {
    damaged(|path| {
        let services = path.parent().unwrap().parent().unwrap();
        let _ = fs::remove_dir_all(services.parent().unwrap());
    });
}

#[test]
fn an_edited_state_file_never_ends_a_stranger() {
    let fixture = Fixture::new(&service("web", "healthy", free_port(), ""));
    let _stop = Stop(&fixture);
    let edits: [fn(&mut serde_json::Value, u32, &str); 3] = [
        |json, pid, _| json["pid"] = pid.into(),
        // All that can be known of the stranger.
        |json, pid, start| {
            json["pid"] = pid.into();
            json["start_time"] = start.into();
        },
        |json, pid, start| {
            json["pid"] = pid.into();
            json["start_time"] = start.into();
            json["run"] = "1".into();
            json["seal"] = "0123456789abcdef".into();
        },
    ];
    for edit in edits {
        fixture.run(&["services", "start"]).code(0);
        let ours = pid_of(&fixture, "web");
        let mut stranger = Stranger::new("deaf", 0);
        let pid = stranger.0.id();
        let start = xtask::platform::start_time(pid).unwrap();
        let path = state_file(&fixture, "web");
        let mut json = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        edit(&mut json, pid, &start);
        fs::write(&path, json.to_string()).unwrap();
        assert_eq!(pid_of(&fixture, "web"), ours);
        fixture
            .run(&["services", "stop", "web"])
            .code(0)
            .says("the state file of `web` is damaged or was edited")
            .says(&format!("Stopped web (pid {ours})"));
        assert!(stranger.lives(), "a process of somebody else's was ended");
    }
}

#[test]
fn a_state_file_of_another_workspace_ends_nothing_there() {
    let one = Fixture::new(&service("web", "healthy", free_port(), ""));
    let two = Fixture::new(&service("web", "healthy", free_port(), ""));
    let _stop = Stop(&one);
    one.run(&["services", "start"]).code(0);
    let target = two.path("target/xtask/services/web");
    fs::create_dir_all(&target).unwrap();
    fs::copy(state_file(&one, "web"), target.join("state.json")).unwrap();
    assert_eq!(state_of(&two, "web"), "stopped");
    two.run(&["services", "stop"]).code(0);
    assert_eq!(state_of(&one, "web"), "healthy");
}

#[test]
fn a_service_that_was_killed_is_crashed_and_starts_again() {
    let fixture = Fixture::new(&service("web", "healthy", free_port(), ""));
    let _stop = Stop(&fixture);
    fixture.run(&["services", "start"]).code(0);
    xtask::platform::kill(pid_of(&fixture, "web"));
    until("crashed", || state_of(&fixture, "web") == "crashed");
    fixture
        .run(&["services", "status"])
        .code(1)
        .prints("crashed")
        .prints("nobody saw how");
    fixture.run(&["services", "start"]).code(0);
    assert_eq!(state_of(&fixture, "web"), "healthy");
}

#[test]
fn eight_starts_at_once_end_in_one_process() {
    let fixture = Fixture::new(&service("web", "healthy", free_port(), ""));
    let _stop = Stop(&fixture);
    let mark = mark();
    let children: Vec<_> = (0..8)
        .map(|_| {
            let mut command = marked(&fixture, &mark, &["services", "start"]);
            command.stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let mut waited = 0;
    for child in children {
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        waited += usize::from(said.contains("for another run that starts or stops services (pid "));
    }
    assert_eq!(living(&mark).len(), 1);
    assert!(waited > 0, "nobody said for whom it waits");
}

#[test]
fn starts_stops_and_restarts_at_once_leave_one_truth() {
    let text = service("a", "healthy", free_port(), "")
        + &service("b", "parent", free_port(), "depends_on = [\"a\"]");
    let fixture = Fixture::new(&text);
    let mark = mark();
    for _ in 0..4 {
        let runs = [
            &["services", "start"][..],
            &["services", "stop"],
            &["services", "restart", "b"],
            &["services", "start", "b"],
            &["services", "stop", "b"],
            &["services", "restart", "a"],
        ];
        let children: Vec<_> = runs
            .iter()
            .map(|args| {
                let mut command = marked(&fixture, &mark, args);
                command.stderr(Stdio::piped()).spawn().unwrap()
            })
            .collect();
        for child in children {
            let output = child.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{said}");
        }
        let known: usize = ["a", "b"]
            .iter()
            .map(|name| row(&fixture, name)["pids"].as_array().unwrap().len())
            .sum();
        assert_eq!(living(&mark).len(), known);
    }
    fixture.run(&["services", "stop"]).code(0);
    assert_eq!(living(&mark), Vec::<u32>::new());
}
