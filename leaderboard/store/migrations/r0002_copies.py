"""Fingerprints, against copies; attempts at a verification; measured throughput.

The way down keeps everything else. What it drops can be had again: fingerprints and throughput from the bundles.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "fingerprints",
        sa.Column("submission_id", TEXT, sa.ForeignKey("submissions.id"), primary_key=True),
        sa.Column("prints", sa.LargeBinary(), nullable=False),
    )
    op.add_column("submissions", sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("submissions", sa.Column("throughput", sa.Text(), nullable=False, server_default="{}"))


def downgrade() -> None:
    op.drop_column("submissions", "throughput")
    op.drop_column("submissions", "attempts")
    op.drop_table("fingerprints")
