//! The harness: see the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    xtask_bench::main()
}
