//! The orchestration service.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use tasker_orchestration::{HEALTH_QUERY, api, results};
use tasker_shared::ServiceConfig;
use tasker_shared::health::Health;
use tasker_shared::serve::{self, Shutdown};
use tasker_shared::{ConfigError, database};
use tracing::info;

const NAME: &str = "tasker-orchestration";
const PORT: &str = "ORCHESTRATION_PORT";
const DEFAULT_PORT: u16 = 8080;

#[tokio::main]
async fn main() -> ExitCode {
    serve::init_tracing();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(if error.is::<ConfigError>() { 2 } else { 1 })
        }
    }
}

async fn run() -> Result<()> {
    let config = ServiceConfig::from_env(PORT, DEFAULT_PORT)?;
    let listener = serve::bind(NAME, config.address, PORT).await?;
    let pool = database::lazy_pool(&config, NAME)?;
    let health = Health::new(NAME, pool.clone(), HEALTH_QUERY);
    let shutdown = Shutdown::new();
    serve::announce(NAME, &listener)?;
    let router = api::router(pool.clone(), health.clone());
    let mut server = serve::serve(listener, router, &shutdown);

    // One future for the whole run: a signal between two of them would be lost.
    let signal = serve::signal();
    tokio::pin!(signal);
    tokio::select! {
        ready = database::wait_ready(&config, HEALTH_QUERY) => ready?,
        signal = &mut signal => return signal.context("wait for signals"),
    }
    let mut consumer = tokio::spawn(results::run(pool.clone(), config.clone(), shutdown.clone()));
    health.set_ready(true);
    info!("ready");

    // Neither the server nor the consumer ends by itself: if one does, the service is broken.
    tokio::select! {
        signal = &mut signal => signal.context("wait for signals")?,
        ended = &mut server => anyhow::bail!("the HTTP server ended: {ended:?}"),
        ended = &mut consumer => anyhow::bail!("the result consumer ended: {ended:?}"),
    }
    info!("stopping");
    health.set_ready(false);
    shutdown.trigger();
    // What is cut off here is rolled back, and done again by the next start.
    let end = async {
        server.await.ok();
        consumer.await.ok();
        pool.close().await;
    };
    tokio::time::timeout(config.shutdown_grace.max(Duration::from_secs(1)), end)
        .await
        .ok();
    Ok(())
}
