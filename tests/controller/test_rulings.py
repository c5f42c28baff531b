"""What people rule about single flows, and what they write down of a site and a profile's reach, over the API."""

import json
from datetime import datetime, timedelta
from typing import Any

from bastide.core.conversation import Conversation
from bastide.core.ids import SiteName
from bastide.flows.govern_device import govern_device
from bastide.governance.access.roles import Role
from bastide.governance.access.scope import Scope
from tests.controller.house import LAMP, LYON, PUMP, House
from tests.gateway.plans import mud

PARIS_ONLY = Scope(sites=(SiteName("paris"),))
FLOW = {"peer": "192.0.2.7", "peer_name": "time.example", "transport": "udp", "port": 123, "opened_by_device": True}


def _asked(answer: str, **more: Any) -> dict[str, Any]:
    return {"flow": FLOW, "answer": answer, "reason": "its clock is set there"} | more


async def test_a_flow_is_let_through_until_an_end_and_can_be_taken_back(house: House) -> None:
    async with await house.as_a(Role.OPERATOR) as client:
        made = await client.post(f"/devices/{LAMP}/rulings", json=_asked("allow", hours=2))
        assert made.status_code == 201, made.text
        assert made.json()["until"]
        again = (await client.post(f"/devices/{LAMP}/rulings", json=_asked("deny"))).json()
        held = (await client.get(f"/devices/{LAMP}/rulings")).json()["items"]
        assert [one["id"] for one in held] == [again["id"]]  # the later word on a flow takes the place of the earlier
        left = await client.delete(f"/devices/{LAMP}/rulings/{again['id']}")
        assert left.json()["items"] == []
        gone = await client.delete(f"/devices/{LAMP}/rulings/{again['id']}")
        assert gone.status_code == 404
    kinds = house.kinds()
    assert [one for one in kinds if one.startswith("network:")] == [
        "network:flow:allowed",
        "network:flow:kept-denied",
        "network:ruling:ended",
    ]
    assert "its clock is set there" not in str(house.records[kinds.index("network:flow:allowed")].body["flow"])


async def test_nobody_rules_about_a_device_outside_their_scope(house: House) -> None:
    async with await house.as_a(Role.OPERATOR, LYON) as client:
        refused = await client.post(f"/devices/{PUMP}/rulings", json=_asked("allow"))
    assert refused.status_code == 404


async def test_an_allowance_is_for_one_flow_and_not_for_longer_than_a_week(house: House) -> None:
    async with await house.as_a(Role.OPERATOR) as client:
        for wrong in (
            _asked("allow", hours=169),
            _asked("allow", flow=FLOW | {"transport": "icmp", "port": 0}),
            _asked("allow", flow=FLOW | {"port": 0}),
            _asked("allow", flow=FLOW | {"peer": "time.example"}),
            _asked("allow", reason=" "),
        ):
            refused = await client.post(f"/devices/{LAMP}/rulings", json=wrong)
            assert refused.status_code == 422, refused.text


async def test_a_flow_added_to_the_profile_is_an_entry_of_its_mud_file(house: House) -> None:
    async with await house.as_a(Role.ADMIN) as client:
        profile = (await client.get(f"/devices/{LAMP}")).json()["profile"]
        assert (await client.get(f"/profiles/{profile}/reach")).status_code == 404
        entry = {"flow": FLOW, "reason": "its clock is set there"}
        first = (await client.post(f"/devices/{LAMP}/reach", json=entry)).json()
        second = (await client.post(f"/devices/{LAMP}/reach", json=entry)).json()
        kept = (await client.get(f"/profiles/{profile}/reach")).json()
        stored = await client.put(f"/profiles/{profile}/reach", json={"document": kept["document"]})
        assert stored.status_code == 200, stored.text
        refused = await client.put(f"/profiles/{profile}/reach", json={"document": "{}"})
        assert refused.status_code == 422
    assert (first["added"], second["added"]) == (True, False)
    lists = json.loads(kept["document"])["ietf-access-control-list:acls"]["acl"]
    assert "time.example" in str(lists)


