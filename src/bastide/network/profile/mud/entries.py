"""One access control entry (RFC 8519, section 4; RFC 8520, sections 7 and 8): matches and what to do.

A match that is not known here makes an entry wider when it is passed over. So it is refused, never ignored.
"""

import json
from typing import Any

from bastide.network.profile.mud.members import Members, Notes
from bastide.network.profile.mud.names import authority, dns_name, mac, network, uri
from bastide.network.profile.mud.words import (
    ICMP,
    ICMPV6,
    TCP,
    UDP,
    Action,
    Entry,
    Ethernet,
    ICMPMatch,
    Kind,
    ListType,
    MUDRefused,
    Network,
    Peers,
    Ports,
    Side,
)

_CONTAINERS = {"tcp": TCP, "udp": UDP}
_IANA_NAMES = {"tcp": TCP, "udp": UDP, "icmp": ICMP, "icmpv6": ICMPV6, "icmp6": ICMPV6, "ipv6-icmp": ICMPV6}
MAX_TLS = 32 * 1024
"""Characters of one entry's TLS profile."""


def read_entry(value: Any, of: ListType, where: str, notes: Notes) -> Entry | None:
    """The entry, or None (with a note) where no packet can ever match it."""
    members = Members(value, where)
    name = entry_name(members, where, notes)
    where = f"entry {name}"
    action = _action(Members(members.take("actions"), f"actions of {where}"), where, notes)
    matches = Members(members.take("matches") if "matches" in members else {}, f"matches of {where}")
    _nothing_left(members, "mud:entry:unknown")

    version, protocol, ends, dns = _ip(matches, of, where, notes)
    if ends is None:
        return None
    source_ports = destination_ports = None
    initiated = None
    for container, number in _CONTAINERS.items():
        if container in matches:
            protocol = _agreed(protocol, number, container, where)
            transport = Members(matches.take(container), f"{container} of {where}")
            source_ports = _ports(transport, "source-port", notes)
            destination_ports = _ports(transport, "destination-port", notes)
            initiated = _initiated(transport, container, where)
            _nothing_left(transport, "mud:match:unsupported")
    icmp = None
    if "icmp" in matches or "icmpv6" in matches:
        if "icmpv6" in matches:
            notes.add("mud:dialect:icmpv6", "RFC 8519 has one container, icmp, for both IP versions.")
        version, protocol, icmp = _icmp(matches, version, protocol, where)
    entry = Entry(
        name,
        action,
        version,
        protocol,
        ends[0],
        ends[1],
        dns[0],
        dns[1],
        source_ports,
        destination_ports,
        icmp,
        initiated,
        _peers(matches, where, notes),
        _ethernet(matches, where),
        _tls(matches, where),
    )
    _nothing_left(matches, "mud:match:unsupported")
    if of is ListType.ETHERNET and version is not None:
        raise MUDRefused(f"{where} of an Ethernet list matches IP packets.", code="mud:entry:contradiction")
    return entry


def entry_name(members: Members, where: str, notes: Notes, limit: int = 255) -> str:
    """A name of a list or an entry (RFC 8519: 1 to 64 characters; longer ones up to 255 are noted)."""
    name = members.text("name", limit=limit)
    if not name:
        raise MUDRefused(f"{where} has no name.", code="mud:name:missing")
    if len(name) > 64:
        notes.add("mud:dialect:long-name", f"The name {name[:40]}... has more than 64 characters.")
    return name


def _action(actions: Members, where: str, notes: Notes) -> Action:
    text = actions.text("forwarding").removeprefix("ietf-access-control-list:")
    if "logging" in actions:
        actions.take("logging")
        notes.add("mud:ignored:logging", "What is logged is decided by the operator, not by the file.")
    _nothing_left(actions, "mud:entry:unknown")
    try:
        return Action(text)
    except ValueError:
        raise MUDRefused(
            f"{where} says forwarding {text[:40]!r}; accept, drop and reject are known.", code="mud:action:unknown"
        ) from None


def _ip(
    matches: Members, of: ListType, where: str, notes: Notes
) -> tuple[int | None, int | None, tuple[Network | None, Network | None] | None, tuple[str, str]]:
    """IP version, protocol, (source, destination) and their names; no ends at all where nothing can match."""
    both = [version for version in (4, 6) if f"ipv{version}" in matches]
    if len(both) == 2:
        raise MUDRefused(f"{where} matches IPv4 and IPv6 at once.", code="mud:entry:contradiction")
    if not both:
        return {ListType.IPV4: 4, ListType.IPV6: 6}.get(of), None, (None, None), ("", "")
    version = both[0]
    if of in (ListType.IPV4, ListType.IPV6) and of.value != f"ipv{version}":
        raise MUDRefused(f"{where} matches IPv{version} in a list of type {of.value}.", code="mud:entry:contradiction")
    header = Members(matches.take(f"ipv{version}"), f"ipv{version} of {where}")
    protocol = _protocol(header, where, notes)
    ends: list[Network | None] = []
    possible = True
    for end in ("source", "destination"):
        text = header.text(f"{end}-ipv{version}-network", limit=64)
        found = network(text, version, where, notes) if text else None
        possible = possible and not (text and found is None)
        ends.append(found)
    dns = [dns_name(text, where, notes) if (text := header.text(f"{end}-dnsname")) else "" for end in ("src", "dst")]
    _nothing_left(header, "mud:match:unsupported")
    return version, protocol, ((ends[0], ends[1]) if possible else None), (dns[0], dns[1])


