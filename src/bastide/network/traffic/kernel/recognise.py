"""What a payload is, by its content. A port may support a weak signature, it never decides alone.

Each function reads ``buffer[at:end]`` only and answers a protocol number or 0. The signatures are strict enough that a
flow keeps its name when the deep path skips it; where a dissector looks, the dissector has the last word.
"""

from bastide.network.traffic.kernel.compiled import Buffer, compiled, inlined
from bastide.network.traffic.kernel.octets import be16, be32, le16, octet
from bastide.network.traffic.words import Protocol

_DNS, _MDNS, _LLMNR, _NBNS = int(Protocol.DNS), int(Protocol.MDNS), int(Protocol.LLMNR), int(Protocol.NBNS)
_DHCP, _DHCPV6, _SSDP, _NTP = int(Protocol.DHCP), int(Protocol.DHCPV6), int(Protocol.SSDP), int(Protocol.NTP)
_SNMP, _COAP, _QUIC, _DTLS = int(Protocol.SNMP), int(Protocol.COAP), int(Protocol.QUIC), int(Protocol.DTLS)
_SIP, _BACNET, _ENIP, _TFTP = int(Protocol.SIP), int(Protocol.BACNET), int(Protocol.ENIP), int(Protocol.TFTP)
_STUN, _TPLINK, _SYSLOG, _WSD = int(Protocol.STUN), int(Protocol.TPLINK), int(Protocol.SYSLOG), int(Protocol.WSD)
_NBDS, _TLS, _HTTP, _RTSP = int(Protocol.NBDS), int(Protocol.TLS), int(Protocol.HTTP), int(Protocol.RTSP)
_SSH, _FTP, _TELNET, _SMTP = int(Protocol.SSH), int(Protocol.FTP), int(Protocol.TELNET), int(Protocol.SMTP)
_POP3, _IMAP, _MQTT, _AMQP = int(Protocol.POP3), int(Protocol.IMAP), int(Protocol.MQTT), int(Protocol.AMQP)
_MODBUS, _DNP3, _COTP, _S7 = int(Protocol.MODBUS), int(Protocol.DNP3), int(Protocol.COTP), int(Protocol.S7COMM)
_S7P, _IEC104, _OPCUA, _SMB = (
    int(Protocol.S7COMM_PLUS),
    int(Protocol.IEC104),
    int(Protocol.OPCUA),
    int(Protocol.SMB),
)
_XMPP, _EDIMAX = int(Protocol.XMPP), int(Protocol.EDIMAX)


@compiled
def _named(buffer: Buffer, at: int, end: int) -> int:
    """Walks a DNS name (RFC 1035 3.1, 4.1.4). Returns where it ends, or -1; 0x1000000 is added for an NBNS name."""
    labels = 0
    netbios = 0
    while at < end:
        size = octet(buffer, at)
        if size >= 0xC0:
            return at + 2 + netbios if at + 2 <= end else -1
        if size >= 0x40:
            return -1
        at += 1
        if size == 0:
            return at + netbios
        if at + size > end or labels > 40:
            return -1
        if labels == 0 and size == 32:
            encoded = True
            for index in range(at, at + 32):
                if buffer[index] < 0x41 or buffer[index] > 0x50:
                    encoded = False
                    break
            if encoded:
                netbios = 0x1000000
        for index in range(at, min(at + size, at + 8)):
            if buffer[index] < 0x20 and not netbios:
                return -1
        labels += 1
        at += size
    return -1


@compiled
def _dns(buffer: Buffer, at: int, end: int, sport: int, dport: int) -> int:
    if end - at < 12:
        return 0
    flags = be16(buffer, at + 2)
    opcode = (flags >> 11) & 0xF
    if opcode > 9 or opcode == 3 or (flags & 0x40 and opcode == 0 and sport != 137 and dport != 137):
        return 0
    questions = be16(buffer, at + 4)
    answers = be16(buffer, at + 6)
    authority = be16(buffer, at + 8)
    additional = be16(buffer, at + 10)
    if questions > 64 or answers > 512 or authority > 256 or additional > 256:
        return 0
    if questions + answers + authority == 0:
        return _DNS if end - at == 12 and (sport == 53 or dport == 53) and flags & 0x8000 else 0
    after = _named(buffer, at + 12, end)
    if after < 0:
        return 0
    netbios = after >= 0x1000000
    after &= 0xFFFFFF
    if after + 4 > end:
        return 0
    if be16(buffer, after) > 0x8003 or be16(buffer, after) == 0:
        return 0
    kind = be16(buffer, after + 2) & 0x7FFF
    if not (
        kind == 1 or kind == 3 or kind == 4 or kind == 254 or kind == 255 or (answers and be16(buffer, after) == 41)
    ):
        return 0
    if netbios:
        return _NBNS
    if sport == 5353 or dport == 5353:
        return _MDNS
    if sport == 5355 or dport == 5355:
        return _LLMNR
    return _DNS


