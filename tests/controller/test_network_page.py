"""The map of the network as a page: what it shows, of whom, and what it does with a nonsensical address."""

from dataclasses import replace
from datetime import timedelta

from bastide.controller.console.views.network import hours, size, span_of
from bastide.core.conversation import Conversation
from bastide.core.ids import DeviceId
from bastide.governance.access.roles import Role
from bastide.governance.access.scope import EVERYTHING, Scope
from tests.controller.house import LAMP, LYON, ORIGIN, PUMP, House


async def heard(house: House, *devices: DeviceId) -> None:
    now = house.clock.now()
    one = Conversation(
        LAMP, "203.0.113.9", "up.<b>cloud.example", "tcp", 23, "telnet", True, 3, 5, 5, 4000, 9000, now, now
    )
    async with house.deps.governing.unit_of_work("test") as work:
        said = [replace(one, device=each, peer_name=f"up.{at}-<b>.example") for at, each in enumerate(devices)]
        work.conversations.add("lyon/eth1", "w1", now, said)


async def page(house: House, query: str = "", scope: Scope = EVERYTHING) -> str:
    async with await house.as_a(Role.VIEWER, scope) as client:
        answer = await client.get(f"{ORIGIN}/network?{query}")
    assert answer.status_code == 200, answer.text
    return answer.text


async def test_an_empty_map_says_how_to_begin(house: House) -> None:
    assert "bastide watch eth1" in await page(house)
    assert "will be drawn here" in await page(house, "span=90d")


async def test_the_map_shows_groups_peers_and_the_conversations_behind_them(house: House) -> None:
    await heard(house, LAMP, PUMP)
    shown = await page(house)
    assert shown.count('class="clear"') == 2
    assert "13.0 kB" in shown
    assert "2 devices in 2 conversations" in shown
    assert "<b>.example" not in shown.replace("&lt;", "")
    assert "Nothing was said like this" in await page(house, "protocol=mqtt")
    assert "Nothing was said like this" in await page(house, "opened=nothing")


async def test_who_is_limited_sees_only_what_their_devices_said(house: House) -> None:
    await heard(house, LAMP, PUMP)
    shown = await page(house, "", LYON)
    assert "1 device in 1 conversation" in shown
    assert "Lamp in metz" not in shown
    assert "up.1-" not in shown


async def test_what_the_slider_cannot_mean_becomes_the_whole_span(house: House) -> None:
    now = house.clock.now()
    end = hours(now) + 1
    for since, until in ((None, None), (end + 5, end - 30), (0, 10_000_000), (end, 0)):
        span = span_of("7d", since, until, now)
        assert span.begins <= span.since < span.until <= span.ends
    narrow = span_of("24h", end - 3, end - 1, now)
    assert narrow.shown[1] - narrow.shown[0] == timedelta(hours=2)
    await heard(house, LAMP)
    assert "0 devices" in await page(house, f"since={end - 9}&until={end - 5}")


def test_octets_are_said_in_the_unit_that_reads_best() -> None:
    assert [size(each) for each in (0, 999, 1000, 123_456, 5_400_000_000)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "123 kB",
        "5.4 GB",
    ]
