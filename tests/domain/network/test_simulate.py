"""What a profile would cut, before anything is cut."""

from ipaddress import ip_address

import pytest

from bastide.network.profile.learn import learn, profile
from bastide.network.profile.mud.words import DNS_CONTROLLER, Kind, MUDFile, Peers
from bastide.network.segmentation.simulate import judge, simulate
from bastide.network.segmentation.site import Site
from bastide.network.traffic.conversations import Talk
from tests.domain.network.test_learn import AT, talk
from tests.peers import shared_data

OWN = (ip_address("192.168.1.50"),)
SITE = Site(peers={Peers(Kind.CONTROLLER, DNS_CONTROLLER): (ip_address("192.168.1.1"),)})


def learned(*heard: Talk) -> MUDFile:
    return profile(learn(heard), url="https://learned.invalid/x.json", at=AT, systeminfo="x")


def test_what_was_learned_is_kept_and_what_is_new_is_cut_with_what_is_missing() -> None:
    file = learned(talk(), talk("192.168.1.1", "", "udp", 53, protocol="dns"))
    kept, cut = simulate(
        [
            talk(peer="198.51.100.99"),  # the same name, another address today
            talk("192.168.1.1", "", "udp", 53, protocol="dns"),
            talk("203.0.113.5", "", "tcp", 6667, flows=40),
            talk(port=8443),
        ],
        file,
        SITE,
        OWN,
    )
    assert sorted((one.talk.peer, one.talk.port) for one in kept) == [("192.168.1.1", 53), ("198.51.100.99", 443)]
    assert all(one.because.startswith("entry ") for one in kept)
    assert [one.talk.port for one in cut] == [6667, 8443]
    assert cut[0].because == "from-device: TCP port 6667 to 203.0.113.5"
    assert "but for the port (443)" in cut[1].nearest


def test_what_nobody_answered_is_told_apart() -> None:
    _, cut = simulate([talk("203.0.113.5", "", packets_received=0)], learned(talk()), SITE, OWN)
    assert [one.answered for one in cut] == [False]


def test_who_opens_decides_and_what_is_no_transport_of_a_profile_is_cut() -> None:
    file = learned(talk("192.168.1.20", "", "tcp", 22, opened_by_device=False))
    assert judge(talk("192.168.1.21", "", "tcp", 22, opened_by_device=False), file, SITE, OWN).allowed
    assert not judge(talk("192.168.1.21", "", "tcp", 22), file, SITE, OWN).allowed
    assert not judge(talk(transport="sctp"), file, SITE, OWN).allowed


@pytest.mark.parametrize("kind", ["malicious", "answered"])
def test_a_profile_learned_before_an_infection_stops_it_and_cuts_nothing_that_worked(kind: str) -> None:
    """IoT-23 34-1: at least 99 % of malicious flows stopped, at most 1 % of benign flows that anybody answered cut."""
    from bench import mirai

    flows = list(mirai.read(shared_data("flows", mirai.FLOWS.name)))
    begins = next(at for at, flow in enumerate(flows) if flow.malicious)
    rule = mirai.by_profile(mirai.made(flow.talk for flow in flows[:begins]))
    command = {flow.talk.peer for flow in flows if flow.kind == "C&C"}
    if kind == "malicious":
        judged = [flow for flow in flows[begins:] if flow.malicious]
        assert sum(not rule(flow) for flow in judged) >= 0.99 * len(judged) > 9000
    else:
        judged = [f for f in flows[begins:] if not f.malicious and f.answered and f.talk.peer not in command]
        assert sum(not rule(flow) for flow in judged) <= 0.01 * len(judged)
        assert len(judged) > 800
