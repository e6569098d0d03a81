"""Revisions of the schema, one a file, oldest first; `leaderboard.store.schema` runs them."""
