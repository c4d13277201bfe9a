//! The command line on fixture workspaces, with real processes: one binary, one module a command.

#![allow(clippy::expect_used, clippy::unwrap_used)] // In tests a panic is the failure report.

mod adding_tasks;
mod canary;
mod check_services;
mod ci_report;
mod ci_scope;
mod ci_shards;
mod clean;
#[cfg(unix)]
mod clean_races;
#[cfg(target_os = "linux")] // Names that are no text.
mod clean_trees;
mod cli;
mod environment;
#[cfg(unix)]
mod faults;
mod init;
mod launch;
mod liars;
mod make;
mod makefiles;
mod nextest;
mod own_commands;
mod parallel;
mod platform;
mod postgres;
mod services;
mod setup;
mod support;
mod tasks;
mod tasks_check;
mod tasks_differential;
mod tidy;
mod workflows;
