//! The cores of the commands, in one process: where the time of a command goes that is not its start.

#![allow(clippy::unwrap_used, reason = "a panic is the report, as in a test")]

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use divan::{Bencher, black_box};
use xtask::artifacts::{self, Keep};
use xtask::config::{CleanRule, Config};
use xtask::cx::Cx;
use xtask::environment::{Choice, Environment};
use xtask::term::Term;
use xtask::{env_file, junit, nextest_config, probe};
use xtask_bench::generate::{self, Servers};

fn main() {
    divan::main();
}

/// The text of a dotenv file of so many lines: plain, quoted, referring, and comments.
fn dotenv(lines: usize) -> String {
    (0..lines)
        .map(|n| match n % 4 {
            0 => format!("NAME_{n}=value-{n}\n"),
            1 => format!("NAME_{n}=\"two words ${{NAME_{}}}\"\n", n - 1),
            2 => format!("export NAME_{n}='literal $x'\n"),
            _ => format!("# about {n}\n"),
        })
        .collect()
}

fn this_workspace(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    std::fs::read_to_string(root.join(path)).unwrap()
}

#[divan::bench(args = [10, 100, 1000])]
fn parse_dotenv(bencher: Bencher, lines: usize) {
    let text = dotenv(lines);
    bencher.bench(|| env_file::parse(black_box(&text)).unwrap());
}

#[divan::bench]
fn parse_configuration(bencher: Bencher) {
    let text = this_workspace(".config/xtask.toml");
    bencher.bench(|| Config::parse(black_box(&text), "xtask.toml").unwrap());
}

#[divan::bench(args = [10, 1000])]
fn parse_junit(bencher: Bencher, cases: usize) {
    let cases: String = (0..cases)
        .map(|n| format!("<testcase name=\"t{n}\" classname=\"c\" time=\"0.1\"/>"))
        .collect();
    let text = format!("<testsuites><testsuite name=\"s\">{cases}</testsuite></testsuites>");
    bencher.bench(|| junit::parse(black_box(text.as_bytes()), "junit.xml").unwrap());
}

#[divan::bench(args = [10, 100, 1000])]
fn merge_dotenv(bencher: Bencher, lines: usize) {
    let text = env_file::set_managed(&dotenv(lines), "DATABASE_URL", "one");
    bencher.bench(|| env_file::set_managed(black_box(&text), "DATABASE_URL", "another"));
}

#[divan::bench]
fn merge_nextest(bencher: Bencher) {
    let text = this_workspace(".config/nextest.toml");
    bencher.bench(|| nextest_config::complete(black_box(&text)).unwrap());
}

/// With its three files, which are read each time.
#[divan::bench(args = [10, 100, 1000])]
fn compose_environment(bencher: Bencher, lines: usize) {
    let dir = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write(".env", &dotenv(lines));
    write("base.env", &dotenv(lines));
    write("local.env", &dotenv(lines));
    write(
        ".config/xtask.toml",
        "[env]\nprofile = \"p\"\n[env.profiles]\np = [\"base.env\", \"local.env\"]\n",
    );
    let cx = Cx::new(Term::plain(), Some(dir.path())).unwrap();
    bencher.bench_local(|| Environment::resolve(&cx, &Choice::default()).unwrap());
}

/// A target directory, of which git tracks nothing.
#[divan::bench(args = [1_000, 10_000], sample_count = 20)]
fn plan_artefacts(bencher: Bencher, files: usize) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    generate::grow(&root.join("target"), generate::target_tree(files)).unwrap();
    let rule = CleanRule {
        paths: vec![PathBuf::from("target")],
        ..CleanRule::default()
    };
    let keep = Keep {
        root,
        tracked: (0..1000)
            .map(|n| PathBuf::from(format!("src/{n}.rs")))
            .collect::<HashSet<_>>(),
        ..Keep::default()
    };
    bencher.bench_local(|| artifacts::plan(&rule, &keep, &mut HashSet::new()).unwrap());
}

#[divan::bench]
fn probe_http(bencher: Bencher) {
    let servers = Servers::start(1).unwrap();
    let port = servers.ports[0];
    bencher.bench_local(|| probe::http("127.0.0.1", port, "/health", Duration::from_secs(5)));
}

#[divan::bench]
fn probe_tcp(bencher: Bencher) {
    let servers = Servers::start(1).unwrap();
    let port = servers.ports[0];
    bencher.bench_local(|| probe::tcp("127.0.0.1", port, Duration::from_secs(5)));
}
