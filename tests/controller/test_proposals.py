"""Network parts wait for a person: a lesson with a deadline, a file that was handed in, and what becomes of them."""

import json
from datetime import timedelta

from bastide.core.conversation import Conversation
from bastide.core.proposal import ProposalState
from bastide.flows.propose_reach import end_due_lessons
from bastide.governance.access.roles import Role
from tests.controller.house import LAMP, PUMP, House
from tests.gateway.plans import mud

WHY = {"reason": "it is what the lamp does"}


async def heard(house: House, window: str, *said: tuple[str, int, int], device: str = LAMP) -> None:
    """(peer, flows, answers) at an hour ago."""
    at = house.clock.now() - timedelta(minutes=30)
    seen = [
        Conversation(
            LAMP if device == LAMP else PUMP, peer, "", "tcp", 443, "tls", True, flows, 5, answers, 1, 1, at, at
        )
        for peer, flows, answers in said
    ]
    async with house.deps.governing.unit_of_work("system:test") as work:
        work.conversations.add("test", window, at, seen)


async def test_a_lesson_ends_by_itself_and_waits_for_a_person(house: House) -> None:
    async with await house.as_a(Role.ADMIN) as client:
        profile = (await client.get(f"/devices/{LAMP}")).json()["profile"]
        begun = await client.post(f"/profiles/{profile}/lessons", json={"minutes": 60})
        assert begun.status_code == 201, begun.text
        again = await client.post(f"/profiles/{profile}/lessons", json={"minutes": 60})
        assert again.status_code == 422
        assert "being learned already" in again.json()["detail"]
        assert await end_due_lessons(house.deps.governing) == []
        house.clock.advance(timedelta(minutes=61))
        await heard(house, "w1", ("192.0.2.7", 9, 5), ("192.0.2.8", 1, 5), ("192.0.2.9", 9, 0))
        await heard(house, "w2", ("192.0.2.7", 4, 5), device=PUMP)
        (ended,) = await end_due_lessons(house.deps.governing)
        assert ended.state is ProposalState.OPEN
        assert (await client.get(f"/profiles/{profile}/reach")).status_code == 404  # nothing is in force yet
        whole = (await client.get(f"/proposals/{ended.id}")).json()
        assert whole["more"] == ["the device may open TCP port 443 (IPv4) to 192.0.2.7"]
        told = "\n".join(whole["told"])
        assert "2 of 2 devices were heard" in told
        assert "to 192.0.2.7/32 tcp/443: 13 flows of 2 devices" in told
        assert "Left out: to 192.0.2.8/32 tcp/443 (seen in 1 flow only)" in told
        assert "Left out: to 192.0.2.9/32 tcp/443 (nobody answered)" in told
        approved = await client.post(f"/proposals/{ended.id}/approval", json=WHY)
        assert approved.json()["state"] == "approved"
        kept = (await client.get(f"/profiles/{profile}/reach")).json()["document"]
        assert json.loads(kept) == json.loads(whole["document"])
        assert (await client.post(f"/proposals/{ended.id}/refusal", json=WHY)).status_code == 422
    assert [one for one in house.kinds() if one.startswith("network:")] == [
        "network:lesson:begun",
        "network:lesson:ended",
        "network:profile:stored",
        "network:proposal:approved",
    ]


async def test_a_lesson_that_hears_nothing_proposes_nothing(house: House) -> None:
    async with await house.as_a(Role.ADMIN) as client:
        profile = (await client.get(f"/devices/{LAMP}")).json()["profile"]
        lesson = (await client.post(f"/profiles/{profile}/lessons", json={"minutes": 5, "since_minutes": 60})).json()
        ended = (await client.post(f"/proposals/{lesson['id']}/end")).json()
        assert (ended["state"], ended["document"], ended["more"]) == ("empty", "", [])
        assert (await client.post(f"/proposals/{lesson['id']}/approval", json=WHY)).status_code == 422
        assert (await client.post(f"/proposals/{lesson['id']}/end")).status_code == 422


async def test_what_was_heard_before_counts_where_it_is_asked_for(house: House) -> None:
    await heard(house, "w1", ("192.0.2.7", 9, 5))
    async with await house.as_a(Role.ADMIN) as client:
        profile = (await client.get(f"/devices/{LAMP}")).json()["profile"]
        lesson = (await client.post(f"/profiles/{profile}/lessons", json={"minutes": 5, "since_minutes": 60})).json()
        ended = (await client.post(f"/proposals/{lesson['id']}/end")).json()
        assert ended["state"] == "open"


async def test_a_file_that_was_handed_in_replaces_nothing_until_approved_and_then_the_others_step_back(
    house: House,
) -> None:
    async with await house.as_a(Role.ADMIN) as client:
        profile = (await client.get(f"/devices/{LAMP}")).json()["profile"]
        made = []
        for host in ("192.0.2.1", "192.0.2.2", "192.0.2.3"):
            document = mud("lamp", hosts=(host,)).decode()
            answer = await client.post(f"/profiles/{profile}/proposals", json={"document": document})
            assert answer.status_code == 201, answer.text
            made.append(answer.json()["id"])
        bad = await client.post(f"/profiles/{profile}/proposals", json={"document": "{}"})
        assert bad.status_code == 422
        await client.post(f"/proposals/{made[0]}/refusal", json=WHY)
        await client.post(f"/proposals/{made[1]}/approval", json=WHY)
        listed = (await client.get(f"/proposals?profile={profile}")).json()["items"]
        states = {one["id"]: one["state"] for one in listed}
        assert [states[one] for one in made] == ["declined", "approved", "replaced"]
        third = (await client.get(f"/proposals/{made[2]}")).json()
        assert third["less"]  # beside what is in force now
    async with await house.as_a(Role.OPERATOR) as client:
        assert (await client.post(f"/proposals/{made[2]}/approval", json=WHY)).status_code == 403
        assert (await client.get("/proposals/n-nothing")).status_code == 404
