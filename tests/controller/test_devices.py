"""Devices over the API: what is shown, to whom, and what acts do."""

import pytest

from bastide.core.plan import Point
from bastide.governance.access.roles import Role
from tests.controller.house import LAMP, LYON, PUMP, House


async def test_a_viewer_lists_and_opens_devices(house: House) -> None:
    async with await house.as_a(Role.VIEWER) as client:
        listed = (await client.get("/devices")).json()
        assert [device["id"] for device in listed["items"]] == [LAMP, PUMP]
        assert listed["next"] is None
        shown = (await client.get(f"/devices/{LAMP}")).json()
        assert shown["site"] == "lyon"
        assert shown["standing"] == "trusted"


async def test_a_full_page_says_how_to_go_on(house: House) -> None:
    async with await house.as_a(Role.VIEWER) as client:
        first = (await client.get("/devices", params={"limit": 1})).json()
        second = (await client.get("/devices", params={"limit": 1, "after": first["next"]})).json()
        third = (await client.get("/devices", params={"limit": 1, "after": second["next"]})).json()
    assert [first["items"][0]["id"], second["items"][0]["id"]] == [LAMP, PUMP]
    assert third == {"items": [], "next": None}


async def test_filters_are_joined_by_and(house: House) -> None:
    async with await house.as_a(Role.VIEWER) as client:
        found = await client.get("/devices", params={"text": "LAMP", "site": "metz", "standing": "trusted"})
        none = await client.get("/devices", params={"class": "pump"})
    assert [device["id"] for device in found.json()["items"]] == [PUMP]
    assert none.json()["items"] == []


@pytest.mark.parametrize("text", ["'; DROP TABLE devices; --", '" OR 1=1 --', "%", "_", "\\", "lamp' UNION SELECT 1"])
async def test_text_that_would_be_sql_finds_nothing_and_harms_nothing(house: House, text: str) -> None:
    async with await house.as_a(Role.VIEWER) as client:
        assert (await client.get("/devices", params={"text": text})).json()["items"] == []
        assert len((await client.get("/devices")).json()["items"]) == 2


async def test_a_device_outside_the_scope_does_not_exist(house: House) -> None:
    async with await house.as_a(Role.OPERATOR, LYON) as client:
        assert [device["id"] for device in (await client.get("/devices")).json()["items"]] == [LAMP]
        other = await client.get(f"/devices/{PUMP}")
        nothing = await client.get(f"/devices/d-{'c' * 20}")
        for part in (
            "timeline",
            "evidence",
            "findings",
            "enforcement",
            "decisions",
            "explanation",
            "samples",
            "samples/t",
        ):
            assert (await client.get(f"/devices/{PUMP}/{part}")).status_code == 404, part
        act = await client.post(f"/devices/{PUMP}/quarantine", json={"reason": "I should not"})
    assert other.status_code == nothing.status_code == act.status_code == 404
    assert other.json()["detail"].replace(PUMP, "X") == nothing.json()["detail"].replace(f"d-{'c' * 20}", "X")
    assert "operator:device:quarantined" not in house.kinds()


async def test_quarantine_takes_hold_at_once_and_explain_says_why(house: House) -> None:
    async with await house.as_a(Role.OPERATOR) as client:
        done = await client.post(f"/devices/{LAMP}/quarantine", json={"reason": "smoke"})
        assert done.status_code == 200, done.text
        assert done.json()["decision"]["standing"] == "quarantined"
        assert not house.points[Point.BROKER].holding[LAMP].broker.publish
        why = (await client.get(f"/devices/{LAMP}/explanation")).json()
        assert why["device"]["standing"] == "quarantined"
        (reason,) = [one for one in why["reasons"] if one["cap"] == "quarantined"]
        assert reason["evidence"][0]["kind"] == "operator.quarantine"
        assert reason["evidence"][0]["body"]["reason"] == "smoke"
        assert {outcome["point"] for outcome in why["outcomes"]} == {"broker", "credential", "network", "update"}
        assert all(outcome["generation"] == why["plan"]["generation"] for outcome in why["outcomes"])
        assert why["records"][0]["kind"].startswith("enforcement:plan:")

        freed = await client.post(f"/devices/{LAMP}/release", json={"reason": "it was toast"})
        assert freed.json()["decision"]["standing"] == "trusted"
    acts = [record for record in house.records if record.kind.startswith("operator:device:")]
    assert [record.kind for record in acts] == ["operator:device:quarantined", "operator:device:released"]
    assert all(str(record.actor).startswith("token:t-") for record in acts)


async def test_an_act_without_a_reason_is_refused(house: House) -> None:
    async with await house.as_a(Role.OPERATOR) as client:
        for body in ({}, {"reason": ""}, {"reason": "  "}, {"reason": 5}, {"reason": "x" * 501}, {"reason": "a\x00b"}):
            answer = await client.post(f"/devices/{LAMP}/quarantine", json=body)
            assert answer.status_code == 422, body
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["code"] == "api:request:invalid"


async def test_break_glass_ends_by_itself(house: House) -> None:
    async with await house.as_a(Role.OPERATOR) as client:
        await client.post(f"/devices/{LAMP}/quarantine", json={"reason": "smoke"})
        body = {"reason": "the ward needs light", "standing": "trusted", "minutes": 30}
        done = await client.post(f"/devices/{LAMP}/break-glass", json=body)
        assert done.json()["decision"]["standing"] == "trusted"
        assert done.json()["decision"]["reconsider_at"] is not None
        refused = await client.post(f"/devices/{LAMP}/break-glass", json=body | {"standing": "retired"})
        assert refused.status_code == 422
        assert "body.standing" in refused.json()["detail"]


async def test_the_time_line_is_the_ledger(house: House) -> None:
    async with await house.as_a(Role.VIEWER) as client:
        kinds = [record["kind"] for record in (await client.get(f"/devices/{LAMP}/timeline")).json()["items"]]
    assert kinds[-1] == "evidence:observed"
    assert "decision:standing:changed" in kinds


async def test_a_viewer_and_an_auditor_may_not_act(house: House) -> None:
    for role in (Role.VIEWER, Role.AUDITOR):
        async with await house.as_a(role) as client:
            answer = await client.post(f"/devices/{LAMP}/quarantine", json={"reason": "no"})
        assert answer.status_code == 403
        assert answer.json()["code"] == "access:not-permitted"
