//! What a test task left: the JUnit reports that changed while it ran. A task that ends well and
//! tested nothing is told from one that tested something.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::SystemTime;

use anyhow::Context as _;

use crate::config::Tests;
use crate::cx::Cx;
use crate::fsx;
use crate::junit::{self, Counts};

/// When a file was written, and its size.
type Stamp = (Option<SystemTime>, u64);

/// The reports of a language, as they were before a task.
#[derive(Debug)]
pub struct Watch {
    /// The language.
    pub language: String,
    before: BTreeMap<String, Stamp>,
}

impl Watch {
    /// Looks at the reports of the task's language; `None` for a task that is no test.
    ///
    /// # Errors
    /// When a directory of reports cannot be read.
    pub fn new(cx: &Cx, task: &str) -> anyhow::Result<Option<Watch>> {
        let Some((language, tests)) = cx.config()?.tests_of(task) else {
            return Ok(None);
        };
        Ok(Some(Watch {
            language: language.to_owned(),
            before: stamps(cx, tests)?,
        }))
    }

    /// The reports that were written since, relative to the root.
    ///
    /// # Errors
    /// When a directory of reports cannot be read.
    pub fn written(&self, cx: &Cx) -> anyhow::Result<BTreeSet<String>> {
        let Some(tests) = cx.config()?.tests.get(&self.language) else {
            return Ok(BTreeSet::new());
        };
        let now = stamps(cx, tests)?;
        Ok(now
            .into_iter()
            .filter(|(file, stamp)| self.before.get(file) != Some(stamp))
            .map(|(file, _)| file)
            .collect())
    }
}

/// The tests of these reports, added up.
///
/// # Errors
/// A report that cannot be read, or is no JUnit: with its name and the place.
pub fn count<'a>(cx: &Cx, files: impl IntoIterator<Item = &'a String>) -> anyhow::Result<Counts> {
    let mut total = Counts::default();
    for file in files {
        let path = cx.root.join(file);
        let bytes =
            fs::read(&path).with_context(|| format!("failed to read `{}`", path.display()))?;
        total += junit::parse(&bytes, file)?.counts();
    }
    Ok(total)
}

fn stamps(cx: &Cx, tests: &Tests) -> anyhow::Result<BTreeMap<String, Stamp>> {
    let mut found = BTreeMap::new();
    for pattern in &tests.junit {
        for file in fsx::files_matching(&cx.root, pattern)? {
            // Gone since it was found: not there.
            if let Ok(metadata) = cx.root.join(&file).metadata() {
                found.insert(file, (metadata.modified().ok(), metadata.len()));
            }
        }
    }
    Ok(found)
}
