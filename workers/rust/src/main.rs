//! The Rust reference worker: namespace `rust`.

mod handlers;

use std::process::ExitCode;

use tasker_worker::Worker;
use tasker_worker::service::{self, Identity};

const IDENTITY: Identity = Identity {
    name: "tasker-worker-rust",
    port_variable: "RUST_WORKER_PORT",
    default_port: 8081,
};

fn main() -> ExitCode {
    service::main(IDENTITY, |pool| {
        let builder = tasker_worker::handlers::register(Worker::builder().namespace("rust"));
        Ok(handlers::register(builder, pool).build()?)
    })
}
