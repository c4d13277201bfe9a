//! What `xtask::platform` promises, on every system: trees end whole, a pid alone is nobody, arguments and
//! exit codes pass through, and a removal stays where it was sent.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use xtask::platform::{self, Process};

use crate::support::{Fixture, Run, free_port, server, until};

/// A fixture server in this mode, at the head of a group of its own, which ends with the value.
struct Group(Child);

impl Group {
    fn new(mode: &str) -> Group {
        let mut command = Command::new(server());
        command.arg(mode).env("PORT", free_port().to_string());
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Group(platform::spawn_group(&mut command).unwrap())
    }

    /// All of the group that live.
    fn members(&self) -> Vec<Process> {
        let mut table = platform::processes("");
        table.retain(|it| it.group == self.0.id());
        table
    }

    /// Waits until there are so many.
    fn wait_for(&self, count: usize) -> Vec<Process> {
        let since = Instant::now();
        while self.members().len() != count {
            let table = platform::processes("");
            let late = since.elapsed() > Duration::from_secs(20);
            assert!(!late, "not {count} members of {}: {table:#?}", self.0.id());
            std::thread::sleep(Duration::from_millis(10));
        }
        self.members()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        platform::kill_group(self.0.id());
        let _ = self.0.wait();
    }
}

fn lives(process: &Process) -> bool {
    platform::start_time(process.pid).is_some_and(|it| it == process.start)
}

#[test]
fn a_tree_ends_whole_with_its_grandchildren() {
    let mut group = Group::new("tree");
    let members = group.wait_for(3);
    let table = platform::processes("");
    let by_parent: BTreeSet<u32> = platform::tree(&table, group.0.id())
        .iter()
        .map(|it| it.pid)
        .collect();
    let by_group: BTreeSet<u32> = members.iter().map(|it| it.pid).collect();
    assert_eq!(by_parent, by_group);
    platform::kill_group(group.0.id());
    group.0.wait().unwrap();
    until("all have ended", || !members.iter().any(lives));
}

/// What a dead leader has left behind is nobody's child, but still in its group.
#[test]
fn a_tree_without_its_root_ends_whole() {
    let mut group = Group::new("forsake");
    group.0.wait().unwrap();
    let members = group.wait_for(2);
    platform::kill_group(group.0.id());
    until("all have ended", || !members.iter().any(lives));
}

#[test]
fn a_group_that_is_asked_ends_by_itself() {
    let mut group = Group::new("tree");
    let members = group.wait_for(3);
    platform::terminate_group(group.0.id());
    group.0.wait().unwrap();
    until("all have ended", || !members.iter().any(lives));
}

#[test]
fn a_group_that_does_not_listen_has_to_be_killed() {
    let group = Group::new("stubborn");
    let members = group.wait_for(1);
    // Until it has its handler.
    std::thread::sleep(Duration::from_millis(500));
    platform::terminate_group(group.0.id());
    std::thread::sleep(Duration::from_millis(500));
    assert!(members.iter().any(lives), "it was killed, not asked");
    platform::kill_group(group.0.id());
    until("it has ended", || !members.iter().any(lives));
}

#[test]
fn other_groups_stay() {
    let (one, two) = (Group::new("deaf"), Group::new("deaf"));
    let (ended, stays) = (one.wait_for(1), two.wait_for(1));
    platform::terminate_group(one.0.id());
    until("the one has ended", || !ended.iter().any(lives));
    assert!(stays.iter().all(lives), "the other was ended, too");
}

#[test]
fn a_process_is_known_by_its_start_and_gone_when_it_has_ended() {
    let mut group = Group::new("deaf");
    let pid = group.0.id();
    let start = platform::start_time(pid).unwrap();
    let table = platform::processes("");
    let found: Vec<&Process> = table.iter().filter(|it| it.pid == pid).collect();
    assert_eq!(found.len(), 1);
    assert_eq!(
        (&found[0].start, found[0].parent),
        (&start, std::process::id())
    );
    assert_eq!(
        platform::start_time(pid),
        Some(start),
        "it has to stay the same"
    );
    platform::kill(pid);
    // Not waited for: somebody may have it open, and it is dead all the same.
    until("it is gone", || platform::start_time(pid).is_none());
    assert!(!platform::processes("").iter().any(|it| it.pid == pid));
    group.0.wait().unwrap();
}

#[test]
fn a_mark_in_the_environment_is_read() {
    let value = format!("{} ü = 🦀", std::process::id());
    let mut command = Command::new(server());
    command.arg("deaf").env("XTASK_PLATFORM_TEST", &value);
    let group = Group(platform::spawn_group(command.stdin(Stdio::null())).unwrap());
    until("it is marked", || {
        let table = platform::processes("XTASK_PLATFORM_TEST");
        let marked = table.iter().filter(|it| it.mark.as_ref() == Some(&value));
        marked.map(|it| it.pid).eq([group.0.id()])
    });
}

#[test]
fn the_holder_of_a_port_is_named() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let holder = platform::port_holder(listener.local_addr().unwrap().port()).unwrap();
    assert_eq!(holder.pid, std::process::id());
    assert!(holder.name.starts_with("it"), "{holder}");
}

