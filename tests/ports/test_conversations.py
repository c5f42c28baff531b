"""Whom devices spoke to: one suite over memory, SQLite and PostgreSQL."""

from dataclasses import replace
from datetime import datetime, timedelta

from bastide.core.conversation import Conversation
from bastide.ports.platform.conversations import Hour, Wanted
from bastide.testing.clock import EPOCH
from tests.ports.conftest import State
from tests.ports.values import HOUR, A, B

DNS = Conversation(A, "192.0.2.53", "", "udp", 53, "dns", True, 1, 2, 3, 100, 200, EPOCH, EPOCH + timedelta(seconds=9))
CLOUD = Conversation(A, "198.51.100.7", "cloud.example", "tcp", 443, "tls", True, 1, 9, 9, 900, 9000, EPOCH, EPOCH)
DAY = timedelta(days=1)


async def heard(state: State, *seen: Conversation, window: str = "1", source: str = "main/eth0") -> None:
    async with state.units("test") as work:
        work.conversations.add(source, window, EPOCH, seen)


async def told(
    state: State, since: datetime = EPOCH - DAY, until: datetime = EPOCH + DAY, **more: object
) -> list[Conversation]:
    return list(await state.stores.conversations.list(Wanted(since, until, **more)))  # type: ignore[arg-type]


async def test_a_window_that_is_handed_in_twice_is_taken_once(state: State) -> None:
    await heard(state, DNS, CLOUD)
    await heard(state, DNS, CLOUD)
    assert await told(state) == [CLOUD, DNS]
    await heard(state, DNS, window="2")
    await heard(state, DNS, source="main/eth1")
    assert [one.flows for one in await told(state)] == [1, 3]


async def test_hours_are_added_up_and_the_last_name_holds(state: State) -> None:
    later = replace(CLOUD, first_seen=EPOCH + HOUR, last_seen=EPOCH + HOUR + HOUR / 2, peer_name="cloud.example")
    nameless = replace(CLOUD, first_seen=EPOCH + HOUR * 2, last_seen=EPOCH + HOUR * 2, peer_name="")
    await heard(state, CLOUD, later, nameless)
    (one,) = await told(state)
    assert (one.peer_name, one.flows, one.bytes_received) == ("cloud.example", 3, 27_000)
    assert (one.first_seen, one.last_seen) == (EPOCH, EPOCH + HOUR * 2)
    assert [each.flows for each in await told(state, since=EPOCH + HOUR, until=EPOCH + HOUR * 2)] == [1]


async def test_only_the_wanted_devices_are_told_the_busiest_first(state: State) -> None:
    await heard(state, DNS, CLOUD, replace(DNS, device=B, bytes_sent=5000))
    assert [one.device for one in await told(state, devices=(B,))] == [B]
    assert await told(state, limit=1) == [CLOUD]
    assert await told(state, devices=(A, B), limit=2) == [CLOUD, replace(DNS, device=B, bytes_sent=5000)]


async def test_who_called_and_what_was_spoken_keep_conversations_apart(state: State) -> None:
    await heard(state, CLOUD, replace(CLOUD, opened_by_device=False), replace(CLOUD, protocol="http"))
    assert len(await told(state)) == 3


async def test_one_unit_may_hold_the_same_conversation_many_times(state: State) -> None:
    await heard(state, *[DNS] * 50)
    assert [one.flows for one in await told(state)] == [50]


async def test_how_much_was_said_is_told_by_the_hour(state: State) -> None:
    later = replace(CLOUD, first_seen=EPOCH + HOUR * 3, last_seen=EPOCH + HOUR * 3)
    await heard(state, DNS, CLOUD, later, replace(later, device=B))
    wanted = Wanted(EPOCH - DAY, EPOCH + DAY)
    assert await state.stores.conversations.by_hour(wanted) == [
        Hour(EPOCH, 2, 10_200),
        Hour(EPOCH + HOUR * 3, 2, 19_800),
    ]
    assert await state.stores.conversations.by_hour(replace(wanted, devices=(B,))) == [Hour(EPOCH + HOUR * 3, 1, 9900)]
    assert await state.stores.conversations.by_hour(replace(wanted, until=EPOCH + HOUR, limit=1)) == [
        Hour(EPOCH, 2, 10_200)
    ]


async def test_what_was_said_by_a_device_that_is_another_is_said_by_that_one(state: State) -> None:
    await heard(state, DNS, CLOUD)
    await heard(state, replace(DNS, device=B), replace(DNS, device=B, peer="192.0.2.54"), window="2")
    async with state.units("test") as work:
        work.conversations.reassign(B, A)
        work.conversations.reassign(B, A)  # nothing is left to move
    assert await told(state, devices=(B,)) == []
    mine = {one.peer: one.flows for one in await told(state, devices=(A,))}
    assert mine == {"198.51.100.7": 1, "192.0.2.53": 2, "192.0.2.54": 1}
