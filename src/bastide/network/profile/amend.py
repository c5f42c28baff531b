"""One entry more in a profile: what a person permits of what a device was seen to do, and nothing beside it.

A peer that was looked up is its DNS name, one that the site calls a controller is that class (RFC 8520, section 8), and any
other is its one address. A profile that permits it already is not changed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from ipaddress import ip_address, ip_network

from bastide.network.profile.mud.words import (
    ICMP,
    ICMPV6,
    TCP,
    UDP,
    AccessList,
    Entry,
    Kind,
    ListType,
    MUDFile,
    Network,
    Peers,
    Ports,
    Side,
)

PROTOCOLS: Mapping[str, int] = {"tcp": TCP, "udp": UDP, "icmp": ICMP, "icmpv6": ICMPV6}


@dataclass(frozen=True, slots=True)
class Flow:
    """``peer`` is an IP address, ``peer_name`` the DNS name that it was resolved from (empty: nobody asked), ``port`` the one
    that is called (0 where the transport has none), ``opened_by_device`` who calls."""

    peer: str
    peer_name: str
    transport: str
    port: int
    opened_by_device: bool

    @property
    def key(self) -> tuple[str, str, int, bool]:
        """By which it is known again, whatever name its peer was resolved from: as :attr:`bastide.core.ruling.Ruling.key`."""
        return self.peer, self.transport, self.port, self.opened_by_device


def entry(
    name: str,
    version: int,
    protocol: int,
    ports: Ports | None,
    opened_by_device: bool,
    side: Side,
    peer: Network | str | Peers,
) -> Entry:
    """The entry of one side for what is permitted; who opens a TCP connection is kept (``direction-initiated``).

    ``peer`` is a network, a DNS name or a class of peers."""
    leaving = side is Side.FROM_DEVICE
    network = None if isinstance(peer, str | Peers) else peer
    named = peer if isinstance(peer, str) else ""
    # The port that was called is at the far end of what the device opened, and at the device's of what others did.
    at_destination = leaving is opened_by_device
    return Entry(
        name,
        version=version,
        protocol=protocol,
        source=None if leaving else network,
        destination=network if leaving else None,
        source_name="" if leaving else named,
        destination_name=named if leaving else "",
        source_ports=None if at_destination else ports,
        destination_ports=ports if at_destination else None,
        initiated=(Side.FROM_DEVICE if opened_by_device else Side.TO_DEVICE) if protocol == TCP else None,
        peers=(peer,) if isinstance(peer, Peers) else (),
    )


def empty(url: str, at: datetime, systeminfo: str) -> MUDFile:
    """A profile that permits nothing yet."""
    return MUDFile(url=url, last_update=at, is_supported=True, systeminfo=systeminfo)


def permit(file: MUDFile, flow: Flow, controllers: Mapping[str, str], at: datetime) -> MUDFile:
    """The profile with the flow permitted. ``controllers`` gives the class that an address is known as at the site.

    ``KeyError`` for a transport that no profile speaks of (see :data:`PROTOCOLS`)."""
    protocol, address = PROTOCOLS[flow.transport], ip_address(flow.peer)
    ports = Ports(flow.port, flow.port) if protocol in (TCP, UDP) else None
    known = Peers(Kind.CONTROLLER, controllers[flow.peer]) if flow.peer in controllers else None
    peer = known or flow.peer_name or ip_network(address)
    version = address.version
    amended = {}
    for side in Side:
        made = entry("", version, protocol, ports, flow.opened_by_device, side, peer)
        amended[side] = _with(file.policy(side), made, side, version)
    if amended == {side: file.policy(side) for side in Side}:
        return file
    return replace(
        file, from_device=amended[Side.FROM_DEVICE], to_device=amended[Side.TO_DEVICE], last_update=at, signature=""
    )


def _with(lists: tuple[AccessList, ...], made: Entry, side: Side, version: int) -> tuple[AccessList, ...]:
    """Entries are added to a list of their own, so that what the maker or the lesson said stays as it was."""
    if any(replace(known, name="") == made for one in lists for known in one.entries):
        return lists
    short = "fr" if side is Side.FROM_DEVICE else "to"
    name = f"added-{short}-v{version}"
    ours = next((one for one in lists if one.name == name), None)
    entries = ours.entries if ours else ()
    taken = {one.name for one in entries}
    place = next(each for each in range(len(entries) + 1) if f"added-{short}{version}-{each}" not in taken)
    grown = AccessList(
        name,
        ListType.IPV4 if version == 4 else ListType.IPV6,
        (*entries, replace(made, name=f"added-{short}{version}-{place}")),
    )
    return tuple(grown if one is ours else one for one in lists) if ours else (*lists, grown)
