"""The broker as an enforcement point: a plan is held when no session lives that an older one let in.

The order matters. First nobody new is let in under the old plan, and the plan is durable; then the ingest worker knows, so
that a last will or a queued message of a device that lost its standing is dropped; only then the sessions end.
"""

import asyncio
from dataclasses import replace
from weakref import WeakValueDictionary

from bastide.adapters.nats.plans import Plans
from bastide.adapters.nats.sessions import Sessions
from bastide.core.error import Refused, Unavailable
from bastide.core.ids import DeviceId, ProfileName
from bastide.core.plan import Outcome, Plan, Point
from bastide.ports.clock import Clock
from bastide.ports.platform.catalogue import CatalogueReads
from bastide.ports.platform.stores import DeviceFilter, DeviceReads, Stores
from bastide.wire.desired import Desired

END_SECONDS = 2.0
PAGE = 500


class BrokerEnforcer:
    """Implements ports.network.Enforcer for :attr:`Point.BROKER`."""

    point = Point.BROKER

    def __init__(
        self, plans: Plans, sessions: Sessions, devices: DeviceReads, catalogue: CatalogueReads, clock: Clock
    ) -> None:
        self._plans = plans
        self._sessions = sessions
        self._devices = devices
        self._catalogue = catalogue
        self._clock = clock
        # One plan of a device at a time; a lock that nobody holds any more is forgotten.
        self._locks: WeakValueDictionary[DeviceId, asyncio.Lock] = WeakValueDictionary()

    async def apply(self, plan: Plan) -> Outcome:
        """See ports.network: ``Refused`` for a plan older than the one held, ``Unavailable`` where the broker is away."""
        lock = self._locks.setdefault(plan.device, asyncio.Lock())
        async with lock:
            return await self._apply(plan)

    async def _apply(self, plan: Plan) -> Outcome:
        held = self._plans.held(plan.device)
        if held is not None and held.plan.generation > plan.generation:
            raise Refused(
                f"The broker holds generation {held.plan.generation} of {plan.device} and was handed {plan.generation}; "
                "read the current plan and apply that.",
                code="plan:generation:stale",
            )
        device = await self._devices.get(plan.device)
        profile = await self._catalogue.profile(device.profile)
        await self._plans.put(Desired(plan, device.device_class, profile))

        # A session keeps the rights that it was let in with. Where those did not change it may stay; the same plan again
        # is a second try, of which it is not known how far the first one came.
        again = held is not None and held.plan.generation == plan.generation
        older = [one for one in self._sessions.of(plan.device) if one.generation < plan.generation]
        if held is None or again or held.plan.broker != plan.broker:
            left = await self._sessions.end(older, END_SECONDS)
            if left:
                raise Unavailable(
                    f"{len(left)} of {len(older)} sessions of {plan.device} did not end within {END_SECONDS:g} s; "
                    "the broker is asked again.",
                    code="broker:session:alive",
                )
            ended = len(older)
        else:
            ended = 0
        return Outcome(plan.device, self.point, plan.generation, self._clock.now(), _describe(plan, ended))

    async def profile_changed(self, name: ProfileName) -> int:
        """Hands on a profile whose fields or rates changed: plans stay, ingest reads payloads by the new one."""
        profile = await self._catalogue.profile(name)
        handed = 0
        for desired in self._plans.with_profile(name):
            lock = self._locks.setdefault(desired.plan.device, asyncio.Lock())
            async with lock:
                now = self._plans.held(desired.plan.device)
                if now is not None and now.profile != profile:
                    await self._plans.put(replace(now, profile=profile))
                    handed += 1
        return handed


async def reconcile(plans: Plans, enforcer: BrokerEnforcer, stores: Stores) -> int:
    """Hands the broker every current plan that it does not hold, as after its store was lost; gives how many."""
    handed, after = 0, ""
    while page := await stores.devices.list(DeviceFilter(after=after, limit=PAGE)):
        for device in page:
            held = plans.held(device.id)
            if device.generation and (held is None or held.plan.generation < device.generation):
                current = await stores.plans.current(device.id)
                if current is not None:
                    await enforcer.apply(current)
                    handed += 1
        after = page[-1].id
    return handed


def _describe(plan: Plan, ended: int) -> str:
    given = plan.broker
    holds = (
        f"publish {len(given.publish)}, subscribe {len(given.subscribe)}" if given.may_connect else "connection refused"
    )
    return f"{holds}; {ended} session{'' if ended == 1 else 's'} ended"
