"""Workflow steps in Python.

>>> from tasker_worker import Step, Worker
>>> worker = Worker("billing")
>>> @worker.handler("double")
... def double(step: Step) -> dict[str, int]:
...     return {"value": 2 * step.context["value"]}

``worker.run()`` then serves until SIGTERM or Ctrl-C.
"""

from tasker_worker._core import ConfigurationError, PermanentError, StartError
from tasker_worker.worker import Handler, JsonValue, Service, Step, Worker

__all__ = [
    "ConfigurationError",
    "Handler",
    "JsonValue",
    "PermanentError",
    "Service",
    "StartError",
    "Step",
    "Worker",
]
