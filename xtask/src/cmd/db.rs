//! `cargo xtask db`

use std::io::{self, IsTerminal as _};

use crate::cx::Cx;
use crate::error::Fault;
use crate::exit::Exit;
use crate::postgres::embedded::Cluster;
use crate::postgres::{self, Place};

/// Manage the embedded PostgreSQL and the migrations
///
/// Examples:
///   cargo xtask db start
///   cargo xtask db status
///   psql "$(cargo xtask db url)"
///   cargo xtask db stop
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Db {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Start the embedded PostgreSQL (made first, if need be)
    Start,
    /// Stop it
    Stop,
    /// Show whether it runs, and where it is
    Status,
    /// Print the database's URL (with its password, unless stdout is a terminal)
    Url {
        /// Show the password on a terminal, too
        #[arg(long)]
        reveal: bool,
    },
    /// Run the pending migrations
    Migrate,
}

impl Db {
    pub(crate) fn run(self, cx: &Cx) -> anyhow::Result<Exit> {
        match self.action {
            Action::Start => start(cx),
            Action::Stop => stop(cx),
            Action::Status => status(cx),
            Action::Url { reveal } => url(cx, reveal),
            Action::Migrate => super::setup_db::migrate(cx),
        }
    }
}

fn start(cx: &Cx) -> anyhow::Result<Exit> {
    let facts = postgres::database(cx)?;
    match postgres::place(cx)? {
        Place::Given(url) => Err(Fault::usage(format!(
            "{} names `{}`: that server is used, and no embedded one is started",
            facts.url_env,
            url.endpoint()
        ))
        .hint(format!(
            "unset {} to use the embedded PostgreSQL",
            facts.url_env
        ))
        .into()),
        Place::Embedded(cluster) => {
            let (url, started) = postgres::start_embedded(cx, facts, &cluster)?;
            if !started {
                cx.term
                    .status("Running", &format!("{} already", url.endpoint()));
            }
            Ok(Exit::Done)
        }
    }
}

fn stop(cx: &Cx) -> anyhow::Result<Exit> {
    if !postgres::stop_embedded(cx)? {
        cx.term
            .status("Stopped", "the embedded PostgreSQL was not running");
    }
    Ok(Exit::Done)
}

fn status(cx: &Cx) -> anyhow::Result<Exit> {
    let facts = postgres::database(cx)?;
    let status = Cluster::of(cx, facts)?.status()?;
    if cx.term.json() {
        cx.term.json_data(&status)?;
    } else {
        let word = match (status.exists, status.running) {
            (false, _) => "not made yet",
            (true, false) => "stopped",
            (true, true) => "running",
        };
        cx.term.line(&format!("embedded PostgreSQL: {word}"))?;
        cx.term
            .line(&format!("  directory  {}", status.directory.display()))?;
        if let Some(url) = &status.url {
            cx.term.line(&format!("  url        {url}"))?;
        }
        if let Some(programs) = &status.programs {
            cx.term
                .line(&format!("  programs   {}", programs.display()))?;
        }
        if let Place::Given(url) = postgres::place(cx)? {
            cx.term.line(&format!(
                "  not used: {} names {}",
                facts.url_env,
                url.endpoint()
            ))?;
        }
    }
    Ok(if status.running {
        Exit::Done
    } else {
        Exit::Failed
    })
}

fn url(cx: &Cx, reveal: bool) -> anyhow::Result<Exit> {
    let url = match postgres::place(cx)? {
        Place::Given(url) => url,
        Place::Embedded(cluster) => cluster.url()?.ok_or_else(|| {
            Fault::new("there is no database yet").hint("run `cargo xtask setup-db`")
        })?,
    };
    let shown = if reveal || !io::stdout().is_terminal() {
        url.reveal()
    } else {
        url.to_string()
    };
    cx.term.line(&shown)?;
    Ok(Exit::Done)
}
