"""Who gets a release when: rings by share, a ramp within a ring, maintenance windows by the site's own clock."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta, tzinfo
from hashlib import sha256
from math import log

from bastide.core.error import Refused

_FULL = 100.0
"""The exponent of e past which a ramp lets everybody begin: more than any fleet has."""
_ROUNDING = 1e-6


class RolloutRefused(Refused):
    """A rollout that cannot be carried out as it is written."""

    code = "rollout:refused"


@dataclass(frozen=True, slots=True)
class Rings:
    """Shares of the fleet that may have the release by the end of each ring, rising to 1: (0.01, 0.1, 1.0)."""

    shares: tuple[float, ...]

    def __post_init__(self) -> None:
        rising = all(low < high for low, high in zip(self.shares, self.shares[1:], strict=False))
        if not self.shares or self.shares[0] <= 0 or self.shares[-1] != 1 or not rising:
            raise RolloutRefused("Rings are shares of the fleet that rise to 1, such as 0.01, 0.1, 1.")

    def ring(self, rollout: str, device: str) -> int:
        """The ring of a device, from 0. It stays the same as the fleet grows, and differs from rollout to rollout, so that the
        same devices are not always the first."""
        drawn = int.from_bytes(sha256(f"{rollout}\0{device}".encode()).digest()[:8], "big") / 2**64
        return min(bisect_right(self.shares, drawn), len(self.shares) - 1)


@dataclass(frozen=True, slots=True)
class Ramp:
    """How many devices may have begun: ``first`` at once, then as many each ``step``, times ``growth`` from step to step (1 is a
    constant rate)."""

    first: int
    step: timedelta
    growth: float = 1.0

    def __post_init__(self) -> None:
        if self.first < 1 or self.step <= timedelta(0) or self.growth < 1:
            raise RolloutRefused(
                "A ramp begins with at least one device, has a step above 0 and a growth of at least 1."
            )

    def allowed(self, elapsed: timedelta, most: int) -> int:
        """How many may have begun this long after the ring did, ``most`` at most. Time before the beginning counts as none."""
        steps = max(0, elapsed // self.step) + 1
        if self.growth == 1:
            return min(most, self.first * steps)
        if steps * log(self.growth) > _FULL:
            return most
        total = self.first * (self.growth**steps - 1) / (self.growth - 1)
        return min(most, int(total + _ROUNDING))


@dataclass(frozen=True, slots=True)
class Window:
    """A maintenance window by the wall clock of a site. ``days`` are those on which it begins, Monday is 0; one that ends before
    it begins ends on the next day."""

    days: frozenset[int]
    begins: time
    ends: time

    def __post_init__(self) -> None:
        if not self.days or not self.days <= set(range(7)) or self.begins == self.ends:
            raise RolloutRefused("A window needs days from 0 (Monday) to 6, and an end that is not its beginning.")

    def is_open(self, at: datetime, zone: tzinfo) -> bool:
        """Whether it is open at this moment, which has a time zone of its own, in a site of that zone."""
        local = at.astimezone(zone)
        clock, day = local.time(), local.weekday()
        if self.begins < self.ends:
            return day in self.days and self.begins <= clock < self.ends
        return (day in self.days and clock >= self.begins) or ((day - 1) % 7 in self.days and clock < self.ends)


def is_open(windows: Sequence[Window], at: datetime, zone: tzinfo) -> bool:
    """Whether any window is open; without windows it always is."""
    return not windows or any(window.is_open(at, zone) for window in windows)
