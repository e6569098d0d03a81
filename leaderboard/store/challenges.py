"""Challenges as the store keeps them: each is used once, in time, and scored once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select

from fuselip.core.errors import UserError
from leaderboard.store import journal
from leaderboard.store.database import Database
from leaderboard.store.models import Challenge, Submission, now


class Challenges(Database):
    """What is asked in one, and how it is signed and scored, is `leaderboard.challenge`'s."""

    def challenge_add(self, id: str, seed: str, tasks: Any, expires: str, *, actor: str = "store") -> Challenge:
        """A new one, open until `expires` (as `models.stamp` writes times). The seed is secret until then."""
        made = Challenge(id=id, seed=seed, tasks=tasks, created=now(), expires=expires, state="open", result={})
        with self.writing() as session:
            session.add(made)
            session.flush()
            journal.append(session.connection(), actor, "challenge made", id, {"expires": expires})
        return made

    def challenge_use(self, id: str, submission: str, *, actor: str = "store") -> Challenge:
        """Take its one use for a submission. Raises UserError where it was used, has expired, or is not there."""
        with self.writing() as session:
            found = self._challenge(session, id)
            if found.state != "open":
                raise UserError(f"challenge {id} was used before, and may be used once; ask for another")
            if found.expires <= now():
                raise UserError(f"challenge {id} expired on {found.expires[:16]}; ask for another")
            if session.get(Submission, submission) is None:
                raise UserError(f"there is no submission {submission[:80]!r}")
            found.state, found.used, found.used_by = "used", now(), submission
            session.flush()
            journal.append(session.connection(), actor, "challenge used", id, {"submission": submission})
            return found

    def challenge_score(self, id: str, result: Mapping[str, Any], *, actor: str = "store") -> Challenge:
        """What came of it: at least public, challenge, gap, low and high. Raises UserError unless it was just used."""
        with self.writing() as session:
            found = self._challenge(session, id)
            if found.state != "used":
                raise UserError(f"challenge {id} is {found.state}, not used and waiting for its score")
            found.state, found.result = "scored", dict(result)
            session.flush()
            journal.append(session.connection(), actor, "challenge scored", id, {"submission": found.used_by})
            return found

    def challenge(self, id: str) -> Challenge:
        """Raises UserError where there is none. Its seed is not to be shown before it expires."""
        with self.reading() as session:
            return self._challenge(session, id, lock=False)

    def challenges(self) -> Sequence[Challenge]:
        """Oldest first."""
        with self.reading() as session:
            return session.scalars(select(Challenge).order_by(Challenge.created, Challenge.id)).all()

    @staticmethod
    def _challenge(session: Any, id: str, lock: bool = True) -> Challenge:
        found = session.get(Challenge, id, with_for_update=lock)
        if found is None:
            raise UserError(f"there is no challenge {id[:80]!r}")
        return found
