//! Runs steps: reads a namespace's queue, calls handlers, sends their results.
//!
//! A handler may run more than once for one try of a step (its worker may be killed), but only one
//! result is recorded: the end of the step's message and the result's message are one transaction.
//!
//! ```no_run
//! use tasker_worker::{StepContext, Worker};
//!
//! # fn build() -> Result<Worker, Box<dyn std::error::Error>> {
//! let worker = Worker::builder()
//!     .namespace("billing")
//!     .handler("charge", |step: StepContext| async move { Ok(step.context().clone()) })
//!     .build()?;
//! # Ok(worker)
//! # }
//! ```
//!
//! Bindings for other languages use [`service::BlockingService`], which owns its runtime, and
//! implement [`Handler`] or wrap a plain function in [`Blocking`].

pub mod handlers;
pub mod service;

mod handler;
mod worker;

pub use crate::handler::{Blocking, Handler, HandlerError, HandlerFuture, StepContext};
pub use crate::worker::{RunningWorker, Worker, WorkerBuilder, WorkerError};
