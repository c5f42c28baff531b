"""Devices, evidence, findings, decisions, plans and what the points hold, policies and waivers."""

from sqlalchemy import Column, Float, Index, Integer, PrimaryKeyConstraint, String, Table, Text

from bastide.adapters.sql.columns import Instant
from bastide.adapters.sql.schema import metadata

devices = Table(
    "devices",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("device_class", String(63), nullable=False, index=True),
    Column("owner", String(63), nullable=False),
    Column("site", String(63), nullable=False, index=True),
    Column("zone", String(63), nullable=False),
    Column("profile", String(63), nullable=False),
    Column("name", String(200), nullable=False),
    Column("standing", String(16), nullable=False, index=True),
    Column("stage", String(24), nullable=False),
    Column("generation", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("decided_at", Instant),
    Column("reconsider_at", Instant, index=True),
    Column("last_seen", Instant),
    Column("attributes", Text, nullable=False),
)

evidence = Table(
    "evidence",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("subject_kind", String(16), nullable=False),
    Column("subject_id", String(200), nullable=False),
    Column("kind", String(100), nullable=False),
    Column("source", String(100), nullable=False),
    Column("trust", String(16), nullable=False),
    Column("observed_at", Instant, nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("fresh_for_s", Float),
    Column("count", Integer, nullable=False),
    Column("body", Text, nullable=False),
    Index("ix_evidence_subject", "subject_kind", "subject_id", "kind", "observed_at"),
)

findings = Table(
    "findings",
    metadata,
    Column("code", String(100), nullable=False),
    Column("subject_kind", String(16), nullable=False),
    Column("subject_id", String(200), nullable=False),
    Column("severity", String(16), nullable=False),
    Column("found_at", Instant, nullable=False),
    Column("closed_at", Instant),
    Column("value", Text, nullable=False),
    PrimaryKeyConstraint("code", "subject_kind", "subject_id"),
)

decisions = Table(
    "decisions",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("device", String(32), nullable=False),
    Column("at", Instant, nullable=False, index=True),
    Column("value", Text, nullable=False),
    Index("ix_decisions_device", "device", "sequence"),
)

plans = Table(
    "plans",
    metadata,
    Column("device", String(32), primary_key=True),
    Column("generation", Integer, nullable=False),
    Column("value", Text, nullable=False),
)

outcomes = Table(
    "outcomes",
    metadata,
    Column("device", String(32), nullable=False),
    Column("point", String(16), nullable=False),
    Column("generation", Integer, nullable=False),
    Column("applied_at", Instant, nullable=False),
    Column("holds", Text, nullable=False),
    Column("error", Text, nullable=False),
    PrimaryKeyConstraint("device", "point"),
)

policies = Table(
    "policies",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("digest", String(64), nullable=False),
    Column("at", Instant, nullable=False),
    Column("document", Text, nullable=False),
    Column("value", Text, nullable=False),
)

waivers = Table(
    "waivers",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("starts_at", Instant, nullable=False),
    Column("ends_at", Instant, nullable=False, index=True),
    Column("value", Text, nullable=False),
)
