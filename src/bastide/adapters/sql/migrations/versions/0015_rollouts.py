"""Rollouts, the part of each device in them, and what devices said runs on them."""

import sqlalchemy as sa
from alembic import op

revision = "0015_rollouts"
down_revision = "0014_issuers"


def upgrade() -> None:
    op.create_table(
        "rollouts",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("phase", sa.String(16), nullable=False, index=True),
        sa.Column("ring", sa.Integer, nullable=False),
        sa.Column("proposed_at", sa.BigInteger, nullable=False, index=True),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
    )
    op.create_table(
        "rollout_parts",
        sa.Column("rollout", sa.String(32), nullable=False),
        sa.Column("device", sa.String(32), nullable=False, index=True),
        sa.Column("ring", sa.Integer, nullable=False),
        sa.Column("began", sa.BigInteger, nullable=False),
        sa.Column("cohort", sa.BigInteger, nullable=False),
        sa.Column("deadline", sa.BigInteger, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("before", sa.String(128), nullable=False),
        sa.Column("answered", sa.BigInteger),
        sa.Column("because", sa.String(500), nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("rollout", "device"),
    )
    op.create_index("ix_rollout_parts_cohort", "rollout_parts", ["rollout", "cohort"])
    op.create_index("ix_rollout_parts_ring", "rollout_parts", ["rollout", "ring", "state"])
    op.create_index("ix_rollout_parts_deadline", "rollout_parts", ["rollout", "state", "deadline"])
    op.create_table(
        "running_images",
        sa.Column("device", sa.String(32), primary_key=True),
        sa.Column("hardware", sa.String(128), nullable=False),
        sa.Column("version", sa.String(128), nullable=False, index=True),
        sa.Column("counter", sa.BigInteger),
        sa.Column("slot_octets", sa.BigInteger),
        sa.Column("sha256", sa.String(64), nullable=False, index=True),
        sa.Column("on_trial", sa.Boolean, nullable=False),
        sa.Column("components", sa.Text, nullable=False),
        sa.Column("reported_at", sa.BigInteger, nullable=False),
    )
