"""Netfilter's netlink (linux/netfilter/nfnetlink*.h), as far as a gateway needs it: connections that must be forgotten, the
number of the last change of rules, and packets that rules logged.
"""

import socket
import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from bastide.core.error import Unavailable

_NETFILTER = 12
_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300
_ERROR, _DONE = 2, 3
_CT_GET, _CT_DELETE = (1 << 8) | 1, (1 << 8) | 2
_GET_GENERATION = (10 << 8) | 16
_LOG_PACKET, _LOG_CONFIG = (4 << 8) | 0, (4 << 8) | 1
_TUPLE_ORIG, _TUPLE_REPLY, _CT_ZONE = 1, 2, 18
_TUPLE_IP = 1
_NESTED = 0x3FFF
_BUFFER = 1 << 18
_HEAD = struct.Struct("=IHHII")


@dataclass(frozen=True, slots=True)
class Logged:
    """A packet that a rule logged: the rule's prefix, the hardware it came from and the first octets from IP on."""

    prefix: str
    hardware: bytes
    payload: bytes


def _open() -> socket.socket:
    try:
        made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER)
        made.bind((0, 0))
        made.settimeout(10)
    except OSError as error:
        raise Unavailable(
            f"The kernel's netfilter cannot be asked: {error.strerror}.", code="nftables:netlink"
        ) from error
    return made


def _message(kind: int, flags: int, family: int, body: bytes = b"", resource: int = 0) -> bytes:
    content = struct.pack("!BBH", family, 0, resource) + body
    return _HEAD.pack(_HEAD.size + len(content), kind, _REQUEST | flags, 1, 0) + content


def _attribute(kind: int, content: bytes) -> bytes:
    padding = -len(content) % 4
    return struct.pack("=HH", 4 + len(content), kind) + content + b"\0" * padding


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(data):
        size, kind = struct.unpack_from("=HH", data, at)
        if size < 4 or at + size > len(data):
            return
        yield kind & _NESTED, data[at + 4 : at + size]
        at += (size + 3) & ~3


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + _HEAD.size <= len(data):
        size, kind, *_ = _HEAD.unpack_from(data, at)
        if size < _HEAD.size or at + size > len(data):
            return
        yield kind, data[at + _HEAD.size : at + size]
        at += (size + 3) & ~3


def _asked(netlink: socket.socket, request: bytes) -> Iterator[tuple[int, bytes]]:
    """The answers to a request, until its end; ``Unavailable`` where the kernel refuses it."""
    try:
        netlink.send(request)
        while True:
            for kind, content in _messages(netlink.recv(_BUFFER)):
                if kind == _DONE:
                    return
                if kind == _ERROR:
                    status = struct.unpack_from("=i", content)[0]
                    if status not in (0, -2):  # no such entry: it ended by itself meanwhile
                        raise Unavailable(f"Netfilter refused a request (error {-status}).", code="nftables:netlink")
                    return
                yield kind, content
    except OSError as error:
        raise Unavailable(f"Netfilter does not answer: {error.strerror or error}.", code="nftables:netlink") from error


class Netfilter:
    """One socket that stays open: the kernel waits some ten milliseconds for rules that go whenever one is closed."""

    def __init__(self) -> None:
        self._socket = _open()

    def __del__(self) -> None:
        self._socket.close()

    def forget_connections(self, addresses: Collection[bytes]) -> int:
        """Ends tracking of every connection of these (packed) addresses; gives how many there were."""
        doomed: list[tuple[int, bytes]] = []
        for size, family in ((4, socket.AF_INET), (16, socket.AF_INET6)):
            if not any(len(one) == size for one in addresses):
                continue
            for _, content in self._asked(_message(_CT_GET, _DUMP, family)):
                attributes = dict(_attributes(content[4:]))
                ends = {
                    end
                    for side in (_TUPLE_ORIG, _TUPLE_REPLY)
                    for kind, inner in _attributes(attributes.get(side, b""))
                    if kind == _TUPLE_IP
                    for _, end in _attributes(inner)
                }
                if not ends.isdisjoint(addresses):
                    body = _attribute(_TUPLE_ORIG | 0x8000, attributes[_TUPLE_ORIG])
                    if _CT_ZONE in attributes:
                        body += _attribute(_CT_ZONE, attributes[_CT_ZONE])
                    doomed.append((family, body))
        for of, body in doomed:
            for _ in self._asked(_message(_CT_DELETE, _ACK, of, body)):
                pass
        return len(doomed)

    def rules_generation(self) -> int:
        """How often the rules of this network namespace changed, by whomever."""
        for _, content in self._asked(_message(_GET_GENERATION, _ACK, socket.AF_UNSPEC)):
            for kind, value in _attributes(content[4:]):
                if kind == 1:
                    found = int(struct.unpack("!I", value[:4])[0])
        return found

    def _asked(self, request: bytes) -> Iterator[tuple[int, bytes]]:
        try:
            yield from list(_asked(self._socket, request))
        except Unavailable:
            # What is left of an answer must not be read as the next one.
            self._socket.close()
            self._socket = _open()
            raise


class LogReader:
    """Takes what rules log to a group (nflog)."""

    def __init__(self, group: int) -> None:
        self._socket = _open()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        command = _attribute(1, struct.pack("!B", 1))
        mode = _attribute(2, struct.pack("!IBB", 128, 2, 0))
        for body in (command, mode):
            for _ in _asked(self._socket, _message(_LOG_CONFIG, _ACK, socket.AF_UNSPEC, body, group)):
                pass
        self._socket.setblocking(False)

    def fileno(self) -> int:
        return self._socket.fileno()

    def take(self) -> list[Logged]:
        """What waits now. What overflows is lost; the rules' counters still counted it."""
        found: list[Logged] = []
        try:
            while len(found) < 4096:
                for kind, content in _messages(self._socket.recv(_BUFFER)):
                    if kind == _LOG_PACKET:
                        said = dict(_attributes(content[4:]))
                        prefix = said.get(10, b"").rstrip(b"\0").decode("ascii", "replace")
                        found.append(Logged(prefix, said.get(8, b"")[4:10], said.get(9, b"")))
        except OSError:
            pass  # nothing more now, or more than the buffer holds came at once
        return found
