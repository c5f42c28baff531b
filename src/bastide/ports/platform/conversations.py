"""Whom devices spoke to, by the hour: what learning, simulation and the map of the network read."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from bastide.core.conversation import Conversation
from bastide.core.ids import DeviceId


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which conversations: of some devices (none: of all), seen from ``since`` and before ``until``; the busiest first."""

    since: datetime
    until: datetime
    devices: tuple[DeviceId, ...] = ()
    limit: int = 10_000


@dataclass(frozen=True, slots=True)
class Hour:
    """What was said in the hour that begins then."""

    begins: datetime
    flows: int
    bytes: int


class ConversationWrites(Protocol):
    def add(self, source: str, window: str, at: datetime, seen: Sequence[Conversation]) -> None:
        """Adds what ``source`` saw in a window of time. The same window again changes nothing, so it may be handed in twice."""
        ...

    def reassign(self, device: DeviceId, to: DeviceId) -> None:
        """What one device said was said by the other: they are one thing."""
        ...


class ConversationReads(Protocol):
    async def list(self, wanted: Wanted) -> Sequence[Conversation]:
        """The hours between two moments added up: one value for each device, peer, port, protocol and direction."""
        ...

    async def by_hour(self, wanted: Wanted) -> Sequence[Hour]:
        """How much was said in each hour, the oldest first; an hour in which nothing was said is left out. ``limit`` hours."""
        ...
