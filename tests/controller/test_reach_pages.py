"""Zones, profiles and the acts on flows as pages: what they show, of whom, to whom, and what they do with nonsense."""

from datetime import timedelta
from urllib.parse import urlencode

import httpx

from bastide.core.conversation import Conversation
from bastide.core.ids import DeviceId, ProfileName
from bastide.flows.describe_network import put_reach, put_site
from bastide.governance.access.roles import Role
from bastide.governance.access.scope import EVERYTHING, Scope
from tests.controller.house import LAMP, LYON, ORIGIN, PUMP, House
from tests.gateway.plans import mud

FLOW = {"peer": "198.51.100.9", "transport": "tcp", "port": "443", "out": "1", "name": ""}
FRAME = b'{"remediation":["192.0.2.10/32"],"conduits":[{"source":"a","destination":"*","transport":"tcp","port":502}]}'


async def seeded(house: House) -> ProfileName:
    with_, at = house.deps.governing, house.clock.now() - timedelta(days=1)
    profile = (await with_.stores.devices.get(LAMP)).profile
    await put_reach(profile, mud("lamp", hosts=("192.0.2.7",)), "system:test", with_)
    await put_site("lyon", FRAME, "system:test", with_)
    said = [
        Conversation(DeviceId(one), peer, name, "tcp", 443, "tls", True, 3, 5, 5, 100, 100, at, at)
        for one in (LAMP, PUMP)
        for peer, name in (("192.0.2.7", ""), ("198.51.100.9", "up.<b>.example"))
    ]
    async with with_.unit_of_work("system:test") as work:
        work.conversations.add("test", "w", at, said)
    return profile


async def page(house: House, path: str, role: Role = Role.VIEWER, scope: Scope = EVERYTHING) -> httpx.Response:
    async with await house.as_a(role, scope) as client:
        return await client.get(f"{ORIGIN}{path}")


async def test_zones_say_what_each_may_reach_within_the_scope(house: House) -> None:
    await seeded(house)
    shown = (await page(house, "/network/zones")).text
    assert "Lyon" in shown
    assert "Metz" in shown
    assert "Hosts on the internet by address" in shown
    assert "tcp/502" in shown
    limited = (await page(house, "/network/zones", scope=LYON)).text
    assert "Metz" not in limited


async def test_a_profile_says_what_it_cuts_once_however_many_do_it(house: House) -> None:
    profile = await seeded(house)
    shown = (await page(house, f"/network/profiles/{profile}", Role.ADMIN)).text
    assert "50.0% of 12 answered flows would be cut, on 2 of 2 devices." in shown
    assert "and 1 other" in shown
    assert "<b>.example" not in shown
    assert "Begin a lesson" in shown
    listed = (await page(house, "/network/profiles")).text
    assert f"/network/profiles/{profile}" in listed
    limited = (await page(house, f"/network/profiles/{profile}", scope=LYON)).text
    assert "on 1 of 1 devices" in limited
    assert "Begin a lesson" not in limited
    assert "Add to the profile" not in limited
    assert (await page(house, "/network/profiles/nothing")).status_code == 404
    assert (await page(house, f"/network/profiles/{profile}?days=9")).status_code == 200


async def test_a_device_shows_what_it_may_beside_what_it_does(house: House) -> None:
    await seeded(house)
    shown = (await page(house, f"/devices/{LAMP}", Role.ADMIN)).text
    assert "What the profile does not permit" in shown
    assert "to 192.0.2.7" in shown
    assert shown.count("Add to the profile") == 1
    assert "<b>.example" not in shown


async def test_acts_on_flows_are_for_who_may_and_for_whom_they_see(house: House) -> None:
    await seeded(house)
    asked = urlencode(FLOW)
    assert (await page(house, f"/devices/{LAMP}/flows/permit?{asked}", Role.OPERATOR)).status_code == 403
    assert (await page(house, f"/devices/{PUMP}/flows/allow?{asked}", Role.OPERATOR, LYON)).status_code == 404
    asks = await page(house, f"/devices/{LAMP}/flows/allow?{asked}", Role.OPERATOR)
    assert "Let this through for" in asks.text
    for wrong in ("peer=nobody&transport=tcp&port=1", "peer=192.0.2.1&transport=sctp", ""):
        assert (await page(house, f"/devices/{LAMP}/flows/allow?{wrong}", Role.OPERATOR)).status_code == 422
    assert (await page(house, f"/devices/{LAMP}/flows/undo?ruling=r-1", Role.OPERATOR)).status_code == 404
    assert (await page(house, "/network/proposals/n-1/approve", Role.ADMIN)).status_code == 404
    assert (await page(house, "/network/proposals/n-1/eat", Role.ADMIN)).status_code == 404


async def test_a_form_without_script_works_too(house: House) -> None:
    await seeded(house)
    person = await house.person("anna", Role.ADMIN)
    client = await house.signed_in(person)
    form = FLOW | {"reason": "it needs it", "hours": "8"}
    done = await client.post(f"{ORIGIN}/devices/{LAMP}/flows/allow", data=form)
    assert done.status_code == 303, done.text
    none = await client.post(f"{ORIGIN}/devices/{LAMP}/flows/deny", data=FLOW | {"reason": " "})
    assert none.status_code == 422
    mode = await client.post(f"{ORIGIN}/devices/{LAMP}/mode/observe", data={"reason": "to look first"})
    assert mode.status_code == 303
    assert "network:flow:allowed" in house.kinds()
    assert "network:mode:observe" in house.kinds()