@inlined
def _ascii(buffer: Buffer, at: int, end: int) -> bool:
    """True where all octets are text."""
    for index in range(at, end):
        byte = buffer[index]
        if byte >= 0x7F or (byte < 0x20 and byte != 9 and byte != 10 and byte != 13):
            return False
    return True


@compiled
def _http_version(buffer: Buffer, at: int, end: int) -> int:
    """Looks for `` HTTP/1.``, `` RTSP/1.`` or `` SIP/2.0`` at the end of the first line (at most 4 KiB)."""
    limit = min(end, at + 4096)
    index = at
    while index + 8 <= limit:
        byte = buffer[index]
        if byte == 10 or byte == 0:
            return 0
        if byte == 0x20:
            word = be32(buffer, index + 1)
            if word == 0x48545450 and buffer[index + 5] == 0x2F and buffer[index + 6] == 0x31:
                return _HTTP
            if word == 0x52545350 and buffer[index + 5] == 0x2F and buffer[index + 6] == 0x31:
                return _RTSP
            if word == 0x5349502F and buffer[index + 5] == 0x32:
                return _SIP
        index += 1
    return 0


@compiled
def _method(buffer: Buffer, at: int, end: int) -> int:
    """HTTP, RTSP or SIP by the first line."""
    if end - at < 12:
        return 0
    word = be32(buffer, at)
    if word == 0x48545450 and buffer[at + 4] == 0x2F and buffer[at + 5] == 0x31:  # HTTP/1
        return _HTTP
    if word == 0x52545350 and buffer[at + 4] == 0x2F:
        return _RTSP
    if word == 0x5349502F and buffer[at + 4] == 0x32:
        return _SIP
    size = 0
    while size < 14 and (
        (buffer[at + size] >= 0x41 and buffer[at + size] <= 0x5A)
        or buffer[at + size] == 0x2D
        or buffer[at + size] == 0x5F
    ):
        size += 1
        if at + size >= end:
            return 0
    if size < 3 or buffer[at + size] != 0x20:
        return 0
    return _http_version(buffer, at + size + 1, end)


@compiled
def _coap(buffer: Buffer, at: int, end: int, port: bool) -> int:
    """RFC 7252 section 3: version 1, token, code, options to the payload marker."""
    if end - at < 4 or buffer[at] >> 6 != 1:
        return 0
    token = octet(buffer, at) & 15
    if token > 8:
        return 0
    code = octet(buffer, at + 1)
    if code == 0:
        return _COAP if port and end - at == 4 and (buffer[at] >> 4) & 3 >= 2 else 0
    family = code >> 5
    if not ((family == 0 and code <= 7) or family == 2 or family == 4 or family == 5) or code & 31 > 15:
        return 0
    index = at + 4 + token
    number = 0
    uri = False
    while index < end and buffer[index] != 0xFF:
        delta = octet(buffer, index) >> 4
        size = octet(buffer, index) & 15
        index += 1
        if delta == 15 or size == 15:
            return 0
        if delta == 13:
            if index >= end:
                return 0
            delta = 13 + octet(buffer, index)
            index += 1
        elif delta == 14:
            if index + 2 > end:
                return 0
            delta = 269 + be16(buffer, index)
            index += 2
        if size == 13:
            if index >= end:
                return 0
            size = 13 + octet(buffer, index)
            index += 1
        elif size == 14:
            if index + 2 > end:
                return 0
            size = 269 + be16(buffer, index)
            index += 2
        number += delta
        if number > 2100 or index + size > end:
            return 0
        if (number == 11 or number == 3) and size > 0:
            if not _ascii(buffer, index, index + size):
                return 0
            uri = True
        index += size
    if index > end:
        return 0
    return _COAP if port or (uri and family == 0) else 0


