"""An active look: asking quiet devices what they serve, so that nothing is broken by being asked.

- Only ranges that somebody named, never more than 4,096 hosts; no group, loopback or "this network" addresses.
- Well-formed requests of the protocol that the port is for; where a server greets by itself (SSH, FTP, Telnet) only that is read.
- Ports of protocols whose devices are known to fall over, to act on what they get, or to print it, are never touched, even
  when they are asked for, and a host of which the inventory says that it speaks such a protocol is left out altogether.
- At most 40 packets/s to one host and 1,000/s in all unless somebody asks for less; a probe reserves all packets that it may
  come to before it begins, and one host gets one probe at a time.
- A host that answers none of its first three probes is left alone.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from bastide.core.error import Refused

MAX_HOSTS = 4096
PER_HOST = 40
IN_ALL = 1000
SILENT_AFTER = 3
"""Probes without any answer after which a host is left alone."""

FRAGILE: Final[Mapping[int, str]] = {
    102: "S7comm and other ISO-TSAP",
    502: "Modbus/TCP",
    515: "LPD, which prints what it gets",
    789: "Red Lion Crimson",
    1089: "FF HSE",
    1090: "FF HSE",
    1091: "FF HSE",
    1911: "Niagara Fox",
    1962: "PCWorx",
    2222: "EtherNet/IP I/O",
    2404: "IEC 60870-5-104",
    2455: "CODESYS",
    4000: "Emerson ROC",
    4840: "OPC UA",
    4911: "Niagara Fox",
    5006: "MELSEC-Q",
    5007: "MELSEC-Q",
    5094: "HART-IP",
    9100: "raw printing, which prints what it gets",
    9600: "OMRON FINS",
    18245: "GE SRTP",
    20000: "DNP3",
    20547: "ProConOS",
    34962: "PROFINET",
    34963: "PROFINET",
    34964: "PROFINET",
    44818: "EtherNet/IP",
    47808: "BACnet/IP",
} | dict.fromkeys(range(9101, 9108), "raw printing, which prints what it gets")
"""Ports that are never touched, with the reason."""

FRAGILE_PROTOCOLS: Final = (
    "modbus",
    "s7comm",
    "s7comm-plus",
    "cotp",
    "dnp3",
    "enip",
    "bacnet",
    "iec104",
    "opc-ua",
    "profinet",
    "goose",
)
"""A host that is known to speak one of these gets no probe at all."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What is asked on a port. ``asks`` names the request (empty: listen for a greeting), ``packets`` is how many packets of
    ours it may come to at most, answers' acknowledgements included."""

    port: int
    transport: str
    asks: str
    packets: int = 12


PROBES: Final[Mapping[tuple[str, int], str]] = {
    ("tcp", 21): "",
    ("tcp", 22): "",
    ("tcp", 23): "",
    ("tcp", 25): "",
    ("tcp", 80): "http",
    ("tcp", 443): "tls",
    ("tcp", 554): "rtsp",
    ("tcp", 1883): "mqtt",
    ("tcp", 2323): "",
    ("tcp", 5000): "http",
    ("tcp", 8000): "http",
    ("tcp", 8080): "http",
    ("tcp", 8443): "tls",
    ("tcp", 8554): "rtsp",
    ("tcp", 8883): "tls",
    ("udp", 1900): "ssdp",
    ("udp", 5353): "mdns",
    ("udp", 5683): "coap",
}
"""What is asked where, unless somebody names ports."""

_ASKED_ELSEWHERE = "http"
_UDP_PACKETS = 2


def probes(ports: Sequence[int] = ()) -> tuple[Probe, ...]:
    """The usual probes, or those of the named ports; TCP on a port that is not in the table is asked in HTTP's words.

    ``Refused`` for a port that is never touched.
    """
    for port in ports:
        if not 0 < port < 65536:
            raise Refused(f"{port} is no port; they go from 1 to 65535.", code="look:port")
        if port in FRAGILE:
            raise Refused(
                f"Port {port} is never touched ({FRAGILE[port]}): devices that speak it are known to fail when they are asked. "
                "Listen to them instead: bastide watch, bastide scan.",
                code="look:port:fragile",
            )
    if not ports:
        return tuple(_probe(transport, port, asks) for (transport, port), asks in PROBES.items())
    chosen: list[Probe] = []
    for port in dict.fromkeys(ports):
        known = [(transport, asks) for (transport, at), asks in PROBES.items() if at == port]
        chosen += [_probe(transport, port, asks) for transport, asks in known or [("tcp", _ASKED_ELSEWHERE)]]
    return tuple(chosen)


