"""A MUD file in words, and what a new one changes, told as sentences."""

from typing import Any

from bastide.network.profile.change import change
from bastide.network.profile.mud.read import read
from bastide.network.profile.mud.words import MUDFile
from bastide.network.profile.plain import by_peer, sentences
from tests.domain.network.mud.files import encoded, lamp

CLOUD: dict[str, Any] = {
    "ipv4": {"ietf-acldns:dst-dnsname": "cloud.example", "protocol": 6},
    "tcp": {"destination-port": {"operator": "eq", "port": 443}, "ietf-mud:direction-initiated": "from-device"},
}
CLOUD_BACK: dict[str, Any] = {
    "ipv4": {"ietf-acldns:src-dnsname": "cloud.example", "protocol": 6},
    "tcp": {"source-port": {"operator": "eq", "port": 443}, "ietf-mud:direction-initiated": "from-device"},
}
LOCAL: dict[str, Any] = {
    "ietf-mud:mud": {"local-networks": [None]},
    "ipv4": {"protocol": 17},
    "udp": {"destination-port": {"lower-port": 5000, "upper-port": 5010}},
}


def _file(**lists: list[dict[str, Any]]) -> MUDFile:
    return read(encoded(lamp(**lists))).file


def test_both_directions_of_one_permission_are_one_sentence() -> None:
    said = sentences(_file(from4=[CLOUD], to4=[CLOUD_BACK]))
    assert [str(one) for one in said] == ["the device may open TCP port 443 (IPv4) to cloud.example"]
    assert said[0].entries == ("from4-0", "to4-0")


def test_who_may_begin_is_said() -> None:
    (said,) = sentences(_file(to4=[LOCAL]))
    assert str(said) == "hosts of the local networks may send UDP ports 5000-5010 (IPv4) to the device"


def test_sentences_about_one_peer_stand_together() -> None:
    ssh = {"ipv4": {"ietf-acldns:dst-dnsname": "cloud.example", "protocol": 1}, "icmp": {"type": 8, "code": 0}}
    grouped = by_peer(sentences(_file(from4=[CLOUD, LOCAL, ssh])))
    assert {peer: len(many) for peer, many in grouped.items()} == {
        "cloud.example": 2,
        "hosts of the local networks": 1,
    }


def test_a_change_says_what_is_permitted_more_and_what_no_more() -> None:
    before, after = _file(from4=[CLOUD]), _file(from4=[LOCAL])
    found = change(before, after)
    assert [str(one) for one in found.more] == [
        "the device may send UDP ports 5000-5010 (IPv4) to hosts of the local networks"
    ]
    assert [str(one) for one in found.less] == ["the device may open TCP port 443 (IPv4) to cloud.example"]
    assert not found.facts


def test_names_and_order_of_entries_are_no_change() -> None:
    assert not change(_file(from4=[CLOUD, LOCAL]), _file(from4=[LOCAL, CLOUD]))


def test_a_profile_whose_maker_ends_support_is_a_change() -> None:
    ended = lamp(from4=[CLOUD])
    ended["ietf-mud:mud"]["is-supported"] = False
    assert change(_file(from4=[CLOUD]), read(encoded(ended)).file).facts == (("is-supported", "True", "False"),)
