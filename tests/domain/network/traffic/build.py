"""Frames and captures by hand, for tests."""

import struct
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any

import numpy as np

from bastide.network.traffic.reading import HEAD, reader_of
from bastide.network.traffic.report import report_of
from bastide.network.traffic.survey import CHUNK, Survey

CAMERA = "02:00:00:00:00:0a"
ROUTER = "00:17:88:00:00:01"
CAMERA_IP, ROUTER_IP = "192.168.1.10", "192.168.1.1"


def mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def ethernet(payload: bytes, kind: int = 0x0800, source: str = CAMERA, target: str = ROUTER) -> bytes:
    return mac(target) + mac(source) + kind.to_bytes(2, "big") + payload


def ipv4(
    payload: bytes,
    transport: int,
    source: str = CAMERA_IP,
    target: str = ROUTER_IP,
    options: bytes = b"",
    fragment: int = 0,
) -> bytes:
    words = 5 + len(options) // 4
    total = words * 4 + len(payload)
    addresses = ip_address(source).packed + ip_address(target).packed
    return (
        struct.pack(">BBHHHBBH", 0x40 | words, 0, total, 7, fragment, 64, transport, 0) + addresses + options + payload
    )


def ipv6(payload: bytes, next_header: int, source: str = "fe80::a", target: str = "fe80::1") -> bytes:
    return (
        struct.pack(">IHBB", 0x60000000, len(payload), next_header, 64)
        + ip_address(source).packed
        + ip_address(target).packed
        + payload
    )


def udp(payload: bytes, sport: int = 40000, dport: int = 53) -> bytes:
    return struct.pack(">HHHH", sport, dport, 8 + len(payload), 0) + payload


def tcp(payload: bytes = b"", sport: int = 40000, dport: int = 80, flags: int = 0x18, sequence: int = 1) -> bytes:
    return struct.pack(">HHIIBBHHH", sport, dport, sequence, 0, 0x50, flags, 1000, 0, 0) + payload


def arp(sender: str, sender_ip: str, target_ip: str, operation: int = 1) -> bytes:
    return (
        struct.pack(">HHBBH", 1, 0x0800, 6, 4, operation)
        + mac(sender)
        + ip_address(sender_ip).packed
        + bytes(6)
        + ip_address(target_ip).packed
    )


def pcap(
    frames: Sequence[bytes], *, link: int = 1, order: str = "<", nano: bool = False, start: int = 1_700_000_000
) -> bytes:
    magic = 0xA1B23C4D if nano else 0xA1B2C3D4
    head = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 262144, link)
    return head + b"".join(
        struct.pack(order + "IIII", start + number, 0, len(frame), len(frame)) + frame
        for number, frame in enumerate(frames)
    )


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    body += bytes(-len(body) % 4)
    size = 12 + len(body)
    return struct.pack(order + "II", kind, size) + body + struct.pack(order + "I", size)


def section(order: str = "<") -> bytes:
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def interface(link: int = 1, order: str = "<", options: bytes = b"", snap: int = 0) -> bytes:
    return block(1, struct.pack(order + "HHI", link, 0, snap) + options, order)


def option(code: int, value: bytes, order: str = "<") -> bytes:
    return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


def enhanced(frame: bytes, units: int = 1_700_000_000_000_000, number: int = 0, order: str = "<") -> bytes:
    head = struct.pack(order + "IIIII", number, units >> 32, units & 0xFFFFFFFF, len(frame), len(frame))
    return block(6, head + frame, order)


def survey_of(data: bytes, **options: Any) -> Survey:
    """A survey of the octets of a capture."""
    survey = Survey(**options)
    feed(survey, data)
    return survey


def feed(survey: Survey, data: bytes) -> None:
    buffer = np.frombuffer(data, np.uint8)
    reader = reader_of(data[:HEAD], "test")
    at = reader.start
    while True:
        rows, at = reader.index(buffer, at, len(buffer), True, survey.records, survey.reasons)
        survey.absorb(buffer, rows)
        if rows < CHUNK:
            break


def scanned(data: bytes, **options: Any) -> dict[str, Any]:
    """The report on the octets of a capture, without makers' names."""
    return report_of(survey_of(data, **options), lambda _: None)


def dns_query(name: str = "time.example.com", identifier: int = 7) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack(">HHHHHH", identifier, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", 1, 1)


DNS_FRAME = ethernet(ipv4(udp(dns_query()), 17))
