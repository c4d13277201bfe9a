//! `cargo xtask run-service`

use super::with_services::finish;
use crate::config::Service;
use crate::cx::Cx;
use crate::environment::{Choice, Environment};
use crate::error::Fault;
use crate::exit::Exit;
use crate::lock::{self, Lock};
use crate::probe;
use crate::proc;
use crate::services::{self, Options, Programs, Up};

/// Build a service and run it in the foreground
///
/// Loads the environment, checks its port, brings up what it depends on, builds it, and runs it.
/// Signals and the exit code pass through. What was brought up for it is stopped afterwards.
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
        let service = cx.config()?.service(&self.name)?;
        // A circle is reported for the service that was named.
        services::order(cx.config()?, std::slice::from_ref(&self.name))?;
        let environment = Environment::resolve(cx, &Choice::default())?;
        let port = services::port(&self.name, service, &environment)?;
        // Ends what a run that was killed has left. Several may run, each with a port of its own: then
        // the first has it.
        let path = cx.state_dir().join("run-service");
        let lock = lock::try_take(cx, &path.join(format!("{}.lock", self.name)))?;
        self.check_port(cx, service, port)?;
        if service.depends_on.is_empty() {
            return self.run_alone(cx, service, port, &mut Up::default(), lock.as_ref());
        }
        let options = Options {
            programs: Programs::built(self.release),
            transient: true,
        };
        let mut up = services::start(cx, &service.depends_on, options)?;
        let outcome = self.run_alone(cx, service, port, &mut up, lock.as_ref());
        finish(cx, outcome, up.release(cx))
    }

    fn check_port(&self, cx: &Cx, service: &Service, port: Option<u16>) -> anyhow::Result<()> {
        let Some(port) = port.filter(|port| !probe::port_is_free(*port)) else {
            return Ok(());
        };
        let name = &self.name;
        Err(match services::running(cx, name) {
            Some(pid) => Fault::new(format!(
                "`{name}` (pid {pid}) runs in the background already"
            ))
            .hint(format!("run `cargo xtask services stop {name}` before")),
            None => services::port_taken(name, service, port),
        }
        .into())
    }

    fn run_alone(
        &self,
        cx: &Cx,
        service: &Service,
        port: Option<u16>,
        up: &mut Up,
        lock: Option<&Lock>,
    ) -> anyhow::Result<Exit> {
        let programs = Programs::built(self.release);
        services::build(cx, std::iter::once(service), programs)?;
        // Resolved once more: the database's URL may be new.
        let environment = Environment::resolve(cx, &Choice::default())?;
        let mut command = services::command(cx, &self.name, service, programs, &environment)?;
        command.args(&self.args);
        up.hand_database(cx, &mut command)?;
        if let Some(lock) = lock {
            lock.mark(&mut command);
        }
        let place = port
            .map(|port| format!(" on port {port}"))
            .unwrap_or_default();
        cx.term
            .status("Running", &format!("{}{place}; Ctrl-C ends it", self.name));
        up.during(cx, || proc::run(&mut command))
    }
}
