//! Configuration, from the environment only.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;

/// A variable that is missing or makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

/// A database URL that is never printed with its password.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    /// Checks that the driver can read it.
    ///
    /// # Errors
    /// When it is no PostgreSQL URL.
    pub fn new(url: impl Into<String>) -> Result<Self, ConfigError> {
        let url = Self(url.into());
        url.options().map(|_| url)
    }

    /// As the driver wants it.
    ///
    /// # Errors
    /// When it is no PostgreSQL URL.
    pub fn options(&self) -> Result<PgConnectOptions, ConfigError> {
        let bad = |why: String| {
            ConfigError(format!(
                "DATABASE_URL `{self}` is no PostgreSQL URL ({why}); it looks like postgres://user:password@127.0.0.1:5432/database"
            ))
        };
        if !self.0.starts_with("postgres://") && !self.0.starts_with("postgresql://") {
            return Err(bad("it does not start with postgres://".into()));
        }
        PgConnectOptions::from_str(&self.0).map_err(|error| match error {
            sqlx::Error::Configuration(inner) => bad(inner.to_string()),
            other => bad(other.to_string()),
        })
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&mask(&self.0))
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

/// Hides everything from the first `:` of the user part to the last `@`, and `password=` in the
/// query: it has to hold for URLs that no parser takes.
fn mask(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let rest = match rest.rsplit_once('@') {
        Some((user, host)) => match user.split_once(':') {
            Some((name, _)) => format!("{name}:***@{host}"),
            None => rest.to_owned(),
        },
        None => rest.to_owned(),
    };
    let rest = match rest.split_once("password=") {
        Some((before, after)) => {
            let tail = after.find('&').map_or("", |at| &after[at..]);
            format!("{before}password=***{tail}")
        }
        None => rest,
    };
    if scheme.is_empty() {
        rest
    } else {
        format!("{scheme}://{rest}")
    }
}

/// What every service needs to know.
#[derive(Clone, Debug)]
pub struct ServiceConfig {
    /// `DATABASE_URL`.
    pub database_url: DatabaseUrl,
    /// `TASKER_BIND_ADDRESS` and the service's own port variable. Port 0 takes a free one.
    pub address: SocketAddr,
    /// `TASKER_POLL_INTERVAL_MS`: how long a reader sleeps when no notification wakes it.
    pub poll_interval: Duration,
    /// `TASKER_VISIBILITY_TIMEOUT_SECS`: how long after its reader's death a message comes back.
    pub visibility_timeout: Duration,
    /// `TASKER_RETRY_BASE_MS`: the pause before the second try; it doubles with each further one.
    pub retry_base: Duration,
    /// `TASKER_CONCURRENCY`: how many steps a worker runs at once.
    pub concurrency: usize,
    /// `TASKER_STARTUP_TIMEOUT_SECS`: how long a service waits for its database.
    pub startup_timeout: Duration,
    /// `TASKER_SHUTDOWN_GRACE_SECS`: how long running steps may go on after SIGTERM.
    pub shutdown_grace: Duration,
}

impl ServiceConfig {
    /// Reads the process environment.
    ///
    /// # Errors
    /// Names the variable that is missing or makes no sense.
    pub fn from_env(port_variable: &str, default_port: u16) -> Result<Self, ConfigError> {
        Self::from_lookup(port_variable, default_port, |name| std::env::var(name).ok())
    }

