"""The interpreter says what the RFC says, and owes nothing to the compiler."""

import ast
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

import bastide.network.segmentation.proof
from bastide.network.profile.mud.read import read
from bastide.network.profile.mud.words import ICMP, TCP, UDP, Kind, MUDFile, Peers, Side
from bastide.network.segmentation.proof.interpret import Packet, rule_on
from bastide.network.segmentation.proof.probes import derive
from bastide.network.segmentation.site import Site
from tests.domain.network.mud.files import cloud, encoded, lamp
from tests.domain.network.segmentation.test_compile import learned_lamp

DEVICE, CLOUD, ANY = ip_address("10.0.0.5"), ip_address("198.51.100.7"), ip_address("203.0.113.1")
DNS = Peers(Kind.CONTROLLER, "urn:ietf:params:mud:dns")
SITE = Site(peers={DNS: (ip_address("10.0.0.53"),)}, names={"cloud.lamps.example": (CLOUD,)})
HTTPS = Packet(Side.FROM_DEVICE, DEVICE, CLOUD, TCP, 40000, 443)


def allowed(packet: Packet, **lists: list[dict[str, Any]]) -> bool:
    file: MUDFile = read(encoded(lamp(**lists))).file
    return rule_on(packet, file, SITE, (DEVICE,)).allowed


def test_the_interpreter_shares_no_code_with_the_compiler() -> None:
    may = {"site", "proof"}
    for path in Path(bastide.network.segmentation.proof.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("bastide.network.segmentation."):
                assert (node.module or "").split(".")[3] in may, f"{path.name} imports {node.module}"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, True),
        ({"destination_port": 444}, False),
        ({"destination": ANY}, False),
        ({"protocol": UDP}, False),
        ({"side": Side.TO_DEVICE, "source": CLOUD, "destination": DEVICE}, False),
    ],
)
def test_only_what_an_entry_says_is_allowed(change: dict[str, Any], expected: bool) -> None:
    assert allowed(replace(HTTPS, **change), from4=[cloud()]) is expected


def test_the_side_that_may_not_open_tcp_is_denied_although_its_answers_are_described() -> None:
    answers: dict[str, Any] = {
        "ipv4": {"protocol": 6, "ietf-acldns:src-dnsname": "cloud.lamps.example"},
        "tcp": {"ietf-mud:direction-initiated": "from-device", "source-port": {"port": 443}},
    }
    opened_by_peer = Packet(Side.TO_DEVICE, CLOUD, DEVICE, TCP, 443, 40000)
    assert not allowed(opened_by_peer, to4=[answers])
    del answers["tcp"]["ietf-mud:direction-initiated"]
    assert allowed(opened_by_peer, to4=[answers])


def test_local_dns_is_allowed_by_default_and_no_other_dns() -> None:
    assert allowed(Packet(Side.FROM_DEVICE, DEVICE, ip_address("10.0.0.53"), UDP, 40000, 53))
    assert not allowed(Packet(Side.FROM_DEVICE, DEVICE, ANY, UDP, 40000, 53))


def test_an_echo_reply_that_nobody_asked_for_is_denied() -> None:
    entry = {"ipv4": {"protocol": 1}, "icmp": {"type": 0, "code": 0}}
    assert not allowed(Packet(Side.TO_DEVICE, CLOUD, DEVICE, ICMP, icmp_type=0), to4=[entry])


def test_an_earlier_drop_wins() -> None:
    document = lamp(from4=[cloud(), cloud()])
    document["ietf-access-control-list:acls"]["acl"][0]["aces"]["ace"][0]["actions"]["forwarding"] = "drop"
    assert not rule_on(HTTPS, read(encoded(document)).file, SITE, (DEVICE,)).allowed


def test_a_profile_gives_the_same_trial_each_time_with_both_kinds_of_probes() -> None:
    trial = derive(learned_lamp())
    assert trial == derive(learned_lamp())
    for version in (4, 6):
        mine = [one for one in trial.probes if one.packet.source.version == version]
        assert any(one.allowed for one in mine)
        assert {one.packet.side for one in mine if not one.allowed} == set(Side)
        assert {TCP, UDP} <= {one.packet.protocol for one in mine if not one.allowed}


def test_every_entry_is_tried_or_named() -> None:
    trial = derive(learned_lamp())
    about = {one.about for one in trial.probes} | {text.split(":")[0] for text in trial.untried}
    assert about >= {"from4-0", "from4-1", "from4-2", "from4-3", "from6-0", "to4-0"}
