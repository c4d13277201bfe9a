//! `cargo xtask ci gate`

use std::collections::BTreeMap;

use crate::ci::gate::{self, Need};
use crate::config;
use crate::cx::Cx;
use crate::error::Fault;
use crate::exit::Exit;
use crate::term::Style;

/// The variable that holds `toJSON(needs)`.
const NEEDS: &str = "XTASK_NEEDS";

/// Succeed if all jobs of a workflow did: the one job that a branch rule asks for
///
/// Reads $XTASK_NEEDS: `${{ toJSON(needs) }}` of a job that needs all others, and runs always().
///
/// Examples:
///   XTASK_NEEDS='${{ toJSON(needs) }}' cargo xtask ci gate --may-skip build
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Gate {
    /// A job that the scope of a change may leave out (repeatable)
    #[arg(long, value_name = "JOB")]
    may_skip: Vec<String>,
}

impl Gate {
    pub(super) fn run(self, cx: &Cx) -> anyhow::Result<Exit> {
        let how = "set it to `${{ toJSON(needs) }}` in the workflow";
        let text = cx
            .env
            .get(NEEDS)
            .ok_or_else(|| Fault::usage(format!("{NEEDS} is not set")).hint(how))?;
        let needs: BTreeMap<String, Need> = serde_json::from_str(text)
            .map_err(|error| Fault::usage(format!("{NEEDS}: {error}")).hint(how))?;
        if needs.is_empty() {
            return Err(
                Fault::usage(format!("{NEEDS} names no job: nothing was waited for"))
                    .hint("give the job `needs: [...]` with all others")
                    .into(),
            );
        }
        for job in &self.may_skip {
            if !needs.contains_key(job) {
                let message = format!("--may-skip names the job `{job}`, which is not needed");
                return Err(config::unknown_name(message, job, needs.keys()).into());
            }
        }
        let judged = gate::judge(&needs, &self.may_skip);
        if cx.term.json() {
            cx.term.json_data(&judged)?;
        } else {
            for it in &judged {
                let (style, word) = if it.good {
                    (Style::Green, "good")
                } else {
                    (Style::Red, "BAD")
                };
                let word = cx.term.paint(style, word);
                cx.term
                    .line(&format!("{word:4}  {}: {}", it.job, it.result))?;
            }
        }
        let bad = judged.iter().any(|it| !it.good);
        Ok(if bad { Exit::Failed } else { Exit::Done })
    }
}
