"""Who speaks to whom, drawn together so that 300 devices stay readable: groups of devices on one side, of peers on the other.

A peer is, in this order: a device that has its address (then its group), multicast or broadcast, an address of this network
that no device is known to have (by its /24 or /64), a host with a name (by its domain), or one without. Two devices of the
network that speak to each other are told from both sides; so that nothing is counted twice, only the caller's side is drawn
where the peer is a device too.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

from bastide.core.conversation import Conversation
from bastide.core.device import Device
from bastide.core.ids import DeviceId
from bastide.operations.inventory.attributes import best

OTHERS: Final = "others"
CLEAR: Final = frozenset(("telnet", "ftp", "rlogin", "tftp"))
"""Protocols over which passwords travel in the clear."""

_PRIVATE = tuple(
    ip_network(text)
    for text in (
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "169.254.0.0/16",
        "fe80::/10",
        "fc00::/7",
    )
)
_SECOND = frozenset(("ac", "co", "com", "edu", "go", "gov", "ne", "net", "or", "org"))
"""Under a country's domain, names that people register below: ``example.co.uk``."""


class Kind(StrEnum):
    """What a peer is, in the order in which they are drawn."""

    DEVICES = "devices"
    LOCAL = "local"
    MANY = "many"
    NAMED = "named"
    UNNAMED = "unnamed"


@dataclass(frozen=True, slots=True)
class Peer:
    """A group of peers. ``name`` is the group of devices, the network, the domain."""

    kind: Kind
    name: str

    @property
    def key(self) -> str:
        return f"{self.kind}:{self.name}"


@dataclass(slots=True)
class Link:
    """What a group of devices and a group of peers said to each other."""

    group: str
    peer: Peer
    bytes: int = 0
    flows: int = 0
    devices: set[DeviceId] = field(default_factory=set)
    hosts: set[str] = field(default_factory=set)
    protocols: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, one: Conversation) -> None:
        self.bytes += one.bytes_sent + one.bytes_received
        self.flows += one.flows
        self.devices.add(one.device)
        self.hosts.add(one.peer)
        self.protocols[one.protocol] += one.bytes_sent + one.bytes_received

    @property
    def clear(self) -> bool:
        return not CLEAR.isdisjoint(self.protocols)


@dataclass(frozen=True, slots=True)
class Asked:
    """``group`` is how devices come together, ``opened`` a group that is shown device by device, ``peer`` the key of a peer to
    which everything is narrowed (then its hosts are shown one by one)."""

    group: str
    opened: str = ""
    peer: str = ""
    protocol: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """The busiest links first. ``left`` and ``right`` are in the order to draw them; ``shown`` are the conversations in it."""

    links: tuple[Link, ...]
    left: tuple[str, ...]
    right: tuple[Peer, ...]
    protocols: Mapping[str, int]
    shown: tuple[Conversation, ...]


def picture(
    said: Iterable[Conversation], devices: Sequence[Device], asked: Asked, now: datetime, most: int = 24
) -> Picture:
    """Draws conversations together; what does not fit into ``most`` rows of a side becomes one row, others."""
    known = {device.id: device for device in devices}
    of_device = grouping(devices, asked.group, now)
    owner = owners(devices)
    links: dict[tuple[str, str], Link] = {}
    protocols: dict[str, int] = defaultdict(int)
    shown: list[Conversation] = []
    for one in said:
        device = known.get(one.device)
        if device is None:
            continue
        other = owner.get((device.site, one.peer))
        if other is not None and other in known and not one.opened_by_device:
            continue
        peer = _peer(one, of_device[other] if other is not None else None)
        group = of_device[one.device]
        if (asked.opened and group != asked.opened) or (asked.peer and peer.key != asked.peer):
            continue
        protocols[one.protocol] += one.bytes_sent + one.bytes_received
        if asked.protocol and one.protocol != asked.protocol:
            continue
        shown.append(one)
        if asked.opened:
            group = device.id
        if asked.peer:
            peer = Peer(peer.kind, _host(one, known.get(other) if other else None))
        link = links.setdefault((group, peer.key), Link(group, peer))
        link.add(one)
    folded = _fold(list(links.values()), most)
    left = _ranked(folded, lambda link: link.group)
    right = sorted(
        {link.peer.key: link.peer for link in folded}.values(),
        key=lambda peer: (list(Kind).index(peer.kind), peer.name == OTHERS, _middle(peer, folded, left)),
    )
    return Picture(tuple(folded), tuple(left), tuple(right), dict(protocols), tuple(shown))


