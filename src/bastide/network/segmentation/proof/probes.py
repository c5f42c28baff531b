"""Probes for a profile: for each entry one that it should let through, and near misses that should not get through.

A near miss changes one thing of a permitted packet: the port, the peer, the protocol, the side that opens, the ICMP
type. Each is given to the interpreter, which alone says what must become of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address, ip_address

from bastide.network.profile.mud.words import (
    DNS_CONTROLLER,
    GATEWAY_CONTROLLER,
    ICMP,
    ICMPV6,
    NTP_CONTROLLER,
    TCP,
    UDP,
    Entry,
    Kind,
    ListType,
    MUDFile,
    Network,
    Peers,
    Ports,
    Side,
)
from bastide.network.segmentation.proof.interpret import Packet, rule_on
from bastide.network.segmentation.site import Address, Site, SiteDevice

MAX_PROBES = 4000
GATEWAY = (ip_address("10.255.0.1"), ip_address("fd00:255::1"))
DEVICE = SiteDevice("device", (ip_address("10.255.0.2"), ip_address("fd00:255::2")), "02:ba:57:1d:e0:02")
OUTSIDERS = (ip_address("198.51.100.99"), ip_address("2001:db8:ffff::99"))
LOCALS = (ip_address("192.168.77.7"), ip_address("fd00:77::7"))
_TELNET = 23
_EPHEMERAL = 20_000
_UNSENDABLE = {
    4: {0, 33, 58, 132, 136, 255},
    6: {0, 1, 33, 43, 44, 50, 51, 59, 60, 132, 135, 136, 255},
}
"""Extension headers, which the kernel makes itself; the other version's ICMP; and DCCP, SCTP and UDP-Lite, whose headers
connection tracking checks: no probe here makes them."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One packet that is sent, what must become of it, and why."""

    number: int
    packet: Packet
    allowed: bool
    because: str
    about: str


@dataclass(frozen=True, slots=True)
class Trial:
    """A made-up site around one device, the probes that are sent in it, and what could not be tried and why."""

    profile: MUDFile
    site: Site
    probes: tuple[Probe, ...]
    untried: tuple[str, ...]


def derive(profile: MUDFile) -> Trial:
    """Everything that is tried for a profile; the same profile gives the same trial."""
    site = _made_up(profile)
    wanted: dict[Packet, str] = {}
    untried: list[str] = []
    for side in Side:
        for acl in profile.policy(side):
            for entry in acl.entries:
                found = [one for one in _for_entry(entry, acl.type, side, site, profile) if _sendable(one)]
                if not found:
                    untried.append(f"{entry.name}: {_why_not(entry, acl.type)}")
                for packet in found:
                    for near in (packet, *_near_misses(packet)):
                        wanted.setdefault(near, f"{entry.name}")
    for packet in _always():
        wanted.setdefault(packet, "every device")
    probes: list[Probe] = []
    for packet, about in wanted.items():
        if _sendable(packet):
            packet = _own_port(packet, len(probes))
            ruling = rule_on(packet, profile, site, DEVICE.addresses)
            probes.append(Probe(len(probes), packet, ruling.allowed, ruling.because, about))
    if len(probes) > MAX_PROBES:
        untried.append(f"{len(probes) - MAX_PROBES} of {len(probes)} probes: more than {MAX_PROBES}")
    return Trial(profile, site, tuple(probes[:MAX_PROBES]), tuple(untried))


def _own_port(packet: Packet, number: int) -> Packet:
    """Where a source port is free, each probe gets its own, so that no probe is the answer to another."""
    if packet.protocol in (TCP, UDP) and packet.source_port == _EPHEMERAL:
        return replace(packet, source_port=_EPHEMERAL + 1 + number)
    return packet


