//! `xtask::fuzzing::postgres_reply`, fuzzed.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| xtask::fuzzing::postgres_reply(data));