@compiled
def _dhcpv6(buffer: Buffer, at: int, end: int) -> int:
    """RFC 8415 section 8: type, transaction, options that end exactly, one of them a DUID."""
    if end - at < 12 or buffer[at] == 0 or buffer[at] > 11:
        return 0
    index = at + 4
    duid = False
    while index + 4 <= end:
        code = be16(buffer, index)
        size = be16(buffer, index + 2)
        if code == 0 or code > 200 or index + 4 + size > end:
            return 0
        if (code == 1 or code == 2) and size >= 4 and 1 <= be16(buffer, index + 4) <= 4:
            duid = True
        index += 4 + size
    return _DHCPV6 if index == end and duid else 0


@compiled
def _snmp(buffer: Buffer, at: int, end: int) -> int:
    """RFC 1157, 3416, 3412: SEQUENCE, version, then community and PDU, or the v3 header."""
    if end - at < 12 or buffer[at] != 0x30:
        return 0
    index = at + 2
    if buffer[at + 1] & 0x80:
        index += octet(buffer, at + 1) & 3
    if index + 5 > end or buffer[index] != 2 or buffer[index + 1] != 1:
        return 0
    version = octet(buffer, index + 2)
    index += 3
    if version == 3:
        return _SNMP if buffer[index] == 0x30 else 0
    if version > 1 or buffer[index] != 4 or buffer[index + 1] > 127:
        return 0
    index += 2 + octet(buffer, index + 1)
    return _SNMP if index < end and buffer[index] >= 0xA0 and buffer[index] <= 0xA8 else 0


@compiled
def _turned_param(buffer: Buffer, at: int, end: int) -> bool:
    """``<param>`` whose first octet is ``<`` plus n, each later one turned right by n bits (Edimax's cloud protocol)."""
    if end - at < 16:
        return False
    turn = int(buffer[at]) - 0x3C
    word = 0
    for index in range(at + 1, at + 7):
        value = int(buffer[index])
        word = (word << 8) | (((value << turn) | (value >> (8 - turn))) & 0xFF)
    return word == 0x706172616D3E  # param>


@compiled
def recognise_udp(buffer: Buffer, at: int, end: int, sport: int, dport: int) -> int:
    """The protocol of a UDP payload, or 0."""
    size = end - at
    if size < 4:
        return 0
    first = octet(buffer, at)
    if size >= 240 and (first == 1 or first == 2) and be32(buffer, at + 236) == 0x63825363:
        return _DHCP
    if first == 0x4D or first == 0x4E or first == 0x48:  # M-SEARCH, NOTIFY, HTTP/1.1 over UDP (UPnP 2.0, 1.3)
        if size >= 12 and _method(buffer, at, end) == _HTTP:
            return _SSDP
    if size >= 20 and be32(buffer, at + 4) == 0x2112A442 and first < 4 and be16(buffer, at + 2) == size - 20:
        return _STUN
    found = _dns(buffer, at, end, sport, dport)
    if found:
        return found
    if first & 0xC0 == 0xC0 and size >= 20:
        version = be32(buffer, at + 1)
        known = (
            version == 1
            or version == 0x6B3343CF
            or (version >> 8) == 0xFF0000
            or (version >> 16) == 0x5130
            or (version >> 16) == 0x5430
            or (version & 0x0F0F0F0F) == 0x0A0A0A0A
            or version == 0
        )
        if known and buffer[at + 5] <= 20 and at + 6 + octet(buffer, at + 5) < end:
            return _QUIC
    if (size == 48 or size == 68 or size == 72 or (size > 48 and size % 4 == 0)) and (sport == 123 or dport == 123):
        mode = first & 7
        version = (first >> 3) & 7
        if 1 <= version <= 4 and 1 <= mode <= 5 and buffer[at + 1] <= 16:
            return _NTP
    if size >= 12 and first <= 0x70 and first >= 4 and (sport == 123 or dport == 123):
        if (first & 7 == 6 or first & 7 == 7) and 1 <= (first >> 3) & 7 <= 4:
            return _NTP
    if 20 <= first <= 25 and size >= 13:
        version = be16(buffer, at + 1)
        if (version == 0xFEFF or version == 0xFEFD or version == 0x0100) and at + 13 + be16(buffer, at + 11) <= end:
            return _DTLS
    if first == 0x30:
        found = _snmp(buffer, at, end)
        if found:
            return found
    if first == 0x81 and size >= 6 and buffer[at + 1] <= 12 and be16(buffer, at + 2) == size:
        if buffer[at + 4] == 1 or (buffer[at + 1] == 4 and size >= 12) or buffer[at + 1] < 9:
            return _BACNET
    if size >= 24 and _enip(buffer, at, end, True):
        return _ENIP
    if first == 0xD0 and buffer[at + 1] == 0xF2:
        return _TPLINK
    if 0x3C <= first <= 0x43 and _turned_param(buffer, at, end):
        return _EDIMAX
    if size >= 8 and (sport == 546 or sport == 547 or dport == 546 or dport == 547 or first <= 11):
        found = _dhcpv6(buffer, at, end)
        if found:
            return found
    if first == 0 and (buffer[at + 1] == 1 or buffer[at + 1] == 2) and size >= 10:
        index = at + 2
        while index < end and buffer[index] >= 0x20 and buffer[index] < 0x7F:
            index += 1
        if index > at + 2 and index + 6 <= end and buffer[index] == 0:
            mode = be32(buffer, index + 1) | 0x20202020
            if mode == 0x6F637465 or mode == 0x6E657461:
                return _TFTP
    if first == 0x3C:
        if buffer[at + 1] >= 0x30 and buffer[at + 1] <= 0x39 and _ascii(buffer, at, min(end, at + 16)):
            for index in range(at + 2, min(at + 5, end)):
                if buffer[index] == 0x3E:
                    return _SYSLOG
        if size > 40 and (sport == 3702 or dport == 3702) and _ascii(buffer, at, at + 16):
            return _WSD
    if 0x10 <= first <= 0x16 and size >= 14 and sport == 138 and dport == 138 and buffer[at + 1] & 0xF0 == 0:
        return _NBDS
    if first >= 0x41 and first <= 0x5A and size >= 12:
        found = _method(buffer, at, end)
        if found == _SIP or found == _RTSP:
            return found
    return _coap(buffer, at, end, sport == 5683 or dport == 5683)


