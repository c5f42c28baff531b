"""Rollouts over a fleet in virtual time: the real flows on SQLite and PostgreSQL, devices that answer as a test says."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from bastide.adapters.sql.database import Database
from bastide.adapters.sql.units import SQLStores, SQLUnitsOfWork
from bastide.core.error import Conflict, NotFound
from bastide.core.ids import DeviceClass, DeviceId
from bastide.core.plan import CredentialState, UpdateEligibility
from bastide.core.standing import Standing
from bastide.device.release.release import Release
from bastide.device.release.report import Attempt, Report, Told
from bastide.flows.carry_rollouts import Carrying
from bastide.flows.offer_update import Offering
from bastide.flows.propose_rollout import Rolling, approve, end, look_before, pause, propose, resume
from bastide.operations.rollout.plan import Ramp, Rings
from bastide.operations.rollout.preflight import Hindrance
from bastide.operations.rollout.rollout import PartState, Phase, Rollout, Target, Terms, begin
from bastide.testing import FakeClock, SequentialIds
from bastide.testing.releases import LAMP_2, MemoryReleases
from tests.ports import values

LAMPS = Target(DeviceClass("lamp"))
MINUTE = timedelta(minutes=1)
QUICK = Terms(Rings((1.0,)), Ramp(1000, MINUTE), answer_within=timedelta(minutes=20))


@dataclass
class Thing:
    """A device as its controller meets it: what it runs, and what becomes of an update that it is told to take."""

    id: DeviceId
    version: str = "1.0"
    sha256: str = "1" * 64
    hardware: str = "rev-b"
    fails: bool = False
    silent: bool = False
    offline: bool = False
    attempt: Attempt | None = None
    told: list[Told] = field(default_factory=list)

    def report(self) -> Report:
        return Report(self.hardware, self.version, 1, 1 << 20, self.sha256, False, attempt=self.attempt)

    def hear(self, told: Told) -> None:
        self.attempt = None
        self.told.append(told)
        if told.update is None:
            return
        if self.silent:
            self.offline = True
        elif self.fails:
            self.attempt = Attempt(told.update.rollout, "it went back")
        else:
            self.version, self.sha256 = told.update.version, told.update.sha256


@dataclass
class Eligible:
    """Implements flows.offer_update.Eligibilities."""

    normally: UpdateEligibility = UpdateEligibility.NORMAL

    async def held(self, device: DeviceId) -> tuple[CredentialState, UpdateEligibility] | None:
        return CredentialState.VALID, self.normally


class Plant:
    """Devices of one class, and the flows over a database."""

    def __init__(self, database: Database, clock: FakeClock, ids: SequentialIds) -> None:
        self.clock, self.ids, self.database = clock, ids, database
        self.units, self.stores = SQLUnitsOfWork(database, clock, ids), SQLStores(database)
        self.reads, self.releases, self.eligible = self.stores.rollouts, MemoryReleases(), Eligible()
        self.rolling = Rolling(self.units, self.reads, self.releases, clock, ids)
        self.offering = Offering(self.units, self.reads, self.stores.devices, self.eligible, self.releases, clock)
        self.carrying = Carrying(self.units, self.reads, self.releases, clock)
        database.on_committed(self.offering.heard)
        self.things: list[Thing] = []

    async def add(self, count: int) -> Sequence[Thing]:
        """So many devices, which have said what they run."""
        made = [Thing(DeviceId(self.ids.mint("d"))) for _ in range(count)]
        for one in made:
            async with self.units("system:test") as work:
                work.devices.add(
                    replace(values.device(one.id, standing=Standing.TRUSTED), device_class=DeviceClass("lamp"))
                )
            one.hear(await self.offering.told(one.id, one.report()))
        self.things += made
        return made

    async def roll(self, terms: Terms = QUICK, release: Release = LAMP_2) -> Rollout:
        made = await propose(release, LAMPS, terms, "person:ada", "p-ada", self.rolling)
        return await approve(made.id, "person:ada", "p-ada", self.rolling)

    async def pass_(self, minutes: int = 1, *, every: int = 1) -> None:
        """Time: in each minute (or so many) each device asks once, and the controller looks."""
        for _ in range(0, minutes, every):
            self.clock.advance(every * MINUTE)
            for one in self.things:
                if not one.offline:
                    one.hear(await self.offering.told(one.id, one.report()))
            await self.carrying.look()

    async def states(self, rollout: Rollout) -> Counter[PartState]:
        return Counter(one.state for one in await self.reads.parts(rollout.id, None, 500))


@pytest.fixture
def plant(database: Database, clock: FakeClock, ids: SequentialIds) -> Plant:
    return Plant(database, clock, ids)


async def test_a_release_goes_ring_by_ring(plant: Plant) -> None:
    await plant.add(24)
    rollout = await plant.roll(Terms(Rings((0.2, 0.6, 1.0)), Ramp(3, MINUTE), answer_within=timedelta(minutes=20)))
    await plant.pass_(40)
    assert {one.version for one in plant.things} == {"2.0"}
    parts = await plant.reads.parts(rollout.id, PartState.SUCCEEDED, 500)
    assert len(parts) == 24
    by_ring = {ring: [one for one in parts if one.ring == ring] for ring in range(3)}
    for ring in (1, 2):
        before = [one.answered for one in parts if one.ring < ring and one.answered]
        assert before
        assert min(one.began for one in by_ring[ring]) >= max(before)
    # Three at once and three more each minute; the first question comes a minute after the ring began.
    began = Counter(one.began for one in parts)
    assert max(began.values()) <= 6
    assert [(one.ring, one.began, one.succeeded, one.failed) for one in await plant.reads.rings(rollout.id)] == [
        (ring, len(by_ring[ring]), len(by_ring[ring]), 0) for ring in range(3)
    ]
    firmware = (await plant.stores.devices.get(plant.things[0].id)).attribute("firmware")
    assert firmware is not None
    assert (firmware.value, firmware.source) == ("2.0", "device:report")


async def test_a_bad_release_is_stopped_in_its_first_ring(plant: Plant) -> None:
    for one in await plant.add(40):
        one.fails = True
    rollout = await plant.roll(Terms(Rings((0.5, 1.0)), Ramp(2, MINUTE), answer_within=timedelta(minutes=20), tries=1))
    await plant.pass_(30)
    stopped = await plant.reads.get(rollout.id)
    assert (stopped.phase, stopped.ring) == (Phase.STOPPED, 0)
    assert "explains" in stopped.because
    touched = (await plant.states(rollout)).total()
    assert 5 <= touched < 16
    assert {one.version for one in plant.things} == {"1.0"}


async def test_silence_is_failure_and_the_offline_do_not_hold_a_ring(plant: Plant) -> None:
    await plant.add(12)
    first, second, *_ = plant.things
    first.silent, second.offline = True, True
    plant.clock.advance(timedelta(days=2))  # nobody waits for a device that was last heard so long ago
    rollout = await plant.roll(
        Terms(Rings((0.999999, 1.0)), Ramp(50, MINUTE), answer_within=timedelta(minutes=20), tries=1)
    )
    await plant.pass_(30)
    assert await plant.states(rollout) == {PartState.SUCCEEDED: 10, PartState.FAILED: 1}
    part = await plant.reads.part(rollout.id, first.id)
    assert part is not None
    assert "did not answer" in part.because
    assert await plant.reads.part(rollout.id, second.id) is None


async def test_a_failure_counts_once_and_is_tried_again(plant: Plant) -> None:
    await plant.add(6)
    unlucky = plant.things[0]
    unlucky.fails = True
    rollout = await plant.roll()
    await plant.pass_(5)
    assert (await plant.states(rollout))[PartState.FAILED] == 1
    unlucky.fails = False
    await plant.pass_(90, every=5)
    part = await plant.reads.part(rollout.id, unlucky.id)
    assert part is not None
    assert (part.state, part.tries) == (PartState.SUCCEEDED, 2)
    held = await plant.reads.get(rollout.id)
    assert held.phase is Phase.RUNNING
    assert held.watch.score > 0  # the failure was weighed before it was tried again


async def test_a_device_of_a_stopped_rollout_takes_the_next_one(plant: Plant) -> None:
    (thing,) = await plant.add(1)
    thing.silent = True
    first = await plant.roll()
    await plant.pass_(1)
    await end(first.id, "a better one is coming", "person:ada", plant.rolling)
    thing.silent = thing.offline = False
    newer = replace(LAMP_2, version="2.1", path="lamp/2.1/lamp.bin", digest="3" * 64)
    plant.releases.held.append(newer)
    second = await plant.roll(release=newer)
    await plant.pass_(2)
    assert thing.version == "2.1"
    assert await plant.states(first) == {PartState.FAILED: 1}
    assert await plant.states(second) == {PartState.SUCCEEDED: 1}


async def test_of_two_rollouts_of_a_name_the_newer_counts(plant: Plant) -> None:
    await plant.add(2)
    await plant.roll()
    newer = replace(LAMP_2, version="2.1", path="lamp/2.1/lamp.bin", digest="3" * 64)
    plant.releases.held.append(newer)
    plant.clock.advance(MINUTE)
    await plant.roll(release=newer)
    await plant.pass_(5)
    assert {one.version for one in plant.things} == {"2.1"}


async def test_who_may_not_is_told_why(plant: Plant) -> None:
    (thing,) = await plant.add(1)
    assert thing.told[-1].because == "Nothing is rolled out for it."
    thing.hardware = "rev-a"
    rollout = await plant.roll()
    await plant.pass_(1)
    assert thing.told[-1].update is None
    found = await look_before(LAMP_2, LAMPS, plant.rolling)
    assert (found.devices, found.ready, found.hindered) == (1, 0, {Hindrance.HARDWARE: 1})
    thing.hardware = "rev-b"
    plant.eligible.normally = UpdateEligibility.NONE
    await plant.pass_(1)
    assert "gets no updates" in thing.told[-1].because
    plant.eligible.normally = UpdateEligibility.REPAIR
    await plant.pass_(1)
    assert "repair" in thing.told[-1].because
    await pause(rollout.id, "lunch", "person:ada", plant.rolling)
    plant.eligible.normally = UpdateEligibility.NORMAL
    await plant.pass_(1)
    assert thing.told[-1].update is None
    await resume(rollout.id, "person:ada", plant.rolling)
    await plant.pass_(2)
    assert thing.version == "2.0"


async def test_a_withdrawn_release_stops_its_rollout(plant: Plant) -> None:
    await plant.add(1)
    rollout = await plant.roll()
    plant.releases.held.clear()
    plant.clock.advance(timedelta(seconds=2))
    thing = plant.things[0]
    assert (await plant.offering.told(thing.id, thing.report())).update is None
    await plant.carrying.look()
    assert (await plant.reads.get(rollout.id)).phase is Phase.STOPPED
    with pytest.raises(NotFound):
        await plant.roll()


async def test_two_people_must_approve_where_two_are_asked_for(plant: Plant) -> None:
    made = await propose(LAMP_2, LAMPS, replace(QUICK, approvals=2), "person:ada", "p-ada", plant.rolling)
    once = await approve(made.id, "token:t-1", "p-ada", plant.rolling)
    assert once.phase is Phase.PROPOSED
    with pytest.raises(Conflict):
        await approve(made.id, "person:ada", "p-ada", plant.rolling)
    assert (await approve(made.id, "person:bob", "p-bob", plant.rolling)).phase is Phase.RUNNING


async def test_what_was_read_before_a_change_writes_nothing(plant: Plant) -> None:
    (thing,) = await plant.add(1)
    rollout = await plant.reads.get((await plant.roll()).id)
    part = begin(rollout, thing.id, "1.0", None, plant.clock.now())
    await pause(rollout.id, "lunch", "person:ada", plant.rolling)
    with pytest.raises(Conflict):
        async with plant.units("system:test") as work:
            work.rollouts.begin(part)
    with pytest.raises(Conflict):
        async with plant.units("system:test") as work:
            work.rollouts.put(rollout)
    await resume(rollout.id, "person:ada", plant.rolling)
    async with plant.units("system:test") as work:
        work.rollouts.begin(part)
    with pytest.raises(Conflict):
        async with plant.units("system:test") as work:
            work.rollouts.begin(part)
    failed = replace(part, state=PartState.FAILED, answered=plant.clock.now())
    async with plant.units("system:test") as work:
        work.rollouts.answer(failed)
    with pytest.raises(Conflict):
        async with plant.units("system:test") as work:
            work.rollouts.answer(failed)


async def test_rollouts_are_listed_newest_first_by_pages(plant: Plant) -> None:
    made = []
    for _ in range(5):
        made.append(await propose(LAMP_2, LAMPS, QUICK, "person:ada", "p-ada", plant.rolling))
        plant.clock.advance(MINUTE)
    first = await plant.reads.list((), 3)
    rest = await plant.reads.list((Phase.PROPOSED,), 3, first[-1].id)
    assert [one.id for one in (*first, *rest)] == [one.id for one in reversed(made)]
    assert first[0] == made[-1]
