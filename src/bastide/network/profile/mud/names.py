"""Names in a MUD file that stand for something on the network: DNS names, URIs, addresses. Tricks with them are refused.

A name must not be readable in two ways: no address in the place of a name, no character that only looks like another
one (RFC 5890 names are written as A-labels), nothing that ends a string where it is used later.
"""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from bastide.network.profile.mud.members import Notes
from bastide.network.profile.mud.words import MUDRefused, Network

MAX_NAME = 253
MAX_URI = 512
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[A-Za-z0-9._~:/?#@!$&()*+,;=%-]+")
_AUTHORITY = re.compile(r"[A-Za-z0-9._-]+(:[0-9]{1,5})?")
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


def dns_name(text: str, where: str, notes: Notes) -> str:
    """The name in lower case without a dot at its end."""
    if not text.isascii():
        raise MUDRefused(
            f"The name {text[:80]!r} in {where} is not ASCII; international names are written as A-labels (xn--...).",
            code="mud:name:not-ascii",
        )
    name = text.lower()
    if name.endswith("."):
        notes.add("mud:dialect:trailing-dot", f"The name {text[:80]} ends in a dot.")
        name = name[:-1]
    labels = name.split(".")
    if len(name) > MAX_NAME or not all(_LABEL.fullmatch(label) for label in labels):
        raise MUDRefused(f"{text[:80]!r} in {where} is not a DNS name.", code="mud:name:syntax")
    if labels[-1].isdigit() or re.fullmatch(r"0x[0-9a-f]*", labels[-1]):
        raise MUDRefused(
            f"The name {text[:80]!r} in {where} can be read as an address; addresses have fields of their own.",
            code="mud:name:address",
        )
    return name


def uri(text: str, where: str) -> str:
    """A URI of bounded length without white space, quotes or brackets."""
    if len(text) > MAX_URI or not _URI.fullmatch(text):
        raise MUDRefused(f"{text[:80]!r} in {where} is not a URI.", code="mud:name:uri")
    return text


def mud_url(text: str, notes: Notes) -> str:
    """The file's own URL: https with an authority (RFC 8520, section 5)."""
    scheme, slashes, rest = text.partition("://")
    authority = rest.split("/", 1)[0]
    if not slashes or scheme.lower() not in ("https", "http") or not _AUTHORITY.fullmatch(authority):
        raise MUDRefused(f"The mud-url {text[:80]!r} is not an https URL with a host.", code="mud:url:syntax")
    if scheme.lower() == "http":
        notes.add("mud:dialect:http-url", "The mud-url is http; the RFC wants https, and nothing is fetched over http.")
    return uri(text, "mud-url")


def authority(text: str, where: str) -> str:
    """A manufacturer: the authority of its MUD URLs, in lower case."""
    if len(text) > MAX_NAME or not _AUTHORITY.fullmatch(text):
        raise MUDRefused(f"{text[:80]!r} in {where} is not a manufacturer's authority.", code="mud:name:authority")
    return text.lower()


def network(text: str, version: int, where: str, notes: Notes) -> Network | None:
    """The network, or None for an address of the other IP version, which no packet of this entry can have."""
    try:
        found: Network = ip_network(text, strict=True)
    except ValueError as error:
        try:
            found = ip_network(text, strict=False)
        except ValueError:
            raise MUDRefused(
                f"{text[:80]!r} in {where} is not an IPv{version} network.", code="mud:address:syntax"
            ) from error
        notes.add("mud:dialect:host-bits", f"{text[:80]} has bits behind its prefix; it is read as {found}.")
    if found.version != version:
        notes.add(
            "mud:dialect:wrong-version",
            f"{text[:80]} stands where IPv{version} is meant ({where}): it can match nothing and was left out.",
        )
        return None
    if "/" not in text:
        notes.add("mud:dialect:no-prefix", f"{text[:80]} has no prefix length; it is read as one address.")
    return found


def mac(text: str, where: str) -> str:
    found = text.lower().replace("-", ":")
    if not _MAC.fullmatch(found):
        raise MUDRefused(f"{text[:40]!r} in {where} is not a MAC address.", code="mud:address:mac")
    return found


def address(text: str) -> IPv4Address | IPv6Address:
    """One address, for devices and peers that an operator names."""
    try:
        return ip_address(text)
    except ValueError as error:
        raise MUDRefused(f"{text[:80]!r} is not an IP address.", code="mud:address:syntax") from error
