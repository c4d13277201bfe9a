//! `xtask::fuzzing::compose_file`, fuzzed.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| xtask::fuzzing::compose_file(data));
