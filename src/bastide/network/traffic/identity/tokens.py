"""From an observation to tokens: ``word=value``, the same for every unit of a type."""

import re

from bastide.network.traffic.identity.facets import FACET_OF
from bastide.network.traffic.identity.generalise import GONE, domain, generalise, host_name
from bastide.network.traffic.identity.observation import Observation

_FAMILY = re.compile(r"[a-z][a-z_.-]+[a-z]")
"""The client without its version: ``udhcp`` of ``udhcp 1.22.1``."""

BLOCK = "block="
"""The first four octets of an address: 65,536 addresses that a maker of chips sells on in rows. Makers buy for a product, not for
a unit (Martin, Rye, Beverly, *Decomposition of MAC address structure for granular device inference*, ACSAC 2016). It never
speaks for or against a type; it decides only between types that say the same."""

MAX_TOKENS = 1024
MAX_TOKEN = 160

_AS_NAME = frozenset(("hostname", "dhcp-hostname", "netbios", "llmnr", "mail-name"))
_HOSTS = frozenset(("query", "http-host", "sni"))
_EXACT = frozenset(("dhcp-parameters", "dhcp-options", "dhcpv6-parameters", "ja4", "alpn", "tls"))
_LINK_LEVEL = frozenset(("tcp", "udp", "arp", "icmp", "eapol"))


def tokens_of(seen: Observation) -> frozenset[str]:
    """The tokens of one device. Bounded; in the order of their text where there are too many."""
    found: set[str] = set()
    if seen.mac is not None and not seen.randomised:
        found.add(f"oui={seen.mac[:8]}")
        found.add(f"{BLOCK}{seen.mac[:11]}")
        if seen.vendor:
            found.add(f"vendor={_maker(seen.vendor)}")
    for word, value in seen.said:
        found.update(_told(word, value, seen.mac))
    found.update(f"to={transport}/{port}" for transport, port in seen.asks)
    found.update(f"at={transport}/{port}" for transport, port in seen.serves)
    found.update(f"speaks={protocol}" for protocol in seen.protocols - _LINK_LEVEL)
    return frozenset(sorted(token[:MAX_TOKEN] for token in found)[:MAX_TOKENS])


def _told(word: str, value: str, mac: str | None) -> list[str]:
    if word in _AS_NAME:
        name = generalise(value, mac).removesuffix(".local")
        return [f"name={name}"] if name.strip(GONE) else []
    if word in _HOSTS:
        host = host_name(value, mac)
        return [f"{word}={host}", f"domain={domain(host)}"] if host else []
    if word not in FACET_OF:
        return []
    if word in _EXACT:
        return [f"{word}={value}"]
    if word == "asks" and value.endswith(".arpa"):
        return []
    told = generalise(value, mac)
    if not told.strip(GONE + " []"):
        return []
    if word == "vendor-class":
        family = _FAMILY.match(told)
        return [f"{word}={told}", f"dhcp-client={family[0]}"] if family else [f"{word}={told}"]
    return [f"{word}={told}"]


def _maker(vendor: str) -> str:
    """The first word of a maker's name: registries write the rest in many ways (Inc., Ltd, Technology)."""
    return vendor.lower().replace(",", " ").split()[0] if vendor.split() else ""