def _made_up(profile: MUDFile) -> Site:
    """Each name and class gets addresses of its own; the controller ``gateway`` is the gateway itself."""
    names: dict[str, tuple[Address, ...]] = {}
    classes: dict[Peers, tuple[Address, ...]] = {
        Peers(Kind.CONTROLLER, GATEWAY_CONTROLLER): GATEWAY,
        Peers(Kind.CONTROLLER, DNS_CONTROLLER): _place("10.252.0.0", "fd00:252::", 53),
        Peers(Kind.CONTROLLER, NTP_CONTROLLER): _place("10.252.0.0", "fd00:252::", 123),
    }
    place = 0
    for side in Side:
        for acl in profile.policy(side):
            for entry in acl.entries:
                for name in (entry.source_name, entry.destination_name):
                    if name and name not in names:
                        place += 1
                        names[name] = _place("198.18.0.0", "2001:db8:1::", place)
                for peers in entry.peers:
                    key = peers
                    if peers.kind is Kind.SAME_MANUFACTURER:
                        key = Peers(Kind.MANUFACTURER, profile.authority)
                    if key not in classes and key.kind is not Kind.LOCAL_NETWORKS:
                        place += 1
                        classes[key] = _place("10.254.0.0", "fd00:254::", place)
    return Site(peers=classes, names=names)


def _place(four: str, six: str, place: int) -> tuple[Address, ...]:
    return (IPv4Address(int(IPv4Address(four)) + place), IPv6Address(int(IPv6Address(six)) + place))


def _for_entry(entry: Entry, of: ListType, side: Side, site: Site, profile: MUDFile) -> Iterator[Packet]:
    if of is ListType.ETHERNET:
        return
    for version in (entry.version,) if entry.version else (4, 6):
        mine = DEVICE.addresses[0 if version == 4 else 1]
        peer = _peer(entry, version, side, site, profile)
        if peer is None or (peer.is_multicast and side is Side.TO_DEVICE):
            continue
        source, destination = (mine, peer) if side is Side.FROM_DEVICE else (peer, mine)
        protocols = (entry.protocol,) if entry.protocol is not None else (TCP, UDP)
        for protocol in protocols:
            packet = Packet(side, source, destination, protocol)
            if protocol in (TCP, UDP):
                packet = replace(
                    packet,
                    source_port=_port(entry.source_ports, _EPHEMERAL),
                    destination_port=_port(entry.destination_ports, 33_333),
                )
            elif protocol in (ICMP, ICMPV6):
                asked = 8 if protocol == ICMP else 128
                type_ = entry.icmp.type if entry.icmp and entry.icmp.type is not None else asked
                packet = replace(packet, icmp_type=type_, icmp_code=(entry.icmp and entry.icmp.code) or 0)
            yield packet


def _peer(entry: Entry, version: int, side: Side, site: Site, profile: MUDFile) -> Address | None:
    """An address that holds every match of the entry, or None where there is none to be found."""
    at = 0 if version == 4 else 1
    network, name = (
        (entry.destination, entry.destination_name) if side is Side.FROM_DEVICE else (entry.source, entry.source_name)
    )
    if name:
        return next((one for one in site.names[name] if one.version == version), None)
    if network is not None:
        return _within(network)
    for peers in entry.peers:
        if peers.kind is Kind.LOCAL_NETWORKS:
            return LOCALS[at]
        key = Peers(Kind.MANUFACTURER, profile.authority) if peers.kind is Kind.SAME_MANUFACTURER else peers
        return site.peers[key][at]
    return OUTSIDERS[at]


def _within(network: Network) -> Address | None:
    """An address of the network that a host can have, or a group."""
    if network.is_multicast and network.prefixlen < network.max_prefixlen:
        return ip_address("ff02::ba5") if network.version == 6 else ip_address("239.7.7.7")
    room = 2 ** (network.max_prefixlen - network.prefixlen)
    first = network[min(room - 1, 7)] if room > 1 else network[0]
    if first.is_multicast or str(first) == "255.255.255.255":
        return first
    if first.is_unspecified or first.is_loopback or first.is_link_local or first in (*GATEWAY, *DEVICE.addresses):
        return None
    return first


