"""Running one function over many tasks: in this process, in several, or on a Ray cluster. Results come as they finish.

At most two tasks a worker are under way, so memory does not grow with their number. Leaving the loop early (an error,
Ctrl-C) tells running tasks to stop; they then leave nothing behind.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing.synchronize import Event
from typing import Any, TypeVar

from fuselip.core.errors import UsageError, UserError
from fuselip.core.plugins import did_you_mean

T = TypeVar("T")
R = TypeVar("R")
Work = Callable[[T, Callable[[], bool]], R]

TASKS_PER_WORKER = 2
_stop: Event | None = None


def run(engine: str, function: Work[T, R], tasks: Iterable[T], workers: int) -> Generator[R]:
    """Results of `function(task, stopped)`, in any order. Function and tasks must be picklable."""
    if engine not in ENGINES:
        raise UsageError(f"unknown engine {engine!r}{did_you_mean(engine, ENGINES)}; known: {', '.join(ENGINES)}")
    if workers < 1:
        raise UsageError(f"--workers {workers}: it is 1 or more")
    return ENGINES[engine](function, tasks, workers)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _local(function: Work[T, R], tasks: Iterable[T], workers: int) -> Generator[R]:
    if workers == 1:
        for task in tasks:
            yield function(task, lambda: False)
        return
    context = multiprocessing.get_context("spawn")  # a fork would copy the threads' locks
    stop = context.Event()
    with ProcessPoolExecutor(workers, context, _start_worker, (stop,)) as pool:
        waiting = iter(tasks)
        running: set[Future[R]] = set()
        try:
            while True:
                room = TASKS_PER_WORKER * workers - len(running)
                running |= {pool.submit(_call, function, task) for task in islice(waiting, room)}
                if not running:
                    return
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        except BrokenProcessPool as error:
            raise UserError(
                "a worker process was killed (out of memory?); give the same command again, with fewer --workers"
            ) from error
        finally:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)


def _start_worker(stop: Event) -> None:
    """Ctrl-C is the main process's to handle. A worker whose main process was killed ends too: nobody else would."""
    global _stop
    _stop = stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _call(function: Work[T, R], task: T) -> R:
    assert _stop is not None
    return function(task, _stop.is_set)


def _ray(function: Work[T, R], tasks: Iterable[T], workers: int) -> Generator[R]:
    """On the cluster that RAY_ADDRESS names, else one started here. The output folder is one that all nodes share."""
    try:
        import ray
    except ImportError as error:
        raise UsageError("--engine ray needs the package ray; run `pip install 'fuselip[ray]'`") from error
    started = not ray.is_initialized()
    if started:
        size = {} if os.environ.get("RAY_ADDRESS") else {"num_cpus": workers, "include_dashboard": False}
        ray.init(log_to_driver=False, logging_level="error", **size)
    remote: Any = ray.remote(max_retries=2)(_call_remote)
    running: list[Any] = []
    try:
        waiting = iter(tasks)
        while True:
            room = TASKS_PER_WORKER * workers - len(running)
            running += [remote.remote(function, task) for task in islice(waiting, room)]
            if not running:
                return
            done, running = ray.wait(running, num_returns=1)
            yield _result(ray, done[0])
    finally:
        for reference in running:
            ray.cancel(reference)
        if started:
            ray.shutdown()


def _call_remote(function: Work[T, R], task: T) -> R:
    return function(task, lambda: False)


def _result(ray: Any, reference: Any) -> Any:
    """A task's result; what it raised is raised here as it was."""
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error


ENGINES: dict[str, Callable[[Work[Any, Any], Iterable[Any], int], Generator[Any]]] = {"local": _local, "ray": _ray}
