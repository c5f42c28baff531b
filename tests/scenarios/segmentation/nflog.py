"""Listens to a log group of nftables (nfnetlink_log) in a namespace, as a log daemon would."""

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address

from bastide.adapters.namespaces.namespace import Namespace

_NETFILTER = 12
_CONFIG, _PACKET = (4 << 8) | 1, 4 << 8
_CMD, _MODE, _THRESHOLD = 1, 2, 5
_PAYLOAD, _PREFIX = 9, 10


@contextmanager
def listening(where: Namespace, group: int) -> Iterator[socket.socket]:
    """A socket that gets each packet logged to the group, at once and with 64 octets of it."""
    log = where.run(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER))
    with log:
        log.bind((0, 0))
        log.settimeout(5)
        for kind, value in (
            (_CMD, b"\x01"),
            (_MODE, struct.pack("!IBB", 64, 2, 0)),
            (_THRESHOLD, struct.pack("!I", 1)),
        ):
            attribute = struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)
            content = struct.pack("=BB", 0, 0) + struct.pack("!H", group) + attribute
            log.send(struct.pack("=IHHII", 16 + len(content), _CONFIG, 1 | 4, 1, 0) + content)
            status = struct.unpack("=i", log.recv(4096)[16:20])[0]
            assert status == 0, f"the log group cannot be bound (error {-status})"
        yield log


def read_log(log: socket.socket, count: int) -> set[tuple[str, IPv4Address, IPv4Address]]:
    """Prefix, source and destination of the next ``count`` packets (IPv4)."""
    found: set[tuple[str, IPv4Address, IPv4Address]] = set()
    while count:
        octets = log.recv(65536)
        while octets:
            length, kind = struct.unpack("=IH", octets[:6])
            if kind == _PACKET:
                attributes = dict(_attributes(octets[20:length]))
                payload = attributes[_PAYLOAD]
                prefix = attributes[_PREFIX].rstrip(b"\0").decode().strip()
                found.add((prefix, IPv4Address(payload[12:16]), IPv4Address(payload[16:20])))
                count -= 1
            octets = octets[(length + 3) & ~3 :]
    return found


def _attributes(octets: bytes) -> Iterator[tuple[int, bytes]]:
    while len(octets) >= 4:
        length, kind = struct.unpack("=HH", octets[:4])
        yield kind & 0x3FFF, octets[4:length]
        octets = octets[(length + 3) & ~3 :]
