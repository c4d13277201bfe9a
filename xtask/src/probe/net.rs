//! Connections that are made before a deadline.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// The time that is left.
///
/// # Errors
/// When none is.
pub(crate) fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    Ok(left)
}

/// Connects to the first address of `host` that takes it. `host` is a name, or an address without
/// brackets.
///
/// # Errors
/// The last address's, or `TimedOut`.
pub(crate) fn connect(host: &str, port: u16, deadline: Instant) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in resolve(host, port, deadline)? {
        match TcpStream::connect_timeout(&address, left(deadline)?) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The addresses of a host. The system's resolver knows no deadline: a name is looked up in a thread,
/// which is left behind when it takes too long.
fn resolve(host: &str, port: u16, deadline: Instant) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let (sender, receiver) = mpsc::channel();
    let name = host.to_owned();
    thread::Builder::new().spawn(move || {
        let found = (name.as_str(), port)
            .to_socket_addrs()
            .map(Iterator::collect);
        // Nobody listens any more: the deadline has passed.
        let _ = sender.send(found);
    })?;
    match receiver.recv_timeout(left(deadline)?) {
        Ok(found) => found.map_err(|error| {
            io::Error::new(
                io::ErrorKind::NotFound,
                format!("the host is not known: {error}"),
            )
        }),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}
