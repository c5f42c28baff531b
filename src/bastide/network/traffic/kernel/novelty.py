"""Which payloads are worth a dissector's time: those that say something which this device has not said before.

``novelty`` hashes what matters of a message (a DNS question, a DHCP client's options, an HTTP request line), without what
changes each time (transaction ids, randoms, times). Equal hashes of one device are skipped; devices never share.
"""

import numpy as np

from bastide.network.traffic.kernel.compiled import Buffer, compiled
from bastide.network.traffic.kernel.octets import be16, be32, hash_octets, mix, octet
from bastide.network.traffic.words import PROTOCOLS, Protocol

CONTINUES = 6
"""Segments that may follow a cut message: a TLS certificate chain is 3 to 5 of them."""

_DEPTHS = {
    "dns": 64, "mdns": 65535, "llmnr": 64, "nbns": 64, "dhcp": 65535, "dhcpv6": 64, "ssdp": 65535, "ntp": 2, "snmp": 64,
    "coap": 64, "quic": 2, "dtls": 4, "sip": 8, "bacnet": 65535, "enip": 64, "tplink-smarthome": 8, "edimax-cloud": 8, "tls": 4,
    "http": 65535, "rtsp": 16, "ssh": 2, "ftp": 64, "telnet": 64, "smtp": 16, "pop3": 16, "imap": 16, "mqtt": 64,
    "amqp": 4, "modbus": 64, "dnp3": 64, "cotp": 4, "s7comm": 64, "s7comm-plus": 4, "iec104": 64,
}  # fmt: skip
DEPTH = np.array([_DEPTHS.get(name, 0) for name in PROTOCOLS], np.int64)
"""How many payloads of a direction are looked at, by protocol; 0 for those without a dissector."""

_BUDGETS = {"mdns": 40, "ssdp": 40, "enip": 24, "http": 64}
BUDGETS = np.array([_BUDGETS.get(name, 96) for name in PROTOCOLS], np.int64)
"""Payloads of one device and one protocol that Python sees at most; fewer of those that announce the same over and over."""

_DNS, _MDNS, _LLMNR, _NBNS = int(Protocol.DNS), int(Protocol.MDNS), int(Protocol.LLMNR), int(Protocol.NBNS)
_DHCP, _TLS, _HTTP, _NTP, _QUIC = (
    int(Protocol.DHCP),
    int(Protocol.TLS),
    int(Protocol.HTTP),
    int(Protocol.NTP),
    int(Protocol.QUIC),
)
_MODBUS, _DNP3, _S7, _IEC104, _SNMP = (
    int(Protocol.MODBUS),
    int(Protocol.DNP3),
    int(Protocol.S7COMM),
    int(Protocol.IEC104),
    int(Protocol.SNMP),
)
_SSDP, _ENIP, _COTP, _S7P, _TELNET = (
    int(Protocol.SSDP),
    int(Protocol.ENIP),
    int(Protocol.COTP),
    int(Protocol.S7COMM_PLUS),
    int(Protocol.TELNET),
)
_MQTT, _BACNET, _DTLS, _TPLINK = int(Protocol.MQTT), int(Protocol.BACNET), int(Protocol.DTLS), int(Protocol.TPLINK)


