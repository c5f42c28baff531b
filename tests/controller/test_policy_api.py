"""Policy, waivers, profiles and people over the API."""

from datetime import timedelta
from typing import Any

import pytest

from bastide.governance.access.roles import Role
from bastide.governance.policy.document import BUILT_IN
from tests.controller.house import LAMP, LYON, PUMP, House

STRICTER = f"""{BUILT_IN}
[[rule]]
id = "no-lamps"
when = "identity.enrolled"
within = "52w"
hold = "52w"
then = "restricted"
because = "Lamps are not trusted any more."
"""


async def test_a_simulation_shows_only_devices_within_the_scope(house: House) -> None:
    async with await house.as_a(Role.OPERATOR, LYON) as client:
        told = (await client.post("/policy/simulation", json={"document": STRICTER})).json()
    assert told["looked_at"] == 1
    assert [(one["device"], one["now"], one["then"]) for one in told["effects"]] == [(LAMP, "trusted", "restricted")]
    assert (await house.deps.governing.stores.policies.current()).digest != told["digest"]


async def test_an_admin_puts_a_policy_in_force_with_a_reason(house: House) -> None:
    async with await house.as_a(Role.ADMIN) as client:
        applied = await client.put("/policy", json={"document": STRICTER, "reason": "audit finding 7"})
        assert applied.status_code == 200, applied.text
        shown = (await client.get("/policy")).json()
    assert shown["digest"] == applied.json()["digest"]
    assert shown["document"] == STRICTER
    assert {"id": "no-lamps", "hold_s": 31449600.0}.items() <= shown["rules"][-1].items()
    assert "policy:document:applied" in house.kinds()


@pytest.mark.parametrize("document", ["not toml [", "[[rule]]\nid = 5", "x = 1", "\ufeff", "[[rule]]\n" * 2000])
async def test_a_policy_that_cannot_be_read_changes_nothing(house: House, document: str) -> None:
    async with await house.as_a(Role.ADMIN) as client:
        before = (await client.get("/policy")).json()["digest"]
        for answer in (
            await client.put("/policy", json={"document": document, "reason": "x"}),
            await client.post("/policy/simulation", json={"document": document}),
        ):
            assert answer.status_code == 422
            assert answer.json()["code"].startswith(("policy:", "api:request:invalid"))
        assert (await client.get("/policy")).json()["digest"] == before


def _waiver(house: House, subject: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    ends_at = (house.clock.now() + timedelta(days=7)).isoformat()
    return {"rule": "topic-misuse", "subject": subject, "owner": "ops", "reason": "x", "ends_at": ends_at} | more


async def test_a_limited_operator_waives_within_their_scope_only(house: House) -> None:
    async with await house.as_a(Role.OPERATOR, LYON) as client:
        for body, status in (
            (_waiver(house, {"kind": "device", "id": LAMP}), 201),
            (_waiver(house, {"kind": "site", "id": "lyon"}), 201),
            (_waiver(house, {"kind": "device", "id": PUMP}), 404),
            (_waiver(house, {"kind": "site", "id": "metz"}), 403),
            (_waiver(house, {"kind": "profile", "id": "generic"}), 403),
            (_waiver(house), 403),
        ):
            assert (await client.post("/waivers", json=body)).status_code == status, body
    async with await house.as_a(Role.OPERATOR) as everywhere:
        theirs = (await everywhere.post("/waivers", json=_waiver(house, {"kind": "device", "id": PUMP}))).json()
        whole = (await everywhere.post("/waivers", json=_waiver(house))).json()
    async with await house.as_a(Role.OPERATOR, LYON) as client:
        seen = [one["id"] for one in (await client.get("/waivers")).json()["items"]]
        assert theirs["id"] not in seen
        assert whole["id"] in seen, "it concerns their devices too"
        assert (await client.post(f"/waivers/{theirs['id']}/end", json={"reason": "x"})).status_code == 404
        assert (await client.post(f"/waivers/{whole['id']}/end", json={"reason": "x"})).status_code == 403


async def test_a_waiver_has_an_end_and_can_be_ended(house: House) -> None:
    async with await house.as_a(Role.OPERATOR) as client:
        past = _waiver(house, ends_at=(house.clock.now() - timedelta(days=1)).isoformat())
        never = _waiver(house, ends_at=(house.clock.now() + timedelta(days=400)).isoformat())
        for body in (past, never, _waiver(house, rule="no-such-rule")):
            assert (await client.post("/waivers", json=body)).status_code == 422
        made = (await client.post("/waivers", json=_waiver(house))).json()
        ended = await client.post(f"/waivers/{made['id']}/end", json={"reason": "done"})
        assert ended.status_code == 200
        house.clock.advance(1)
        assert (await client.get("/waivers")).json()["items"] == []


async def test_people_are_added_shown_and_changed(house: House) -> None:
    async with await house.as_a(Role.ADMIN) as client:
        made = (await client.post("/people", json={"name": "ada", "display": "Ada", "role": "operator"})).json()
        assert made["sign_in"]["path"] == f"/sign-in/link/{made['sign_in']['link']}"
        again = await client.post("/people", json={"name": "ada"})
        assert again.json()["code"] == "access:person:name"
        id = made["person"]["id"]
        changed = (await client.patch(f"/people/{id}", json={"role": "auditor"})).json()
        assert (changed["role"], changed["display"]) == ("auditor", "Ada")
        names = [one["name"] for one in (await client.get("/people")).json()["items"]]
        assert names == sorted(names)
        assert (await client.get(f"/people/p-{'z' * 20}")).status_code == 404


async def test_a_limited_admin_does_not_manage_people_or_policy(house: House) -> None:
    async with await house.as_a(Role.ADMIN, LYON) as client:
        for answer in (
            await client.get("/people"),
            await client.post("/people", json={"name": "ada", "role": "admin"}),
            await client.put("/policy", json={"document": BUILT_IN, "reason": "x"}),
            await client.get("/ledger/export"),
        ):
            assert answer.status_code == 403
            assert "whole fleet" in answer.json()["detail"]


async def test_the_overview_counts_within_the_scope(house: House) -> None:
    async with await house.as_a(Role.VIEWER) as client:
        whole = (await client.get("/overview")).json()
    async with await house.as_a(Role.VIEWER, LYON) as client:
        part = (await client.get("/overview")).json()
    assert (whole["devices"], part["devices"]) == (2, 1)
    assert whole["by_standing"]["trusted"] == 2
    assert whole["samples_last_hour"] == 0
    assert part["samples_last_hour"] is None
    assert {record["subject"] for record in part["changes"]} == {f"device:{LAMP}"}
