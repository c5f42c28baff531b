"""Claims and certificates."""

revision = "0003_credentials"
down_revision = "0002_ledger"


def upgrade() -> None:
    pass
