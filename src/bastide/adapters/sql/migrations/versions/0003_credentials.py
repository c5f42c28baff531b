"""Claims, issuances, certificates, and what the credential and update points hold.

A migration is a copy of what the schema was then; it never imports today's tables.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003_credentials"
down_revision = "0002_ledger"


def upgrade() -> None:
    op.create_table(
        "claims",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("device_class", sa.String(63), nullable=False),
        sa.Column("owner", sa.String(63), nullable=False),
        sa.Column("site", sa.String(63), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("created_by", sa.String(200), nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("used_at", sa.BigInteger),
        sa.Column("request", sa.String(128)),
    )
    for column in ("created_at", "expires_at"):
        op.create_index(f"ix_claims_{column}", "claims", [column])
    op.create_table(
        "issuances",
        sa.Column("request", sa.String(128), primary_key=True),
        sa.Column("purpose", sa.String(16), nullable=False),
        sa.Column("device", sa.String(32), nullable=False),
        sa.Column("device_class", sa.String(63), nullable=False),
        sa.Column("owner", sa.String(63), nullable=False),
        sa.Column("site", sa.String(63), nullable=False),
        sa.Column("claim", sa.String(32)),
        sa.Column("csr", sa.LargeBinary, nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("not_before", sa.BigInteger, nullable=False),
        sa.Column("not_after", sa.BigInteger, nullable=False),
        sa.Column("record", sa.String(32), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("progress", sa.String(16), nullable=False),
    )
    op.create_index("ix_issuances_key", "issuances", ["key"])
    op.create_index("ix_issuances_progress", "issuances", ["progress", "not_before"])
    op.create_table(
        "certificates",
        sa.Column("serial", sa.String(40), primary_key=True),
        sa.Column("device", sa.String(32), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False, unique=True),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("not_before", sa.BigInteger, nullable=False),
        sa.Column("not_after", sa.BigInteger, nullable=False),
        sa.Column("issued_at", sa.BigInteger, nullable=False),
        sa.Column("request", sa.String(128), nullable=False, unique=True),
        sa.Column("der", sa.LargeBinary, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("changed_at", sa.BigInteger),
    )
    for column in ("device", "not_after"):
        op.create_index(f"ix_certificates_{column}", "certificates", [column])
    op.create_index("ix_certificates_state", "certificates", ["state", "not_after"])
    op.create_table(
        "enforced",
        sa.Column("device", sa.String(32), nullable=False),
        sa.Column("point", sa.String(16), nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("holds", sa.String(32), nullable=False),
        sa.Column("applied_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("device", "point"),
    )
