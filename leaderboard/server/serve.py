"""Serving: one process answers requests, others beside it verify and publish; all end together."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from fuselip.core.errors import UsageError
from fuselip.core.files import lock
from leaderboard.server.app import create_app
from leaderboard.server.children import Children, log
from leaderboard.server.limits import DEFAULT, Limits, protocol
from leaderboard.store import Store
from leaderboard.store.database import shown

GRACE = 20
"""Seconds that requests under way have to end."""


@dataclass(frozen=True)
class Options:
    """What `fuselip-leaderboard serve` takes; see its --help."""

    store: str
    host: str
    port: int
    workers: int
    behind_proxy: bool
    data: Path | None
    work: Path | None
    verify_memory_mb: int
    verify_seconds: int


def serve(options: Options, say: Callable[[str], None], limits: Limits = DEFAULT) -> None:
    """Until SIGINT or SIGTERM. Raises UsageError where the address or the store's folder is in use."""
    log()
    with Store.open(options.store) as store:
        work = (options.work or store.folder / "server").absolute()
        with lock(work / "server.lock", f"another server runs in {work}; name another folder with --work"):
            if held := store.orphans():
                say(f"{held} verifications of a killed server are queued again")
            running = Children(options.store, _commands(options, work))
            with _listen(options.host, options.port) as listener, running as children:
                app = create_app(
                    store, options.store, work, limits=limits, behind_proxy=options.behind_proxy, wake=children.wake
                )
                config = uvicorn.Config(
                    app,
                    http=protocol(limits),
                    ws="none",
                    proxy_headers=False,
                    server_header=False,
                    access_log=False,
                    log_config=None,
                    limit_concurrency=limits.connections,
                    h11_max_incomplete_event_size=limits.header_bytes,
                    timeout_graceful_shutdown=GRACE,
                )
                for number in (signal.SIGINT, signal.SIGTERM):  # uvicorn raises them anew once it has ended in order
                    signal.signal(number, lambda *_: None)
                host, port = listener.getsockname()[:2]
                host = f"[{host}]" if ":" in host else host
                say(f"serving {shown(options.store)} on http://{host}:{port}/ (Ctrl-C ends it)")
                uvicorn.Server(config).run(sockets=[listener])


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise UsageError(
            f"cannot listen on {host}:{port} ({error.strerror}); choose another --host or --port"
        ) from None


def _commands(options: Options, work: Path) -> list[list[str]]:
    known = ["--answers", str(work / "answers"), *(["--data", str(options.data.absolute())] if options.data else [])]
    worker = ["leaderboard.server.worker", *known]
    worker += ["--memory-mb", str(options.verify_memory_mb), "--seconds", str(options.verify_seconds)]
    publisher = ["leaderboard.server.publisher", "--out", str(work / "pages"), *known]
    return [publisher, *[worker] * options.workers]
