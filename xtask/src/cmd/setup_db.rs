//! `cargo xtask setup-db`

use std::io::{self, IsTerminal as _};

use serde::Serialize;

use crate::cx::Cx;
use crate::error::Fault;
use crate::exit::Exit;
use crate::postgres::{self, Place, SetupReport};

/// Create database, PGMQ and migrations where they are missing
///
/// With DATABASE_URL set, that server is used as it is; else the embedded PostgreSQL is started.
/// Safe to run twice, and from two processes at once.
///
/// Examples:
///   cargo xtask setup-db
///   cargo xtask setup-db --reset --yes
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct SetupDb {
    /// Drop the database first, with all that is in it (on this machine only)
    #[arg(long)]
    reset: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

#[derive(Serialize)]
struct Outcome {
    endpoint: String,
    changed: bool,
    setup: Option<SetupReport>,
}

impl SetupDb {
    pub(crate) fn run(self, cx: &Cx) -> anyhow::Result<Exit> {
        if self.reset {
            return reset(cx, self.yes);
        }
        let ensured = postgres::ensure(cx)?;
        match &ensured.setup {
            None => cx.term.status(
                "Ready",
                &format!("{}: nothing to do", ensured.url.endpoint()),
            ),
            Some(report) => describe(cx, &ensured.url.endpoint(), report),
        }
        print(cx, ensured.url.endpoint(), ensured.setup)
    }
}

/// `db migrate`: the same, said in terms of migrations.
pub(super) fn migrate(cx: &Cx) -> anyhow::Result<Exit> {
    SetupDb {
        reset: false,
        yes: false,
    }
    .run(cx)
}

fn reset(cx: &Cx, yes: bool) -> anyhow::Result<Exit> {
    let facts = postgres::database(cx)?;
    if let Place::Given(url) = postgres::place(cx)?
        && !url.is_local()
    {
        return Err(Fault::usage(format!(
            "`{}` is not on this machine: it is not reset",
            url.endpoint()
        ))
        .hint("drop a database on another machine by hand, if you mean it")
        .into());
    }
    let (url, started) = match postgres::place(cx)? {
        Place::Given(url) => (url, false),
        // What is dropped need not be ready, or even whole, before.
        Place::Embedded(cluster) => postgres::start_embedded(cx, facts, &cluster)?,
    };
    if !yes && !confirmed(cx, &url.endpoint())? {
        return Ok(Exit::Failed);
    }
    let report = postgres::run_xtask_db(cx, facts, &url, &["--reset"]);
    if report.is_err() && started {
        // What this call started does not outlive its failure.
        postgres::stop_embedded(cx)?;
    }
    let report = report?;
    describe(cx, &url.endpoint(), &report);
    print(cx, url.endpoint(), Some(report))
}

fn confirmed(cx: &Cx, endpoint: &str) -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() {
        return Err(Fault::usage("there is nobody to ask")
            .hint("say `--yes`")
            .into());
    }
    cx.term
        .confirmed(&format!("This drops `{endpoint}` with all that is in it."))
}

fn describe(cx: &Cx, endpoint: &str, report: &SetupReport) {
    let mut done = Vec::new();
    if report.database_created {
        done.push("database created".to_owned());
    }
    match report.pgmq.as_str() {
        "extension" => done.push("PGMQ installed as an extension".to_owned()),
        "sql" => done.push("PGMQ installed from its SQL".to_owned()),
        _ => {}
    }
    match report.migrations_applied.len() {
        0 => {}
        1 => done.push("1 migration applied".to_owned()),
        n => done.push(format!("{n} migrations applied")),
    }
    cx.term
        .status("Ready", &format!("{endpoint}: {}", done.join(", ")));
}

fn print(cx: &Cx, endpoint: String, setup: Option<SetupReport>) -> anyhow::Result<Exit> {
    if cx.term.json() {
        cx.term.json_data(&Outcome {
            endpoint,
            changed: setup.is_some(),
            setup,
        })?;
    }
    Ok(Exit::Done)
}
