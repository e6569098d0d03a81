"""The gateway: what the API and the worker ask of the store, with the store's refusals as the API tells them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leaderboard.server.errors import ApiError
from leaderboard.server.uploads import Upload

if TYPE_CHECKING:
    from leaderboard.store import Store, Submission, Token

_QUIET = ("received", "claimed", "released", "refused", "token created", "token revoked")
"""Entries of the audit log after which the board is what it was."""


class Gate:
    """The store of one server."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def check(self, text: str, scope: str) -> Token:
        """The token that `text` is. Raises ApiError: 403 for its scope, else 401; never which tokens there are."""
        from leaderboard.store import TokenError

        try:
            return self.store.token_check(text, scope)
        except TokenError as error:
            mend = "ask the maintainer of this leaderboard for a token with that scope"
            if error.reason == "scope":
                raise ApiError(403, "token_scope", f"the token may not {scope}", mend, "header Authorization") from None
            said = f"the token {'is' if error.reason == 'unknown' else 'has' if error.reason == 'expired' else 'was'} "
            said += error.reason
            challenge = {"WWW-Authenticate": "Bearer"}
            where = "header Authorization"
            raise ApiError(
                401, f"token_{error.reason}", said, "ask the maintainer for another", where, challenge
            ) from None

    def receive(self, upload: Upload, token: Token) -> Submission:
        """Keep the upload. The same again from its owner is the same submission; from another, ApiError (409)."""
        self._own(self.store.find(upload.sha256), token)
        found = self.store.receive(upload.path, token)
        self._own(found, token)  # of two owners that send the same at once, one comes first
        return found

    @staticmethod
    def _own(found: Submission | None, token: Token) -> None:
        if found is not None and found.token_id != token.id:
            mend = "send what your own run gave; use the token it was first sent with to send it again"
            raise ApiError(409, "replayed", "this very bundle was submitted with another token", mend, "body")

    def waiting(self) -> int:
        """Submissions without a verdict."""
        from sqlalchemy import func, select

        from leaderboard.store import Submission

        wanted = select(func.count()).where(Submission.state.in_(("received", "verifying")))
        with self.store.reading() as session:
            return session.scalar(wanted) or 0

    def version(self) -> str:
        """Changes whenever the board may have."""
        from sqlalchemy import func, select

        from leaderboard.store import Event

        with self.store.reading() as session:
            return str(session.scalar(select(func.max(Event.number)).where(Event.action.not_in(_QUIET))) or 0)
