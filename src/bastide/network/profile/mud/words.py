"""The words of a MUD file (RFC 8520), with the access lists of RFC 8519 that it is made of.

An access list belongs to the policy for packets *from* or *to* the device. Its entries are tried in their order, the
first that matches decides, and what matches none is denied (RFC 8520, section 4).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network

from bastide.core.error import Unreadable
from bastide.core.profile import Channel

Network = IPv4Network | IPv6Network

TCP, UDP, ICMP, ICMPV6 = 6, 17, 1, 58
HOP_BY_HOP, FRAGMENT = 0, 44
DNS_CONTROLLER = "urn:ietf:params:mud:dns"
NTP_CONTROLLER = "urn:ietf:params:mud:ntp"
GATEWAY_CONTROLLER = "urn:ietf:params:mud:gateway"
"""Not registered, but used by the files that MUDgee learned: the router of the device's network."""


class MUDRefused(Unreadable):
    """This MUD file is not taken. ``code`` says which rule it breaks."""

    code = "mud:refused"


class Side(StrEnum):
    """The direction of a packet, or who opened a connection (``direction-initiated``)."""

    FROM_DEVICE = "from-device"
    TO_DEVICE = "to-device"


class Action(StrEnum):
    ACCEPT = "accept"
    DROP = "drop"
    REJECT = "reject"


class ListType(StrEnum):
    """What the entries of a list are about. ``MIXED`` lists leave it to each entry."""

    IPV4 = "ipv4"
    IPV6 = "ipv6"
    ETHERNET = "ethernet"
    MIXED = "mixed"


class Kind(StrEnum):
    """Peers by what they are and not by where they are (RFC 8520, section 8)."""

    LOCAL_NETWORKS = "local-networks"
    SAME_MANUFACTURER = "same-manufacturer"
    MANUFACTURER = "manufacturer"
    MODEL = "model"
    CONTROLLER = "controller"
    MY_CONTROLLER = "my-controller"


@dataclass(frozen=True, slots=True)
class Peers:
    """A class of peers. ``name`` is empty for local-networks, same-manufacturer and my-controller."""

    kind: Kind
    name: str = ""


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports ``low`` to ``high``, both included; with ``negated`` every other one."""

    low: int
    high: int
    negated: bool = False

    def holds(self, port: int) -> bool:
        return (self.low <= port <= self.high) is not self.negated


@dataclass(frozen=True, slots=True)
class ICMPMatch:
    type: int | None = None
    code: int | None = None


@dataclass(frozen=True, slots=True)
class Ethernet:
    """Link-layer matches. A router never sees most of what they speak of."""

    source: str = ""
    destination: str = ""
    ethertype: int | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One access control entry; every match that is set must hold. ``version`` is 4, 6 or None (either)."""

    name: str
    action: Action = Action.ACCEPT
    version: int | None = None
    protocol: int | None = None
    source: Network | None = None
    destination: Network | None = None
    source_name: str = ""
    destination_name: str = ""
    source_ports: Ports | None = None
    destination_ports: Ports | None = None
    icmp: ICMPMatch | None = None
    initiated: Side | None = None
    peers: tuple[Peers, ...] = ()
    ethernet: Ethernet | None = None
    tls: str = ""
    """RFC 9761: the TLS profile of this entry as canonical JSON; kept and reported, not judged here."""


@dataclass(frozen=True, slots=True)
class AccessList:
    name: str
    type: ListType
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Application:
    """What its devices say and hear at the broker: our extension (:mod:`bastide.network.profile.mud.application`)."""

    channels: tuple[Channel, ...]
    rate_per_second: float = 1.0
    burst: int = 20
    max_payload_bytes: int = 4096


@dataclass(frozen=True, slots=True)
class MUDFile:
    """A whole file. ``from_device`` and ``to_device`` are the lists of each policy, in their order."""

    url: str
    last_update: datetime
    is_supported: bool
    from_device: tuple[AccessList, ...] = ()
    to_device: tuple[AccessList, ...] = ()
    cache_validity: timedelta = timedelta(hours=48)
    systeminfo: str = ""
    manufacturer: str = ""
    model: str = ""
    firmware_revision: str = ""
    software_revision: str = ""
    documentation: str = ""
    signature: str = ""
    extensions: tuple[str, ...] = ()
    tls_supported: bool | None = None
    application: Application | None = None

    @property
    def authority(self) -> str:
        """Who made it, as ``same-manufacturer`` and ``manufacturer`` compare it: the URL's authority."""
        return self.url.split("//", 1)[1].split("/", 1)[0].lower()

    def policy(self, side: Side) -> tuple[AccessList, ...]:
        return self.from_device if side is Side.FROM_DEVICE else self.to_device


@dataclass(frozen=True, slots=True)
class Note:
    """Something that was accepted although the RFC says otherwise, or that a reader should know. Not an error."""

    code: str
    sentence: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class Reading:
    """A file that was accepted, with what was noted on the way."""

    file: MUDFile
    notes: tuple[Note, ...] = ()
