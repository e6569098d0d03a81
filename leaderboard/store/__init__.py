"""The leaderboard's store: submissions and what was computed of them, tokens, challenges, and the audit log.

Everything is reached through `Store.open`. Needs the extra `leaderboard` (`postgres` for a PostgreSQL URL).
"""

from __future__ import annotations

from fuselip.core.errors import UserError

try:
    from leaderboard.store.challenges import Challenges
    from leaderboard.store.leases import Leases
    from leaderboard.store.models import Challenge, Event, Submission, Token
    from leaderboard.store.refill import Refills
    from leaderboard.store.standings import Standings
    from leaderboard.store.submissions import About, Submissions
    from leaderboard.store.tokens import TokenError, Tokens
except ModuleNotFoundError as error:
    if error.name is None or error.name.partition(".")[0] not in ("sqlalchemy", "alembic"):
        raise
    raise UserError(f"{error.name} is not installed; pip install 'fuselip[leaderboard]'") from error

__all__ = ["About", "Challenge", "Event", "Store", "Submission", "Token", "TokenError"]


class Store(Submissions, Leases, Refills, Standings, Tokens, Challenges):
    """A folder of bundles and a database of all else. Safe to use from several threads and processes at once.

    Every change is one transaction that also writes its entry of the audit log: both are there, or neither.
    """
