//! A disk that is full, or may not be written to: small file systems of our own, mounted where nobody
//! else sees them.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::again::{self, behind};
use super::commands::{Does, Shop, Spec, named, specs, that};
use super::held::{self, Snapshot};
use super::table::{Row, names, record};
use crate::support::{Fixture, Run};

/// What a file takes at least on the disk, in bytes.
const BLOCK: u64 = 4096;
/// So many names can be used.
const NAMES: usize = 4000;

/// How much is left of a disk.
#[derive(Clone, Copy, Debug)]
enum Left {
    /// So many blocks.
    Blocks(u64),
    /// So many names of files and directories, with blocks for all of them.
    Names(usize),
}

/// A file system of a few megabytes, in which the shop is.
struct Disk {
    place: PathBuf,
}

impl Disk {
    /// Goes on with the test in a disk of this size; `None` where it has been through there.
    fn of(test: &str, megabytes: u64) -> Option<Disk> {
        if let Some(place) = again::place() {
            return Some(Disk { place });
        }
        again::mounts_work();
        let directory = tempfile::tempdir().unwrap();
        let mount =
            format!("mount -t tmpfs -o size={megabytes}m,nr_inodes={NAMES},mode=755 tmpfs \"$1\"");
        let words = again::in_mounts(&mount, directory.path());
        let words: Vec<&OsStr> = words.iter().map(|it| it.as_os_str()).collect();
        again::at(directory.path(), test, &words);
        None
    }

    fn filler(&self) -> PathBuf {
        self.place.join("filler")
    }

    fn names(&self) -> PathBuf {
        self.place.join("names")
    }

    /// Leaves no more than this.
    fn fill(&self, left: Left) {
        match left {
            Left::Blocks(blocks) => {
                let mut file = File::create(self.filler()).unwrap();
                let block = vec![0; 1 << 20];
                let error = loop {
                    if let Err(error) = file.write_all(&block) {
                        break error;
                    }
                };
                assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
                let size = file.metadata().unwrap().len() / BLOCK * BLOCK;
                file.set_len(size.checked_sub(blocks * BLOCK).unwrap())
                    .unwrap();
            }
            Left::Names(names) => {
                fs::create_dir(self.names()).unwrap();
                let path = |n: usize| self.names().join(n.to_string());
                let made = (0..).position(|n| File::create(path(n)).is_err()).unwrap();
                (made.checked_sub(names).unwrap()..made)
                    .for_each(|n| fs::remove_file(path(n)).unwrap());
            }
        }
    }

    /// Makes room for all.
    fn clear(&self) {
        let _ = fs::remove_file(self.filler());
        let _ = fs::remove_dir_all(self.names());
    }

    /// A shop whose database is on the disk, too: the server's user, where it is another one, gets there.
    fn shop(&self) -> Shop {
        let shop = Shop::new();
        assert!(shop.fixture.root().starts_with(&self.place));
        fs::set_permissions(shop.fixture.root(), Permissions::from_mode(0o755)).unwrap();
        assert!(shop.home().starts_with(&self.place), "{:?}", shop.home());
        shop
    }
}

/// Both workspaces as they are.
fn look(shop: &Shop) -> [Snapshot; 2] {
    [shop.fixture.root(), shop.theirs.root()].map(Snapshot::of)
}

/// Whether it was us, and not a fixture that could not write its own files.
fn panicked(run: &Run) -> bool {
    run.stderr().contains("panicked at xtask/src")
}

/// Runs a command with so little left, then once more with room. Whether it had enough.
fn run_with(disk: &Disk, shop: &Shop, spec: &Spec, left: Left, whole: &[Snapshot; 2]) -> bool {
    let when = format!("{} with {left:?} left", spec.name);
    spec.prepare(shop);
    let before = look(shop);
    disk.fill(left);
    let run = Run::of(&mut spec.command(shop));
    for ((now, before), whole) in look(shop).iter().zip(&before).zip(whole) {
        held::nothing_half_written(now, before, whole, &when);
    }
    shop.settled(&when);
    let said = run.stderr();
    assert!(!panicked(&run), "{when}: {run}");
    let enough = run.exit() == Some(spec.code);
    if enough {
        spec.holds(shop, &run);
    } else {
        assert_eq!(run.exit(), Some(1), "{when}: {run}");
        assert!(said.contains("No space left on device"), "{when}: {run}");
        let own = said.lines().find(|it| it.starts_with("error: "));
        assert!(own.is_some_and(|it| it.contains('`')), "{when}: {run}");
    }
    disk.clear();
    assert!(enough || spec.name != "services stop", "{when}: {run}");
    if spec.does == Does::Runs && !enough {
        // What it has started has ended.
        shop.ends(&when);
        spec.prepare(shop);
    }
    spec.works(shop, &format!("after {when}"));
    enough
}

