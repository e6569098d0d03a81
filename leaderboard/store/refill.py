"""Refilling: what an older revision of the schema had no place for, computed again from the bundles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from fuselip.core.errors import UserError
from leaderboard.store.database import Database
from leaderboard.store.models import Fingerprint, Submission
from leaderboard.store.submissions import log

if TYPE_CHECKING:
    from leaderboard.answers import Book

_ACCEPTED = ("accepted", "withdrawn")


class Refills(Database):
    """Fingerprints and measured throughput."""

    def refill(self, book: Book) -> tuple[int, dict[str, str]]:
        """Every accepted submission without them, one transaction each: (how many were filled, {id: why not}).

        Killed, it goes on where it was at the next call; where nothing lacks it costs one query. Scores, badges and
        states stay as they are.
        """
        lacking = select(Submission.id, Submission.sha256).where(
            Submission.state.in_(_ACCEPTED), Submission.id.not_in(select(Fingerprint.submission_id))
        )
        with self.reading() as session:
            found = session.execute(lacking.order_by(Submission.created, Submission.id)).all()
        left = {}
        for id, sha256 in found:
            try:
                self._refill(id, sha256, book)
            except UserError as error:
                left[id] = str(error)
        return len(found) - len(left), left

    def _refill(self, id: str, sha256: str, book: Book) -> None:
        from leaderboard import bundle
        from leaderboard.copies import encode
        from leaderboard.verify import verify

        held = bundle.read(self.bundle_path(sha256))
        verdict = verify(held, book)
        if verdict.faults:
            raise UserError(f"it can no longer be verified: {verdict.faults[0]}")
        with self.writing() as session:
            if session.get(Fingerprint, id) is not None:  # another process was faster
                return
            session.get_one(Submission, id).throughput = dict(held.throughput)
            session.add(Fingerprint(submission_id=id, prints=encode(verdict.prints)))
            log(session, "store", "refilled", id, {"tasks": len(verdict.prints)})