@compiled
def _enip(buffer: Buffer, at: int, end: int, datagram: bool) -> bool:
    """ODVA volume 2, 2-3: the encapsulation header. Needs 24 octets."""
    command = le16(buffer, at)
    known = command == 4 or (0x63 <= command <= 0x66) or command == 0x6F or command == 0x70
    if not known or be32(buffer, at + 20) != 0 or le16(buffer, at + 10) != 0:
        return False
    size = le16(buffer, at + 2)
    if datagram and at + 24 + size != end:
        return False
    return le16(buffer, at + 8) <= 0x69 and at + 24 + size <= end


@compiled
def _mqtt(buffer: Buffer, at: int, end: int, port: bool) -> int:
    """MQTT 3.1, 3.1.1, 5: CONNECT by its protocol name; later packets only with the port's support."""
    first = octet(buffer, at)
    index = at + 1
    size = 0
    shift = 0
    while True:
        if index >= end or shift > 21:
            return 0
        byte = octet(buffer, index)
        index += 1
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    if first == 0x10 and index + 6 <= end:
        named = be16(buffer, index)
        if named == 4 and be32(buffer, index + 2) == 0x4D515454:
            return _MQTT
        if named == 6 and be32(buffer, index + 2) == 0x4D514973:
            return _MQTT
        return 0
    if first == 0x20 and size == 2 and end - index == 2 and buffer[index] <= 1 and buffer[index + 1] <= 5:
        return _MQTT
    if not port:
        return 0
    kind = first >> 4
    flags = first & 15
    if kind == 3 and flags & 6 != 6 and size >= 2:
        if index + 2 <= end and 0 < be16(buffer, index) <= size and index + size <= end:
            return _MQTT
        return 0
    if (kind == 6 or kind == 8 or kind == 10) and flags != 2:
        return 0
    if kind != 6 and kind != 8 and kind != 10 and flags != 0:
        return 0
    if kind == 12 or kind == 13 or kind == 14:
        return _MQTT if index + size <= end and size <= 2 else 0
    return _MQTT if kind >= 2 and index + size <= end and size >= 2 else 0


