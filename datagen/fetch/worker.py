"""A process of its own for each call of img2dataset: it prints, installs signal handlers, and starts more processes.

Run as `python -m datagen.fetch.worker CALL.json`.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

from datagen.fetch.guard import Limits
from datagen.fetch.guarded import Guarded
from fuselip.core.errors import UserError


def run(call: dict[str, Any]) -> None:
    """img2dataset.download(**options), downloading through `Guarded`. UserError where that cannot be made sure."""
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
    module: Any = importlib.import_module("img2dataset.main")
    downloader = importlib.import_module("img2dataset.downloader")
    if (
        "Downloader" not in module.download.__code__.co_names
        or "urlopen" not in downloader.download_image.__code__.co_names
    ):
        raise UserError("this version of img2dataset works in another way than the one we guard; install 1.47")
    module.Downloader = partial(Guarded, Limits(**call["limits"]))
    module.download(**call["options"])


def die_with_parent() -> None:
    """Watch the parent in a thread: when it is gone, end this process group, so that no download outlives its lock."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    die_with_parent()
    try:
        run(json.loads(Path(sys.argv[1]).read_text("utf-8")))
    except UserError as error:
        sys.exit(f"error: {error}")
