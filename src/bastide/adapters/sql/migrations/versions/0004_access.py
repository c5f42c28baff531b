"""People, passkeys, sessions, tokens, sign-in links."""

revision = "0004_access"
down_revision = "0003_credentials"


def upgrade() -> None:
    pass
