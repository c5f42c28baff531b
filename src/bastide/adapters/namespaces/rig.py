"""Device, gateway and peers, each in a namespace, joined by veth and routed; probes are real packets between them.

    device ──veth── gateway ──veth── peers (every peer's address is on its loopback)

Groups, broadcasts and the gateway's own addresses are heard on the gateway. A probe has passed when its TCP connection
stands, or its datagram or message is received where it was meant to go. Probes of which one could pass for the answer
to another go in different rounds, and connection tracking forgets everything between rounds.
"""

import asyncio
import socket
import struct
from collections.abc import Iterable, Sequence

from bastide.adapters.namespaces.exchange import Exchange
from bastide.adapters.namespaces.namespace import Namespace
from bastide.core.error import Unavailable
from bastide.network.segmentation.proof.interpret import Packet
from bastide.network.segmentation.proof.probes import DEVICE, GATEWAY, Probe

_LINK = (("10.253.0.1", "10.253.0.2", 30), ("fd00:253::1", "fd00:253::2", 64))
_PREFIX = (24, 64)
_GATEWAY_SETTINGS = {
    "net.ipv4.ip_forward": 1,
    "net.ipv6.conf.all.forwarding": 1,
    "net.ipv4.conf.all.rp_filter": 0,
    "net.ipv4.conf.default.rp_filter": 0,
}
_FLUSH = struct.pack("=IHHIIBBH", 20, (1 << 8) | 2, 1 | 4, 1, 0, 0, 0, 0)
"""ctnetlink: IPCTNL_MSG_CT_DELETE without a tuple, which is all of them; request and acknowledge."""


class Rig:
    """Open from the start until ``close``; the kernel removes it when the process ends in any other way."""

    def __init__(self, probes: Sequence[Probe]) -> None:
        self._open: list[Namespace] = []
        try:
            self.device, self.gateway, self.peers = (self._namespace(one) for one in ("device", "gateway", "peers"))
            self._join()
            self._address(probes)
        except BaseException:
            self.close()
            raise

    def command(self, arguments: list[str], text: str) -> str:
        """Runs a program on the gateway."""
        return self.gateway.command(arguments, text)

    async def send(self, probes: Sequence[Probe]) -> frozenset[int]:
        """Sends all probes and says which arrived. What should have arrived and did not is sent once more, alone: a
        loaded machine must not look like a rule."""
        return await asyncio.to_thread(self._send, probes)

    def close(self) -> None:
        while self._open:
            self._open.pop().close()

    def _send(self, probes: Sequence[Probe]) -> frozenset[int]:
        arrived: set[int] = set()
        for part in rounds(probes):
            arrived |= self._round(part)
        missing = [probe for probe in probes if probe.allowed and probe.number not in arrived]
        for part in rounds(missing):
            arrived |= self._round(part)
        return frozenset(arrived)

    def _round(self, probes: Sequence[Probe]) -> set[int]:
        self.gateway.run(_forget_connections)
        with Exchange(self.device, self.gateway, self.peers) as exchange:
            return exchange.run(probes)

    def _namespace(self, name: str) -> Namespace:
        made = Namespace(name)
        self._open.append(made)
        # Nobody else can hold these addresses: do not wait a second to find that out.
        for one in ("all", "default"):
            made.set(f"net.ipv6.conf.{one}.accept_dad", 0)
        return made

    def _join(self) -> None:
        for inner, outer, other in (("lan", "eth0", self.device), ("wan", "eth0", self.peers)):
            self.gateway.command(["ip", "link", "add", inner, "type", "veth", "peer", "name", "up0"])
            self.gateway.command(["ip", "link", "set", "up0", "netns", str(other.tid)])
            other.command(["ip", "link", "set", "up0", "name", outer])
        self.device.command(["ip", "link", "set", "eth0", "address", DEVICE.mac])
        for name, value in _GATEWAY_SETTINGS.items():
            self.gateway.set(name, value)

    def _address(self, probes: Iterable[Probe]) -> None:
        device, gateway, peers = [], [], []
        for at, prefix in enumerate(_PREFIX):
            near, far, length = _LINK[at]
            nodad = " nodad" if at else ""
            gateway.append(f"addr add {GATEWAY[at]}/{prefix} dev lan{nodad}")
            gateway.append(f"addr add {near}/{length} dev wan{nodad}")
            device.append(f"addr add {DEVICE.addresses[at]}/{prefix} dev eth0{nodad}")
            peers.append(f"addr add {far}/{length} dev eth0{nodad}")
        for made, links in ((gateway, ("lan", "wan")), (device, ("eth0",)), (peers, ("eth0",))):
            made += [f"link set {one} up" for one in links]
        for at in range(2):
            near, far, _ = _LINK[at]
            flag = "-6 " if at else ""
            gateway.append(f"{flag}route add default via {far}")
            device.append(f"{flag}route add default via {GATEWAY[at]}")
            peers.append(f"{flag}route add default via {near}")
        taken = {*GATEWAY, *DEVICE.addresses}
        for address in sorted({str(one.packet.peer) for one in probes if one.packet.peer not in taken}):
            if not is_group(address):
                peers.append(f"addr add {address}{'/128 dev lo nodad' if ':' in address else '/32 dev lo'}")
        for one, lines in ((self.gateway, gateway), (self.device, device), (self.peers, peers)):
            for flag in ("-4", "-6"):
                mine = [line.removeprefix("-6 ") for line in lines if (":" in line) == (flag == "-6")]
                one.command(["ip", flag, "-batch", "-"], "\n".join(mine) + "\n")


def rounds(probes: Sequence[Probe]) -> list[list[Probe]]:
    """Probes in parts, none of which holds two that connection tracking would take for one connection."""
    made: list[dict[object, Probe]] = []
    for probe in probes:
        key = _connection(probe)
        part = next((one for one in made if key not in one), None)
        if part is None:
            part = {}
            made.append(part)
        part[key] = probe
    return [list(part.values()) for part in made]


def _connection(probe: Probe) -> object:
    packet: Packet = probe.packet
    if packet.protocol in (socket.IPPROTO_ICMP, socket.IPPROTO_ICMPV6):
        return probe.number  # each has an identifier of its own
    ends = {(packet.source, packet.source_port), (packet.destination, packet.destination_port)}
    return packet.protocol, frozenset(ends)


def is_group(address: str) -> bool:
    """A multicast group or the limited broadcast."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    octets = socket.inet_pton(family, address)
    return octets[0] == 0xFF if family == socket.AF_INET6 else 224 <= octets[0] < 240 or octets == b"\xff" * 4


def _forget_connections() -> None:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as netlink:
        netlink.bind((0, 0))
        netlink.send(_FLUSH)
        answer = netlink.recv(4096)
    status = struct.unpack("=i", answer[16:20])[0]
    if status:
        raise Unavailable(f"Connection tracking cannot be emptied (error {-status}).")
