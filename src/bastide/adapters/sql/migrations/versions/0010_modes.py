"""Modes of enforcing, and proposals of what profiles may reach."""

import sqlalchemy as sa
from alembic import op

revision = "0010_modes"
down_revision = "0009_network"


def upgrade() -> None:
    op.create_table(
        "modes",
        sa.Column("over", sa.String(8), primary_key=True),
        sa.Column("name", sa.String(63), primary_key=True),
        sa.Column("mode", sa.String(8), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("by", sa.String(200), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("limit", sa.Float, nullable=False),
        sa.Column("probation_ends", sa.BigInteger),
        sa.Column("ended_at", sa.BigInteger),
    )
    op.create_table(
        "proposals",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("profile", sa.String(63), nullable=False),
        sa.Column("origin", sa.String(12), nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("document", sa.LargeBinary, nullable=False),
        sa.Column("told", sa.Text, nullable=False),
        sa.Column("by", sa.String(200), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("ends_at", sa.BigInteger),
        sa.Column("decided_by", sa.String(200), nullable=False),
        sa.Column("decided_at", sa.BigInteger),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_index("ix_proposals_profile", "proposals", ["profile"])