@compiled
def _modbus(buffer: Buffer, at: int, end: int, port: bool) -> int:
    """Modbus messaging on TCP, 3.1: protocol 0, length, a function code that exists."""
    if end - at < 8 or be16(buffer, at + 2) != 0:
        return 0
    size = be16(buffer, at + 4)
    if size < 2 or size > 260 or at + 6 + size > end:
        return 0
    if not port and at + 6 + size != end:
        return 0
    function = octet(buffer, at + 7)
    plain = function & 0x7F
    known = (1 <= plain <= 8) or plain == 11 or plain == 12 or (15 <= plain <= 17) or (20 <= plain <= 24) or plain == 43
    if function & 0x80:
        return _MODBUS if known and size == 3 else (_MODBUS if port and plain > 0 else 0)
    if known:
        # Without the port, the lengths of the common requests must fit too (6.1 to 6.6): two registers' worth.
        return _MODBUS if port or (plain <= 6 and (size == 6 or size == 3 + octet(buffer, at + 8))) else 0
    return _MODBUS if port and plain > 0 else 0


@compiled
def dnp3_crc(buffer: Buffer, at: int, end: int) -> int:
    """CRC-16/DNP over ``buffer[at:end]`` (IEEE 1815, 9.2.4.3)."""
    crc = 0
    for index in range(at, end):
        crc ^= octet(buffer, index)
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA6BC if crc & 1 else crc >> 1
    return crc ^ 0xFFFF


@inlined
def _ssl2(buffer: Buffer, at: int, end: int) -> bool:
    """A hello of SSL 2, which may offer a later version (RFC 5246 E.2)."""
    if end - at < 11 or buffer[at + 2] != 1:
        return False
    version = be16(buffer, at + 3)
    size = ((octet(buffer, at) & 0x7F) << 8) | octet(buffer, at + 1)
    challenge = be16(buffer, at + 9)
    return (version == 2 or version >> 8 == 3) and size + 2 == end - at and 16 <= challenge <= 32


@compiled
def _tcp_binary(buffer: Buffer, at: int, end: int, sport: int, dport: int) -> int:
    """Protocols whose first octets are not text."""
    size = end - at
    first = octet(buffer, at)
    if first == 0x16 and size >= 6 and buffer[at + 1] == 3 and buffer[at + 2] <= 4:
        if be16(buffer, at + 3) <= 18432 and (buffer[at + 5] == 1 or buffer[at + 5] == 2):
            return _TLS
    if first == 0x15 and size == 7 and buffer[at + 1] == 3 and be16(buffer, at + 3) == 2 and buffer[at + 5] <= 2:
        return _TLS
    if first & 0x80 and _ssl2(buffer, at, end):
        return _TLS
    if first == 0xFF and size >= 3 and buffer[at + 1] >= 0xFB and buffer[at + 1] <= 0xFE and buffer[at + 2] < 64:
        return _TELNET
    if first == 0x10 or first == 0x20 or sport == 1883 or dport == 1883:
        found = _mqtt(buffer, at, end, sport == 1883 or dport == 1883)
        if found:
            return found
    if first == 5 and size >= 10 and buffer[at + 1] == 0x64 and buffer[at + 2] >= 5:
        if dnp3_crc(buffer, at, at + 8) == le16(buffer, at + 8):
            return _DNP3
    if first == 3 and size >= 7 and buffer[at + 1] == 0:
        packet = be16(buffer, at + 2)
        if packet >= 7 and at + packet <= end:
            kind = octet(buffer, at + 5) & 0xF0
            if kind == 0xF0 and buffer[at + 4] == 2:
                if packet >= 10 and buffer[at + 7] == 0x32:
                    return _S7
                if packet >= 10 and buffer[at + 7] == 0x72:
                    return _S7P
                return _COTP
            if (kind == 0xE0 or kind == 0xD0) and octet(buffer, at + 4) + 5 == packet:
                return _COTP
    if size >= 24 and _enip(buffer, at, end, False):
        return _ENIP
    if first == 0x68 and size >= 6:
        length = octet(buffer, at + 1)
        control = octet(buffer, at + 2)
        if 4 <= length <= 253 and at + 2 + length <= end:
            if length == 4 and (control & 3 == 3 or control == 1) and be16(buffer, at + 3) == 0 and buffer[at + 5] == 0:
                return _IEC104
            if (
                length >= 10
                and control & 1 == 0
                and buffer[at + 4] & 1 == 0
                and buffer[at + 6] >= 1
                and buffer[at + 6] <= 127
            ):
                if sport == 2404 or dport == 2404:
                    return _IEC104
    if first == 0:
        if size >= 9 and buffer[at + 5] == 0x53 and buffer[at + 6] == 0x4D and buffer[at + 7] == 0x42:
            return _SMB
        if size >= 6 and buffer[at + 4] == 0xD0 and buffer[at + 5] == 0xF2 and be32(buffer, at) < 65536:
            return _TPLINK
        if size > 14 and be16(buffer, at) == size - 2 and (sport == 53 or dport == 53):
            return _dns(buffer, at + 2, end, sport, dport)
    return _modbus(buffer, at, end, sport == 502 or dport == 502)


