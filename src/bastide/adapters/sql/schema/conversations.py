"""Whom devices spoke to, by the hour, and which windows of which source are in it already."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, String, Table

from bastide.adapters.sql.columns import Instant
from bastide.adapters.sql.schema import metadata

conversations = Table(
    "conversations",
    metadata,
    Column("hour", Instant, primary_key=True),
    Column("device", String(32), primary_key=True),
    Column("peer", String(45), primary_key=True),
    Column("transport", String(8), primary_key=True),
    Column("port", Integer, primary_key=True),
    Column("protocol", String(32), primary_key=True),
    Column("opened_by_device", Boolean, primary_key=True),
    Column("peer_name", String(255), nullable=False),
    Column("flows", BigInteger, nullable=False),
    Column("packets_sent", BigInteger, nullable=False),
    Column("packets_received", BigInteger, nullable=False),
    Column("bytes_sent", BigInteger, nullable=False),
    Column("bytes_received", BigInteger, nullable=False),
    Column("first_seen", Instant, nullable=False),
    Column("last_seen", Instant, nullable=False),
    Index("ix_conversations_device", "device", "hour"),
)

conversation_windows = Table(
    "conversation_windows",
    metadata,
    Column("source", String(80), primary_key=True),
    Column("window", String(80), primary_key=True),
    Column("taken_at", Instant, nullable=False),
)
