//! What GitHub Actions says a run is compared with. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

/// What a change is compared with, where nobody named it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Base {
    /// A commit, and who says so.
    Commit(String, String),
    /// A pull request's.
    PullRequest {
        /// The commit or branch that it is to be merged into.
        base: String,
        /// The merge that GitHub made of both, of which the first parent is the exact base.
        merge: Option<String>,
    },
    /// None, and why: everything is touched.
    None(String),
    /// This is no run of GitHub Actions.
    Elsewhere,
}

/// Reads the event of this run; `payload` is the text of `$GITHUB_EVENT_PATH`.
#[must_use]
pub fn base(env: &BTreeMap<String, String>, payload: Option<&str>) -> Base {
    let get = |name: &str| {
        env.get(name)
            .map(String::as_str)
            .filter(|it| !it.is_empty())
    };
    if get("GITHUB_ACTIONS") != Some("true") {
        return Base::Elsewhere;
    }
    let event = get("GITHUB_EVENT_NAME").unwrap_or("unknown");
    let payload: Value = payload
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or(Value::Null);
    let at = |pointer: &str| {
        payload
            .pointer(pointer)
            .and_then(Value::as_str)
            .filter(|it| is_commit(it))
    };
    match event {
        "pull_request" | "pull_request_target" => {
            let branch = get("GITHUB_BASE_REF").map(|branch| format!("origin/{branch}"));
            let merge = get("GITHUB_REF").is_some_and(|it| it.ends_with("/merge"));
            match at("/pull_request/base/sha").map(str::to_owned).or(branch) {
                Some(base) => Base::PullRequest {
                    base,
                    merge: get("GITHUB_SHA").filter(|_| merge).map(str::to_owned),
                },
                None => Base::None("the event of the pull request names no base".to_owned()),
            }
        }
        "merge_group" => match at("/merge_group/base_sha") {
            Some(commit) => Base::Commit(commit.to_owned(), "the merge queue".to_owned()),
            None => Base::None("the event of the merge queue names no base".to_owned()),
        },
        "push" => match at("/before") {
            Some(commit) if commit.bytes().all(|byte| byte == b'0') => {
                Base::None("a branch or tag was pushed for the first time".to_owned())
            }
            Some(commit) => {
                Base::Commit(commit.to_owned(), "the commit before the push".to_owned())
            }
            None => Base::None("the event of the push names no commit before it".to_owned()),
        },
        other => Base::None(format!("an event `{other}` is compared with nothing")),
    }
}

/// Only a whole object name may reach git's command line from an event.
fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(event: &str, payload: &str) -> Base {
        let env = [
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_EVENT_NAME", event),
            ("GITHUB_BASE_REF", "main"),
            (
                "GITHUB_REF",
                if event == "pull_request" {
                    "refs/pull/7/merge"
                } else {
                    "refs/heads/main"
                },
            ),
            ("GITHUB_SHA", "f"),
        ];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
        base(&BTreeMap::from(env), Some(payload))
    }

    #[test]
    fn each_event_names_its_base() {
        let sha = "0123456789012345678901234567890123456789";
        let pull = of(
            "pull_request",
            &format!("{{\"pull_request\":{{\"base\":{{\"sha\":\"{sha}\"}}}}}}"),
        );
        let request = |base: &str, merge: Option<&str>| Base::PullRequest {
            base: base.to_owned(),
            merge: merge.map(str::to_owned),
        };
        assert_eq!(pull, request(sha, Some("f")));
        assert_eq!(of("pull_request", "{}"), request("origin/main", Some("f")));
        assert_eq!(
            of("pull_request_target", "{}"),
            request("origin/main", None)
        );
        let commit = |who: &str| Base::Commit(sha.to_owned(), who.to_owned());
        assert_eq!(
            of("push", &format!("{{\"before\":\"{sha}\"}}")),
            commit("the commit before the push")
        );
        assert_eq!(
            of(
                "merge_group",
                &format!("{{\"merge_group\":{{\"base_sha\":\"{sha}\"}}}}")
            ),
            commit("the merge queue")
        );
    }

    #[test]
    fn what_names_no_base_says_why() {
        let zeros = format!("{{\"before\":\"{}\"}}", "0".repeat(40));
        for (event, payload, why) in [
            ("push", zeros.as_str(), "for the first time"),
            (
                "push",
                "{\"before\":\"--upload-pack=x\"}",
                "names no commit",
            ),
            ("push", "not json", "names no commit"),
            ("schedule", "{}", "`schedule`"),
            ("workflow_dispatch", "{}", "`workflow_dispatch`"),
            ("merge_group", "{}", "merge queue"),
        ] {
            let Base::None(said) = of(event, payload) else {
                panic!("{event} {payload}")
            };
            assert!(said.contains(why), "{said}");
        }
        assert_eq!(base(&BTreeMap::new(), None), Base::Elsewhere);
    }
}
