//! `TaskerWorker::Core`: the worker service, for Ruby.
//!
//! Ruby code runs on Ruby's threads only. The service hands its steps to a queue ([`jobs`]); threads
//! of the Ruby side take them from there, waiting without the GVL, and hand the results back. So no
//! Ruby object is kept on this side: there is nothing that the garbage collector would have to know.
//!
//! A fork takes none of the service's threads along. In the child, a service of the parent answers
//! with an error, and is left as it is when the child ends.
//!
//! A panic on this side reaches Ruby as an exception.
#![allow(missing_docs, reason = "the one public function is written by magnus")]

mod gvl;
mod jobs;
mod json;
mod owner;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread;

use magnus::{Error, ExceptionClass, RHash, RModule, Ruby, Value, function, method, prelude::*};
use tasker_shared::{ConfigError, ServiceConfig, serve};
use tasker_worker::service::{BlockingService, Identity};
use tasker_worker::{HandlerError, Worker};
use tokio::sync::oneshot;

use crate::jobs::{Jobs, Outcome};
use crate::owner::Owner;

const IDENTITY: Identity = Identity {
    name: "tasker-worker-ruby",
    port_variable: "RUBY_WORKER_PORT",
    default_port: 8082,
};

/// A running worker with its `/health`.
#[magnus::wrap(class = "TaskerWorker::Core::Service", free_immediately)]
struct Service {
    owner: Owner,
    address: String,
    concurrency: usize,
    jobs: Arc<Jobs>,
    running: Arc<Running>,
}

/// Empty before the start and from the beginning of the stop. Whoever reads it must not wait: that
/// would be with the GVL.
struct Running {
    owner: Owner,
    service: RwLock<Option<BlockingService>>,
}

impl Running {
    fn peek<R>(&self, look: impl FnOnce(&BlockingService) -> R) -> Option<R> {
        self.service.try_read().ok()?.as_ref().map(look)
    }

    fn replace(&self, service: Option<BlockingService>) -> Option<BlockingService> {
        let mut place = self.service.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *place, service)
    }
}

impl Drop for Running {
    /// By the garbage collector, perhaps: the stop takes its time elsewhere. Without a look at the
    /// lock, which another thread may have had when the process forked.
    fn drop(&mut self) {
        let place = self.service.get_mut();
        let Some(service) = place.unwrap_or_else(PoisonError::into_inner).take() else {
            return;
        };
        if self.owner.is_here() {
            thread::Builder::new().spawn(move || drop(service)).ok();
        } else {
            std::mem::forget(service);
        }
    }
}

impl Service {
    /// Takes the port, waits for the database, starts to work.
    fn start(ruby: &Ruby, namespace: String, handlers: Vec<String>) -> Result<Self, Error> {
        let config = ServiceConfig::from_env(IDENTITY.port_variable, IDENTITY.default_port)
            .map_err(|error| start_error(ruby, &error.into()))?;
        let owner = Owner::current();
        let concurrency = config.concurrency;
        let jobs = Arc::new(Jobs::default());
        let running = Arc::new(Running {
            owner,
            service: RwLock::new(None),
        });
        let mut builder = Worker::builder().namespace(namespace);
        for name in handlers {
            let jobs = Arc::clone(&jobs);
            builder = builder.handler(name, move |step| Arc::clone(&jobs).run(step));
        }
        // Dropped when this function ends early: that is when Ruby interrupts it.
        let (_patience, cancelled) = oneshot::channel::<()>();
        let place = Arc::clone(&running);
        let started = gvl::aside(ruby, move || {
            serve::init_tracing();
            let make = |_: &_| Ok(builder.build()?);
            let cancelled = async { drop(cancelled.await) };
            let service = BlockingService::start_unless(IDENTITY, config, make, cancelled)?;
            let address = format!("http://{}", service.address());
            place.replace(Some(service));
            Ok(address)
        })?;
        Ok(Self {
            owner,
            address: started.map_err(|error| start_error(ruby, &error))?,
            concurrency,
            jobs,
            running,
        })
    }

    /// Where `/health` is.
    fn address(&self) -> &str {
        &self.address
    }

    /// How many steps it runs at once.
    fn concurrency(&self) -> usize {
        self.concurrency
    }

    /// Whether it works: false from the beginning of its stop, and after a fault that ended it.
    fn is_running(ruby: &Ruby, this: &Self) -> Result<bool, Error> {
        this.owner.check(ruby)?;
        Ok(this
            .running
            .peek(BlockingService::is_running)
            .unwrap_or(false))
    }

    /// What `/health` says; `nil` after the stop.
    fn health(ruby: &Ruby, this: &Self) -> Result<Option<RHash>, Error> {
        this.owner.check(ruby)?;
        let running = Arc::clone(&this.running);
        let health = gvl::aside(ruby, move || running.peek(BlockingService::health))?.flatten();
        match &health {
            Some((_, serde_json::Value::Object(body))) => json::object(ruby, body).map(Some),
            _ => Ok(None),
        }
    }

    /// Lets the running steps finish, as long as the configuration allows, and ends; a second call
    /// does nothing.
    fn stop(ruby: &Ruby, this: &Self) -> Result<(), Error> {
        this.owner.check(ruby)?;
        let (running, jobs) = (Arc::clone(&this.running), Arc::clone(&this.jobs));
        gvl::aside(ruby, move || {
            if let Some(mut service) = running.replace(None) {
                service.stop();
                jobs.close();
            }
        })
    }

