"""The system's clock and randomness, as ports.clock wants them."""

import secrets
from datetime import UTC, datetime

from bastide.core.ids import ID_ENTROPY_BYTES, mint


class SystemClock:
    """Implements ports.clock.Clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class RandomIds:
    """Implements ports.clock.Ids."""

    def mint(self, prefix: str) -> str:
        return mint(prefix, secrets.token_bytes(ID_ENTROPY_BYTES))


class SystemEntropy:
    """Implements ports.clock.Entropy."""

    def bytes(self, size: int) -> bytes:
        return secrets.token_bytes(size)
