"""Leases: which process verifies which submission, and how one that a killed process held is taken up again."""

from __future__ import annotations

import os
import re
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import func, or_, select

from leaderboard.store.database import Database
from leaderboard.store.models import Event, Submission, now, stamp
from leaderboard.store.submissions import log, refused
from leaderboard.types import Fault

LEASE = 900.0
"""Seconds that a verification may take before it counts as killed and another worker takes it up."""

ATTEMPTS = 3
"""Verifications that may be killed before the submission is refused: one that kills them all is not tried for ever."""

_CLAIMED = "claimed"
_HOLDER = re.compile(r".* (\S+):(\d+):(\d+)")


class Leases(Database):
    """The queue of submissions without a verdict. The audit log says who claimed each: "NAME HOST:PID:START"."""

    def claim(self, id: str | None = None, *, seconds: float = LEASE, worker: str = "worker") -> Submission | None:
        """The longest waiting submission, or that one, now ours to verify for `seconds`; None where nothing waits.

        One whose verification was killed waits again when its lease is over; after ATTEMPTS it is refused.
        """
        while True:
            with self.writing() as session:
                found = session.scalar(_waiting(id).with_for_update(skip_locked=True))
                if found is None:
                    return None
                if found.attempts < ATTEMPTS:
                    found.state, found.attempts = "verifying", found.attempts + 1
                    found.leased = stamp(datetime.now(UTC) + timedelta(seconds=seconds))
                    log(session, f"{worker} {_process(os.getpid())}", _CLAIMED, found.id, {"attempt": found.attempts})
                    return found
                what = f"did not end in {ATTEMPTS} attempts: it was killed, for its memory or its time"
                refused(session, found, [Fault("verification", what, "submit fewer tasks, or ask the maintainer")], "")

    def release(self, id: str, why: str, *, counts: bool = True, worker: str = "worker") -> None:
        """Give a claimed submission back, for another; `counts`: as an attempt. Nothing where it has a verdict."""
        with self.writing() as session:
            found = session.get(Submission, id, with_for_update=True)
            if found is None or found.state != "verifying":
                return
            found.state, found.leased = "received", None
            found.attempts -= not counts
            log(session, worker, "released", id, {"why": why, "attempt": found.attempts})

    def orphans(self) -> int:
        """Release at once, before their leases end, what processes of this machine held that are gone; how many.

        What another machine's processes hold is left to its lease: nobody here can tell whether they live.
        """
        claims = select(func.max(Event.number).label("number")).where(Event.action == _CLAIMED).group_by(Event.subject)
        newest = claims.subquery()
        wanted = (
            select(Submission.id, Event.actor)
            .join(Event, Event.subject == Submission.id)
            .join(newest, newest.c.number == Event.number)
        )
        with self.reading() as session:
            held = session.execute(wanted.where(Submission.state == "verifying")).all()
        gone = [id for id, actor in held if _is_gone(actor)]
        for id in gone:
            self.release(id, "the process that verified it was killed")
        return len(gone)


def _waiting(id: str | None) -> Any:
    killed = (Submission.state == "verifying") & (Submission.leased < now())
    wanted = select(Submission).where(or_(Submission.state == "received", killed))
    if id is not None:
        wanted = wanted.where(Submission.id == id)
    return wanted.order_by(Submission.created, Submission.id).limit(1)


def _process(pid: int) -> str:
    """A process, told apart from a later one of the same number by its start."""
    return f"{socket.gethostname()}:{pid}:{_start(pid)}"


def _start(pid: int) -> int:
    """In ticks since the machine's start; 0 where there is no such process, or it has ended and was not yet reaped."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return 0 if state == "Z" else int(fields[18])


def _is_gone(actor: str) -> bool:
    found = _HOLDER.fullmatch(actor)
    return found is not None and found[1] == socket.gethostname() and _start(int(found[2])) != int(found[3])
