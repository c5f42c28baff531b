"""An active look never asks more, faster or elsewhere than it promises."""

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastide.core.error import Refused
from bastide.operations.inventory.looking import (
    FRAGILE,
    IN_ALL,
    PER_HOST,
    PROBES,
    Pace,
    hosts,
    known_fragile,
    probes,
)


def test_no_usual_probe_touches_what_is_fragile() -> None:
    assert not {port for _, port in PROBES} & set(FRAGILE)
    assert {502, 102, 20000, 44818, 47808, 2404, 9100} <= set(FRAGILE)


@given(st.lists(st.integers(-5, 70_000), min_size=1, max_size=20))
def test_ports_are_asked_as_named_or_refused(ports: list[int]) -> None:
    try:
        chosen = probes(ports)
    except Refused:
        assert any(not 0 < port < 65536 or port in FRAGILE for port in ports)
        return
    assert {probe.port for probe in chosen} == set(ports)


def test_ranges_are_named_hosts_and_what_is_left_out_stays_out() -> None:
    assert hosts(["192.168.7.0/30"]) == ("192.168.7.1", "192.168.7.2")
    assert hosts(["192.168.7.9", "192.168.7.8/29"], ["192.168.7.12/30"]) == (
        "192.168.7.9",
        "192.168.7.10",
        "192.168.7.11",
    )
    assert hosts(["fd00::5"]) == ("fd00::5",)
    assert len(hosts(["10.0.0.0/20"])) == 4094


@pytest.mark.parametrize(
    "text", ["10.0.0.0/8", "::/0", "0.0.0.0/0", "224.0.0.0/28", "127.0.0.1", "ff02::1", "", "a/b", "1.2.3.4.5"]
)
def test_what_is_nobodys_range_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        hosts([text])
    with pytest.raises(Refused):
        hosts(["10.0.0.1"], ["x"])


@given(
    st.lists(st.tuples(st.integers(0, 5), st.sampled_from((2, 12)), st.floats(0, 0.5)), min_size=1, max_size=200),
    st.integers(1, PER_HOST),
    st.integers(1, IN_ALL),
)
def test_no_host_and_no_network_gets_more_than_the_pace(
    asked: list[tuple[int, int, float]], per_host: int, in_all: int
) -> None:
    pace, now = Pace(per_host, in_all), 0.0
    begun: dict[int, list[tuple[float, int]]] = defaultdict(list)
    everywhere: list[tuple[float, int]] = []
    for host, packets, waits in asked:
        now += waits
        at = pace.begins(str(host), packets, now)
        assert at >= now
        begun[host].append((at, packets))
        everywhere.append((at, packets))
    for rate, times in [(per_host, each) for each in begun.values()] + [(in_all, sorted(everywhere))]:
        for first, (start, _) in enumerate(times):
            for last in range(first, len(times)):
                # Between two starts there is at least the time that the packets of those before the last one take.
                reserved = sum(packets for _, packets in times[first:last])
                assert times[last][0] - start >= reserved / rate - 1e-6 or rate == in_all


def test_hosts_that_speak_what_is_fragile_are_known() -> None:
    seen = [(["10.0.0.5", "x"], ["tls", "modbus"]), (["10.0.0.6"], ["tls"]), (["fd00::1"], ["bacnet"])]
    assert known_fragile(seen) == ("10.0.0.5", "fd00::1")


@pytest.mark.parametrize(("per_host", "in_all"), [(41, 1000), (0, 1000), (40, 1001), (40, 0)])
def test_nobody_asks_for_more_than_the_limits(per_host: int, in_all: int) -> None:
    with pytest.raises(Refused):
        Pace(per_host, in_all)
