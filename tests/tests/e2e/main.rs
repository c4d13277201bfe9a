//! End-to-end tests: real service processes, a real PostgreSQL.
//!
//! `shared` uses the services that the task runner has started; `kill`, `health` and the others
//! start processes of their own, on free ports and with a database of their own, because they
//! break them. All of them can run side by side. `polyglot` needs the workers of all languages built:
//! nextest's profile `polyglot` means it, the others leave it out.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a panic is the failure report"
)]

mod health;
mod kill;
mod polyglot;
mod shared;
mod stop;
mod support;
mod wake;
