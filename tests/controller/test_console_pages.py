"""Every page over hostile names: what a device, a person or a profile calls itself is text and nothing else."""

import asyncio
import json
import re
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastide.controller.api.app import PREFIX
from bastide.controller.console.guard import safe_then
from bastide.controller.live import BACKLOG, LiveRecords
from bastide.core.audit import Record
from bastide.core.device import Attribute
from bastide.core.evidence import Evidence, Subject, SubjectKind, Trust
from bastide.core.finding import Finding, Severity
from bastide.core.ids import EvidenceId, OwnerName, RecordId, RuleId
from bastide.flows import operator_acts
from bastide.flows.claims import Claiming, create_claim
from bastide.flows.take_evidence import take_evidence
from bastide.governance.access.roles import Role
from tests.controller.house import LAMP, LYON, ORIGIN, PUMP, House

HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>{{7*7}}"
PAGES = (
    "/",
    "/devices",
    "/devices?text=%22%3E%3Cscript%3Ealert(1)%3C/script%3E",
    "/devices?group=vendor&text=%22%3E%3Cscript%3Ealert(1)",
    "/devices?column=vendor&column=firmware&column=address",
    f"/devices/{LAMP}",
    f"/devices/{LAMP}/acts/quarantine",
    f"/devices/{LAMP}/acts/release",
    f"/devices/{LAMP}/acts/break-glass",
    "/releases",
    "/releases/new?name=lamp&version=2.0&class=sensor&site=%22%3E%3Cscript%3Ealert(1)",
    f"/devices/rows?id={LAMP}",
    "/network",
    "/network?opened=%22%3E%3Cscript%3Ealert(1)&peer=named:%22%3E%3Cscript%3Ealert(1)&protocol=%3Cscript%3Ealert(1)",
    "/ledger",
    "/ledger?find=%22%3E%3Cscript%3Ealert(1)%3C/script%3E",
    f"/ledger?find={LAMP}",
    "/enrol",
    "/rooms",
    "/settings/account",
    "/settings/tokens",
    "/settings/people",
    "/settings/classes",
    "/settings/policy",
    "/settings/waivers",
    "/settings/keys",
    "/devices/%3Cscript%3Ealert(1)%3C%2Fscript%3E",
    "/ledger/%3Cscript%3Ealert(1)%3C%2Fscript%3E",
    "/sign-in?then=/%22%3E%3Cscript%3Ealert(1)%3C/script%3E",
    "/sign-in/link/%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E",
)


async def hostile(house: House) -> httpx.AsyncClient:
    """A house in which everything that somebody else may name is hostile, and an admin's browser."""
    now, governing = house.clock.now(), house.deps.governing
    device = await governing.stores.devices.get(LAMP)
    attribute = Attribute(HOSTILE, HOSTILE, HOSTILE, 0.5, now)
    fact = Evidence(
        id=EvidenceId(house.deps.ids.mint("e")),
        kind="broker.publish.denied",
        subject=Subject(SubjectKind.DEVICE, LAMP),
        source=HOSTILE,
        trust=Trust.AUTHENTICATED,
        observed_at=now,
        received_at=now,
        count=5,
        body={"topic": HOSTILE, HOSTILE: HOSTILE},
    )
    finding = Finding("traffic:telnet", fact.subject, Severity.HIGH, 0.9, HOSTILE, HOSTILE, now)
    async with governing.unit_of_work("system:test") as work:
        work.devices.put(replace(device, name=HOSTILE, attributes=(attribute,)))
        work.findings.put(finding)
        work.ledger.record("inventory:device:seen", f"device:{LAMP}", {"source": HOSTILE})
        work.ledger.record(f"odd:{HOSTILE}", HOSTILE, {"reason": HOSTILE, HOSTILE: [HOSTILE]})
    await take_evidence([fact], governing.unit_of_work, "system:test")
    await operator_acts.quarantine(LAMP, HOSTILE, "system:test", governing, house.deps.ids)
    await operator_acts.waive(
        RuleId("flooding"), fact.subject, OwnerName(HOSTILE), HOSTILE, now + timedelta(days=1), "system:test", governing,
        house.deps.ids,
    )  # fmt: skip
    claiming = Claiming(governing, house.deps.governing.unit_of_work, governing.stores.credentials, house.deps.ids)  # type: ignore[arg-type, attr-defined]
    await create_claim("lamp", "system:test", claiming, name=HOSTILE[:80])
    admin = await house.person("ada", Role.ADMIN)
    async with house.door.units("system:test") as work_:
        work_.access.put_person(replace(admin, display=HOSTILE))
    await house.token(admin)
    client = await house.signed_in(admin)
    client.headers["User-Agent"] = HOSTILE
    client.base_url = httpx.URL(ORIGIN)
    await house.deps.ledger.integrated(house.records[-1].id)
    return client


