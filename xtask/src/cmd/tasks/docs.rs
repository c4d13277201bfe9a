//! `cargo xtask tasks docs`

use super::options;
use crate::cx::Cx;
use crate::error::Fault;
use crate::exit::Exit;
use crate::fsx;
use crate::makefile::Model;
use crate::task_docs;

/// Write docs/tasks.md, the reference of all tasks
///
/// Examples:
///   cargo xtask tasks docs
///   cargo xtask tasks docs --check
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Docs {
    /// Write nothing; exit 1 when the page is not what the task files say
    #[arg(long)]
    check: bool,
}

impl Docs {
    pub(super) fn run(self, cx: &Cx) -> anyhow::Result<Exit> {
        let model = Model::load(&cx.root, options(cx))?;
        let page = task_docs::page(&model).map_err(Fault::from)?;
        let path = cx.root.join("docs").join("tasks.md");
        let old = fsx::read_optional(&path)?;
        // A checkout may have made the ends of lines its own.
        let current = old.is_some_and(|old| old.replace("\r\n", "\n") == page);
        if current {
            cx.term.status("Checked", "docs/tasks.md is up to date");
            return Ok(Exit::Done);
        }
        if self.check {
            return Err(Fault::new("docs/tasks.md is not what the task files say")
                .hint("run `cargo xtask tasks docs`")
                .into());
        }
        fsx::atomic_write(&path, page.as_bytes(), fsx::Access::Default)?;
        cx.term.status("Wrote", "docs/tasks.md");
        Ok(Exit::Done)
    }
}
