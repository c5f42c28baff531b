"""Whom devices spoke to, by the hour."""

import sqlalchemy as sa
from alembic import op

revision = "0007_conversations"
down_revision = "0006_inventory"


def upgrade() -> None:
    op.create_table(
        "conversations",
        sa.Column("hour", sa.BigInteger, primary_key=True),
        sa.Column("device", sa.String(32), primary_key=True),
        sa.Column("peer", sa.String(45), primary_key=True),
        sa.Column("transport", sa.String(8), primary_key=True),
        sa.Column("port", sa.Integer, primary_key=True),
        sa.Column("protocol", sa.String(32), primary_key=True),
        sa.Column("opened_by_device", sa.Boolean, primary_key=True),
        sa.Column("peer_name", sa.String(255), nullable=False),
        sa.Column("flows", sa.BigInteger, nullable=False),
        sa.Column("packets_sent", sa.BigInteger, nullable=False),
        sa.Column("packets_received", sa.BigInteger, nullable=False),
        sa.Column("bytes_sent", sa.BigInteger, nullable=False),
        sa.Column("bytes_received", sa.BigInteger, nullable=False),
        sa.Column("first_seen", sa.BigInteger, nullable=False),
        sa.Column("last_seen", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_conversations_device", "conversations", ["device", "hour"])
    op.create_table(
        "conversation_windows",
        sa.Column("source", sa.String(80), primary_key=True),
        sa.Column("window", sa.String(80), primary_key=True),
        sa.Column("taken_at", sa.BigInteger, nullable=False),
    )
