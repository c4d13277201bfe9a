"""Handlers, and the service that runs them."""

from __future__ import annotations

import inspect
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from tasker_worker import _core
from tasker_worker._core import ConfigurationError, PermanentError, Service, StartError

if TYPE_CHECKING:
    from types import FrameType

# A recursive type would make every handler cast; what is no JSON fails its step, with a reason.
JsonValue: TypeAlias = Any

Handler: TypeAlias = "Callable[[Step], JsonValue]"

HandlerT = TypeVar("HandlerT", bound=Handler)

#: How often the main thread looks whether the worker is still there, in seconds.
_WATCH_INTERVAL = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The step that a handler is to run."""

    task_id: str
    #: The same for every try: the key for effects that must happen once.
    step_id: str
    #: Its name in its task.
    name: str
    #: The name under which the handler was registered.
    handler: str
    #: Which try this is, from 1. A run after a worker's death has the same number.
    attempt: int
    max_attempts: int
    #: The task's context, as it was submitted.
    context: JsonValue
    #: The results of the steps that this one depends on, by their names.
    dependencies: Mapping[str, JsonValue]

    def param(self, key: str, default: JsonValue = None) -> JsonValue:
        """``context[<step name>][key]`` if there is one, else ``context[key]``, else the default.

        So two steps with the same handler can differ.
        """
        if not isinstance(self.context, Mapping):
            return default
        own = self.context.get(self.name)
        if isinstance(own, Mapping) and key in own:
            return own[key]
        return self.context.get(key, default)


class Worker:
    """Runs the steps of one namespace."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self._handlers: dict[str, Handler] = {}

    def handler(self, name: str) -> Callable[[HandlerT], HandlerT]:
        """Registers the function below as the handler of this name.

        It may run in several threads at once. What it returns has to be JSON. An exception
        fails the try, and the step is tried again later; a ``PermanentError`` fails the step
        at once.
        """

        def register(function: HandlerT) -> HandlerT:
            if inspect.iscoroutinefunction(function):
                raise TypeError(
                    f"handler `{name}` is async; handlers have threads of their own: "
                    "make it a plain function"
                )
            if name in self._handlers:
                raise ValueError(f"two handlers have the name `{name}`")
            self._handlers[name] = function
            return function

        return register

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """What is registered, by name."""
        return dict(self._handlers)

    def start(self) -> Service:
        """Takes the port, waits for the database, and works in the background.

        Raises ``StartError`` when it cannot, and its kind ``ConfigurationError`` when the
        environment makes no sense.
        """
        return _core.Service.start(
            self.namespace, {name: _adapt(handler) for name, handler in self._handlers.items()}
        )

    @contextmanager
    def running(self) -> Iterator[Service]:
        """``with worker.running() as service``: started, and stopped at the end."""
        service = self.start()
        try:
            yield service
        finally:
            service.stop()

    def run(self) -> int:
        """Serves until SIGTERM or Ctrl-C; returns the exit code of the process.

        0 after a graceful stop, 1 when it could not start or ended by itself, 2 for an environment
        that makes no sense. Has to be called on the main thread, which alone gets signals.
        """
        # Until it serves there is nothing to finish: a signal ends the process at once.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        try:
            service = self.start()
        except StartError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2 if isinstance(error, ConfigurationError) else 1
        asked = threading.Event()

        def ask(_signal: int, _frame: FrameType | None) -> None:
            asked.set()

        signal.signal(signal.SIGINT, ask)
        signal.signal(signal.SIGTERM, ask)
        try:
            while not asked.wait(_WATCH_INTERVAL):
                if not service.is_running():
                    print("error: the worker ended", file=sys.stderr)
                    return 1
        finally:
            service.stop()
        return 0


def _adapt(handler: Handler) -> Callable[[dict[str, Any]], JsonValue]:
    """A handler for the core, which knows nothing of `Step`."""

    def call(raw: dict[str, Any]) -> JsonValue:
        return handler(Step(**raw))

    return call


__all__ = ["Handler", "JsonValue", "PermanentError", "Service", "Step", "Worker"]
