"""All devices of one gateway as one ruleset: profiles, standing, zones, conduits and exceptions. The same input, the same octets.

There is still **one base chain**. A packet is judged in this order:

1. what comes in where devices are must belong there: address, hardware and port as held for one device. Who is unknown
   may only do what it takes to be enrolled; a device's address that comes from anywhere else is dropped
2. a device that is cut off (quarantine, retired) is judged before its open connections are: they end with the first packet.
   What others still send to it ends when connection tracking forgets it, which is done in the same step
3. what belongs to an open connection is accepted, and so is what an exception names until it ends (the kernel's clock)
4. what leaves or enters a cell needs a conduit (IEC 62443-3-2)
5. the verdict maps: what a device sends, then what is sent to it. What is sent to an unknown device is dropped

A device is nothing but elements of sets and maps, so its change is a few elements (:func:`elements_of`) in one
transaction. Everything else, :func:`frame_of`, changes with profiles and zones, and is replaced as a whole, atomically.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from ipaddress import collapse_addresses

from bastide.core.error import Refused
from bastide.core.plan import Circle, NetworkMode
from bastide.network.profile.mud.words import (
    DNS_CONTROLLER,
    Kind,
    MUDFile,
    Network,
    Peers,
    Side,
)
from bastide.network.segmentation.compile import (
    TABLE,
    deny_chain,
    profile_chain,
    profile_chains,
    unbound_chain,
    wanted,
)
from bastide.network.segmentation.rules import name_set, peer_set
from bastide.network.segmentation.ruleset import (
    Chain,
    Counter,
    ElementSet,
    Lookup,
    Match,
    Rule,
    Ruleset,
    Verdict,
    comment,
    identifier,
)
from bastide.network.segmentation.site import Address, Site, SiteDevice

_VERSIONS = (4, 6)
_TYPE = {4: "ipv4_addr", 6: "ipv6_addr"}
_IP = {4: "ip", 6: "ip6"}
_OPEN = Match("ct state", "established,related")
MOST_ADDRESSES = 65535
"""Of all devices of one gateway, in each IP version."""
_CUT = (Circle.QUARANTINE, Circle.NOTHING)


@dataclass(frozen=True, slots=True)
class Member:
    """One device as its gateway holds it. ``profile`` is a MUD URL, needed in the circle ``profile``.

    ``port`` is the interface that it must be on (empty: any that faces devices), ``cell`` its zone where zones are kept
    apart; a device without ``mac`` is believed its addresses.
    """

    device: str
    addresses: tuple[Address, ...]
    mac: str = ""
    circle: Circle = Circle.PROFILE
    mode: NetworkMode = NetworkMode.ENFORCE
    profile: str = ""
    port: str = ""
    cell: str = ""

    def __post_init__(self) -> None:
        SiteDevice(self.device, self.addresses, self.mac)  # the same addresses are refused


class Transport(StrEnum):
    TCP = "tcp"
    UDP = "udp"


@dataclass(frozen=True, slots=True)
class Conduit:
    """What may be opened from one cell to another. A cell named ``*`` is whatever is in no cell."""

    source: str
    destination: str
    transport: Transport
    port: int


@dataclass(frozen=True, slots=True)
class Allowance:
    """An exception: one flow that is permitted whatever the profile says, until it ends. It has an owner elsewhere."""

    source: Address
    destination: Address
    transport: Transport
    port: int
    until: datetime


@dataclass(frozen=True, slots=True)
class Frame:
    """What all devices of a gateway share. ``ports`` are its interfaces that face devices.

    ``there`` says that the one port is an interface now: the rule that most packets meet then compares its index, which costs
    less than its name. Where the interface comes back with another index, packets meet the rules after it, to the same end."""

    ports: tuple[str, ...]
    profiles: Mapping[str, MUDFile] = field(default_factory=dict)
    site: Site = field(default_factory=Site)
    remediation: tuple[Network, ...] = ()
    onboarding: tuple[Network, ...] = ()
    conduits: tuple[Conduit, ...] = ()
    there: bool = False


Elements = frozenset[tuple[str, str, str]]
"""(set, element, the chain that a map's element jumps to)."""


def circle_of(member: Member, frame: Frame) -> Circle:
    """A device whose profile is not there yet may do nothing until it is: closed, and never open."""
    if member.circle is Circle.PROFILE and member.profile not in frame.profiles:
        return Circle.NOTHING
    return member.circle


def chain_of(member: Member, side: Side, frame: Frame) -> str:
    circle = circle_of(member, frame)
    if circle is Circle.PROFILE:
        observed = member.mode is NetworkMode.OBSERVE
        return profile_chain(frame.profiles[member.profile], side, observed=observed)
    return _zone_chain(circle, side)


def classes_of(frame: Frame) -> frozenset[Peers]:
    """The classes of peers that some rule looks up."""
    return frozenset(wanted(_used(frame))[1])


def elements_of(member: Member, frame: Frame, classes: frozenset[Peers]) -> Elements:
    """The elements that stand for one device; ``classes`` as :func:`classes_of` gives them."""
    found: set[tuple[str, str, str]] = set()
    circle = circle_of(member, frame)
    maps = ("cut_from", "cut_to") if circle in _CUT else ("from", "to")
    profile = frame.profiles.get(member.profile)
    if member.mac:
        found.add(("hardware", member.mac, ""))
    for address in member.addresses:
        version, text = address.version, str(address)
        found.add((f"member{version}", text, ""))
        cut = "cut_" if circle in _CUT else ""
        if member.mac:
            for port in [member.port] if member.port else frame.ports:
                if len(frame.ports) > 1:
                    found.add((f"{cut}bound{version}", f'{text} . {member.mac} . "{port}"', ""))
                elif port in frame.ports:
                    found.add((f"{cut}bound{version}", f"{text} . {member.mac}", ""))
            if version == 4:
                found.add(("arp", f"{text} . {member.mac}", ""))
        else:
            found.add((f"{cut}free{version}", text, ""))
        for name, side in zip(maps, Side, strict=True):
            found.add((f"{name}{version}", text, chain_of(member, side, frame)))
        if member.cell:
            found.add((f"{_cell(member.cell)}_{version}", text, ""))
            found.add((f"incell{version}", text, ""))
            for way in ("from", "to"):
                found.add((f"cell_{way}{version}", text, f"{_cell(member.cell)}_{way}"))
        if profile is not None:
            for peers in (Peers(Kind.MANUFACTURER, profile.authority), Peers(Kind.MODEL, profile.url)):
                if peers in classes and address not in frame.site.peers.get(peers, ()):
                    found.add((peer_set(peers, version), text, ""))
    return frozenset(found)


@dataclass(frozen=True, slots=True)
class Needs:
    """What devices need beyond the frame's own chains: those of profiles that are only observed, and of cells."""

    observed: frozenset[str] = frozenset()
    cells: frozenset[str] = frozenset()

    def __or__(self, other: "Needs") -> "Needs":
        return Needs(self.observed | other.observed, self.cells | other.cells)


def needs_of(members: Iterable[Member], frame: Frame) -> Needs:
    observed: set[str] = set()
    cells: set[str] = set()
    for member in members:
        if member.mode is NetworkMode.OBSERVE and circle_of(member, frame) is Circle.PROFILE:
            observed.add(member.profile)
        if member.cell:
            cells.add(member.cell)
    return Needs(frozenset(observed), frozenset(cells))


def frame_of(frame: Frame, needs: Needs) -> Ruleset:
    """Sets without devices, and all chains that the devices' elements may name: two groups of devices with the same needs
    differ by elements only."""
    chains: list[Chain] = []
    for url in sorted(frame.profiles):
        chains += profile_chains(frame.profiles[url])
        if url in needs.observed:
            chains += profile_chains(frame.profiles[url], observed=True)
    cells = sorted(needs.cells)
    chains += [*_zone_chains(frame), *_cell_chains(cells, frame), unbound_chain(), *_judge(frame, cells)]
    return Ruleset(TABLE, tuple(_sets(frame, cells)), tuple(chains))


def compile_fleet(frame: Frame, members: Iterable[Member], needs: Needs | None = None) -> Ruleset:
    """The whole ruleset; ``needs`` may be more than the devices'.

    ``Refused`` where two devices claim one address or one piece of hardware."""
    everyone = sorted(members, key=lambda one: one.device)
    no_claim_twice(everyone)
    empty = frame_of(frame, needs_of(everyone, frame) if needs is None else needs)
    classes = classes_of(frame)
    return with_elements(empty, (elements_of(member, frame, classes) for member in everyone))


def with_elements(empty: Ruleset, groups: Iterable[Elements]) -> Ruleset:
    """The ruleset with elements added, in an order that depends on them alone."""
    held: dict[str, list[tuple[str, str]]] = {}
    for group in groups:
        for name, element, chain in group:
            held.setdefault(name, []).append((element, chain))
    filled: list[ElementSet] = []
    for one in empty.sets:
        mine = sorted(held.pop(one.name, []))
        verdicts = None if one.verdicts is None else (*one.verdicts, *(chain for _, chain in mine))
        elements = (*one.elements, *((element,) for element, _ in mine))
        filled.append(ElementSet(one.name, one.type, elements, one.flags, verdicts, one.comment, one.size))
    held.pop("arp", None)  # another table's
    if held:
        raise Refused(f"No set is named {sorted(held)[0]}.", code="segmentation:fleet:set")
    return Ruleset(empty.table, tuple(filled), empty.chains)


def no_claim_twice(members: Iterable[Member]) -> None:
    held: dict[object, str] = {}
    for member in members:
        for claim in (*member.addresses, *((member.mac,) if member.mac else ())):
            if claim in held and held[claim] != member.device:
                raise Refused(
                    f"{claim} is claimed by {held[claim]} and by {member.device}; take it from one of them first.",
                    code="segmentation:device:address-twice",
                )
            held[claim] = member.device


def allowance_element(allowance: Allowance, now: datetime) -> tuple[str, str, int]:
    """The set, the element and how many seconds it lives; 0 or less where it is over."""
    version = allowance.source.version
    left = int((allowance.until - now).total_seconds())
    ends = f"{allowance.source} . {allowance.destination} . {allowance.transport.value} . {allowance.port}"
    return f"allowed{version}", ends, left


def _used(frame: Frame) -> list[MUDFile]:
    return [frame.profiles[url] for url in sorted(frame.profiles)]


def _sets(frame: Frame, cells: list[str]) -> Iterator[ElementSet]:
    yield ElementSet("generation", ("mark",))
    yield ElementSet("hardware", ("ether_addr",))
    names, classes = wanted(_used(frame))
    for version in _VERSIONS:
        address = _TYPE[version]
        yield ElementSet(f"member{version}", (address,))
        # With one port there is nothing to tell apart, and a shorter key is found faster.
        bound = (address, "ether_addr", "ifname") if len(frame.ports) > 1 else (address, "ether_addr")
        for cut in ("", "cut_"):
            yield ElementSet(f"{cut}bound{version}", bound, size=MOST_ADDRESSES)
            yield ElementSet(f"{cut}free{version}", (address,))
        for way in ("cut_from", "cut_to", "from", "to", *(("cell_from", "cell_to") if cells else ())):
            yield ElementSet(f"{way}{version}", (address,), verdicts=())
        yield ElementSet(f"allowed{version}", (address, address, "inet_proto", "inet_service"), flags=("timeout",))
        for name, networks in (("remediation", frame.remediation), ("onboarding", frame.onboarding)):
            yield _networks(f"{name}{version}", networks, version)
        if Peers(Kind.LOCAL_NETWORKS) not in classes:
            yield _networks(f"local{version}", frame.site.local_networks, version)
        if cells:
            yield ElementSet(f"incell{version}", (address,))
        for cell in cells:
            yield ElementSet(f"{_cell(cell)}_{version}", (address,), comment=comment(f"cell {cell}"))
        for dns in sorted(names):
            known = sorted(one for one in frame.site.names.get(dns, ()) if one.version == version)
            elements = tuple((str(one),) for one in known)
            # A resolver adds what a name stands for now, each with its time.
            yield ElementSet(name_set(dns, version), (address,), elements, ("timeout",), comment=comment(dns))
        for peers in sorted(classes, key=lambda one: (one.kind.value, one.name)):
            if peers.kind is Kind.LOCAL_NETWORKS:
                yield _networks(f"local{version}", frame.site.local_networks, version)
                continue
            fixed = sorted(one for one in frame.site.peers.get(peers, ()) if one.version == version)
            said = comment(f"{peers.kind.value} {peers.name}".strip())
            yield ElementSet(peer_set(peers, version), (address,), tuple((str(one),) for one in fixed), comment=said)


def _networks(name: str, networks: Iterable[Network], version: int) -> ElementSet:
    mine = sorted(collapse_addresses([one for one in networks if one.version == version]))  # type: ignore[type-var]
    return ElementSet(name, (_TYPE[version],), tuple((str(one),) for one in mine), ("interval",))


def _zone_chain(circle: Circle, side: Side) -> str:
    return f"{circle.value}_{'from' if side is Side.FROM_DEVICE else 'to'}"


def _zone_chains(frame: Frame) -> Iterator[Chain]:
    """What a device may do in each circle that is not its profile."""
    let = (Counter(), Verdict("return"))
    lease = Rule((Match("udp sport", 68), Match("udp dport", 67), *let), "lease")
    hosts: dict[Circle, str] = {Circle.QUARANTINE: "remediation", Circle.ONBOARDING: "onboarding"}
    resolvers = frame.site.controller(DNS_CONTROLLER)
    for circle in Circle:
        if circle is Circle.PROFILE:
            continue
        for side in Side:
            name = _zone_chain(circle, side)
            deny = f"deny_{name}"
            rules: list[Rule] = []
            far = "daddr" if side is Side.FROM_DEVICE else "saddr"
            if side is Side.FROM_DEVICE and circle is not Circle.NOTHING:
                rules.append(lease)
            if circle in hosts:
                for version in _VERSIONS:
                    match = Match(f"{_IP[version]} {far}", f"@{hosts[circle]}{version}")
                    rules.append(Rule((match, *let), hosts[circle]))
            if circle in (Circle.ONBOARDING, Circle.GUEST) and side is Side.FROM_DEVICE:
                for resolver in resolvers:
                    for transport in ("udp", "tcp"):
                        to = Match(f"{_IP[resolver.version]} daddr", str(resolver))
                        rules.append(Rule((to, Match(f"{transport} dport", 53), *let), "dns"))
            if circle is Circle.GUEST and side is Side.FROM_DEVICE:
                for version in _VERSIONS:
                    local = Match(f"{_IP[version]} daddr", f"@local{version}")
                    rules.append(Rule((local, Verdict("goto", deny)), "guests see no local network"))
                rules.append(Rule(let, "internet"))
            yield deny_chain(deny, f"{side.value} denied", f"bastide {side.value} zone {circle.value}")
            yield Chain(name, (*rules, Rule((Verdict("goto", deny),))))


def _cell(name: str) -> str:
    return identifier("cell", name)


def _cell_chains(cells: list[str], frame: Frame) -> Iterator[Chain]:
    """Inside a cell all may talk as their profiles say; its border is crossed by conduits only."""
    if not cells:
        return
    yield deny_chain("deny_conduit", "no conduit", "bastide from-device conduit")
    for cell in cells:
        for way, far in (("from", "daddr"), ("to", "saddr")):
            rules: list[Rule] = []
            for version in _VERSIONS:
                rules.append(
                    Rule((Match(f"{_IP[version]} {far}", f"@{_cell(cell)}_{version}"), Verdict("return")), "inside")
                )
            for conduit in frame.conduits:
                near, other = (conduit.source, conduit.destination)
                if way == "to":
                    near, other = other, near
                if near != cell or (other != "*" and other not in cells):
                    continue
                for version in _VERSIONS:
                    match = (
                        Match(f"{_IP[version]} {far}", f"@incell{version}", negated=True)
                        if other == "*"
                        else Match(f"{_IP[version]} {far}", f"@{_cell(other)}_{version}")
                    )
                    port = Match(f"{conduit.transport.value} dport", conduit.port)
                    said = comment(f"conduit {conduit.source} to {conduit.destination}")
                    rules.append(Rule((match, port, Counter(), Verdict("return")), said))
            yield Chain(f"{_cell(cell)}_{way}", (*rules, Rule((Verdict("goto", "deny_conduit"),))))


def _pair(ip: str, frame: Frame) -> str:
    """What must belong together; with one port, that is looked at apart."""
    return f"{ip} saddr . ether saddr" + (" . iifname" if len(frame.ports) > 1 else "")


def _judge(frame: Frame, cells: list[str]) -> Iterator[Chain]:
    yield deny_chain("deny_spoofed", "a device's address from elsewhere", "bastide spoofed")
    yield deny_chain("deny_stranger", "to an unknown device", "bastide to-device stranger")
    discovery = (Match("icmpv6 type", (133, 136)), Match("ip6 hoplimit", 255))
    near = [
        Rule((*discovery, where, Verdict("accept")))
        for where in (Match("ip6 daddr", "ff02::/16"), Match("fib daddr type", "local"))
    ]
    arrived: list[Rule] = []
    for cut, then in (("", "judged"), ("cut_", "cut")):
        for version, ip in _IP.items():
            arrived.append(Rule((Match(_pair(ip, frame), f"@{cut}bound{version}"), Verdict("goto", then))))
    for cut, then in (("", "judged"), ("cut_", "cut")):
        for version, ip in _IP.items():
            arrived.append(Rule((Match(f"{ip} saddr", f"@{cut}free{version}"), Verdict("goto", then))))
    arrived.append(Rule((Match("ether saddr", "@hardware"), Verdict("jump", "unbound"))))
    arrived.append(Rule((Match("ether saddr", "@hardware"), Verdict("goto", "judged"))))
    for version, ip in _IP.items():
        arrived.append(Rule((Match(f"{ip} saddr", f"@member{version}"), Verdict("goto", "deny_spoofed"))))
    arrived += near
    arrived.append(Rule((Verdict("goto", _zone_chain(Circle.ONBOARDING, Side.FROM_DEVICE)),), "who is not known"))

    judged: list[Rule] = [Rule((_OPEN, Verdict("accept"))), *near]
    judged += [Rule((Lookup(f"{ip} daddr", f"cut_to{version}"),)) for version, ip in _IP.items()]
    for version, ip in _IP.items():
        flow = Match(f"{ip} saddr . {ip} daddr . meta l4proto . th dport", f"@allowed{version}")
        judged.append(Rule((flow, Counter(), Verdict("accept")), "exception"))
    if cells:
        for end, way in (("saddr", "cell_from"), ("daddr", "cell_to")):
            judged += [Rule((Lookup(f"{ip} {end}", f"{way}{version}"),)) for version, ip in _IP.items()]
    judged += [Rule((Lookup(f"{ip} saddr", f"from{version}"),)) for version, ip in _IP.items()]
    judged += [Rule((Lookup(f"{ip} daddr", f"to{version}"),)) for version, ip in _IP.items()]
    for port in sorted(frame.ports):
        for version, ip in _IP.items():
            unicast = Match("fib daddr type", "unicast")
            stranger = Match(f"{ip} daddr", f"@member{version}", negated=True)
            judged.append(
                Rule((unicast, Match("fib daddr oifname", f'"{port}"'), stranger, Verdict("goto", "deny_stranger")))
            )
    yield Chain("judged", tuple(judged))
    cut_from = [Rule((Lookup(f"{ip} saddr", f"cut_from{version}"),)) for version, ip in _IP.items()]
    yield Chain("cut", (*cut_from, Rule((Verdict("goto", "judged"),))))
    yield Chain("arrived", tuple(arrived))
    # Most packets are a device's, on an open connection: one rule is all that they meet.
    base: list[Rule] = []
    for version, ip in _IP.items():
        known = Match(_pair(ip, frame), f"@bound{version}")
        if len(frame.ports) > 1:
            base.append(Rule((_OPEN, known, Verdict("accept"))))
        else:
            base.append(
                Rule(
                    (Match("iif" if frame.there else "iifname", f'"{frame.ports[0]}"'), _OPEN, known, Verdict("accept"))
                )
            )
    base += [Rule((Match("iifname", f'"{port}"'), Verdict("goto", "arrived"))) for port in sorted(frame.ports)]
    for version, ip in _IP.items():
        base.append(Rule((Match(f"{ip} saddr", f"@member{version}"), Verdict("goto", "deny_spoofed"))))
    base.append(Rule((Verdict("goto", "judged"),)))
    yield Chain("judge", tuple(base), hook="prerouting", priority=0, policy="accept")
