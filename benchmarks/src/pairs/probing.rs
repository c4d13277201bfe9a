//! Probes of services that are up, against `pg_isready` and `curl` one by one.

use std::ffi::OsString;
use std::process::Command;

use xtask::config::ServiceKind;

use super::startup::{self, PLAIN_MAKEFILE};
use crate::generate::Servers;
use crate::lab::{self, Lab, Pinned, Up};
use crate::pair::{Ready, Side};

const JUST: Pinned = Pinned {
    package: "just",
    version: "1.59.0",
    program: "just",
    args: &[],
};

/// All services of the copy. Those that are not started where nobody names them, because they may lack
/// their toolchain, are stood in for by servers that say that they are healthy.
struct AllUp<'a> {
    _services: Up<'a>,
    _stand_ins: Servers,
    /// What the script is told: its own variables.
    script_env: Vec<(&'static str, String)>,
}

/// `None` where the script's tools are not there.
fn all_up(lab: &Lab) -> anyhow::Result<Result<AllUp<'_>, String>> {
    for tool in ["bash", "curl", "pg_isready"] {
        if which::which(tool).is_err() {
            return Ok(Err(format!("`{tool}` is not there")));
        }
    }
    let services = lab.services_up()?;
    let others = lab
        .config
        .services
        .iter()
        .filter(|(_, it)| it.kind != ServiceKind::Postgres && !it.autostart);
    let stand_ins = Servers::on(others.filter_map(|(name, _)| lab.port(name)))?;
    let url = xtask::proc::capture(&mut lab.xtask_command(&["db", "url"])?)?;
    let postgres = xtask::postgres::url::DbUrl::parse(url.trim())?.port;
    let mut ports = lab.http_services().filter_map(|(name, _)| lab.port(name));
    let mut script_env = vec![
        ("POSTGRES_PORT", postgres.to_string()),
        ("CHECK_ALL_SERVICES", "true".to_owned()),
    ];
    for variable in ["ORCHESTRATION_PORT", "WORKER_PORT"] {
        script_env.extend(ports.next().map(|port| (variable, port.to_string())));
    }
    Ok(Ok(AllUp {
        _services: services,
        _stand_ins: stand_ins,
        script_env,
    }))
}

/// A pair on the services of the copy: two commands, of which theirs is told the script's variables.
fn on_all_up<'a>(
    lab: &'a Lab,
    log: &'static str,
    command: impl Fn(Side) -> anyhow::Result<Command> + 'a,
) -> anyhow::Result<Ready<'a>> {
    let up = match all_up(lab)? {
        Ok(up) => up,
        Err(why) => return Ok(Ready::NotThere(why)),
    };
    Ok(Ready::Yes(Box::new(move |side| {
        // The whole of it moves in here: a closure takes no more than the fields that it names.
        let up = &up;
        let mut command = command(side)?;
        if side == Side::Theirs {
            command.envs(up.script_env.iter().map(|(name, value)| (*name, value)));
        }
        lab.time(log, &mut command)
    })))
}

fn script(lab: &Lab) -> Command {
    let mut command = lab.command("bash");
    command.arg("benchmarks/bash/check-services.sh");
    command
}

pub(super) fn make_check(lab: &Lab) -> anyhow::Result<Ready<'_>> {
    startup::write_plain_makefile(lab)?;
    on_all_up(lab, "make-check-services", |side| {
        let mut command = lab.cargo(&["make"]);
        if side == Side::Theirs {
            command.args(["--makefile", PLAIN_MAKEFILE]);
        }
        command.arg("check-services");
        Ok(command)
    })
}

pub(super) fn check(lab: &Lab) -> anyhow::Result<Ready<'_>> {
    on_all_up(lab, "check-services", |side| match side {
        Side::Ours => lab.xtask_command(&["check-services"]),
        Side::Theirs => Ok(script(lab)),
    })
}

pub(super) fn check_optimised(lab: &Lab) -> anyhow::Result<Ready<'_>> {
    let optimised = lab.released()?;
    on_all_up(lab, "check-services", move |side| match side {
        Side::Ours => {
            let mut command = lab.command(optimised);
            command.arg("check-services");
            Ok(command)
        }
        Side::Theirs => Ok(script(lab)),
    })
}

pub(super) fn check_just(lab: &Lab) -> anyhow::Result<Ready<'_>> {
    let launcher = startup::launcher(lab)?;
    against_just(lab, launcher.into())
}

pub(super) fn check_just_plain(lab: &Lab) -> anyhow::Result<Ready<'_>> {
    against_just(lab, Vec::new())
}

fn against_just<'a>(lab: &'a Lab, env: Vec<(&'static str, OsString)>) -> anyhow::Result<Ready<'a>> {
    let Some(just) = lab.pinned(&JUST)? else {
        return Ok(Ready::NotThere("just is not installed yet".to_owned()));
    };
    lab::write(
        &lab.copy.join("justfile"),
        "check-services:\n    bash benchmarks/bash/check-services.sh\n",
    )?;
    on_all_up(lab, "just-check-services", move |side| {
        Ok(match side {
            Side::Ours => {
                let mut command = lab.cargo(&["xtask", "check-services"]);
                command.envs(env.clone());
                command
            }
            Side::Theirs => {
                let mut command = lab.command(&just);
                command.arg("check-services");
                command
            }
        })
    })
}

pub(super) fn check_many(lab: &Lab) -> anyhow::Result<Ready<'_>> {
    if which::which("bash").is_err() || which::which("curl").is_err() {
        return Ok(Ready::NotThere("bash or curl is not there".to_owned()));
    }
    let servers = Servers::start(if lab.smoke { 5 } else { 100 })?;
    let root = lab.fresh("many")?;
    let config: String = servers
        .ports
        .iter()
        .map(|port| {
            format!("[services.s{port}]\nkind = \"http\"\nrequired = true\nport = {port}\n")
        })
        .collect();
    lab::write(&root.join(".config").join("xtask.toml"), config)?;
    lab::write(&root.join("Cargo.toml"), "[workspace]\nmembers = []\n")?;
    let script = lab
        .copy
        .join("benchmarks")
        .join("bash")
        .join("check-each.sh");
    Ok(Ready::Yes(Box::new(move |side| {
        let mut command = match side {
            Side::Ours => lab.xtask_command(&["check-services"])?,
            Side::Theirs => {
                let ports: Vec<String> = servers.ports.iter().map(u16::to_string).collect();
                let mut command = lab.command("bash");
                command.arg(&script).env("PORTS", ports.join(" "));
                command
            }
        };
        lab.time("check-services-100", command.current_dir(&root))
    })))
}
