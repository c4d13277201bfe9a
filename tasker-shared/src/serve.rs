//! From the start of a service to its graceful end.

use std::net::SocketAddr;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing_subscriber::EnvFilter;

/// Why a service could not listen.
#[derive(Debug, thiserror::Error)]
#[error("{service} cannot listen on {address}: {why}\nhint: {hint}")]
pub struct BindError {
    service: String,
    address: SocketAddr,
    why: String,
    hint: String,
}

/// Logs to stderr: `RUST_LOG`, or `info`. A second call changes nothing.
pub fn init_tracing() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .try_init()
        .ok();
}

/// Takes the port, before anything slow is done.
///
/// # Errors
/// When it is taken, with the variable to change.
pub async fn bind(
    service: &str,
    address: SocketAddr,
    port_variable: &str,
) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).await.map_err(|error| {
        let taken = error.kind() == std::io::ErrorKind::AddrInUse;
        BindError {
            service: service.into(),
            address,
            why: if taken {
                format!("port {} is in use", address.port())
            } else {
                error.to_string()
            },
            hint: if taken {
                format!(
                    "stop what uses port {}, or set {port_variable} to another port",
                    address.port()
                )
            } else {
                format!("check {port_variable} and TASKER_BIND_ADDRESS")
            },
        }
    })
}

/// Tells every part of a service when to stop.
#[derive(Clone, Debug)]
pub struct Shutdown {
    sender: watch::Sender<bool>,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self {
            sender: watch::Sender::new(false),
        }
    }
}

impl Shutdown {
    /// One that nobody has triggered.
    pub fn new() -> Self {
        Self::default()
    }

    /// Tells everybody to stop.
    pub fn trigger(&self) {
        self.sender.send_replace(true);
    }

    /// Whether it is time to stop.
    pub fn is_triggered(&self) -> bool {
        *self.sender.borrow()
    }

    /// Waits until it is time to stop.
    pub async fn wait(&self) {
        // The sender lives in `self`, so the channel cannot close.
        self.sender.subscribe().wait_for(|&stop| stop).await.ok();
    }
}

/// Waits for Ctrl-C, or for SIGTERM (on Windows: Ctrl-Break).
///
/// # Errors
/// When the handlers cannot be installed.
pub async fn signal() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        Ok(())
    }
    #[cfg(windows)]
    {
        // Ctrl-Break is what a process of its own group can be sent.
        let mut stop = tokio::signal::windows::ctrl_break()?;
        let mut interrupt = tokio::signal::windows::ctrl_c()?;
        tokio::select! {
            _ = stop.recv() => {}
            _ = interrupt.recv() => {}
        }
        Ok(())
    }
}

/// Serves in the background until the shutdown is triggered, then finishes the open requests.
pub fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: &Shutdown,
) -> JoinHandle<std::io::Result<()>> {
    let stop = shutdown.clone();
    tokio::spawn(async move {
        axum::serve(listener, router)
            .with_graceful_shutdown(async move { stop.wait().await })
            .await
    })
}

/// Says on stdout where the service listens: with port 0, only the service knows.
///
/// # Errors
/// When the socket has no address.
pub fn announce(service: &str, listener: &TcpListener) -> std::io::Result<SocketAddr> {
    use std::io::Write;
    let address = listener.local_addr()?;
    // A reader that went away is no reason to stop.
    writeln!(std::io::stdout(), "{service} listening on http://{address}").ok();
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taken_port_is_named_with_its_variable() {
        let address: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let first = bind("svc", address, "MY_PORT").await.unwrap();
        let taken = first.local_addr().unwrap();
        let error = bind("svc", taken, "MY_PORT").await.unwrap_err().to_string();
        assert!(
            error.contains(&format!("port {} is in use", taken.port())),
            "{error}"
        );
        assert!(error.contains("MY_PORT"), "{error}");
    }

    #[tokio::test]
    async fn a_shutdown_reaches_those_who_wait_and_those_who_come_late() {
        let shutdown = Shutdown::new();
        let waiter = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { shutdown.wait().await }
        });
        shutdown.trigger();
        waiter.await.unwrap();
        shutdown.wait().await;
        assert!(shutdown.is_triggered());
    }
}
