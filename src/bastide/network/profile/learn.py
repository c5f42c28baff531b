"""From what was heard to a profile: the smallest MUD file (RFC 8520) that allows a kind of device what it was seen to do.

Generalised, so that it holds tomorrow and for other units: a peer that was looked up is its DNS name and not its address; name
servers are the controller ``urn:ietf:params:mud:dns``; hosts of this network are ``local-networks``; three and more ephemeral
ports of one peer are their range; a device that asks several time servers that nobody looked up asks a pool, whose members change
from day to day: then the entry is NTP to anybody. Who opens a TCP connection is kept (``direction-initiated``). What several
devices do is one entry.

Left out, and told: what nobody answered (a scan looks like that, and an allowance for silence helps nobody), what strangers from
outside opened, and what was seen less often than asked for. The confidence of an entry grows with its flows and with the devices
that do it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from bastide.network.profile.amend import PROTOCOLS, entry
from bastide.network.profile.mud.words import (
    DNS_CONTROLLER,
    ICMP,
    ICMPV6,
    TCP,
    UDP,
    AccessList,
    Entry,
    Kind,
    ListType,
    MUDFile,
    Peers,
    Ports,
    Side,
)
from bastide.network.segmentation.site import LOCAL_NETWORKS
from bastide.network.traffic.conversations import Talk

EPHEMERAL = 32_768
MANY_PORTS = 3
NTP = 123
SEVERAL = 3


@dataclass(frozen=True, slots=True)
class Peer:
    """What a peer is called in the profile: one of ``name``, ``network`` and ``peers`` is set."""

    name: str = ""
    network: str = ""
    peers: Peers | None = None

    def __str__(self) -> str:
        if self.peers is not None:
            return self.peers.name or self.peers.kind.value
        return self.name or self.network


ANYBODY = {4: Peer(network="0.0.0.0/0"), 6: Peer(network="::/0")}


@dataclass(frozen=True, slots=True)
class Learned:
    """One thing that devices do. ``flows`` and ``devices`` are the evidence, ``because`` why it was left out (else empty)."""

    peer: Peer
    version: int
    protocol: int
    ports: Ports | None
    opened_by_device: bool
    flows: int
    devices: int
    confidence: float
    because: str = ""

    def __str__(self) -> str:
        named = {TCP: "tcp", UDP: "udp", ICMP: "icmp", ICMPV6: "icmpv6"}[self.protocol]
        port = (
            ""
            if self.ports is None
            else f"/{self.ports.low}" + (f"-{self.ports.high}" if self.ports.high > self.ports.low else "")
        )
        return f"{'to' if self.opened_by_device else 'from'} {self.peer} {named}{port}"


@dataclass(frozen=True, slots=True)
class Lesson:
    """``kept`` makes the profile; ``left_out`` does not, and says why."""

    kept: tuple[Learned, ...]
    left_out: tuple[Learned, ...]


def learn(heard: Iterable[Talk], *, at_least: int = 1) -> Lesson:
    """What the devices that ``heard`` is about do. ``at_least`` is how many flows an entry must have been seen in."""
    seen: dict[tuple[Peer, int, int, bool], dict[int, list[Talk]]] = {}
    heard = list(heard)
    pools = _pools(heard)
    for talk in heard:
        protocol = PROTOCOLS.get(talk.transport)
        if protocol is None:
            continue
        if talk.protocol == "dhcp" and talk.port == 68 and not talk.opened_by_device:
            # The server's answer to a client that has no address yet: what the client does is ask (RFC 2131, 4.1).
            talk = talk._replace(port=67, opened_by_device=True)
        address = ip_address(talk.peer)
        peer = ANYBODY[address.version] if talk.peer in pools and talk.port == NTP else _peer(talk, address)
        key = (peer, address.version, protocol, talk.opened_by_device)
        seen.setdefault(key, {}).setdefault(talk.port, []).append(talk)
    kept: list[Learned] = []
    left_out: list[Learned] = []
    for (peer, version, protocol, opened), by_port in seen.items():
        for ports, talks in _ranges(protocol, by_port):
            flows, devices = sum(talk.flows for talk in talks), len({talk.mac for talk in talks})
            because = _doubt(peer, protocol, opened, talks) or (
                f"seen in {flows} flow{'' if flows == 1 else 's'} only" if flows < at_least else ""
            )
            confidence = round(1 - 1 / (1 + flows * devices), 3)
            one = Learned(peer, version, protocol, ports, opened, flows, devices, confidence, because)
            (left_out if because else kept).append(one)

    def order(one: Learned) -> tuple[object, ...]:
        return not one.opened_by_device, str(one.peer), one.version, one.protocol, one.ports.low if one.ports else 0

    return Lesson(tuple(sorted(kept, key=order)), tuple(sorted(left_out, key=order)))


def _pools(heard: Iterable[Talk]) -> frozenset[str]:
    """Time servers outside this network that nobody looked up, where there are several."""
    asked = {
        talk.peer
        for talk in heard
        if talk.opened_by_device and talk.transport == "udp" and talk.port == NTP and not talk.peer_name
    }
    outside = {
        peer
        for peer in asked
        if not any(
            ip_address(peer) in network for network in LOCAL_NETWORKS if network.version == ip_address(peer).version
        )
    }
    return frozenset(outside) if len(outside) >= SEVERAL else frozenset()


def _peer(talk: Talk, address: IPv4Address | IPv6Address) -> Peer:
    if talk.opened_by_device and talk.port == 53 and talk.protocol in ("dns", "udp", "tcp"):
        return Peer(peers=Peers(Kind.CONTROLLER, DNS_CONTROLLER))
    if address.is_multicast or address == IPv4Address(0xFFFFFFFF):
        return Peer(network=str(ip_network(address)))
    if any(address in network for network in LOCAL_NETWORKS if network.version == address.version):
        return Peer(peers=Peers(Kind.LOCAL_NETWORKS))
    return Peer(name=talk.peer_name) if talk.peer_name else Peer(network=str(ip_network(address)))


def _ranges(protocol: int, by_port: dict[int, list[Talk]]) -> Iterator[tuple[Ports | None, list[Talk]]]:
    if protocol not in (TCP, UDP):
        yield None, [talk for talks in by_port.values() for talk in talks]
        return
    high = [port for port in by_port if port >= EPHEMERAL]
    if len(high) >= MANY_PORTS:
        yield Ports(EPHEMERAL, 65_535), [talk for port in high for talk in by_port.pop(port)]
    for port, talks in sorted(by_port.items()):
        yield Ports(port, port), talks


def _doubt(peer: Peer, protocol: int, opened: bool, talks: list[Talk]) -> str:
    multicast = bool(peer.network) and ip_network(peer.network).is_multicast
    broadcast = peer.network == "255.255.255.255/32"
    if protocol == TCP and not all(
        any(counts) for counts in zip(*((t.packets_sent, t.packets_received) for t in talks), strict=True)
    ):
        return "nobody answered"
    if protocol == UDP and opened and not (multicast or broadcast) and not any(talk.packets_received for talk in talks):
        return "nobody answered"
    if not opened and peer.peers is None and not (multicast or broadcast):
        return "opened from outside this network"
    return ""


def profile(lesson: Lesson, *, url: str, at: datetime, systeminfo: str) -> MUDFile:
    """The MUD file of what was kept."""
    lists: dict[Side, list[AccessList]] = {Side.FROM_DEVICE: [], Side.TO_DEVICE: []}
    for version, kind in ((4, ListType.IPV4), (6, ListType.IPV6)):
        ours = [one for one in lesson.kept if one.version == version]
        for side, letters in ((Side.FROM_DEVICE, "fr"), (Side.TO_DEVICE, "to")):
            entries = tuple(_entry(f"{letters}{version}-{place}", one, side) for place, one in enumerate(ours))
            if entries:
                lists[side].append(AccessList(f"learned-{letters}-v{version}", kind, entries))
    return MUDFile(
        url=url,
        last_update=at,
        is_supported=True,
        from_device=tuple(lists[Side.FROM_DEVICE]),
        to_device=tuple(lists[Side.TO_DEVICE]),
        systeminfo=systeminfo,
    )


def _entry(name: str, one: Learned, side: Side) -> Entry:
    peer = one.peer.peers or one.peer.name or ip_network(one.peer.network)
    return entry(name, one.version, one.protocol, one.ports, one.opened_by_device, side, peer)