#[test]
fn odd_arguments_arrive_as_they_were_given() {
    let args = [
        "",
        " ",
        "a b",
        "\"",
        "a\"b",
        "\\",
        "\\\\",
        "a\\\"b",
        "\\\\\"",
        "ends in \\",
        "C:\\a b\\",
        "\ttab",
        "Grüße 🦀",
        "%PATH%",
        "%",
        "^",
        "&",
        "|",
        "<x>",
        "!",
        "(x)",
        "*",
        "?",
        "'",
        "`id`",
        "$HOME",
        "~",
        "--x=\"y z\"",
        ";",
        "#",
        "two\nlines",
        "-",
    ];
    let program = server();
    let fixture = Fixture::new("");
    let mut words = vec!["exec", "--", program.as_str(), "args"];
    words.extend(args);
    let expected: String = args.iter().map(|it| format!("{it:?}\n")).collect();
    let run = fixture.run(&words).code(0);
    assert_eq!(run.stdout(), expected, "{run}");
}

#[test]
fn exit_codes_pass_through() {
    let fixture = Fixture::new("");
    for code in [0, 1, 2, 7, 101, 130, 255] {
        fixture
            .run(&["exec", "--", &server(), "exit", &code.to_string()])
            .code(code);
    }
}

/// Codes have 32 bits on Windows. What does not fit is no success: the last eight bits of 256 are 0.
#[cfg(windows)]
#[test]
fn no_large_exit_code_becomes_a_success() {
    let fixture = Fixture::new("");
    for code in [256, 259, 512, 65_536, -1, -1_073_741_819] {
        fixture
            .run(&["exec", "--", &server(), "exit", &code.to_string()])
            .code(1);
    }
}

#[test]
fn paths_with_spaces_and_all_letters_work() {
    let outer = Fixture::new("");
    let inner = "dir with  spaces/ü 'quoted' 🦀/ws";
    outer.file(
        &format!("{inner}/Cargo.toml"),
        "[workspace]\nmembers = []\n",
    );
    let name = format!("prog ü{}", std::env::consts::EXE_SUFFIX);
    fs::copy(server(), outer.path(inner).join(&name)).unwrap();
    let port = free_port();
    outer.file(
        &format!("{inner}/.config/xtask.toml"),
        &format!(
            "[services.web]\nkind = \"http\"\nport = {port}\nport_env = \"PORT\"\n\
             command = [\"./{name}\", \"healthy\"]\nready_timeout = 10\n\
             [env.defaults]\nWHO = \"ü 🦀\"\n"
        ),
    );
    let run = |args: &[&str]| Run::of(outer.xtask(args).current_dir(outer.path(inner)));
    run(&["services", "start"]).code(0).says("Healthy web");
    let status = run(&["--format", "json", "services", "status"]).code(0);
    assert_eq!(status.json()[0]["state"], "healthy", "{status}");
    run(&["services", "stop"]).code(0).says("Stopped web");
    run(&["exec", "--", &server(), "print", "WHO"])
        .code(0)
        .prints("WHO=ü 🦀\n");
    run(&["setup-env"]).code(0);
    assert!(outer.path(inner).join(".env").is_file());
}

/// Nobody sees half a file, whoever reads it meanwhile.
#[test]
fn a_file_is_replaced_while_others_read_it() {
    let fixture = Fixture::new("");
    let path = fixture.file("file", &"0".repeat(4096));
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::SeqCst) {
                    let text = fs::read(&path).unwrap_or_else(|_| vec![b'0'; 4096]);
                    let whole = text.len() == 4096 && text.iter().all(|it| *it == text[0]);
                    assert!(whole, "half a file");
                    // Where nobody can replace what is open, it is closed most of the time.
                    std::thread::sleep(Duration::from_millis(10));
                }
            });
        }
        let written = (0..100_u8).try_for_each(|n| {
            let content = [b'0' + n % 10; 4096];
            xtask::fsx::atomic_write(&path, &content, xtask::fsx::Access::Private)
        });
        // First: the readers would go on for ever.
        stop.store(true, std::sync::atomic::Ordering::SeqCst);
        written.unwrap();
    });
    assert_eq!(fs::read(&path).unwrap(), [b'9'; 4096]);
}

/// A program that is asked to end hands that on, and says 130.
#[test]
fn with_services_ends_all_when_it_is_asked_to() {
    let port = free_port();
    let fixture = Fixture::new(&format!(
        "[services.web]\nkind = \"http\"\nport = {port}\nport_env = \"PORT\"\n\
         command = [{:?}, \"parent\"]\nready_timeout = 10\n",
        server()
    ));
    let program = server();
    let ready = fixture.path("ready");
    let file = ready.display().to_string();
    let mut command = fixture.xtask(&["with-services", "--", &program, "until", &file]);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let child = platform::spawn_group(&mut command).unwrap();
    until("the command runs", || fixture.path("ready.runs").exists());
    let mut all: Vec<Process> = Vec::new();
    // Itself, its command, the service, and what that has started.
    until("all four run", || {
        let table = platform::processes("");
        all = platform::tree(&table, child.id())
            .into_iter()
            .cloned()
            .collect();
        all.len() == 4
    });
    let since = Instant::now();
    platform::terminate_group(child.id());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(since.elapsed() < Duration::from_secs(8), "{said}");
    let left: Vec<&Process> = all.iter().filter(|it| lives(it)).collect();
    assert!(left.is_empty(), "{left:?}\n{said}");
}