/// Runs commands with each of these left.
fn run_all(disk: &Disk, shop: &Shop, specs: &[Spec], points: &[Left]) {
    for spec in specs {
        spec.prepare(shop);
        spec.works(shop, spec.name);
        let whole = look(shop);
        for left in points {
            run_with(disk, shop, spec, *left, &whole);
        }
    }
}

const HELD: &str = "the work is done, or exit code 1 and the file's name; each file is old or new; no \
                    temporary file; with room, the next run works";

#[test]
fn files_on_a_full_disk() {
    const NAME: &str = "disk::files_on_a_full_disk";
    let Some(disk) = Disk::of(NAME, 200) else {
        return;
    };
    let shop = disk.shop();
    let (large, small): (Vec<Spec>, Vec<Spec>) = that(Does::Writes)
        .into_iter()
        .partition(|it| it.name == "install-launcher");
    let points = [0, 1, 3, 8]
        .map(Left::Blocks)
        .into_iter()
        .chain([0, 1, 4].map(Left::Names));
    let points: Vec<Left> = points.collect();
    run_all(&disk, &shop, &small, &points);
    // In the middle of a large one.
    let points = [Left::Blocks(0), Left::Blocks(1000), Left::Names(1)];
    run_all(&disk, &shop, &large, &points);
    // What needs nothing has it.
    let readers = that(Does::Reads);
    for spec in &readers {
        disk.clear();
        spec.prepare(&shop);
        disk.fill(Left::Blocks(0));
        spec.works(&shop, &format!("{} on a full disk", spec.name));
    }
    disk.clear();
    shop.ends("after a full disk");
    record(
        NAME,
        &[
            Row {
                fault: "a full disk".to_owned(),
                commands: names(small.iter().map(|it| it.name)),
                points: "7: 0, 1, 3 and 8 blocks left; names for 0, 1 and 4 files".to_owned(),
                held: HELD.to_owned(),
            },
            Row {
                fault: "a full disk".to_owned(),
                commands: names(large.iter().map(|it| it.name)),
                points: "3: 0 and 1000 blocks left; a name for 1 file".to_owned(),
                held: HELD.to_owned(),
            },
            Row {
                fault: "a full disk".to_owned(),
                commands: names(readers.iter().map(|it| it.name)),
                points: "1: 0 blocks left".to_owned(),
                held: "each does its work".to_owned(),
            },
        ],
    );
}

#[test]
fn processes_on_a_full_disk() {
    const NAME: &str = "disk::processes_on_a_full_disk";
    let Some(disk) = Disk::of(NAME, 64) else {
        return;
    };
    let shop = disk.shop();
    // These build, and what a compiler says of a full disk is its own affair.
    const BUILD: [&str; 2] = ["build-extension", "ci test-shard"];
    let mut runners = that(Does::Runs);
    runners.retain(|it| !BUILD.contains(&it.name));
    let (services, others): (Vec<Spec>, Vec<Spec>) = runners
        .into_iter()
        .partition(|it| it.name.contains("service"));
    let points = [
        Left::Blocks(0),
        Left::Blocks(2),
        Left::Names(0),
        Left::Names(3),
    ];
    run_all(&disk, &shop, &services, &points);
    run_all(&disk, &shop, &others, &[Left::Blocks(0), Left::Names(0)]);
    for name in BUILD {
        let spec = named(name);
        spec.prepare(&shop);
        disk.fill(Left::Blocks(0));
        let when = format!("{name} on a full disk");
        let run = Run::of(&mut spec.command(&shop)).fails();
        assert!(
            run.stderr().to_lowercase().contains("no space left"),
            "{when}: {run}"
        );
        shop.settled(&when);
        disk.clear();
        shop.ends(&when);
        spec.works(&shop, &format!("after {when}"));
    }
    shop.ends("after a full disk");
    record(
        NAME,
        &[
            Row {
                fault: "a full disk".to_owned(),
                commands: names(services.iter().map(|it| it.name)),
                points: "4: 0 and 2 blocks left; names for 0 and 3 files".to_owned(),
                held: "the work is done, or exit code 1 and the file's name; what was started has \
                       ended; services can be stopped; with room, the next run works"
                    .to_owned(),
            },
            Row {
                fault: "a full disk".to_owned(),
                commands: names(others.iter().map(|it| it.name).chain(BUILD)),
                points: "2: 0 blocks left; no name for a file (what builds: 0 blocks)".to_owned(),
                held:
                    "the work is done, or exit code 1; what was started has ended; with room, the \
                       next run works"
                        .to_owned(),
            },
        ],
    );
}

