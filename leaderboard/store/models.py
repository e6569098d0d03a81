"""The tables: times are UTC as fixed-width text, JSON keeps its order, so that both engines hold and sort the same."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Dialect, Double, ForeignKey, Integer, LargeBinary, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

TEXT = Text().with_variant(Text(collation="C"), "postgresql")
"""Sorted by code point, as SQLite does; a database's own collation is another on every machine."""


class Json(TypeDecorator[Any]):
    """JSON as text that comes back as it went in, order and floats included. NaN is refused: it is not JSON."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str:
        return dumps(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        return json.loads(value)


def dumps(value: Any) -> str:
    """ASCII, so that no database trips over a NUL or half of a surrogate pair."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def now() -> str:
    return stamp(datetime.now(UTC))


def stamp(moment: datetime) -> str:
    """A time as it is stored: stamps sort as the times do."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


class Base(DeclarativeBase):
    type_annotation_map = {str: TEXT, int: Integer, float: Double, bytes: LargeBinary, Any: Json}  # noqa: RUF012


class Token(Base):
    """A key to the server. `hash` is the sha256 of its secret (256 random bits), which is kept nowhere."""

    __tablename__ = "tokens"

    id: Mapped[str] = mapped_column(primary_key=True)
    hash: Mapped[str]
    scopes: Mapped[Any]
    label: Mapped[str]
    created: Mapped[str]
    expires: Mapped[str]
    revoked: Mapped[str | None]
    used: Mapped[str | None]


class Submission(Base):
    """A bundle that was received. `state`: received, verifying, accepted, refused or withdrawn.

    `badge` is "" until accepted. `leased` is when a verification that has not ended counts as killed, and `attempts`
    how many were begun. What describes the encoder is {} until a verification has read it.
    """

    __tablename__ = "submissions"

    id: Mapped[str] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(unique=True)
    state: Mapped[str] = mapped_column(index=True)
    badge: Mapped[str] = mapped_column(default="")
    suite: Mapped[str] = mapped_column(default="")
    metadata_: Mapped[Any] = mapped_column("metadata", default=dict)
    encoder: Mapped[Any] = mapped_column(default=dict)
    config: Mapped[Any] = mapped_column(default=dict)
    provenance: Mapped[Any] = mapped_column(default=dict)
    faults: Mapped[Any] = mapped_column(default=list)
    flags: Mapped[Any] = mapped_column(default=list)
    notes: Mapped[Any] = mapped_column(default=list)
    created: Mapped[str]
    verified: Mapped[str | None]
    leased: Mapped[str | None]
    token_id: Mapped[str | None] = mapped_column(ForeignKey("tokens.id"))
    attempts: Mapped[int] = mapped_column(default=0)
    throughput: Mapped[Any] = mapped_column(default=dict)


class Sheet(Base):
    """The units of a task's main metric: `units` is JSON [keys, clusters], sorted by key; `units_hash` its sha256."""

    __tablename__ = "sheets"

    task: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    data_hash: Mapped[str] = mapped_column(primary_key=True)
    created: Mapped[str]
    units: Mapped[bytes]
    units_hash: Mapped[str]


class Score(Base):
    """One task of an accepted submission. `unit_values` is float64 little endian [U], in the order of the sheet."""

    __tablename__ = "scores"

    submission_id: Mapped[str] = mapped_column(ForeignKey("submissions.id"), primary_key=True)
    task: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int]
    data_hash: Mapped[str]
    metric: Mapped[str]
    value: Mapped[float]
    low: Mapped[float]
    high: Mapped[float]
    chance: Mapped[float]
    n: Mapped[int]
    clusters: Mapped[int]
    interval: Mapped[str]
    numbers: Mapped[Any]
    unit_values: Mapped[bytes]
    units_hash: Mapped[str]


class Fingerprint(Base):
    """How an accepted submission ranked all its tasks (`leaderboard.copies.encode`), to find copies of it."""

    __tablename__ = "fingerprints"

    submission_id: Mapped[str] = mapped_column(ForeignKey("submissions.id"), primary_key=True)
    prints: Mapped[bytes]


class Challenge(Base):
    """A secret set of questions, used once. `state`: open, scored. `seed` may be shown only once it expired.

    `result` is {} until scored; then at least public, challenge, gap, low and high.
    """

    __tablename__ = "challenges"

    id: Mapped[str] = mapped_column(primary_key=True)
    seed: Mapped[str]
    tasks: Mapped[Any]
    created: Mapped[str]
    expires: Mapped[str]
    state: Mapped[str]
    used: Mapped[str | None]
    used_by: Mapped[str | None] = mapped_column(ForeignKey("submissions.id"))
    result: Mapped[Any] = mapped_column(default=dict)


class Event(Base):
    """An entry of the audit log; triggers refuse to change or delete it. `digest` covers it and `previous`."""

    __tablename__ = "events"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[str]
    actor: Mapped[str]
    action: Mapped[str]
    subject: Mapped[str]
    detail: Mapped[Any]
    previous: Mapped[str]
    digest: Mapped[str]
