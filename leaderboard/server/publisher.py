"""The publisher: writes the board and the pages whenever the store changed, beside the server and never in a request.

    python -m leaderboard.server.publisher [--store DIR|URL] --out FOLDER --answers DIR [--data DIR]

A publication is a folder of its own; `current.json` names it once it is whole, and two older ones stay for readers.
"""

from __future__ import annotations

import argparse
import logging
import os
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING

from fuselip.core.files import write_json
from leaderboard.server.children import STORE, Bell, log
from leaderboard.server.gateway import Gate
from leaderboard.server.pages import CURRENT, MANIFEST, listed, prune

if TYPE_CHECKING:
    from leaderboard.site.drill import Drill

LOG = logging.getLogger("leaderboard.publisher")
PAUSE = 2.0
REST = 5.0
"""Seconds between two publications at least: a rush of submissions is published a few times, not at each."""
DRILL = 15.0
"""Seconds of one publication for questions that are to be looked at anew."""
_KEPT = 3


def publish(gate: Gate, out: Path, drill: Drill | None = None, seconds: float = 0.0) -> str:
    """Publish what the store holds now; the version published. `seconds` are for questions that changed."""
    from leaderboard import board
    from leaderboard.site import build
    from leaderboard.site.sources import challenge_log, composed

    version, name = gate.version(), f"{time.time_ns():020d}-{secrets.token_hex(4)}"
    out.mkdir(parents=True, exist_ok=True)
    folder = out / name
    document = composed(gate.store)
    build(document, folder, drill.questions(document, seconds) if drill else (), challenge_log(gate.store))
    (folder / "api").mkdir()
    (folder / "api" / "board.json").write_bytes(board.to_json(document))
    write_json(folder / MANIFEST, listed(folder))
    write_json(out / CURRENT, {"folder": name, "version": f"{version}-{name}"})
    prune(out, set(sorted(path.name for path in out.iterdir() if path.is_dir())[-_KEPT:]))
    return version


def run(store: str, out: Path, answers: Path, data: Path | None) -> None:
    """Publish at the start, and after every change, until told to stop.

    A change is published at once, with what is kept of the drill-down; where rows changed it follows, bit by bit.
    """
    from leaderboard.site.drill import Drill
    from leaderboard.store import Store

    gate, bell, done = Gate(Store.open(store)), Bell(), None
    drill = Drill(gate.store, answers, data, out.with_name(f"{out.name}-questions"))
    while not bell.stopped:
        changed = gate.version() != done
        if changed or drill.behind:
            began = time.monotonic()
            done = publish(gate, out, drill, 0.0 if changed else DRILL)
            LOG.info("published %s in %.1f s", done, time.monotonic() - began)
            bell.wait(REST)
        else:
            bell.wait(PAUSE)


def main() -> None:
    parser = argparse.ArgumentParser(description="Publish the board.")
    parser.add_argument("--store", default=os.environ.get(STORE))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--answers", type=Path, required=True)
    parser.add_argument("--data", type=Path)
    given = parser.parse_args()
    log()
    run(given.store, given.out, given.answers, given.data)


if __name__ == "__main__":
    main()
