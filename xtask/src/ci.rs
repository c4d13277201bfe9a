//! What CI asks: what a change touches ([`scope`]), how tests split over runners ([`shards`]), and
//! what the reports of all languages say together ([`report`]).
//!
//! All but [`git`] decide on plain data; only that runs a program.

pub mod event;
pub mod gate;
pub mod git;
pub mod includes;
pub mod lock;
pub mod manifest;
pub mod report;
pub mod scope;
pub mod shards;