async def test_what_a_profile_would_cut_of_the_last_days_is_told_before_it_is_cut(house: House) -> None:
    now = house.clock.now()
    heard = [_said("192.0.2.7", 123, "time.example", now), _said("198.51.100.9", 443, "", now, answered=False)]
    async with house.deps.governing.unit_of_work("system:test") as work:
        work.conversations.add("test", "w1", now - timedelta(hours=1), heard)
    async with await house.as_a(Role.ADMIN) as client:
        profile = (await client.get(f"/devices/{LAMP}")).json()["profile"]
        nothing = await client.post(f"/profiles/{profile}/simulation", json={})
        assert nothing.status_code == 404
        await client.post(f"/devices/{LAMP}/reach", json={"flow": FLOW, "reason": "its clock is set there"})
        told = (await client.post(f"/profiles/{profile}/simulation", json={"days": 2})).json()
        assert (told["heard"], told["flows_kept"], told["flows_cut"]) == (1, 3, 3)
        assert (told["flows_cut_that_were_answered"], told["share_cut"]) == (0, 0.0)
        assert [(one["device"], one["peer"], one["answered"]) for one in told["cut"]] == [(LAMP, "198.51.100.9", False)]
        kept = (await client.get(f"/profiles/{profile}/reach")).json()["document"].replace("time.example", "b.example")
        other = (await client.post(f"/profiles/{profile}/simulation", json={"document": kept})).json()
        assert other["share_cut"] == 1.0  # the only conversation that was answered would be cut
    async with await house.as_a(Role.OPERATOR, PARIS_ONLY) as client:
        out_of_scope = (await client.post(f"/profiles/{profile}/simulation", json={"document": kept})).json()
        assert (out_of_scope["devices"], out_of_scope["cut"]) == (0, [])


def _said(peer: str, port: int, name: str, now: datetime, *, answered: bool = True) -> Conversation:
    return Conversation(
        device=LAMP,
        peer=peer,
        peer_name=name,
        transport="udp",
        port=port,
        protocol="ntp",
        opened_by_device=True,
        flows=3,
        packets_sent=3,
        packets_received=3 if answered else 0,
        bytes_sent=200,
        bytes_received=200 if answered else 0,
        first_seen=now - timedelta(hours=3),
        last_seen=now - timedelta(hours=2),
    )


async def test_a_site_is_written_down_as_one_document_that_can_be_read(house: House) -> None:
    frame = json.dumps({"remediation": ["192.0.2.10/32"]})
    async with await house.as_a(Role.ADMIN) as client:
        kept = await client.put("/sites/lyon", json={"document": frame})
        assert kept.status_code == 200, kept.text
        listed = (await client.get("/sites")).json()["items"]
        refused = await client.put("/sites/lyon", json={"document": '{"remediation": ["here"]}'})
    assert [one["site"] for one in listed] == ["lyon"]
    assert "192.0.2.10/32" in listed[0]["document"]
    assert refused.status_code == 422
    async with await house.as_a(Role.OPERATOR) as client:
        assert (await client.put("/sites/lyon", json={"document": frame})).status_code == 403


async def test_one_file_says_whom_devices_reach_and_what_they_say_at_the_broker(house: House) -> None:
    document = json.loads(mud("lamp", hosts=("192.0.2.7",)))
    channel = {"topic": "devices/{device}/light", "direction": "publish", "purpose": "Whether it shines"}
    part = {"rate-per-second": "3.5", "channels": {"channel": [channel]}}
    document["ietf-mud:mud"]["bastide-mud:application"] = part
    async with await house.as_a(Role.ADMIN) as client:
        profile = (await client.get(f"/devices/{LAMP}")).json()["profile"]
        handed = await client.post(f"/profiles/{profile}/proposals", json={"document": json.dumps(document)})
        assert "the device may publish to devices/{device}/light (Whether it shines)" in handed.json()["more"]
        assert any("telemetry" in one for one in handed.json()["less"])
        stored = await client.put(f"/profiles/{profile}/reach", json={"document": json.dumps(document)})
        assert stored.status_code == 200, stored.text
        said = (await client.get(f"/profiles/{profile}")).json()
        assert [one["topic"] for one in said["channels"]] == ["devices/{device}/light"]
        assert said["rate_per_second"] == 3.5
        await govern_device(LAMP, house.deps.governing)
        plan = await house.deps.governing.stores.plans.current(LAMP)
        assert plan is not None
        assert plan.broker.publish == (f"devices/{LAMP}/light",)
        # A file that says nothing of the broker leaves that as it is.
        await client.put(f"/profiles/{profile}/reach", json={"document": mud("lamp").decode()})
        assert (await client.get(f"/profiles/{profile}")).json()["rate_per_second"] == 3.5
    assert house.kinds().count("profile:document:stored") == 2  # the generic one's own, and this
