//! `xtask::fuzzing::git_output`, fuzzed.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| xtask::fuzzing::git_output(data));
