//! A worker as a service: port, health, database, signals.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use sqlx::PgPool;
use tasker_shared::health::{self, Health};
use tasker_shared::serve::{self, Shutdown};
use tasker_shared::{ConfigError, ServiceConfig, database};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tracing::info;

use crate::worker::{RunningWorker, Worker};

/// `/health` asks for the tables that a worker cannot do without.
const HEALTH_QUERY: &str = "SELECT 1 FROM pgmq.q_orchestration_step_results LIMIT 1";

/// What a service is called, and where it listens.
#[derive(Clone, Copy, Debug)]
pub struct Identity {
    /// As in logs and in `/health`.
    pub name: &'static str,
    /// The environment variable of its port.
    pub port_variable: &'static str,
    /// The port where that is not set.
    pub default_port: u16,
}

/// A worker service at work.
pub struct Service {
    address: SocketAddr,
    config: ServiceConfig,
    pool: PgPool,
    health: Health,
    shutdown: Shutdown,
    server: JoinHandle<std::io::Result<()>>,
    worker: RunningWorker,
}

/// A worker that ended must not look healthy, even where nobody waits for its end.
struct NotReadyWhenDropped(Health);

impl Drop for NotReadyWhenDropped {
    fn drop(&mut self) {
        self.0.set_ready(false);
    }
}

impl Service {
    /// Takes the port, waits for the database, and starts the worker. `/health` answers from the
    /// first moment on.
    ///
    /// # Errors
    /// When the port is taken, or the database is not ready in time. `make` gets the pool for
    /// handlers that need one, and its errors are passed on.
    pub async fn start(
        identity: Identity,
        config: ServiceConfig,
        make: impl FnOnce(&PgPool) -> Result<Worker>,
    ) -> Result<Self> {
        let Identity {
            name,
            port_variable,
            ..
        } = identity;
        let listener = serve::bind(name, config.address, port_variable).await?;
        let pool = database::lazy_pool(&config, name)?;
        let worker = make(&pool)?;
        let health = Health::new(name, pool.clone(), HEALTH_QUERY);
        let shutdown = Shutdown::new();
        let address = serve::announce(name, &listener)?;
        let server = serve::serve(listener, health::router(health.clone()), &shutdown);
        if let Err(error) = database::wait_ready(&config, HEALTH_QUERY).await {
            server.abort();
            return Err(error.into());
        }
        health.set_ready(true);
        let guard = NotReadyWhenDropped(health.clone());
        let worker = worker.start_guarded(pool.clone(), config.clone(), guard);
        info!(service = name, "ready");
        Ok(Self {
            address,
            config,
            pool,
            health,
            shutdown,
            server,
            worker,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What `/health` answers now, and whether that is "healthy".
    pub async fn health(&self) -> (bool, Value) {
        let (status, body) = self.health.report().await;
        (status.is_success(), body)
    }

    /// Lets the running steps finish, as long as the configuration allows, and ends.
    pub async fn stop(self) {
        info!("stopping");
        self.health.set_ready(false);
        self.worker.stop().await;
        self.shutdown.trigger();
        let end = async {
            self.server.await.ok();
            self.pool.close().await;
        };
        // Neither a client that holds its connection nor a lost database keeps the process alive.
        tokio::time::timeout(self.config.shutdown_grace.min(Duration::from_secs(5)), end)
            .await
            .ok();
    }

    /// Waits for a part of it to end by itself, which is a fault.
    async fn broken(&mut self) -> &'static str {
        tokio::select! {
            _ = &mut self.server => "the HTTP server ended",
            () = self.worker.ended() => "the worker ended",
        }
    }
}

/// The `main` of a worker service: exit code 0 after SIGTERM or Ctrl-C, 2 for a configuration that
/// makes no sense, else 1.
pub fn main(identity: Identity, make: impl FnOnce(&PgPool) -> Result<Worker>) -> ExitCode {
    serve::init_tracing();
    let result = Runtime::new()
        .context("start the async runtime")
        .and_then(|runtime| {
            let result = runtime.block_on(run(identity, make));
            // A handler that blocks for ever must not keep the process alive.
            runtime.shutdown_timeout(Duration::from_secs(1));
            result
        });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(if error.is::<ConfigError>() { 2 } else { 1 })
        }
    }
}

