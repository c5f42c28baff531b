"""May this device open that to this peer, and why not: read from what is held now, without sending anything.

What is held are the plan (its circle and mode), the profile's file, what is written down of the site, and what people ruled.
The file is read by the interpreter that also judges the proof's probes. Between two devices both profiles must permit it, and
between two cells a conduit (IEC 62443-3-2).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address

from bastide.core.plan import Circle, NetworkMode
from bastide.core.ruling import Ruling
from bastide.network.profile.amend import PROTOCOLS
from bastide.network.profile.mud.words import ICMP, ICMPV6, TCP, UDP, Entry, MUDFile, Network, Ports, Side
from bastide.network.segmentation.explain import Flow, explain
from bastide.network.segmentation.proof.interpret import Packet, rule_on
from bastide.network.segmentation.site import Address, Site

_CALLER = 49_152
_ECHO = {ICMP: 8, ICMPV6: 128}
_NAMES = {number: name for name, number in PROTOCOLS.items()}
_WORDS = {
    Circle.ONBOARDING: "it is not enrolled yet, and may reach only the hosts that enrol",
    Circle.QUARANTINE: "it is in quarantine, and may reach only the hosts that repair",
    Circle.GUEST: "it is a guest, and may reach nothing local",
    Circle.MAINTENANCE: "it is in maintenance, and may do only what exceptions name",
    Circle.NOTHING: "it may reach nobody",
}


@dataclass(frozen=True, slots=True)
class Service:
    """What is called: ``port`` is 0 where the protocol has none; ``to_port`` ends a range."""

    protocol: int
    port: int = 0
    to_port: int = 0

    def __str__(self) -> str:
        name = _NAMES.get(self.protocol, f"protocol {self.protocol}")
        if self.protocol not in (TCP, UDP):
            return name
        return f"{name}/{self.port}-{self.to_port}" if self.to_port > self.port else f"{name}/{self.port}"


@dataclass(frozen=True, slots=True)
class Held:
    """What the network holds of one device. ``repair`` and ``enrol`` are the site's hosts for those circles."""

    name: str
    circle: Circle
    mode: NetworkMode
    file: MUDFile | None
    site: Site
    addresses: tuple[Address, ...]
    repair: tuple[Network, ...] = ()
    enrol: tuple[Network, ...] = ()
    cell: str = ""
    conduits: frozenset[tuple[str, str, int, int]] = frozenset()
    rulings: tuple[Ruling, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Verdict:
    """``logged`` where it passes only because the profile is observed and not enforced. ``because`` is whole words."""

    service: Service
    may: bool
    because: str
    logged: bool = False


def parse_service(text: str) -> Service | None:
    """``tcp/443``, ``udp/123``, ``icmp``; None where it is none."""
    name, slash, port = text.partition("/")
    protocol = PROTOCOLS.get(name)
    if protocol is None or bool(slash) is not (protocol in (TCP, UDP)):
        return None
    if not slash:
        return Service(protocol)
    return Service(protocol, int(port), int(port)) if port.isdecimal() and 0 < int(port) < 65536 else None


def judge(one: Held, side: Side, peer: Address, names: Iterable[str], service: Service) -> Verdict:
    """Whether the device may open it to the peer (``from-device``), or the peer to the device (``to-device``)."""
    known = tuple(sorted(names))
    out = side is Side.FROM_DEVICE
    ruled = next((each for each in one.rulings if _about(each, peer, service, out)), None)
    if ruled is not None and ruled.allows and ruled.until is not None:
        return Verdict(service, True, f"it is let through until {ruled.until:%Y-%m-%d %H:%M} UTC: {ruled.reason}")
    if one.circle is not Circle.PROFILE:
        hosts = {Circle.QUARANTINE: one.repair, Circle.ONBOARDING: one.enrol}.get(one.circle, ())
        inside = out and any(peer in network for network in hosts if network.version == peer.version)
        return Verdict(service, inside, _WORDS[one.circle])
    if one.file is None:
        return Verdict(service, False, "nobody wrote down whom its profile may reach")
    own = next((each for each in one.addresses if each.version == peer.version), None)
    if own is None:
        return Verdict(service, False, f"no IPv{peer.version} address of it is known")
    ends = (own, peer) if out else (peer, own)
    site = Site(one.site.local_networks, one.site.peers, {**one.site.names, **dict.fromkeys(known, (peer,))})
    packet = Packet(side, *ends, service.protocol, _CALLER, service.port, icmp_type=_ECHO.get(service.protocol, 0))
    found = rule_on(packet, one.file, site, one.addresses)
    if found.allowed:
        return Verdict(service, True, f"{found.because} of its profile permits it")
    told = explain(Flow(*ends, service.protocol, service.port), side, one.file, known)
    why = f"no entry of its profile permits it; missing is {told.missing}" + (
        f" ({told.nearest})" if told.nearest else ""
    )
    if one.mode is NetworkMode.OBSERVE:
        return Verdict(service, True, f"its profile is observed only: {why}", logged=True)
    return Verdict(service, False, why)


def between(one: Held, other: Held, service: Service) -> Verdict:
    """Whether the first device may open it to the second. Both profiles and, between cells, a conduit must permit it."""
    pair = next(
        ((mine, theirs) for mine in one.addresses for theirs in other.addresses if mine.version == theirs.version), None
    )
    if pair is None:
        return Verdict(service, False, "no two addresses of them are known that could speak with each other")
    mine, theirs = pair
    asked = judge(one, Side.FROM_DEVICE, theirs, (), service)
    if not asked.may:
        return Verdict(service, False, f"{one.name}: {asked.because}")
    answered = judge(other, Side.TO_DEVICE, mine, (), service)
    if not answered.may:
        return Verdict(service, False, f"{other.name}: {answered.because}")
    if one.cell != other.cell:
        way = (one.cell or "*", other.cell or "*", service.protocol, service.port)
        if way not in one.conduits:
            ends = " to ".join(cell or "whatever is in no cell" for cell in (one.cell, other.cell))
            return Verdict(service, False, f"no conduit leads from {ends} for {service}")
    return Verdict(
        service, True, f"{one.name}: {asked.because}; {other.name}: {answered.because}", asked.logged or answered.logged
    )


def services_of(file: MUDFile | None, side: Side) -> tuple[Service, ...]:
    """What the file speaks of at all on one side: the candidates to ask about where nobody names a service."""
    found: dict[Service, None] = {}
    for acl in file.policy(side) if file else ():
        for entry in acl.entries:
            if entry.initiated in (None, side):
                found.update(dict.fromkeys(_services(entry)))
    return tuple(found)


def _services(entry: Entry) -> Sequence[Service]:
    ports = entry.destination_ports
    if entry.protocol in (TCP, UDP) and ports is not None and not ports.negated:
        return (_ranged(entry.protocol, ports),)
    if entry.protocol in (TCP, UDP):
        return (Service(entry.protocol, 1, 65535),)
    return (Service(entry.protocol),) if entry.protocol in _NAMES else ()


def _ranged(protocol: int, ports: Ports) -> Service:
    return Service(protocol, ports.low, ports.high)


def _about(ruling: Ruling, peer: Address, service: Service, out: bool) -> bool:
    same = ip_address(ruling.peer) == peer and PROTOCOLS.get(ruling.transport) == service.protocol
    return same and ruling.port == service.port and ruling.opened_by_device is out
