"""Profiles become one ruleset: one base chain, devices as elements, the same octets each time."""

import json
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from bastide.core.error import Refused
from bastide.network.profile.mud.read import read
from bastide.network.profile.mud.words import Kind, MUDFile, Peers
from bastide.network.segmentation.compile import compile_site
from bastide.network.segmentation.ruleset import as_json, as_text, comment, identifier
from bastide.network.segmentation.site import Assignment, Site, SiteDevice
from tests.domain.network.mud.files import cloud, encoded, lamp

GOLDEN = Path(__file__).parents[3] / "golden" / "segmentation_lamp.nft"
DNS = Peers(Kind.CONTROLLER, "urn:ietf:params:mud:dns")
SITE = Site(peers={DNS: (ip_address("192.0.2.53"),)}, names={"cloud.lamps.example": (ip_address("198.51.100.7"),)})


def profile(**lists: list[dict[str, Any]]) -> MUDFile:
    return read(encoded(lamp(**lists))).file


def device(name: str, *addresses: str, mac: str = "") -> SiteDevice:
    return SiteDevice(name, tuple(ip_address(one) for one in addresses), mac)


def learned_lamp() -> MUDFile:
    """A profile as one is learned from traffic: a cloud service, DNS, discovery, an app on the local network."""
    local = {"ietf-mud:mud": {"local-networks": [None]}}
    dns = {"ietf-mud:mud": {"controller": "urn:ietf:params:mud:dns"}, "ipv4": {"protocol": 17}}
    return profile(
        from4=[
            cloud(),
            dns | {"udp": {"destination-port": {"operator": "eq", "port": 53}}},
            local
            | {"ipv4": {"protocol": 17, "destination-ipv4-network": "239.255.255.250/32"}}
            | {"udp": {"destination-port": {"port": 1900}}},
            {"ipv4": {"protocol": 1, "ietf-acldns:dst-dnsname": "cloud.lamps.example"}, "icmp": {"type": 8, "code": 0}},
        ],
        from6=[local | {"ipv6": {"protocol": 58, "destination-ipv6-network": "ff02::/16"}}],
        to4=[
            local
            | {"ipv4": {"protocol": 6}}
            | {"tcp": {"ietf-mud:direction-initiated": "to-device", "destination-port": {"port": 80}}},
            {"ipv4": {"protocol": 6, "ietf-acldns:src-dnsname": "cloud.lamps.example"}}
            | {"tcp": {"ietf-mud:direction-initiated": "from-device", "source-port": {"port": 443}}},
        ],
    )


def text(*assignments: Assignment) -> str:
    return as_text(compile_site(assignments, SITE).ruleset)


def test_a_small_profile_compiles_to_the_reviewed_rules() -> None:
    lamps = device("lamp-1", "10.0.0.10", "fd00::10", mac="02:00:00:00:00:10"), device("lamp-2", "10.0.0.11")
    assert text(Assignment(learned_lamp(), lamps)) == GOLDEN.read_text()


def test_the_same_devices_in_another_order_give_the_same_octets() -> None:
    one, two = device("a", "10.0.0.10"), device("b", "10.0.0.9", "fd00::9")
    assert text(Assignment(learned_lamp(), (one, two))) == text(Assignment(learned_lamp(), (two, one)))


def test_a_thousand_devices_are_elements_and_need_no_chain_more() -> None:
    few = compile_site([Assignment(learned_lamp(), (device("a", "10.0.0.1"),))], SITE).ruleset
    fleet = tuple(device(f"d{n}", f"10.1.{n // 250}.{n % 250 + 1}") for n in range(1000))
    many = compile_site([Assignment(learned_lamp(), fleet)], SITE).ruleset
    assert many.chains == few.chains
    assert [chain.name for chain in many.chains if chain.hook] == ["judge"]


def test_who_may_not_open_has_no_rule() -> None:
    assert "198.51.100.7" not in text(Assignment(profile(to4=[cloud_answers()]), (device("a", "10.0.0.1"),)))


def cloud_answers() -> dict[str, Any]:
    return {
        "ipv4": {"protocol": 6, "ietf-acldns:src-dnsname": "cloud.lamps.example"},
        "tcp": {"ietf-mud:direction-initiated": "from-device", "source-port": {"port": 443}},
    }


def test_two_devices_of_one_manufacturer_find_each_other_by_their_profiles() -> None:
    same = {"ietf-mud:mud": {"same-manufacturer": [None]}, "ipv4": {"protocol": 17}}
    compiled = compile_site(
        [Assignment(profile(from4=[same]), (device("a", "10.0.0.1"), device("b", "10.0.0.2")))], SITE
    )
    makers = next(one for one in compiled.ruleset.sets if one.name.startswith("manufacturer4"))
    assert makers.elements == (("10.0.0.1",), ("10.0.0.2",))


def test_an_address_that_two_devices_claim_is_refused() -> None:
    with pytest.raises(Refused) as caught:
        compile_site([Assignment(learned_lamp(), (device("a", "10.0.0.1"), device("b", "10.0.0.1")))], SITE)
    assert caught.value.reason == "segmentation:device:address-twice"


@pytest.mark.parametrize("address", ["224.0.0.1", "0.0.0.0", "127.0.0.1", "255.255.255.255", "ff02::1", "::"])
def test_an_address_that_no_device_can_have_is_refused(address: str) -> None:
    with pytest.raises(Refused):
        device("a", address)


def test_what_a_file_says_cannot_leave_its_comment_or_name() -> None:
    hostile = 'x"; flush ruleset; add table inet y #\n'
    assert not set(comment(hostile)) & set("\";\n#{}\\'")
    assert identifier("name4", hostile).replace("_", "").isalnum()
    assert len(identifier("name4", "a" * 253)) < 64
    named = lamp(from4=[cloud()])
    named["ietf-access-control-list:acls"]["acl"][0]["aces"]["ace"][0]["name"] = 'a"; drop; # b'
    compiled = text(Assignment(read(encoded(named)).file, (device("a", "10.0.0.1"),)))
    assert 'a"; drop' not in compiled
    assert "from-device a__ drop_ _ b" in compiled


def test_names_that_differ_have_sets_that_differ() -> None:
    assert identifier("name4", "a-b.example") != identifier("name4", "a.b.example")


def test_what_nobody_fills_is_said() -> None:
    compiled = compile_site([Assignment(profile(from4=[cloud("other.example")]), (device("a", "10.0.0.1"),))], Site())
    assert {note.code for note in compiled.notes} == {
        "segmentation:name:empty",
        "segmentation:class:empty",
        "segmentation:device:no-mac",
    }


def test_both_forms_hold_the_same_rules() -> None:
    ruleset = compile_site([Assignment(learned_lamp(), (device("a", "10.0.0.1"),))], SITE).ruleset
    added = [one["add"] for one in as_json(ruleset)["nftables"] if "add" in one]
    assert sum("rule" in one for one in added) == sum(len(chain.rules) for chain in ruleset.chains)
    assert json.loads(json.dumps(as_json(ruleset))) == as_json(ruleset)
