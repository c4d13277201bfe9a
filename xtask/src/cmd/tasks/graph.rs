//! `cargo xtask tasks graph`

use super::{Whose, explain};
use crate::cx::Cx;
use crate::exit::Exit;
use crate::makefile::Unresolved;
use crate::task_graph::{self, Graph as Drawn};

/// Draw what a task starts: dependencies, what it runs, what its command calls
///
/// SVG and HTML need nothing else: no script, no font, no network.
///
/// Examples:
///   cargo xtask tasks graph test-all
///   cargo xtask tasks graph code-quality --as svg > graph.svg
///   cargo xtask tasks graph ci-flow --as html > graph.html
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Graph {
    /// The task
    #[arg(value_name = "TASK")]
    task: String,
    /// In which language
    #[arg(long = "as", value_name = "LANGUAGE", value_enum, default_value_t)]
    language: Language,
    #[command(flatten)]
    whose: Whose,
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum Language {
    /// A Mermaid flowchart, which Markdown viewers draw
    #[default]
    Mermaid,
    /// Graphviz
    Dot,
    /// A picture
    Svg,
    /// A page with the picture and the same as a table
    Html,
}

impl Graph {
    pub(super) fn run(self, cx: &Cx) -> anyhow::Result<Exit> {
        let chosen = self.whose.load(cx)?;
        // A circle of aliases is drawn; a task that is not there is an error.
        match explain::resolve(&chosen, &self.task) {
            Err(fault)
                if chosen
                    .makefile
                    .resolve(&self.task)
                    .is_err_and(|why| matches!(why, Unresolved::Unknown { from: None, .. })) =>
            {
                return Err(fault.into());
            }
            _ => {}
        }
        let graph = Drawn::of(&chosen.makefile, &self.task);
        if cx.term.json() {
            cx.term.json_data(&task_graph::json(&graph))?;
            return Ok(Exit::Done);
        }
        cx.term.data(&match self.language {
            Language::Mermaid => task_graph::mermaid(&graph),
            Language::Dot => task_graph::dot(&graph),
            Language::Svg => task_graph::svg(&graph),
            Language::Html => task_graph::html(&graph),
        })?;
        Ok(Exit::Done)
    }
}
