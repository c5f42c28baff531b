"""Time, randomness and new ids are handed in."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """The time in UTC, aware."""
        ...


class Ids(Protocol):
    def mint(self, prefix: str) -> str:
        """A new id with 100 random bits (see ``core.ids.mint``)."""
        ...


class Entropy(Protocol):
    def bytes(self, size: int) -> bytes:
        """Random bytes fit for keys and secrets."""
        ...
