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

/// The addresses of a host.
fn resolve(host: &str, port: u16, deadline: Instant) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let name = host.to_owned();
    let found = within(deadline, move || {
        (name.as_str(), port)
            .to_socket_addrs()
            .map(Iterator::collect)
    });
    found.map_err(|error| match error.kind() {
        io::ErrorKind::TimedOut => error,
        _ => io::Error::new(
            io::ErrorKind::NotFound,
            format!("the host is not known: {error}"),
        ),
    })
}

/// What a call of the system gives that knows no deadline. It runs in a thread, which is left behind when it
/// takes too long.
///
/// # Errors
/// The call's, or `TimedOut`.
pub(crate) fn within<T: Send + 'static>(
    deadline: Instant,
    call: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let (sender, receiver) = mpsc::channel();
    thread::Builder::new().spawn(move || {
        // Nobody listens any more: the deadline has passed.
        let _ = sender.send(call());
    })?;
    receiver
        .recv_timeout(left(deadline)?)
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_without_an_end_is_left_behind_at_the_deadline() {
        let since = Instant::now();
        let late = within(since + Duration::from_millis(50), || {
            thread::sleep(Duration::from_secs(60));
            Ok(())
        });
        assert_eq!(late.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(since.elapsed() < Duration::from_secs(30));
        assert_eq!(
            within(since + Duration::from_secs(30), || Ok(7)).unwrap(),
            7
        );
    }
}
