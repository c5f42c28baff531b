"""Views of the table of devices that people keep."""

import sqlalchemy as sa
from alembic import op

revision = "0008_views"
down_revision = "0007_conversations"


def upgrade() -> None:
    op.create_table(
        "saved_views",
        sa.Column("person", sa.String(32), primary_key=True),
        sa.Column("name", sa.String(80), primary_key=True),
        sa.Column("query", sa.Text, nullable=False),
        sa.Column("shared", sa.Boolean, nullable=False),
        sa.Column("saved_at", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_saved_views_shared", "saved_views", ["shared"])
