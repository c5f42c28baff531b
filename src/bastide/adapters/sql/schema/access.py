"""People, passkeys, sessions, API tokens, one-time tickets and failed sign-ins. Secrets are here as digests only."""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, LargeBinary, String, Table, Text

from bastide.adapters.sql.columns import Instant
from bastide.adapters.sql.schema import metadata

people = Table(
    "people",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(63), nullable=False, unique=True),
    Column("display", String(120), nullable=False),
    Column("role", String(16), nullable=False),
    Column("scope", Text, nullable=False),
    Column("password", String(200), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("disabled_at", Instant),
)

passkeys = Table(
    "passkeys",
    metadata,
    Column("id", String(1400), primary_key=True),
    Column("person", String(32), ForeignKey("people.id"), nullable=False, index=True),
    Column("public_key", LargeBinary, nullable=False),
    Column("sign_count", BigInteger, nullable=False),
    Column("label", String(80), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("last_used", Instant),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("person", String(32), ForeignKey("people.id"), nullable=False, index=True),
    Column("digest", LargeBinary, nullable=False),
    Column("means", String(16), nullable=False),
    Column("address", String(64), nullable=False),
    Column("agent", String(200), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("last_used", Instant, nullable=False, index=True),
    Column("ended_at", Instant),
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("owner", String(32), ForeignKey("people.id"), nullable=False, index=True),
    Column("label", String(80), nullable=False),
    Column("role", String(16), nullable=False),
    Column("scope", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("revoked_at", Instant),
    Column("last_used", Instant),
)

tickets = Table(
    "tickets",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("purpose", String(24), nullable=False),
    Column("person", String(32), ForeignKey("people.id"), index=True),
    Column("digest", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False, index=True),
    Column("used_at", Instant),
)

failures = Table(
    "sign_in_failures",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("key", String(160), nullable=False),
    Column("at", Instant, nullable=False, index=True),
    Index("ix_sign_in_failures_key", "key", "at"),
)
