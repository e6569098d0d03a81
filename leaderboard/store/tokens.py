"""Tokens: 256 random bits, shown once and kept only as a hash; with scopes, an end, and a way to revoke them."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import select

from fuselip.core.errors import UsageError, UserError
from leaderboard.store import journal
from leaderboard.store.database import Database
from leaderboard.store.models import Token, now, stamp

SCOPES = ("submit", "read", "admin")
PREFIX = "fuselip"
_LONGEST = 200
_SEEN = timedelta(minutes=1)
"""How exact the time of last use is: a write at every request would make readers wait for each other."""
_NOBODY = hashlib.sha256(b"").hexdigest()


class TokenError(UserError):
    """A token that is not taken. `reason`: unknown, expired, revoked or scope (it is known but may not do this)."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Tokens(Database):
    """Who may do what. `admin` may do everything."""

    def token_create(
        self, scopes: Sequence[str], days: float, label: str = "", *, actor: str = "maintainer"
    ) -> tuple[str, Token]:
        """(the token itself, which cannot be had again, what is kept of it). Raises UsageError for wrong arguments."""
        unknown = sorted(set(scopes) - set(SCOPES))
        if unknown or not scopes:
            raise UsageError(f"scopes are some of {', '.join(SCOPES)}" + (f", not {unknown[0]!r}" if unknown else ""))
        if not 0 < days <= 3660:
            raise UsageError("a token is good for more than 0 and at most 3660 days")
        if len(label) > _LONGEST or not label.isprintable():
            raise UsageError(f"a label has at most {_LONGEST} characters, all of them printable")
        secret = secrets.token_urlsafe(32)
        token = Token(
            id=secrets.token_hex(6),
            hash=_hash(secret),
            scopes=[scope for scope in SCOPES if scope in scopes],
            label=label,
            created=now(),
            expires=stamp(datetime.now(UTC) + timedelta(days=days)),
        )
        with self.writing() as session:
            session.add(token)
            session.flush()
            told = {"scopes": token.scopes, "label": label, "expires": token.expires}
            journal.append(session.connection(), actor, "token created", token.id, told)
        return f"{PREFIX}_{token.id}_{secret}", token

    def token_check(self, text: str, scope: str) -> Token:
        """The token that `text` is, if it may do `scope` now; its last use is noted. Raises TokenError."""
        prefix, _, rest = text.partition("_")
        id, _, secret = rest.partition("_")
        known = id if prefix == PREFIX and id.isascii() and id.isalnum() else ""
        with self.reading() as session:
            found = session.get(Token, known)
        same = hmac.compare_digest(found.hash if found else _NOBODY, _hash(secret))
        if found is None or not same:
            raise TokenError("unknown", "this token is not known here; ask the maintainer for one")
        if found.revoked is not None:
            raise TokenError("revoked", f"token {found.id} was revoked; ask the maintainer for another")
        if found.expires <= now():
            raise TokenError("expired", f"token {found.id} expired on {found.expires[:10]}; ask for another")
        if scope not in found.scopes and "admin" not in found.scopes:
            raise TokenError("scope", f"token {found.id} may {', '.join(found.scopes)}, not {scope}")
        if found.used is None or found.used < stamp(datetime.now(UTC) - _SEEN):
            with self.writing() as session:
                session.get_one(Token, found.id).used = found.used = now()
        return found

    def token_revoke(self, id: str, *, actor: str = "maintainer") -> Token:
        """From now on it is refused. Raises UserError for an unknown one; one that was revoked stays as it is."""
        with self.writing() as session:
            found = session.get(Token, id, with_for_update=True)
            if found is None:
                raise UserError(f"there is no token {id[:80]!r}; `token list` shows them")
            if found.revoked is None:
                found.revoked = now()
                session.flush()
                journal.append(session.connection(), actor, "token revoked", id, {})
            return found

    def tokens(self) -> Sequence[Token]:
        """Oldest first."""
        with self.reading() as session:
            return session.scalars(select(Token).order_by(Token.created, Token.id)).all()


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
