//! Steps on their way from the service's threads to Ruby's, and results on their way back.

use std::collections::VecDeque;
use std::sync::Arc;

use magnus::{Error, Ruby};
use serde_json::Value;
use tasker_worker::{HandlerError, StepContext};
use tokio::sync::oneshot;

use crate::gvl::Monitor;

pub(crate) type Outcome = Result<Value, HandlerError>;

/// A step that a Ruby thread is to run, and where its result goes.
pub(crate) struct Job {
    pub(crate) step: StepContext,
    result: oneshot::Sender<Outcome>,
}

impl Job {
    /// Hands the result back, if anybody still waits for it.
    pub(crate) fn finish(self, outcome: Outcome) {
        self.result.send(outcome).ok();
    }
}

/// The jobs that wait for a thread, and the threads that wait for a job.
#[derive(Default)]
pub(crate) struct Jobs(Monitor<State>);

#[derive(Default)]
struct State {
    waiting: VecDeque<Job>,
    idle: usize,
    closed: bool,
}

impl State {
    /// A job for an idle thread, `None` for good after the close.
    fn pick(&mut self) -> Option<Option<Job>> {
        // What the service has cut off meanwhile needs no run.
        self.waiting.retain(|job| !job.result.is_closed());
        let job = self.waiting.pop_front();
        (job.is_some() || self.closed).then(|| {
            self.idle -= 1;
            job
        })
    }
}

impl Jobs {
    /// Runs a step in Ruby: the handler of every name.
    pub(crate) async fn run(self: Arc<Self>, step: StepContext) -> Outcome {
        let (sender, result) = oneshot::channel();
        let job = Job {
            step,
            result: sender,
        };
        self.0.notify_one(|state| state.waiting.push_back(job));
        match result.await {
            Ok(outcome) => outcome,
            // Not done and not failed: the step runs again when its message comes back.
            Err(_) => std::future::pending().await,
        }
    }

    /// The next job, as soon as there is one; `None` when there will be none any more.
    pub(crate) fn take(&self, ruby: &Ruby) -> Result<Option<Job>, Error> {
        self.0.with(|state| state.idle += 1);
        let taken = self.0.wait(ruby, State::pick);
        if taken.is_err() {
            self.0.with(|state| state.idle -= 1);
        }
        taken
    }

    /// Whether another thread is waiting for the job after those that are there.
    pub(crate) fn spare(&self) -> bool {
        self.0.with(|state| state.idle > state.waiting.len())
    }

    /// Ends all threads that wait, and those that come.
    pub(crate) fn close(&self) {
        self.0.notify_all(|state| state.closed = true);
    }
}
