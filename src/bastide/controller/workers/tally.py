"""Alike observations of one device as one fact: the first at once, the others counted into one a while later."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bastide.core.evidence import Evidence, Fact, Subject, SubjectKind, Trust
from bastide.core.ids import DeviceId, EvidenceId
from bastide.ports.clock import Ids

# Devices times kinds that have something to tell; more than this at once is an attack on the table itself.
MAX_KEYS = 65_536


@dataclass(slots=True)
class _Count:
    count: int
    observed_at: datetime
    body: Mapping[str, Fact]
    told_at: datetime | None = None


@dataclass(slots=True)
class Tally:
    """``every`` is the least time between two facts of one device and kind."""

    source: str
    every: timedelta
    fresh_for: timedelta
    ids: Ids
    evicted: int = 0
    _counts: dict[tuple[DeviceId, str], _Count] = field(default_factory=dict)

    def add(self, device: DeviceId, kind: str, body: Mapping[str, Fact], now: datetime) -> None:
        held = self._counts.get((device, kind))
        if held is None:
            if len(self._counts) >= MAX_KEYS:
                self.evicted += 1
                return
            self._counts[(device, kind)] = _Count(1, now, body)
        elif held.count == 0:
            held.count, held.observed_at, held.body = 1, now, body
        else:
            held.count += 1

    def due(self, now: datetime) -> Sequence[Evidence]:
        """The facts to tell now."""
        facts: list[Evidence] = []
        for key, held in list(self._counts.items()):
            if held.told_at is not None and now - held.told_at < self.every:
                continue
            if held.count == 0:
                del self._counts[key]
                continue
            device, kind = key
            facts.append(
                Evidence(
                    id=EvidenceId(self.ids.mint("e")),
                    kind=kind,
                    subject=Subject(SubjectKind.DEVICE, device),
                    source=self.source,
                    trust=Trust.AUTHENTICATED,
                    observed_at=held.observed_at,
                    received_at=now,
                    fresh_for=self.fresh_for,
                    count=held.count,
                    body=held.body,
                )
            )
            held.count, held.told_at = 0, now
        return facts
