"""The reference service: namespace ``python``, handlers small enough to read."""

import sys
import time
from functools import reduce

from tasker_worker import JsonValue, PermanentError, Step, Worker

worker = Worker("python")


@worker.handler("echo")
def echo(step: Step) -> JsonValue:
    """Returns the task's context and the results of the parents."""
    return {"context": step.context, "dependencies": dict(step.dependencies)}


@worker.handler("sleep")
def sleep(step: Step) -> JsonValue:
    """Waits for ``sleep_ms`` milliseconds."""
    milliseconds = _count(step, "sleep_ms", 100)
    time.sleep(milliseconds / 1000)
    return {"slept_ms": milliseconds}


@worker.handler("add")
def add(step: Step) -> JsonValue:
    """The sum of the parents' values and the step's own."""
    return {"value": sum(_numbers(step))}


@worker.handler("multiply")
def multiply(step: Step) -> JsonValue:
    """The product of the parents' values and the step's own."""
    return {"value": reduce(lambda product, number: product * number, _numbers(step), 1)}


@worker.handler("flaky")
def flaky(step: Step) -> JsonValue:
    """Fails at the first ``fail_times`` tries."""
    if step.attempt <= _count(step, "fail_times", 1):
        raise RuntimeError(f"flaky: failed at attempt {step.attempt}")
    return {"succeeded_at": step.attempt}


@worker.handler("always_fails")
def always_fails(step: Step) -> JsonValue:
    """Fails at every try."""
    raise RuntimeError(f"always_fails: {step.param('message', 'it always does')}")


@worker.handler("raises")
def raises(_step: Step) -> JsonValue:
    """An exception that nobody planned for."""
    raise ValueError("raises, as asked")


def _count(step: Step, key: str, default: int) -> int:
    value = step.param(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise PermanentError(f"`{key}` is {value!r}, it has to be a non-negative number")
    return value


def _numbers(step: Step) -> list[int]:
    """The parents' ``value``s, and the step's own where the context has one."""
    found = {name: _value(result) for name, result in step.dependencies.items()}
    own = step.context.get(step.name) if isinstance(step.context, dict) else None
    if isinstance(own, dict) and "value" in own:
        found[step.name] = own["value"]
    for name, value in found.items():
        if not isinstance(value, int) or isinstance(value, bool):
            raise PermanentError(f"{step.handler}: `{name}` gives no whole number as its `value`")
    return list(found.values())


def _value(result: JsonValue) -> JsonValue:
    return result.get("value") if isinstance(result, dict) else None


def main() -> None:
    """The program ``tasker-worker-python``."""
    sys.exit(worker.run())


if __name__ == "__main__":
    main()
