"""Views of the table of devices that people keep."""

from sqlalchemy import Boolean, Column, String, Table, Text

from bastide.adapters.sql.columns import Instant
from bastide.adapters.sql.schema import metadata

saved_views = Table(
    "saved_views",
    metadata,
    Column("person", String(32), primary_key=True),
    Column("name", String(80), primary_key=True),
    Column("query", Text, nullable=False),
    Column("shared", Boolean, nullable=False, index=True),
    Column("saved_at", Instant, nullable=False),
)
