//! Probes: one deadline each, whatever the other side does.

use std::net::{TcpListener, TcpStream, ToSocketAddrs as _};
use std::time::{Duration, Instant};

/// More than any health endpoint has to say.
const MAX_BODY: u64 = 64 * 1024;
const MAX_HEADERS: usize = 16 * 1024;

/// What a probe found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It answers, and says that it is well.
    Healthy,
    /// It answers, and says that it is not, or answers nonsense.
    Unhealthy(String),
    /// It does not answer.
    Unreachable(String),
}

/// A finding and how long it took.
#[derive(Clone, Debug)]
pub struct Probe {
    /// What was found.
    pub finding: Finding,
    /// How long that took.
    pub latency: Duration,
}

/// Runs a probe and takes its time.
pub fn timed(probe: impl FnOnce() -> Finding) -> Probe {
    let since = Instant::now();
    let finding = probe();
    Probe {
        finding,
        latency: since.elapsed(),
    }
}

/// Connects.
#[must_use]
pub fn tcp(host: &str, port: u16, timeout: Duration) -> Finding {
    let deadline = Instant::now() + timeout;
    let addresses = match (host, port).to_socket_addrs() {
        Ok(addresses) => addresses,
        Err(error) => return Finding::Unreachable(format!("the host is not known: {error}")),
    };
    let mut last = "the host has no address".to_owned();
    for address in addresses {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Finding::Unreachable("no answer in time".to_owned());
        }
        match TcpStream::connect_timeout(&address, left) {
            Ok(_) => return Finding::Healthy,
            Err(error) => last = io_words(&error),
        }
    }
    Finding::Unreachable(last)
}

/// `GET`: healthy with a 2xx and, where the body is JSON with a `status`, with `"healthy"` there.
/// Redirects are not followed: elsewhere is not here.
#[must_use]
pub fn http(host: &str, port: u16, path: &str, timeout: Duration) -> Finding {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(timeout))
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .max_response_header_size(MAX_HEADERS)
        // Its own are 128 KiB each, cleared for each probe: most of the time of a hundred probes.
        // Larger than headers may be: full without their end, it would look like a connection that broke.
        .input_buffer_size(2 * MAX_HEADERS)
        .output_buffer_size(2048)
        .proxy(None)
        .user_agent("xtask")
        .build()
        .into();
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    };
    let mut response = match agent.get(format!("http://{host}:{port}{path}")).call() {
        Ok(response) => response,
        Err(error) => return http_words(&error),
    };
    let status = response.status().as_u16();
    let body = response
        .body_mut()
        .with_config()
        .limit(MAX_BODY)
        .read_to_string();
    judge(status, &body.map_err(|error| http_words(&error)))
}

/// Decides on an answer.
fn judge(status: u16, body: &Result<String, Finding>) -> Finding {
    let (said, reason) = match body {
        Ok(body) => read_health(body),
        Err(finding) => return finding.clone(),
    };
    let because = reason
        .map(|reason| format!(": {reason}"))
        .unwrap_or_default();
    if !(200..300).contains(&status) {
        return Finding::Unhealthy(format!("HTTP {status}{because}"));
    }
    match said {
        Some(said) if said != "healthy" => {
            Finding::Unhealthy(format!("it says that it is `{said}`{because}"))
        }
        _ => Finding::Healthy,
    }
}

/// `status` and the reason (`error`, `message`, `detail` or `reason`) of a JSON body.
fn read_health(body: &str) -> (Option<String>, Option<String>) {
    let Ok(json) = serde_json::from_str::<serde_json::Value>(body) else {
        return (None, None);
    };
    let text = |name: &str| json.get(name).and_then(|it| it.as_str()).map(str::to_owned);
    let reason = ["error", "message", "detail", "reason"]
        .iter()
        .find_map(|name| text(name));
    (text("status"), reason)
}

fn http_words(error: &ureq::Error) -> Finding {
    match error {
        ureq::Error::Timeout(_) => Finding::Unreachable("no answer in time".to_owned()),
        ureq::Error::Io(error) => Finding::Unreachable(io_words(error)),
        ureq::Error::ConnectionFailed => Finding::Unreachable("no connection".to_owned()),
        ureq::Error::HostNotFound => Finding::Unreachable("the host is not known".to_owned()),
        ureq::Error::BodyExceedsLimit(_) => {
            Finding::Unhealthy("its answer is larger than any health report".to_owned())
        }
        other => Finding::Unhealthy(format!("it does not speak HTTP as it should: {other}")),
    }
}

fn io_words(error: &std::io::Error) -> String {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::ConnectionRefused => "connection refused: nothing listens there".to_owned(),
        ErrorKind::TimedOut | ErrorKind::WouldBlock => "no answer in time".to_owned(),
        ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof | ErrorKind::ConnectionAborted => {
            "it closed the connection without an answer".to_owned()
        }
        _ => error.to_string(),
    }
}

/// Whether a port of 127.0.0.1 can be listened on now.
#[must_use]
pub fn port_is_free(port: u16) -> bool {
    // `std` sets SO_REUSEADDR on Unix: a port in TIME_WAIT is free, one that is listened on is not.
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_judged_by_its_status_then_by_its_words() {
        let judge = |status, body: &str| judge(status, &Ok(body.to_owned()));
        assert_eq!(judge(200, r#"{"status":"healthy"}"#), Finding::Healthy);
        assert_eq!(judge(204, ""), Finding::Healthy);
        assert_eq!(judge(200, "OK"), Finding::Healthy);
        assert_eq!(judge(200, r#"{"up":true}"#), Finding::Healthy);
        for (status, body, words) in [
            (
                200,
                r#"{"status":"starting"}"#,
                "it says that it is `starting`",
            ),
            (
                503,
                r#"{"status":"unhealthy","error":"no db"}"#,
                "HTTP 503: no db",
            ),
            (500, "boom", "HTTP 500"),
            (302, "", "HTTP 302"),
        ] {
            assert_eq!(judge(status, body), Finding::Unhealthy(words.to_owned()));
        }
    }
}
