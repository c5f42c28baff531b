"""Observe, then enforce, over the API; and the way back that a device takes by itself."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Any

from bastide.controller.workers.probation import Probation
from bastide.core.conversation import Conversation
from bastide.core.evidence import Evidence, Fact, Subject, SubjectKind, Trust
from bastide.core.ids import DeviceId, EvidenceId
from bastide.core.plan import NetworkMode
from bastide.flows.enforce_reach import judge_probation, on_probation
from bastide.flows.govern_device import govern_device
from bastide.flows.take_evidence import take_evidence
from bastide.governance.access.roles import Role
from tests.controller.house import LAMP, LYON, PUMP, House
from tests.gateway.plans import mud

WEB, CLOUD = "192.0.2.7", "198.51.100.9"
WHY = {"reason": "a week was quiet"}


async def mode_of(house: House, device: DeviceId = LAMP) -> NetworkMode:
    """What the plan in force tells the gateway."""
    await govern_device(device, house.deps.governing)
    plan = await house.deps.governing.stores.plans.current(device)
    assert plan is not None
    return plan.network.mode


async def heard(house: House, *peers: tuple[str, int], device: DeviceId = LAMP) -> None:
    """What the device was answered, two days ago."""
    at = house.clock.now() - timedelta(days=2)
    said = [
        Conversation(device, peer, "", "udp", 443, "quic", True, flows, 9, 9, 900, 900, at, at) for peer, flows in peers
    ]
    async with house.deps.governing.unit_of_work("system:test") as work:
        work.conversations.add("test", f"w-{device}", at, said)


async def gateway_denied(
    house: House, peer: str, mode: str = "enforce", device: DeviceId = LAMP, by: str = "profile"
) -> None:
    now = house.clock.now()
    body: dict[str, Fact] = {"side": "from-device", "peer": peer, "protocol": 17, "port": 443, "mode": mode, "by": by}
    fact = Evidence(
        EvidenceId(house.deps.ids.mint("e")),
        "network.flow.denied",
        Subject(SubjectKind.DEVICE, device),
        "gateway:d-" + "z" * 20,
        Trust.MEASURED,
        now,
        now,
        body=body,
    )
    await take_evidence([fact], house.deps.governing.unit_of_work, "system:gateways")


async def profile_of(client: Any) -> str:
    """The lamp's profile, with a network part that permits one host."""
    profile = (await client.get(f"/devices/{LAMP}")).json()["profile"]
    document = mud("lamp", hosts=(WEB,)).decode()
    stored = await client.put(f"/profiles/{profile}/reach", json={"document": document})
    assert stored.status_code == 200, stored.text
    return str(profile)


async def test_what_a_profile_denies_is_observed_first_and_enforced_by_an_act(house: House) -> None:
    async with await house.as_a(Role.ADMIN) as client:
        profile = await profile_of(client)
        assert await mode_of(house) is NetworkMode.ENFORCE  # nothing set: the secure default
        set_ = await client.put(f"/profiles/{profile}/mode", json={"mode": "observe", **WHY})
        assert set_.status_code == 200, set_.text
        assert await mode_of(house) is NetworkMode.OBSERVE
        own = await client.put(f"/devices/{PUMP}/mode", json={"mode": "enforce", **WHY})
        assert own.json()["probation_ends"]
        assert await mode_of(house, PUMP) is NetworkMode.ENFORCE
        assert [(one["over"], one["mode"]) for one in (await client.get("/modes")).json()["items"]] == [
            ("device", "enforce"),
            ("profile", "observe"),
        ]
        assert (await client.delete(f"/devices/{PUMP}/mode")).status_code == 204
        assert (await client.delete(f"/devices/{PUMP}/mode")).status_code == 404
        assert await mode_of(house, PUMP) is NetworkMode.OBSERVE
        zone = (await client.get(f"/devices/{LAMP}")).json()["zone"]
        await client.delete(f"/profiles/{profile}/mode")
        await client.put(f"/zones/{zone}/mode", json={"mode": "observe", **WHY})
        assert await mode_of(house) is NetworkMode.OBSERVE
        assert (await client.put("/zones/nowhere/mode", json={"mode": "observe", **WHY})).status_code == 404
    assert [one for one in house.kinds() if one.startswith("network:mode")] == [
        "network:mode:observe",
        "network:mode:enforce",
        "network:mode:ended",
        "network:mode:ended",
        "network:mode:observe",
    ]


async def test_enforcing_what_would_cut_too_much_is_refused_unless_somebody_insists(house: House) -> None:
    await heard(house, (WEB, 9), (CLOUD, 1))
    async with await house.as_a(Role.ADMIN) as client:
        profile = await profile_of(client)
        refused = await client.put(f"/profiles/{profile}/mode", json={"mode": "enforce", **WHY})
        assert refused.status_code == 422
        assert "10.0% of what" in refused.json()["detail"]
        wider = await client.put(f"/profiles/{profile}/mode", json={"mode": "enforce", "limit": 0.2, **WHY})
        assert wider.status_code == 200, wider.text
        insisted = await client.put(f"/profiles/{profile}/mode", json={"mode": "enforce", "anyway": True, **WHY})
        assert insisted.status_code == 200, insisted.text