def _probe(transport: str, port: int, asks: str) -> Probe:
    return Probe(port, transport, asks, _UDP_PACKETS) if transport == "udp" else Probe(port, transport, asks)


def hosts(ranges: Sequence[str], left_out: Iterable[str] = ()) -> tuple[str, ...]:
    """The addresses of the named ranges, each once, without those (addresses or ranges) that are to be left out.

    ``Refused`` for what is no range, what is too large, and what is nobody's address.
    """
    if not ranges:
        raise Refused("Name the ranges to look at: bastide look 192.168.7.0/24", code="look:range:none")
    skipped = [_network(text) for text in left_out]
    found: dict[str, None] = {}
    for text in ranges:
        network = _network(text)
        if network.num_addresses > MAX_HOSTS:
            raise Refused(
                f"{text} has more than {MAX_HOSTS:,} addresses; name smaller ranges, one look after the other.",
                code="look:range:large",
            )
        for address in _addresses(network):
            _check(address, text)
            if not any(address.version == one.version and address in one for one in skipped):
                found.setdefault(str(address))
        if len(found) > MAX_HOSTS:
            raise Refused(
                f"The ranges come to more than {MAX_HOSTS:,} hosts; look at some of them.", code="look:range:large"
            )
    return tuple(found)


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text.strip(), strict=False)
    except ValueError as error:
        raise Refused(
            f"{text[:60]!r} is no address or range; write 192.168.7.20 or 192.168.7.0/24.", code="look:range:form"
        ) from error


def _addresses(network: IPv4Network | IPv6Network) -> Iterator[IPv4Address | IPv6Address]:
    # A single address, and the two of a point-to-point link, are hosts; of others the first and last are not.
    return iter([network.network_address]) if network.num_addresses == 1 else iter(network.hosts())


def _check(address: IPv4Address | IPv6Address, text: str) -> None:
    if (
        address.is_multicast
        or address.is_unspecified
        or address.is_loopback
        or address.is_reserved
        or address.packed[0] == 0
    ):
        raise Refused(
            f"{text[:60]} holds {address}, which is no device's address; name the network's.", code="look:range:nobody"
        )


def is_fragile_host(protocols: Iterable[str]) -> bool:
    """True where a host is known to speak what is never touched."""
    return not set(FRAGILE_PROTOCOLS).isdisjoint(protocols)


class Pace:
    """When the next probe may begin: its packets are reserved at its host and in all. Times are seconds of one clock."""

    def __init__(self, per_host: int = PER_HOST, in_all: int = IN_ALL) -> None:
        if not 1 <= per_host <= PER_HOST or not 1 <= in_all <= IN_ALL:
            raise Refused(
                f"A look sends at most {PER_HOST} packets/s to a host and {IN_ALL:,} in all; ask for less, not for more.",
                code="look:pace",
            )
        self._per_host = per_host
        self._in_all = in_all
        self._free = 0.0
        self._host_free: dict[str, float] = {}

    def begins(self, host: str, packets: int, now: float) -> float:
        """Reserves a probe's packets and says when it may begin."""
        at = max(now, self._free, self._host_free.get(host, 0.0))
        self._free = max(self._free, now) + packets / self._in_all
        self._host_free[host] = at + packets / self._per_host
        return at


def known_fragile(devices: Iterable[tuple[Sequence[str], Sequence[str]]]) -> tuple[str, ...]:
    """Of devices as (addresses, protocols), the addresses of those that get no probe."""
    return tuple(
        sorted(
            {
                address
                for addresses, protocols in devices
                if is_fragile_host(protocols)
                for address in addresses
                if _is(address)
            }
        )
    )


def _is(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
