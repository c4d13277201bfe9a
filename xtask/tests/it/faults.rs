//! Faults from outside: what ends, fills or confuses `cargo xtask` at any moment. After each: nothing is
//! half-written, no process is left, no database is half-made, and the next run works.
//!
//! `docs/reliability.md` has the table of all that is tried here. Each test makes its own rows of it, and
//! fails where it has tried something else than the page says; `UPDATE_DOCS=1` writes them anew.

#[cfg(target_os = "linux")]
mod again;
mod at_once;
mod commands;
#[cfg(target_os = "linux")]
mod disk;
mod ended;
mod held;
#[cfg(target_os = "linux")]
mod surroundings;
mod table;
