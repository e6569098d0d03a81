"""The first schema: tokens, submissions, sheets, scores, challenges, and an audit log that only grows."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

_REFUSE = "the audit log only grows"
_SQLITE = [
    f"CREATE TRIGGER events_no_{verb.lower()} BEFORE {verb} ON events BEGIN SELECT RAISE(ABORT, '{_REFUSE}'); END"
    for verb in ("UPDATE", "DELETE")
]
_POSTGRES = [
    f"CREATE FUNCTION events_refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '{_REFUSE}'; END $$",
    "CREATE TRIGGER events_no_change BEFORE UPDATE OR DELETE ON events FOR EACH ROW EXECUTE FUNCTION events_refuse()",
    "CREATE TRIGGER events_no_truncate BEFORE TRUNCATE ON events FOR EACH STATEMENT EXECUTE FUNCTION events_refuse()",
]


def _text(*names: str, null: bool = False) -> list[sa.Column]:
    return [sa.Column(name, TEXT, nullable=null) for name in names]


def _json(*names: str) -> list[sa.Column]:
    return [sa.Column(name, sa.Text(), nullable=False) for name in names]


def _key(*names: str) -> list[sa.Column]:
    return [sa.Column(name, TEXT, primary_key=True) for name in names]


def upgrade() -> None:
    op.create_table(
        "tokens", *_key("id"), *_text("hash"), *_json("scopes"), *_text("label", "created", "expires"),
        *_text("revoked", "used", null=True),
    )  # fmt: skip
    op.create_table(
        "submissions", *_key("id"), sa.Column("sha256", TEXT, nullable=False, unique=True),
        *_text("state", "badge", "suite"),
        *_json("metadata", "encoder", "config", "provenance", "faults", "flags", "notes"), *_text("created"),
        *_text("verified", "leased", null=True), sa.Column("token_id", TEXT, sa.ForeignKey("tokens.id")),
    )  # fmt: skip
    op.create_index("ix_submissions_state", "submissions", ["state"])
    op.create_table(
        "sheets", *_key("task"), sa.Column("version", sa.Integer(), primary_key=True, autoincrement=False),
        *_key("data_hash"), *_text("created"), sa.Column("units", sa.LargeBinary(), nullable=False),
        *_text("units_hash"),
    )  # fmt: skip
    op.create_table(
        "scores", sa.Column("submission_id", TEXT, sa.ForeignKey("submissions.id"), primary_key=True), *_key("task"),
        sa.Column("version", sa.Integer(), nullable=False), *_text("data_hash", "metric"),
        *[sa.Column(name, sa.Double(), nullable=False) for name in ("value", "low", "high", "chance")],
        *[sa.Column(name, sa.Integer(), nullable=False) for name in ("n", "clusters")], *_text("interval"),
        *_json("numbers"), sa.Column("unit_values", sa.LargeBinary(), nullable=False), *_text("units_hash"),
    )  # fmt: skip
    op.create_table(
        "challenges", *_key("id"), *_text("seed"), *_json("tasks"), *_text("created", "expires", "state"),
        *_text("used", null=True), sa.Column("used_by", TEXT, sa.ForeignKey("submissions.id")), *_json("result"),
    )  # fmt: skip
    op.create_table(
        "events", sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        *_text("at", "actor", "action", "subject"), *_json("detail"), *_text("previous", "digest"),
    )  # fmt: skip
    for statement in _POSTGRES if op.get_context().dialect.name == "postgresql" else _SQLITE:
        op.execute(statement)
