"""The probation of enforcing: every denial that a gateway reports is looked at, and a device that misses too much of what it was
answered before goes back to observe."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime

from bastide.core.audit import Record
from bastide.core.error import BastideError, NotFound
from bastide.core.ids import DeviceId, is_device_id
from bastide.flows.enforce_reach import judge_probation, on_probation, probation_ends
from bastide.flows.govern_device import Governing
from bastide.network.segmentation.denial import DENIED

LOG = logging.getLogger("bastide.probation")
RETRY_SECONDS = 1.0
CHANGES = ("network:mode:", "network:profile:stored")
"""Records after which something may be on probation."""


class Probation:
    """A device that waits to be looked at is looked at once, with all that came meanwhile; none while nothing is on probation."""

    def __init__(self, governing: Governing) -> None:
        self._governing = governing
        self._waiting: dict[DeviceId, None] = {}
        self._wake = asyncio.Event()
        self._changed = True
        self._ends: datetime | None = None

    def heard(self, records: Sequence[Record]) -> None:
        """What was committed; called by the database on the event loop."""
        for record in records:
            if record.kind.startswith(CHANGES):
                self._changed = True
            area, _, name = record.subject.partition(":")
            denied = record.kind == "evidence:observed" and record.body.get("kind") == DENIED
            if denied and area == "device" and is_device_id(name):
                self._waiting[DeviceId(name)] = None
                self._wake.set()

    async def run(self) -> None:
        """Until cancelled. What was denied while nobody looked is looked at first."""
        self._waiting |= dict.fromkeys(await on_probation(self._governing))
        while True:
            while self._waiting:
                if not await self._any():
                    self._waiting.clear()
                    break
                device = next(iter(self._waiting))
                del self._waiting[device]
                try:
                    returned = await judge_probation(device, self._governing)
                except NotFound:
                    continue
                except BastideError as error:
                    LOG.warning("%s could not be looked at: %s", device, error.sentence)
                    self._waiting[device] = None
                    await asyncio.sleep(RETRY_SECONDS)
                    continue
                if returned is not None:
                    LOG.warning("%s goes back to observe: %s", device, returned.reason)
            self._wake.clear()
            await self._wake.wait()

    async def _any(self) -> bool:
        """Whether anything is on probation now."""
        if self._changed:
            self._changed = False
            try:
                self._ends = await probation_ends(self._governing)
            except BastideError:
                self._changed = True
                raise
        return self._ends is not None and self._governing.clock.now() < self._ends
