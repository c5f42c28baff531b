"""The table of devices: a search over everything known, groups, columns, and views that people keep."""

import re
from dataclasses import replace

from bastide.core.device import Attribute
from bastide.core.ids import DeviceId
from bastide.governance.access.roles import Role
from tests.controller.house import LAMP, ORIGIN, PUMP, House


async def _known(house: House, device: DeviceId, **facts: str) -> None:
    now, governing = house.clock.now(), house.deps.governing
    one = await governing.stores.devices.get(device)
    said = tuple(Attribute(name.replace("_", "-"), value, "scan:hall", 0.8, now) for name, value in facts.items())
    async with governing.unit_of_work("test") as work:
        work.devices.put(replace(one, attributes=said))


async def _table(house: House, query: str, role: Role = Role.VIEWER) -> str:
    async with await house.as_a(role) as client:
        answer = await client.get(f"{ORIGIN}/devices?{query}")
    assert answer.status_code == 200, answer.text
    return answer.text


def _rows(page: str) -> set[str]:
    return set(re.findall(r'data-device="(d-[a-z2-7]+)"', page))


async def test_the_table_is_searched_by_what_is_known_of_a_device(house: House) -> None:
    await _known(house, LAMP, vendor="Philips Lighting", firmware="1.9.2")
    await _known(house, PUMP, vendor="Grundfos", firmware="4.0")
    for query, found in (
        ("text=philips", {LAMP}),
        ("text=firmware:4", {PUMP}),
        ("text=-vendor:grundfos", {LAMP}),
        ("text=vendor:", {LAMP, PUMP}),
        ('text="philips lig', {LAMP}),
        ("text=vendor:=philips", set()),
    ):
        assert _rows(await _table(house, query)) == found, query


async def test_devices_are_grouped_and_each_group_opens_just_its_devices(house: House) -> None:
    await _known(house, LAMP, vendor="Philips Lighting")
    page = await _table(house, "group=vendor")
    links = re.findall(r'<tr data-href="/devices\?([^"]*)"', page)
    assert len(links) == 2
    assert "Philips Lighting" in page
    assert "Not known" in page
    assert [_rows(await _table(house, link.replace("&amp;", "&"))) for link in links] == [{LAMP}, {PUMP}]


async def test_a_view_is_kept_shared_and_forgotten(house: House) -> None:
    kept = {"name": "Lamps <b>", "query": "text=lamp&column=zone&after=d-zzz", "shared": "yes"}
    async with await house.as_a(Role.OPERATOR) as client:
        answer = await client.post(f"{ORIGIN}/devices/views", data=kept)
        assert answer.status_code == 303, answer.text
        page = (await client.get(f"{ORIGIN}/devices")).text
        assert 'href="/devices?text=lamp&amp;column=zone"' in page
        assert "Lamps &lt;b&gt;" in page
        assert "Forget the view" in page
        other = await _table(house, "", Role.VIEWER)
        assert "Lamps &lt;b&gt;" in other
        assert "Forget the view" not in other
        assert (await client.post(f"{ORIGIN}/devices/views", data=kept | {"name": " "})).status_code == 422
        await client.post(f"{ORIGIN}/devices/views/remove", data={"name": "Lamps <b>"})
        assert "Lamps &lt;b&gt;" not in (await client.get(f"{ORIGIN}/devices")).text


async def test_the_chosen_columns_are_shown(house: House) -> None:
    page = await _table(house, "column=zone&column=firmware")
    assert re.findall(r'<th scope="col" class="col-([a-z-]+)', page) == ["firmware", "zone"]


async def test_a_devices_page_shows_what_is_known_once_and_what_contradicts_itself(house: House) -> None:
    now, governing = house.clock.now(), house.deps.governing
    one = await governing.stores.devices.get(LAMP)
    said = [
        Attribute(name, value, source, sure, now)
        for name, value, source, sure in (
            ("vendor", "Philips", "scan:hall", 0.6),
            ("vendor", "Signify", "person:list", 1.0),
            ("type", "HueLamp", "scan:hall", 0.97),
            ("type-evidence", "name: <b>hue</b>", "scan:hall", 0.97),
            ("address", "10.0.0.7", "scan:hall", 0.7),
            ("address", "10.0.0.7", "scan:yard", 0.7),
        )
    ]
    async with governing.unit_of_work("test") as work:
        work.devices.put(replace(one, attributes=tuple(said)))
        work.inventory.bind("mac:00:17:88:00:00:01", LAMP, now)
    async with await house.as_a(Role.VIEWER) as client:
        page = (await client.get(f"{ORIGIN}/devices/{LAMP}")).text
    assert page.index("Signify") < page.index("Philips")
    assert page.count("sources disagree") == 1
    assert page.count("10.0.0.7") == 1
    assert "because of" in page
    assert "name: &lt;b&gt;hue&lt;/b&gt;" in page
    assert "mac:00:17:88:00:00:01" in page
