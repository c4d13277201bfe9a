//! The worker service, for JavaScript. `lib/native.ts` declares what is exported here.
//!
//! JavaScript has one thread, so nothing here makes it wait: start, stop and health run on threads
//! of their own and end in a promise. Steps and results cross as JSON text, which both sides read
//! fast and which cannot fail halfway. A panic on this side reaches JavaScript as an exception or a
//! rejected promise.

mod deaf;
mod step;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, TryLockError};
use std::thread;
use std::time::Duration;

use napi::bindgen_prelude::{Either, Object, Result, ToNapiValue};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi::{Env, Error, Status};
use napi_derive::napi;
use tasker_shared::{ConfigError, ServiceConfig, serve};
use tasker_worker::service::{BlockingService, Identity};
use tasker_worker::{Handler, HandlerError, HandlerFuture, StepContext, Worker};
use tokio::sync::oneshot;

const IDENTITY: Identity = Identity {
    name: "tasker-worker-typescript",
    port_variable: "TYPESCRIPT_WORKER_PORT",
    default_port: 8085,
};

type Outcome = std::result::Result<serde_json::Value, HandlerError>;

/// The JavaScript function that runs a step: `(call: Call) => void`, and never throws.
type Run = ThreadsafeFunction<Call, (), Call, Status, false>;

/// One try of a step, in JavaScript's hands. One that is never settled runs until it is cut off at
/// the end of a stop.
#[napi]
pub struct Call {
    step: String,
    outcome: Mutex<Option<oneshot::Sender<Outcome>>>,
}

#[napi]
impl Call {
    /// The step, as JSON.
    #[napi(getter, catch_unwind)]
    pub fn step(&self) -> String {
        self.step.clone()
    }

    /// The handler's result, as JSON. A second settlement does nothing.
    #[napi(catch_unwind)]
    pub fn succeed(&self, result: String) {
        self.settle(step::from_json(&result));
    }

    /// Why it failed, and whether no other try can help.
    #[napi(catch_unwind)]
    pub fn fail(&self, message: String, permanent: bool) {
        self.settle(Err(if permanent {
            HandlerError::permanent(message)
        } else {
            HandlerError::new(message)
        }));
    }

    fn settle(&self, outcome: Outcome) {
        let mut sender = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = sender.take() {
            // Nobody listens any more when the step was cut off.
            sender.send(outcome).ok();
        }
    }
}

/// Why a service did not start.
#[napi(object)]
pub struct Refusal {
    /// In words.
    pub message: String,
    /// Whether it is the environment that makes no sense.
    pub configuration: bool,
}

/// A service that started. It works until it is stopped, whether or not JavaScript still holds it,
/// and keeps the event loop alive as long.
#[napi]
pub struct Service {
    shared: Arc<Shared>,
    address: String,
    grace: Duration,
}

struct Shared {
    /// Written while it starts and stops.
    service: RwLock<Option<BlockingService>>,
    /// Set as soon as somebody asks for the stop.
    stopping: AtomicBool,
    /// Whether it was JavaScript that asked: then its event loop turns.
    asked: AtomicBool,
    /// Whether a signal came, which JavaScript hears later than we do.
    signalled: AtomicBool,
}

impl Shared {
    /// Lets the running steps finish and ends; a later call waits for the first.
    fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        let mut service = self.service.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(mut service) = service.take() {
            service.stop();
        }
    }
}

/// Takes the port, waits for the database, starts to work. The variables are JavaScript's
/// `process.env`, which is the environment of the process for Node's main thread alone.
#[napi(catch_unwind)]
pub fn start(
    env: &Env,
    variables: HashMap<String, String>,
    namespace: String,
    handlers: Vec<String>,
    run: Run,
) -> Result<Object<'_>> {
    serve::init_tracing();
    let config =
        ServiceConfig::from_lookup(IDENTITY.port_variable, IDENTITY.default_port, |name| {
            variables.get(name).cloned()
        });
    let shared = Arc::new(Shared {
        service: RwLock::new(None),
        stopping: AtomicBool::new(false),
        asked: AtomicBool::new(false),
        signalled: AtomicBool::new(false),
    });
    // A worker thread of Node may end before its process: then nobody is left to run steps. This
    // also keeps the service while JavaScript collects its object.
    env.add_env_cleanup_hook(Arc::clone(&shared), |orphan| {
        let stopping = thread::Builder::new().spawn(move || orphan.stop());
        if let Err(error) = stopping {
            eprintln!("warning: cannot stop the worker: {error}");
        }
    })?;
    let mut builder = Worker::builder().namespace(namespace);
    let run = Arc::new(run);
    for name in handlers {
        builder = builder.handler(name, JsHandler(Arc::clone(&run)));
    }
    drop(run);
    promise(env, move || {
        let started = config.map_err(Into::into).and_then(|config| {
            let grace = config.shutdown_grace;
            let mut slot = shared
                .service
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            let service =
                BlockingService::start_with(IDENTITY, config, |_pool| Ok(builder.build()?))?;
            let address = format!("http://{}", service.address());
            *slot = Some(service);
            drop(slot);
            Ok(Service {
                shared,
                address,
                grace,
            })
        });
        match started {
            Ok(service) => Either::A(service),
            Err(error) => Either::B(refusal(&error)),
        }
    })
}

