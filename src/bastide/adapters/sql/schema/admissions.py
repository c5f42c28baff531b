"""Vendors and their expected devices, windows in which anybody may ask, and who asked."""

from sqlalchemy import Boolean, Column, Index, Integer, LargeBinary, String, Table, UniqueConstraint

from bastide.adapters.sql.columns import Instant
from bastide.adapters.sql.schema import metadata

vendors = Table(
    "vendors",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("anchors", LargeBinary, nullable=False),
    Column("unexpected", Boolean, nullable=False),
    Column("added_at", Instant, nullable=False),
    Column("added_by", String(200), nullable=False),
)

expected = Table(
    "expected",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("vendor", String(63), nullable=False),
    Column("serial", String(64), nullable=False),
    Column("device_class", String(63), nullable=False),
    Column("owner", String(63), nullable=False),
    Column("site", String(63), nullable=False),
    Column("added_at", Instant, nullable=False),
    Column("added_by", String(200), nullable=False),
    Column("name", String(200), nullable=False),
    Column("device", String(32)),
    Column("arrived_at", Instant),
    UniqueConstraint("vendor", "serial"),
)

windows = Table(
    "enrolment_windows",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("device_class", String(63), nullable=False),
    Column("owner", String(63), nullable=False),
    Column("site", String(63), nullable=False),
    Column("opened_at", Instant, nullable=False),
    Column("opened_by", String(200), nullable=False),
    Column("ends_at", Instant, nullable=False, index=True),
    Column("most", Integer, nullable=False),
)

requests = Table(
    "enrolment_requests",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("key", String(64), nullable=False, unique=True),
    Column("device_class", String(63), nullable=False),
    Column("owner", String(63), nullable=False),
    Column("site", String(63), nullable=False),
    Column("source", String(64), nullable=False),
    Column("asked_at", Instant, nullable=False),
    Column("ends_at", Instant, nullable=False),
    Column("vendor", String(63), nullable=False),
    Column("serial", String(64), nullable=False),
    Column("asked_for", String(200), nullable=False),
    Column("window", String(32)),
    Column("name", String(200), nullable=False),
    Column("answer", String(16), nullable=False),
    Column("answered_by", String(200), nullable=False),
    Column("answered_at", Instant),
    Index("ix_enrolment_requests_answer", "answer", "ends_at"),
)
