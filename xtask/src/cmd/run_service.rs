//! `cargo xtask run-service`

use super::services::profile;
use crate::config::ServiceKind;
use crate::cx::Cx;
use crate::environment::{Choice, Environment};
use crate::exit::Exit;
use crate::postgres;
use crate::probe;
use crate::proc;
use crate::services;

/// Build a service and run it in the foreground
///
/// Loads the environment, makes sure that its database is ready, checks its port, builds it, and runs
/// it. Signals and the exit code pass through.
///
/// Examples:
///   cargo xtask run-service orchestration
///   cargo xtask run-service worker-rust --release
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct RunService {
    /// The service
    name: String,
    /// Build and run it for release
    #[arg(long)]
    release: bool,
    /// Further arguments for the service
    #[arg(last = true, value_name = "ARGS")]
    args: Vec<String>,
}

impl RunService {
    pub(crate) fn run(self, cx: &Cx) -> anyhow::Result<Exit> {
        let config = cx.config()?;
        let service = config.service(&self.name)?;
        let needs_database = services::order(config, std::slice::from_ref(&self.name))?
            .iter()
            .any(|name| config.services[name].kind == ServiceKind::Postgres);
        let database = if needs_database {
            Some(postgres::ensure(cx)?)
        } else {
            None
        };
        let environment = Environment::resolve(cx, &Choice::default())?;
        let port = services::port(&self.name, service, &environment)?;
        if let Some(port) = port
            && !probe::port_is_free(port)
        {
            return Err(services::port_taken(&self.name, service, port).into());
        }
        let profile = profile(self.release);
        services::build(cx, std::iter::once(service), profile)?;
        let mut command = services::command(cx, &self.name, service, profile, &environment)?;
        command.args(&self.args);
        if let (Some(database), Some(facts)) = (&database, &config.database) {
            command.env(&facts.url_env, database.url.reveal());
        }
        let place = port
            .map(|port| format!(" on port {port}"))
            .unwrap_or_default();
        cx.term
            .status("Running", &format!("{}{place}; Ctrl-C ends it", self.name));
        let exit = proc::run(&mut command)?;
        if database.is_some_and(|database| database.started) {
            postgres::stop_embedded(cx)?;
        }
        Ok(exit)
    }
}
