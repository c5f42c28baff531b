"""Rollouts, the part of each device in them, and what devices said runs on them."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, PrimaryKeyConstraint, String, Table, Text

from bastide.adapters.sql.columns import Instant
from bastide.adapters.sql.schema import metadata

rollouts = Table(
    "rollouts",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("phase", String(16), nullable=False, index=True),
    Column("ring", Integer, nullable=False),
    Column("proposed_at", Instant, nullable=False, index=True),
    Column("number", Integer, nullable=False),
    Column("value", Text, nullable=False),
)

parts = Table(
    "rollout_parts",
    metadata,
    Column("rollout", String(32), nullable=False),
    Column("device", String(32), nullable=False, index=True),
    Column("ring", Integer, nullable=False),
    Column("began", Instant, nullable=False),
    Column("cohort", Instant, nullable=False),
    Column("deadline", Instant, nullable=False),
    Column("state", String(16), nullable=False),
    Column("before", String(128), nullable=False),
    Column("answered", Instant),
    Column("because", String(500), nullable=False),
    Column("tries", Integer, nullable=False),
    PrimaryKeyConstraint("rollout", "device"),
    Index("ix_rollout_parts_cohort", "rollout", "cohort"),
    Index("ix_rollout_parts_ring", "rollout", "ring", "state"),
    Index("ix_rollout_parts_deadline", "rollout", "state", "deadline"),
)

running = Table(
    "running_images",
    metadata,
    Column("device", String(32), primary_key=True),
    Column("hardware", String(128), nullable=False),
    Column("version", String(128), nullable=False, index=True),
    Column("counter", BigInteger),
    Column("slot_octets", BigInteger),
    Column("sha256", String(64), nullable=False, index=True),
    Column("on_trial", Boolean, nullable=False),
    Column("components", Text, nullable=False),
    Column("reported_at", Instant, nullable=False),
)
