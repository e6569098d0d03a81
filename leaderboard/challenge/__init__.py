"""Challenges: fresh questions of the tasks that are drawn, asked once, so that a public score can be believed.

`make` writes one from a secret seed, `benchmarks.challenge` answers it, `score` compares it with the public score; once
it has expired its seed is published, and anybody can derive the very file again. `sign` holds what needs a secret,
`kept` keeps challenges in the store.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec

from fuselip.core.errors import UserError


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What the server keeps of a challenge. Questions and answers are not kept: they follow from the seed.

    `seed`: 64 hex digits, secret until `expires`. `questions`: the most of a task, None for all. `content`: sha256 of
    what was signed. `used_by`: the submission, once it was answered for one; `outcome` then too.
    """

    id: str
    seed: str
    tasks: tuple[str, ...]
    questions: int | None
    created: str
    expires: str
    content: str
    used_by: str | None = None
    outcome: dict[str, Any] | None = None

    def expired(self, now: datetime) -> bool:
        return now >= instant(self.expires)

    def state(self, now: datetime) -> str:
        """ "open", "used" or "expired"."""
        return "used" if self.used_by is not None else "expired" if self.expired(now) else "open"


class Challenges(Protocol):
    """What challenges need of the store."""

    def challenge_key(self) -> bytes:
        """The server's secret key of at least 32 bytes, made at the first call and kept."""
        ...

    def challenge_add(self, record: Record) -> None: ...

    def challenge(self, id: str) -> Record | None: ...

    def challenges(self) -> list[Record]:
        """All, in the order in which they were made."""
        ...

    def challenge_use(self, id: str, submission: str, outcome: dict[str, Any], now: datetime) -> bool:
        """Keep who answered and the outcome, unless somebody has answered before: then False."""
        ...


class Revealed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is published after expiry: all that the file was made of, but the server's key."""

    id: str
    seed: str
    tasks: tuple[str, ...]
    questions: int | None


def stamp(at: datetime) -> str:
    """A time in UTC to the second, as "2026-01-31T23:59:59Z"."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def instant(text: str) -> datetime:
    """The time that `stamp` wrote."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def reveal(record: Record, now: datetime) -> Revealed:
    """Raises UserError before the challenge has expired: whoever holds the seed holds the answers."""
    if not record.expired(now):
        raise UserError(f"challenge {record.id} is open until {record.expires}; its seed is published after that")
    return Revealed(record.id, record.seed, record.tasks, record.questions)
