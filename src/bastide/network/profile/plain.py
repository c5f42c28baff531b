"""A profile in words that people read: what the device may open, and who may open something to it.

One sentence for each entry that permits; the two directions of one permission (a profile has an entry for each) are one
sentence where both are there. An entry that denies says so, in its place.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from bastide.core.profile import Direction
from bastide.network.profile.mud.words import (
    DNS_CONTROLLER,
    FRAGMENT,
    GATEWAY_CONTROLLER,
    HOP_BY_HOP,
    ICMP,
    ICMPV6,
    NTP_CONTROLLER,
    TCP,
    UDP,
    Action,
    Entry,
    Kind,
    MUDFile,
    Peers,
    Ports,
    Side,
)

IGMP = 2
_KNOWN = {
    DNS_CONTROLLER: "the site's name servers",
    NTP_CONTROLLER: "the site's time servers",
    GATEWAY_CONTROLLER: "the site's router",
}
_CLASSES = {
    Kind.LOCAL_NETWORKS: "hosts of the local networks",
    Kind.SAME_MANUFACTURER: "devices of the same maker",
    Kind.MY_CONTROLLER: "its own controller",
}
_PROTOCOLS = {
    TCP: "TCP",
    UDP: "UDP",
    ICMP: "ICMP",
    ICMPV6: "ICMPv6",
    IGMP: "IGMP",
    HOP_BY_HOP: "IPv6 hop-by-hop options",
    FRAGMENT: "IPv6 fragments",
}
_OF_ONE_VERSION = (ICMP, ICMPV6, IGMP, HOP_BY_HOP, FRAGMENT)


@dataclass(frozen=True, slots=True)
class Sentence:
    """``peer`` is whom it is about, ``service`` what of them, ``opened_by`` who may begin (both where the entry leaves it open).

    ``entries`` are the names in the file that say so."""

    peer: str
    service: str
    opened_by: tuple[Side, ...]
    permitted: bool
    entries: tuple[str, ...]

    def __str__(self) -> str:
        verb = ("may " if self.permitted else "must not ") + ("open" if self.service.startswith("TCP") else "send")
        if self.opened_by == (Side.TO_DEVICE,):
            return f"{self.peer} {verb} {self.service} to the device"
        both = ", and the other way round" if len(self.opened_by) == 2 else ""
        return f"the device {verb} {self.service} to {self.peer}{both}"


def sentences(file: MUDFile) -> tuple[Sentence, ...]:
    """What the file says, in its order; what says the same is said once."""
    found: dict[tuple[str, str, bool], tuple[set[Side], list[str]]] = {}
    for side in Side:
        for acl in file.policy(side):
            for entry in acl.entries:
                opener = _opener(entry, side)
                key = (peer_of(entry, side), _service(entry, side, opener), entry.action is Action.ACCEPT)
                sides, names = found.setdefault(key, (set(), []))
                sides.add(opener)
                names.append(entry.name)
    return tuple(
        Sentence(peer, service, tuple(one for one in Side if one in sides), permitted, tuple(dict.fromkeys(names)))
        for (peer, service, permitted), (sides, names) in found.items()
    )


def channel_sentences(file: MUDFile) -> tuple[str, ...]:
    """What its devices say and hear at the broker, with what for, and the fields that may be collected."""
    return tuple(
        f"the device may {'publish to' if one.direction is Direction.PUBLISH else 'listen to'} {one.topic} ({one.purpose})"
        + (f", with {', '.join(f'{field.name} for {field.purpose}' for field in one.fields)}" if one.fields else "")
        for one in (file.application.channels if file.application else ())
    )


def by_peer(said: Iterable[Sentence]) -> dict[str, tuple[Sentence, ...]]:
    """The sentences about each peer together, the peers in the order in which they are first named."""
    found: dict[str, list[Sentence]] = {}
    for one in said:
        found.setdefault(one.peer, []).append(one)
    return {peer: tuple(many) for peer, many in found.items()}


def peer_of(entry: Entry, side: Side) -> str:
    """Whom an entry is about."""
    network, name = (
        (entry.destination, entry.destination_name) if side is Side.FROM_DEVICE else (entry.source, entry.source_name)
    )
    hardware = (entry.ethernet.destination or entry.ethernet.source) if entry.ethernet is not None else ""
    words = [name] if name else []
    if network is not None:
        alone = network.prefixlen == network.max_prefixlen
        words.append("any host" if network.prefixlen == 0 else str(network.network_address) if alone else str(network))
    words += [_class(one) for one in entry.peers]
    words += [f"the hardware {hardware}"] if hardware else []
    if not words:
        return "any host"
    return words[0] if len(words) == 1 else f"{words[0]} ({', '.join(words[1:])})"


def _opener(entry: Entry, side: Side) -> Side:
    if entry.initiated is not None:
        return entry.initiated
    if entry.protocol != UDP:
        return side
    # A learned or made file has a pair for one flow of UDP: the called port is a destination in one, a source in the other.
    called = entry.source_ports is not None and entry.destination_ports is None
    return (Side.TO_DEVICE if side is Side.FROM_DEVICE else Side.FROM_DEVICE) if called else side


def _class(peers: Peers) -> str:
    if peers.kind is Kind.CONTROLLER:
        return _KNOWN.get(peers.name, f"the controllers {peers.name}")
    if peers.kind is Kind.MANUFACTURER:
        return f"devices made by {peers.name}"
    if peers.kind is Kind.MODEL:
        return f"devices of the model {peers.name}"
    return _CLASSES[peers.kind]


def _service(entry: Entry, side: Side, opener: Side) -> str:
    if entry.protocol is None:
        kind = entry.ethernet.ethertype if entry.ethernet is not None else None
        name = f"frames of type 0x{kind:04x}" if kind is not None else "any protocol"
    else:
        name = _PROTOCOLS.get(entry.protocol, f"IP protocol {entry.protocol}")
    if entry.icmp is not None and entry.icmp.type is not None:
        name += f" type {entry.icmp.type}"
        if entry.icmp.code is not None:
            name += f" code {entry.icmp.code}"
    # What is called is where the opener's packets go: the destination of one direction, the source of the other.
    forward = opener is side
    called, calling = (
        (entry.destination_ports, entry.source_ports) if forward else (entry.source_ports, entry.destination_ports)
    )
    if called is not None:
        name += f" {_ports(called)}"
    if calling is not None:
        name += f" from {_ports(calling)}"
    if entry.tls:
        name += " with its TLS profile"
    if entry.version is not None and entry.protocol not in _OF_ONE_VERSION:
        name += f" (IPv{entry.version})"
    return name


def _ports(ports: Ports) -> str:
    what = f"port {ports.low}" if ports.low == ports.high else f"ports {ports.low}-{ports.high}"
    return f"any but {what}" if ports.negated else what
