"""Rules are proved by packets between real namespaces, through the kernel's nftables."""

import asyncio
import json
import re
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from bastide.adapters.namespaces.namespace import Namespace
from bastide.adapters.namespaces.rig import Rig
from bastide.adapters.nftables import NFT
from bastide.cli import run
from bastide.flows.prove_segmentation import Proof, prove
from bastide.network.profile.mud.read import read
from bastide.network.profile.mud.words import TCP, UDP, MUDFile, Side
from bastide.network.profile.mud.write import write
from bastide.network.segmentation.compile import LOG_GROUP, compile_site
from bastide.network.segmentation.proof.interpret import Packet
from bastide.network.segmentation.proof.probes import DEVICE, Probe, derive
from bastide.network.segmentation.ruleset import as_json, as_text
from bastide.network.segmentation.site import Assignment
from tests.domain.network.mud.files import encoded, lamp
from tests.domain.network.segmentation.test_compile import learned_lamp
from tests.peers import require, require_root, shared_data
from tests.scenarios.segmentation.nflog import listening, read_log

FEW = ["augustdoorbellcamMud.json", "hpprinterMud.json", "samsungsmartcamMud.json"]


@pytest.fixture(autouse=True)
def _kernel() -> None:
    require_root("namespaces and nftables")
    require("nft")
    require("ip")


def tried(profile: MUDFile, change: Callable[[str], str] = lambda rules: rules) -> Proof:
    return asyncio.run(prove(profile, Rig, lambda made: NFT(made.command), change))


def learned(name: str) -> MUDFile:
    return read(shared_data("mud", "unsw", name).read_bytes()).file


def holds(proof: Proof) -> None:
    assert not proof.disagreements
    assert proof.allowed > 10
    assert proof.denied > 100
    assert proof.dropped_packets >= proof.denied  # each of them was stopped by a rule, and not by chance


def test_every_probe_of_a_small_profile_agrees() -> None:
    holds(tried(learned_lamp()))


def every_match() -> MUDFile:
    """A profile with each kind of match and action, most of which the learned files do not have."""
    mud, udp = "ietf-mud:mud", {"protocol": 17}
    lists: dict[str, list[dict[str, Any]]] = {
        "from4": [
            {
                mud: {"same-manufacturer": [None]},
                "ipv4": udp,
                "udp": {"destination-port": {"operator": "neq", "port": 9}},
            },
            {mud: {"my-controller": [None]}, "ipv4": {"protocol": 6}},
            {
                mud: {"model": "https://lamps.example/hub.json"},
                "tcp": {"destination-port": {"operator": "gte", "port": 9000}},
            },
            {
                "ipv4": {"protocol": 17, "destination-ipv4-network": "203.0.113.0/29"},
                "udp": {"source-port": {"port": 5000}},
            },
            {"ipv4": {"protocol": 6, "destination-ipv4-network": "203.0.113.0/24"}, "tcp": {}},
            {"ipv4": {"protocol": 17, "destination-ipv4-network": "203.0.113.0/24"}},
            {"ipv4": {"protocol": 47, "destination-ipv4-network": "192.0.2.9/32"}},
        ],
        "from6": [
            {mud: {"manufacturer": "hubs.example"}, "ipv6": {"protocol": 6}},
            {"ipv6": {"protocol": 58, "destination-ipv6-network": "2001:db8:9::/48"}, "icmp": {"type": 128}},
            {"ipv6": {"protocol": 0, "destination-ipv6-network": "ff02::16/128"}},
        ],
        "to4": [
            {mud: {"controller": "https://c.example/x"}, "udp": {"destination-port": {"operator": "lte", "port": 1023}}}
        ],
        "to6": [
            {mud: {"local-networks": [None]}, "tcp": {"destination-port": {"lower-port": 8000, "upper-port": 8002}}}
        ],
    }
    document = lamp(**lists)
    document["ietf-access-control-list:acls"]["acl"][2]["type"] = "mixed-eth-ipv4-ipv6-acl-type"
    entries = document["ietf-access-control-list:acls"]["acl"][0]["aces"]["ace"]
    entries[4]["actions"]["forwarding"] = "reject"
    entries[5]["actions"]["forwarding"] = "drop"
    return read(encoded(document)).file


def test_every_kind_of_match_and_action_agrees() -> None:
    proof = tried(every_match())
    holds(proof)
    tried_entries = {one.because for one in proof.trial.probes if one.allowed}
    wanted = {"from4-0", "from4-1", "from4-2", "from4-3", "from4-6", "from6-0", "from6-1", "to4-0", "to6-0"}
    assert {f"entry {one}" for one in wanted} <= tried_entries
    assert {"entry from4-4", "entry from4-5"} <= {one.because for one in proof.trial.probes if not one.allowed}


@pytest.mark.parametrize("name", FEW)
def test_every_probe_of_a_learned_profile_agrees(name: str) -> None:
    holds(tried(learned(name)))


