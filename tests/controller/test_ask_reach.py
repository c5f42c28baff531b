"""Who may ever reach what, both ways, and why not."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bastide.core.conversation import Conversation
from bastide.core.device import Attribute
from bastide.core.ids import ProfileName
from bastide.flows.ask_reach import covers
from bastide.flows.describe_network import put_reach, put_site
from bastide.flows.govern_device import govern_device
from bastide.flows.operator_acts import quarantine
from bastide.governance.access.roles import Role
from bastide.governance.access.scope import EVERYTHING, Scope
from tests.controller.house import LAMP, LYON, PUMP, House
from tests.gateway.plans import mud

WEB, CLOUD = "192.0.2.7", "198.51.100.9"


async def asked(house: House, source: str, target: str, scope: Scope = EVERYTHING, **more: str) -> list[dict[str, Any]]:
    async with await house.as_a(Role.VIEWER, scope) as client:
        answer = await client.get("/reach", params={"source": source, "target": target, **more})
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"])


async def seeded(house: House) -> ProfileName:
    """Both devices may open 443 to one host and to one name; the lamp looked the name up."""
    with_, now = house.deps.governing, house.clock.now()
    profile = (await with_.stores.devices.get(LAMP)).profile
    await put_reach(profile, mud("lamp", names=("cloud.example",), hosts=(WEB,)), "system:test", with_)
    await put_site("lyon", b'{"remediation":["192.0.2.10/32"]}', "system:test", with_)
    for number, id in enumerate((LAMP, PUMP)):
        device = await with_.stores.devices.get(id)
        own = Attribute("address", f"10.0.{number}.2", "person", 1.0, now)
        async with with_.unit_of_work("system:test") as work:
            work.devices.put(replace(device, attributes=(own,)))
            at = now - timedelta(hours=3)
            said = Conversation(id, CLOUD, "cloud.example", "tcp", 443, "tls", True, 1, 5, 5, 1, 1, at, at)
            work.conversations.add("test", f"w{number}", at, [said])
        await govern_device(id, with_)
    return profile


async def test_a_permitted_host_names_the_entry_and_a_forbidden_one_what_is_missing(house: House) -> None:
    await seeded(house)
    there, back = await asked(house, LAMP, WEB, service="tcp/443")
    assert (there["may"], there["what"], there["forward"]) == (True, "open tcp/443", True)
    assert "entry e" in there["because"]
    assert (back["may"], back["source"], back["forward"]) == (False, WEB, False)
    no, _ = await asked(house, LAMP, WEB, service="tcp/23")
    assert not no["may"]
    assert f"missing is from-device: TCP port 23 to {WEB}" in no["because"]
    assert "but for the port (443)" in no["because"]


async def test_a_name_is_known_by_its_entry_and_by_what_was_looked_up(house: House) -> None:
    await seeded(house)
    assert (await asked(house, LAMP, "cloud.example", service="tcp/443"))[0]["may"]
    assert (await asked(house, LAMP, CLOUD, service="tcp/443"))[0]["may"]
    unknown = (await asked(house, LAMP, "evil.example"))[0]
    assert (unknown["may"], unknown["what"]) == (False, "open anything")
    assert "nobody resolved it in a week" in unknown["because"]


async def test_every_device_that_may_reach_a_host_within_the_scope(house: House) -> None:
    await seeded(house)
    everybody = await asked(house, "*", WEB, service="tcp/443")
    assert sorted(one["source"] for one in everybody if one["may"]) == ["Lamp in lyon", "Lamp in metz"]
    limited = await asked(house, "*", WEB, LYON, service="tcp/443")
    assert [one["source"] for one in limited if one["may"]] == ["Lamp in lyon"]
    back = await asked(house, WEB, "*", service="tcp/443")
    assert not any(one["may"] for one in back if one["forward"])


async def test_standing_decides_before_the_profile(house: House) -> None:
    await seeded(house)
    await quarantine(LAMP, "it scans", "system:test", house.deps.governing, house.deps.ids)
    no, _ = await asked(house, LAMP, WEB, service="tcp/443")
    assert not no["may"]
    assert "it is in quarantine" in no["because"]
    assert (await asked(house, LAMP, "192.0.2.10", service="tcp/443"))[0]["may"]  # it repairs


async def test_between_two_devices_both_profiles_must_permit_it(house: House) -> None:
    profile = await seeded(house)
    no = (await asked(house, LAMP, PUMP, service="tcp/443"))[0]
    assert no["because"].startswith("Lamp in lyon: no entry")
    await put_reach(profile, mud("lamp", hosts=("10.0.1.2",)), "system:test", house.deps.governing)
    half = (await asked(house, LAMP, PUMP, service="tcp/443"))[0]
    assert not half["may"]
    assert half["because"].startswith("Lamp in metz: no entry")


async def test_topics_are_asked_from_both_ends(house: House) -> None:
    await seeded(house)
    plan = await house.deps.governing.stores.plans.current(LAMP)
    assert plan is not None
    topic = plan.broker.publish[0]
    answers = await asked(house, LAMP, topic)
    assert [one["may"] for one in answers if one["forward"]] == [True]
    everybody = [one for one in await asked(house, "*", topic) if one["may"] and one["forward"]]
    assert [one["source"] for one in everybody] == ["Lamp in lyon"]
    assert not any(one["may"] for one in await asked(house, PUMP, topic) if one["forward"])
    await quarantine(LAMP, "it scans", "system:test", house.deps.governing, house.deps.ids)
    why = next(one for one in await asked(house, LAMP, topic) if one["forward"])
    assert not why["may"]
    assert "but it is quarantined" in why["because"]


async def test_nonsense_is_told(house: House) -> None:
    await seeded(house)
    async with await house.as_a(Role.VIEWER, LYON) as client:
        for source, target, status in (
            ("*", "*", 422),
            (WEB, CLOUD, 422),
            (WEB, "devices/x/y", 422),
            ("d-" + "z" * 20, WEB, 404),
            (PUMP, WEB, 404),
            (LAMP, "devices/a b", 422),
        ):
            answer = await client.get("/reach", params={"source": source, "target": target})
            assert answer.status_code == status, (source, target, answer.text)
        wrong = await client.get("/reach", params={"source": LAMP, "target": WEB, "service": "tcp/x"})
        assert wrong.status_code == 422


@pytest.mark.parametrize(
    ("granted", "topic", "holds"),
    [
        ("devices/a/x", "devices/a/x", True),
        ("devices/a/#", "devices/a/x/y", True),
        ("devices/a/#", "devices/a", True),
        ("devices/+/x", "devices/b/x", True),
        ("devices/a/x", "devices/a/+", False),
        ("devices/a/+", "devices/a/x/y", False),
        ("devices/a/+", "devices/a/#", False),
        ("devices/#", "devices/a/#", True),
    ],
)
def test_a_filter_holds_what_it_holds(granted: str, topic: str, holds: bool) -> None:
    assert covers(granted, topic) is holds
