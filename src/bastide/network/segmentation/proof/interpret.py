"""What a profile says about one packet that opens something: the RFC read entry by entry, without rules of any firewall.

* The first entry of the packet's policy whose every match holds decides; none means denied (RFC 8520, section 4).
* Who opens TCP is the packet's side; an entry that names the other side speaks of answers only (section 8.4).
* An answer of ICMP, or an error, opens nothing (RFC 792, RFC 4443): unasked it is denied.
* Local DNS and NTP are permitted to the device (section 4), and so is the renewal of its lease with the gateway.
"""

from dataclasses import dataclass

from bastide.network.profile.mud.words import (
    DNS_CONTROLLER,
    GATEWAY_CONTROLLER,
    ICMP,
    ICMPV6,
    NTP_CONTROLLER,
    TCP,
    UDP,
    AccessList,
    Action,
    Entry,
    Kind,
    ListType,
    MUDFile,
    Peers,
    Side,
)
from bastide.network.segmentation.site import Address, Site

_ASKS = {ICMP: {8, 13, 15, 17}, ICMPV6: {128, *range(130, 133), 143}}
"""ICMP types that are no answer to anything."""


@dataclass(frozen=True, slots=True)
class Packet:
    """The first packet of something. ``source`` and ``destination`` are addresses of one version."""

    side: Side
    source: Address
    destination: Address
    protocol: int
    source_port: int = 0
    destination_port: int = 0
    icmp_type: int = 0
    icmp_code: int = 0

    @property
    def peer(self) -> Address:
        return self.destination if self.side is Side.FROM_DEVICE else self.source


@dataclass(frozen=True, slots=True)
class Ruling:
    """``because`` names the entry, or says why there is none."""

    allowed: bool
    because: str


def rule_on(packet: Packet, profile: MUDFile, site: Site, device: tuple[Address, ...]) -> Ruling:
    """Allowed or denied, and by which entry. ``device`` is every address of a device with this profile."""
    if packet.protocol in _ASKS and packet.icmp_type not in _ASKS[packet.protocol]:
        return Ruling(False, "an ICMP answer that nobody asked for")
    for acl in profile.policy(packet.side):
        for entry in acl.entries:
            if _holds(entry, acl, packet, profile, site, device):
                return Ruling(entry.action is Action.ACCEPT, f"entry {entry.name}")
    if packet.side is Side.FROM_DEVICE and _default(packet, site):
        return Ruling(True, "a default of RFC 8520")
    return Ruling(False, "no entry")


def _default(packet: Packet, site: Site) -> bool:
    port = packet.destination_port
    if port == 53 and packet.protocol in (TCP, UDP) and packet.destination in site.controller(DNS_CONTROLLER):
        return True
    if port == 123 and packet.protocol == UDP and packet.destination in site.controller(NTP_CONTROLLER):
        return True
    lease = packet.protocol == UDP and packet.source_port == 68 and port == 67
    return lease and packet.source.version == 4 and packet.destination in site.controller(GATEWAY_CONTROLLER)


def _holds(
    entry: Entry, acl: AccessList, packet: Packet, profile: MUDFile, site: Site, device: tuple[Address, ...]
) -> bool:
    if acl.type is ListType.ETHERNET:
        return False  # about frames, not about IP
    return (
        (entry.version is None or entry.version == packet.source.version)
        and (entry.initiated is None or packet.protocol != TCP or entry.initiated is packet.side)
        and _link_holds(entry, packet)
        and _ends_hold(entry, packet, site)
        and all(_is_one_of(packet.peer, peers, profile, site, device) for peers in entry.peers)
        and _transport_holds(entry, packet)
    )


def _link_holds(entry: Entry, packet: Packet) -> bool:
    """Frames to the gateway carry its own address; only groups and broadcasts have one that can be foreseen."""
    link = entry.ethernet
    if link is None:
        return True
    if link.ethertype is not None and link.ethertype != {4: 0x0800, 6: 0x86DD}[packet.source.version]:
        return False
    if link.source:
        return False  # probes come from hardware that no file names
    if link.destination == "ff:ff:ff:ff:ff:ff":
        return str(packet.destination) == "255.255.255.255"
    return not link.destination


def _ends_hold(entry: Entry, packet: Packet, site: Site) -> bool:
    for network, name, address in (
        (entry.source, entry.source_name, packet.source),
        (entry.destination, entry.destination_name, packet.destination),
    ):
        if network is not None and address not in network:
            return False
        if name and address not in site.names.get(name, ()):
            return False
    return True


def _is_one_of(peer: Address, peers: Peers, profile: MUDFile, site: Site, device: tuple[Address, ...]) -> bool:
    match peers.kind:
        case Kind.LOCAL_NETWORKS:
            return any(peer in network for network in site.local_networks)
        case Kind.SAME_MANUFACTURER:
            return peer in device or peer in site.peers.get(Peers(Kind.MANUFACTURER, profile.authority), ())
        case Kind.MANUFACTURER:
            return (peer in device and peers.name == profile.authority) or peer in site.peers.get(peers, ())
        case Kind.MODEL:
            return (peer in device and peers.name == profile.url) or peer in site.peers.get(peers, ())
        case _:
            return peer in site.peers.get(peers, ())


def _transport_holds(entry: Entry, packet: Packet) -> bool:
    if entry.protocol is None:
        return True
    if entry.protocol == 0 and packet.source.version == 6:
        return False  # no probe carries a hop-by-hop header
    if entry.protocol != packet.protocol:
        return False
    for ports, port in ((entry.source_ports, packet.source_port), (entry.destination_ports, packet.destination_port)):
        if ports is not None and not ports.holds(port):
            return False
    if entry.icmp is None:
        return True
    return entry.icmp.type in (None, packet.icmp_type) and entry.icmp.code in (None, packet.icmp_code)