@compiled
def novelty(
    buffer: Buffer, at: int, end: int, protocol: int, device: int, server: int, port: int, from_server: int
) -> int:
    """A hash of what this payload says."""
    state = mix(mix(protocol | (from_server << 8), device), 0x85EBCA6B)
    if protocol == _DNS or protocol == _LLMNR:
        state = mix(state, octet(buffer, at + 2) & 0x80 if at + 2 < end else 0)
        return hash_octets(buffer, min(at + 12, end), min(end, at + 60), state)
    if protocol == _MDNS or protocol == _NBNS:
        return hash_octets(buffer, min(at + 2, end), min(end, at + 400), state)
    if protocol == _DHCP:
        return (
            hash_octets(buffer, min(at + 240, end), min(end, at + 500), hash_octets(buffer, at + 28, at + 34, state))
            if (at + 240 <= end)
            else state
        )
    if protocol == _TLS or protocol == _QUIC or protocol == _DTLS:
        state = mix(mix(state, server), port)
        kind = octet(buffer, at + 5) if at + 6 <= end else 0
        return mix(state, kind if kind < 3 else 3)
    if protocol == _NTP:
        return mix(state, server)
    if protocol == _HTTP:
        state = mix(mix(state, server), port)
        if from_server:
            return hash_octets(buffer, at, min(end, at + 15), state)
        state = mix(state, 1 if carries_authorization(buffer, at, end) else 0)
        return hash_octets(buffer, at, min(end, at + 40), state)
    if protocol == _SSDP:
        # What is announced (NT) often comes after long headers: a NOTIFY for each of ten services differs only there.
        return hash_octets(buffer, at, min(end, at + 480), state)
    if protocol == _MODBUS:
        return hash_octets(buffer, min(at + 6, end), min(end, at + 8), mix(state, server))
    if protocol == _DNP3:
        return hash_octets(
            buffer, min(at + 3, end), min(end, at + 8), mix(state, octet(buffer, at + 12) if at + 13 <= end else 0)
        )
    if protocol == _IEC104 or protocol == _BACNET:
        return hash_octets(buffer, min(at + 6, end), min(end, at + 20), mix(state, server))
    if protocol == _S7 or protocol == _COTP or protocol == _S7P:
        state = hash_octets(buffer, min(at + 4, end), min(end, at + 9), state)
        return hash_octets(buffer, min(at + 17, end), min(end, at + 20), mix(state, server))
    if protocol == _ENIP:
        state = hash_octets(buffer, at, min(end, at + 2), mix(state, server))
        return hash_octets(buffer, min(at + 40, end), min(end, at + 60), state)
    if protocol == _SNMP:
        return hash_octets(buffer, at, min(end, at + 14), state)
    if protocol == _MQTT:
        if buffer[at] & 0xF0 == 0x30:
            return hash_octets(buffer, at, min(end, at + 24), mix(state, server))
        return hash_octets(buffer, at, min(end, at + 200), mix(state, server))
    if protocol == _TELNET:
        return mix(hash_octets(buffer, at, min(end, at + 64), mix(state, server)), port)
    return hash_octets(buffer, at, min(end, at + 96), mix(state, server))


@compiled
def carries_authorization(buffer: Buffer, at: int, end: int) -> bool:
    """True where a header line begins with ``Authorization`` (any case), in the first 3 KiB."""
    stop = min(end - 14, at + 3072)
    index = at
    while index < stop:
        if (
            buffer[index] == 10
            and buffer[index + 1] | 0x20 == 0x61
            and be32(buffer, index + 1) | 0x20202020 == 0x61757468
        ):
            if be32(buffer, index + 5) | 0x20202020 == 0x6F72697A:
                return True
        index += 1
    return False


@compiled
def wanted_after(buffer: Buffer, at: int, end: int, protocol: int) -> int:
    """How many of the next segments belong to a message that begins in ``buffer[at:end]`` and is cut there."""
    size = end - at
    if protocol == _TLS and size >= 6 and buffer[at] == 0x16:
        if buffer[at + 5] == 2:
            return 5  # the certificate follows in records of its own
        need = 5 + be16(buffer, at + 3) - size
        return 0 if need <= 0 else 1 + need // 1200
    if protocol == _HTTP and size >= 16:
        # Headers that do not end here go on in the next segment.
        index = at
        stop = min(end - 3, at + 4096)
        while index < stop:
            if buffer[index] == 13 and be32(buffer, index) == 0x0D0A0D0A:
                return 1 if buffer[at] == 0x50 and end - index < 64 else 0  # a POST's form may come by itself
            index += 1
        return 2
    if protocol == _TPLINK:
        return 2
    return 0
