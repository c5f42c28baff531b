"""Sites' networks, the network part of profiles, and rulings about single flows."""

import sqlalchemy as sa
from alembic import op

revision = "0009_network"
down_revision = "0008_views"


def upgrade() -> None:
    for name, key in (("site_networks", "site"), ("reaches", "profile")):
        op.create_table(
            name,
            sa.Column(key, sa.String(63), primary_key=True),
            sa.Column("frame" if key == "site" else "document", sa.LargeBinary, nullable=False),
            sa.Column("changed_at", sa.BigInteger, nullable=False),
            sa.Column("changed_by", sa.String(200), nullable=False),
        )
    op.create_table(
        "rulings",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("device", sa.String(40), nullable=False),
        sa.Column("peer", sa.String(45), nullable=False),
        sa.Column("transport", sa.String(8), nullable=False),
        sa.Column("port", sa.Integer, nullable=False),
        sa.Column("opened_by_device", sa.Boolean, nullable=False),
        sa.Column("until", sa.BigInteger),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("by", sa.String(200), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger),
    )
    op.create_index("ix_rulings_device", "rulings", ["device"])
