"""Time and ids that a test holds in its hand."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256

from bastide.core.ids import mint

EPOCH = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)


class FakeClock:
    """Stands still until it is moved, and never goes back: a clock that did would be another fault than most tests mean."""

    def __init__(self, start: datetime = EPOCH) -> None:
        if start.tzinfo is None:
            raise ValueError("FakeClock needs an aware start, e.g. datetime(2026, 1, 5, tzinfo=UTC)")
        self._now = start.astimezone(UTC)

    def now(self) -> datetime:
        return self._now

    def advance(self, by: timedelta | float) -> datetime:
        """Moves on by a duration (a bare number is seconds) and says what time it is then."""
        step = by if isinstance(by, timedelta) else timedelta(seconds=by)
        if step < timedelta(0):
            raise ValueError(f"FakeClock only moves forward, and {step} is back")
        self._now += step
        return self._now


class SequentialIds:
    """Ids of the real form, the same in each run: the n-th id of a seed is always the same."""

    def __init__(self, seed: str = "bastide") -> None:
        self._seed = seed
        self._minted = 0

    def mint(self, prefix: str) -> str:
        self._minted += 1
        return mint(prefix, sha256(f"{self._seed}:{self._minted}".encode()).digest()[:13])
