//! Probes: one deadline each, whatever the other side does.

mod http;
pub(crate) mod net;

use std::net::TcpListener;
use std::time::{Duration, Instant};

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

const NOBODY_LISTENS: &str = "connection refused: nothing listens there";

impl Finding {
    /// Whether the port is nobody's: there is no use in looking for who has it.
    #[must_use]
    pub fn nobody_listens(&self) -> bool {
        matches!(self, Finding::Unreachable(why) if why == NOBODY_LISTENS)
    }
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
    match net::connect(host, port, Instant::now() + timeout) {
        Ok(_) => Finding::Healthy,
        Err(error) => Finding::Unreachable(io_words(&error)),
    }
}

/// `GET`: healthy with a 2xx and, where the body is JSON with a `status`, with `"healthy"` there.
/// Redirects are not followed: elsewhere is not here.
#[must_use]
pub fn http(host: &str, port: u16, path: &str, timeout: Duration) -> Finding {
    match http::get(host, port, path, Instant::now() + timeout) {
        Ok(answer) => judge(answer.status, &String::from_utf8_lossy(&answer.body)),
        Err(http::Error::Io(error)) => Finding::Unreachable(io_words(&error)),
        Err(http::Error::TooLarge) => {
            Finding::Unhealthy("its answer is larger than any health report".to_owned())
        }
        Err(http::Error::Protocol(why)) => {
            Finding::Unhealthy(format!("it does not speak HTTP as it should: {why}"))
        }
    }
}

/// Decides on an answer.
fn judge(status: u16, body: &str) -> Finding {
    let (said, reason) = read_health(body);
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

fn io_words(error: &std::io::Error) -> String {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::ConnectionRefused => NOBODY_LISTENS.to_owned(),
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
