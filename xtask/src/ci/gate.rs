//! Whether all jobs of a workflow ended as they should. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// GitHub's `needs` context, as far as it matters here.
#[derive(Clone, Debug, Deserialize)]
pub struct Need {
    /// `success`, `failure`, `cancelled` or `skipped`.
    pub result: String,
}

/// One job, judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Judgement {
    /// The job.
    pub job: String,
    /// How it ended.
    pub result: String,
    /// Whether that is good enough.
    pub good: bool,
}

/// Judges each job: it has to be a success. A skipped one is good enough where that is named, so that a
/// job which never ran because of a mistake in the workflow is no success.
#[must_use]
pub fn judge(needs: &BTreeMap<String, Need>, may_skip: &[String]) -> Vec<Judgement> {
    needs
        .iter()
        .map(|(job, need)| Judgement {
            job: job.clone(),
            result: need.result.clone(),
            good: need.result == "success" || (need.result == "skipped" && may_skip.contains(job)),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skipped_job_is_good_enough_only_where_it_may_be() {
        let needs: BTreeMap<String, Need> = serde_json::from_str(
            r#"{"a": {"result": "success", "outputs": {"x": "1"}}, "b": {"result": "skipped"},
                "c": {"result": "skipped"}, "d": {"result": "cancelled"}, "e": {"result": "failure"}}"#,
        )
        .unwrap();
        let good: Vec<String> = judge(&needs, &["c".to_owned(), "e".to_owned()])
            .into_iter()
            .filter(|it| it.good)
            .map(|it| it.job)
            .collect();
        assert_eq!(good, ["a", "c"]);
    }
}
