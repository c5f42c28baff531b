"""A packet that a gateway denied, explained by the entry that is missing; and entries that nothing uses. Pure.

The missing entry is what a person would add to permit exactly this: one peer, one protocol, one port. An entry that
would have matched but for one thing is named beside it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Any

from bastide.network.profile.mud.words import ICMP, ICMPV6, TCP, UDP, Entry, Kind, MUDFile, Peers, Side
from bastide.network.segmentation.site import LOCAL_NETWORKS, Address

_PROTOCOLS = {TCP: "TCP", UDP: "UDP", ICMP: "ICMP", ICMPV6: "ICMPv6"}


_OTHERS = ("conduit", "unbound", "spoofed", "stranger")


@dataclass(frozen=True, slots=True)
class Flow:
    """What opened, as far as its first packet says."""

    source: Address
    destination: Address
    protocol: int
    port: int = 0

    @property
    def what(self) -> str:
        name = _PROTOCOLS.get(self.protocol, f"protocol {self.protocol}")
        return f"{name} port {self.port}" if self.protocol in (TCP, UDP) else name


@dataclass(frozen=True, slots=True)
class Explained:
    missing: str
    nearest: str = ""


def flow_of(payload: bytes) -> Flow | None:
    """The flow of a packet from its IP header on; None where that is cut off or is no IP."""
    if len(payload) >= 20 and payload[0] >> 4 == 4:
        size = (payload[0] & 15) * 4
        ends = ip_address(payload[12:16]), ip_address(payload[16:20])
        protocol, first = payload[9], not int.from_bytes(payload[6:8], "big") & 0x1FFF
    elif len(payload) >= 40 and payload[0] >> 4 == 6:
        size, protocol, first = 40, payload[6], True
        ends = ip_address(payload[8:24]), ip_address(payload[24:40])
    else:
        return None
    port = 0
    if protocol in (TCP, UDP) and first and len(payload) >= size + 4:
        port = int.from_bytes(payload[size + 2 : size + 4], "big")
    return Flow(ends[0], ends[1], protocol, port)


def denied_by(prefix: str) -> str:
    """What denied a packet, by the prefix of its log line: ``profile``, the circle's name where the device is held to that
    alone, ``conduit``, or what was wrong with the sender (``unbound``, ``spoofed``, ``stranger``)."""
    words = prefix.split()
    said = words[2:] if words[1:2] and words[1] in (Side.FROM_DEVICE.value, Side.TO_DEVICE.value) else words[1:]
    if said[:1] == ["zone"] and len(said) == 2:
        return said[1]
    return said[0] if len(said) == 1 and said[0] in _OTHERS else "profile"


def explain(flow: Flow, side: Side, profile: MUDFile | None, names: Iterable[str] = ()) -> Explained:
    """``names`` are those that the peer's address was resolved from."""
    peer = flow.destination if side is Side.FROM_DEVICE else flow.source
    known = sorted(names)
    whom = f"{known[0]} ({peer})" if known else str(peer)
    way = "to" if side is Side.FROM_DEVICE else "from"
    missing = f"{side.value}: {flow.what} {way} {whom}"
    if profile is None:
        return Explained(missing)
    for one in profile.policy(side):
        for entry in one.entries:
            if why := _but_for(entry, flow, peer, set(known), side):
                return Explained(missing, f"{entry.name} permits it but for {why}")
    return Explained(missing)


def _but_for(entry: Entry, flow: Flow, peer: Address, names: set[str], side: Side) -> str:
    """What alone keeps an entry from matching; empty where it is more than one thing."""
    network, name = (
        (entry.destination, entry.destination_name) if side is Side.FROM_DEVICE else (entry.source, entry.source_name)
    )
    if entry.initiated not in (None, side):
        return ""  # it speaks of answers only
    wrong: list[str] = []
    if entry.version not in (None, peer.version):
        return ""
    if (network is not None and (network.version != peer.version or peer not in network)) or (
        name and name not in names
    ):
        wrong.append(f"the peer ({name or network})")
    elif others := [one for one in entry.peers if not _is(one, peer)]:
        wrong.append(f"the peer ({others[0].name or others[0].kind.value})")
    if entry.protocol not in (None, flow.protocol):
        wrong.append("the protocol")
    elif entry.destination_ports is not None and not entry.destination_ports.holds(flow.port):
        ports = entry.destination_ports
        wrong.append(f"the port ({ports.low})" if ports.low == ports.high else f"the port ({ports.low}-{ports.high})")
    return wrong[0] if len(wrong) == 1 else ""


def _is(peers: Peers, peer: Address) -> bool:
    """Whether a peer is of a class, as far as that can be said without knowing the site."""
    local = any(peer in one for one in LOCAL_NETWORKS if one.version == peer.version)
    return peers.kind is Kind.LOCAL_NETWORKS and local


def entry_counters(listing: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], int]:
    """Packets that opened something, by chain and the comment of its rule, from libnftables JSON with counters."""
    found: dict[tuple[str, str], int] = {}
    for one in listing:
        rule = one.get("rule", {})
        for expression in rule.get("expr", ()):
            counter = expression.get("counter")
            if isinstance(counter, dict) and rule.get("comment"):
                key = (str(rule["chain"]), str(rule["comment"]))
                found[key] = found.get(key, 0) + int(counter["packets"])
    return found


class Usage:
    """When each permitted entry was last used, from counters that begin again whenever rules are replaced."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], int] = {}
        self.used: dict[tuple[str, str], datetime] = {}
        self.since: dict[tuple[str, str], datetime] = {}

    def observe(self, counters: Mapping[tuple[str, str], int], now: datetime) -> None:
        for key, packets in counters.items():
            self.since.setdefault(key, now)
            if packets and packets != self._last.get(key):
                self.used[key] = now
            self._last[key] = packets
        for key in set(self._last) - set(counters):
            for table in (self._last, self.used, self.since):
                table.pop(key, None)

    def unused(self, now: datetime, span: timedelta) -> list[tuple[str, str]]:
        """Entries that were there for at least ``span`` and not used in it: proposed for removal."""
        return sorted(key for key, since in self.since.items() if now - self.used.get(key, since) >= span)
