"""Profiles, and the device classes that use them."""

from sqlalchemy import Column, Float, String, Table, Text

from bastide.adapters.sql.columns import Instant
from bastide.adapters.sql.schema import metadata

profiles = Table(
    "profiles",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("document", Text, nullable=False),
    Column("value", Text, nullable=False),
    Column("changed_at", Instant, nullable=False),
)

classes = Table(
    "classes",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("profile", String(63), nullable=False),
    Column("owner", String(63), nullable=False),
    Column("site", String(63), nullable=False),
    Column("impact", Float, nullable=False),
    Column("registered_at", Instant, nullable=False),
)
