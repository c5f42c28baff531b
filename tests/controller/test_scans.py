"""Scans into the inventory: what was only seen is unknown, and is never more than that."""

from typing import Any

from bastide.core.evidence import Trust
from bastide.core.ids import DeviceId
from bastide.flows.take_scan import device_id
from bastide.governance.access.roles import Role
from tests.controller.house import LYON, House

CAMERA: dict[str, Any] = {
    "mac": "00:11:22:33:44:55",
    "first_seen": "2026-01-05T07:00:00+00:00",
    "last_seen": "2026-01-05T07:30:00Z",
    "vendor": "Example Cameras",
    "ips": ["192.0.2.9", "2001:db8::9"],
    "hostnames": ["front-door"],
    "protocols": ["telnet", "rtsp"],
    "findings": [
        {
            "code": "traffic:telnet",
            "severity": "high",
            "confidence": 0.9,
            "title": "It answers on Telnet",
            "advice": "Switch Telnet off.",
            "evidence": ["tcp/23"],
        }
    ],
    "packets": 12,
    "type": {"value": None, "confidence": 0.0},
}


def _scan(*devices: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"source": "lobby.pcapng", "devices": list(devices)} | more


async def test_a_scanned_device_is_unknown_with_its_findings_and_passive_evidence(house: House) -> None:
    async with await house.as_a(Role.OPERATOR) as client:
        taken = await client.post("/scans", json=_scan(CAMERA))
        assert taken.status_code == 201, taken.text
        (id,) = taken.json()["new"]
        shown = (await client.get(f"/devices/{id}")).json()
        findings = (await client.get(f"/devices/{id}/findings")).json()["items"]
        evidence = (await client.get(f"/devices/{id}/evidence")).json()["items"]
        listed = (await client.get("/devices", params={"text": "front-door"})).json()["items"]
    assert (shown["standing"], shown["stage"], shown["name"]) == ("unknown", "received", "front-door")
    assert {"name": "mac", "value": CAMERA["mac"]}.items() <= shown["attributes"][0].items()
    assert [finding["code"] for finding in findings] == ["traffic:telnet"]
    assert {fact["kind"]: fact["trust"] for fact in evidence} == {
        "traffic.telnet": Trust.PASSIVE.value,
        "inventory.new": Trust.PASSIVE.value,
    }
    assert findings[0]["because"] == [fact["id"] for fact in evidence if fact["kind"] == "traffic.telnet"]
    assert [device["id"] for device in listed] == [id] == [device_id(CAMERA["mac"])]
    assert "inventory:device:seen" in house.kinds()


async def test_the_same_scan_again_changes_nothing_that_counts(house: House) -> None:
    async with await house.as_a(Role.OPERATOR) as client:
        (id,) = (await client.post("/scans", json=_scan(CAMERA))).json()["new"]
        again = (await client.post("/scans", json=_scan(CAMERA))).json()
        assert (again["new"], again["known"]) == ([], [id])
        assert len((await client.get(f"/devices/{id}/evidence")).json()["items"]) == 2
        assert len((await client.get(f"/devices/{id}")).json()["attributes"]) == 7
        observed = (await client.get(f"/devices/{id}/timeline")).json()["items"]
        assert sum(record["kind"] == "evidence:observed" for record in observed) == 2
        other = CAMERA | {"hostnames": ["back-door"]}
        await client.post("/scans", json=_scan(other, source="yard.pcap"))
        names = [one["value"] for one in (await client.get(f"/devices/{id}")).json()["attributes"]]
    assert {"front-door", "back-door"} <= set(names)


async def test_a_device_that_cannot_be_known_again_is_counted_and_left_out(house: House) -> None:
    phone = CAMERA | {"mac": "02:11:22:33:44:66", "randomised_mac": True, "hostnames": ["iphone"]}
    nameless = CAMERA | {"mac": None, "hostnames": []}
    async with await house.as_a(Role.OPERATOR) as client:
        taken = (await client.post("/scans", json=_scan(phone, nameless))).json()
        assert (taken["new"], taken["passed_over"]) == ([], 2)
        assert len((await client.get("/devices")).json()["items"]) == 2


