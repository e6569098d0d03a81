"""What the tests of challenges share: cheap encoders, challenges in memory, and small challenges that were made."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from benchmarks.challenge import respond
from benchmarks.challenge_file import Response, Vectors, read_challenge, write_response
from benchmarks.encoders import adapt
from leaderboard.challenge import Record
from leaderboard.challenge.make import make

KEY, SEED = b"k" * 32, bytes(range(32))
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
SOON = datetime(2026, 1, 1, 13, tzinfo=UTC)
LATE = datetime(2026, 1, 2, 13, tzinfo=UTC)
TASKS = ("scenes/winoground", "scenes/position", "scenes/zero-shot-count", "tgit-scenes/flip")
EXAMPLE = Path(__file__).parents[2] / "examples" / "my_encoder.py"


def my_encoder() -> Any:
    """The encoder of examples/my_encoder.py."""
    spec = spec_from_file_location("lb_my_encoder", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.MyEncoder()


@cache
def made(tasks: tuple[str, ...] = TASKS, questions: int | None = 12, seed: bytes = SEED) -> tuple[bytes, Record]:
    return make(seed, KEY, tasks, questions, NOW, 24)


@cache
def answered(send: Any = "scores", submission: str = "sub") -> tuple[Response, Vectors | None]:
    """The example's response to `made()`."""
    told, pictures = read_challenge(made()[0], "made")
    return respond(adapt(my_encoder()), told, pictures, submission, send, now=SOON)


def response_bytes(send: Any = "scores", submission: str = "sub") -> bytes:
    return write_response(*answered(send, submission))


class InMemory:
    """`leaderboard.challenge.Challenges` that a process forgets."""

    def __init__(self, *records: Record) -> None:
        self.held = {record.id: record for record in records}

    def challenge_key(self) -> bytes:
        return KEY

    def challenge_add(self, record: Record) -> None:
        self.held[record.id] = record

    def challenge(self, id: str) -> Record | None:
        return self.held.get(id)

    def challenges(self) -> list[Record]:
        return list(self.held.values())

    def challenge_use(self, id: str, submission: str, outcome: dict[str, Any], now: datetime) -> bool:
        if self.held[id].used_by is not None:
            return False
        values = {name: getattr(self.held[id], name) for name in Record.__struct_fields__}
        self.held[id] = Record(**{**values, "used_by": submission, "outcome": outcome})
        return True
