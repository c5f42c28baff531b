"""Claims, issuances, certificates, and what the credential and update points hold."""

from sqlalchemy import Column, Index, Integer, LargeBinary, PrimaryKeyConstraint, String, Table

from bastide.adapters.sql.columns import Instant
from bastide.adapters.sql.schema import metadata

claims = Table(
    "claims",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("device_class", String(63), nullable=False),
    Column("owner", String(63), nullable=False),
    Column("site", String(63), nullable=False),
    Column("created_at", Instant, nullable=False, index=True),
    Column("created_by", String(200), nullable=False),
    Column("expires_at", Instant, nullable=False, index=True),
    Column("name", String(200), nullable=False),
    Column("state", String(16), nullable=False),
    Column("used_at", Instant),
    Column("request", String(128)),
    Column("device", String(32)),
)

issuances = Table(
    "issuances",
    metadata,
    Column("request", String(128), primary_key=True),
    Column("purpose", String(16), nullable=False),
    Column("device", String(32), nullable=False),
    Column("device_class", String(63), nullable=False),
    Column("owner", String(63), nullable=False),
    Column("site", String(63), nullable=False),
    Column("claim", String(32)),
    Column("csr", LargeBinary, nullable=False),
    Column("key", String(64), nullable=False, index=True),
    Column("not_before", Instant, nullable=False),
    Column("not_after", Instant, nullable=False),
    Column("record", String(32), nullable=False),
    Column("name", String(200), nullable=False),
    Column("progress", String(16), nullable=False),
    Column("way", String(40), nullable=False, server_default=""),
    Index("ix_issuances_progress", "progress", "not_before"),
)

certificates = Table(
    "certificates",
    metadata,
    Column("serial", String(40), primary_key=True),
    Column("device", String(32), nullable=False, index=True),
    Column("fingerprint", String(64), nullable=False, unique=True),
    Column("key", String(64), nullable=False),
    Column("not_before", Instant, nullable=False),
    Column("not_after", Instant, nullable=False, index=True),
    Column("issued_at", Instant, nullable=False),
    Column("request", String(128), nullable=False, unique=True),
    Column("der", LargeBinary, nullable=False),
    Column("state", String(16), nullable=False),
    Column("changed_at", Instant),
    Column("algorithm", String(16), nullable=False, server_default=""),
    Column("issuer", String(40), nullable=False, server_default=""),
    Index("ix_certificates_state", "state", "not_after"),
)

enforced = Table(
    "enforced",
    metadata,
    Column("device", String(32), nullable=False),
    Column("point", String(16), nullable=False),
    Column("generation", Integer, nullable=False),
    Column("holds", String(32), nullable=False),
    Column("applied_at", Instant, nullable=False),
    PrimaryKeyConstraint("device", "point"),
)