#[test]
fn a_database_on_a_full_disk() {
    const NAME: &str = "disk::a_database_on_a_full_disk";
    let Some(disk) = Disk::of(NAME, 200) else {
        return;
    };
    let shop = disk.shop();
    let megabyte = (1 << 20) / BLOCK;
    let start = named("db start");
    // From the first file to the copy of the template and the server's own first files.
    let all = [
        (false, &[0, 4, megabyte, 30 * megabyte][..]),
        (true, &[0, 10 * megabyte, 45 * megabyte]),
    ];
    for (kept, points) in all {
        for blocks in points.iter().copied() {
            let when = format!("db start with {blocks} blocks left, a template: {kept}");
            start.prepare(&shop);
            if kept {
                shop.run("db start");
                shop.run("db stop");
                fs::remove_dir_all(shop.home()).unwrap();
            }
            disk.fill(Left::Blocks(blocks));
            let run = Run::of(&mut start.command(&shop));
            if run.exit() == Some(0) {
                start.holds(&shop, &run);
            } else {
                assert_eq!(run.exit(), Some(1), "{when}: {run}");
                assert!(
                    run.stderr().contains("No space left on device"),
                    "{when}: {run}"
                );
                // Nothing that the next run could take for a cluster.
                Run::of(&mut shop.command(&["db", "status"])).code(1);
            }
            shop.settled(&when);
            disk.clear();
            start.works(&shop, &format!("after {when}"));
            shop.run("db stop");
            let templates = fs::read_dir(shop.fixture.path("cache/xtask/postgres")).unwrap();
            // None where there was room for the cluster alone.
            assert!(templates.count() <= 1, "{when}: half a template");
        }
    }
    // With a server that runs.
    for name in ["db migrate", "setup-db"] {
        let spec = named(name);
        for blocks in [0, 8] {
            let when = format!("{name} with {blocks} blocks left");
            spec.prepare(&shop);
            disk.fill(Left::Blocks(blocks));
            let run = Run::of(&mut spec.command(&shop));
            assert!(matches!(run.exit(), Some(0 | 1)), "{when}: {run}");
            assert!(!panicked(&run), "{when}: {run}");
            shop.settled(&when);
            disk.clear();
            spec.works(&shop, &format!("after {when}"));
        }
    }
    shop.run("db start");
    disk.fill(Left::Blocks(0));
    for name in ["db status", "db url", "db stop"] {
        named(name).works(&shop, &format!("{name} on a full disk"));
    }
    disk.clear();
    shop.ends("after a full disk");
    record(
        NAME,
        &[Row {
            fault: "a full disk".to_owned(),
            commands: names([
                "db start",
                "db migrate",
                "setup-db",
                "db status",
                "db url",
                "db stop",
            ]),
            points: "`db start`: 0 and 4 blocks, 1 and 30 MiB left; with a template 0 blocks, 10 and \
                     45 MiB; `db migrate`, `setup-db`: 0 and 8 blocks; the others: 0 blocks"
                .to_owned(),
            held: "the work is done, or exit code 1; no half cluster, no half template; with room, the \
                   next run works"
                .to_owned(),
        }],
    );
}

/// PostgreSQL's mark of a database whose removal broke off, as it may on a full disk: nobody can connect
/// to it any more.
#[test]
fn a_database_that_was_half_dropped() {
    let shop = Shop::new();
    shop.run("setup-db");
    let sql = "update pg_database set datconnlimit = -2 where datname = current_database();\n";
    let path = shop.fixture.file("migrations/9_break.sql", sql);
    for words in ["setup-db", "db migrate", "check-services db"] {
        let words: Vec<&str> = words.split(' ').collect();
        let run = Run::of(&mut shop.command(&words)).code(1);
        let said = run.stdout() + &run.stderr();
        assert!(said.contains("cargo xtask setup-db --reset"), "{run}");
    }
    fs::remove_file(path).unwrap();
    named("setup-db").works(&shop, "after half a drop");
    shop.ends("after half a drop");
    record(
        "disk::a_database_that_was_half_dropped",
        &[Row {
            fault: "a database whose removal broke off".to_owned(),
            commands: names(["setup-db", "db migrate", "check-services"]),
            points: "1".to_owned(),
            held: "exit code 1, and the command that makes it anew, which works".to_owned(),
        }],
    );
}

