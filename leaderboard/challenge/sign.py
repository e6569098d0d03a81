"""What needs a secret: opaque ids from the seed, the commitment to it, and the server's signature of a challenge."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence

from benchmarks.challenge_file import canonical

SEED_BYTES = 32


def new_seed() -> bytes:
    """256 bits of the system's randomness."""
    return secrets.token_bytes(SEED_BYTES)


def keyed(secret: bytes, *parts: str) -> str:
    """64 hex digits that tell nothing of the parts to whoever lacks the secret (HMAC-SHA256)."""
    return hmac.new(secret, canonical(list(parts)), hashlib.sha256).hexdigest()


def opaque(seed: bytes, *parts: str) -> str:
    """An id of 128 bits."""
    return keyed(seed, "id", *parts)[:32]


def questions_seed(seed: bytes) -> int:
    """The seed of the scenes, as large as the secret; ids do not lead to it, nor it to ids."""
    return int(keyed(seed, "questions"), 16)


def commitment(seed: bytes, tasks: Sequence[str], questions: int | None) -> str:
    """Told with the challenge: the server cannot name another seed afterwards."""
    return hashlib.sha256(canonical([seed.hex(), list(tasks), questions])).hexdigest()


def signature(key: bytes, id: str, expires: str, content: str) -> str:
    """The server's HMAC-SHA256 of a challenge; `content` is the sha256 of all of challenge.json but the signature."""
    return keyed(key, "challenge", id, expires, content)


def is_signature(given: str, key: bytes, id: str, expires: str, content: str) -> bool:
    """In constant time, so that nobody learns by trying how much of a forged one is right."""
    return hmac.compare_digest(given.encode(), signature(key, id, expires, content).encode())
