"""The parts that need no database."""

from typing import Any

import pytest

from tasker_worker import ConfigurationError, PermanentError, StartError, Step, Worker, reference


def step(**changes: Any) -> Step:  # noqa: ANN401
    values: dict[str, Any] = {
        "task_id": "t",
        "step_id": "s",
        "name": "a",
        "handler": "h",
        "attempt": 1,
        "max_attempts": 3,
        "context": {},
        "dependencies": {},
    }
    return Step(**(values | changes))


def test_a_steps_own_parameter_wins_over_the_tasks() -> None:
    context = {"ms": 1, "a": {"ms": 2}, "b": {"ms": 3}}
    assert step(context=context).param("ms") == 2
    assert step(context=context, name="c").param("ms") == 1
    assert step(context=context).param("other", "none") == "none"
    assert step(context=None).param("ms", 7) == 7


def test_a_step_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        step().attempt = 2  # type: ignore[misc]


def test_two_handlers_of_one_name_are_a_mistake() -> None:
    worker = Worker("x")

    @worker.handler("a")
    def first(_step: Step) -> None: ...

    with pytest.raises(ValueError, match="two handlers have the name `a`"):
        worker.handler("a")(first)
    assert worker.handlers == {"a": first}


def test_an_async_handler_is_refused_before_it_runs() -> None:
    async def handler(_step: Step) -> None: ...

    with pytest.raises(TypeError, match="handler `a` is async"):
        Worker("x").handler("a")(handler)


def test_a_start_without_a_database_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    with pytest.raises(ConfigurationError, match="DATABASE_URL"):
        reference.worker.start()


def test_a_worker_without_handlers_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none")
    monkeypatch.setenv("PYTHON_WORKER_PORT", "0")
    with pytest.raises(StartError, match="no handlers"):
        Worker("x").start()


def test_numbers_of_parents_and_the_own_are_added() -> None:
    context = {"a": {"value": 3}}
    parents = {"p": {"value": 1}, "q": {"value": 2}}
    assert reference.add(step(context=context, dependencies=parents)) == {"value": 6}
    assert reference.multiply(step(context=context, dependencies=parents)) == {"value": 6}
    assert reference.multiply(step()) == {"value": 1}


@pytest.mark.parametrize("value", ["3", None, True, 1.5])
def test_what_is_no_whole_number_fails_for_good(value: object) -> None:
    with pytest.raises(PermanentError, match="`p` gives no whole number"):
        reference.add(step(handler="add", dependencies={"p": {"value": value}}))


def test_flaky_works_after_its_failures() -> None:
    context = {"fail_times": 2}
    for attempt in (1, 2):
        with pytest.raises(RuntimeError, match=f"failed at attempt {attempt}"):
            reference.flaky(step(context=context, attempt=attempt))
    assert reference.flaky(step(context=context, attempt=3)) == {"succeeded_at": 3}
