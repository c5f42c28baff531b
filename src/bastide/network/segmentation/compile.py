"""Profiles and the devices that keep to them, compiled to one nftables ruleset. The same input gives the same octets.

The table has **one base chain**, at prerouting, where a packet of a device is seen whether it is forwarded, meant for
the gateway itself, or a broadcast. In it, in this order:

1. a device's hardware may use its own addresses only, and its addresses only its hardware (where its MAC is known)
2. neighbour discovery on the link and with the gateway is let through: without it there is no IPv6 (RFC 4861)
3. what belongs to an open connection is accepted
4. a verdict map takes what a device sends to its profile's chain, and a second one what is sent to a device; a packet
   between two devices must pass both, so a permitted one *returns* and is not accepted
5. what is invalid for connection tracking is denied to devices, and what a profile's chain does not return is denied

A profile has two chains however many devices keep to it: devices are elements. What is denied goes to a chain of its
side, which counts it and logs some of it to a group with the profile in its prefix; the packet names the device.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Network, collapse_addresses

from bastide.core.error import Refused
from bastide.network.profile.mud.words import (
    DNS_CONTROLLER,
    GATEWAY_CONTROLLER,
    NTP_CONTROLLER,
    TCP,
    UDP,
    Entry,
    Kind,
    ListType,
    MUDFile,
    Note,
    Peers,
    Ports,
    Side,
)
from bastide.network.segmentation.rules import entry_rules, name_set, opens, peer_set, resolved, versions
from bastide.network.segmentation.ruleset import (
    Chain,
    Counter,
    ElementSet,
    Log,
    Lookup,
    Match,
    Rule,
    Ruleset,
    Verdict,
    comment,
    identifier,
)
from bastide.network.segmentation.site import Address, Assignment, Site

TABLE = "bastide"
LOG_GROUP = 5
LOGGED_PER_SECOND, LOG_BURST = 10, 50
_ND_TYPES = (133, 136)
_TYPE = {4: "ipv4_addr", 6: "ipv6_addr"}
_IP = {4: "ip", 6: "ip6"}
_VERSIONS = (4, 6)
_LINK_LOCAL, _LINK_GROUPS = IPv6Network("fe80::/10"), IPv6Network("ff02::/16")


@dataclass(frozen=True, slots=True)
class Compiled:
    """The ruleset, and what an operator should know of it."""

    ruleset: Ruleset
    notes: tuple[Note, ...]


def compile_site(assignments: Sequence[Assignment], site: Site) -> Compiled:
    """One ruleset for all devices of a gateway. Refuses an address that two devices claim."""
    ordered = sorted(assignments, key=lambda one: one.profile.url)
    _no_address_twice(ordered)
    if len({one.profile.url for one in ordered}) != len(ordered):
        raise Refused(
            "Two assignments have one profile; put their devices together.", code="segmentation:profile:twice"
        )
    chains: list[Chain] = []
    for one in ordered:
        chains += profile_chains(one.profile)
    chains += [unbound_chain(), _judge(ordered)]
    sets = (*_device_maps(ordered), *_bindings(ordered), *_peer_sets(ordered, site))
    return Compiled(Ruleset(TABLE, sets, tuple(chains)), tuple(_notes(ordered, site)))


def implicit_entries() -> tuple[Entry, ...]:
    """RFC 8520, section 4: local DNS and NTP are permitted; and a lease must be renewed (RFC 2131)."""
    dns, ntp, gateway = (Peers(Kind.CONTROLLER, one) for one in (DNS_CONTROLLER, NTP_CONTROLLER, GATEWAY_CONTROLLER))
    return (
        Entry("default dns-udp", protocol=UDP, destination_ports=Ports(53, 53), peers=(dns,)),
        Entry("default dns-tcp", protocol=TCP, destination_ports=Ports(53, 53), peers=(dns,)),
        Entry("default ntp", protocol=UDP, destination_ports=Ports(123, 123), peers=(ntp,)),
        Entry(
            "default dhcp",
            version=4,
            protocol=UDP,
            source_ports=Ports(68, 68),
            destination_ports=Ports(67, 67),
            peers=(gateway,),
        ),
    )


def profile_chain(profile: MUDFile, side: Side, *, observed: bool = False) -> str:
    """The chain that judges a side of the profile's devices; one of its own for those that are only observed."""
    return ("watch_" if observed else "") + identifier("from" if side is Side.FROM_DEVICE else "to", profile.url)


def deny_chain(name: str, said: str, prefix: str, *, observed: bool = False) -> Chain:
    """What is denied: some of it logged, all of it counted, and dropped unless it is only observed."""
    return Chain(
        name,
        (
            Rule((Log(comment(prefix)[:100] + " ", LOG_GROUP, LOGGED_PER_SECOND, LOG_BURST),)),
            Rule((Counter(), Verdict("return" if observed else "drop")), comment(said)),
        ),
    )


