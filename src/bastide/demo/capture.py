"""A capture that the demo makes: a device joins a network, asks for a name, and answers on Telnet. Real bytes, own writer.

The frames are what a port mirror would see: ARP (RFC 826), DHCP (RFC 2131, 2132), DNS (RFC 1035), TCP with handshake and
close (RFC 9293) and Telnet options and a login (RFC 854), in a pcap file (draft-ietf-opsawg-pcap, microseconds, Ethernet).
All checksums are right. Addresses are from a private network; the outside name is example.com's (RFC 2606).
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv4Address

BROADCAST = bytes(6 * [0xFF])
ANY = IPv4Address("0.0.0.0")  # noqa: S104 (an address in a DHCP packet, nothing listens)
EVERYONE = IPv4Address("255.255.255.255")
UDP, TCP = 17, 6
FIN, SYN, PSH, ACK = 0x01, 0x02, 0x08, 0x10
TELNET = 23
IAC, DO, WILL = 255, 253, 251
ECHO, SUPPRESS_GO_AHEAD = 1, 3


@dataclass(frozen=True, slots=True)
class Host:
    """A machine on the wire."""

    mac: bytes
    address: IPv4Address
    name: str = ""


@dataclass(frozen=True, slots=True)
class Frame:
    at: datetime
    data: bytes


def pcap(frames: Sequence[Frame]) -> bytes:
    """The frames as a pcap file, little endian, microseconds, Ethernet."""
    blocks = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)]
    for frame in frames:
        seconds = int(frame.at.timestamp())
        header = struct.pack("<IIII", seconds, frame.at.microsecond, len(frame.data), len(frame.data))
        blocks += [header, frame.data]
    return b"".join(blocks)


def telnet_story(camera: Host, router: Host, technician: Host, start: datetime, password: str = "vizxv") -> list[Frame]:  # noqa: S107 (in Mirai's list; the point of the capture)
    """Somebody logs in to a camera over Telnet with the maker's password, minutes after it joined the network."""
    talk = (
        *_joins(camera, router),
        *_resolves(camera, router, "time.example.com"),
        *_logs_in(technician, camera, password),
    )
    frames, at = [], start
    for pause_ms, data in talk:
        at += timedelta(milliseconds=pause_ms)
        frames.append(Frame(at, data))
    return frames


_Timed = tuple[int, bytes]


def _joins(device: Host, router: Host) -> Iterator[_Timed]:
    """DHCP's four messages, then the address is announced."""
    from_client = _udp(ANY, EVERYONE, 68, 67, _dhcp(device, router, 1))
    yield 0, _ethernet(BROADCAST, device.mac, 0x0800, from_client)
    yield (
        3,
        _ethernet(
            device.mac, router.mac, 0x0800, _udp(router.address, device.address, 67, 68, _dhcp(device, router, 2))
        ),
    )
    request = _udp(ANY, EVERYONE, 68, 67, _dhcp(device, router, 3))
    yield 2, _ethernet(BROADCAST, device.mac, 0x0800, request)
    yield (
        4,
        _ethernet(
            device.mac, router.mac, 0x0800, _udp(router.address, device.address, 67, 68, _dhcp(device, router, 5))
        ),
    )
    yield 40, _arp(1, device, Host(bytes(6), device.address))
    yield 20, _arp(1, device, Host(bytes(6), router.address))
    yield 1, _arp(2, router, device)


def _dhcp(device: Host, router: Host, message: int) -> bytes:
    reply = message in (2, 5)
    fixed = struct.pack(
        "!BBBBIHH4s4s4s4s16s64s128s",
        2 if reply else 1,
        1,
        6,
        0,
        0x0BA571DE,
        0,
        0,
        bytes(4),
        device.address.packed if reply else bytes(4),
        router.address.packed if reply else bytes(4),
        bytes(4),
        device.mac,
        b"",
        b"",
    )
    options = [(53, bytes([message]))]
    if reply:
        options += [(54, router.address.packed), (51, struct.pack("!I", 86400)), (1, bytes([255, 255, 255, 0]))]
        options += [(3, router.address.packed), (6, router.address.packed)]
    else:
        options += [(12, device.name.encode()), (60, b"udhcp 1.31.1"), (55, bytes([1, 3, 6, 12, 15, 28, 42]))]
        options += [(50, device.address.packed), (54, router.address.packed)] if message == 3 else []
    body = b"".join(bytes([code, len(value)]) + value for code, value in options)
    return fixed + b"\x63\x82\x53\x63" + body + b"\xff"


