//! What a task starts, as a graph: Mermaid, DOT, SVG and HTML. Pure.

use std::collections::{HashMap, VecDeque};

use crate::makefile::{Makefile, Via};

mod layout;
mod svg;

pub use svg::{html, svg};

/// Tasks, and how they start each other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    /// The task that was asked for first, then as they are reached.
    pub nodes: Vec<Node>,
    /// From, to, how: indices of `nodes`.
    pub edges: Vec<Edge>,
}

/// A task.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Its name; of a task in another directory with that.
    pub name: String,
    /// What it is for, or what is wrong with it.
    pub text: String,
    /// What kind of node.
    pub kind: Kind,
}

/// A kind of node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A task of the directory.
    Task,
    /// A task of another directory: what it starts is not followed.
    Elsewhere,
    /// A name that no task has, or a task that cannot be resolved.
    Missing,
}

/// How one task starts another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// The task that starts.
    pub from: usize,
    /// The task that is started.
    pub to: usize,
    /// How.
    pub via: Via,
}

impl Graph {
    /// All that a task starts, directly and by others.
    #[must_use]
    pub fn of(makefile: &Makefile, name: &str) -> Graph {
        let mut graph = Graph::default();
        let mut known: HashMap<(Option<String>, String), usize> = HashMap::new();
        let mut queue = VecDeque::new();
        let mut reach = |graph: &mut Graph, path: Option<String>, name: String| -> usize {
            *known
                .entry((path.clone(), name.clone()))
                .or_insert_with(|| {
                    queue.push_back((graph.nodes.len(), path.clone(), name.clone()));
                    graph.nodes.push(match path {
                        Some(path) => Node {
                            name: format!("{path}: {name}"),
                            text: "in another directory".to_owned(),
                            kind: Kind::Elsewhere,
                        },
                        None => Node {
                            name,
                            text: String::new(),
                            kind: Kind::Task,
                        },
                    });
                    graph.nodes.len() - 1
                })
        };
        reach(&mut graph, None, name.to_owned());
        let mut next = 0;
        while next < graph.nodes.len() {
            let from = next;
            next += 1;
            if graph.nodes[from].kind == Kind::Elsewhere {
                continue;
            }
            let name = graph.nodes[from].name.clone();
            let raw = makefile.tasks.get(&*name);
            let alias = raw.and_then(|task| task.alias_of(makefile.platform));
            if let Some(alias) = alias {
                graph.nodes[from].text = "an alias".to_owned();
                let to = reach(&mut graph, None, alias.to_owned());
                graph.connect(from, to, Via::Alias);
                continue;
            }
            match makefile.resolve(&name) {
                Ok(task) => {
                    graph.nodes[from].text = match task.description() {
                        Some(text) => text.to_owned(),
                        None => task.action(),
                    };
                    for call in makefile.calls(&task) {
                        let to = reach(&mut graph, call.path, call.name);
                        graph.connect(from, to, call.via);
                    }
                }
                Err(why) => {
                    graph.nodes[from].kind = Kind::Missing;
                    graph.nodes[from].text = why.to_string();
                }
            }
        }
        graph
    }

    /// The same two tasks are connected once in each way.
    fn connect(&mut self, from: usize, to: usize, via: Via) {
        let edge = Edge { from, to, via };
        if !self.edges.contains(&edge) {
            self.edges.push(edge);
        }
    }

    /// The edges that close a circle, by a walk from the first node: without them there is none.
    #[must_use]
    pub fn closing(&self) -> Vec<bool> {
        #[derive(Clone, Copy, PartialEq)]
        enum State {
            New,
            Open,
            Done,
        }
        let mut outgoing = vec![Vec::new(); self.nodes.len()];
        for (index, edge) in self.edges.iter().enumerate() {
            outgoing[edge.from].push(index);
        }
        let mut closing = vec![false; self.edges.len()];
        let mut states = vec![State::New; self.nodes.len()];
        for start in 0..self.nodes.len() {
            if states[start] != State::New {
                continue;
            }
            states[start] = State::Open;
            let mut stack = vec![(start, 0)];
            while let Some((node, at)) = stack.last_mut() {
                let Some(index) = outgoing[*node].get(*at).copied() else {
                    states[*node] = State::Done;
                    stack.pop();
                    continue;
                };
                *at += 1;
                let to = self.edges[index].to;
                match states[to] {
                    State::Open => closing[index] = true,
                    State::New => {
                        states[to] = State::Open;
                        stack.push((to, 0));
                    }
                    State::Done => {}
                }
            }
        }
        closing
    }
}