def profile_chains(profile: MUDFile, *, observed: bool = False) -> Iterator[Chain]:
    """A profile's two chains, each after the one where it denies."""
    for side in Side:
        name = profile_chain(profile, side, observed=observed)
        deny = f"deny_{name}"
        mode = "watch" if observed else "bastide"
        said = f"{side.value} {'would be denied' if observed else 'denied'}"
        yield deny_chain(deny, said, f"{mode} {side.value} {profile.url.split('//', 1)[1]}", observed=observed)
        rules: list[Rule] = [Rule((Match("ct state", "invalid"), Verdict("goto", deny)))]
        for one in profile.policy(side):
            for entry in one.entries:
                rules += entry_rules(entry, one.type, side, profile.authority, deny)
        if side is Side.FROM_DEVICE:
            for entry in implicit_entries():
                rules += entry_rules(entry, ListType.MIXED, side, profile.authority, deny)
        rules.append(Rule((Verdict("goto", deny),)))
        # An equal rule further down can never be reached.
        unique = {rule.statements: rule for rule in reversed(rules)}
        yield Chain(
            name, tuple(rule for rule in rules if unique[rule.statements] is rule), comment=comment(profile.url)
        )


def unbound_chain() -> Chain:
    """What a device's hardware may send under another address: what it takes to get one (DHCP, link-local)."""
    let = (Counter(), Verdict("return"))
    return Chain(
        "unbound",
        (
            Rule((Match("ip saddr", "0.0.0.0"), Match("udp sport", 68), Match("udp dport", 67), *let)),  # noqa: S104
            Rule((Match("ip6 saddr", _LINK_LOCAL), Match("udp sport", 546), Match("udp dport", 547), *let)),
            Rule((Match("icmpv6 type", (130, 132)), Match("ip6 hoplimit", 1), *let)),
            Rule((Match("icmpv6 type", 143), Match("ip6 hoplimit", 1), *let)),
            # Only from addresses that no router passes on: a global one would make this a way out.
            Rule((Match("ip6 saddr", _LINK_LOCAL), Match("icmpv6 type", _ND_TYPES), Match("ip6 hoplimit", 255), *let)),
            Rule((Match("ip6 saddr", "::"), Match("icmpv6 type", _ND_TYPES), Match("ip6 hoplimit", 255), *let)),
            Rule((Log("bastide unbound ", LOG_GROUP, LOGGED_PER_SECOND, LOG_BURST),)),
            Rule((Counter(), Verdict("drop")), "address and hardware do not belong together"),
        ),
    )


def _judge(assignments: Sequence[Assignment]) -> Chain:
    rules: list[Rule] = []
    if any(device.mac for one in assignments for device in one.devices):
        for version, ip in _IP.items():
            pair = Match(f"{ip} saddr . ether saddr", f"@bound{version}", negated=True)
            rules.append(Rule((Match("ether saddr", "@hardware"), pair, Verdict("jump", "unbound"))))
            rules.append(Rule((Match(f"{ip} saddr", f"@held{version}"), pair, Verdict("jump", "unbound"))))
    discovery = (Match("icmpv6 type", _ND_TYPES), Match("ip6 hoplimit", 255))
    for near in (Match("ip6 daddr", _LINK_GROUPS), Match("fib daddr type", "local")):
        rules.append(Rule((*discovery, near, Verdict("accept"))))
    rules.append(Rule((Match("ct state", "established,related"), Verdict("accept"))))
    for end, way in (("saddr", "from"), ("daddr", "to")):
        for version, ip in _IP.items():
            rules.append(Rule((Lookup(f"{ip} {end}", f"{way}{version}"),)))
    return Chain("judge", tuple(rules), hook="prerouting", priority=0, policy="accept")


def _device_maps(assignments: Sequence[Assignment]) -> Iterator[ElementSet]:
    for side, way in ((Side.FROM_DEVICE, "from"), (Side.TO_DEVICE, "to")):
        for version in _VERSIONS:
            found = sorted(
                (address, profile_chain(one.profile, side))
                for one in assignments
                for device in one.devices
                for address in device.addresses
                if address.version == version
            )
            yield ElementSet(
                f"{way}{version}",
                (_TYPE[version],),
                tuple((str(address),) for address, _ in found),
                verdicts=tuple(chain for _, chain in found),
            )


