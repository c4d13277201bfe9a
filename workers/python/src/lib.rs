//! `tasker_worker._core`: the worker service, for Python.
//!
//! Handlers run on the service's threads and hold the interpreter lock only while they run; start
//! and stop give it up. An exception of a handler is a failed try with its type and message. A panic
//! on this side reaches Python as an exception, and one below a handler as a failed try.

use std::sync::Mutex;

use pyo3::create_exception;
use pyo3::exceptions::{PyException, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use pythonize::{depythonize, pythonize};
use serde_json::Value;
use tasker_shared::{ConfigError, serve};
use tasker_worker::service::{BlockingService, Identity};
use tasker_worker::{Blocking, HandlerError, StepContext, Worker};

create_exception!(
    tasker_worker,
    PermanentError,
    PyException,
    "Raised by a handler when another try cannot help: the step fails at once."
);
create_exception!(
    tasker_worker,
    StartError,
    PyException,
    "The service cannot start: its port is taken, its database is not ready, a name is bad."
);
create_exception!(
    tasker_worker,
    ConfigurationError,
    StartError,
    "The environment makes no sense: DATABASE_URL is missing, a port is no number."
);

const IDENTITY: Identity = Identity {
    name: "tasker-worker-python",
    port_variable: "PYTHON_WORKER_PORT",
    default_port: 8083,
};

/// A running worker with its `/health`. Stopping it lets the running steps finish.
#[pyclass(frozen, module = "tasker_worker._core")]
struct Service {
    // `stop` needs it for itself while other threads may ask `is_running`.
    inner: Mutex<BlockingService>,
    address: String,
}

#[pymethods]
impl Service {
    /// Takes the port, waits for the database, starts to work. Without the lock meanwhile.
    #[staticmethod]
    fn start(py: Python<'_>, namespace: String, handlers: &Bound<'_, PyDict>) -> PyResult<Self> {
        let mut builder = Worker::builder().namespace(namespace);
        for (name, handler) in handlers {
            let name: String = name.extract()?;
            let handler = handler.unbind();
            builder = builder.handler(name, Blocking::new(move |step| call(&handler, &step)));
        }
        let started = py.detach(|| {
            serve::init_tracing();
            BlockingService::start(IDENTITY, |_pool| Ok(builder.build()?))
        });
        let service = started.map_err(|error| {
            let message = format!("{error:#}");
            if error.is::<ConfigError>() {
                ConfigurationError::new_err(message)
            } else {
                StartError::new_err(message)
            }
        })?;
        Ok(Self {
            address: format!("http://{}", service.address()),
            inner: Mutex::new(service),
        })
    }

    /// Where `/health` is.
    #[getter]
    fn address(&self) -> &str {
        &self.address
    }

    /// Whether it works: false after its stop, and after a fault that ended it.
    fn is_running(&self, py: Python<'_>) -> PyResult<bool> {
        py.detach(|| self.with(|service| service.is_running()))
    }

    /// What `/health` says, and whether that is healthy; `None` after the stop.
    fn health(&self, py: Python<'_>) -> PyResult<Option<(bool, Py<PyAny>)>> {
        let Some((healthy, body)) = py.detach(|| self.with(|service| service.health()))? else {
            return Ok(None);
        };
        Ok(Some((healthy, pythonize(py, &body)?.unbind())))
    }

    /// Lets the running steps finish and ends; a second call does nothing.
    fn stop(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.with(BlockingService::stop))
    }
}

impl Service {
    fn with<R>(&self, work: impl FnOnce(&mut BlockingService) -> R) -> PyResult<R> {
        let mut service = self
            .inner
            .lock()
            .map_err(|_| PyRuntimeError::new_err("the service broke in an earlier call"))?;
        Ok(work(&mut service))
    }
}

/// Runs a handler: called on a thread of the service, without the lock.
fn call(handler: &Py<PyAny>, step: &StepContext) -> Result<Value, HandlerError> {
    // None while the interpreter ends: the message stays in its queue for the next worker.
    Python::try_attach(|py| {
        let raw = raw_step(py, step).map_err(|error| failure(py, &error))?;
        let result = handler
            .bind(py)
            .call1((raw,))
            .map_err(|error| failure(py, &error))?;
        depythonize(&result).map_err(|error| {
            HandlerError::permanent(format!("the handler's result is no JSON: {error}"))
        })
    })
    .unwrap_or_else(|| Err(HandlerError::new("the interpreter is ending")))
}

/// The step as the arguments of `Step`.
fn raw_step<'py>(py: Python<'py>, step: &StepContext) -> PyResult<Bound<'py, PyDict>> {
    let raw = PyDict::new(py);
    raw.set_item("task_id", step.task_id().to_string())?;
    raw.set_item("step_id", step.step_id().to_string())?;
    raw.set_item("name", step.step_name())?;
    raw.set_item("handler", step.handler())?;
    raw.set_item("attempt", step.attempt())?;
    raw.set_item("max_attempts", step.max_attempts())?;
    raw.set_item("context", pythonize(py, step.context())?)?;
    raw.set_item("dependencies", pythonize(py, step.dependencies())?)?;
    Ok(raw)
}

/// An exception as a failed try: `ValueError: its message`.
fn failure(py: Python<'_>, error: &PyErr) -> HandlerError {
    let kind = error
        .get_type(py)
        .name()
        .map_or_else(|_| "an exception".to_owned(), |name| name.to_string());
    let message = match error.value(py).str() {
        Ok(text) if text.to_string_lossy().is_empty() => kind,
        Ok(text) => format!("{kind}: {}", text.to_string_lossy()),
        Err(_) => kind,
    };
    if error.is_instance_of::<PermanentError>(py) {
        HandlerError::permanent(message)
    } else {
        HandlerError::new(message)
    }
}

/// The module: what `_core.pyi` declares.
#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("PermanentError", py.get_type::<PermanentError>())?;
    module.add("StartError", py.get_type::<StartError>())?;
    module.add("ConfigurationError", py.get_type::<ConfigurationError>())?;
    module.add_class::<Service>()?;
    module.add(
        "__all__",
        PyList::new(
            py,
            [
                "ConfigurationError",
                "PermanentError",
                "Service",
                "StartError",
            ],
        )?,
    )
}
