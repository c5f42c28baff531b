"""Sites' networks, profiles' reach and rulings: one suite over memory, SQLite and PostgreSQL."""

from dataclasses import replace
from datetime import timedelta

from bastide.core.ids import DeviceId, ProfileName, SiteName
from bastide.core.ruling import Ruling
from bastide.ports.platform.network import Reach, SiteNetwork
from bastide.testing.clock import EPOCH
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
