"""One demo device while it runs: it reports in fast time, and misbehaves when the story says so."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from bastide.core.ids import DeviceId
from bastide.demo.roster import FIRMWARE, Member
from bastide.testing.fleet.behaviour import KINDS
from bastide.testing.fleet.identity import Identity
from bastide.testing.fleet.misuse import flooding, impersonating, spying, undeclared
from bastide.testing.fleet.mqtt import Session

# However fast time runs, a device stays inside the rate that its profile declares.
LEAST_PAUSE_S = 1.0
# More at once than a profile's burst (40), and no more than the session queues.
FLOOD = 60


@dataclass(frozen=True, slots=True)
class VirtualTime:
    """``speed`` virtual seconds go by in one real second, from ``start`` on."""

    start: datetime
    began: float
    speed: float

    def now(self) -> datetime:
        return self.start + timedelta(seconds=(time.monotonic() - self.began) * self.speed)


class Actor:
    """``session`` is its connection; nothing happens before that is started."""

    def __init__(self, member: Member, identity: Identity, host: str, port: int) -> None:
        self.member = member
        self.device = identity.device
        self.identity = identity
        self._behaviour = KINDS[member.kind](Random(member.seed))  # noqa: S311 (noise, not secrets)
        self._random = Random(member.seed + 1)  # noqa: S311
        self.session = Session(identity, host, port, on_change=self._changed)

    def _changed(self, up: bool, why: str) -> None:
        if up:
            status = {"online": True, "firmware": FIRMWARE[self.member.kind]}
            self.session.publish(self.session.topic("status"), status)

    async def report(self, virtual: VirtualTime) -> None:
        """Reports until cancelled, each device at its own moment."""
        pause = max(self._behaviour.every.total_seconds() / virtual.speed, LEAST_PAUSE_S)
        await asyncio.sleep(self._random.uniform(0, pause))
        while True:
            if self.session.connected.is_set():
                for message in self._behaviour.report(virtual.now()):
                    self.session.publish(self.session.topic(message.channel), message.fields)
            await asyncio.sleep(pause * self._random.uniform(0.9, 1.1))

    async def misuse(self, others: Sequence[DeviceId], patience_s: float) -> float | None:
        """Reaches for other devices' topics until it is cut off: seconds from the first forbidden act to the closed
        connection as the device sees it, or None where nobody stops it within ``patience_s``."""
        began = time.monotonic()
        ending = asyncio.create_task(asyncio.to_thread(self.session.lost.wait, patience_s))
        try:
            for what in (*undeclared(self.device, self._random, 2), *flooding(self.device, self._random, FLOOD)):
                self.session.publish(what.topic, what.fields)
            began = time.monotonic()
            listening = spying(self.device, others[:1])
            for what in impersonating(self.device, others, self._random):
                self.session.publish(what.topic, what.fields)
                if (request := next(listening, None)) is not None:
                    self.session.subscribe(request.topic)
                await asyncio.sleep(0.05)
                if self.session.lost.is_set():
                    break
            cut = await ending
        finally:
            ending.cancel()
            with suppress(asyncio.CancelledError):
                await ending
        lost_at = self.session.lost_at
        return lost_at - began if cut and lost_at is not None else None
