"""What happens to rollouts by themselves: silence becomes failure, cohorts are weighed, rings follow each other, a bad release is
stopped, and so is one that was withdrawn."""

import asyncio
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bastide.core.error import Conflict
from bastide.flows.offer_update import answer
from bastide.flows.propose_rollout import PAGE, installed_of
from bastide.operations.rollout.abort import Verdict
from bastide.operations.rollout.preflight import hindrances
from bastide.operations.rollout.rollout import (
    Outcome,
    PartState,
    Phase,
    Rollout,
    RolloutId,
    next_ring,
    offer_of,
    weigh,
    withdrawn,
)
from bastide.ports.clock import Clock
from bastide.ports.platform.rollouts import Releases, RolloutReads, RolloutUnitsOfWork

ACTOR = "system:rollouts"
HEARD = timedelta(days=1)
"""A ring does not wait for a device that was not heard for so long."""
MOST = 200
SHARE = 20
"""Looking through a fleet takes at most one part in so many of the time."""


@dataclass(slots=True)
class Carrying:
    """``look()`` does what is due, for each rollout that runs or is paused."""

    units: RolloutUnitsOfWork
    reads: RolloutReads
    releases: Releases
    clock: Clock
    _not_before: dict[RolloutId, float] = field(default_factory=dict)

    async def look(self) -> None:
        open_ = await self.reads.list((Phase.RUNNING, Phase.PAUSED), MOST)
        if not open_:
            return
        paths = {(one.path, one.digest) for one in await asyncio.to_thread(self.releases.published)}
        for rollout in open_:
            await self._carry(rollout, paths)

    async def _carry(self, rollout: Rollout, published: Collection[tuple[str, str]]) -> None:
        now = self.clock.now()
        if (rollout.release.path, rollout.release.digest) not in published:
            await self._put(withdrawn(rollout, now), "rollout:stopped")
            return
        for part in await self.reads.silent(rollout.id, now, PAGE):
            said = f"It did not answer within {rollout.terms.answer_within}."
            await answer(part, Outcome(PartState.FAILED, said), now, self.units)
        weighed = weigh(rollout, await self.reads.cohorts(rollout.id, rollout.weighed), now)
        if weighed.phase is Phase.STOPPED:
            await self._put(weighed, "rollout:stopped")
        elif weighed.phase is Phase.RUNNING and not weighed.last_ring and await self._ring_is_over(weighed, now):
            await self._put(next_ring(weighed, now), "rollout:ring:began")
        elif weighed != rollout:
            await self._put(weighed, "")

    async def _ring_is_over(self, rollout: Rollout, now: datetime) -> bool:
        """The rule said *well*; or everybody in the ring who could have answered has, the rule has nothing against it, and
        somebody waits in a later ring."""
        if rollout.watch.verdict is Verdict.WELL:
            return True
        rings = {one.ring: one for one in await self.reads.rings(rollout.id)}
        if any(one.open for one in rings.values()) or await self.reads.cohorts(rollout.id, rollout.weighed):
            return False
        if time.monotonic() < self._not_before.get(rollout.id, 0.0):
            return False
        began = time.monotonic()
        here, later = await self._who_waits(rollout, now)
        self._not_before[rollout.id] = time.monotonic() + SHARE * (time.monotonic() - began)
        return later and not here

    async def _who_waits(self, rollout: Rollout, now: datetime) -> tuple[bool, bool]:
        """Whether a device that was heard lately could take the release and did not begin: in a ring that has the turn, in a
        later one."""
        offer, after, here, later = offer_of(rollout.release), "", False, False
        while not here and (page := await self.reads.fleet(rollout.target, PAGE, after)):
            after = page[-1][0]
            began = await self.reads.began(rollout.id, [device for device, _ in page])
            for device, running in page:
                if device in began or running is None or now - running.reported_at >= HEARD:
                    continue
                if not hindrances(installed_of(device, running), offer, now):
                    turn = rollout.terms.rings.ring(rollout.id, device) <= rollout.ring
                    here, later = here or turn, later or not turn
        return here, later

    async def _put(self, changed: Rollout, kind: str) -> None:
        """Nothing where a person changed it meanwhile: the next look sees it."""
        try:
            async with self.units(ACTOR) as work:
                work.rollouts.put(changed)
                if kind:
                    told: dict[str, str | int] = {"ring": changed.ring + 1}
                    if changed.because:
                        told["because"] = changed.because
                    work.ledger.record(kind, f"rollout:{changed.id}", told)
        except Conflict:
            return
