"""The housekeeper: once an hour, what is older than its time goes, a little at a time."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from bastide.ports.clock import Clock
from bastide.ports.platform.housekeeping import Housekeeping

LOG = logging.getLogger("bastide.housekeeper")

EVERY_S = 3600.0
BREATH_S = 0.05


class Housekeeper:
    """A worker: :meth:`run` until cancelled."""

    def __init__(self, rows: Housekeeping, clock: Clock, keep: timedelta) -> None:
        self._rows = rows
        self._clock = clock
        self._keep = keep

    async def run(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            await self.round()

    async def round(self) -> dict[str, int]:
        """Removes all that is old; gives how many rows of each table went."""
        before = self._clock.now() - self._keep
        removed = {
            "evidence": await _all(self._rows.evidence, before),
            "decisions": await _all(self._rows.decisions, before),
            "conversations": await _all(self._rows.conversations, before),
        }
        if any(removed.values()):
            LOG.info("removed what is older than %s: %s", before.date(), removed)
        return removed


async def _all(some: Callable[[datetime], Awaitable[int]], before: datetime) -> int:
    total = 0
    while count := await some(before):
        total += count
        await asyncio.sleep(BREATH_S)
    return total
