//! What CI asks: what a change touches ([`scope`]).
//!
//! `manifest`, `lock`, `includes`, `event` and `scope` decide on plain data;
//! only [`git`] runs a program.

pub mod event;
pub mod git;
pub mod includes;
pub mod lock;
pub mod manifest;
pub mod scope;