async def test_a_passive_finding_takes_no_standing_away(house: House) -> None:
    async with await house.as_a(Role.OPERATOR) as client:
        (id,) = (await client.post("/scans", json=_scan(CAMERA))).json()["new"]
        why = (await client.get(f"/devices/{id}/explanation")).json()
    assert why["decision"] is None or why["decision"]["held"] == []
    assert not (await house.deps.governing.stores.devices.get(DeviceId(id))).reconsider_at


async def test_many_devices_are_taken_at_once(house: House) -> None:
    many = [CAMERA | {"mac": f"00:11:22:33:{number // 256:02x}:{number % 256:02x}"} for number in range(100)]
    async with await house.as_a(Role.OPERATOR) as client:
        taken = (await client.post("/scans", json=_scan(*many), timeout=60)).json()
    assert len(set(taken["new"])) == 100


async def test_a_limited_operator_scans_their_own_site_only(house: House) -> None:
    async with await house.as_a(Role.OPERATOR, LYON) as client:
        assert (await client.post("/scans", json=_scan(CAMERA, site="metz"))).status_code == 403
        own = await client.post("/scans", json=_scan(CAMERA, site="lyon"))
        assert own.status_code == 201
        assert (await client.get(f"/devices/{own.json()['new'][0]}")).json()["site"] == "lyon"


async def test_hostile_scans_are_refused(house: House) -> None:
    wrong = [
        _scan(CAMERA | {"mac": "00:11:22:33:44:5"}),
        _scan(CAMERA | {"hostnames": ["a\x1b[2J"]}),
        _scan(CAMERA | {"hostnames": ["x" * 257]}),
        _scan(CAMERA | {"protocols": ["x"] * 65}),
        _scan(CAMERA | {"last_seen": "yesterday"}),
        _scan(CAMERA | {"last_seen": 5}),
        _scan(CAMERA | {"last_seen": "2026-01-05T07:30:00"}),
        _scan(CAMERA | {"findings": [{"code": "x:y", "severity": "high", "confidence": 1, "title": "t"}]}),
        _scan(*[CAMERA] * 1001),
        _scan(source="../../etc"),
        _scan(more="member"),
    ]
    async with await house.as_a(Role.OPERATOR) as client:
        for body in wrong:
            assert (await client.post("/scans", json=body)).status_code == 422
        assert len((await client.get("/devices")).json()["items"]) == 2


async def test_a_randomised_address_is_known_again_by_the_name_that_the_device_gives_itself(house: House) -> None:
    one = CAMERA | {"mac": "02:11:22:33:44:66", "randomised_mac": True, "hostnames": ["Annas-Tablet"]}
    other = one | {"mac": "06:99:22:33:44:77", "last_seen": "2026-01-06T07:30:00Z"}
    async with await house.as_a(Role.OPERATOR) as client:
        (id,) = (await client.post("/scans", json=_scan(one))).json()["new"]
        again = (await client.post("/scans", json=_scan(other, source="next.pcap"))).json()
    assert (again["new"], again["known"], again["passed_over"]) == ([], [id], 0)


async def test_another_firmware_is_a_change_and_evidence_once(house: House) -> None:
    before = CAMERA | {"says": {"firmware": ["1.0"], "model": ["C-1"]}, "type": {"value": "C-1", "confidence": 0.9}}
    after = before | {"says": {"firmware": ["1.1"], "model": ["C-1"]}, "last_seen": "2026-01-07T07:30:00Z"}
    async with await house.as_a(Role.OPERATOR) as client:
        (id,) = (await client.post("/scans", json=_scan(before))).json()["new"]
        assert (await client.post("/scans", json=_scan(before))).json()["changed"] == []
        assert (await client.post("/scans", json=_scan(after, source="later.pcap"))).json()["changed"] == [id]
        assert (await client.post("/scans", json=_scan(after, source="later.pcap"))).json()["changed"] == []
        evidence = (await client.get(f"/devices/{id}/evidence")).json()["items"]
    told = [fact["body"] for fact in evidence if fact["kind"] == "inventory.changed"]
    assert [(body["name"], body["before"], body["after"]) for body in told] == [("firmware", "1.0", "1.1")]
