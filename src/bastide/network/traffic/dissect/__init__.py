"""The deep path: one pure function for each protocol, listed in one tuple.

To add one: a module with a ``Dissector``, its name in ``words.PROTOCOLS`` and a signature in ``kernel.recognise`` where the
kernel does not know it yet, an entry here, and samples in the tests (docs/adding/a-dissector.md).
"""

from collections.abc import Mapping
from typing import Final

from bastide.network.traffic.dissect import (
    banners,
    dhcp,
    dns,
    edimax,
    http,
    industrial,
    mqtt,
    neighbours,
    quic,
    services,
    tls,
)
from bastide.network.traffic.dissect.message import LIMIT, Context, Dissector, Malformed, Message

__all__ = ["BY_PROTOCOL", "DISSECTORS", "Context", "Dissector", "Malformed", "Message", "dissect"]

DISSECTORS: Final = (
    dns.DISSECTOR,
    dhcp.DISSECTOR,
    neighbours.DHCPV6,
    neighbours.ARP,
    neighbours.LLDP,
    neighbours.CDP,
    http.SSDP,
    http.HTTP,
    http.RTSP,
    http.SIP,
    tls.TLS,
    tls.DTLS,
    quic.DISSECTOR,
    banners.SSH,
    banners.FTP,
    banners.TELNET,
    banners.SMTP,
    banners.POP3,
    banners.IMAP,
    mqtt.DISSECTOR,
    services.AMQP,
    services.NTP,
    services.SNMP,
    services.COAP,
    services.TPLINK,
    edimax.DISSECTOR,
    industrial.MODBUS,
    industrial.DNP3,
    industrial.S7,
    industrial.ENIP,
    industrial.BACNET,
    industrial.IEC104,
)

BY_PROTOCOL: Final[Mapping[str, Dissector]] = {name: each for each in DISSECTORS for name in each.reads}


def dissect(protocol: str, payload: bytes, context: Context) -> Message:
    """The message that a payload holds. ``Malformed`` where it is not what the kernel took it for, whatever the reason."""
    dissector = BY_PROTOCOL.get(protocol)
    if dissector is None:
        raise Malformed(f"There is no dissector for {protocol}.")
    try:
        return dissector.dissect(payload[:LIMIT], context)
    except (ValueError, IndexError, OverflowError) as error:
        raise Malformed(f"{protocol}: {error}") from error
