"""A profile is learned from what was heard: minimal, generalised, and what is not trusted is told."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from bastide.network.profile.learn import Lesson, learn, profile
from bastide.network.profile.mud.read import read
from bastide.network.profile.mud.words import DNS_CONTROLLER, Kind, Side
from bastide.network.profile.mud.write import write
from bastide.network.traffic.conversations import Talk

LAMP, OTHER = "00:17:88:00:00:0a", "00:17:88:00:00:0b"
AT = datetime(2026, 11, 26, tzinfo=UTC)


def talk(
    peer: str = "198.51.100.7", name: str = "cloud.example", transport: str = "tcp", port: int = 443, **more: object
) -> Talk:
    told: dict[str, object] = {
        "mac": LAMP, "peer": peer, "peer_name": name, "transport": transport, "port": port, "protocol": "tls",
        "opened_by_device": True, "flows": 1, "packets_sent": 5, "packets_received": 5, "bytes_sent": 500, "bytes_received": 500,
        "first": 0, "last": 1,
    }  # fmt: skip
    return Talk(**(told | more))  # type: ignore[arg-type]


def kept(*heard: Talk, at_least: int = 1) -> list[str]:
    return [str(one) for one in learn(heard, at_least=at_least).kept]


def why(*heard: Talk) -> list[str]:
    return [one.because for one in learn(heard).left_out]


def test_a_peer_is_the_name_that_it_was_looked_up_by() -> None:
    assert kept(talk(), talk(peer="198.51.100.8"), talk(peer="203.0.113.9", name="")) == [
        "to 203.0.113.9/32 tcp/443",
        "to cloud.example tcp/443",
    ]


def test_name_servers_and_hosts_here_are_what_they_are() -> None:
    dns = talk("192.168.1.1", "", "udp", 53, protocol="dns")
    hub = talk("192.168.1.20", "", "tcp", 8883)
    found = talk("239.255.255.250", "", "udp", 1900, packets_received=0)
    assert kept(dns, hub, found) == [
        "to 239.255.255.250/32 udp/1900",
        "to local-networks tcp/8883",
        f"to {DNS_CONTROLLER} udp/53",
    ]


def test_several_time_servers_that_nobody_looked_up_are_a_pool() -> None:
    servers = [talk(f"203.0.113.{place}", "", "udp", 123, protocol="ntp") for place in range(3)]
    assert kept(*servers) == ["to 0.0.0.0/0 udp/123"]
    assert kept(*servers[:2]) == ["to 203.0.113.0/32 udp/123", "to 203.0.113.1/32 udp/123"]
    local = [talk(f"192.168.1.{place}", "", "udp", 123, protocol="ntp") for place in range(3)]
    assert kept(*local) == ["to local-networks udp/123"]
    named = [talk(f"203.0.113.{place}", "pool.example", "udp", 123, protocol="ntp") for place in range(3)]
    assert kept(*named) == ["to pool.example udp/123"]


def test_an_answer_of_dhcp_is_the_clients_question() -> None:
    lease = talk("192.168.1.1", "", "udp", 68, protocol="dhcp", opened_by_device=False)
    assert kept(lease) == ["to local-networks udp/67"]


def test_ephemeral_ports_of_one_peer_are_their_range() -> None:
    two = [talk("192.168.1.20", "", "udp", port) for port in (40_001, 50_002)]
    assert kept(*two) == ["to local-networks udp/40001", "to local-networks udp/50002"]
    assert kept(*two, talk("192.168.1.20", "", "udp", 60_003)) == ["to local-networks udp/32768-65535"]


def test_what_several_devices_do_is_one_entry_and_surer() -> None:
    (alone,) = learn([talk()]).kept
    (both,) = learn([talk(), talk(mac=OTHER)]).kept
    assert (both.flows, both.devices) == (2, 2)
    assert both.confidence > alone.confidence


def test_what_nobody_answered_is_left_out_and_told() -> None:
    assert why(talk(packets_received=0)) == ["nobody answered"]
    assert why(talk(transport="udp", packets_received=0)) == ["nobody answered"]
    assert why(talk(packets_received=0), talk()) == []
    assert why(talk(opened_by_device=False)) == ["opened from outside this network"]
    assert learn([talk()], at_least=2).left_out[0].because == "seen in 1 flow only"


def written(lesson: Lesson) -> bytes:
    return write(profile(lesson, url="https://learned.invalid/lamp.json", at=AT, systeminfo="a lamp"))


def test_the_file_says_who_opens_a_connection_in_both_lists() -> None:
    app = talk("192.168.1.30", "", "tcp", 80, opened_by_device=False)
    file = read(written(learn([talk(), app]))).file
    ((leaving, answers),) = [one.entries for one in file.policy(Side.FROM_DEVICE)]
    ((back, asked),) = [one.entries for one in file.policy(Side.TO_DEVICE)]
    assert (leaving.destination_name, back.source_name) == ("cloud.example", "cloud.example")
    assert leaving.initiated is back.initiated is Side.FROM_DEVICE
    assert leaving.destination_ports == back.source_ports is not None
    assert answers.initiated is asked.initiated is Side.TO_DEVICE
    assert answers.source_ports == asked.destination_ports is not None
    assert asked.peers[0].kind is Kind.LOCAL_NETWORKS


TALKS = st.builds(
    talk,
    st.sampled_from(["198.51.100.7", "192.168.1.2", "224.0.0.251", "2001:db8::7", "fe80::1", "255.255.255.255"]),
    st.sampled_from(["", "a.example"]),
    st.sampled_from(["tcp", "udp", "icmp", "icmpv6", "sctp"]),
    st.integers(0, 65535),
    opened_by_device=st.booleans(),
    packets_received=st.integers(0, 3),
)


@given(st.lists(TALKS, max_size=12))
def test_whatever_was_heard_becomes_a_strict_file(heard: list[Talk]) -> None:
    lesson = learn(heard)
    if lesson.kept:
        assert read(written(lesson)).notes == ()
