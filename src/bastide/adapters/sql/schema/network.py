"""Sites' networks, the network part of profiles with its proposals and modes, and rulings about single flows."""

from sqlalchemy import Boolean, Column, Float, Integer, LargeBinary, String, Table, Text

from bastide.adapters.sql.columns import Instant
from bastide.adapters.sql.schema import metadata

site_networks = Table(
    "site_networks",
    metadata,
    Column("site", String(63), primary_key=True),
    Column("frame", LargeBinary, nullable=False),
    Column("changed_at", Instant, nullable=False),
    Column("changed_by", String(200), nullable=False),
)
reaches = Table(
    "reaches",
    metadata,
    Column("profile", String(63), primary_key=True),
    Column("document", LargeBinary, nullable=False),
    Column("changed_at", Instant, nullable=False),
    Column("changed_by", String(200), nullable=False),
)
rulings = Table(
    "rulings",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("device", String(40), nullable=False, index=True),
    Column("peer", String(45), nullable=False),
    Column("transport", String(8), nullable=False),
    Column("port", Integer, nullable=False),
    Column("opened_by_device", Boolean, nullable=False),
    Column("until", Instant),
    Column("reason", Text, nullable=False),
    Column("by", String(200), nullable=False),
    Column("at", Instant, nullable=False),
    Column("ended_at", Instant),
)
modes = Table(
    "modes",
    metadata,
    Column("over", String(8), primary_key=True),
    Column("name", String(63), primary_key=True),
    Column("mode", String(8), nullable=False),
    Column("reason", Text, nullable=False),
    Column("by", String(200), nullable=False),
    Column("at", Instant, nullable=False),
    Column("limit", Float, nullable=False),
    Column("probation_ends", Instant),
    Column("ended_at", Instant),
)
proposals = Table(
    "proposals",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("profile", String(63), nullable=False, index=True),
    Column("origin", String(12), nullable=False),
    Column("state", String(12), nullable=False),
    Column("document", LargeBinary, nullable=False),
    Column("told", Text, nullable=False),
    Column("by", String(200), nullable=False),
    Column("at", Instant, nullable=False),
    Column("ends_at", Instant),
    Column("decided_by", String(200), nullable=False),
    Column("decided_at", Instant),
    Column("reason", Text, nullable=False),
)
