"""Which kinds of token speak about the same thing.

Tokens of one facet are seldom independent (a device that says its model in mDNS says it ten times), so each facet is
weighed as a whole. ``PRIOR`` is how much a facet counts before anything was learned: what a device calls itself most,
what its network stack asks for less, which ports it used least.
"""

from typing import Final

FACETS: Final = (
    "maker",
    "self",
    "firmware",
    "stack",
    "dhcp",
    "discovery",
    "banner",
    "names",
    "cloud",
    "web",
    "tls",
    "ports",
    "speaks",
)

PRIOR: Final = (1.0, 2.0, 0.3, 0.8, 0.7, 0.5, 0.5, 0.2, 0.5, 0.3, 0.6, 0.3, 0.1)

FACET_OF: Final = {
    "oui": "maker",
    "block": "maker",
    "vendor": "maker",
    "name": "self",
    "model": "self",
    "model-number": "self",
    "product": "discovery",
    "manufacturer": "maker",
    "instance": "self",
    "upnp": "self",
    "station": "self",
    "cip-vendor": "self",
    "firmware": "firmware",
    "software": "firmware",
    "platform": "firmware",
    "vendor-class": "stack",
    "dhcp-client": "stack",
    "dhcp-parameters": "dhcp",
    "dhcp-options": "dhcp",
    "dhcpv6-parameters": "dhcp",
    "service": "discovery",
    "asks": "discovery",
    "searches": "discovery",
    "control": "discovery",
    "upnp-server": "banner",
    "server": "banner",
    "user-agent": "banner",
    "sign-in": "banner",
    "query": "names",
    "domain": "cloud",
    "http-host": "web",
    "http-path": "web",
    "soap": "web",
    "coap-path": "web",
    "topic": "web",
    "client-id": "web",
    "sni": "tls",
    "ja4": "tls",
    "alpn": "tls",
    "tls": "tls",
    "certificate": "tls",
    "to": "ports",
    "at": "ports",
    "speaks": "speaks",
}
"""The facet of each word. Words that are not here (credentials, addresses) never become tokens."""

NUMBER_OF: Final = {name: number for number, name in enumerate(FACETS)}


def facet_of(token: str) -> int:
    """The facet's number of a token (``word=value``)."""
    return NUMBER_OF[FACET_OF[token.split("=", 1)[0]]]