def _port(ports: Ports | None, free: int) -> int:
    if ports is None:
        return free
    if ports.negated:
        return free if free != ports.low else free + 1
    return max(ports.low, 1) if ports.high else 0


def _near_misses(packet: Packet) -> Iterator[Packet]:
    at = 0 if packet.source.version == 4 else 1
    far = "destination" if packet.side is Side.FROM_DEVICE else "source"
    yield replace(packet, **{far: OUTSIDERS[at]})  # type: ignore[arg-type]
    yield replace(packet, **{far: LOCALS[at]})  # type: ignore[arg-type]
    if packet.protocol in (TCP, UDP):
        yield replace(packet, destination_port=packet.destination_port % 65535 + 1)
        if packet.source_port != _EPHEMERAL:
            yield replace(packet, source_port=packet.source_port % 65535 + 1)
        yield replace(packet, protocol=UDP if packet.protocol == TCP else TCP)
        # Who may not open: the same two ends, opened from the other one.
        yield replace(
            packet,
            side=Side.TO_DEVICE if packet.side is Side.FROM_DEVICE else Side.FROM_DEVICE,
            source=packet.destination,
            destination=packet.source,
            source_port=packet.destination_port,
            destination_port=packet.source_port if packet.source_port != _EPHEMERAL else 33_333,
        )
    if packet.protocol in (ICMP, ICMPV6):
        asks, answers = (8, 0) if packet.protocol == ICMP else (128, 129)
        for type_ in (asks, answers, 13 if packet.protocol == ICMP else 127):
            yield replace(packet, icmp_type=type_)
        yield replace(packet, icmp_code=(packet.icmp_code + 1) % 256)


def _always() -> Iterator[Packet]:
    """What a taken-over device tries first, and what is tried on it: nothing of that is in any profile by chance."""
    for at in (0, 1):
        mine = DEVICE.addresses[at]
        servers = (_place("10.252.0.0", "fd00:252::", one)[at] for one in (53, 123))
        for peer in (OUTSIDERS[at], LOCALS[at], GATEWAY[at], *servers):
            for port in (22, _TELNET, 53, 123, 443):
                for protocol in (TCP, UDP):
                    yield Packet(Side.FROM_DEVICE, mine, peer, protocol, _EPHEMERAL, port)
                    if peer != GATEWAY[at]:
                        yield Packet(Side.TO_DEVICE, peer, mine, protocol, _EPHEMERAL, port)
            protocol, type_ = ((ICMP, 8), (ICMPV6, 128))[at]
            yield Packet(Side.FROM_DEVICE, mine, peer, protocol, icmp_type=type_)
            if peer != GATEWAY[at]:
                yield Packet(Side.TO_DEVICE, peer, mine, protocol, icmp_type=type_)


def _sendable(packet: Packet) -> bool:
    """What a host can send: not from a group, not TCP to one, no port 0, nothing that the gateway itself sends."""
    if packet.source.is_multicast or str(packet.source) == "255.255.255.255" or packet.source in GATEWAY:
        return False
    if packet.protocol in (TCP, UDP) and not (packet.source_port and packet.destination_port):
        return False
    group = packet.destination.is_multicast or str(packet.destination) == "255.255.255.255"
    if group and (packet.protocol == TCP or packet.side is Side.TO_DEVICE):
        return False
    return packet.protocol not in _UNSENDABLE[packet.source.version]


def _why_not(entry: Entry, of: ListType) -> str:
    if of is ListType.ETHERNET:
        return "a link-layer entry; nothing of it crosses a router"
    if entry.protocol in _UNSENDABLE[entry.version or 4]:
        return f"no probe is made for protocol {entry.protocol}"
    if any(one == Peers(Kind.CONTROLLER, GATEWAY_CONTROLLER) for one in entry.peers):
        return "what the gateway itself sends is not judged by it"
    return "no address that a peer could have holds all its matches"
