"""Seeds derived from names, so that no draw depends on what ran before it."""

from __future__ import annotations

import hashlib

import numpy as np


def derive(*parts: str | int) -> int:
    """A 63-bit seed from the parts; the same on every machine and Python version."""
    digest = hashlib.sha256("\x1f".join(str(part) for part in parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(*parts: str | int) -> np.random.Generator:
    return np.random.default_rng(derive(*parts))
