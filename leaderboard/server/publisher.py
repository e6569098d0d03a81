"""The publisher: writes the board and the pages whenever the store changed, beside the server and never in a request.

    python -m leaderboard.server.publisher [--store DIR|URL] --out FOLDER

A publication is a folder of its own; `current.json` names it once it is whole, and two older ones stay for readers.
"""

from __future__ import annotations

import argparse
import logging
import os
import secrets
import time
from pathlib import Path

from fuselip.core.files import read_json, write_json
from fuselip.core.provenance import provenance
from leaderboard.server.children import STORE, Bell
from leaderboard.server.gateway import Gate
from leaderboard.server.pages import CURRENT, MANIFEST, listed, prune

LOG = logging.getLogger("leaderboard.publisher")
PAUSE = 2.0
REST = 5.0
"""Seconds between two publications at least: a rush of submissions is published a few times, not at each."""
_KEPT = 3


def publish(gate: Gate, out: Path) -> str:
    """Publish what the store holds now; the version published."""
    from leaderboard import board, compose, reported
    from leaderboard.site import build

    version, name = gate.version(), f"{time.time_ns():020d}-{secrets.token_hex(4)}"
    out.mkdir(parents=True, exist_ok=True)
    folder = out / name
    # Of this process, a stranger is told what made the board, not the command, folders or machine.
    made = {key: value for key, value in provenance().items() if key in ("fuselip", "commit", "created")}
    document = compose.compose(gate.store.rows(), gate.store.units(), reported.paper(), made=made)
    build(document, folder)
    (folder / "api").mkdir()
    (folder / "api" / "board.json").write_bytes(board.to_json(document))
    write_json(folder / MANIFEST, listed(folder))
    write_json(out / CURRENT, {"folder": name, "version": f"{version}-{name}"})
    prune(out, set(sorted(path.name for path in out.iterdir() if path.is_dir())[-_KEPT:]))
    return version


def run(store: str, out: Path) -> None:
    """Publish at the start, and after every change, until told to stop."""
    from leaderboard.store import Store

    gate, bell, done = Gate(Store.open(store)), Bell(), published(out)
    while not bell.stopped:
        if gate.version() != done:
            began = time.monotonic()
            done = publish(gate, out)
            LOG.info("published %s in %.1f s", done, time.monotonic() - began)
            bell.wait(REST)
        bell.wait(PAUSE)


def published(out: Path) -> str | None:
    """The version that stands in `out`, by this very code; None for none."""
    current = out / CURRENT
    return read_json(current)["version"].partition("-")[0] if current.exists() else None


def main() -> None:
    parser = argparse.ArgumentParser(description="Publish the board.")
    parser.add_argument("--store", default=os.environ.get(STORE))
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    run(given.store, given.out)


if __name__ == "__main__":
    main()
