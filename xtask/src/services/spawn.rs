//! The one place where a service's process is made, and where it is told from whoever else answers on
//! its port.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::Context as _;

use super::family::{MARK, mark};
use super::plan::Node;
use super::state::{self, Home, Record, Stamp};
use crate::config::Service;
use crate::platform::{self, Holder};
use crate::proc;

/// Who answers on the port of a service and does not belong to it, where that can be told.
pub(super) fn stranger_on_port(
    home: &Home,
    node_name: &str,
    service: &Service,
    port: Option<u16>,
) -> Option<Holder> {
    let port = port.filter(|_| service.owns_port)?;
    let holders = platform::port_holders(port);
    if holders.is_empty() {
        return None;
    }
    // Looked at after the holders: one of them may have been born meanwhile.
    let family = home.look_at(node_name).family;
    let ours = |it: &Holder| family.members.iter().any(|member| member.pid == it.pid);
    if holders.iter().any(ours) {
        return None;
    }
    holders.into_iter().next()
}

/// Starts the process. Its record is there before it, without a process: whatever happens to us in
/// between, its mark leads from the one to the other.
pub(super) fn spawn(home: &Home, node: &Node, command: Command) -> anyhow::Result<(Record, Child)> {
    let name = &node.name;
    let (log, output) = home.create_log(name)?;
    let number = home.logs(name).last().map_or(0, |(number, _)| *number);
    let mut record = Record::new(name, state::new_run(number), node.port, log);
    record.program = Stamp::of(Path::new(command.get_program()));
    home.write(&record)?;
    let shown = proc::display(&command);
    let mut command = platform::as_service(command);
    command
        .env(MARK, mark(&home.scope, name, &record.run))
        .stdin(Stdio::null())
        .stdout(output.try_clone().context("failed to share the log")?)
        .stderr(output);
    let mut child = platform::spawn_service(&mut command).map_err(|error| {
        home.forget(name);
        anyhow::Error::from(error).context(format!("failed to start `{shown}`"))
    })?;
    record.pid = Some(child.id());
    // None for a process that has ended already: then nobody is looked for by it.
    record.start_time = platform::start_time(child.id());
    if let Err(error) = home.write(&record) {
        // A process that nobody remembers would outlive us.
        platform::kill_group(child.id());
        let _ = child.wait();
        return Err(error);
    }
    Ok((record, child))
}
