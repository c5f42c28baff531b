"""The ledger: shards, records, kinds, tiles, checkpoints, erasable personal facts."""

import sqlalchemy as sa
from alembic import op

revision = "0002_ledger"
down_revision = "0001_state"


def upgrade() -> None:
    op.create_table(
        "ledger_shards",
        sa.Column("shard", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("first", sa.BigInteger, nullable=False),
        sa.Column("closed", sa.BigInteger),
    )
    op.create_table(
        "ledger_records",
        sa.Column(
            "position", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False
        ),
        sa.Column("id_key", sa.BigInteger, nullable=False),
        sa.Column("kind_key", sa.BigInteger, nullable=False),
        sa.Column("subject_key", sa.BigInteger, nullable=False),
        sa.Column("leaf", sa.LargeBinary(32), nullable=False),
        sa.Column("body", sa.LargeBinary),
    )
    op.create_index("ix_ledger_records_id_key", "ledger_records", ["id_key"])
    op.create_index("ix_ledger_records_subject_key", "ledger_records", ["subject_key"])
    op.create_index("ix_ledger_records_kind", "ledger_records", ["kind_key", "position"])
    op.create_table("ledger_kinds", sa.Column("kind", sa.Text, primary_key=True))
    op.create_table(
        "ledger_tiles",
        sa.Column("shard", sa.Integer, nullable=False),
        sa.Column("level", sa.Integer, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("hashes", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("shard", "level", "number", name="pk_ledger_tiles"),
    )
    op.create_table(
        "ledger_checkpoints",
        sa.Column("shard", sa.Integer, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("root", sa.LargeBinary(32), nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("shard", "size", name="pk_ledger_checkpoints"),
    )
    op.create_table(
        "ledger_personal",
        sa.Column("commitment", sa.String(64), primary_key=True),
        sa.Column("record", sa.String(32), nullable=False),
        sa.Column("salt", sa.LargeBinary(32), nullable=False),
        sa.Column("value", sa.Text, nullable=False),
    )
    op.create_index("ix_ledger_personal_record", "ledger_personal", ["record"])
