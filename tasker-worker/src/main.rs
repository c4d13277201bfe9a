//! The generic worker service: the handlers of this crate, in the namespace of `WORKER_NAMESPACE`.

use std::process::ExitCode;

use tasker_worker::service::{self, Identity};
use tasker_worker::{Worker, handlers};

const IDENTITY: Identity = Identity {
    name: "tasker-worker",
    port_variable: "WORKER_PORT",
    default_port: 8084,
};

fn main() -> ExitCode {
    service::main(IDENTITY, |_pool| {
        let namespace = std::env::var("WORKER_NAMESPACE")
            .ok()
            .filter(|namespace| !namespace.is_empty())
            .unwrap_or_else(|| "default".to_owned());
        Ok(handlers::register(Worker::builder().namespace(namespace)).build()?)
    })
}
