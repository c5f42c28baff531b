"""From a survey's tables to devices: which addresses are a device's own, what it serves, whom it speaks to.

A MAC address that forwards for others (a gateway) sends packets with many source addresses; only those that ARP or DHCP
bind to it, or that cannot be anyone else's, are called its own. What was said from other addresses was said by others.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address, ip_address

import numpy as np

from bastide.network.traffic.kernel.tables import (
    BOUND,
    BY_IPV4,
    BY_MAC,
    D_BYTES_RECEIVED,
    D_BYTES_SENT,
    D_FIRST,
    D_HIGH,
    D_KIND,
    D_LAST,
    D_LOW,
    D_PROTOCOLS,
    D_RECEIVED,
    D_SENT,
    IPV6_FLAG,
    KIND_SHIFT,
    P_COUNT,
    P_DEVICE,
    P_EXTRA,
    P_HIGH,
    P_LOW,
    PEER,
    SERVICE,
    SOURCE,
)
from bastide.network.traffic.survey import Fact, Key, Seen, Survey
from bastide.network.traffic.words import PROTOCOLS, name_of

Address = IPv4Address | IPv6Address
Vendor = Callable[[str], str | None]

MAX_OWN = 4
"""Source addresses of one family that one host has without being a router: address, link-local, old lease, alias."""


@dataclass(frozen=True, slots=True)
class Service:
    """A port on which the device answered. ``protocol`` is ``tcp`` where the content told nothing."""

    port: int
    transport: str
    protocol: str


@dataclass(frozen=True, slots=True)
class SeenDevice:
    """One device of a survey."""

    key: Key
    mac: str | None
    ips: tuple[str, ...]
    vendor: str | None
    randomised: bool
    gateway: bool
    hostnames: tuple[str, ...]
    protocols: tuple[str, ...]
    services: tuple[Service, ...]
    peers: int
    packets: int
    bytes: int
    first_seen: datetime
    last_seen: datetime
    facts: dict[Fact, Seen] = field(default_factory=dict)
    by_word: dict[str, list[tuple[str, int]]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        said: dict[str, list[tuple[str, int]]] = {}
        for fact, seen in self.facts.items():
            said.setdefault(fact.word, []).append((fact.value, seen.times))
        object.__setattr__(self, "by_word", said)

    @property
    def name(self) -> str:
        return self.mac or (self.ips[0] if self.ips else "unknown")

    def values(self, *words: str) -> tuple[str, ...]:
        """What was said under these words, most often first, each value once."""
        found: dict[str, int] = {}
        for word in words:
            for value, times in self.by_word.get(word, ()):
                found[value] = found.get(value, 0) + times
        return tuple(sorted(found, key=lambda value: (-found[value], value))) if found else ()


def moment(nanoseconds: int) -> datetime:
    """A capture's time as a UTC datetime, to the microsecond."""
    seconds, rest = divmod(max(nanoseconds, 0), 1_000_000_000)
    try:
        return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest // 1000)
    except (OverflowError, ValueError, OSError):
        return datetime.fromtimestamp(0, UTC)


def address_of(six: bool, high: int, low: int) -> Address:
    """An IP address from its two halves, as the kernel's tables hold it."""
    if six:
        return IPv6Address(((high & 0xFFFFFFFFFFFFFFFF) << 64) | (low & 0xFFFFFFFFFFFFFFFF))
    return IPv4Address(low & 0xFFFFFFFF)


def mac_text(number: int) -> str:
    return number.to_bytes(6, "big").hex(":")


def _local(address: Address) -> bool:
    return address.is_private and not address.is_unspecified


class _Pairs:
    """The pair table, by device."""

    def __init__(self, survey: Survey) -> None:
        tables = survey.tables
        rows = tables.pairs[np.flatnonzero(tables.pair_tags)].tolist()
        self.sources: dict[int, dict[Address, int]] = defaultdict(dict)
        self.bound: dict[int, set[Address]] = defaultdict(set)
        self.services: dict[int, list[tuple[Address, int]]] = defaultdict(list)
        self.peers: dict[int, int] = defaultdict(int)
        for row in rows:
            owner = row[P_DEVICE]
            kind, device = owner >> KIND_SHIFT, owner & 0xFFFFFFFF
            six = bool(owner & IPV6_FLAG)
            if kind == PEER:
                self.peers[device] += 1
                continue
            address = address_of(six, row[P_HIGH], row[P_LOW])
            if kind == SOURCE:
                self.sources[device][address] = row[P_COUNT]
            elif kind == BOUND:
                self.bound[device].add(address)
            elif kind == SERVICE:
                self.services[device].append((address, row[P_EXTRA]))
        self.holders: dict[Address, set[int]] = defaultdict(set)
        for device, addresses in self.bound.items():
            for address in addresses:
                self.holders[address].add(device)


