"""What `test_service.py` runs in a process of its own: a service as a context manager."""

from tasker_worker import Step, Worker

worker = Worker("python_start_and_stop")


@worker.handler("nothing")
def nothing(_step: Step) -> None: ...


with worker.running() as service:
    health = service.health()
    healthy, running = bool(health and health[0]), service.is_running()
service.stop()  # A second time, which does nothing.
print(healthy, running, service.is_running(), service.health())