/// A limit for the size of a file is met in the middle of a write, and by a signal.
#[test]
fn files_beyond_a_limit() {
    let shop = Shop::new();
    let writers = that(Does::Writes);
    let limits = [0_u64, 1, 100, 4096];
    for spec in &writers {
        spec.prepare(&shop);
        spec.works(&shop, spec.name);
        let whole = look(&shop);
        for limit in limits {
            let when = format!("{} with files of {limit} bytes", spec.name);
            spec.prepare(&shop);
            let before = look(&shop);
            let words = ["prlimit".into(), format!("--fsize={limit}").into()];
            let run = Run::of(&mut behind(&words, &spec.command(&shop)));
            for ((now, before), whole) in look(&shop).iter().zip(&before).zip(&whole) {
                held::nothing_half_written(now, before, whole, &when);
            }
            shop.settled(&when);
            if run.exit() == Some(spec.code) {
                spec.holds(&shop, &run);
            } else {
                assert_eq!(run.exit(), Some(1), "{when}: {run}");
                let words = ["File too large", "SIGXFSZ", "File size limit"];
                let says = |it: &&str| run.stderr().contains(it);
                assert!(words.iter().any(says), "{when}: {run}");
            }
            spec.works(&shop, &format!("after {when}"));
        }
    }
    shop.ends("after limits");
    record(
        "disk::files_beyond_a_limit",
        &[Row {
            fault: "a limit for the size of a file (RLIMIT_FSIZE)".to_owned(),
            commands: names(writers.iter().map(|it| it.name)),
            points: "4: 0, 1, 100 and 4096 bytes".to_owned(),
            held: "the work is done, or exit code 1; each file is old or new; no temporary file; \
                   without the limit, the next run works"
                .to_owned(),
        }],
    );
}

/// What is appended for a runner, which reads the file whatever became of the step.
#[test]
fn what_is_appended_is_appended_whole_or_not_at_all() {
    let fixture = Fixture::new(
        "[env.defaults]\nONE = \"1\"\nTWO = \"2\"\n[tests.rust]\njunit = [\"target/*.xml\"]\n",
    );
    fixture.file(
        "target/junit.xml",
        "<testsuite name='s'><testcase name='fine' time='0.5'/></testsuite>",
    );
    let steps = [
        ("GITHUB_ENV", &["setup-env", "--github"][..]),
        ("GITHUB_OUTPUT", &["ci", "shards", "--of", "3", "--github"]),
        ("GITHUB_STEP_SUMMARY", &["ci", "report"]),
    ];
    for (variable, words) in steps {
        let earlier = "OF_AN=earlier step\n";
        for more in [0, 1, 7, 20] {
            let path = fixture.file(variable, earlier);
            let limit = format!("--fsize={}", earlier.len() + more);
            let mut command = fixture.xtask(words);
            command.env(variable, &path).env("GITHUB_ACTIONS", "true");
            Run::of(&mut behind(&["prlimit".into(), limit.into()], &command))
                .code(1)
                .says("failed to append to `")
                .says(&format!("({variable}): File too large"));
            assert_eq!(fs::read_to_string(&path).unwrap(), earlier);
            Run::of(&mut command).code(0);
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.starts_with(earlier) && text.len() > earlier.len() + 20);
        }
    }
    record(
        "disk::what_is_appended_is_appended_whole_or_not_at_all",
        &[Row {
            fault: "no room in the middle of what is appended to GITHUB_ENV, GITHUB_OUTPUT and \
                    GITHUB_STEP_SUMMARY"
                .to_owned(),
            commands: names(["setup-env", "ci shards", "ci report"]),
            points: "4: after 0, 1, 7 and 20 bytes".to_owned(),
            held: "exit code 1; the file is as it was; with room, the next run works".to_owned(),
        }],
    );
}