    /// The next step for a handler, as soon as there is one; `nil` when there will be none any more.
    fn take(ruby: &Ruby, this: &Self) -> Result<Option<Job>, Error> {
        this.owner.check(ruby)?;
        let job = this.jobs.take(ruby)?;
        Ok(job.map(|job| Job {
            owner: this.owner,
            job: Mutex::new(Some(job)),
        }))
    }

    /// Whether there is a thread that waits for the next step.
    fn spare(ruby: &Ruby, this: &Self) -> Result<bool, Error> {
        this.owner.check(ruby)?;
        Ok(this.jobs.spare())
    }
}

/// A step for a handler. The first result counts.
#[magnus::wrap(class = "TaskerWorker::Core::Job", free_immediately)]
struct Job {
    owner: Owner,
    job: Mutex<Option<jobs::Job>>,
}

impl Job {
    /// The arguments of `Step.new`; `nil` after the result.
    fn step(ruby: &Ruby, this: &Self) -> Result<Option<RHash>, Error> {
        let step = this.lock().as_ref().map(|job| job.step.clone());
        let Some(step) = step else {
            return Ok(None);
        };
        let raw = ruby.hash_new();
        let set = |key: &str, value: Value| raw.aset(ruby.to_symbol(key), value);
        set("task_id", ruby.into_value(step.task_id().to_string()))?;
        set("step_id", ruby.into_value(step.step_id().to_string()))?;
        set("name", ruby.into_value(step.step_name()))?;
        set("handler", ruby.into_value(step.handler()))?;
        set("attempt", ruby.into_value(step.attempt()))?;
        set("max_attempts", ruby.into_value(step.max_attempts()))?;
        set("context", json::to_ruby(ruby, step.context())?)?;
        set(
            "dependencies",
            json::object(ruby, step.dependencies())?.as_value(),
        )?;
        Ok(Some(raw))
    }

    /// The handler's result. One that is no JSON fails the step for good.
    fn succeed(ruby: &Ruby, this: &Self, result: Value) -> Result<(), Error> {
        let outcome = json::from_ruby(ruby, result).map_err(|reason| {
            HandlerError::permanent(format!("the handler's result is no JSON: {reason}"))
        });
        this.finish(ruby, outcome)
    }

    /// Why the try failed, and whether another one cannot help.
    fn fail(ruby: &Ruby, this: &Self, message: String, permanent: bool) -> Result<(), Error> {
        let error = if permanent {
            HandlerError::permanent(message)
        } else {
            HandlerError::new(message)
        };
        this.finish(ruby, Err(error))
    }

    fn finish(&self, ruby: &Ruby, outcome: Outcome) -> Result<(), Error> {
        self.owner.check(ruby)?;
        if let Some(job) = self.lock().take() {
            job.finish(outcome);
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Option<jobs::Job>> {
        self.job.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Job {
    /// No result, no word to the service, which may be in another process: the step runs again when
    /// its message comes back.
    fn drop(&mut self) {
        let job = self.job.get_mut().unwrap_or_else(PoisonError::into_inner);
        std::mem::forget(job.take());
    }
}

fn start_error(ruby: &Ruby, error: &anyhow::Error) -> Error {
    let name = if error.is::<ConfigError>() {
        "ConfigurationError"
    } else {
        "StartError"
    };
    let class = ruby
        .class_object()
        .const_get::<_, RModule>("TaskerWorker")
        .and_then(|module| module.const_get::<_, ExceptionClass>(name));
    match class {
        Ok(class) => Error::new(class, format!("{error:#}")),
        Err(error) => error,
    }
}

/// `require "tasker_worker/tasker_core"`: the module `TaskerWorker::Core`.
#[magnus::init(name = "tasker_core")]
fn init(ruby: &Ruby) -> Result<(), Error> {
    let running: String = ruby.class_object().const_get("RUBY_VERSION")?;
    let built_for = env!("BUILT_FOR_RUBY");
    if !running
        .strip_prefix(built_for)
        .is_some_and(|rest| rest.starts_with('.'))
    {
        let message = format!("tasker_core is built for Ruby {built_for}, and this is {running}");
        let load_error: ExceptionClass = ruby.class_object().const_get("LoadError")?;
        return Err(Error::new(load_error, message));
    }
    let core = ruby.define_module("TaskerWorker")?.define_module("Core")?;

    let service = core.define_class("Service", ruby.class_object())?;
    service.undef_default_alloc_func();
    service.define_singleton_method("start", function!(Service::start, 2))?;
    service.define_method("address", method!(Service::address, 0))?;
    service.define_method("concurrency", method!(Service::concurrency, 0))?;
    service.define_method("running?", method!(Service::is_running, 0))?;
    service.define_method("health", method!(Service::health, 0))?;
    service.define_method("stop", method!(Service::stop, 0))?;
    service.define_method("take", method!(Service::take, 0))?;
    service.define_method("spare?", method!(Service::spare, 0))?;

    let job = core.define_class("Job", ruby.class_object())?;
    job.undef_default_alloc_func();
    job.define_method("step", method!(Job::step, 0))?;
    job.define_method("succeed", method!(Job::succeed, 1))?;
    job.define_method("fail", method!(Job::fail, 2))?;
    Ok(())
}
