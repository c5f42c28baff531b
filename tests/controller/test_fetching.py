"""A maker's MUD file is fetched, told with what its signature is worth, approved by a person, and fetched again when old."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from bastide.core.device import Attribute
from bastide.core.error import Refused
from bastide.core.ids import ProfileName
from bastide.core.proposal import ProposalState
from bastide.flows.fetch_reach import Fetching, Refreshed, fetch_reach, refresh
from bastide.flows.propose_reach import approve
from bastide.governance.access.roles import Role
from bastide.network.profile.mud.signature import sign
from bastide.ports.platform.mud import Fetched
from bastide.testing.mud_files import MemoryMUDFiles
from tests.controller.house import LAMP, House
from tests.domain.network.mud.test_signature import Maker
from tests.gateway.plans import mud

URL = "https://lamp.example/mud.json"
FILE = mud("lamp", hosts=("192.0.2.7",))


async def test_what_a_device_names_is_fetched_and_waits_for_a_person(house: House) -> None:
    profile = await _profile(house)
    async with await house.as_a(Role.ADMIN) as client:
        none = await client.post(f"/profiles/{profile}/fetch", json={"device": LAMP})
        assert none.status_code == 404
        assert "option 161" in none.json()["detail"]
        for wrong in ({}, {"url": URL, "device": LAMP}, {"url": "http://lamp.example/"}):
            assert (await client.post(f"/profiles/{profile}/fetch", json=wrong)).status_code == 422
        assert (await client.post(f"/profiles/{profile}/fetch", json={"url": URL})).status_code == 503
        await _names(house, URL)
        assert (await client.post(f"/profiles/{profile}/fetch", json={"device": LAMP})).status_code == 503
    async with await house.as_a(Role.OPERATOR) as client:
        assert (await client.post(f"/profiles/{profile}/fetch", json={"url": URL})).status_code == 403


async def test_the_signature_is_told_and_one_that_does_not_fit_is_refused(house: House) -> None:
    profile, maker, with_, ids = await _profile(house), Maker(), house.deps.governing, house.deps.ids
    house.clock.advance(datetime(2026, 6, 1, tzinfo=house.clock.now().tzinfo) - house.clock.now())
    signature = sign(FILE, maker.key, [maker.signer, maker.middle])
    files = MemoryMUDFiles({URL: Fetched(FILE, signature)})
    trusting, strange = Fetching(files, lambda: (maker.root,)), Fetching(files, lambda: ())
    valid = await fetch_reach(profile, URL, "p", with_, trusting, ids)
    assert "Its signature is valid: Signed by CN=signer." in valid.told
    untrusted = await fetch_reach(profile, URL, "p", with_, strange, ids)
    assert any(one.startswith("Its signature is untrusted") for one in untrusted.told)
    files.served[URL] = Fetched(FILE)
    unsigned = await fetch_reach(profile, URL, "p", with_, trusting, ids)
    assert any("not signed" in one for one in unsigned.told)
    files.served[URL] = Fetched(FILE + b"\n", signature)
    with pytest.raises(Refused, match="is not what was signed"):
        await fetch_reach(profile, URL, "p", with_, trusting, ids)
    files.served["https://elsewhere.example/x"] = Fetched(FILE)
    moved = await fetch_reach(profile, "https://elsewhere.example/x", "p", with_, trusting, ids)
    assert any("was fetched from another address" in one for one in moved.told)


async def test_what_was_approved_is_fetched_again_when_it_is_old_and_only_changes_are_proposed(house: House) -> None:
    profile, with_, ids = await _profile(house), house.deps.governing, house.deps.ids
    files = MemoryMUDFiles({URL: Fetched(FILE)})
    fetching, last = Fetching(files, lambda: ()), dict[ProfileName, datetime]()
    made = await fetch_reach(profile, URL, "p", with_, fetching, ids)
    await approve(made.id, "it is the maker's", "p", with_)
    nothing = Refreshed((), ())
    assert await refresh(last, with_, fetching, ids) == nothing
    assert files.asked == [URL]
    house.clock.advance(timedelta(hours=48))  # its cache-validity
    assert await refresh(last, with_, fetching, ids) == nothing
    assert await refresh(last, with_, fetching, ids) == nothing
    assert files.asked == [URL, URL]  # once, and it is the same
    house.clock.advance(timedelta(hours=48))
    gone = files.served.pop(URL)
    assert (await refresh(last, with_, fetching, ids)).failed == (f"{profile}: {URL} does not answer.",)
    files.served[URL] = gone
    assert await refresh(last, with_, fetching, ids) == nothing
    house.clock.advance(timedelta(hours=1))  # tried again in an hour, not in two days
    files.served[URL] = Fetched(mud("lamp", hosts=("192.0.2.7", "192.0.2.8")))
    (changed,) = (await refresh(last, with_, fetching, ids)).made
    assert changed.state is ProposalState.OPEN
    reach = await with_.stores.network.reach(profile)
    assert reach is not None
    assert reach.document == FILE  # a person decides


async def _profile(house: House) -> ProfileName:
    return (await house.deps.governing.stores.devices.get(LAMP)).profile


async def _names(house: House, url: str) -> None:
    with_ = house.deps.governing
    device = await with_.stores.devices.get(LAMP)
    said = Attribute("mud-url", url, "scan:hall", 0.7, house.clock.now())
    async with with_.unit_of_work("system:test") as work:
        work.devices.put(replace(device, attributes=(*device.attributes, said)))