def _protocol(header: Members, where: str, notes: Notes) -> int | None:
    if "protocol" not in header:
        return None
    value = header.take("protocol")
    if isinstance(value, str) and value.lower() in _IANA_NAMES:
        notes.add("mud:dialect:protocol-name", "A protocol is written as its number.")
        return _IANA_NAMES[value.lower()]
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 255:
        raise MUDRefused(f"{where} has the protocol {str(value)[:40]!r}.", code="mud:match:protocol")
    return value


def _agreed(protocol: int | None, number: int, container: str, where: str) -> int:
    if protocol not in (None, number):
        raise MUDRefused(
            f"{where} matches {container} and protocol {protocol} at once: no packet is both.",
            code="mud:entry:contradiction",
        )
    return number


def _icmp(matches: Members, version: int | None, protocol: int | None, where: str) -> tuple[int, int, ICMPMatch]:
    container = "icmpv6" if "icmpv6" in matches else "icmp"
    if version is None:
        version = 6 if container == "icmpv6" or protocol == ICMPV6 else 4
    protocol = _agreed(protocol, ICMP if version == 4 else ICMPV6, container, where)
    message = Members(matches.take(container), f"{container} of {where}")
    found = ICMPMatch(message.whole("type", 0, 255), message.whole("code", 0, 255))
    _nothing_left(message, "mud:match:unsupported")
    return version, protocol, found


def _ports(transport: Members, end: str, notes: Notes) -> Ports | None:
    if end not in transport:
        return None
    where = f"{end} of {transport.where}"
    members = Members(transport.take(end), where)
    operator = members.text("operator", limit=16)
    low, high = members.whole("lower-port", 0, 65535), members.whole("upper-port", 0, 65535)
    port = members.whole("port", 0, 65535)
    _nothing_left(members, "mud:match:unsupported")
    if low is not None or high is not None:
        low = 0 if low is None else low
        high = low if high is None else high
        if port is not None or low > high:
            raise MUDRefused(f"{where} is no range of ports.", code="mud:match:ports")
        if operator not in ("", "range", "eq"):
            raise MUDRefused(f"{where} has a range and the operator {operator!r}.", code="mud:match:ports")
        if operator:
            notes.add("mud:dialect:range-operator", "A range of ports has no operator (RFC 8519, section 4.2).")
        return Ports(low, high)
    if port is None:
        raise MUDRefused(f"{where} names no port.", code="mud:match:ports")
    match operator or "eq":
        case "eq":
            return Ports(port, port)
        case "neq":
            return Ports(port, port, negated=True)
        case "lte":
            return Ports(0, port)
        case "gte":
            return Ports(port, 65535)
    raise MUDRefused(f"{where} has the unknown operator {operator!r}.", code="mud:match:ports")


def _initiated(transport: Members, container: str, where: str) -> Side | None:
    text = transport.text("direction-initiated", limit=32)
    if not text:
        return None
    if container != "tcp":
        raise MUDRefused(f"{where} says who opens {container}; only TCP has that.", code="mud:match:unsupported")
    try:
        return Side(text)
    except ValueError:
        raise MUDRefused(f"{where} has the direction {text!r}.", code="mud:match:direction") from None


def _peers(matches: Members, where: str, notes: Notes) -> tuple[Peers, ...]:
    if "mud" not in matches:
        return ()
    if not matches.full_name("mud").startswith("ietf-mud:"):
        notes.add("mud:dialect:unqualified", "The container mud of a match needs its module: ietf-mud:mud.")
    members = Members(matches.take("mud"), f"ietf-mud:mud of {where}")
    found: list[Peers] = []
    for kind in Kind:
        if kind in (Kind.LOCAL_NETWORKS, Kind.SAME_MANUFACTURER, Kind.MY_CONTROLLER):
            if members.empty(kind.value, notes):
                found.append(Peers(kind))
        elif text := members.text(kind.value):
            found.append(Peers(kind, authority(text, where) if kind is Kind.MANUFACTURER else uri(text, where)))
    _nothing_left(members, "mud:match:unsupported")
    return tuple(found)


def _ethernet(matches: Members, where: str) -> Ethernet | None:
    if "eth" not in matches:
        return None
    members = Members(matches.take("eth"), f"eth of {where}")
    source, destination = (members.text(f"{end}-mac-address", limit=32) for end in ("source", "destination"))
    text = members.text("ethertype", limit=32).lower()
    _nothing_left(members, "mud:match:unsupported")
    ethertype = {"": None, "ipv4": 0x0800, "ipv6": 0x86DD, "arp": 0x0806}.get(text, -1)
    if ethertype == -1:
        try:
            ethertype = int(text, 16)
        except ValueError:
            ethertype = -1
        if not 0 <= ethertype <= 0xFFFF:
            raise MUDRefused(f"{where} has the ethertype {text!r}.", code="mud:match:ethertype")
    return Ethernet(mac(source, where) if source else "", mac(destination, where) if destination else "", ethertype)


def _tls(matches: Members, where: str) -> str:
    """RFC 9761, section 5: the (D)TLS profile of an entry, kept as it is."""
    if "client-profiles" not in matches:
        return ""
    text = json.dumps(matches.take("client-profiles"), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    if len(text) > MAX_TLS:
        raise MUDRefused(f"The TLS profile of {where} is too long.", code="mud:match:tls")
    return text


def _nothing_left(members: Members, code: str) -> None:
    if left := members.left():
        raise MUDRefused(
            f"{members.where} has {left[0][:80]!r}, which is not known here; passing it over would change what the file "
            "allows.",
            code=code,
        )
