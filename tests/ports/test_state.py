"""The unit of work and the stores: one suite over memory, SQLite and PostgreSQL."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from bastide.core.audit import Personal, Record
from bastide.core.error import Conflict, NotFound
from bastide.core.evidence import Subject, SubjectKind
from bastide.core.ids import DeviceClass, DeviceId, EvidenceId, OwnerName, ProfileName, SiteName
from bastide.core.plan import Point
from bastide.core.profile import Channel, Direction, FieldType, PayloadField, Profile
from bastide.core.standing import Standing
from bastide.ports.platform.catalogue import ClassEntry
from bastide.ports.platform.stores import DeviceFilter, Scope
from bastide.testing import SequentialIds
from bastide.testing.clock import EPOCH
from tests.ports import values
from tests.ports.conftest import State
from tests.ports.values import HOUR, A, B

SECOND = timedelta(seconds=1)


async def test_a_device_comes_back_as_it_was_written(state: State) -> None:
    written = values.device(name="Hall", last_seen=EPOCH, decided_at=EPOCH, reconsider_at=EPOCH + HOUR, generation=4)
    async with state.units("test") as work:
        work.devices.add(written)
    assert await state.stores.devices.get(A) == written


async def test_a_device_that_is_not_there_is_not_found(state: State) -> None:
    with pytest.raises(NotFound, match=A):
        await state.stores.devices.get(A)


async def test_adding_a_device_twice_is_a_conflict(state: State) -> None:
    async with state.units("test") as work:
        work.devices.add(values.device())
    with pytest.raises(Conflict):
        async with state.units("test") as work:
            work.devices.add(values.device(name="another"))
    assert (await state.stores.devices.get(A)).name == ""


async def test_each_put_takes_the_next_version_and_a_stale_one_is_refused(state: State) -> None:
    async with state.units("test") as work:
        work.devices.add(values.device())
    read = await state.stores.devices.get(A)
    async with state.units("test") as work:
        work.devices.put(replace(read, name="first"))
    with pytest.raises(Conflict):
        async with state.units("test") as work:
            work.devices.put(replace(read, name="second"))
    stored = await state.stores.devices.get(A)
    assert (stored.name, stored.version) == ("first", read.version + 1)


async def test_putting_a_device_that_was_never_added_is_a_conflict(state: State) -> None:
    with pytest.raises(Conflict):
        async with state.units("test") as work:
            work.devices.put(values.device())


async def test_a_refused_unit_writes_nothing_at_all(state: State) -> None:
    heard: list[Record] = []
    state.on_committed(heard.extend)
    with pytest.raises(Conflict):  # noqa: PT012 - the block is the unit
        async with state.units("test") as work:
            work.devices.add(values.device())
            work.evidence.add([values.evidence(1)])
            work.findings.put(values.finding())
            work.ledger.record("device:enrolled", f"device:{A}", {})
            work.devices.add(values.device())
    assert await state.stores.devices.list(DeviceFilter()) == []
    assert await state.stores.evidence.recent(Subject(SubjectKind.DEVICE, A), 10) == []
    assert await state.stores.findings.open(None, 10) == []
    assert heard == []


async def test_leaving_a_unit_by_an_exception_writes_nothing(state: State) -> None:
    with pytest.raises(ZeroDivisionError):  # noqa: PT012 - the block is the unit
        async with state.units("test") as work:
            work.devices.add(values.device())
            raise ZeroDivisionError
    assert await state.stores.devices.list(DeviceFilter()) == []


async def test_one_refused_unit_takes_none_of_its_neighbours_with_it(state: State) -> None:
    async with state.units("test") as work:
        work.devices.add(values.device())
    read = await state.stores.devices.get(A)
    ids = SequentialIds("neighbours")

    async def stale() -> None:
        async with state.units("test") as work:
            work.devices.put(replace(read, version=99))

    async def good() -> None:
        async with state.units("test") as work:
            work.devices.add(values.device(DeviceId(ids.mint("d"))))

    results = await asyncio.gather(*(stale() if n % 4 == 0 else good() for n in range(40)), return_exceptions=True)
    assert [isinstance(each, Conflict) for each in results] == [n % 4 == 0 for n in range(40)]
    assert len(await state.stores.devices.list(DeviceFilter(limit=100))) == 31


async def test_of_many_writers_of_one_version_exactly_one_wins(state: State) -> None:
    async with state.units("test") as work:
        work.devices.add(values.device())

    async def increment() -> int:
        tries = 0
        while True:
            tries += 1
            device = await state.stores.devices.get(A)
            try:
                async with state.units("test") as work:
                    work.devices.put(replace(device, generation=device.generation + 1))
                return tries
            except Conflict:
                continue

    tries = await asyncio.gather(*(increment() for _ in range(12)))
    assert (await state.stores.devices.get(A)).generation == 12
    assert sum(tries) > 12  # they did meet


async def test_last_seen_only_moves_forward_and_takes_no_version(state: State) -> None:
    async with state.units("test") as work:
        work.devices.add(values.device())
    for offset in (5, 3, 9, 1):
        async with state.units("test") as work:
            work.devices.seen({A: EPOCH + offset * SECOND, B: EPOCH})
    stored = await state.stores.devices.get(A)
    assert stored.last_seen == EPOCH + 9 * SECOND
    assert stored.version == 0


async def test_a_decision_made_on_an_older_reading_does_not_set_last_seen_back(state: State) -> None:
    async with state.units("test") as work:
        work.devices.add(values.device())
    read = await state.stores.devices.get(A)
    async with state.units("test") as work:
        work.devices.seen({A: EPOCH + HOUR})
    async with state.units("test") as work:
        work.devices.put(replace(read, standing=Standing.QUARANTINED))
    assert (await state.stores.devices.get(A)).last_seen == EPOCH + HOUR


async def test_devices_are_listed_by_id_and_paged(state: State) -> None:
    ids = SequentialIds("fleet")
    fleet = sorted(DeviceId(ids.mint("d")) for _ in range(7))
    async with state.units("test") as work:
        for each in reversed(fleet):
            work.devices.add(values.device(each))
    seen: list[str] = []
    while page := await state.stores.devices.list(DeviceFilter(after=seen[-1] if seen else "", limit=3)):
        seen += [each.id for each in page]
    assert seen == fleet


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (DeviceFilter(text="HALL"), [A]),
        (DeviceFilter(text="facil"), [A, B]),
        (DeviceFilter(text="100%"), [B]),
        (DeviceFilter(text="_"), []),
        (DeviceFilter(holding=("100% d",)), [B]),
        (DeviceFilter(holding=("vendor", "dhcp", "oslo")), [B]),
        (DeviceFilter(holding=("floor-2", "trusted")), [A]),
        (DeviceFilter(holding=("lyon", "oslo")), []),
        (DeviceFilter(standings=(Standing.QUARANTINED, Standing.RETIRED)), [B]),
        (DeviceFilter(classes=(DeviceClass("camera"),)), [B]),
        (DeviceFilter(profiles=(ProfileName("camera"),)), [B]),
        (DeviceFilter(sites=(SiteName("lyon"),)), [A]),
        (DeviceFilter(scope=Scope(sites=(SiteName("oslo"),))), [B]),
        (DeviceFilter(scope=Scope(sites=(SiteName("oslo"),), classes=(DeviceClass("thermostat"),))), []),
    ],
)
async def test_a_filter_finds_what_it_says(state: State, wanted: DeviceFilter, found: list[DeviceId]) -> None:
    async with state.units("test") as work:
        work.devices.add(values.device(A, name="Entrance hall"))
        work.devices.add(
            values.device(
                B,
                name="100% door",
                standing=Standing.QUARANTINED,
                device_class=DeviceClass("camera"),
                profile=ProfileName("camera"),
                site=SiteName("oslo"),
            )
        )
    assert {each.id for each in await state.stores.devices.list(wanted)} == set(found)


async def test_devices_are_counted_by_standing_within_a_scope(state: State) -> None:
    async with state.units("test") as work:
        work.devices.add(values.device(A))
        work.devices.add(values.device(B, standing=Standing.PENDING, site=SiteName("oslo")))
    assert await state.stores.devices.count_by_standing() == {Standing.TRUSTED: 1, Standing.PENDING: 1}
    assert await state.stores.devices.count_by_standing(Scope(sites=(SiteName("oslo"),))) == {Standing.PENDING: 1}


async def test_devices_that_are_due_come_oldest_first(state: State) -> None:
    async with state.units("test") as work:
        work.devices.add(values.device(A, reconsider_at=EPOCH + 2 * SECOND))
        work.devices.add(values.device(B, reconsider_at=EPOCH + SECOND))
    assert await state.stores.devices.due(EPOCH, 10) == []
    assert await state.stores.devices.due(EPOCH + SECOND, 10) == [B]
    assert await state.stores.devices.due(EPOCH + HOUR, 10) == [B, A]
    assert await state.stores.devices.due(EPOCH + HOUR, 1) == [B]


async def test_redelivered_evidence_is_stored_once_and_as_it_first_came(state: State) -> None:
    first = values.evidence(1)
    for fact in (first, replace(first, count=7), first):
        async with state.units("test") as work:
            work.evidence.add([fact])
    assert await state.stores.evidence.get([first.id, EvidenceId("e-missing")]) == [first]


async def test_what_is_known_of_a_device_includes_its_profile_and_site_newest_first(state: State) -> None:
    device = values.device()
    of_profile = values.evidence(2, Subject(SubjectKind.PROFILE, device.profile), "component.advisory")
    of_site = values.evidence(3, Subject(SubjectKind.SITE, device.site), "site.breach")
    of_other = values.evidence(4, Subject(SubjectKind.DEVICE, B))
    own = [values.evidence(1), values.evidence(5)]
    async with state.units("test") as work:
        work.devices.add(device)
        work.evidence.add([*own, of_profile, of_site, of_other])
    assert await state.stores.evidence.about(device) == [own[1], of_site, of_profile, own[0]]


async def test_at_most_32_facts_of_a_kind_are_folded(state: State) -> None:
    async with state.units("test") as work:
        work.evidence.add([values.evidence(n) for n in range(50)])
        work.evidence.add([values.evidence(100, kind="ingest.rate.exceeded")])
    about = await state.stores.evidence.about(values.device())
    assert [fact.kind for fact in about].count("broker.publish.denied") == 32
    assert about[0].kind == "ingest.rate.exceeded"
    assert about[1] == values.evidence(49)


async def test_recent_evidence_is_of_one_subject_and_limited(state: State) -> None:
    async with state.units("test") as work:
        work.evidence.add([values.evidence(n) for n in range(5)])
        work.evidence.add([values.evidence(9, Subject(SubjectKind.DEVICE, B))])
    recent = await state.stores.evidence.recent(Subject(SubjectKind.DEVICE, A), 2)
    assert recent == [values.evidence(4), values.evidence(3)]


async def test_a_finding_is_open_once_per_code_and_subject(state: State) -> None:
    again = values.finding(at=EPOCH + SECOND)
    other = values.finding("traffic:cleartext-credentials")
    async with state.units("test") as work:
        work.findings.put(values.finding())
        work.findings.put(other)
    async with state.units("test") as work:
        work.findings.put(again)
    assert await state.stores.findings.open(Subject(SubjectKind.DEVICE, A), 10) == [again, other]
    assert await state.stores.findings.open(None, 1) == [again]
    assert await state.stores.findings.open(Subject(SubjectKind.DEVICE, B), 10) == []


async def test_a_plan_is_unapplied_until_each_point_holds_its_generation(state: State) -> None:
    async with state.units("test") as work:
        work.plans.put(values.plan(generation=2))
        for point in Point:
            work.plans.applied(values.outcome(point, generation=1))
    assert await state.stores.plans.unapplied(10) == [values.plan(generation=2)]
    async with state.units("test") as work:
        for point in Point:
            work.plans.applied(values.outcome(point, 2, error="out of reach" if point is Point.BROKER else ""))
    assert await state.stores.plans.unapplied(10) == [values.plan(generation=2)]
    async with state.units("test") as work:
        work.plans.applied(values.outcome(Point.BROKER, 2))
    assert await state.stores.plans.unapplied(10) == []
    assert await state.stores.plans.current(A) == values.plan(generation=2)
    assert await state.stores.plans.current(B) is None


async def test_an_outcome_that_arrives_late_does_not_hide_a_newer_one(state: State) -> None:
    async with state.units("test") as work:
        work.plans.applied(values.outcome(Point.BROKER, 5))
    async with state.units("test") as work:
        work.plans.applied(values.outcome(Point.BROKER, 4))
    assert await state.stores.plans.outcomes(A) == [values.outcome(Point.BROKER, 5)]


async def test_decisions_are_kept_newest_first(state: State) -> None:
    decisions = [values.decision(at=EPOCH + n * SECOND) for n in range(3)]
    other = values.decision(B, EPOCH + 5 * SECOND)
    for each in (*decisions, other):
        async with state.units("test") as work:
            work.decisions.put(each)
    assert await state.stores.decisions.latest(A) == decisions[2]
    assert await state.stores.decisions.history(A, EPOCH + SECOND, 10) == [decisions[2], decisions[1]]
    assert await state.stores.decisions.history(None, EPOCH, 2) == [other, decisions[2]]
    assert await state.stores.decisions.latest(DeviceId("d-none")) is None


async def test_the_last_policy_put_is_in_force(state: State) -> None:
    with pytest.raises(NotFound):
        await state.stores.policies.current()
    for digest, text in (("1" * 64, "one"), ("2" * 64, "two")):
        async with state.units("test") as work:
            work.policies.put(values.policy(digest), text, EPOCH)
    assert await state.stores.policies.current() == values.policy("2" * 64)
    assert await state.stores.policies.document() == "two"


async def test_a_waiver_is_in_force_from_its_start_until_just_before_its_end(state: State) -> None:
    waiver = values.waiver()
    async with state.units("test") as work:
        work.waivers.put(waiver)
    in_force = state.stores.waivers.in_force
    assert await in_force(EPOCH - SECOND) == []
    assert await in_force(EPOCH) == [waiver]
    assert await in_force(waiver.ends_at) == []
    ended = replace(waiver, ends_at=EPOCH + SECOND)
    async with state.units("test") as work:
        work.waivers.put(ended)
    assert await in_force(EPOCH + SECOND) == []


async def test_the_catalogue_keeps_profiles_and_classes(state: State) -> None:
    temperature = PayloadField("temperature", FieldType.NUMBER, "comfort", True, -40, 85)
    channel = Channel("devices/{device}/telemetry", Direction.PUBLISH, "comfort", (temperature,), essential=True)
    profile = Profile(ProfileName("thermostat"), DeviceClass("thermostat"), "Thermostat", (channel,))
    entry = ClassEntry(DeviceClass("thermostat"), profile.name, OwnerName("facilities"), SiteName("lyon"), 0.25, EPOCH)
    with pytest.raises(NotFound):
        await state.catalogue.profile(profile.name)
    async with state.units("test") as work:
        work.catalogue.put_profile(replace(profile, title="old"), "old text", EPOCH)
        work.catalogue.put_profile(profile, "text", EPOCH)
        work.catalogue.put_class(entry)
    assert await state.catalogue.profiles() == [profile]
    assert await state.catalogue.document(profile.name) == "text"
    assert await state.catalogue.device_class(entry.name) == entry
    assert await state.catalogue.classes() == [entry]


async def test_committed_records_are_heard_in_order_with_their_actor(state: State) -> None:
    heard: list[Sequence[Record]] = []
    state.on_committed(heard.append)
    async with state.units("system:governor") as work:
        first = work.ledger.record("decision:made", f"device:{A}", values.decision())
        second = work.ledger.record("plan:intended", f"device:{A}", {"generation": 1}, actor=Personal("ada"))
    async with state.units("test") as work:
        work.devices.add(values.device())  # no record, nothing to hear
    await asyncio.sleep(0)
    records = [record for group in heard for record in group]
    assert [record.id for record in records] == [first, second]
    assert [record.actor for record in records] == ["system:governor", Personal("ada")]
    assert records[0].body["standing"] == "quarantined"
    assert records[1].body == {"generation": 1}