@pytest.mark.parametrize("part", [False, True], ids=["page", "part"])
async def test_no_page_lets_a_name_become_code(house: House, part: bool) -> None:
    headers = {"Accept": "text/html"} | ({"HX-Request": "true"} if part else {})
    async with aclosing(await hostile(house)) as client:
        record = (await house.deps.ledger.about(f"device:{LAMP}", 50))[-1].id
        odd = next(each.id for each in house.records if each.kind.startswith("odd"))
        shown = 0
        for path in (*PAGES, f"/ledger/{record}", f"/ledger/{odd}"):
            answer = await client.get(path, headers=headers, follow_redirects=True)
            assert answer.status_code in (200, 404), (path, answer.status_code, answer.text[:500])
            assert "text/html" in answer.headers["Content-Type"]
            assert "<script>alert" not in answer.text, path
            assert "<img" not in answer.text, path
            assert "49" not in re.findall(r"&gt;(\d+)", answer.text), path
            assert not re.search(r"\son\w+=", re.sub(r"&#?\w+;[^<]*", "", answer.text)), path
            shown += "&lt;script&gt;alert(1)" in answer.text
    assert shown > 15, "the hostile names were not on the pages at all"


async def test_every_page_is_kept_by_nobody_and_says_its_policy(house: House) -> None:
    async with aclosing(await hostile(house)) as client:
        for path in PAGES:
            answer = await client.get(path)
            assert answer.headers["Cache-Control"] == "no-store", path
            policy = answer.headers["Content-Security-Policy"]
            assert "script-src 'self'" in policy
            assert "unsafe" not in policy
            assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_who_is_limited_sees_no_trace_of_other_devices(house: House) -> None:
    async with await house.as_a(Role.OPERATOR, LYON) as client:
        client.base_url = httpx.URL(ORIGIN)
        await house.observe("broker.publish.denied", PUMP)
        await house.deps.ledger.integrated(house.records[-1].id)
        foreign = next(each for each in reversed(house.records) if each.subject == f"device:{PUMP}")
        for path in (
            "/",
            "/devices",
            "/devices?text=metz",
            "/ledger",
            f"/ledger?find={PUMP}",
            f"/devices/rows?id={PUMP}",
        ):
            answer = await client.get(path)
            assert answer.status_code == 200, path
            assert "Lamp in metz" not in answer.text, path
            assert f'href="/devices/{PUMP}"' not in answer.text, path
        for path in (f"/devices/{PUMP}", f"/ledger/{foreign.id}", f"/ledger/{foreign.id}/proof"):
            assert (await client.get(path)).status_code == 404, path
        assert "Lamp in lyon" in (await client.get("/devices")).text


async def test_a_fact_about_a_person_is_read_only_by_who_may(house: House) -> None:
    admin = await house.person("grace", Role.ADMIN)
    async with aclosing(await house.signed_in(admin)) as client:
        answer = await client.post(f"/devices/{LAMP}/quarantine", json={"reason": "Zeppelin over the roof"})
        assert answer.status_code == 200, answer.text
    act = next(each for each in house.records if each.kind == "operator:device:quarantined")
    await house.deps.ledger.integrated(act.id)
    for role, seen in ((Role.VIEWER, False), (Role.AUDITOR, True)):
        async with await house.as_a(role) as client:
            client.base_url = httpx.URL(ORIGIN)
            page = (await client.get(f"/ledger/{act.id}")).text
            assert ("Zeppelin" in page) is seen, role
            assert ("Grace" in page) is seen, role


async def test_who_is_not_signed_in_is_sent_to_the_door_and_back(house: House) -> None:
    async with house.client() as client:
        client.base_url = httpx.URL(ORIGIN)
        answer = await client.get("/ledger?kind=policy")
        assert (answer.status_code, answer.headers["Location"]) == (303, "/sign-in?then=%2Fledger%3Fkind%3Dpolicy")
        part = await client.get("/ledger", headers={"HX-Request": "true"})
        assert (part.status_code, part.headers["HX-Redirect"]) == (204, "/sign-in")