def _resolves(device: Host, router: Host, name: str) -> Iterator[_Timed]:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\x00"
    question = labels + struct.pack("!HH", 1, 1)
    query = struct.pack("!HHHHHH", 0x1D0E, 0x0100, 1, 0, 0, 0) + question
    answer = struct.pack("!HHHIH4s", 0xC00C, 1, 1, 300, 4, IPv4Address("192.0.2.123").packed)
    response = struct.pack("!HHHHHH", 0x1D0E, 0x8180, 1, 1, 0, 0) + question + answer
    yield 60, _ethernet(router.mac, device.mac, 0x0800, _udp(device.address, router.address, 51514, 53, query))
    yield 18, _ethernet(device.mac, router.mac, 0x0800, _udp(router.address, device.address, 53, 51514, response))


def _logs_in(person: Host, device: Host, password: str) -> Iterator[_Timed]:
    """A whole Telnet session: handshake, options, login, a command, and the end."""
    yield 2500, _arp(1, person, Host(bytes(6), device.address))
    yield 1, _arp(2, device, person)
    sequence = {person: 0x1000_0000, device: 0x2000_0000}

    def segment(sender: Host, flags: int, payload: bytes = b"") -> bytes:
        receiver = device if sender is person else person
        source, target = (49872, TELNET) if sender is person else (TELNET, 49872)
        acknowledged = sequence[receiver] if flags & ACK else 0
        data = _tcp(sender.address, receiver.address, source, target, sequence[sender], acknowledged, flags, payload)
        sequence[sender] += len(payload) + (1 if flags & (SYN | FIN) else 0)
        return _ethernet(receiver.mac, sender.mac, 0x0800, data)

    yield 2, segment(person, SYN)
    yield 1, segment(device, SYN | ACK)
    yield 1, segment(person, ACK)
    says: list[tuple[int, Host, bytes]] = [
        (12, device, bytes([IAC, DO, SUPPRESS_GO_AHEAD, IAC, WILL, ECHO, IAC, WILL, SUPPRESS_GO_AHEAD])),
        (4, person, bytes([IAC, WILL, SUPPRESS_GO_AHEAD, IAC, DO, ECHO, IAC, DO, SUPPRESS_GO_AHEAD])),
        (25, device, f"\r\n{device.name} login: ".encode()),
        (1900, person, b"root\r\n"),
        (6, device, b"root\r\nPassword: "),
        (2300, person, f"{password}\r\n".encode()),
        (180, device, b"\r\n\r\nBusyBox v1.31.1 built-in shell (ash)\r\n# "),
        (1400, person, b"cat /proc/version\r\n"),
        (9, device, b"cat /proc/version\r\nLinux version 4.9.37 (build@maker) armv7l\r\n# "),
        (2100, person, b"exit\r\n"),
    ]
    for pause_ms, sender, payload in says:
        yield pause_ms, segment(sender, PSH | ACK, payload)
        yield 1, segment(device if sender is person else person, ACK)
    yield 5, segment(device, FIN | ACK)
    yield 1, segment(person, FIN | ACK)
    yield 1, segment(device, ACK)


def _ethernet(target: bytes, source: bytes, kind: int, payload: bytes) -> bytes:
    """Padded to the least that goes over a wire (60 bytes without the check sequence)."""
    return (target + source + struct.pack("!H", kind) + payload).ljust(60, b"\x00")


def _arp(operation: int, sender: Host, target: Host) -> bytes:
    body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation)
    body += sender.mac + sender.address.packed + target.mac + target.address.packed
    return _ethernet(BROADCAST if operation == 1 else target.mac, sender.mac, 0x0806, body)


def _ipv4(source: IPv4Address, target: IPv4Address, protocol: int, payload: bytes) -> bytes:
    def header(checksum: int) -> bytes:
        length = 20 + len(payload)
        return struct.pack(
            "!BBHHHBBH4s4s", 0x45, 0, length, 0, 0x4000, 64, protocol, checksum, source.packed, target.packed
        )

    return header(_checksum(header(0))) + payload


def _udp(source: IPv4Address, target: IPv4Address, source_port: int, target_port: int, payload: bytes) -> bytes:
    length = 8 + len(payload)
    pseudo = source.packed + target.packed + struct.pack("!BBH", 0, UDP, length)
    ports = struct.pack("!HHH", source_port, target_port, length)
    checksum = _checksum(pseudo + ports + b"\x00\x00" + payload) or 0xFFFF
    return _ipv4(source, target, UDP, ports + struct.pack("!H", checksum) + payload)


def _tcp(
    source: IPv4Address,
    target: IPv4Address,
    source_port: int,
    target_port: int,
    sequence: int,
    acknowledged: int,
    flags: int,
    payload: bytes,
) -> bytes:
    def header(checksum: int) -> bytes:
        fields = (source_port, target_port, sequence, acknowledged, 5 << 4, flags, 64240, checksum, 0)
        return struct.pack("!HHIIBBHHH", *fields)

    pseudo = source.packed + target.packed + struct.pack("!BBH", 0, TCP, 20 + len(payload))
    return _ipv4(source, target, TCP, header(_checksum(pseudo + header(0) + payload)) + payload)


def _checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    padded = data + b"\x00" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