/// The words that make a place one that nothing can be written to, for one command.
fn read_only(place: &Path) -> Vec<std::ffi::OsString> {
    // The directory that it is started in was opened before: once more, by its name.
    again::in_mounts(
        "mount --bind \"$1\" \"$1\"\nmount -o remount,bind,ro \"$1\"\ncd \"$PWD\"",
        place,
    )
}

#[test]
fn on_a_read_only_disk() {
    const NAME: &str = "disk::on_a_read_only_disk";
    let Some(place) = again::place() else {
        again::mounts_work();
        let directory = tempfile::tempdir().unwrap();
        let mode = Permissions::from_mode(0o755);
        fs::set_permissions(directory.path(), mode).unwrap();
        return again::at(directory.path(), NAME, &[]);
    };
    let shop = Disk {
        place: place.clone(),
    }
    .shop();
    let words = read_only(&place);
    let all = specs();
    for spec in &all {
        let when = format!("{} on a read-only disk", spec.name);
        spec.prepare(&shop);
        let before = look(&shop);
        let mut command = spec.command(&shop);
        if spec.name == "make" {
            command.env("PATH", std::env::var_os("PATH").unwrap());
        }
        let run = Run::of(&mut behind(&words, &command));
        assert_eq!(before, look(&shop), "{when}: {run}");
        assert!(!panicked(&run), "{when}: {run}");
        if run.exit() == Some(spec.code) && spec.does == Does::Reads {
            spec.holds(&shop, &run);
        } else if run.exit() != Some(spec.code) {
            assert!(spec.does != Does::Reads, "{when}: {run}");
            assert!(run.exit().is_some(), "{when}: {run}");
            let says = run
                .stderr()
                .to_lowercase()
                .contains("read-only file system");
            assert!(says, "{when}: {run}");
        }
        shop.settled(&when);
        if spec.does != Does::Reads {
            spec.prepare(&shop);
            spec.works(&shop, &format!("after {when}"));
        }
    }
    shop.ends("after a read-only disk");
    record(
        NAME,
        &[Row {
            fault: "a read-only disk".to_owned(),
            commands: names(all.iter().map(|it| it.name)),
            points: "1".to_owned(),
            held:
                "what only reads does its work; the others do it, too, or fail and name the file; \
                   nothing is changed; with a disk to write to, the next run works"
                    .to_owned(),
        }],
    );
}

/// The last step, in which a new file takes the place of the old one.
#[test]
fn files_that_cannot_be_replaced() {
    again::mounts_work();
    let shop = Shop::new();
    let cases = [
        ("setup-env", shop.fixture.root(), ".env"),
        ("setup-nextest", shop.fixture.root(), ".config/nextest.toml"),
        ("tasks docs", shop.fixture.root(), "docs/tasks.md"),
        ("init", shop.theirs.root(), "Cargo.toml"),
        ("setup", shop.fixture.root(), "app/modules/.xtask-setup"),
    ];
    for (name, root, path) in cases {
        let spec = named(name);
        let when = format!("{name} while `{path}` is a mount");
        spec.prepare(&shop);
        let file = root.join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        if !file.exists() {
            fs::write(&file, "").unwrap();
        }
        let old = fs::read(&file).unwrap();
        let words = again::in_mounts("mount --bind \"$1\" \"$1\"", &file);
        let run = Run::of(&mut behind(&words, &spec.command(&shop)));
        run.code(1).says("Device or resource busy").says(path);
        assert_eq!(fs::read(&file).unwrap(), old, "{when}");
        shop.settled(&when);
        spec.works(&shop, &format!("after {when}"));
    }
    shop.ends("after mounts");
    record(
        "disk::files_that_cannot_be_replaced",
        &[Row {
            fault: "a new file that cannot take the place of the old one".to_owned(),
            commands: names(cases.map(|it| it.0)),
            points: "1 each".to_owned(),
            held:
                "exit code 1 and the file's name; the old content; no temporary file; the next run \
                   works"
                    .to_owned(),
        }],
    );
}

/// The words of a run that fails where nothing can be mounted say what to do.
#[test]
fn mounts_can_be_made_here() {
    again::mounts_work();
    let place = tempfile::tempdir().unwrap();
    let words = read_only(place.path());
    let mut command = Command::new("touch");
    command
        .arg(place.path().join("x"))
        .env("PATH", std::env::var_os("PATH").unwrap());
    Run::of(&mut behind(&words, &command))
        .code(1)
        .says("Read-only");
    assert!(!place.path().join("x").exists());
}
