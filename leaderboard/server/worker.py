"""The worker: takes submissions one by one and verifies each in a process of its own, bounded in memory and time.

    python -m leaderboard.server.worker [--store DIR|URL] --answers DIR [--data DIR] [--memory-mb N] [--seconds N]

The loop itself never opens a bundle. What it takes it holds by a lease of the store, so that a worker that is killed
loses nothing: after the lease another takes the same submission. A verification that dies is tried again; after TRIES
the submission is refused, and the reason is told.
"""

from __future__ import annotations

import argparse
import logging
import os
import resource
import signal
import time
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from leaderboard.server.children import STORE, Bell, log
from leaderboard.types import Fault

if TYPE_CHECKING:
    from leaderboard.store import Store

LOG = logging.getLogger("leaderboard.worker")
TRIES = 3
PAUSE = 5.0
"""Seconds between two looks at the store that nobody asked for."""
SLACK = 30.0
"""Seconds by which a lease outlives the time of a verification."""
_FAILED = 3
STOPPED = "the worker was stopped"


@dataclass(frozen=True)
class Bounds:
    """What one verification may use: bytes beyond what the worker has mapped, seconds of processor, seconds."""

    memory: int = 2 << 30
    processor: int = 300
    seconds: int = 600


@dataclass(frozen=True)
class Place:
    """Where submissions, answers and public sets are."""

    store: str
    answers: Path
    data: Path | None = None


def run(place: Place, bounds: Bounds, *, once: bool = False) -> int:
    """Verify what there is, and go on waiting for more unless `once`; how many were taken. Ends with its parent."""
    from leaderboard.store import Store

    store, bell, taken = Store.open(place.store), Bell(listen=not once), 0
    _warm()
    while not bell.stopped:
        found = store.claim(seconds=bounds.seconds + SLACK)
        if found is None:
            if once:
                break
            bell.wait(PAUSE)
            continue
        taken += 1
        why = apart(place, found, bounds, bell)
        if why == STOPPED:
            store.release(found.id, STOPPED, counts=False)
        elif why:
            failed(store, found, why)
    return taken


def apart(place: Place, found: Any, bounds: Bounds, bell: Bell) -> str:
    """Verify in a child process; "" once the store has the verdict, else why it has none."""
    child = os.fork()
    if child == 0:
        _child(place, found.id, bounds)
    ended, began = 0, time.monotonic()
    while not ended:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            break
        late = time.monotonic() - began > bounds.seconds
        if late or bell.stopped:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return f"it took over {bounds.seconds} s" if late else STOPPED
        time.sleep(0.02)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number in (signal.SIGXCPU, signal.SIGALRM):
            return f"it took over {bounds.processor if number == signal.SIGXCPU else bounds.seconds} s"
        return f"it was ended by {signal.Signals(number).name}"
    code = os.waitstatus_to_exitcode(status)
    return "" if code == 0 else f"it ended with exit code {code}"


def failed(store: Store, found: Any, why: str) -> None:
    """Note a verification without a verdict: back into the queue, or refused after TRIES."""
    LOG.warning("verification of %s, attempt %d: %s", found.id, found.attempts, why)
    if found.attempts < TRIES:
        store.release(found.id, why)
        return
    mend = "make the bundle again with `fuselip-leaderboard pack`; tell the maintainer if it fails again"
    store.refuse(found.id, [Fault("verification", f"it failed {found.attempts} times, at last: {why}", mend)])


def _child(place: Place, id_: str, bounds: Bounds) -> NoReturn:
    """Everything that touches the bundle. Never returns: the worker's own exit work is not this process's."""
    code = _FAILED
    try:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
            signal.signal(number, signal.SIG_DFL)
        confine(bounds)
        judge(place, id_)
        code = 0
    except BaseException:
        LOG.exception("verification of %s", id_)
    finally:
        os._exit(code)


def confine(bounds: Bounds) -> None:
    """Bind this process. The address space counts from what is mapped now: libraries map more than they use."""
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + bounds.memory,) * 2)
    used = resource.getrusage(resource.RUSAGE_SELF)
    processor = int(used.ru_utime + used.ru_stime) + bounds.processor
    resource.setrlimit(resource.RLIMIT_CPU, (processor, processor + 5))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.setitimer(signal.ITIMER_REAL, bounds.seconds)  # also ends it where its worker was killed


def judge(place: Place, id_: str) -> None:
    """Read, verify, and write the verdict into the store."""
    from leaderboard import bundle
    from leaderboard.answers import Book
    from leaderboard.store import About, Store
    from leaderboard.verify import verify

    store = Store.open(place.store)
    found = store.submission(id_)
    try:
        held = bundle.read(store.bundle_path(found.sha256))
        verdict = verify(held, Book(place.answers, place.data), others=store.others(id_))
    except bundle.BundleError as error:
        store.refuse(id_, error.faults)
        return
    except MemoryError:
        store.refuse(id_, [Fault("bundle", "reading it takes more memory than is allowed", "make it smaller")])
        return
    if verdict.faults:
        store.refuse(id_, verdict.faults)
    else:
        assert verdict.badge is not None
        store.accept(
            id_,
            verdict.scored,
            verdict.badge,
            verdict.flags,
            about=About.of(held),
            notes=verdict.notes,
            prints=verdict.prints,
        )


def _warm() -> None:
    """Import once, before the forks, what every verification needs."""
    import pyarrow

    for name in ("benchmarks.tasks", "leaderboard.bundle", "leaderboard.verify"):
        import_module(name)
    pyarrow.set_cpu_count(1)
    pyarrow.set_io_thread_count(1)


def main() -> None:
    parser = argparse.ArgumentParser(description="Verify submissions.")
    parser.add_argument("--store", default=os.environ.get(STORE))
    parser.add_argument("--answers", type=Path, required=True)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--memory-mb", type=int, default=2048)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--once", action="store_true")
    given = parser.parse_args()
    log()
    bounds = Bounds(given.memory_mb << 20, min(given.seconds, 300), given.seconds)
    run(Place(given.store, given.answers, given.data), bounds, once=given.once)


if __name__ == "__main__":
    main()
