//! Database URLs, as libpq writes them, that never show their password.

use std::fmt;
use std::net::IpAddr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::error::Fault;
use crate::mask;

/// What need not be escaped in a user, password or database name (RFC 3986, "unreserved").
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The parts of a `postgresql://` URL.
#[derive(Clone, PartialEq, Eq)]
pub struct DbUrl {
    /// The host: a name, an address, or the directory of a Unix socket.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The role.
    pub user: String,
    /// The password; empty for none.
    pub password: String,
    /// The database.
    pub database: String,
    /// The query parameters that are not one of the above, as they were written.
    pub parameters: Vec<(String, String)>,
}

impl DbUrl {
    /// Parses a URL.
    ///
    /// # Errors
    /// When it is none; the message has no password.
    pub fn parse(text: &str) -> Result<DbUrl, Fault> {
        let bad = |why: &str| {
            Fault::usage(format!(
                "`{}` is no PostgreSQL URL: {why}",
                mask::mask_url(text)
            ))
            .hint("it looks like postgresql://user:password@127.0.0.1:5432/database")
        };
        let rest = text
            .strip_prefix("postgresql://")
            .or_else(|| text.strip_prefix("postgres://"))
            .ok_or_else(|| bad("it does not start with `postgresql://`"))?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        // An `@` in a password that nobody escaped: the last one parts user from host.
        let slash = rest.rfind('@').map_or(0, |at| at);
        let (authority, database) = match rest[slash..].find('/') {
            Some(at) => (&rest[..slash + at], &rest[slash + at + 1..]),
            None => (rest, ""),
        };
        let (credentials, address) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
        let (host, port) = split_port(address).ok_or_else(|| bad("the port is no number"))?;
        let decode = |part: &str| {
            percent_decode_str(part)
                .decode_utf8()
                .map(std::borrow::Cow::into_owned)
                .map_err(|_| bad("a part of it is not UTF-8"))
        };
        let mut url = DbUrl {
            host: decode(host)?,
            port: port.unwrap_or(5432),
            user: decode(user)?,
            password: decode(password)?,
            database: decode(database)?,
            parameters: Vec::new(),
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decode(value)?;
            match name {
                "host" => url.host = value,
                "port" => url.port = value.parse().map_err(|_| bad("the port is no number"))?,
                "user" => url.user = value,
                "password" => url.password = value,
                "dbname" => url.database = value,
                _ => url.parameters.push((name.to_owned(), value)),
            }
        }
        if url.host.is_empty() {
            url.host = "localhost".to_owned();
        }
        if url.user.is_empty() {
            return Err(bad("it names no user"));
        }
        if url.database.is_empty() {
            url.database.clone_from(&url.user);
        }
        Ok(url)
    }

    /// The whole URL with its password: for a child's environment, never for print.
    #[must_use]
    pub fn reveal(&self) -> String {
        let escape = |part: &str| utf8_percent_encode(part, ESCAPED).to_string();
        let mut text = format!("postgresql://{}", escape(&self.user));
        if !self.password.is_empty() {
            text.push(':');
            text.push_str(&escape(&self.password));
        }
        // In brackets nothing is escaped, so only an IPv6 address may stand there: a socket's directory may
        // have a colon, too.
        let ipv6 = |c: char| c.is_ascii_hexdigit() || matches!(c, ':' | '.');
        let host = if self.host.contains(':') && self.host.chars().all(ipv6) {
            format!("[{}]", self.host)
        } else {
            escape(&self.host)
        };
        text.push_str(&format!("@{host}:{}/{}", self.port, escape(&self.database)));
        for (index, (name, value)) in self.parameters.iter().enumerate() {
            text.push(if index == 0 { '?' } else { '&' });
            text.push_str(&format!("{name}={}", escape(value)));
        }
        text
    }

