"""The ledger over the API: records within a scope, proofs that hold, bundles that an auditor checks, live events."""

import asyncio
import json
from base64 import b64decode
from collections.abc import Callable

import pytest

from bastide.core.merkle import includes, leaf_hash
from bastide.governance.access.roles import Role
from tests.controller.house import LAMP, LYON, PUMP, House


async def test_records_come_newest_first_and_page_through_to_the_first(house: House) -> None:
    async with await house.as_a(Role.VIEWER) as client:
        seen: list[str] = []
        after = ""
        while True:
            part = (await client.get("/ledger/records", params={"limit": 3, "after": after})).json()
            seen += [record["id"] for record in part["items"]]
            if not part["next"]:
                break
            after = part["next"]
    assert seen == [record.id for record in reversed(house.records)]


async def test_a_limited_account_sees_the_records_of_its_devices_only(house: House) -> None:
    async with await house.as_a(Role.OPERATOR, LYON) as client:
        seen = (await client.get("/ledger/records", params={"limit": 5})).json()
        everything = list(seen["items"])
        while seen["next"]:
            seen = (await client.get("/ledger/records", params={"limit": 5, "after": seen["next"]})).json()
            everything += seen["items"]
        assert {record["subject"] for record in everything} == {f"device:{LAMP}"}
        other = next(record for record in house.records if record.subject == f"device:{PUMP}")
        policy = next(record for record in house.records if record.kind == "policy:document:applied")
        for record in (other, policy):
            assert (await client.get(f"/ledger/records/{record.id}")).status_code == 404
            assert (await client.get(f"/ledger/records/{record.id}/proof")).status_code == 404
        assert (await client.get("/ledger/export")).status_code == 403


async def test_a_proof_leads_to_the_signed_root(house: House) -> None:
    record = house.records[2]
    async with await house.as_a(Role.AUDITOR) as client:
        proof = (await client.get(f"/ledger/records/{record.id}/proof")).json()
    leaf, head = b64decode(proof["leaf"]), proof["checkpoint"]
    path = [b64decode(step) for step in proof["path"]]
    assert json.loads(leaf)["id"] == record.id
    assert includes(leaf_hash(leaf), proof["index"], head["size"], path, b64decode(head["root"]))
    assert not includes(leaf_hash(leaf + b" "), proof["index"], head["size"], path, b64decode(head["root"]))
    assert head["note"].splitlines()[1] == str(head["size"])


async def test_an_export_holds_every_record_that_was_asked_for(house: House) -> None:
    async with await house.as_a(Role.AUDITOR) as client:
        await house.deps.ledger.integrated(house.records[-1].id)
        whole = (await client.get("/ledger/export")).text.splitlines()
        ours = (await client.get("/ledger/export", params={"selection": f"subject:device:{LAMP}"})).text.splitlines()
        none = await client.get("/ledger/export", params={"selection": "subject:device:nobody"})
        wrong = await client.get("/ledger/export", params={"selection": "everything'; --"})
    assert json.loads(whole[-1])["count"] >= len(house.records)
    about = [record for record in house.records if record.subject == f"device:{LAMP}"]
    assert json.loads(ours[-1])["count"] == len(about)
    assert none.status_code == 404
    assert wrong.status_code == 422


async def test_only_whoever_reads_people_exports_what_is_known_of_them(house: House) -> None:
    async with await house.as_a(Role.AUDITOR) as client:
        person = await client.post("/people", json={"name": "ada"})
        assert person.status_code == 403
    async with await house.as_a(Role.ADMIN) as client:
        await client.post("/people", json={"name": "ada", "display": "Ada Lovelace"})
        added = next(record for record in house.records if record.kind == "access:person:added")
        await house.deps.ledger.integrated(added.id)
        hidden = (await client.get("/ledger/export", params={"selection": f"record:{added.id}"})).text
        shown = (
            await client.get("/ledger/export", params={"selection": f"record:{added.id}", "show_personal": "true"})
        ).text
    assert '"ada"' not in hidden
    assert '"ada"' in shown


async def test_exports_at_once_are_bounded(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bastide.adapters.sql.ledger_export.AT_ONCE", 0)
    async with await house.as_a(Role.AUDITOR) as client:
        answer = await client.get("/ledger/export")
    assert answer.status_code == 503


async def test_live_events_are_what_was_committed_and_only_of_the_scope(house: House) -> None:
    async with await house.as_a(Role.OPERATOR, LYON) as client:
        reading = asyncio.create_task(client.get("/events"))
        await _until(lambda: house.live.open_streams == 1)
        await house.observe("broker.publish.denied", PUMP)
        await house.observe("broker.publish.denied", LAMP)
        house.live.close()
        answer = await asyncio.wait_for(reading, 10)
    assert answer.headers["content-type"].startswith("text/event-stream")
    told = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]
    assert told
    assert {record["subject"] for record in told} == {f"device:{LAMP}"}
    assert told[0]["kind"] == "evidence:observed"


async def test_streams_are_bounded(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bastide.controller.api.ledger.MOST_STREAMS", 0)
    async with await house.as_a(Role.VIEWER) as client:
        answer = await client.get("/events")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]


async def _until(holds: Callable[[], bool]) -> None:
    for _ in range(1000):
        if holds():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it never came to hold")
