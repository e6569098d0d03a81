"""A process of its own for each call of img2dataset: it prints, installs signal handlers, and starts more processes.

Run as `python -m datagen.fetch.worker CALL.json`.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
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


if __name__ == "__main__":
    try:
        run(json.loads(Path(sys.argv[1]).read_text("utf-8")))
    except UserError as error:
        sys.exit(f"error: {error}")