@pytest.mark.long
def test_every_probe_of_all_learned_profiles_agrees() -> None:
    for path in sorted(shared_data("mud", "unsw").glob("*.json")):
        holds(tried(read(path.read_bytes()).file))


def test_without_rules_every_probe_arrives_so_what_stops_one_is_a_rule() -> None:
    proof = tried(learned_lamp(), lambda rules: "table inet bastide { }\n")
    assert proof.denied == 0
    assert len(proof.disagreements) == sum(not one.allowed for one in proof.trial.probes)


def test_a_missing_rule_is_found_and_named() -> None:
    def spoil(rules: str) -> str:
        spoiled = re.sub(r"\n[^\n]*tcp dport 80 counter return[^\n]*", "", rules, count=1)
        assert spoiled != rules
        return spoiled

    proof = tried(learned_lamp(), spoil)
    assert proof.disagreements
    assert {one.probe.because for one in proof.disagreements} == {"entry to4-0"}
    assert not any(one.arrived for one in proof.disagreements)


def test_a_rule_that_lets_the_wrong_side_open_is_found() -> None:
    def spoil(rules: str) -> str:
        return re.sub(r"(\n\tchain to_[^\n]*)", r"\1\n\t\ttcp sport 443 counter return", rules, count=1)

    proof = tried(learned_lamp(), spoil)
    assert proof.disagreements
    assert all(one.arrived and one.probe.packet.source_port == 443 for one in proof.disagreements)


def test_nft_accepts_every_compiled_ruleset_and_both_forms_are_the_same_rules() -> None:
    files = sorted(shared_data("mud", "unsw").glob("*.json"))
    assert len(files) >= 14
    gateway = Namespace("check")
    try:
        nft = NFT(gateway.command)
        for path in files:
            profile = read(path.read_bytes()).file
            ruleset = compile_site([Assignment(profile, (DEVICE,))], derive(profile).site).ruleset
            nft.check(as_text(ruleset))
            nft.load(as_text(ruleset))
            loaded = gateway.command(["nft", "-s", "list", "ruleset"])
            gateway.command(["nft", "-j", "-f", "-"], json.dumps(as_json(ruleset)))
            again = gateway.command(["nft", "-s", "list", "ruleset"])
            # nft 1.0.6 drops the comment of a set that comes as JSON.
            assert _without_set_comments(again) == _without_set_comments(loaded), path.name
    finally:
        gateway.close()


def _without_set_comments(listed: str) -> str:
    return re.sub(r'\n\t\tcomment "[^"]*"', "", listed)


def test_hardware_with_an_address_that_is_not_its_own_is_stopped() -> None:
    """Anti-spoofing: the device takes a second address and reaches nobody from it."""
    trial = derive(learned_lamp())
    rules = as_text(compile_site([Assignment(learned_lamp(), (DEVICE,))], trial.site).ruleset)
    other = Packet(Side.FROM_DEVICE, ip_address("10.255.0.66"), ip_address("10.253.0.2"), TCP, 40000, 443)
    tried_from_other = Probe(0, other, False, "no device has that address", "spoofing")
    rig = Rig(trial.probes)
    try:
        nft = NFT(rig.command)
        rig.device.command(["ip", "addr", "add", "10.255.0.66/24", "dev", "eth0"])
        assert asyncio.run(rig.send([replace(tried_from_other, allowed=True)])) == {0}
        nft.load(rules)
        assert asyncio.run(rig.send([tried_from_other])) == frozenset()
        assert nft.dropped("bastide") > 0
    finally:
        rig.close()


def test_what_is_denied_is_logged_with_the_side_and_the_profile_and_the_devices_address() -> None:
    trial = derive(learned_lamp())
    rules = as_text(compile_site([Assignment(learned_lamp(), (DEVICE,))], trial.site).ruleset)
    denied = [one for one in trial.probes if not one.allowed and one.packet.protocol == UDP]
    few = [one for one in denied if one.packet.source == DEVICE.addresses[0]][:5]
    few += [one for one in denied if one.packet.destination == DEVICE.addresses[0]][:5]
    rig = Rig(trial.probes)
    try:
        NFT(rig.command).load(rules)
        with listening(rig.gateway, LOG_GROUP) as log:
            assert asyncio.run(rig.send(few)) == frozenset()
            logged = read_log(log, len(few))
    finally:
        rig.close()
    wanted = {
        (f"bastide {one.packet.side.value} lamps.example/lamp.json", one.packet.source, one.packet.destination)
        for one in few
    }
    assert logged == wanted


def test_the_command_prints_the_proof_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "lamp.json"
    file.write_bytes(write(learned_lamp()))
    assert run(["segment", "prove", "--profile", str(file), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["disagreements"] == []
    assert printed["allowed"] + printed["denied"] == printed["probes"]
