"""Which algorithm a certificate's key is of."""

import sqlalchemy as sa
from alembic import op

revision = "0012_algorithms"
down_revision = "0011_admissions"


def upgrade() -> None:
    with op.batch_alter_table("certificates") as certificates:
        certificates.add_column(sa.Column("algorithm", sa.String(16), nullable=False, server_default=""))
