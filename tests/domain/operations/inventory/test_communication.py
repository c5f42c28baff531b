"""The map: who is drawn as whom, nothing is counted twice, and it stays readable however many there are."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastide.core.conversation import Conversation
from bastide.core.device import Attribute, Device
from bastide.core.ids import DeviceClass, DeviceId, OwnerName, ProfileName, SiteName, ZoneName
from bastide.core.standing import Stage, Standing
from bastide.operations.inventory.communication import OTHERS, Asked, Kind, Peer, domain, owners, picture

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
BY_CLASS = Asked("class")


def device(number: int, kind: str = "camera", *addresses: str, site: str = "main", at: datetime = NOW) -> Device:
    said = tuple(Attribute("address", address, "scan:hall", 0.7, at) for address in addresses)
    return Device(
        id=DeviceId(f"d-{number:020d}"),
        device_class=DeviceClass(kind),
        owner=OwnerName("facilities"),
        site=SiteName(site),
        zone=ZoneName("default"),
        profile=ProfileName("generic"),
        standing=Standing.TRUSTED,
        stage=Stage.IN_SERVICE,
        created_at=NOW,
        attributes=said,
    )


def said(of: Device, peer: str, name: str = "", *, called: bool = True, size: int = 1000) -> Conversation:
    return Conversation(of.id, peer, name, "tcp", 443, "tls", called, 1, 5, 5, size // 2, size - size // 2, NOW, NOW)


CAMERA, HUB = device(1, "camera", "192.168.1.10"), device(2, "hub", "192.168.1.2")


@pytest.mark.parametrize(
    ("peer", "name", "drawn"),
    [
        ("192.168.1.2", "", Peer(Kind.DEVICES, "hub")),
        ("192.168.1.77", "nas.lan", Peer(Kind.LOCAL, "192.168.1.0/24")),
        ("fe80::1", "", Peer(Kind.LOCAL, "fe80::/64")),
        ("239.255.255.250", "", Peer(Kind.MANY, "multicast and broadcast")),
        ("255.255.255.255", "", Peer(Kind.MANY, "multicast and broadcast")),
        ("203.0.113.9", "a.b.cloud.co.uk", Peer(Kind.NAMED, "cloud.co.uk")),
        ("203.0.113.9", "", Peer(Kind.UNNAMED, "addresses without a name")),
    ],
)
def test_a_peer_is_drawn_as_what_is_known_of_it(peer: str, name: str, drawn: Peer) -> None:
    shown = picture([said(CAMERA, peer, name)], [CAMERA, HUB], BY_CLASS, NOW)
    assert shown.right == (drawn,)
    assert shown.left == ("camera",)


def test_two_devices_that_speak_are_drawn_once_from_the_caller() -> None:
    both = [said(CAMERA, "192.168.1.2"), said(HUB, "192.168.1.10", called=False)]
    (link,) = picture(both, [CAMERA, HUB], BY_CLASS, NOW).links
    assert (link.group, link.peer, link.flows) == ("camera", Peer(Kind.DEVICES, "hub"), 1)


def test_an_address_is_its_newest_holders_and_only_within_the_site() -> None:
    before = device(3, "lamp", "192.168.1.2", at=NOW - timedelta(days=2))
    elsewhere = device(4, "pump", "192.168.1.2", site="works")
    assert owners([before, HUB, elsewhere]) == {("main", "192.168.1.2"): HUB.id, ("works", "192.168.1.2"): elsewhere.id}


def test_an_opened_group_shows_its_devices_and_a_narrowed_peer_its_hosts() -> None:
    second = device(5, "camera", "192.168.1.11")
    heard = [
        said(CAMERA, "203.0.113.9", "a.cloud.example"),
        said(second, "203.0.113.8", "b.cloud.example"),
        said(HUB, "203.0.113.1", "other.example2"),
    ]
    opened = picture(heard, [CAMERA, HUB, second], Asked("class", opened="camera"), NOW)
    assert set(opened.left) == {CAMERA.id, second.id}
    narrowed = picture(heard, [CAMERA, HUB, second], Asked("class", peer="named:cloud.example"), NOW)
    assert {peer.name for peer in narrowed.right} == {"a.cloud.example", "b.cloud.example"}
    assert narrowed.left == ("camera",)


def test_what_is_not_in_scope_is_not_drawn() -> None:
    shown = picture([said(HUB, "203.0.113.9"), said(CAMERA, "192.168.1.2")], [CAMERA], BY_CLASS, NOW)
    assert [(link.group, link.peer.kind) for link in shown.links] == [("camera", Kind.LOCAL)]


def test_clear_text_is_told_from_the_rest() -> None:
    telnet = replace(said(CAMERA, "192.168.1.2"), protocol="telnet")
    shown = picture([telnet, said(HUB, "203.0.113.9")], [CAMERA, HUB], BY_CLASS, NOW)
    assert {link.group: link.clear for link in shown.links} == {"camera": True, "hub": False}
    only = picture([telnet, said(HUB, "203.0.113.9")], [CAMERA, HUB], Asked("class", protocol="telnet"), NOW)
    assert only.left == ("camera",)
    assert set(only.protocols) == {"telnet", "tls"}


@given(
    st.lists(st.tuples(st.integers(0, 299), st.integers(0, 400), st.integers(0, 10**12)), max_size=300),
    st.sampled_from(("class", "zone", "vendor", "owner")),
    st.booleans(),
)
def test_three_hundred_devices_stay_readable_and_nothing_is_lost(
    heard: list[tuple[int, int, int]], group: str, opened: bool
) -> None:
    fleet = [device(number, f"kind-{number % 40}", f"192.168.1.{number % 200}") for number in range(300)]
    talks = [
        said(fleet[at], f"203.0.{peer // 200}.{peer % 200}", f"h.d{peer}.example", size=size)
        for at, peer, size in heard
    ]
    asked = Asked(group, opened="default" if opened and group == "zone" else "")
    shown = picture(talks, fleet, asked, NOW)
    assert len(shown.left) <= 25
    assert len(shown.right) <= 26
    assert sum(link.bytes for link in shown.links) == sum(size for _, _, size in heard)
    assert sum(link.flows for link in shown.links) == len(heard)
    if len({peer for _, peer, _ in heard}) > 24:
        assert any(peer.name == OTHERS for peer in shown.right)


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("a.b.example.com.", "example.com"),
        ("x.example.co.uk", "example.co.uk"),
        ("localhost", "localhost"),
        ("co.uk", "co.uk"),
    ],
)
def test_a_domain_is_what_somebody_registered(name: str, short: str) -> None:
    assert domain(name) == short