async def test_a_form_without_the_sessions_token_is_refused(house: House) -> None:
    person = await house.person("mallory", Role.OPERATOR)
    async with aclosing(await house.signed_in(person)) as client:
        client.base_url = httpx.URL(ORIGIN)
        token = client.headers.pop("X-CSRF-Token")
        act = f"/devices/{LAMP}/acts/quarantine"
        assert (await client.post(act, data={"reason": "x", "csrf": "forged"})).status_code == 403
        crossed = await client.post(act, data={"reason": "x", "csrf": token}, headers={"Sec-Fetch-Site": "cross-site"})
        assert crossed.status_code == 403
        assert "operator:device:quarantined" not in house.kinds()
        assert (await client.post(act, data={"reason": "x", "csrf": token})).status_code == 303
        assert "operator:device:quarantined" in house.kinds()


async def test_an_address_that_does_not_exist_is_a_page_for_people_and_a_problem_for_programs(house: House) -> None:
    async with house.client() as client:
        client.base_url = httpx.URL(ORIGIN)
        person = await client.get("/nothing", headers={"Accept": "text/html,*/*"})
        program = await client.get(f"{PREFIX}/nothing", headers={"Accept": "text/html"})
    assert (person.status_code, person.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert (program.status_code, program.headers["Content-Type"]) == (404, "application/problem+json")


@given(
    st.text(max_size=40)
    | st.sampled_from(["//evil.example", "/\\evil.example", "https://evil.example", "/\tx", "javascript:x"])
)
def test_signing_in_leads_only_to_our_own_pages(then: str) -> None:
    target = safe_then(then)
    assert target == "/" or (target == then and re.match(r"/($|[^/\\])", target))
    assert target.isprintable()


async def test_who_may_export_gets_what_the_page_shows(house: House) -> None:
    await house.deps.ledger.integrated(house.records[-1].id)
    async with await house.as_a(Role.AUDITOR) as client:
        client.base_url = httpx.URL(ORIGIN)
        for path, named in (
            ("/ledger", "whole ledger"),
            ("/ledger?kind=evidence", "these"),
            (f"/ledger?find={LAMP}", "this device"),
        ):
            page = (await client.get(path)).text
            (link,) = re.findall(r'href="(/api/v1/ledger/export[^"]*)"', page)
            assert named in page
            bundle = await client.get(link.replace("&amp;", "&"))
            assert (bundle.status_code, bundle.headers["Content-Type"]) == (200, "application/jsonl"), (
                path,
                bundle.text,
            )
    async with await house.as_a(Role.VIEWER) as client:
        client.base_url = httpx.URL(ORIGIN)
        assert "/api/v1/ledger/export" not in (await client.get("/ledger")).text


async def test_what_a_role_may_not_do_is_not_offered_to_it(house: House) -> None:
    for role, offered in ((Role.VIEWER, False), (Role.AUDITOR, False), (Role.OPERATOR, True)):
        async with await house.as_a(role) as client:
            client.base_url = httpx.URL(ORIGIN)
            device, table, policy = [
                (await client.get(path)).text for path in (f"/devices/{LAMP}", "/devices", "/settings/policy")
            ]
            assert ("acts/quarantine" in device) is offered, role
            assert ('href="/enrol"' in table) is offered, role
            assert ("See what it would do" in policy) is (role is not Role.VIEWER), role
            assert "/settings/people" not in policy or role is Role.AUDITOR, role


async def test_the_live_stream_tells_each_reader_only_of_their_devices(house: House) -> None:
    async with await house.as_a(Role.OPERATOR, LYON) as client:
        client.base_url = httpx.URL(ORIGIN)
        listening = asyncio.create_task(client.get("/live"))
        while not house.live.open_streams:  # noqa: ASYNC110 - the stream tells nobody that it is open
            await asyncio.sleep(0)
        for device in (PUMP, LAMP):
            for _ in range(3):
                await house.observe("broker.publish.denied", device)
        house.live.close()
        told = (await listening).text
    events = [json.loads(line.removeprefix("data: ")) for line in told.splitlines() if line.startswith("data: {")]
    assert {event["subject"] for event in events} == {f"device:{LAMP}"}
    (moved,) = [event for event in events if event["kind"] == "decision:standing:changed"]
    assert moved["text"].startswith("Lamp in lyon went from trusted to quarantined")
    assert PUMP not in told


async def test_a_page_that_reads_too_slowly_is_told_that_it_is_behind() -> None:
    live, heard = LiveRecords(), list[object]()
    record = Record(RecordId("r-1"), "kind", "subject", "system", datetime(2026, 1, 5, tzinfo=UTC))

    async def listen() -> None:
        async for records in live.stream():
            heard.append(records)

    listening = asyncio.create_task(listen())
    await asyncio.sleep(0)
    for _ in range(BACKLOG + 2):  # more than a page may be behind, before it reads any
        live.publish([record])
    for _ in range(10):
        await asyncio.sleep(0)
    live.close()
    await listening
    assert heard == [(), [record]]
