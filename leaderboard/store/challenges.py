"""Challenges as the store keeps them: each is used once, in time, and a submission may try a few."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from fuselip.core.errors import UserError
from leaderboard.store.database import Database
from leaderboard.store.models import Challenge, Submission, now, stamp
from leaderboard.store.submissions import log
from leaderboard.types import Badge

TRIES = 3
"""Challenges that a submission may answer in SPAN: who may try without end gets through by luck."""

SPAN = timedelta(days=7)


class Challenges(Database):
    """What is asked in one, and how it is signed and scored, is `leaderboard.challenge`'s."""

    def challenge_add(self, id: str, seed: str, tasks: Any, expires: str, *, actor: str = "store") -> Challenge:
        """A new one, open until `expires` (as `models.stamp` writes times). The seed is secret until then."""
        made = Challenge(id=id, seed=seed, tasks=tasks, created=now(), expires=expires, state="open", result={})
        with self.writing() as session:
            session.add(made)
            log(session, actor, "challenge made", id, {"expires": expires})
        return made

    def challenge_settle(
        self,
        id: str,
        submission: str,
        result: Mapping[str, Any],
        *,
        award: bool = False,
        tries: int = TRIES,
        actor: str = "store",
    ) -> Challenge:
        """Its one use, what came of it (at least public, challenge, gap, low, high) and the badge, all or nothing.

        `award`: a submission that is "consistent" becomes "challenged". Raises UserError where the challenge was used,
        has expired or is not there, where the submission is not accepted, or where it has no try left.
        """
        with self.writing() as session:
            # The submission first, and locked: of two answers of its at once, the second counts the first.
            answering = session.get(Submission, submission, with_for_update=True)
            if answering is None or answering.state != "accepted":
                raise UserError(f"there is no accepted submission {submission[:80]!r}")
            found = self._challenge(session, id)
            if found.state != "open":
                raise UserError(f"challenge {id} was used before, and may be used once; ask for another")
            if found.expires <= now():
                raise UserError(f"challenge {id} expired on {found.expires[:16]}; ask for another")
            before = _recent(session, submission)
            _check_tries(submission, before, tries)
            found.state, found.used, found.used_by, found.result = "scored", now(), submission, dict(result)
            log(session, actor, "challenge scored", id, {"submission": submission, "try": len(before) + 1})
            if award and answering.badge == Badge.CONSISTENT:
                answering.badge = Badge.CHALLENGED.value
                log(session, actor, "awarded", submission, {"badge": answering.badge, "before": "consistent"})
            return found

    def challenge_tries(self, submission: str, tries: int = TRIES) -> None:
        """Raises UserError, with the time of the next, where the submission has no try left now."""
        with self.reading() as session:
            _check_tries(submission, _recent(session, submission), tries)

    def challenge(self, id: str) -> Challenge:
        """Raises UserError where there is none. Its seed is not to be shown before it expires."""
        with self.reading() as session:
            return self._challenge(session, id, lock=False)

    def challenges(self) -> Sequence[Challenge]:
        """Oldest first."""
        with self.reading() as session:
            return session.scalars(select(Challenge).order_by(Challenge.created, Challenge.id)).all()

    @staticmethod
    def _challenge(session: Session, id: str, lock: bool = True) -> Challenge:
        found = session.get(Challenge, id, with_for_update=lock)
        if found is None:
            raise UserError(f"there is no challenge {id[:80]!r}")
        return found


def _recent(session: Session, submission: str) -> Sequence[str]:
    """When the submission answered challenges within SPAN, oldest first."""
    since = stamp(datetime.now(UTC) - SPAN)
    wanted = select(Challenge.used).where(Challenge.used_by == submission, Challenge.used > since)
    return [used for used in session.scalars(wanted.order_by(Challenge.used)) if used is not None]


def _check_tries(submission: str, before: Sequence[str], tries: int) -> None:
    if len(before) >= tries:
        after = datetime.fromisoformat(before[-tries]) + SPAN
        raise UserError(
            f"submission {submission} has answered {len(before)} challenges within {SPAN.days} days, and {tries} "
            f"count; the next may be answered after {stamp(after)[:16].replace('T', ' ')} UTC"
        )
