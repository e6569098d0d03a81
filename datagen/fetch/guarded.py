"""img2dataset's downloader with our guard around it: what its worker processes run instead of its own.

It is pickled to workers that start afresh, so the opener must be installed where the downloading is done. An image is
decoded by our rules (formats allowed, size, damage) before img2dataset may touch it.
"""

from __future__ import annotations

import importlib
import io
import urllib.request
from typing import Any

from datagen.fetch.guard import Limits, opener
from fuselip.core import images
from fuselip.core.errors import UserError


class Guarded:
    """Takes the arguments of img2dataset's Downloader, and is called with a shard as that is."""

    def __init__(self, limits: Limits, **options: Any) -> None:
        options["resizer"] = Checked(options["resizer"])
        self._limits = limits
        self._inner = importlib.import_module("img2dataset.downloader").Downloader(**options)

    def __call__(self, row: Any) -> Any:
        urllib.request.install_opener(opener(self._limits))
        return self._inner(row)


class Checked:
    """A resizer that refuses what `fuselip.core.images` would refuse later."""

    def __init__(self, resizer: Any) -> None:
        self._resizer = resizer

    def __call__(self, stream: io.BytesIO, boxes: Any = None) -> tuple[Any, ...]:
        """(bytes, width, height, original width, original height, error), as img2dataset has it."""
        try:
            images.decode_bytes(stream.getvalue(), "it")
        except UserError as error:
            return None, None, None, None, None, str(error)
        return tuple(self._resizer(stream, boxes))