def _own(
    sources: dict[Address, int], bound: set[Address], device: int, holders: dict[Address, set[int]], local_net: bool
) -> tuple[set[Address], bool]:
    """(the device's own addresses, whether it forwards for others)."""
    own = set(bound)
    rest = [
        address
        for address in sources
        if address not in own
        and not address.is_unspecified
        and not address.is_multicast
        and not (holders.get(address, set()) - {device})
    ]
    own.update(address for address in rest if address.is_link_local)
    others = [address for address in rest if not address.is_link_local]
    forwards = False
    for version in (4, 6):
        candidates = [address for address in others if address.version == version]
        near = [address for address in candidates if _local(address)]
        far = [address for address in candidates if not _local(address)]
        if far and version == 4 and (local_net or bound or len(far) > MAX_OWN):
            forwards = True
        elif version == 4:
            own.update(far)
        if len(near) <= MAX_OWN:
            own.update(near)
        else:
            forwards = True
        if version == 6 and far:
            if forwards or len(far) > MAX_OWN:
                forwards = True
            else:
                own.update(far)
    return own, forwards


def _hostnames(values: Iterable[str]) -> tuple[str, ...]:
    """Names, each once whatever its case, without the local domain."""
    found: dict[str, str] = {}
    for value in values:
        name = value.strip().rstrip(".").removesuffix(".local")
        if name and name.lower() not in ("localhost", "(none)"):
            found.setdefault(name.lower(), name)
    return tuple(found.values())[:16]


def _masked(low: int, high: int) -> list[str]:
    bits = low | (high << 60)
    return [name for number, name in enumerate(PROTOCOLS) if bits >> number & 1 and name != "unknown"]


def _services(found: list[tuple[Address, int]], own: set[Address]) -> tuple[Service, ...]:
    named: dict[tuple[int, str], str] = {}
    for address, packed in found:
        if address not in own:
            continue
        protocol, transport, port = name_of(packed >> 32), (packed >> 16) & 0xFFFF, packed & 0xFFFF
        where = (port, {6: "tcp", 17: "udp"}.get(transport, str(transport)))
        if where not in named or named[where] in ("tcp", "udp"):
            named[where] = protocol
    kept = [
        Service(port, transport, protocol)
        for (port, transport), protocol in named.items()
        if transport == "tcp" or port < 32768
    ]
    return tuple(sorted(kept, key=lambda service: (service.transport, service.port)))[:64]


def devices_of(survey: Survey, vendor: Vendor) -> tuple[SeenDevice, ...]:
    """All devices that sent something, busiest first. ``vendor`` names the maker of a MAC address, offline."""
    tables = survey.tables
    pairs = _Pairs(survey)
    facts: dict[Key, list[tuple[tuple[int, int, int], dict[Fact, Seen]]]] = defaultdict(list)
    for speaker, said in survey.facts.items():
        facts[speaker.device].append(((speaker.family, speaker.high, speaker.low), said))
    rows = [
        (number, row)
        for number, row in zip(
            np.flatnonzero(tables.device_tags).tolist(),
            tables.devices[np.flatnonzero(tables.device_tags)].tolist(),
            strict=True,
        )
        if row[D_SENT] > 0
    ]
    local_net = any(
        _local(address) and not address.is_link_local
        for sources in pairs.sources.values()
        for address in sources
        if address.version == 4
    )
    found: list[SeenDevice] = []
    for number, row in rows:
        key = Key(row[D_KIND], row[D_HIGH], row[D_LOW])
        if key.kind == BY_MAC:
            own, forwards = _own(
                pairs.sources.get(number, {}), pairs.bound.get(number, set()), number, pairs.holders, local_net
            )
        else:
            own, forwards = {address_of(key.kind != BY_IPV4, key.high, key.low)}, False
            if local_net and not any(_local(address) for address in own):
                continue  # a far end in a capture without link addresses is a peer, not a device of this network
        merged: dict[Fact, Seen] = {}
        for (family, high, low), said in facts.get(key, []):
            for fact, seen in said.items():
                if fact.word == "address" and key.kind == BY_MAC and family == 0:
                    own.add(ip_address(fact.value))
                if family and address_of(family == 6, high, low) not in own and not _unspecified(family, high, low):
                    continue
                before = merged.get(fact)
                merged[fact] = (
                    Seen(before.times + seen.times, min(before.first, seen.first), max(before.last, seen.last))
                    if before
                    else seen
                )
        mac = mac_text(key.low) if key.kind == BY_MAC else None
        randomised = key.kind == BY_MAC and bool(key.low >> 41 & 1)
        names = [fact.value for fact in merged if fact.word == "hostname"]
        shown = sorted(own, key=lambda address: (address.version, address.is_link_local, int(address)))
        found.append(
            SeenDevice(
                key=key,
                mac=mac,
                ips=tuple(str(address) for address in shown)[:32],
                vendor=vendor(mac) if mac and not randomised else None,
                randomised=randomised,
                gateway=forwards,
                hostnames=_hostnames(names),
                protocols=tuple(_masked(row[D_PROTOCOLS], row[D_PROTOCOLS + 1])),
                services=_services(pairs.services.get(number, []), own),
                peers=pairs.peers.get(number, 0),
                packets=row[D_SENT] + row[D_RECEIVED],
                bytes=row[D_BYTES_SENT] + row[D_BYTES_RECEIVED],
                first_seen=moment(row[D_FIRST]),
                last_seen=moment(row[D_LAST]),
                facts=merged,
            )
        )
    found.sort(key=lambda device: (-device.packets, device.name))
    return tuple(found)


def _unspecified(family: int, high: int, low: int) -> bool:
    """A client without a lease speaks from 0.0.0.0 or ``::``: it is still the one with this MAC."""
    return high == 0 and low == 0 and family in (4, 6)
