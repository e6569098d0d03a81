"""The audit log: who did what to what, each entry chained to the one before by its digest; it only grows."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, insert, select, text

from fuselip.core.errors import UserError
from leaderboard.store.models import Event, dumps, now

FIRST = "0" * 64
"""What the first entry has for a previous digest."""

_FIELDS = ("number", "at", "actor", "action", "subject", "detail", "previous")


def append(connection: Connection, actor: str, action: str, subject: str, detail: Mapping[str, Any]) -> None:
    """One more entry, in the caller's transaction: the last statement of it, since other writers wait for its end."""
    if connection.dialect.name == "postgresql":  # a writer of SQLite holds the whole database already
        connection.execute(text("LOCK TABLE events IN EXCLUSIVE MODE"))
    last = connection.execute(select(Event.number, Event.digest).order_by(Event.number.desc()).limit(1)).first()
    row = {
        "number": last.number + 1 if last else 1,
        "at": now(),
        "actor": actor,
        "action": action,
        "subject": subject,
        "detail": dict(detail),
        "previous": last.digest if last else FIRST,
    }
    connection.execute(insert(Event).values(**row, digest=digest(row)))


def digest(row: Mapping[str, Any]) -> str:
    """sha256 over everything that an entry says, and over the digest before it."""
    return hashlib.sha256(dumps([row[name] for name in _FIELDS]).encode()).hexdigest()


def verify(connection: Connection) -> tuple[int, str]:
    """(number of entries, last digest) of a log that is whole. Raises UserError that names the first entry that is not.

    That the newest entries were cut off shows only beside a last digest noted elsewhere: every export notes it.
    """
    number, previous = 0, FIRST
    for found in connection.execute(select(Event.__table__).order_by(Event.number)).mappings():
        number += 1
        if found["number"] != number or found["previous"] != previous or found["digest"] != digest(dict(found)):
            raise UserError(
                f"the audit log was changed at entry {found['number']}: it does not follow from the entries before; "
                "compare with an earlier export or backup"
            )
        previous = found["digest"]
    return number, previous
