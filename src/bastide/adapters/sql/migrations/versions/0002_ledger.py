"""The ledger: records, tiles, checkpoints, erasable personal facts."""

revision = "0002_ledger"
down_revision = "0001_state"


def upgrade() -> None:
    pass
