"""The loop, from evidence to what each point holds, over ports that behave."""

from datetime import timedelta

import pytest

from bastide.core.device import Device
from bastide.core.error import Refused, Unavailable
from bastide.core.evidence import Evidence, Subject, SubjectKind, Trust
from bastide.core.ids import DeviceClass, DeviceId, EvidenceId, OwnerName, ProfileName, RuleId, SiteName, ZoneName
from bastide.core.plan import CredentialState, Point
from bastide.core.standing import Stage, Standing
from bastide.flows.catch_up import catch_up
from bastide.flows.change_policy import apply_policy, ensure_policy, simulate_policy
from bastide.flows.describe_kinds import ensure_class, put_profile
from bastide.flows.govern_device import Governed, Governing, govern_device
from bastide.flows.operator_acts import break_glass, quarantine, release, waive
from bastide.flows.take_evidence import concerned, take_evidence
from bastide.governance.policy.document import BUILT_IN
from bastide.network.profile.document import GENERIC
from bastide.testing.clock import FakeClock, SequentialIds
from bastide.testing.enforcer import MemoryEnforcer
from bastide.testing.state import MemoryState

LAMP = DeviceId("d-" + "a" * 20)


class House:
    """One lamp, enrolled, over memory."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.ids = SequentialIds()
        self.state = MemoryState(self.clock, self.ids)
        self.points = {point: MemoryEnforcer(point, self.clock) for point in Point}
        self.loop = Governing(self.state, self.state.units, tuple(self.points.values()), self.clock)

    async def open(self) -> "House":
        await ensure_policy(self.loop)
        await ensure_class("lamp", "system:test", self.loop)
        now = self.clock.now()
        async with self.state.units("device:test") as work:
            work.devices.add(
                Device(
                    id=LAMP,
                    device_class=DeviceClass("lamp"),
                    owner=OwnerName("facilities"),
                    site=SiteName("main"),
                    zone=ZoneName("default"),
                    profile=ProfileName("generic"),
                    standing=Standing.PENDING,
                    stage=Stage.COMMISSIONED,
                    created_at=now,
                )
            )
        await self.observe("identity.enrolled")
        return self

    async def observe(self, kind: str, count: int = 1, trust: Trust = Trust.AUTHENTICATED) -> Governed:
        now = self.clock.now()
        fact = Evidence(
            id=EvidenceId(self.ids.mint("e")),
            kind=kind,
            subject=Subject(SubjectKind.DEVICE, LAMP),
            source="test",
            trust=trust,
            observed_at=now,
            received_at=now,
            count=count,
        )
        await take_evidence([fact], self.state.units, "system:test")
        (device,) = await concerned([fact], self.state)
        return await govern_device(device, self.loop)

    async def kinds(self) -> list[str]:
        return [record.kind for record in reversed(await self.state.ledger.about(f"device:{LAMP}", 100))]


@pytest.fixture
async def house() -> House:
    return await House().open()


async def test_enrolling_makes_a_trusted_device_and_every_point_holds_its_plan(house: House) -> None:
    device = await house.state.devices.get(LAMP)
    assert device.standing is Standing.TRUSTED
    assert device.generation == 1
    assert all(point.holding[LAMP].generation == 1 for point in house.points.values())
    assert house.points[Point.BROKER].holding[LAMP].broker.may_connect


async def test_every_arrow_is_a_record_in_the_ledger(house: House) -> None:
    await house.observe("broker.publish.denied", count=3)
    assert (await house.kinds())[-7:] == [
        "evidence:observed",
        "decision:standing:changed",
        "enforcement:plan:intended",
        "enforcement:plan:applied",
        "enforcement:plan:applied",
        "enforcement:plan:applied",
        "enforcement:plan:applied",
    ]


async def test_misuse_takes_everything_away_at_every_point(house: House) -> None:
    governed = await house.observe("broker.publish.denied", count=3)
    assert governed.decision.standing is Standing.QUARANTINED
    held = house.points[Point.CREDENTIAL].holding[LAMP]
    assert held.generation == 2
    assert held.credential is CredentialState.SUSPENDED
    assert not held.broker.may_connect


async def test_what_changes_nothing_writes_nothing(house: House) -> None:
    before = await house.kinds()
    governed = await govern_device(LAMP, house.loop)
    assert governed.plan is None
    assert await house.kinds() == before


async def test_a_held_device_does_not_flap_while_evidence_goes_on(house: House) -> None:
    await house.observe("ingest.rate.exceeded", count=500)
    generations = set()
    for _ in range(20):
        house.clock.advance(timedelta(seconds=30))
        await house.observe("ingest.rate.exceeded", count=500)
        generations.add((await house.state.devices.get(LAMP)).generation)
    assert generations == {2}
    house.clock.advance(timedelta(minutes=16))
    assert (await govern_device(LAMP, house.loop)).decision.standing is Standing.TRUSTED


async def test_the_timer_finds_a_device_whose_hold_has_ended(house: House) -> None:
    await house.observe("ingest.rate.exceeded", count=500)
    assert not await house.state.devices.due(house.clock.now(), 10)
    house.clock.advance(timedelta(minutes=15, seconds=1))
    assert list(await house.state.devices.due(house.clock.now(), 10)) == [LAMP]


async def test_a_person_quarantines_and_releases(house: House) -> None:
    assert (
        await quarantine(LAMP, "smells", "person:a", house.loop, house.ids)
    ).decision.standing is Standing.QUARANTINED
    house.clock.advance(timedelta(seconds=1))
    assert (await release(LAMP, "fixed", "person:a", house.loop, house.ids)).decision.standing is Standing.TRUSTED


async def test_an_act_without_a_reason_is_refused_and_changes_nothing(house: House) -> None:
    before = await house.kinds()
    with pytest.raises(Refused):
        await quarantine(LAMP, "  ", "person:a", house.loop, house.ids)
    assert await house.kinds() == before


async def test_break_glass_ends_by_itself(house: House) -> None:
    await house.observe("broker.publish.denied", count=3)
    glass = await break_glass(LAMP, Standing.TRUSTED, "fire", timedelta(hours=1), "person:a", house.loop, house.ids)
    assert glass.decision.standing is Standing.TRUSTED
    assert glass.decision.on_break_glass
    house.clock.advance(timedelta(hours=1))
    ended = (await govern_device(LAMP, house.loop)).decision
    assert ended.standing is Standing.QUARANTINED
    assert not ended.on_break_glass
    assert "operator:device:break-glass" in await house.kinds()


async def test_a_waiver_needs_a_rule_that_exists_and_an_end(house: House) -> None:
    end = house.clock.now() + timedelta(days=1)
    with pytest.raises(Refused):
        await waive(RuleId("no-such"), None, OwnerName("ops"), "why", end, "person:a", house.loop, house.ids)
    late = end + timedelta(days=9999)
    with pytest.raises(Refused):
        await waive(RuleId("flooding"), None, OwnerName("ops"), "why", late, "person:a", house.loop, house.ids)
    await waive(RuleId("flooding"), None, OwnerName("ops"), "load test", end, "person:a", house.loop, house.ids)
    assert (await house.observe("ingest.rate.exceeded", count=500)).decision.standing is Standing.TRUSTED


async def test_a_point_out_of_reach_keeps_no_other_from_taking_hold_and_is_caught_up(house: House) -> None:
    house.points[Point.BROKER].out_of_reach(Unavailable("the broker is away"))
    governed = await house.observe("broker.publish.denied", count=3)
    assert {outcome.point: bool(outcome.error) for outcome in governed.outcomes} == {
        Point.BROKER: True,
        Point.CREDENTIAL: False,
        Point.UPDATE: False,
        Point.NETWORK: False,
    }
    house.clock.advance(timedelta(seconds=10))
    assert await catch_up(house.loop) == 1
    house.points[Point.BROKER].within_reach()
    assert await catch_up(house.loop) == 0
    assert not house.points[Point.BROKER].holding[LAMP].broker.may_connect


async def test_a_simulated_policy_changes_nothing_and_says_what_it_would(house: House) -> None:
    await house.observe("ingest.rate.exceeded", count=500)
    harder = BUILT_IN.replace('then = "restricted"', 'then = "quarantined"')
    before = await house.kinds()
    simulation = await simulate_policy(harder, house.loop)
    assert simulation.looked_at == 1
    (effect,) = simulation.effects
    assert (effect.now, effect.then) == (Standing.RESTRICTED, Standing.QUARANTINED)
    assert await house.kinds() == before
    await apply_policy(harder, "stricter", "person:a", house.loop)
    assert (await govern_device(LAMP, house.loop)).decision.standing is effect.then


async def test_a_changed_profile_makes_a_new_plan_although_standing_stays(house: House) -> None:
    narrower = GENERIC.replace("devices/{device}/event", "devices/{device}/alarm")
    await put_profile(narrower, "person:a", house.loop)
    governed = await govern_device(LAMP, house.loop)
    assert not governed.decision.changed
    assert governed.plan is not None
    assert governed.plan.generation == 2
    assert f"devices/{LAMP}/alarm" in house.points[Point.BROKER].holding[LAMP].broker.publish
