//! Services for the time of a command.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::start::Up;
use super::state::Home;
use super::{logs, port, secrets, stop};
use crate::cx::Cx;
use crate::environment::{Choice, Environment};

const LOG_LINES: usize = 20;

impl Up {
    /// Lays over a command's environment what it needs to find the services: the workspace's own
    /// variables, the port of each service, and the database's URL.
    ///
    /// # Errors
    /// A malformed dotenv file, or a variable that is no port.
    pub fn apply(&self, cx: &Cx, command: &mut Command) -> anyhow::Result<()> {
        let config = cx.config()?;
        // Resolved after the start: the database's URL may be new.
        let environment = Environment::resolve(cx, &Choice::default())?;
        environment.apply(command);
        for (name, service) in &config.services {
            let Some(variable) = &service.port_env else {
                continue;
            };
            let all = config.services.values();
            let shared = all
                .filter(|it| it.port_env.as_ref() == Some(variable))
                .count()
                > 1;
            // One variable for several services tells none of their ports.
            let port = match self.ports.get(name) {
                Some(port) => Some(*port),
                None => port(name, service, &environment)?,
            };
            if let Some(port) = port.filter(|_| !shared) {
                command.env(variable, port.to_string());
            }
        }
        self.hand_database(cx, command)
    }

    /// Hands the database's URL to a command, where a database is up.
    ///
    /// # Errors
    /// A wrong configuration.
    pub fn hand_database(&self, cx: &Cx, command: &mut Command) -> anyhow::Result<()> {
        if let (Some(url), Some(database)) = (&self.database_url, &cx.config()?.database) {
            command.env(&database.url_env, url);
        }
        Ok(())
    }

    /// Does the work, and says at once when a service ends meanwhile.
    pub fn during<T>(&mut self, cx: &Cx, work: impl FnOnce() -> T) -> T {
        let done = AtomicBool::new(false);
        let home = Home::of(cx);
        thread::scope(|scope| {
            let processes = &mut self.processes;
            let (done, home) = (&done, &home);
            let watcher = scope.spawn(move || {
                while !done.load(Ordering::SeqCst) && !processes.is_empty() {
                    processes.retain_mut(|running| {
                        let Some(how) = running.ended() else {
                            return true;
                        };
                        // `services restart` and `stop` from elsewhere are no accident.
                        if home
                            .look_at(&running.name)
                            .record
                            .is_some_and(|it| it.pid == Some(running.pid))
                        {
                            say_dead(cx, home, &running.name, &how);
                        }
                        false
                    });
                    thread::park_timeout(Duration::from_millis(50));
                }
            });
            let result = work();
            done.store(true, Ordering::SeqCst);
            watcher.thread().unpark();
            result
        })
    }

    /// Stops what was started for commands and is used by none any more: by this one no longer.
    ///
    /// # Errors
    /// When something runs on.
    pub fn release(self, cx: &Cx) -> anyhow::Result<()> {
        let home = Home::of(cx);
        // Another run may hold the lock for long; after Ctrl-C what we started must end all the same.
        let _lock = home.lock(cx).ok();
        drop(self.leases);
        let transient: Vec<String> = self
            .names
            .into_iter()
            .filter(|name| home.is_transient(name))
            .collect();
        let (used, unused): (Vec<String>, Vec<String>) =
            transient.into_iter().partition(|name| home.is_leased(name));
        if !used.is_empty() {
            cx.term.status(
                "Leaving",
                &format!("{} up: another run uses it", used.join(", ")),
            );
        }
        stop::check(&stop::end(cx, &home, &unused, &[])?)
    }
}

fn say_dead(cx: &Cx, home: &Home, name: &str, how: &str) {
    let tail = logs::tail(home, name, LOG_LINES, &secrets(cx));
    cx.term.warn(&format!(
        "`{name}` ended with {how} while the command ran{}",
        logs::shown(&tail)
    ));
}
