"""Claims that let a known device enrol again."""

import sqlalchemy as sa
from alembic import op

revision = "0013_claims_for"
down_revision = "0012_algorithms"


def upgrade() -> None:
    with op.batch_alter_table("claims") as claims:
        claims.add_column(sa.Column("device", sa.String(32)))
