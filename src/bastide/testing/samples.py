"""The sample store in memory: a sample is stored once, whatever is delivered again."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from bastide.core.ids import DeviceId
from bastide.ports.platform.samples import Sample


class MemorySamples:
    """``add`` is the writing side, idempotent by broker sequence and field."""

    def __init__(self) -> None:
        self._samples: dict[tuple[int, str], Sample] = {}

    def add(self, samples: Iterable[Sample]) -> None:
        for sample in samples:
            self._samples.setdefault((sample.sequence, sample.field), sample)

    async def series(
        self, device: DeviceId, field: str, since: datetime, until: datetime, points: int
    ) -> Sequence[tuple[datetime, float]]:
        wanted = sorted(
            (sample.at, float(sample.value))
            for sample in self._samples.values()
            if sample.device == device
            and sample.field == field
            and since <= sample.at < until
            and isinstance(sample.value, int | float)
            and not isinstance(sample.value, bool)
        )
        if not wanted or points < 1:
            return []
        # Equal slices of time, as the real store makes them; a slice's time is that of its first sample.
        width = (until - since) / points
        slices: dict[int, list[tuple[datetime, float]]] = {}
        for at, value in wanted:
            slices.setdefault(min(int((at - since) / width), points - 1), []).append((at, value))
        return [(group[0][0], sum(value for _, value in group) / len(group)) for _, group in sorted(slices.items())]

    async def fields(self, device: DeviceId, since: datetime) -> Sequence[str]:
        return sorted({s.field for s in self._samples.values() if s.device == device and s.at >= since})

    async def count(self, device: DeviceId | None, since: datetime) -> int:
        return sum(1 for s in self._samples.values() if s.at >= since and device in (None, s.device))
