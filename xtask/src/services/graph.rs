//! Which services need which: decided on the configuration alone.

use std::collections::BTreeSet;

use crate::config::Config;
use crate::error::Fault;

/// The chosen services and all that they need, each after what it depends on.
///
/// # Errors
/// A circle of dependencies (exit 2).
pub fn order(config: &Config, chosen: &[String]) -> Result<Vec<String>, Fault> {
    fn visit(
        config: &Config,
        name: &str,
        path: &mut Vec<String>,
        done: &mut Vec<String>,
    ) -> Result<(), Fault> {
        if done.iter().any(|it| it == name) {
            return Ok(());
        }
        if let Some(start) = path.iter().position(|it| it == name) {
            let mut circle = path.split_off(start);
            circle.push(name.to_owned());
            return Err(Fault::usage(format!(
                "services depend on each other in a circle: {}",
                circle.join(" -> ")
            )));
        }
        path.push(name.to_owned());
        for needed in needs(config, name) {
            visit(config, needed, path, done)?;
        }
        path.pop();
        done.push(name.to_owned());
        Ok(())
    }
    let mut done = Vec::new();
    for name in chosen {
        visit(config, name, &mut Vec::new(), &mut done)?;
    }
    Ok(done)
}

/// What a service names as needed.
pub(super) fn needs<'a>(config: &'a Config, name: &str) -> impl Iterator<Item = &'a String> {
    let service = config.services.get(name);
    service.into_iter().flat_map(|it| &it.depends_on)
}

/// All that a service needs, directly or through others.
pub(super) fn all_needs<'a>(config: &'a Config, name: &str) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&str> = needs(config, name).map(String::as_str).collect();
    while let Some(name) = open.pop() {
        if found.insert(name) {
            open.extend(needs(config, name).map(String::as_str));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pairs: &[(&str, &[&str])]) -> Config {
        let mut text = String::new();
        for (name, needs) in pairs {
            text.push_str(&format!(
                "[services.{name}]\nkind='tcp'\nport=1\ndepends_on={needs:?}\n"
            ));
        }
        Config::parse(&text, "x").unwrap()
    }

    #[test]
    fn what_is_needed_comes_first_and_what_is_not_stays_out() {
        let config = config(&[("a", &["b", "c"]), ("b", &["c"]), ("c", &[]), ("d", &[])]);
        let order = order(&config, &["a".to_owned()]).unwrap();
        assert_eq!(order, ["c", "b", "a"]);
    }

    #[test]
    fn needs_lead_through_what_is_between() {
        let config = config(&[("a", &["b"]), ("b", &["c"]), ("c", &[]), ("d", &["a"])]);
        assert_eq!(all_needs(&config, "a"), BTreeSet::from(["b", "c"]));
    }

    #[test]
    fn a_circle_is_shown_and_hangs_nothing() {
        let config = config(&[("a", &["b"]), ("b", &["a"])]);
        let message = order(&config, &["a".to_owned()]).unwrap_err().to_string();
        assert!(message.ends_with("a -> b -> a"), "{message}");
        assert_eq!(all_needs(&config, "a"), BTreeSet::from(["a", "b"]));
    }
}