def _bindings(assignments: Sequence[Assignment]) -> Iterator[ElementSet]:
    bound = sorted(
        (address.version, address, device.mac)
        for one in assignments
        for device in one.devices
        if device.mac
        for address in device.addresses
    )
    if not bound:
        return
    macs = sorted({mac for _, _, mac in bound})
    yield ElementSet("hardware", ("ether_addr",), tuple((mac,) for mac in macs))
    for version in _VERSIONS:
        mine = [(str(address), mac) for of, address, mac in bound if of == version]
        yield ElementSet(f"held{version}", (_TYPE[version],), tuple((address,) for address, _ in mine))
        yield ElementSet(f"bound{version}", (_TYPE[version], "ether_addr"), tuple(mine))


def _peer_sets(assignments: Sequence[Assignment], site: Site) -> Iterator[ElementSet]:
    names, classes = wanted([one.profile for one in assignments])
    for version in _VERSIONS:
        for name in sorted(names):
            yield ElementSet(
                name_set(name, version),
                (_TYPE[version],),
                _elements(site.names.get(name, ()), version),
                ("timeout",),  # a resolver adds what a name stands for now, each with its time
                comment=comment(name),
            )
        for peers in sorted(classes, key=lambda one: (one.kind.value, one.name)):
            if peers.kind is Kind.LOCAL_NETWORKS:
                local = [one for one in site.local_networks if one.version == version]
                elements = tuple((str(one),) for one in sorted(collapse_addresses(local)))  # type: ignore[type-var]
                yield ElementSet(peer_set(peers, version), (_TYPE[version],), elements, ("interval",))
            else:
                addresses = members_of(peers, assignments, site)
                said = comment(f"{peers.kind.value} {peers.name}".strip())
                yield ElementSet(
                    peer_set(peers, version), (_TYPE[version],), _elements(addresses, version), comment=said
                )


def members_of(peers: Peers, assignments: Iterable[Assignment], site: Site) -> tuple[Address, ...]:
    """Who belongs to a class: whom the site names, and its own devices by their profiles."""
    found = set(site.peers.get(peers, ()))
    for one in assignments:
        mine = (peers.kind is Kind.MANUFACTURER and peers.name == one.profile.authority) or (
            peers.kind is Kind.MODEL and peers.name == one.profile.url
        )
        if mine:
            found |= {address for device in one.devices for address in device.addresses}
    return tuple(found)


def _elements(addresses: Iterable[Address], version: int) -> tuple[tuple[str, ...], ...]:
    mine = sorted(int(one) for one in set(addresses) if one.version == version)
    kind = {int(one): str(one) for one in addresses if one.version == version}
    return tuple((kind[one],) for one in mine)


def wanted(profiles: Iterable[MUDFile]) -> tuple[set[str], set[Peers]]:
    """The names and classes that rules look up."""
    names: set[str] = set()
    classes: set[Peers] = set()
    for profile in profiles:
        for entry in implicit_entries():
            classes |= set(entry.peers)
        for side in Side:
            for acl in profile.policy(side):
                for entry in acl.entries:
                    if opens(entry, side) and versions(entry, acl.type):
                        names |= {name for name in (entry.source_name, entry.destination_name) if name}
                        classes |= {resolved(peers, profile.authority) for peers in entry.peers}
    return names, classes


def _no_address_twice(assignments: Sequence[Assignment]) -> None:
    held: dict[Address, str] = {}
    for one in assignments:
        for device in one.devices:
            for address in device.addresses:
                if address in held:
                    raise Refused(
                        f"{address} is claimed by {held[address]} and by {device.name}.",
                        code="segmentation:device:address-twice",
                    )
                held[address] = device.name


def _notes(assignments: Sequence[Assignment], site: Site) -> Iterator[Note]:
    names, classes = wanted([one.profile for one in assignments])
    for name in sorted(names - set(site.names)):
        yield Note("segmentation:name:empty", f"{name} has no address yet: a resolver must fill its set.")
    for peers in sorted(classes, key=lambda one: (one.kind.value, one.name)):
        if peers.kind is not Kind.LOCAL_NETWORKS and not members_of(peers, assignments, site):
            yield Note(
                "segmentation:class:empty",
                f"Nobody is {peers.kind.value} {peers.name}".rstrip() + ": entries for it permit nothing.",
            )
    for one in assignments:
        for device in one.devices:
            if not device.mac:
                yield Note(
                    "segmentation:device:no-mac",
                    f"{device.name} has no MAC address: under another address it is not recognised.",
                )
        link = [e.name for s in Side for a in one.profile.policy(s) for e in a.entries if not versions(e, a.type)]
        if link:
            yield Note("segmentation:entry:link", "Link-layer entries stay on the wire; no rule is made.", len(link))
        fragments = [e for s in Side for a in one.profile.policy(s) for e in a.entries if e.protocol == 44]
        if fragments:
            yield Note(
                "segmentation:entry:fragment",
                "Entries for fragments need no rule: fragments are judged put together.",
                len(fragments),
            )
