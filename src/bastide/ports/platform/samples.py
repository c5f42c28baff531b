"""The sample store: telemetry as it was measured, queried by device and time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from bastide.core.ids import DeviceId


@dataclass(frozen=True, slots=True)
class Sample:
    """One declared field of one message. ``sequence`` is the broker's, so that a redelivered message is stored once."""

    device: DeviceId
    channel: str
    field: str
    at: datetime
    value: float | str | bool
    sequence: int


class Samples(Protocol):
    async def series(
        self, device: DeviceId, field: str, since: datetime, until: datetime, points: int
    ) -> Sequence[tuple[datetime, float]]:
        """At most ``points`` (time, mean) pairs of a numeric field, oldest first."""
        ...

    async def fields(self, device: DeviceId, since: datetime) -> Sequence[str]: ...

    async def count(self, device: DeviceId | None, since: datetime) -> int: ...