def grouping(devices: Iterable[Device], group: str, now: datetime) -> Mapping[DeviceId, str]:
    """The group of each device; ``not known`` where nothing says it."""
    fields: Mapping[str, Callable[[Device], str]] = {
        "zone": lambda device: device.zone,
        "site": lambda device: device.site,
        "class": lambda device: device.device_class,
        "standing": lambda device: device.standing.value,
        "owner": lambda device: device.owner,
    }

    def said(device: Device) -> str:
        found = best(device.attributes, group, now)
        return found.value if found else ""

    return {device.id: fields.get(group, said)(device) or "not known" for device in devices}


def owners(devices: Iterable[Device]) -> Mapping[tuple[str, str], DeviceId]:
    """Which device has an address within a site: the one that was last seen with it."""
    newest: dict[tuple[str, str], tuple[datetime, DeviceId]] = {}
    for device in devices:
        for one in device.attributes:
            if one.name == "address":
                place = (str(device.site), one.value)
                newest[place] = max(newest.get(place, (one.observed_at, device.id)), (one.observed_at, device.id))
    return {place: device for place, (_, device) in newest.items()}


def domain(name: str) -> str:
    """The part of a host's name that somebody registered, as nearly as can be told without a list of all registries."""
    labels = name.rstrip(".").lower().split(".")
    short = len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in _SECOND
    return ".".join(labels[-3 if short else -2 :])


def _peer(one: Conversation, group: str | None) -> Peer:
    if group is not None:
        return Peer(Kind.DEVICES, group)
    address = ip_address(one.peer)
    if address.is_multicast or one.peer == "255.255.255.255":
        return Peer(Kind.MANY, "multicast and broadcast")
    if is_local(address):
        network = ip_network(f"{one.peer}/{24 if address.version == 4 else 64}", strict=False)
        return Peer(Kind.LOCAL, str(network))
    return Peer(Kind.NAMED, domain(one.peer_name)) if one.peer_name else Peer(Kind.UNNAMED, "addresses without a name")


def is_local(address: IPv4Address | IPv6Address) -> bool:
    """RFC 1918, 3927, 4193 and 4291: addresses that belong to no one network of the world."""
    return any(address.version == network.version and address in network for network in _PRIVATE)


def _host(one: Conversation, device: Device | None) -> str:
    return (device.name if device else one.peer_name) or one.peer


def _ranked(links: Iterable[Link], of: Callable[[Link], str]) -> list[str]:
    weight: dict[str, int] = defaultdict(int)
    for link in links:
        weight[of(link)] += link.bytes
    return sorted(weight, key=lambda name: (name == OTHERS, -weight[name], name))


def _fold(links: list[Link], most: int) -> list[Link]:
    """At most so many rows on either side; the least busy ones become one."""
    left = set(_ranked(links, lambda link: link.group)[:most])
    right = set(_ranked(links, lambda link: link.peer.key)[:most])
    folded: dict[tuple[str, str], Link] = {}
    for link in links:
        group = link.group if link.group in left else OTHERS
        peer = link.peer if link.peer.key in right else Peer(link.peer.kind, OTHERS)
        into = folded.setdefault((group, peer.key), Link(group, peer))
        into.bytes += link.bytes
        into.flows += link.flows
        into.devices |= link.devices
        into.hosts |= link.hosts
        for protocol, size in link.protocols.items():
            into.protocols[protocol] += size
    return sorted(folded.values(), key=lambda link: (-link.bytes, link.group, link.peer.key))


def _middle(peer: Peer, links: Iterable[Link], left: Sequence[str]) -> float:
    """Where the links of a peer begin, on average: drawn in this order they cross least."""
    place = {name: at for at, name in enumerate(left)}
    ends = [(place[link.group], link.bytes + 1) for link in links if link.peer == peer]
    return sum(at * size for at, size in ends) / sum(size for _, size in ends)
