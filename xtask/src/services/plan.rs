//! What a start is about: the services in the order of their dependencies, how each was found, and
//! all that can go wrong before anything is started.

use super::graph::order;
use super::state::{Home, Sight};
use super::stop;
use super::{Programs, command, port, port_taken};
use crate::config::{Config, Service, ServiceKind};
use crate::cx::Cx;
use crate::environment::{Choice, Environment};
use crate::error::Fault;
use crate::platform::{self, Holder};
use crate::probe;

/// Services in the order of their dependencies, and how each was found.
pub(super) struct Plan<'a> {
    pub(super) config: &'a Config,
    pub(super) nodes: Vec<Node<'a>>,
}

pub(super) struct Node<'a> {
    pub(super) name: String,
    pub(super) service: &'a Service,
    /// The port that it is told now.
    pub(super) configured: Option<u16>,
    /// The port that it has: that of its start, where it runs already.
    pub(super) port: Option<u16>,
    pub(super) sight: Sight,
}

impl Node<'_> {
    pub(super) fn is_database(&self) -> bool {
        self.service.kind == ServiceKind::Postgres
    }

    /// Somebody else's to start.
    pub(super) fn is_external(&self) -> bool {
        !self.is_database() && self.service.command.is_empty()
    }

    pub(super) fn runs(&self) -> bool {
        self.sight.leader().is_some()
    }

    pub(super) fn is_to_launch(&self) -> bool {
        !self.is_database() && !self.is_external() && !self.runs()
    }
}

impl<'a> Plan<'a> {
    pub(super) fn new(cx: &'a Cx, home: &Home, chosen: &[String]) -> anyhow::Result<Plan<'a>> {
        let config = cx.config()?;
        let environment = Environment::resolve(cx, &Choice::default())?;
        let order = order(config, chosen)?;
        let mut nodes = Vec::new();
        for (name, sight) in order.iter().zip(home.look(&order)) {
            let service = config.service(name)?;
            let configured = match service.kind {
                ServiceKind::Postgres => None,
                ServiceKind::Http | ServiceKind::Tcp => port(name, service, &environment)?,
            };
            nodes.push(Node {
                name: name.clone(),
                service,
                configured,
                port: sight.port(configured),
                sight,
            });
        }
        Ok(Plan { config, nodes })
    }

    pub(super) fn look_again(&mut self, home: &Home) {
        for node in &mut self.nodes {
            node.sight = home.look_at(&node.name);
            node.port = node.sight.port(node.configured);
        }
    }

    /// Before anything is built or started. `restarted` hold their own ports still.
    pub(super) fn check_ports(&self, restarted: &[String]) -> anyhow::Result<()> {
        let launches: Vec<&Node> = self
            .nodes
            .iter()
            .filter(|node| node.is_to_launch() || restarted.contains(&node.name))
            .collect();
        for (at, node) in launches.iter().enumerate() {
            let Some(port) = node.configured else {
                continue;
            };
            let mut before = launches[..at].iter();
            if let Some(other) = before.find(|it| it.configured == Some(port)) {
                return Err(Fault::usage(format!(
                    "services `{}` and `{}` both want port {port}",
                    other.name, node.name
                ))
                .hint("give each a port of its own in `.config/xtask.toml` or by its variable")
                .into());
            }
            if (node.runs() && node.port == Some(port)) || probe::port_is_free(port) {
                continue;
            }
            let holders = platform::port_holders(port);
            let left_behind = |it: &Holder| {
                node.sight
                    .family
                    .members
                    .iter()
                    .any(|member| member.pid == it.pid)
            };
            if !holders.iter().any(left_behind) {
                return Err(port_taken(&node.name, node.service, port).into());
            }
        }
        Ok(())
    }

    /// A service whose process is gone may have left others, who would hold the port.
    pub(super) fn end_leftovers(&self, cx: &Cx, home: &Home) -> anyhow::Result<()> {
        let orphaned = self
            .nodes
            .iter()
            .filter(|node| node.is_to_launch() && !node.sight.family.members.is_empty());
        let names: Vec<String> = orphaned.map(|node| node.name.clone()).collect();
        stop::check(&stop::end(cx, home, &names, &[])?)
    }

    pub(super) fn launched<'b>(
        &'b self,
        restarted: &'b [String],
    ) -> impl Iterator<Item = &'b Node<'a>> {
        self.nodes.iter().filter(|node| {
            node.is_to_launch()
                || (restarted.contains(&node.name) && !node.is_database() && !node.is_external())
        })
    }

    /// A program that is not there fails before anything is stopped for it.
    pub(super) fn check_commands(
        &self,
        cx: &Cx,
        programs: Programs,
        restarted: &[String],
    ) -> anyhow::Result<()> {
        let environment = Environment::resolve(cx, &Choice::default())?;
        for node in self.launched(restarted) {
            command(cx, &node.name, node.service, programs, &environment)?;
        }
        Ok(())
    }
}