fn refusal(error: &anyhow::Error) -> Refusal {
    Refusal {
        message: format!("{error:#}"),
        configuration: error.is::<ConfigError>(),
    }
}

#[napi]
impl Service {
    /// Where `/health` is.
    #[napi(getter, catch_unwind)]
    pub fn address(&self) -> String {
        self.address.clone()
    }

    /// Whether it works: false from the moment that it is to stop, and after a fault that ended it.
    #[napi(catch_unwind)]
    pub fn is_running(&self) -> bool {
        if self.shared.stopping.load(Ordering::Acquire) {
            return false;
        }
        // Never waits: it is written only while it stops.
        match self.shared.service.try_read() {
            Ok(service) => service.as_ref().is_some_and(BlockingService::is_running),
            Err(TryLockError::WouldBlock | TryLockError::Poisoned(_)) => false,
        }
    }

    /// What `/health` answers, as JSON, and whether that is healthy; null once it is to stop.
    #[napi(catch_unwind)]
    pub fn health<'env>(&self, env: &'env Env) -> Result<Object<'env>> {
        let shared = Arc::clone(&self.shared);
        promise(env, move || {
            if shared.stopping.load(Ordering::Acquire) {
                return None;
            }
            let service = shared
                .service
                .read()
                .unwrap_or_else(PoisonError::into_inner);
            let (healthy, body) = service.as_ref()?.health()?;
            Some(Health {
                healthy,
                body: body.to_string(),
            })
        })
    }

    /// From here on a signal ends the process even where a handler blocks the event loop, which then
    /// hears no signal: the running steps get their grace, and then the process is ended. To be
    /// called when JavaScript listens to signals itself, because listening replaces what is here.
    #[napi(catch_unwind)]
    pub fn end_on_signal(&self) {
        deaf::watch(Arc::clone(&self.shared), self.grace);
    }

    /// Whether such a signal came.
    #[napi(catch_unwind)]
    pub fn heard_signal(&self) -> bool {
        self.shared.signalled.load(Ordering::Acquire)
    }

    /// Lets the running steps finish and ends; a second call waits for the first.
    #[napi(catch_unwind)]
    pub fn stop<'env>(&self, env: &'env Env) -> Result<Object<'env>> {
        self.shared.stopping.store(true, Ordering::Release);
        self.shared.asked.store(true, Ordering::Release);
        let shared = Arc::clone(&self.shared);
        promise(env, move || shared.stop())
    }
}

/// What `/health` answers.
#[napi(object)]
pub struct Health {
    /// Whether it is well.
    pub healthy: bool,
    /// JSON.
    pub body: String,
}

struct JsHandler(Arc<Run>);

impl Handler for JsHandler {
    fn call(&self, step: StepContext) -> HandlerFuture {
        let text = match step::to_json(&step) {
            Ok(text) => text,
            Err(error) => return Box::pin(async { Err(error) }),
        };
        let (sender, receiver) = oneshot::channel();
        let call = Call {
            step: text,
            outcome: Mutex::new(Some(sender)),
        };
        // Whatever the status: a call that JavaScript did not get drops its sender.
        self.0.call(call, ThreadsafeFunctionCallMode::NonBlocking);
        Box::pin(async {
            match receiver.await {
                Ok(outcome) => outcome,
                // JavaScript is ending, or forgot the promise: the message stays in its queue, for
                // the next worker.
                Err(_) => std::future::pending().await,
            }
        })
    }
}

/// Runs `work` on a thread of its own, and gives JavaScript a promise of what it returns.
fn promise<'env, T>(
    env: &'env Env,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<Object<'env>>
where
    T: ToNapiValue + Send + 'static,
{
    type Resolver<T> = Box<dyn FnOnce(Env) -> Result<T>>;
    let (deferred, promise) = env.create_deferred::<T, Resolver<T>>()?;
    let spare = deferred.clone();
    let spawned =
        thread::Builder::new()
            .name(IDENTITY.name.into())
            .spawn(move || match catch_unwind(AssertUnwindSafe(work)) {
                Ok(value) => deferred.resolve(Box::new(|_| Ok(value))),
                Err(_) => {
                    deferred.reject(Error::from_reason("the native part of the worker panicked"))
                }
            });
    if let Err(error) = spawned {
        spare.reject(Error::from_reason(format!(
            "cannot start a thread: {error}"
        )));
    }
    Ok(promise)
}
