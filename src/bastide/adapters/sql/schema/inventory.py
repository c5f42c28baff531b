"""Which device each key of a sighting belongs to."""

from sqlalchemy import Column, String, Table

from bastide.adapters.sql.columns import Instant
from bastide.adapters.sql.schema import metadata

inventory_keys = Table(
    "inventory_keys",
    metadata,
    Column("key", String(200), primary_key=True),
    Column("device", String(32), nullable=False, index=True),
    Column("bound_at", Instant, nullable=False),
)
