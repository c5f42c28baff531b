"""Vendors, expected devices, enrolment windows and requests; by which way a certificate was come to."""

import sqlalchemy as sa
from alembic import op

revision = "0011_admissions"
down_revision = "0010_modes"


def upgrade() -> None:
    with op.batch_alter_table("issuances") as issuances:
        issuances.add_column(sa.Column("way", sa.String(40), nullable=False, server_default=""))
    op.create_table(
        "vendors",
        sa.Column("name", sa.String(63), primary_key=True),
        sa.Column("anchors", sa.LargeBinary, nullable=False),
        sa.Column("unexpected", sa.Boolean, nullable=False),
        sa.Column("added_at", sa.BigInteger, nullable=False),
        sa.Column("added_by", sa.String(200), nullable=False),
    )
    op.create_table(
        "expected",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("vendor", sa.String(63), nullable=False),
        sa.Column("serial", sa.String(64), nullable=False),
        *_who(),
        sa.Column("added_at", sa.BigInteger, nullable=False),
        sa.Column("added_by", sa.String(200), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("device", sa.String(32)),
        sa.Column("arrived_at", sa.BigInteger),
        sa.UniqueConstraint("vendor", "serial"),
    )
    op.create_table(
        "enrolment_windows",
        sa.Column("id", sa.String(32), primary_key=True),
        *_who(),
        sa.Column("opened_at", sa.BigInteger, nullable=False),
        sa.Column("opened_by", sa.String(200), nullable=False),
        sa.Column("ends_at", sa.BigInteger, nullable=False, index=True),
        sa.Column("most", sa.Integer, nullable=False),
    )
    op.create_table(
        "enrolment_requests",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("key", sa.String(64), nullable=False, unique=True),
        *_who(),
        sa.Column("source", sa.String(64), nullable=False),
        sa.Column("asked_at", sa.BigInteger, nullable=False),
        sa.Column("ends_at", sa.BigInteger, nullable=False),
        sa.Column("vendor", sa.String(63), nullable=False),
        sa.Column("serial", sa.String(64), nullable=False),
        sa.Column("asked_for", sa.String(200), nullable=False),
        sa.Column("window", sa.String(32)),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("answer", sa.String(16), nullable=False),
        sa.Column("answered_by", sa.String(200), nullable=False),
        sa.Column("answered_at", sa.BigInteger),
    )
    op.create_index("ix_enrolment_requests_answer", "enrolment_requests", ["answer", "ends_at"])


def _who() -> "list[sa.Column[str]]":
    return [sa.Column(name, sa.String(63), nullable=False) for name in ("device_class", "owner", "site")]
