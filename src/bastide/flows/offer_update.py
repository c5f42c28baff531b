"""A device says what runs on it and is told what to take: the one exchange by which updates reach devices.

What it says is kept, and becomes its firmware in the inventory; it ends the device's part in a rollout where it measured that the
release runs, or says why it does not stay. Then the rules decide whether it may begin the next.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from bastide.core.audit import Record
from bastide.core.device import Attribute, Device
from bastide.core.error import Conflict
from bastide.core.ids import DeviceId
from bastide.core.plan import CredentialState, UpdateEligibility
from bastide.device.release.report import Report, Told
from bastide.operations.inventory.attributes import merged
from bastide.operations.rollout.rollout import (
    Outcome,
    Part,
    PartState,
    Phase,
    Rollout,
    RolloutId,
    as_installed,
    begin,
    outcome,
    why_not_now,
)
from bastide.ports.clock import Clock
from bastide.ports.platform.rollouts import Releases, RolloutReads, RolloutUnitsOfWork, Running
from bastide.ports.platform.stores import DeviceReads

ACTOR = "system:updates"
SAID_BY = "device:report"
MEASURED = 0.9
"""How sure a device's own measurement of what runs is, among what others say."""
SOON, LATER = 60, 900
LOOKED_AT = timedelta(seconds=1)
SAID_AGAIN = timedelta(hours=1)
"""A report that says nothing new is written down this often."""
MOST_RUNNING, MOST_PARTS = 200, 20


class Eligibilities(Protocol):
    """What devices may take (ports.platform.credentials.CredentialReads)."""

    async def held(self, device: DeviceId) -> tuple[CredentialState, UpdateEligibility] | None: ...


