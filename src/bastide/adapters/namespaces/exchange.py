"""One round of probes: sockets at both ends of each, everything sent at once, then what arrives until it is quiet."""

import contextlib
import selectors
import socket
import struct
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from bastide.adapters.namespaces.namespace import Namespace
from bastide.network.profile.mud.words import Side
from bastide.network.segmentation.proof.interpret import Packet
from bastide.network.segmentation.proof.probes import DEVICE, GATEWAY, Probe

_DEADLINE_SECONDS = 4.0
_QUIET_SECONDS = 0.4
"""How long after the last permitted probe a forbidden one may still show itself; a veth takes microseconds."""
_MARK = b"bastide-probe:"
_TCP, _UDP, _ICMP, _ICMPV6 = 6, 17, 1, 58
_Key = tuple[str, int, str, int]


class Exchange:
    """The sockets of one round; they are closed with a reset when it ends."""

    def __init__(self, device: Namespace, gateway: Namespace, peers: Namespace) -> None:
        self._device, self._gateway, self._peers = device, gateway, peers
        self._selector = selectors.DefaultSelector()
        self._open: list[socket.socket] = []
        self._bound: dict[_Key, socket.socket] = {}
        self._arrived: set[int] = set()
        self._indexes: dict[str, int] = {}

    def __enter__(self) -> "Exchange":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._selector.close()
        for one in self._open:
            one.close()

    def run(self, probes: Sequence[Probe]) -> set[int]:
        """The numbers of the probes that arrived."""
        self._probes = {probe.number: probe for probe in probes}
        for probe in probes:
            self._listen(probe.packet)
        for probe in probes:
            self._launch(probe)
        awaited = {probe.number for probe in probes if probe.allowed}
        end = time.monotonic() + _DEADLINE_SECONDS
        quiet_since = time.monotonic()
        while (now := time.monotonic()) < end:
            if awaited <= self._arrived and now - quiet_since > _QUIET_SECONDS:
                break
            before = len(self._arrived)
            for key, _ in self._selector.select(0.1):
                self._ready(key)
            if len(self._arrived) != before:
                quiet_since = time.monotonic()
        return self._arrived

    def _listen(self, packet: Packet) -> None:
        where, address = self._receiver(packet), str(packet.destination)
        if packet.protocol == _TCP:
            key = (where.name, _TCP, address, packet.destination_port)
            if key not in self._bound:
                made = self._make(where, packet, socket.SOCK_STREAM, 0, address, packet.destination_port)
                made.listen(512)
                self._bound[key] = made
                self._watch(made, ("listener", where.name, _TCP))
        elif packet.protocol == _UDP:
            self._datagrams(where, packet, address, packet.destination_port)
        else:
            heard = self._raw(where, packet, "", receives=True)
            if _is_group(packet):
                with contextlib.suppress(OSError):  # joined already for another probe
                    self._join(heard, where, packet)

    def _launch(self, probe: Probe) -> None:
        packet = probe.packet
        where = self._sender(packet)
        target = self._target(where, packet)
        content = _MARK + struct.pack("!I", probe.number)
        source = str(packet.source)
        if packet.protocol == _TCP:
            made = self._make(where, packet, socket.SOCK_STREAM, 0, source, packet.source_port)
            with contextlib.suppress(BlockingIOError):
                made.connect(target)
            self._selector.register(made, selectors.EVENT_WRITE, ("client", where.name, probe.number))
        elif packet.protocol == _UDP:
            sender = self._datagrams(where, packet, source, packet.source_port)
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            self._to(sender, content, target)
        else:
            sender = self._raw(where, packet, source, receives=False)
            if packet.protocol in (_ICMP, _ICMPV6):
                head = struct.pack("!BBHHH", packet.icmp_type, packet.icmp_code, 0, probe.number & 0xFFFF, 1)
                if packet.protocol == _ICMP:
                    head = head[:2] + struct.pack("!H", _checksum(head + content)) + head[4:]
                content = head + content
            else:
                # Nothing that connection tracking could take for a broken header (GRE: version 0).
                content = bytes(16) + content
            self._to(sender, content, (target[0], 0, *target[2:]))

    @staticmethod
    def _to(sender: socket.socket, content: bytes, target: Any) -> None:
        # An earlier refusal shows on the next send; the probe itself is then sent again.
        with contextlib.suppress(ConnectionRefusedError, BlockingIOError):
            sender.sendto(content, target)
            return
        with contextlib.suppress(ConnectionRefusedError, BlockingIOError):
            sender.sendto(content, target)

    def _ready(self, key: selectors.SelectorKey) -> None:
        kind, where, what = key.data
        ready: Any = key.fileobj
        if kind == "client":
            if ready.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                self._arrived.add(what)
            self._selector.unregister(ready)
        elif kind == "listener":
            with contextlib.suppress(BlockingIOError):
                while True:
                    self._open.append(ready.accept()[0])
        else:
            with contextlib.suppress(BlockingIOError, ConnectionError):
                while True:
                    self._take(ready.recv(2048), where, what)

    def _take(self, content: bytes, where: str, protocol: int) -> None:
        at = content.rfind(_MARK)
        if at < 0 or len(content) != at + len(_MARK) + 4:
            return
        probe = self._probes.get(struct.unpack("!I", content[-4:])[0])
        if probe is None or probe.packet.protocol != protocol or self._receiver(probe.packet).name != where:
            return  # an answer that carries the probe back, or an error that quotes it
        self._arrived.add(probe.number)

    def _datagrams(self, where: Namespace, packet: Packet, address: str, port: int) -> socket.socket:
        key = (where.name, _UDP, address, port)
        if key not in self._bound:
            made = self._make(where, packet, socket.SOCK_DGRAM, 0, address, port)
            self._bound[key] = made
            self._watch(made, ("datagrams", where.name, _UDP))
            if address == str(packet.destination) and _is_group(packet) and packet.destination.is_multicast:
                self._join(made, where, packet)
        return self._bound[key]

    def _raw(self, where: Namespace, packet: Packet, source: str, *, receives: bool) -> socket.socket:
        version = packet.source.version
        key = (where.name, packet.protocol + 1000 * version, source, int(receives))
        if key not in self._bound:
            self._bound[key] = made = self._make(where, packet, socket.SOCK_RAW, packet.protocol, source, 0)
            if receives:
                self._watch(made, ("raw", where.name, packet.protocol))
        return self._bound[key]

    def _make(
        self, where: Namespace, packet: Packet, kind: int, protocol: int, address: str, port: int
    ) -> socket.socket:
        family = socket.AF_INET if packet.source.version == 4 else socket.AF_INET6
        made = where.run(lambda: socket.socket(family, kind, protocol))
        self._open.append(made)
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if kind == socket.SOCK_STREAM:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            # A reset instead of a farewell: nothing of this round may travel in the next one.
            made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if address:
            scope = self._index(where) if address.lower().startswith("ff") else 0
            made.bind((address, port) if family == socket.AF_INET else (address, port, 0, scope))
        return made

    def _join(self, heard: socket.socket, where: Namespace, packet: Packet) -> None:
        group, index = packet.destination.packed, self._index(where)
        if packet.source.version == 6:
            heard.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group + struct.pack("@I", index))
        elif packet.destination.is_multicast:
            request = group + b"\0" * 4 + struct.pack("@i", index)
            heard.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)

    def _watch(self, made: socket.socket, data: tuple[str, str, int]) -> None:
        self._selector.register(made, selectors.EVENT_READ, data)

    def _target(self, where: Namespace, packet: Packet) -> tuple[Any, ...]:
        if packet.source.version == 4:
            return (str(packet.destination), packet.destination_port)
        scope = self._index(where) if packet.destination.is_multicast else 0
        return (str(packet.destination), packet.destination_port, 0, scope)

    def _index(self, where: Namespace) -> int:
        """The interface towards the device, or the device's own."""
        if where.name not in self._indexes:
            name = "lan" if where is self._gateway else "eth0"
            self._indexes[where.name] = where.run(lambda: socket.if_nametoindex(name))
        return self._indexes[where.name]

    def _sender(self, packet: Packet) -> Namespace:
        return self._device if packet.side is Side.FROM_DEVICE else self._peers

    def _receiver(self, packet: Packet) -> Namespace:
        if packet.destination in DEVICE.addresses:
            return self._device
        return self._gateway if packet.destination in GATEWAY or _is_group(packet) else self._peers


def _is_group(packet: Packet) -> bool:
    return packet.destination.is_multicast or str(packet.destination) == "255.255.255.255"


def _checksum(content: bytes) -> int:
    """RFC 1071."""
    if len(content) % 2:
        content += b"\0"
    total: int = sum(struct.unpack(f"!{len(content) // 2}H", content))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
