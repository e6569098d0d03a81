"""The leaderboard's pages: static files that open from disk, and that a server gives out as they are."""

from leaderboard.site.builder import build

__all__ = ["build"]
