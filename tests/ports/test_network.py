"""Sites' networks, profiles' reach and rulings: one suite over memory, SQLite and PostgreSQL."""

from dataclasses import replace
from datetime import timedelta

from bastide.core.ids import DeviceId, ProfileName, SiteName
from bastide.core.mode import Over, Setting
from bastide.core.plan import NetworkMode
from bastide.core.proposal import Origin, Proposal, ProposalState
from bastide.core.ruling import Ruling
from bastide.ports.platform.network import Reach, SiteNetwork
from bastide.testing.clock import EPOCH
from tests.ports import values
from tests.ports.conftest import State

HOME = SiteNetwork(SiteName("home"), b'{"remediation":["192.0.2.10/32"]}', EPOCH, "test")
LAMP = Reach(ProfileName("lamp"), b'{"ietf-mud:mud":{}}', EPOCH, "test")
ONE = DeviceId("d-" + "a" * 20)
OTHER = DeviceId("d-" + "b" * 20)
HOUR = timedelta(hours=1)
LET = Ruling("r-1", ONE, "192.0.2.7", "tcp", 443, True, EPOCH + HOUR, "an update", "test", EPOCH)
KEPT = Ruling("r-2", OTHER, "2001:db8::7", "udp", 123, True, None, "not needed", "test", EPOCH + timedelta(seconds=1))


async def test_a_site_and_a_profiles_reach_are_kept_as_they_are_and_replaced_whole(state: State) -> None:
    assert await state.stores.network.site(SiteName("home")) is None
    assert await state.stores.network.reach(ProfileName("lamp")) is None
    async with state.units("test") as work:
        work.network.put_site(HOME)
        work.network.put_reach(LAMP)
    changed = replace(HOME, frame=b"{}", changed_at=EPOCH + HOUR)
    async with state.units("test") as work:
        work.network.put_site(changed)
        work.network.put_site(replace(HOME, site=SiteName("barn")))
    assert await state.stores.network.site(SiteName("home")) == changed
    assert [one.site for one in await state.stores.network.sites()] == ["barn", "home"]
    assert await state.stores.network.reach(ProfileName("lamp")) == LAMP
    assert await state.stores.network.reaches() == [LAMP]


async def test_a_ruling_holds_until_it_ends_by_itself_or_is_taken_back(state: State) -> None:
    async with state.units("test") as work:
        work.network.put_ruling(LET)
        work.network.put_ruling(KEPT)
    held = state.stores.network.rulings
    assert await held(EPOCH) == [KEPT, LET]
    assert await held(EPOCH, ONE) == [LET]
    assert await held(EPOCH, limit=1) == [KEPT]
    assert await held(EPOCH + HOUR) == [KEPT]
    gone = replace(LET, ended_at=EPOCH)
    async with state.units("test") as work:
        work.network.put_ruling(gone)
    assert await held(EPOCH) == [KEPT]
    assert await state.stores.network.allowances(EPOCH) == [gone]
    assert await state.stores.network.allowances(EPOCH, OTHER) == []
    assert await state.stores.network.allowances(EPOCH + HOUR) == []


async def test_a_mode_is_set_for_a_device_a_profile_or_a_zone_and_found_for_whom_it_concerns(state: State) -> None:
    device = values.device()
    own = Setting(Over.DEVICE, device.id, NetworkMode.OBSERVE, "it is new", "test", EPOCH)
    kind = Setting(Over.PROFILE, "thermostat", NetworkMode.ENFORCE, "all is well", "test", EPOCH, 0.1, EPOCH + HOUR)
    other = Setting(Over.ZONE, "floor-9", NetworkMode.OBSERVE, "built", "test", EPOCH)
    async with state.units("test") as work:
        for one in (own, kind, other):
            work.network.put_mode(one)
    assert await state.stores.network.modes() == [own, kind, other]
    assert await state.stores.network.modes(device) == [own, kind]
    async with state.units("test") as work:
        work.network.put_mode(replace(kind, mode=NetworkMode.OBSERVE, probation_ends=None))
        work.network.put_mode(replace(own, ended_at=EPOCH + HOUR))
    assert [one.mode for one in await state.stores.network.modes(device)] == [NetworkMode.OBSERVE]


async def test_a_proposal_is_kept_until_somebody_decides_and_after(state: State) -> None:
    lesson = Proposal(
        "n-1", ProfileName("lamp"), Origin.LEARNED, ProposalState.LEARNING, b"", (), "test", EPOCH, EPOCH + HOUR
    )
    newer = replace(lesson, id="n-2", origin=Origin.FETCHED, at=EPOCH + HOUR, ends_at=None, told=("signed by A",))
    async with state.units("test") as work:
        work.network.put_proposal(lesson)
        work.network.put_proposal(newer)
    opened = replace(lesson, state=ProposalState.OPEN, document=b"{}", told=("2 left out", "3 kept"))
    async with state.units("test") as work:
        work.network.put_proposal(opened)
    assert await state.stores.network.proposals() == [newer, opened]
    assert await state.stores.network.proposals(ProfileName("pump")) == []
    assert await state.stores.network.proposals(limit=1) == [newer]
    assert await state.stores.network.proposal("n-1") == opened
    assert await state.stores.network.proposal("n-3") is None
