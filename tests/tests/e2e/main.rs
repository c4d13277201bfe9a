//! End-to-end tests: real services, real PostgreSQL, real PGMQ.
//!
//! `dags`, `failures` and `api` speak to the services that the task runner has started;
//! `kills`, `wakeup`, `health` and `shutdown` start processes of their own, each with a database
//! of its own, so that all of them can run side by side.

mod api;
mod dags;
mod failures;
mod health;
mod kills;
mod shutdown;
mod support;
mod wakeup;
