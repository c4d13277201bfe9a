//! All services, from nothing to healthy.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use xtask::config::{Service, ServiceKind};
use xtask::error::Fault;
use xtask::probe::{self, Finding};
use xtask::services::order;

use super::database::{self, ByHand};
use crate::child::{self, Background};
use crate::lab::Lab;
use crate::pair::{Ready, Side};
use crate::platform;

/// What scripts of this kind sleep after each start, and between two looks at its health.
const FIXED_WAIT: Duration = Duration::from_secs(2);

pub(super) fn start(lab: &Lab) -> anyhow::Result<Ready<'_>> {
    let by_hand = match ByHand::find(lab)? {
        Ok(by_hand) => by_hand,
        Err(why) => return Ok(Ready::NotThere(why)),
    };
    let names = buildable(lab)?;
    lab.say("Measuring", &names.join(", "));
    Ok(Ready::Yes(Box::new(move |side| {
        lab.stop_all();
        database::wipe(lab)?;
        by_hand.remove()?;
        platform::settle();
        match side {
            Side::Ours => {
                let mut command = lab.xtask_command(&["services", "start"])?;
                let time = lab.time("services-start", command.args(&names))?;
                lab.stop_all();
                Ok(time)
            }
            Side::Theirs => one_by_one(lab, &by_hand, &names),
        }
    })))
}

/// The services that can be built here, in the order of their dependencies. Building is not measured.
fn buildable(lab: &Lab) -> anyhow::Result<Vec<String>> {
    let config = &lab.config;
    let mut names = Vec::new();
    for (name, service) in &config.services {
        if service.kind == ServiceKind::Postgres {
            names.push(name.clone());
            continue;
        }
        if service.command.is_empty() {
            continue;
        }
        lab.say("Building", name);
        let built = match service.build.split_first() {
            Some((program, args)) => {
                let mut build = lab.command(program);
                build
                    .args(args)
                    .current_dir(lab.copy.join(&service.directory));
                lab.attempt(&format!("build-{name}"), &mut build)?
            }
            None => true,
        };
        if built {
            names.push(name.clone());
        } else {
            lab.say("Leaving out", &format!("{name}: it does not build here"));
        }
    }
    Ok(order(config, &names)?)
}

/// The database by hand, then each service: start it, sleep, look at its health, sleep.
fn one_by_one(lab: &Lab, by_hand: &ByHand, names: &[String]) -> anyhow::Result<Duration> {
    let mut time = by_hand.create()?;
    let url = by_hand.url();
    let since = Instant::now();
    let mut running = Vec::new();
    for name in names {
        let service = &lab.config.services[name];
        if service.kind == ServiceKind::Postgres {
            continue;
        }
        let mut command = run_command(lab, name, service);
        let mut child = Background::start(command.env("DATABASE_URL", &url), &lab.log(name))?;
        pause()?;
        while let Some(port) = lab.port(name) {
            if child.has_ended() {
                return Err(Fault::new(format!("`{name}` has ended by itself")).into());
            }
            let patience = Duration::from_secs(1);
            if probe::http(&service.host, port, &service.health, patience) == Finding::Healthy {
                break;
            }
            pause()?;
        }
        running.push(child);
    }
    time += since.elapsed();
    Ok(time)
}

fn pause() -> anyhow::Result<()> {
    let since = Instant::now();
    while since.elapsed() < FIXED_WAIT {
        child::check_interrupt()?;
        let left = FIXED_WAIT.saturating_sub(since.elapsed());
        thread::sleep(left.min(Duration::from_millis(50)));
    }
    Ok(())
}

/// The service's own command, with the environment of the configuration.
fn run_command(lab: &Lab, name: &str, service: &Service) -> Command {
    let target = lab.copy.join("target").display().to_string();
    let words: Vec<String> = service
        .command
        .iter()
        .map(|word| {
            word.replace("{target}", &target)
                .replace("{profile}", "debug")
        })
        .collect();
    let mut command = lab.command(&words[0]);
    command
        .args(&words[1..])
        .current_dir(lab.copy.join(&service.directory))
        .envs(&lab.config.env.defaults)
        .envs(&service.env);
    if let (Some(variable), Some(port)) = (&service.port_env, lab.port(name)) {
        command.env(variable, port.to_string());
    }
    command
}
