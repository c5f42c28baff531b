"""The time by which a device judges expiry: of several sources, never back behind what it knew.

A clock that is set back would let expired metadata live again; one that is set far forward would let all metadata expire, and
poison the floor for good. So the floor follows only what a majority of sources says within a few minutes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

AGREEMENT = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Told:
    """``now`` is the time to judge by and the floor to keep; ``agreed`` is whether enough sources said so."""

    now: datetime
    agreed: bool


def trusted_time(floor: datetime, sources: Sequence[datetime]) -> Told:
    """The earliest time of the majority (at least two) of sources that lie within ``AGREEMENT``, but never before ``floor``.

    Without such a majority the time is the floor: nothing expires that was not expired, and nothing that was comes back. All have
    a time zone. The first floor is the time at which the device's image was built.
    """
    ordered = sorted(sources)
    needed = max(2, len(ordered) // 2 + 1)
    for first in range(len(ordered) - needed + 1):
        if ordered[first + needed - 1] - ordered[first] <= AGREEMENT:
            return Told(max(floor, ordered[first]), True)
    return Told(floor, False)