    /// Reads any environment; an empty variable is an unset one.
    ///
    /// # Errors
    /// Names the variable that is missing or makes no sense.
    pub fn from_lookup(
        port_variable: &str,
        default_port: u16,
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let lookup = |name: &str| lookup(name).filter(|value| !value.trim().is_empty());
        let url = lookup("DATABASE_URL").ok_or_else(|| {
            ConfigError(
                "DATABASE_URL is not set; `cargo xtask setup-env` writes one, or set it to postgres://user:password@127.0.0.1:5432/database"
                    .into(),
            )
        })?;
        let number = |name: &str, default: u64, smallest: u64, largest: u64| match lookup(name) {
            None => Ok(default),
            Some(text) => text
                .trim()
                .parse()
                .ok()
                .filter(|number| (smallest..=largest).contains(number))
                .ok_or_else(|| {
                    ConfigError(format!(
                        "{name} is `{text}`; it has to be a number from {smallest} to {largest}"
                    ))
                }),
        };
        const DAY_MS: u64 = 86_400_000;
        let port = number(port_variable, default_port.into(), 0, u16::MAX.into())?;
        let ip = match lookup("TASKER_BIND_ADDRESS") {
            None => IpAddr::V4(Ipv4Addr::LOCALHOST),
            Some(text) => text.trim().parse().map_err(|_| {
                ConfigError(format!(
                    "TASKER_BIND_ADDRESS is `{text}`; it has to be an IP address, such as 127.0.0.1"
                ))
            })?,
        };
        Ok(Self {
            database_url: DatabaseUrl::new(url)?,
            address: SocketAddr::new(ip, u16::try_from(port).unwrap_or(default_port)),
            poll_interval: Duration::from_millis(number(
                "TASKER_POLL_INTERVAL_MS",
                5000,
                10,
                DAY_MS,
            )?),
            visibility_timeout: Duration::from_secs(number(
                "TASKER_VISIBILITY_TIMEOUT_SECS",
                30,
                1,
                86_400,
            )?),
            retry_base: Duration::from_millis(number("TASKER_RETRY_BASE_MS", 1000, 0, DAY_MS)?),
            concurrency: usize::try_from(number("TASKER_CONCURRENCY", 4, 1, 1000)?).unwrap_or(4),
            startup_timeout: Duration::from_secs(number(
                "TASKER_STARTUP_TIMEOUT_SECS",
                30,
                0,
                3600,
            )?),
            shutdown_grace: Duration::from_secs(number("TASKER_SHUTDOWN_GRACE_SECS", 30, 0, 3600)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pairs: &[(&str, &str)]) -> Result<ServiceConfig, ConfigError> {
        ServiceConfig::from_lookup("MY_PORT", 8080, |name| {
            pairs
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    const URL: (&str, &str) = ("DATABASE_URL", "postgres://bob:s3cret@127.0.0.1:5432/app");

    #[test]
    fn defaults_are_local() {
        let config = config(&[URL, ("MY_PORT", "")]).unwrap();
        assert_eq!(config.address.to_string(), "127.0.0.1:8080");
        assert_eq!(config.poll_interval, Duration::from_secs(5));
        assert_eq!(config.visibility_timeout, Duration::from_secs(30));
        assert_eq!(config.retry_base, Duration::from_secs(1));
    }

    #[test]
    fn a_fault_names_its_variable_and_the_rule() {
        for (pairs, expected) in [
            (&[][..], "DATABASE_URL is not set"),
            (
                &[URL, ("MY_PORT", "http")],
                "MY_PORT is `http`; it has to be a number from 0 to 65535",
            ),
            (&[URL, ("MY_PORT", "70000")], "MY_PORT is `70000`"),
            (
                &[URL, ("TASKER_POLL_INTERVAL_MS", "0")],
                "TASKER_POLL_INTERVAL_MS is `0`",
            ),
            (
                &[URL, ("TASKER_BIND_ADDRESS", "here")],
                "TASKER_BIND_ADDRESS is `here`",
            ),
            (
                &[("DATABASE_URL", "mysql://x")],
                "does not start with postgres://",
            ),
        ] {
            let error = config(pairs).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn nothing_printed_has_the_password() {
        let shown = format!("{:?}", config(&[URL]).unwrap());
        assert!(
            shown.contains("bob:***@127.0.0.1") && !shown.contains("s3cret"),
            "{shown}"
        );
        for bad in [
            "postgres://bob:s3cret@h:port/app",
            "bob:s3cret@h",
            "postgres://h/app?password=s3cret&port=x",
        ] {
            let error = config(&[("DATABASE_URL", bad)]).unwrap_err().to_string();
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}