/// The word at an edge; the common case has none.
fn label(via: Via) -> &'static str {
    match via {
        Via::Dependency => "",
        Via::RunTask => "runs",
        Via::RunParallel => "runs in parallel",
        Via::Cleanup => "cleanup",
        Via::Alias => "alias",
        Via::Extend => "extends",
        Via::Command => "calls",
    }
}

/// As a Mermaid flowchart.
#[must_use]
pub fn mermaid(graph: &Graph) -> String {
    let escape = |text: &str| {
        text.replace('&', "&amp;")
            .replace('"', "&quot;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('#', "&#35;")
            .replace('\n', " ")
    };
    let mut text = String::from("flowchart LR\n");
    for (index, node) in graph.nodes.iter().enumerate() {
        let about = if node.text.is_empty() {
            String::new()
        } else {
            format!("<br/><small>{}</small>", escape(&node.text))
        };
        let class = match node.kind {
            Kind::Task => "",
            Kind::Elsewhere => ":::elsewhere",
            Kind::Missing => ":::missing",
        };
        let name = escape(&node.name);
        text.push_str(&format!("  n{index}[\"{name}{about}\"]{class}\n"));
    }
    for (edge, closing) in graph.edges.iter().zip(graph.closing()) {
        let words = if closing {
            format!("{} (circle)", label(edge.via)).trim().to_owned()
        } else {
            label(edge.via).to_owned()
        };
        let arrow = match (edge.via, words.as_str()) {
            (Via::Dependency, "") => "-->".to_owned(),
            (_, words) => format!("-. {words} .->"),
        };
        text.push_str(&format!("  n{} {arrow} n{}\n", edge.from, edge.to));
    }
    text.push_str("  classDef elsewhere stroke-dasharray: 4\n");
    text.push_str("  classDef missing stroke:#c00,stroke-dasharray: 4\n");
    text
}

/// As a DOT digraph.
#[must_use]
pub fn dot(graph: &Graph) -> String {
    let quote = |text: &str| {
        let text = text.replace('\\', "\\\\").replace('"', "\\\"");
        format!("\"{}\"", text.replace('\n', "\\n"))
    };
    let mut text = String::from("digraph tasks {\n  rankdir = LR;\n  node [shape = box];\n");
    for (index, node) in graph.nodes.iter().enumerate() {
        let style = match node.kind {
            Kind::Task => "",
            Kind::Elsewhere => ", style = dashed",
            Kind::Missing => ", style = dashed, color = red",
        };
        let label = if node.text.is_empty() {
            node.name.clone()
        } else {
            format!("{}\n{}", node.name, node.text)
        };
        text.push_str(&format!("  n{index} [label = {}{style}];\n", quote(&label)));
    }
    for (edge, closing) in graph.edges.iter().zip(graph.closing()) {
        let mut facts = Vec::new();
        if !label(edge.via).is_empty() {
            facts.push(format!(
                "label = {}, style = dashed",
                quote(label(edge.via))
            ));
        }
        if closing {
            facts.push("color = red, constraint = false".to_owned());
        }
        let facts = if facts.is_empty() {
            String::new()
        } else {
            format!(" [{}]", facts.join(", "))
        };
        text.push_str(&format!("  n{} -> n{}{facts};\n", edge.from, edge.to));
    }
    text.push_str("}\n");
    text
}

/// As plain data: names, and pairs of names.
#[must_use]
pub fn json(graph: &Graph) -> serde_json::Value {
    let name = |index: usize| graph.nodes[index].name.as_str();
    let nodes = graph.nodes.iter().map(|node| {
        serde_json::json!({
            "name": node.name,
            "text": node.text,
            "kind": match node.kind {
                Kind::Task => "task",
                Kind::Elsewhere => "elsewhere",
                Kind::Missing => "missing",
            },
        })
    });
    let edges = graph
        .edges
        .iter()
        .zip(graph.closing())
        .map(|(edge, closing)| {
            serde_json::json!({
                "from": name(edge.from),
                "to": name(edge.to),
                "via": edge.via,
                "closes_a_circle": closing,
            })
        });
    serde_json::json!({
        "nodes": nodes.collect::<Vec<_>>(),
        "edges": edges.collect::<Vec<_>>(),
    })
}
