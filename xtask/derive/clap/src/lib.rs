//! `clap`, which is `clap_builder` and its derives, with ours in their place.

pub use clap_builder::*;
pub use xtask_derive::{Args, Parser, Subcommand, ValueEnum};
