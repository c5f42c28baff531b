"""Profiles and device classes."""

import sqlalchemy as sa
from alembic import op

revision = "0005_profiles"
down_revision = "0004_access"


def upgrade() -> None:
    op.create_table(
        "profiles",
        sa.Column("name", sa.String(63), primary_key=True),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("changed_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "classes",
        sa.Column("name", sa.String(63), primary_key=True),
        sa.Column("profile", sa.String(63), nullable=False),
        sa.Column("owner", sa.String(63), nullable=False),
        sa.Column("site", sa.String(63), nullable=False),
        sa.Column("impact", sa.Float, nullable=False),
        sa.Column("registered_at", sa.BigInteger, nullable=False),
    )
