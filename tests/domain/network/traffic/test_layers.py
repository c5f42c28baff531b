"""From link types, tags, options and extension headers to the right addresses, ports and reasons."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.domain.network.traffic.build import (
    CAMERA,
    CAMERA_IP,
    DNS_FRAME,
    ROUTER_IP,
    arp,
    dns_query,
    ethernet,
    ipv4,
    ipv6,
    pcap,
    scanned,
    tcp,
    udp,
)

QUERY = udp(dns_query())
PACKET = ipv4(QUERY, 17)


def test_vlan_and_qinq_tags_are_looked_through() -> None:
    tagged = ethernet(struct.pack(">HH", 5, 0x0800) + PACKET, 0x8100)
    double = ethernet(struct.pack(">HHHH", 9, 0x8100, 5, 0x0800) + PACKET, 0x88A8)
    report = scanned(pcap([tagged, double]))
    assert report["protocols"] == {"dns": 1}, "the inner tag names the network"
    assert report["devices"][0]["mac"] == CAMERA


def test_more_tags_than_anyone_uses_are_counted() -> None:
    deep = ethernet(struct.pack(">HHHHHHHH", 1, 0x8100, 1, 0x8100, 1, 0x8100, 1, 0x8100) + bytes(40), 0x8100)
    assert scanned(pcap([deep]))["undecodable"] == {"more than four VLAN tags": 1}


@pytest.mark.parametrize(
    ("link", "head"),
    [
        (0, struct.pack("<I", 2)),
        (0, struct.pack(">I", 2)),
        (108, struct.pack(">I", 2)),
        (101, b""),
        (12, b""),
        (228, b""),
        (113, struct.pack(">HHH", 0, 1, 6) + bytes.fromhex("02000000000a0000") + b"\x08\0"),
        (276, struct.pack(">HHIHBB", 0x0800, 0, 1, 1, 0, 6) + bytes.fromhex("02000000000a0000")),
    ],
)
def test_link_types_lead_to_the_same_flow(link: int, head: bytes) -> None:
    report = scanned(pcap([head + PACKET], link=link))
    assert report["protocols"] == {"dns": 1}
    assert report["undecodable"] == {}
    assert CAMERA_IP in report["devices"][0]["ips"]
    assert report["devices"][0]["mac"] == (CAMERA if link in (113, 276) else None)


@pytest.mark.parametrize(
    ("link", "reason"),
    [
        (195, "IEEE 802.15.4 frame (counted, not decoded)"),
        (230, "IEEE 802.15.4 frame (counted, not decoded)"),
        (105, "IEEE 802.11 frame (counted, not decoded)"),
        (127, "IEEE 802.11 frame (counted, not decoded)"),
        (9999, "link type not supported"),
    ],
)
def test_other_link_types_are_counted_with_a_reason(link: int, reason: str) -> None:
    report = scanned(pcap([bytes(40)] * 3, link=link))
    assert (report["packets"], report["flows"], report["undecodable"]) == (3, 0, {reason: 3})


def test_ipv4_options_do_not_hide_the_ports() -> None:
    assert scanned(pcap([ethernet(ipv4(QUERY, 17, options=b"\x94\x04\0\0\x01\x01\x01\0"))]))["protocols"] == {"dns": 1}


def test_a_later_fragment_counts_for_its_device_but_makes_no_flow() -> None:
    first = ethernet(ipv4(QUERY, 17, fragment=0x2000))
    later = ethernet(ipv4(bytes(64), 17, fragment=0x00B9))
    report = scanned(pcap([first, later]))
    assert report["flows"] == 1
    assert report["undecodable"] == {"later fragment of an IP packet (counted for its device, in no flow)": 1}
    assert report["devices"][0]["packets"] == 2


def test_ipv6_extension_headers_are_looked_through() -> None:
    hop = bytes([60, 0]) + bytes(6)
    destination = bytes([43, 1]) + bytes(14)
    routing = bytes([44, 0]) + bytes(6)
    fragment = bytes([51, 0, 0, 1]) + bytes(4)
    authentication = bytes([17, 4]) + bytes(22)
    packet = ipv6(hop + destination + routing + fragment + authentication + QUERY, 0)
    report = scanned(pcap([ethernet(packet, 0x86DD)]))
    assert report["protocols"] == {"dns": 1}
    assert report["devices"][0]["ips"] == ["fe80::a"]


def test_an_endless_chain_of_ipv6_headers_ends() -> None:
    packet = ipv6((bytes([60, 0]) + bytes(6)) * 40, 60)
    assert scanned(pcap([ethernet(packet, 0x86DD)]))["undecodable"] == {"IPv6 extension headers damaged or cut off": 1}


def test_padding_after_the_ip_packet_is_not_payload() -> None:
    assert scanned(pcap([ethernet(ipv4(tcp(flags=2), 6)) + b"GET / HTTP/1.1\r\n\r\n"]))["protocols"] == {"tcp": 1}


def test_a_total_length_of_zero_is_segmentation_offload() -> None:
    packet = bytearray(ipv4(tcp(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 6))
    packet[2:4] = b"\0\0"
    assert scanned(pcap([ethernet(bytes(packet))]))["protocols"] == {"http": 1}


def test_arp_binds_an_address_and_makes_a_device_of_a_silent_host() -> None:
    report = scanned(pcap([ethernet(arp(CAMERA, CAMERA_IP, ROUTER_IP), 0x0806)]))
    assert report["flows"] == 0
    assert report["protocols"] == {"arp": 1}
    assert report["devices"][0]["ips"] == [CAMERA_IP]


def test_an_arp_probe_binds_nothing() -> None:
    assert scanned(pcap([ethernet(arp(CAMERA, "0.0.0.0", ROUTER_IP), 0x0806)]))["devices"][0]["ips"] == []


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (DNS_FRAME[:10], "frame shorter than its link header"),
        (DNS_FRAME[:30], "IPv4 header damaged or cut off"),
        (DNS_FRAME[:38], "UDP header damaged or cut off"),
        (ethernet(ipv4(tcp()[:12], 6)), "TCP header damaged or cut off"),
        (ethernet(ipv4(b"\x08", 1)), "ICMP header damaged or cut off"),
        (ethernet(b"\x60" + bytes(20), 0x86DD), "IPv6 header damaged or cut off"),
        (ethernet(bytes(20), 0x0806), "ARP shorter than its header or not for IPv4 on Ethernet"),
        (ethernet(b"\x42\x42\x03" + bytes(40), 0x0026), "802.3 frame with a payload that is not SNAP"),
    ],
)
def test_what_cannot_be_decoded_is_counted_under_its_reason(frame: bytes, reason: str) -> None:
    assert scanned(pcap([frame]))["undecodable"] == {reason: 1}


@given(st.binary(max_size=120), st.sampled_from([0, 1, 101, 108, 113, 276, 228, 229]))
@settings(max_examples=300, deadline=None)
def test_any_octets_are_a_packet_or_a_reason(frame: bytes, link: int) -> None:
    report = scanned(pcap([frame, DNS_FRAME], link=link))
    assert report["packets"] == 2
    assert report["flows"] + sum(report["undecodable"].values()) + sum(report["protocols"].values()) >= 1


@given(st.integers(0, len(DNS_FRAME) - 1), st.integers(1, 255))
@settings(max_examples=200, deadline=None)
def test_one_changed_octet_never_stops_the_scan(place: int, flip: int) -> None:
    frame = bytearray(DNS_FRAME)
    frame[place] ^= flip
    assert scanned(pcap([bytes(frame)] * 2))["packets"] == 2