    /// `host:port/database`: what to call it in messages.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("{}:{}/{}", self.host, self.port, self.database)
    }

    /// Whether the server is on this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.host == "localhost"
            || self.is_socket()
            || self
                .host
                .parse::<IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    }

    /// Whether the host is the directory of a Unix socket.
    #[must_use]
    pub fn is_socket(&self) -> bool {
        self.host.starts_with('/')
    }

    /// The value of a query parameter.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

/// Host and port of `host`, `host:1`, `[::1]:1`.
fn split_port(address: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match address
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
    {
        Some((host, "")) => (host, ""),
        Some((host, rest)) => (host, rest.strip_prefix(':')?),
        None => address.rsplit_once(':').unwrap_or((address, "")),
    };
    if port.is_empty() {
        Some((host, None))
    } else {
        Some((host, Some(port.parse().ok()?)))
    }
}

impl fmt::Display for DbUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&mask::mask_urls(&self.reveal()))
    }
}

impl fmt::Debug for DbUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DbUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_and_defaults() {
        let url = DbUrl::parse("postgres://u:p%40s@[::1]:5433/d?sslmode=disable").unwrap();
        assert_eq!((url.host.as_str(), url.port), ("::1", 5433));
        assert_eq!((url.user.as_str(), url.password.as_str()), ("u", "p@s"));
        assert_eq!(url.parameter("sslmode"), Some("disable"));
        let url = DbUrl::parse("postgresql://u@/d?host=/run/pg&port=1").unwrap();
        assert_eq!(
            (url.host.as_str(), url.port, url.is_socket()),
            ("/run/pg", 1, true)
        );
        let url = DbUrl::parse("postgresql://u:a@b:c@h").unwrap();
        assert_eq!(
            (url.password.as_str(), url.database.as_str(), url.port),
            ("a@b:c", "u", 5432)
        );
    }

    #[test]
    fn what_is_no_url_is_said_without_its_password() {
        for bad in [
            "mysql://u:secret@h",
            "postgresql://u:secret@h:port/d",
            "postgresql://h/d",
            // Nobody has escaped these.
            "postgresql://u:secret/x@h:port/d",
            "postgresql://u:x? #secret@h:port/d",
        ] {
            let message = DbUrl::parse(bad).unwrap_err().to_string();
            assert!(message.contains("is no PostgreSQL URL"), "{message}");
            assert!(!message.contains("secret"), "{message}");
        }
    }

    /// Found by fuzzing: a socket's directory with a colon was put in brackets, and read back as another.
    #[test]
    fn only_addresses_stand_in_brackets() {
        for host in ["/tmp/a:b", "h:54]x", "fe80::1", "a%41:b", "[::1]"] {
            let mut url = DbUrl::parse("postgresql://u@h/d").unwrap();
            url.host = host.to_owned();
            assert_eq!(DbUrl::parse(&url.reveal()).unwrap(), url, "{host}");
        }
        assert!(DbUrl::parse("postgresql://u@[::1]5433/d").is_err());
    }

    #[test]
    fn only_loopback_is_local() {
        for (host, local) in [
            ("localhost", true),
            ("127.0.0.2", true),
            ("[::1]", true),
            ("10.0.0.1", false),
            ("db", false),
        ] {
            let url = DbUrl::parse(&format!("postgresql://u@{host}/d")).unwrap();
            assert_eq!(url.is_local(), local, "{host}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_url_reads_back_and_never_shows_its_password(
            password in "[ -~]{1,30}", user in "[a-z@:/ ]{1,10}", database in "[a-z?#/ ]{1,10}",
        ) {
            let url = DbUrl {
                host: "127.0.0.1".into(), port: 1, user, password, database, parameters: vec![],
            };
            proptest::prop_assert_eq!(&DbUrl::parse(&url.reveal()).unwrap(), &url);
            let shown = format!("{url} {url:?}");
            proptest::prop_assert_eq!(shown.matches(":***@").count(), 2, "{}", shown);
        }
    }
}