@compiled
def recognise_tcp(buffer: Buffer, at: int, end: int, sport: int, dport: int) -> int:
    """The protocol of a TCP payload that begins a message, or 0."""
    size = end - at
    if size < 2:
        return 0
    if size >= 8:
        word = be32(buffer, at)
        if word == 0x5353482D:  # SSH-
            return _SSH
        if word == 0x414D5150 and size == 8:  # AMQP
            return _AMQP
        if word >> 8 == 0x48454C or word >> 8 == 0x41434B or word >> 8 == 0x4F504E or word >> 8 == 0x4D5347:
            if word & 0xFF == 0x46 and le16(buffer, at + 6) == 0:  # HELF ACKF OPNF MSGF
                return _OPCUA
        if buffer[at] >= 0x41 and buffer[at] <= 0x5A:
            found = _method(buffer, at, end)
            if found:
                return found
        if word & 0xFFFFFF00 == 0x32323000 and (word & 0xFF == 0x20 or word & 0xFF == 0x2D):  # 220
            for index in range(at + 4, min(end - 3, at + 120)):
                letters = be32(buffer, index) & 0xDFDFDFDF
                if letters >> 8 == 0x465450:
                    return _FTP
                if letters == 0x534D5450:
                    return _SMTP
            return _FTP if sport == 21 else (_SMTP if sport == 25 else 0)
        if (word & 0xDFDFDFDF) == 0x55534552 and buffer[at + 4] == 0x20:  # USER
            return _POP3 if dport == 110 else _FTP
        if (word & 0xDFDFDFDF) in (0x45484C4F, 0x48454C4F) and buffer[at + 4] == 0x20:
            return _SMTP
        if word == 0x2B4F4B20:
            return _POP3 if sport == 110 else 0
        if word == 0x2A204F4B and sport == 143:
            return _IMAP
        if word == 0x3C3F786D or word == 0x3C737472:  # <?xm, <str
            for index in range(at, min(end - 13, at + 256)):
                if be32(buffer, index) == 0x73747265 and be32(buffer, index + 4) == 0x616D3A73:
                    return _XMPP
    return _tcp_binary(buffer, at, end, sport, dport)


@compiled
def begins(buffer: Buffer, at: int, end: int, protocol: int) -> bool:
    """True where a payload of a flow of this protocol may be the start of a message, not the middle of one."""
    if end - at < 2:
        return False
    first = octet(buffer, at)
    if protocol == _TLS:
        if end - at < 6:
            return False
        if first == 0x16:
            return bool(buffer[at + 1] == 3 and (buffer[at + 5] == 1 or buffer[at + 5] == 2))
        return _ssl2(buffer, at, end)
    if protocol == _HTTP or protocol == _RTSP:
        return _method(buffer, at, end) == protocol
    if protocol == _DNP3:
        return bool(first == 5 and buffer[at + 1] == 0x64)
    if protocol == _QUIC:
        return first & 0xC0 == 0xC0
    if protocol == _S7 or protocol == _S7P or protocol == _COTP:
        return bool(first == 3 and buffer[at + 1] == 0)
    if protocol == _IEC104:
        return first == 0x68
    if protocol == _SSH:
        return end - at > 4 and be32(buffer, at) == 0x5353482D
    if protocol == _ENIP:
        return end - at >= 24 and _enip(buffer, at, end, False)
    if protocol == _MODBUS:
        return end - at >= 8 and be16(buffer, at + 2) == 0
    if protocol == _AMQP:
        return end - at >= 8 and be32(buffer, at) == 0x414D5150
    return True
