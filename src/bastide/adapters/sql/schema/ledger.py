"""The ledger: records as they are in the tree, the tree's tiles, checkpoints, and what can be erased."""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, PrimaryKeyConstraint, String, Table, Text

from bastide.adapters.sql.schema import metadata

# On SQLite only INTEGER PRIMARY KEY is the row's own number; BIGINT would be a second index.
Position = BigInteger().with_variant(Integer, "sqlite")

ledger_shards = Table(
    "ledger_shards",
    metadata,
    Column("shard", Integer, primary_key=True, autoincrement=False),
    Column("origin", Text, nullable=False),
    Column("first", BigInteger, nullable=False),
    Column("closed", BigInteger),
)

# ``position`` counts from 0 without a gap; ``leaf`` is the leaf hash over ``body``, which pruning sets to NULL. The keys are
# made of position and body (adapters/sql/ledger_keys.py) and only serve to find records.
ledger_records = Table(
    "ledger_records",
    metadata,
    Column("position", Position, primary_key=True, autoincrement=False),
    Column("id_key", BigInteger, nullable=False, index=True),
    Column("kind_key", BigInteger, nullable=False),
    Column("subject_key", BigInteger, nullable=False, index=True),
    Column("leaf", LargeBinary(32), nullable=False),
    Column("body", LargeBinary),
    Index("ix_ledger_records_kind", "kind_key", "position"),
)

# Every kind that a record ever had: what a search for the beginning of a kind goes through.
ledger_kinds = Table("ledger_kinds", metadata, Column("kind", Text, primary_key=True))

ledger_tiles = Table(
    "ledger_tiles",
    metadata,
    Column("shard", Integer, nullable=False),
    Column("level", Integer, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("hashes", LargeBinary, nullable=False),
    PrimaryKeyConstraint("shard", "level", "number"),
)

ledger_checkpoints = Table(
    "ledger_checkpoints",
    metadata,
    Column("shard", Integer, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("root", LargeBinary(32), nullable=False),
    Column("note", Text, nullable=False),
    PrimaryKeyConstraint("shard", "size"),
)

ledger_personal = Table(
    "ledger_personal",
    metadata,
    Column("commitment", String(64), primary_key=True),
    Column("record", String(32), nullable=False, index=True),
    Column("salt", LargeBinary(32), nullable=False),
    Column("value", Text, nullable=False),
)
