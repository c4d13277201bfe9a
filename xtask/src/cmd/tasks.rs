//! `cargo xtask tasks`

use crate::config;
use crate::cx::Cx;
use crate::error::Fault;
use crate::exit::Exit;
use crate::fsx;
use crate::makefile::{Loader, Makefile, Model, Options, Platform};

mod check;
mod docs;
mod explain;
mod graph;
mod list;

/// Look at the task files as cargo-make reads them: check, list, explain, draw, document
///
/// They work from any directory, on the tasks that `cargo make` has there; `--member` names another.
///
/// Examples:
///   cargo xtask tasks check
///   cargo xtask tasks list
///   cargo xtask tasks explain build --member tasker-shared
///   cargo xtask tasks graph test-all --as svg > graph.svg
///   cargo xtask tasks docs --check
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Tasks {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Check(check::Check),
    List(list::List),
    Explain(explain::Explain),
    Graph(graph::Graph),
    Docs(docs::Docs),
}

impl Tasks {
    /// Whether it reports findings, which have formats of their own.
    pub(crate) fn has_findings(&self) -> bool {
        matches!(self.action, Action::Check(_))
    }

    pub(crate) fn run(self, cx: &Cx) -> anyhow::Result<Exit> {
        match self.action {
            Action::Check(it) => it.run(cx),
            Action::List(it) => it.run(cx),
            Action::Explain(it) => it.run(cx),
            Action::Graph(it) => it.run(cx),
            Action::Docs(it) => it.run(cx),
        }
    }
}

/// Whose tasks.
#[derive(Debug, clap::Args)]
struct Whose {
    /// The member whose tasks are meant, by its package's name or its directory (default: where you stand)
    #[arg(long, value_name = "NAME")]
    member: Option<String>,
    /// Whose aliases and overrides hold (default: this one's)
    #[arg(long, value_enum, value_name = "PLATFORM")]
    platform: Option<Platform>,
}

/// A directory's tasks.
struct Chosen {
    /// The directory below the root, with `/`; `.` for the root.
    shown: String,
    makefile: Makefile,
}

/// What loading depends on, of this process.
fn options(cx: &Cx) -> Options {
    Options {
        process_env: cx.env.keys().cloned().collect(),
        ..Options::default()
    }
}

impl Whose {
    /// Reads the task file that is meant.
    fn load(&self, cx: &Cx) -> anyhow::Result<Chosen> {
        let root = fsx::real(&cx.root);
        let directory = match &self.member {
            None => Model::directory_at(&root, &fsx::real(&cx.cwd)),
            Some(name) => {
                let members = Model::directories(&root)?;
                let found = members
                    .iter()
                    .find(|(named, _)| named == name)
                    .or_else(|| members.iter().find(|(_, below)| below == name));
                let Some((_, below)) = found else {
                    let names = members.iter().map(|(named, _)| named);
                    let message = format!("there is no member `{name}`");
                    return Err(config::unknown_name(message, name, names).into());
                };
                below
                    .split('/')
                    .filter(|part| !part.is_empty())
                    .fold(root.clone(), |at, part| at.join(part))
            }
        };
        let options = Options {
            platform: self.platform.unwrap_or_default(),
            ..options(cx)
        };
        let loader = Loader::new(&root, options);
        let makefile = loader.load(&directory).map_err(Fault::from)?;
        let shown = match loader.shown(&directory) {
            it if it.is_empty() => ".".to_owned(),
            it => it,
        };
        Ok(Chosen { shown, makefile })
    }
}

/// The error for a name that is no task: with the near one, and the command that lists all.
fn no_such_task(chosen: &Chosen, name: &str) -> Fault {
    let fault = Fault::usage(format!("there is no task `{name}` in `{}`", chosen.shown));
    match chosen.makefile.near(name) {
        Some(near) => fault.hint(format!("did you mean `{near}`?")),
        None => fault.hint("`cargo xtask tasks list --all` shows them all"),
    }
}
