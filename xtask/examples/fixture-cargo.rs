//! A cargo for the tests of `cargo xtask make`: it writes down how it was called, "installs" by
//! copying itself, and ends as `FIXTURE_EXIT` says.

#![allow(clippy::expect_used, reason = "it serves tests: a panic is the report")]

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args == ["--version"] {
        println!("fixture 1.2.3");
        return;
    }
    let log = std::env::var_os("FIXTURE_LOG").expect("FIXTURE_LOG names a file");
    let mut log = File::options()
        .append(true)
        .create(true)
        .open(log)
        .expect("the log opens");
    writeln!(log, "{}", args.join(" ")).expect("the log is written");
    if let Ok(code) = std::env::var("FIXTURE_EXIT") {
        std::process::exit(code.parse().expect("a number"));
    }
    if let [install, _, name, ..] = args.as_slice()
        && install == "install"
    {
        // Long enough for a second run to meet the first.
        std::thread::sleep(std::time::Duration::from_millis(300));
        let root = std::env::var_os("CARGO_INSTALL_ROOT").expect("CARGO_INSTALL_ROOT is set");
        let bin = PathBuf::from(root).join("bin");
        fs::create_dir_all(&bin).expect("a directory");
        let own = std::env::current_exe().expect("a path");
        let name = format!("{name}{}", std::env::consts::EXE_SUFFIX);
        fs::copy(own, bin.join(name)).expect("a copy");
    }
}
