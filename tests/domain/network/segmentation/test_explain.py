"""A denied flow is explained by what is missing; an entry that nothing uses is found by its counter."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest

from bastide.network.profile.mud.read import read
from bastide.network.profile.mud.words import TCP, UDP, Side
from bastide.network.segmentation.explain import Flow, Usage, denied_by, entry_counters, explain, flow_of
from tests.gateway.plans import mud

LAMP = read(mud("lamp", names=("cloud.example",), hosts=("198.51.100.1",))).file
OWN, CLOUD = ip_address("10.0.0.2"), ip_address("198.51.100.1")
DAY = datetime(2026, 11, 1, tzinfo=UTC)


def test_what_is_missing_is_named_with_the_peers_name() -> None:
    said = explain(Flow(OWN, ip_address("203.0.113.9"), TCP, 23), Side.FROM_DEVICE, LAMP, {"c2.example"})
    assert said.missing == "from-device: TCP port 23 to c2.example (203.0.113.9)"
    assert said.nearest == ""


def test_an_entry_that_fails_by_one_thing_is_named() -> None:
    assert "but for the port (443)" in explain(Flow(OWN, CLOUD, TCP, 8080), Side.FROM_DEVICE, LAMP).nearest
    other = explain(Flow(OWN, ip_address("203.0.113.9"), UDP, 443), Side.FROM_DEVICE, LAMP)
    assert "but for the peer (cloud.example)" in other.nearest


def test_a_logged_packet_is_read_from_its_header_on() -> None:
    header = bytes.fromhex("4500001c0000000040060000") + OWN.packed + CLOUD.packed
    assert flow_of(header + b"\x10\x00\x01\xbb") == Flow(OWN, CLOUD, TCP, 443)
    assert flow_of(header[:19]) is None
    assert flow_of(b"") is None
    fragment = bytearray(header + b"\x10\x00\x01\xbb")
    fragment[7] = 8  # not the first one: what stands there is no port
    assert flow_of(bytes(fragment)) == Flow(OWN, CLOUD, TCP, 0)


def test_an_entry_without_use_is_proposed_after_its_days_and_not_before() -> None:
    usage, used, idle = Usage(), ("from_x", "from-device e0"), ("from_x", "from-device e1")
    usage.observe({used: 1, idle: 0}, DAY)
    usage.observe({used: 5, idle: 0}, DAY + timedelta(days=20))
    assert usage.unused(DAY + timedelta(days=29), timedelta(days=30)) == []
    assert usage.unused(DAY + timedelta(days=31), timedelta(days=30)) == [idle]
    usage.observe({used: 0, idle: 2}, DAY + timedelta(days=32))  # rules were replaced: counters begin again
    assert usage.unused(DAY + timedelta(days=33), timedelta(days=30)) == []


def test_counters_are_read_by_chain_and_comment() -> None:
    rule = {"chain": "from_x", "comment": "from-device e0", "expr": [{"counter": {"packets": 3, "bytes": 1}}]}
    assert entry_counters([{"rule": rule}, {"rule": rule}, {"table": {}}]) == {("from_x", "from-device e0"): 6}


@pytest.mark.parametrize(
    ("prefix", "by"),
    [
        ("bastide from-device hub.example/mud.json ", "profile"),
        ("watch to-device lamp.example/mud.json ", "profile"),
        ("bastide from-device zone quarantine ", "quarantine"),
        ("bastide from-device conduit ", "conduit"),
        ("bastide to-device stranger ", "stranger"),
        ("bastide unbound ", "unbound"),
        ("bastide from-device conduit/mud.json ", "profile"),
        ("bastide from-device zone/mud.json ", "profile"),
        ("", "profile"),
    ],
)
def test_who_denied_a_packet_is_read_from_its_log_line(prefix: str, by: str) -> None:
    assert denied_by(prefix) == by
