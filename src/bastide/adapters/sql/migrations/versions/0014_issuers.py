"""Which issuing CA a certificate is of; empty for the first, whose certificates did not note it."""

import sqlalchemy as sa
from alembic import op

revision = "0014_issuers"
down_revision = "0013_claims_for"


def upgrade() -> None:
    with op.batch_alter_table("certificates") as certificates:
        certificates.add_column(sa.Column("issuer", sa.String(40), nullable=False, server_default=""))