async fn run(identity: Identity, make: impl FnOnce(&PgPool) -> Result<Worker>) -> Result<()> {
    let config = ServiceConfig::from_env(identity.port_variable, identity.default_port)?;
    // One future for the whole run: a signal between two of them would be lost.
    let signal = serve::signal();
    tokio::pin!(signal);
    let mut service = tokio::select! {
        service = Service::start(identity, config, make) => service?,
        signal = &mut signal => return signal.context("wait for signals"),
    };
    tokio::select! {
        signal = &mut signal => signal.context("wait for signals")?,
        why = service.broken() => anyhow::bail!("{why}"),
    }
    service.stop().await;
    Ok(())
}

/// A [`Service`] with a runtime of its own, for callers that are not async: the bindings for other
/// languages. Signals are the caller's business. Dropping it stops it.
pub struct BlockingService {
    running: Option<(Runtime, Service)>,
    address: SocketAddr,
}

impl BlockingService {
    /// As [`Service::start`], configured by the process environment; blocks meanwhile.
    ///
    /// # Errors
    /// As [`Service::start`], and when the configuration makes no sense.
    pub fn start(identity: Identity, make: impl FnOnce(&PgPool) -> Result<Worker>) -> Result<Self> {
        let config = ServiceConfig::from_env(identity.port_variable, identity.default_port)?;
        Self::start_with(identity, config, make)
    }

    /// As [`Service::start`]; blocks meanwhile.
    ///
    /// # Errors
    /// As [`Service::start`].
    pub fn start_with(
        identity: Identity,
        config: ServiceConfig,
        make: impl FnOnce(&PgPool) -> Result<Worker>,
    ) -> Result<Self> {
        Self::start_unless(identity, config, make, std::future::pending())
    }

    /// As [`Self::start_with`], for callers that may lose their patience: when `cancelled` is there
    /// first, the port is free again.
    ///
    /// # Errors
    /// As [`Service::start`], and when it was cancelled.
    pub fn start_unless(
        identity: Identity,
        config: ServiceConfig,
        make: impl FnOnce(&PgPool) -> Result<Worker>,
        cancelled: impl Future<Output = ()>,
    ) -> Result<Self> {
        let runtime = Runtime::new().context("start the async runtime")?;
        let service = runtime.block_on(async {
            tokio::select! {
                service = Service::start(identity, config, make) => service,
                () = cancelled => anyhow::bail!("the start was cancelled"),
            }
        });
        match service {
            Ok(service) => Ok(Self {
                address: service.address(),
                running: Some((runtime, service)),
            }),
            Err(error) => {
                // Not even the name of a database that resolves for ever.
                runtime.shutdown_timeout(Duration::from_secs(1));
                Err(error)
            }
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether it is healthy, and what `/health` answers; `None` after its stop.
    pub fn health(&self) -> Option<(bool, Value)> {
        self.running
            .as_ref()
            .map(|(runtime, service)| runtime.block_on(service.health()))
    }

    /// Whether the worker still works.
    pub fn is_running(&self) -> bool {
        self.running
            .as_ref()
            .is_some_and(|(_, service)| service.worker.is_running())
    }

    /// Lets the running steps finish and ends; a second call does nothing.
    pub fn stop(&mut self) {
        if let Some((runtime, service)) = self.running.take() {
            runtime.block_on(service.stop());
            runtime.shutdown_timeout(Duration::from_secs(1));
        }
    }
}

impl Drop for BlockingService {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    const IDENTITY: Identity = Identity {
        name: "test",
        port_variable: "TEST_PORT",
        default_port: 0,
    };

    #[test]
    fn a_cancelled_start_gives_the_port_back() {
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .unwrap()
            .port();
        let config = ServiceConfig::from_lookup("TEST_PORT", port, |name| {
            // Nobody listens there, so the start waits.
            (name == "DATABASE_URL").then(|| "postgres://nobody@127.0.0.1:1/none".to_owned())
        })
        .unwrap();
        let make = |_: &PgPool| {
            let nothing = |_| async { Ok(Value::Null) };
            Ok(Worker::builder()
                .namespace("test")
                .handler("nothing", nothing)
                .build()?)
        };
        let cancelled = async { tokio::time::sleep(Duration::from_millis(100)).await };
        let start = Instant::now();
        let error = BlockingService::start_unless(IDENTITY, config, make, cancelled)
            .err()
            .unwrap();
        assert_eq!(error.to_string(), "the start was cancelled");
        assert!(start.elapsed() < Duration::from_secs(10));
        std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    }
}
