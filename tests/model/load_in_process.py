"""Loads the tiny model as told by JSON on the command line, in a process of its own: the hub's client reads its
environment when it is imported. Writes one JSON object for each load."""

from __future__ import annotations

import json
import sys
import time

import tiny

from fuselip.core.errors import UserError
from fuselip.model.weights import load_weights

tiny.register()
for options in json.loads(sys.argv[1]):
    started = time.perf_counter()
    try:
        _, record = load_weights(tiny.NAME, **options)
        told = {"source": record.source, "note": record.note, "revision": record.revision, "sha256": record.sha256}
    except UserError as error:
        told = {"source": "error", "note": str(error)}
    sys.stdout.write(json.dumps(told | {"seconds": time.perf_counter() - started}) + "\n")
    sys.stdout.flush()
