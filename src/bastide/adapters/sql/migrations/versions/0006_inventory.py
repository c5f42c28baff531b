"""Which device each key of a sighting belongs to."""

import sqlalchemy as sa
from alembic import op

revision = "0006_inventory"
down_revision = "0005_profiles"


def upgrade() -> None:
    op.create_table(
        "inventory_keys",
        sa.Column("key", sa.String(200), primary_key=True),
        sa.Column("device", sa.String(32), nullable=False),
        sa.Column("bound_at", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_inventory_keys_device", "inventory_keys", ["device"])
