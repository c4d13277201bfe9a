"""Real worker processes on a real PostgreSQL."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

PATIENCE = 30.0


@pytest.fixture(scope="module", autouse=True)
def database() -> None:
    assert "DATABASE_URL" in os.environ, (
        "DATABASE_URL is not set; `cargo make test-integration` brings a PostgreSQL"
    )


def start(**environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tasker_worker.reference"],
        env={**os.environ, "PYTHON_WORKER_PORT": "0", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def where(process: subprocess.Popen[str]) -> str:
    """The URL that it announces as the last word of its first line."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, process.communicate()
    return line.split()[-1]


def health(url: str) -> tuple[int, dict[str, str]]:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:  # noqa: S310
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def wait_healthy(url: str) -> dict[str, str]:
    deadline = time.monotonic() + PATIENCE
    while True:
        status, body = health(url)
        if status == 200:
            return body
        assert time.monotonic() < deadline, body
        time.sleep(0.02)


@pytest.fixture
def service() -> Iterator[subprocess.Popen[str]]:
    process = start()
    yield process
    process.kill()
    process.communicate()


def test_health_is_served_and_tells_its_name(service: subprocess.Popen[str]) -> None:
    body = wait_healthy(where(service))
    assert (body["service"], body["status"]) == ("tasker-worker-python", "healthy")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize("how", ["SIGTERM", "SIGINT"])
def test_a_signal_is_a_graceful_end(service: subprocess.Popen[str], how: str) -> None:
    wait_healthy(where(service))
    service.send_signal(getattr(signal, how))
    _, errors = service.communicate(timeout=PATIENCE)
    assert service.returncode == 0, errors
    assert "Traceback" not in errors


def test_a_taken_port_is_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        process = start(PYTHON_WORKER_PORT=port)
        _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert port in errors
    assert "Traceback" not in errors


def test_a_url_that_is_none_ends_the_start_and_hides_the_password() -> None:
    process = start(DATABASE_URL="mysql://app:hunter2@db/app")
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2
    assert "DATABASE_URL" in errors
    assert "hunter2" not in errors


def test_the_api_starts_and_stops_within_a_process() -> None:
    script = Path(__file__).with_name("start_and_stop.py")
    done = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHON_WORKER_PORT": "0"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "True True False None"
