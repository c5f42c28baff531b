"""The governor: whatever is committed about a device makes the loop decide on it again; a timer does where time alone may
change the answer; plans that did not take hold are carried out again."""

import asyncio
import logging
from collections.abc import Sequence
from itertools import chain

from bastide.core.audit import Record
from bastide.core.error import BastideError, NotFound
from bastide.core.ids import DeviceId, is_device_id
from bastide.flows.catch_up import catch_up
from bastide.flows.change_policy import all_devices
from bastide.flows.govern_device import ACTOR, Governing, govern_device

LOG = logging.getLogger("bastide.governor")

AT_ONCE = 8
TIMER_S = 0.5
DUE_BATCH = 500
CATCH_UP_S = 5.0
# Records that say how a decision went, or what came of it (deciding on them again would never end), and what is only meant.
OWN = ("decision:", "enforcement:", "signing:device:intended")
# Records after which every device may have to be decided on again.
FOR_ALL = ("policy:", "profile:")
MODES = "network:mode:"


class Governor:
    """Deduplicates: a device that waits to be decided on is decided on once, with all that came meanwhile."""

    def __init__(self, governing: Governing) -> None:
        self._governing = governing
        self._waiting: dict[DeviceId, None] = {}
        self._busy: set[DeviceId] = set()
        self._all = False
        self._wake = asyncio.Event()
        self._asked: dict[DeviceId, list[asyncio.Future[None]]] = {}

    async def settle(self, device: DeviceId) -> None:
        """Decides on this device before those that wait, and comes back when the decision holds, or could not be made now."""
        asked: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._asked.setdefault(device, []).append(asked)
        self._wake.set()
        await asked

    def heard(self, records: Sequence[Record]) -> None:
        """What was committed; called by the database on the event loop."""
        for record in records:
            if record.actor == ACTOR or record.kind.startswith(OWN):
                continue
            if record.kind.startswith("network:") and not record.kind.startswith(MODES):
                continue  # gateways take it up by themselves; no plan depends on it
            if record.kind.startswith("update:"):
                continue  # what a device runs is not evidence that a rule knows
            area, _, name = record.subject.partition(":")
            if record.kind.startswith(FOR_ALL) or area in ("profile", "site", "zone"):
                self._all = True
            elif area == "device" and is_device_id(name):
                self._waiting[DeviceId(name)] = None
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._timer())
            group.create_task(self._catch_up())
            for _ in range(AT_ONCE):
                group.create_task(self._govern())

    async def _govern(self) -> None:
        while True:
            device = next((one for one in chain(self._asked, self._waiting) if one not in self._busy), None)
            if device is None:
                self._wake.clear()
                await self._wake.wait()
                continue
            self._waiting.pop(device, None)
            asked = self._asked.pop(device, [])
            self._busy.add(device)
            try:
                await govern_device(device, self._governing)
            except NotFound:
                LOG.info("evidence about %s, which is not in the inventory", device)
            except BastideError as error:
                # Nothing was decided; the timer asks again when the store or the profile is well.
                LOG.warning("%s could not be decided on: %s", device, error.sentence)
                await asyncio.sleep(TIMER_S)
                self._waiting[device] = None
            finally:
                self._busy.discard(device)
                for each in asked:
                    if not each.done():
                        each.set_result(None)
                self._wake.set()

    async def _timer(self) -> None:
        while True:
            try:
                if self._all:
                    self._all = False
                    self._waiting |= dict.fromkeys(device.id for device in await all_devices(self._governing))
                due = await self._governing.stores.devices.due(self._governing.clock.now(), DUE_BATCH)
            except BastideError as error:
                LOG.warning("the timer could not read what is due: %s", error.sentence)
                self._all = True
                due = []
            if due or self._waiting:
                self._waiting |= dict.fromkeys(due)
                self._wake.set()
            await asyncio.sleep(TIMER_S)

    async def _catch_up(self) -> None:
        while True:
            try:
                left = await catch_up(self._governing)
                if left:
                    LOG.warning("%d plans do not hold everywhere yet", left)
            except BastideError as error:
                LOG.warning("catching up failed: %s", error.sentence)
            await asyncio.sleep(CATCH_UP_S)
