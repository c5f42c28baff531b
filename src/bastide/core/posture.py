"""Posture: the fold of all evidence on a device. Each part is fresh, stale or missing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from bastide.core.evidence import Evidence
from bastide.core.ids import DeviceId


class Freshness(StrEnum):
    FRESH = "fresh"
    STALE = "stale"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Part:
    """All that is known of one kind of fact, newest first. ``until`` is when it turns stale, None where it does not age."""

    kind: str
    freshness: Freshness
    evidence: tuple[Evidence, ...]
    until: datetime | None

    def within(self, window: timedelta, now: datetime) -> tuple[Evidence, ...]:
        """The evidence observed in the last ``window``, newest first."""
        return tuple(fact for fact in self.evidence if fact.observed_at > now - window)


@dataclass(frozen=True, slots=True)
class Posture:
    """What is known of one device at one time."""

    device: DeviceId
    at: datetime
    parts: Mapping[str, Part] = field(default_factory=dict)

    def part(self, kind: str) -> Part:
        """The part of that kind; one that says ``missing`` where nothing was ever observed."""
        return self.parts.get(kind) or Part(kind=kind, freshness=Freshness.MISSING, evidence=(), until=None)

    def matching(self, kind: str) -> tuple[Part, ...]:
        """The parts of a kind and of every kind below it: ``broker.publish`` covers ``broker.publish.denied``."""
        return tuple(part for name, part in self.parts.items() if name == kind or name.startswith(kind + "."))
