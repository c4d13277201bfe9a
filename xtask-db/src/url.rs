//! What may be printed of a database URL, and which servers may lose a database.

/// The URL with its password replaced by `***`, in the authority and in the query.
///
/// It must hold for URLs that no parser would accept too: a mistyped one is the likeliest to be
/// printed. So everything from the first `:` after the scheme to the last `@` is hidden.
pub fn mask(url: &str) -> String {
    let (scheme, rest) = url
        .split_once("://")
        .map_or(("", url), |(scheme, rest)| (scheme, rest));
    let authority = match rest.rsplit_once('@') {
        Some((user, host)) => {
            let (name, password) = user.split_once(':').unwrap_or((user, ""));
            let password = if password.is_empty() { "" } else { ":***" };
            format!("{name}{password}@{host}")
        }
        None => rest.to_owned(),
    };
    let shown = match authority.split_once('?') {
        Some((before, query)) => {
            let query: Vec<String> = query
                .split('&')
                .map(|pair| match pair.split_once('=') {
                    Some((key, _)) if key.to_ascii_lowercase().contains("password") => {
                        format!("{key}=***")
                    }
                    _ => pair.to_owned(),
                })
                .collect();
            format!("{before}?{}", query.join("&"))
        }
        None => authority,
    };
    if scheme.is_empty() {
        shown
    } else {
        format!("{scheme}://{shown}")
    }
}

/// Whether a host name can only mean this machine: a name, an address or a socket directory.
pub(crate) fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost")
        || bare.starts_with('/')
        || bare
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_masked_wherever_they_stand() {
        for (url, shown) in [
            (
                "postgres://bob:s3cret@db:5432/app",
                "postgres://bob:***@db:5432/app",
            ),
            ("postgres://bob@db/app", "postgres://bob@db/app"),
            ("postgres://db/app", "postgres://db/app"),
            (
                "postgres://bob:s3@c/r:et@db/app",
                "postgres://bob:***@db/app",
            ),
            (
                "postgres://db/app?user=bob&password=s3cret",
                "postgres://db/app?user=bob&password=***",
            ),
            ("bob:s3cret@db/app", "bob:***@db/app"),
            ("postgres://bob:s3c?ret@db/app", "postgres://bob:***@db/app"),
        ] {
            assert_eq!(mask(url), shown, "{url}");
        }
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for host in [
            "localhost",
            "LOCALHOST",
            "127.0.0.1",
            "127.1.2.3",
            "::1",
            "[::1]",
            "/run/pg",
        ] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "db",
            "10.0.0.1",
            "localhost.example.org",
            "0.0.0.0",
            "128.0.0.1",
            "",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
