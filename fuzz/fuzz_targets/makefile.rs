//! `xtask::fuzzing::task_files`, fuzzed.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| xtask::fuzzing::task_files(data));
