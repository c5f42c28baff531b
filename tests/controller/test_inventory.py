"""The inventory over the API: search, merge and split, what people state, lists in and out."""

from typing import Any

from bastide.flows.keep_inventory import note_vanished
from bastide.governance.access.roles import Role
from tests.controller.house import LAMP, House
from tests.controller.test_scans import CAMERA, _scan

WIRED = CAMERA | {"mac": "00:11:22:33:44:66", "hostnames": ["front-door-eth"], "findings": [], "vendor": "Other Maker"}
LIST = "mac,name,owner,site,support-ends\n00-AA-BB-CC-DD-01,gate,facilities,main,2027-06\n"


async def _seen(client: Any, *devices: dict[str, Any]) -> list[str]:
    taken = await client.post("/scans", json=_scan(*devices))
    assert taken.status_code == 201, taken.text
    return list(taken.json()["new"])


async def test_a_search_as_one_types_finds_by_words_attributes_and_contradictions(house: House) -> None:
    async with await house.as_a(Role.OPERATOR) as client:
        ids = await _seen(client, CAMERA, WIRED)
        for query, count in (
            ("front-door", 2),
            ("host-name:front-door-eth", 1),
            ("vendor:other -telnet", 0),
            ("mac:", 2),
        ):
            found = (await client.get("/inventory", params={"query": query})).json()["items"]
            assert len(found) == count, query
        assert (await client.get("/inventory", params={"query": '"open'})).status_code == 422
        await client.patch(f"/inventory/{ids[0]}", json={"facts": {"vendor": "Acme"}, "owner": "facilities"})
        (odd,) = (await client.get("/inventory", params={"query": "conflict:vendor"})).json()["items"]
    assert odd["row"]["vendor"] == "Acme"
    assert [one["value"] for one in odd["conflicts"][0]["values"]] == [
        "Acme",
        odd["conflicts"][0]["values"][1]["value"],
    ]
    assert odd["row"]["owner"] == "facilities"


async def test_two_interfaces_of_one_device_are_merged_and_stay_merged(house: House) -> None:
    async with await house.as_a(Role.OPERATOR) as client:
        await _seen(client, CAMERA, WIRED)
        items = (await client.get("/inventory", params={"query": "mac:"})).json()["items"]
        by_mac = {one["row"]["mac"]: one["device"]["id"] for one in items}
        one, other = by_mac[CAMERA["mac"]], by_mac[WIRED["mac"]]
        told = await client.post(f"/inventory/{one}/merge", json={"other": other, "reason": "the same camera, wired"})
        assert told.status_code == 200, told.text
        assert told.json()["keys"] == [f"mac:{CAMERA['mac']}", f"mac:{WIRED['mac']}"]
        again = (await client.post("/scans", json=_scan(WIRED, source="later.pcap"))).json()
        assert (again["new"], again["known"]) == ([], [one])
        assert (await client.get(f"/devices/{other}")).json()["stage"] == "retired"
        apart = await client.post(
            f"/inventory/{one}/split", json={"key": f"mac:{WIRED['mac']}", "reason": "two after all"}
        )
        assert apart.json()["device"]["id"] == other
        assert apart.json()["device"]["stage"] == "received"
        assert (await client.post("/scans", json=_scan(WIRED, source="last.pcap"))).json()["known"] == [other]
    assert {"inventory:device:merged", "inventory:device:split"} <= set(house.kinds())


async def test_a_device_that_proved_its_identity_is_not_merged_into_another(house: House) -> None:
    async with await house.as_a(Role.OPERATOR) as client:
        (id,) = await _seen(client, CAMERA)
        refused = await client.post(f"/inventory/{id}/merge", json={"other": LAMP, "reason": "no"})
        taken = await client.post(f"/inventory/{LAMP}/merge", json={"other": id, "reason": "the lamp's own radio"})
        assert (await client.post(f"/inventory/{LAMP}/merge", json={"other": LAMP, "reason": "x"})).status_code == 422
    assert refused.status_code == 422
    assert "identity of its own" in refused.json()["detail"]
    assert taken.status_code == 200


async def test_a_list_makes_expected_devices_and_the_same_list_again_changes_nothing(house: House) -> None:
    async with await house.as_a(Role.OPERATOR) as client:
        first = (await client.post("/inventory/import", json={"source": "buying", "text": LIST})).json()
        again = (await client.post("/inventory/import", json={"source": "buying", "text": LIST})).json()
        (id,) = first["new"]
        shown = (await client.get(f"/inventory/{id}")).json()
        arrived = CAMERA | {"mac": "00:aa:bb:cc:dd:01"}
        taken = (await client.post("/scans", json=_scan(arrived))).json()
        bad = await client.post("/inventory/import", json={"source": "x", "text": "mac\nzz\n"})
    assert (again["new"], again["changed"], again["same"]) == ([], [], 1)
    assert (shown["row"]["stage"], shown["row"]["support-ends"], shown["row"]["owner"]) == (
        "expected",
        "2027-06",
        "facilities",
    )
    assert taken["known"] == [id]
    assert bad.status_code in (400, 422)


async def test_a_device_that_falls_silent_is_evidence_once(house: House) -> None:
    from datetime import timedelta

    async with await house.as_a(Role.OPERATOR) as client:
        (id,) = await _seen(client, CAMERA)
    with_ = house.deps.governing
    assert id in await note_vanished(timedelta(seconds=0), "system:test", with_)
    assert id not in await note_vanished(timedelta(seconds=0), "system:test", with_)


async def test_an_export_that_is_brought_in_again_states_nothing_new(house: House) -> None:
    from bastide.operations.inventory.sheet import csv_lines

    async with await house.as_a(Role.OPERATOR) as client:
        await _seen(client, CAMERA | {"says": {"model": ["C-1"], "firmware": ["1.0"]}}, WIRED)
        rows = [one["row"] for one in (await client.get("/inventory")).json()["items"]]
        sheet = {"source": "export", "text": "".join(csv_lines(rows))}
        told = (await client.post("/inventory/import", json=sheet)).json()
    assert (told["new"], told["changed"], told["same"]) == ([], [], len(rows))
