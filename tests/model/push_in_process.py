"""Publishes fuselip-tiny from a folder, in a process whose hub is the one in HF_ENDPOINT: what test_pretrained.py runs.

Arguments: the checkpoint folder, the repository, "private" or "public". Writes {"commit"} or {"error"} as JSON.
"""

from __future__ import annotations

import json
import sys

import tiny

import fuselip
from fuselip.core.errors import UserError

tiny.register()
encoder = fuselip.load(tiny.NAME, weights=sys.argv[1], device="cpu")
try:
    told = {"commit": encoder.push_to_hub(sys.argv[2], private=sys.argv[3] == "private")}
except UserError as error:
    told = {"error": str(error)}
sys.stdout.write(json.dumps(told) + "\n")
