//! `xtask::fuzzing::junit_report`, fuzzed.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| xtask::fuzzing::junit_report(data));
