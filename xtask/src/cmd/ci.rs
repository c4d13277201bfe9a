//! `cargo xtask ci`

use crate::cx::Cx;
use crate::exit::Exit;

mod gate;
mod report;
mod scope;
mod shards;

/// What CI asks: what a change touches, how tests split over runners, what the reports say
///
/// The same words work at home.
///
/// Examples:
///   cargo xtask ci scope --base main --explain
///   cargo xtask ci shards --of 3
///   cargo xtask ci test-shard 1/3 -- --workspace
///   cargo xtask ci report
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Ci {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Scope(scope::Scope),
    Shards(shards::Shards),
    TestShard(shards::TestShard),
    Report(report::Report),
    Gate(gate::Gate),
}

impl Ci {
    pub(crate) fn run(self, cx: &Cx) -> anyhow::Result<Exit> {
        match self.action {
            Action::Scope(it) => it.run(cx),
            Action::Shards(it) => it.run(cx),
            Action::TestShard(it) => it.run(cx),
            Action::Report(it) => it.run(cx),
            Action::Gate(it) => it.run(cx),
        }
    }
}