async def test_a_device_that_misses_too_much_goes_back_to_observe_alone(house: House) -> None:
    await heard(house, (WEB, 5), (CLOUD, 5))
    await heard(house, (WEB, 5), device=PUMP)
    async with await house.as_a(Role.ADMIN) as client:
        profile = await profile_of(client)
        await client.put(f"/profiles/{profile}/mode", json={"mode": "enforce", "anyway": True, **WHY})
        assert set(await on_probation(house.deps.governing)) == {LAMP, PUMP}
        await gateway_denied(house, CLOUD, mode="observe")
        assert await judge_probation(LAMP, house.deps.governing) is None  # only logged: nothing was cut
        await gateway_denied(house, CLOUD, by="quarantine")
        assert await judge_probation(LAMP, house.deps.governing) is None  # not by the profile
        await gateway_denied(house, CLOUD)
        await gateway_denied(house, CLOUD, device=PUMP)  # it never spoke to it before
        returned = await judge_probation(LAMP, house.deps.governing)
        assert returned is not None
        assert "50.0% of what it was answered" in returned.reason
        assert f"udp/443 to {CLOUD}" in returned.reason
        assert await judge_probation(PUMP, house.deps.governing) is None
        assert await mode_of(house) is NetworkMode.OBSERVE
        assert await mode_of(house, PUMP) is NetworkMode.ENFORCE
        assert house.kinds().count("network:mode:returned") == 1
        # Whoever enforces anew tries it anew; what a person keeps denied is not missed any more.
        flow = {"peer": CLOUD, "transport": "udp", "port": 443, "opened_by_device": True}
        await client.post(f"/devices/{LAMP}/rulings", json={"flow": flow, "answer": "deny", **WHY})
        await client.put(f"/profiles/{profile}/mode", json={"mode": "enforce", "anyway": True, **WHY})
        assert await mode_of(house) is NetworkMode.ENFORCE
        await gateway_denied(house, CLOUD)
        assert await judge_probation(LAMP, house.deps.governing) is None


async def test_after_its_probation_a_device_is_held_whatever_it_misses(house: House) -> None:
    await heard(house, (CLOUD, 5))
    async with await house.as_a(Role.ADMIN) as client:
        profile = await profile_of(client)
        asked = {"mode": "enforce", "anyway": True, "probation_minutes": 15, **WHY}
        await client.put(f"/profiles/{profile}/mode", json=asked)
    house.clock.advance(timedelta(minutes=16))
    await gateway_denied(house, CLOUD)
    assert await on_probation(house.deps.governing) == ()
    assert await judge_probation(LAMP, house.deps.governing) is None


async def test_a_network_part_that_is_stored_anew_is_on_probation_by_itself(house: House) -> None:
    await heard(house, (CLOUD, 5))
    async with await house.as_a(Role.ADMIN) as client:
        await profile_of(client)
    await gateway_denied(house, CLOUD)
    assert await judge_probation(LAMP, house.deps.governing) is not None


async def test_modes_are_set_by_whom_they_concern(house: House) -> None:
    async with await house.as_a(Role.OPERATOR, LYON) as client:
        profile = (await client.get(f"/devices/{LAMP}")).json()["profile"]
        assert (await client.put(f"/devices/{LAMP}/mode", json={"mode": "observe", **WHY})).status_code == 200
        assert (await client.put(f"/devices/{PUMP}/mode", json={"mode": "observe", **WHY})).status_code == 404
        assert (await client.put(f"/profiles/{profile}/mode", json={"mode": "observe", **WHY})).status_code == 403
        assert len((await client.get("/modes")).json()["items"]) == 1
    async with await house.as_a(Role.VIEWER, LYON, "seer") as client:
        assert (await client.delete(f"/devices/{LAMP}/mode")).status_code == 403


async def test_the_worker_puts_a_device_back_and_looks_at_none_while_nothing_is_on_probation(house: House) -> None:
    await heard(house, (WEB, 5), (CLOUD, 5))
    worker = Probation(house.deps.governing)
    house.database.on_committed(worker.heard)
    running = asyncio.create_task(worker.run())
    try:
        await gateway_denied(house, CLOUD)
        async with await house.as_a(Role.ADMIN) as client:
            profile = await profile_of(client)
            await client.put(f"/profiles/{profile}/mode", json={"mode": "enforce", "anyway": True, **WHY})
            await gateway_denied(house, CLOUD)
            for _ in range(500):
                if "network:mode:returned" in house.kinds():
                    break
                await asyncio.sleep(0.01)
        assert house.kinds().count("network:mode:returned") == 1
        house.clock.advance(timedelta(minutes=16))
        assert not await worker._any()
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
