"""An entry of a profile as rules of nftables.

* A rule judges only what *opens* a flow (what answers is accepted by connection tracking before any chain of a
  profile). So an entry of TCP that says who opens makes a rule on that side alone: the other side cannot open
  (RFC 8520, section 8.4). Answers of ICMP open nothing: connection tracking calls them invalid without their question.
* The peers of an entry are the destination of what the device sends, and the source of what is sent to it (section 8).
* Link-layer entries say nothing that a router could keep to: frames that are not IP never cross it.
* Fragments are put together before they are judged. A hop-by-hop header (IPv6 protocol 0) is no protocol: such an
  entry is taken for what is sent behind one, multicast listener reports (RFC 3810), so that the header opens nothing.
"""

from collections.abc import Iterator

from bastide.network.profile.mud.words import (
    FRAGMENT,
    HOP_BY_HOP,
    ICMPV6,
    TCP,
    UDP,
    Action,
    Entry,
    Kind,
    ListType,
    Peers,
    Ports,
    Side,
)
from bastide.network.segmentation.ruleset import Counter, Match, Rule, Statement, Value, Verdict, comment, identifier

_ADDRESS = {4: "ip", 6: "ip6"}
_ICMP = {4: "icmp", 6: "icmpv6"}
_ETHERTYPE = {4: 0x0800, 6: 0x86DD}
_PORTS = {TCP: "tcp", UDP: "udp"}


def name_set(name: str, version: int) -> str:
    """The set that holds what a DNS name stands for now; one for all profiles that use the name."""
    return identifier(f"name{version}", name)


def peer_set(peers: Peers, version: int) -> str:
    """The set of a class of peers; ``same-manufacturer`` must be resolved to its manufacturer before."""
    if peers.kind is Kind.LOCAL_NETWORKS:
        return f"local{version}"
    return identifier(f"{peers.kind.value.replace('-', '_')}{version}", peers.name)


def resolved(peers: Peers, authority: str) -> Peers:
    """``same-manufacturer`` and ``my-controller`` belong to a profile; the others are what they are."""
    if peers.kind is Kind.SAME_MANUFACTURER:
        return Peers(Kind.MANUFACTURER, authority)
    return peers


def versions(entry: Entry, of: ListType) -> tuple[int, ...]:
    """The IP versions that an entry speaks of; none for what stays on the link."""
    if of is ListType.ETHERNET:
        return ()
    possible = (entry.version,) if entry.version else (4, 6)
    if entry.ethernet is not None and entry.ethernet.ethertype is not None:
        return tuple(one for one in possible if _ETHERTYPE[one] == entry.ethernet.ethertype)
    return possible


def opens(entry: Entry, side: Side) -> bool:
    """Whether packets of this side can open what the entry describes."""
    return entry.initiated in (None, side) and entry.protocol != FRAGMENT


def entry_rules(entry: Entry, of: ListType, side: Side, authority: str, deny: str) -> Iterator[Rule]:
    """The rules of one entry, in the order in which they must stand; ``deny`` is the chain that logs and drops."""
    if not opens(entry, side):
        return
    said = comment(f"{side.value} {entry.name}")
    for version in versions(entry, of):
        for statements in _matches(entry, version, side, authority):
            yield Rule((*statements, *_verdict(entry.action, deny)), said)


def _verdict(action: Action, deny: str) -> tuple[Statement, ...]:
    if action is Action.ACCEPT:
        # Not `accept`: what one device may send, another may still not receive.
        return (Counter(), Verdict("return"))
    if action is Action.REJECT:
        return (Counter(), Verdict("reject"))
    return (Counter(), Verdict("goto", deny))


def _matches(entry: Entry, version: int, side: Side, authority: str) -> Iterator[tuple[Statement, ...]]:
    ip = _ADDRESS[version]
    found: list[Match] = []
    for end, network, name in (
        ("saddr", entry.source, entry.source_name),
        ("daddr", entry.destination, entry.destination_name),
    ):
        if network is not None and network.prefixlen:
            found.append(Match(f"{ip} {end}", network))
        if name:
            found.append(Match(f"{ip} {end}", f"@{name_set(name, version)}"))
    far = "daddr" if side is Side.FROM_DEVICE else "saddr"
    for peers in entry.peers:
        found.append(Match(f"{ip} {far}", f"@{peer_set(resolved(peers, authority), version)}"))
    found += _ethernet(entry)
    found += _protocol(entry, version)
    if not any(match.field.split(" ")[0] in (ip, _ICMP[version]) for match in found):
        found.insert(0, Match("meta nfproto", "ipv4" if version == 4 else "ipv6"))
    yield tuple(found)


def _ethernet(entry: Entry) -> Iterator[Match]:
    """A source address on the wire is that of the device, or of the last router: it is matched. The destination is the
    gateway itself for whatever it forwards; only a broadcast or group address is a match that can hold."""
    if entry.ethernet is None:
        return
    if entry.ethernet.source:
        yield Match("ether saddr", entry.ethernet.source)
    if entry.ethernet.destination:
        yield Match("ether daddr", entry.ethernet.destination)


def _protocol(entry: Entry, version: int) -> Iterator[Match]:
    if entry.protocol is None:
        return
    if version == 6 and entry.protocol == HOP_BY_HOP:
        yield Match("ip6 nexthdr", HOP_BY_HOP)
        yield Match("meta l4proto", ICMPV6)
        return
    found: list[Match] = []
    if entry.protocol in _PORTS:
        for end, ports in (("sport", entry.source_ports), ("dport", entry.destination_ports)):
            if ports is not None and not (ports.low == 0 and ports.high == 65535):
                found.append(Match(f"{_PORTS[entry.protocol]} {end}", _ports(ports), negated=ports.negated))
    if entry.icmp is not None:
        for name, value in (("type", entry.icmp.type), ("code", entry.icmp.code)):
            if value is not None:
                found.append(Match(f"{_ICMP[version]} {name}", value))
    # nft tests the protocol by itself before it looks at a port or a type.
    yield from found or [Match("meta l4proto", entry.protocol)]


def _ports(ports: Ports) -> Value:
    return ports.low if ports.low == ports.high else (ports.low, ports.high)