@dataclass(slots=True)
class Offering:
    """``told(device, report)`` is the answer to a device. The running rollouts are looked up once a second and when one changed,
    not for each device; what they may is checked again when a device's part is written."""

    units: RolloutUnitsOfWork
    reads: RolloutReads
    devices: DeviceReads
    eligibilities: Eligibilities
    releases: Releases
    clock: Clock
    _running: Sequence[Rollout] = ()
    _paths: frozenset[str] = frozenset()
    _looked_at: datetime | None = None
    _begun: dict[tuple[RolloutId, int], int] = field(default_factory=dict)

    def heard(self, records: Sequence[Record]) -> None:
        """What was committed: the next device sees it."""
        if any(record.kind.startswith("rollout:") for record in records):
            self._looked_at = None

    async def told(self, id: DeviceId, report: Report) -> Told:
        now = self.clock.now()
        await self._look(now)
        device = await self.devices.get(id)
        await self._keep(device, report, now)
        at_it = await self._settle(device, report, now)
        if at_it is not None:
            return at_it
        held = await self.eligibilities.held(id)
        eligible = held[1] if held is not None else UpdateEligibility.NONE
        if eligible is UpdateEligibility.NONE:
            return Told(None, "This device gets no updates as it stands. See its page in the console.", LATER)
        because = "Nothing is rolled out for it."
        for rollout in self._for(device, report):
            if eligible is UpdateEligibility.REPAIR and not rollout.terms.repair:
                because = "As it stands it gets releases that repair only."
                continue
            begun = await self._begin(rollout, device, report, now)
            if isinstance(begun, Part):
                return Told(rollout.update, "", SOON)
            because = begun
        return Told(None, because[:500], LATER if not self._running else SOON * 5)

    async def may_fetch(self, id: DeviceId, path: str) -> bool:
        """Whether a device is at a rollout of the published release with this target path."""
        await self._look(self.clock.now())
        if path not in self._paths:
            return False
        at_it = [one for one in await self.reads.parts_of(id, MOST_PARTS) if one.state is PartState.BEGAN]
        return any([(await self.reads.get(one.rollout)).release.path == path for one in at_it])

    async def _look(self, now: datetime) -> None:
        if self._looked_at is not None and timedelta(0) <= now - self._looked_at < LOOKED_AT:
            return
        self._running = await self.reads.list((Phase.RUNNING,), MOST_RUNNING)
        published = await asyncio.to_thread(self.releases.published)
        self._paths = frozenset(one.path for one in published)
        self._begun, self._looked_at = {}, now

    def _for(self, device: Device, report: Report) -> Sequence[Rollout]:
        """The rollouts for a device and its hardware, the newest of each name, of releases that are published."""
        newest: dict[str, Rollout] = {}
        for rollout in self._running:
            fits = report.hardware in rollout.release.facts.get("hardware", ())
            if fits and rollout.target.holds(device.device_class, device.site, device.owner):
                newest.setdefault(rollout.release.name, rollout)
        return [one for one in newest.values() if one.release.path in self._paths]

    async def _keep(self, device: Device, report: Report, now: datetime) -> None:
        """Writes down what runs, where it is news or an hour old."""
        said = Running(device.id, replace(report, attempt=None), now)
        known = await self.reads.running(device.id)
        new = known is None or known.report != said.report
        if not new and known is not None and now - known.reported_at < SAID_AGAIN:
            return
        firmware = Attribute("firmware", report.version, SAID_BY, MEASURED, now)
        mine = [one for one in device.attributes if one.source == SAID_BY]
        restated = bool(report.version) and [one.value for one in mine] != [report.version]
        try:
            await self._write(device, said, firmware if restated else None, new)
        except Conflict:
            # The loop wrote the device's entry meanwhile; the next report states its firmware.
            await self._write(device, said, None, new)

    async def _write(self, device: Device, said: Running, firmware: Attribute | None, new: bool) -> None:
        report = said.report
        async with self.units(f"device:{device.id}") as work:
            work.rollouts.says(said)
            work.devices.seen({device.id: said.reported_at})
            if firmware is not None:
                work.devices.put(replace(device, attributes=merged(device.attributes, [firmware], SAID_BY)))
            if new:
                told = {"version": report.version, "sha256": report.sha256, "on_trial": report.on_trial}
                counter = {} if report.counter is None else {"counter": report.counter}
                work.ledger.record("update:device:reported", f"device:{device.id}", {**told, **counter})

    async def _settle(self, device: Device, report: Report, now: datetime) -> Told | None:
        """Ends the parts that the report ends; the answer while the device is at one."""
        for part in await self.reads.parts_of(device.id, MOST_PARTS):
            if part.state is not PartState.BEGAN:
                continue
            rollout = await self.reads.get(part.rollout)
            found = outcome(rollout, report)
            over = rollout.phase in (Phase.STOPPED, Phase.ENDED)
            if found is None and over and report.sha256 != rollout.release.digest:
                found = Outcome(PartState.FAILED, f"The rollout was {rollout.phase} before it was done.")
            if found is not None:
                await answer(part, found, now, self.units)
            elif over or rollout.phase is Phase.PAUSED or rollout.release.path not in self._paths:
                return Told(None, f"The rollout is {rollout.phase}; an update that is not begun waits.", SOON * 5)
            else:
                return Told(rollout.update, "", SOON)
        return None

    async def _begin(self, rollout: Rollout, device: Device, report: Report, now: datetime) -> Part | str:
        """The device's part, or why it has none now."""
        part = await self.reads.part(rollout.id, device.id)
        if rollout.release.digest == report.sha256 and not report.on_trial:
            return "It runs what is rolled out."
        ring = (rollout.id, rollout.ring)
        if ring not in self._begun:
            self._begun[ring] = await self.reads.began_in(*ring)
        installed = as_installed(device.id, report)
        not_now = why_not_now(rollout, installed, part, self._begun[ring], now, ZoneInfo(rollout.terms.zone))
        if not_now is not None:
            return not_now
        begun = begin(rollout, device.id, report.version, part, now)
        try:
            async with self.units(ACTOR) as work:
                work.rollouts.begin(begun)
                told = {
                    "rollout": rollout.id,
                    "version": rollout.release.version,
                    "before": begun.before,
                    "try": begun.tries,
                }
                work.ledger.record("update:device:began", f"device:{device.id}", told)
        except Conflict as error:
            return error.sentence
        self._begun[ring] += begun.ring == rollout.ring
        return begun


async def answer(part: Part, found: Outcome, now: datetime, units: RolloutUnitsOfWork) -> None:
    """Ends a device's part; nothing where it has ended meanwhile."""
    ended = replace(part, state=found.state, answered=now, because=found.because[:500])
    told = {"rollout": part.rollout, "because": ended.because} if ended.because else {"rollout": part.rollout}
    try:
        async with units(ACTOR) as work:
            work.rollouts.answer(ended)
            work.ledger.record(f"update:device:{found.state.value}", f"device:{part.device}", told)
    except Conflict:
        return
