"""From a frame to addresses, ports and payload: Ethernet (IEEE 802.3, 802.1Q), Linux cooked, NULL/LOOP, raw IP; ARP,
IPv4 (RFC 791), IPv6 with extension headers (RFC 8200), TCP (RFC 9293), UDP (RFC 768), ICMP.

``decode`` writes one row of integers, the view; every offset in it lies within the captured octets.
"""

from bastide.network.traffic.kernel.compiled import Buffer, Integers, compiled, inlined
from bastide.network.traffic.kernel.octets import be16, be32, be48, be64_signed, octet
from bastide.network.traffic.words import Link, Protocol, Reason

V_OUTCOME, V_REASON, V_MACS, V_SOURCE_MAC, V_TARGET_MAC, V_VLAN, V_FAMILY = 0, 1, 2, 3, 4, 5, 6
V_SOURCE_HIGH, V_SOURCE_LOW, V_TARGET_HIGH, V_TARGET_LOW = 7, 8, 9, 10
V_TRANSPORT, V_SPORT, V_DPORT, V_PAYLOAD, V_END, V_FLAGS, V_SEQUENCE = 11, 12, 13, 14, 15, 16, 17
V_FRAGMENT, V_ETHERTYPE, V_PROTOCOL = 18, 19, 20
# What absorb notes of the flow while it looks ahead.
V_KEY, V_HASH, V_DIRECTION = 21, 22, 23
VIEW = 24

# V_OUTCOME
NOTHING, LINK_ONLY, NETWORK, TRANSPORT = 0, 1, 2, 3
# V_MACS, bits: which of the two addresses the link layer showed
HAS_SOURCE, HAS_TARGET = 1, 2

_LINK_UNKNOWN, _LINK_SHORT = int(Reason.LINK_UNKNOWN), int(Reason.LINK_SHORT)
_802154, _WIFI, _VLAN_DEEP, _LLC = int(Reason.IEEE802154), int(Reason.WIFI), int(Reason.VLAN_DEEP), int(Reason.LLC)
_ARP_SHORT, _IP_VERSION = int(Reason.ARP_SHORT), int(Reason.IP_VERSION)
_IPV4, _IPV6, _IPV6_EXT = int(Reason.IPV4_HEADER), int(Reason.IPV6_HEADER), int(Reason.IPV6_EXTENSION)
_TCP, _UDP, _ICMP = int(Reason.TCP_HEADER), int(Reason.UDP_HEADER), int(Reason.ICMP_HEADER)
_FRAGMENT = int(Reason.FRAGMENT)

_ETHERNET, _NULL, _LOOP, _SLL, _SLL2 = int(Link.ETHERNET), int(Link.NULL), int(Link.LOOP), int(Link.SLL), int(Link.SLL2)
_RAW, _RAW12, _RAW14, _IP4, _IP6 = (
    int(Link.RAW),
    int(Link.RAW_BSD),
    int(Link.RAW_OPENBSD),
    int(Link.IPV4),
    int(Link.IPV6),
)
_P154 = (int(Link.IEEE802154), int(Link.IEEE802154_FCS), int(Link.IEEE802154_PHY), int(Link.IEEE802154_TAP))
_PWIFI = (int(Link.WIFI), int(Link.PRISM), int(Link.RADIOTAP))

_P_CDP, _P_LLDP, _P_EAPOL, _P_ARP = int(Protocol.CDP), int(Protocol.LLDP), int(Protocol.EAPOL), int(Protocol.ARP)
_P_PROFINET, _P_GOOSE, _P_OTHER = int(Protocol.PROFINET), int(Protocol.GOOSE), int(Protocol.LINK_OTHER)


@inlined
def _failed(view: Integers, outcome: int, reason: int) -> int:
    view[V_OUTCOME] = outcome
    view[V_REASON] = reason
    return reason


@compiled
def decode(buffer: Buffer, at: int, end: int, link: int, view: Integers) -> int:
    """Fills ``view`` from the frame ``buffer[at:end]``. Returns -1, or why it could not go on (what was found by then is
    in the view)."""
    view[V_OUTCOME] = NOTHING
    view[V_MACS] = 0
    view[V_VLAN] = 0
    view[V_FRAGMENT] = 0
    ethertype = 0
    if link == _ETHERNET:
        if at + 14 > end:
            return _failed(view, NOTHING, _LINK_SHORT)
        view[V_TARGET_MAC] = be48(buffer, at)
        view[V_SOURCE_MAC] = be48(buffer, at + 6)
        # The loopback interface shows zeros: there the network layer tells who is who.
        view[V_MACS] = HAS_SOURCE | HAS_TARGET if view[V_SOURCE_MAC] or view[V_TARGET_MAC] else 0
        ethertype = be16(buffer, at + 12)
        at += 14
    elif link == _SLL:
        if at + 16 > end:
            return _failed(view, NOTHING, _LINK_SHORT)
        if be16(buffer, at + 4) == 6 and be16(buffer, at + 2) == 1:
            view[V_SOURCE_MAC] = be48(buffer, at + 6)
            view[V_MACS] = HAS_SOURCE
        ethertype = be16(buffer, at + 14)
        at += 16
    elif link == _SLL2:
        if at + 20 > end:
            return _failed(view, NOTHING, _LINK_SHORT)
        if buffer[at + 11] == 6 and be16(buffer, at + 8) == 1:
            view[V_SOURCE_MAC] = be48(buffer, at + 12)
            view[V_MACS] = HAS_SOURCE
        ethertype = be16(buffer, at)
        at += 20
    elif link == _NULL or link == _LOOP:
        # NULL is in the order of whoever captured it, LOOP in network order; all families are below 65536.
        if at + 4 > end:
            return _failed(view, NOTHING, _LINK_SHORT)
        family = be32(buffer, at)
        if family > 0xFFFF:
            family = octet(buffer, at) | (octet(buffer, at + 1) << 8)
        at += 4
        if family == 2:
            ethertype = 0x0800
        elif family == 10 or family == 24 or family == 28 or family == 30:
            ethertype = 0x86DD
        else:
            return _failed(view, NOTHING, _IP_VERSION)
    elif link == _RAW or link == _RAW12 or link == _RAW14 or link == _IP4 or link == _IP6:
        if at >= end:
            return _failed(view, NOTHING, _LINK_SHORT)
        ethertype = 0x86DD if buffer[at] >> 4 == 6 else 0x0800
    elif link == _P154[0] or link == _P154[1] or link == _P154[2] or link == _P154[3]:
        return _failed(view, NOTHING, _802154)
    elif link == _PWIFI[0] or link == _PWIFI[1] or link == _PWIFI[2]:
        return _failed(view, NOTHING, _WIFI)
    else:
        return _failed(view, NOTHING, _LINK_UNKNOWN)

    tags = 0
    while ethertype == 0x8100 or ethertype == 0x88A8 or ethertype == 0x9100:
        if tags == 4:
            return _failed(view, LINK_ONLY, _VLAN_DEEP)
        if at + 4 > end:
            return _failed(view, LINK_ONLY, _LINK_SHORT)
        view[V_VLAN] = be16(buffer, at) & 0xFFF
        ethertype = be16(buffer, at + 2)
        at += 4
        tags += 1
    view[V_OUTCOME] = LINK_ONLY
    view[V_PROTOCOL] = _P_OTHER
    if ethertype < 0x0600:
        # 802.3 with a length, or the cooked form of it (1, 4): SNAP or nothing we know.
        if at + 8 <= end and be16(buffer, at) == 0xAAAA and buffer[at + 2] == 3:
            organisation = be32(buffer, at + 2) & 0xFFFFFF
            ethertype = be16(buffer, at + 6)
            at += 8
            if organisation == 0x00000C and ethertype == 0x2000:
                view[V_PROTOCOL] = _P_CDP
                view[V_PAYLOAD] = at
                view[V_END] = end
                return -1
            if organisation != 0:
                return -1
        else:
            return _failed(view, LINK_ONLY, _LLC)
    view[V_ETHERTYPE] = ethertype
    view[V_PAYLOAD] = at
    view[V_END] = end
    if ethertype == 0x0800:
        return _ipv4(buffer, at, end, view)
    if ethertype == 0x86DD:
        return _ipv6(buffer, at, end, view)
    if ethertype == 0x0806:
        view[V_PROTOCOL] = _P_ARP
        if at + 28 > end or be32(buffer, at) != 0x00010800 or be16(buffer, at + 4) != 0x0604:
            return _failed(view, LINK_ONLY, _ARP_SHORT)
        return -1
    if ethertype == 0x888E:
        view[V_PROTOCOL] = _P_EAPOL
    elif ethertype == 0x88CC:
        view[V_PROTOCOL] = _P_LLDP
    elif ethertype == 0x8892:
        view[V_PROTOCOL] = _P_PROFINET
    elif ethertype == 0x88B8:
        view[V_PROTOCOL] = _P_GOOSE
    return -1


@inlined
def _ipv4(buffer: Buffer, at: int, end: int, view: Integers) -> int:
    if at + 20 > end or buffer[at] >> 4 != 4:
        return _failed(view, LINK_ONLY, _IPV4)
    header = (octet(buffer, at) & 15) * 4
    total = be16(buffer, at + 2)
    # A total of zero is segmentation offload: the packet is as long as the frame.
    if header < 20 or at + header > end or (total != 0 and total < header):
        return _failed(view, LINK_ONLY, _IPV4)
    view[V_OUTCOME] = NETWORK
    view[V_FAMILY] = 4
    view[V_SOURCE_HIGH] = 0
    view[V_TARGET_HIGH] = 0
    view[V_SOURCE_LOW] = be32(buffer, at + 12)
    view[V_TARGET_LOW] = be32(buffer, at + 16)
    if total != 0 and at + total < end:
        end = at + total
    fragment = be16(buffer, at + 6)
    if fragment & 0x1FFF:
        view[V_FRAGMENT] = 1
        view[V_TRANSPORT] = octet(buffer, at + 9)
        return _failed(view, NETWORK, _FRAGMENT)
    return _transport(buffer, at + header, end, octet(buffer, at + 9), view)


@inlined
def _ipv6(buffer: Buffer, at: int, end: int, view: Integers) -> int:
    if at + 40 > end or buffer[at] >> 4 != 6:
        return _failed(view, LINK_ONLY, _IPV6)
    view[V_OUTCOME] = NETWORK
    view[V_FAMILY] = 6
    view[V_SOURCE_HIGH] = be64_signed(buffer, at + 8)
    view[V_SOURCE_LOW] = be64_signed(buffer, at + 16)
    view[V_TARGET_HIGH] = be64_signed(buffer, at + 24)
    view[V_TARGET_LOW] = be64_signed(buffer, at + 32)
    length = be16(buffer, at + 4)
    if length != 0 and at + 40 + length < end:
        end = at + 40 + length
    kind = octet(buffer, at + 6)
    at += 40
    # RFC 8200 4.1 recommends each header once; eight is far beyond what occurs.
    for _ in range(8):
        if kind == 0 or kind == 43 or kind == 60 or kind == 135 or kind == 139 or kind == 140:
            if at + 8 > end:
                return _failed(view, NETWORK, _IPV6_EXT)
            kind = octet(buffer, at)
            at += 8 + octet(buffer, at + 1) * 8
        elif kind == 51:
            if at + 8 > end:
                return _failed(view, NETWORK, _IPV6_EXT)
            kind = octet(buffer, at)
            at += 8 + octet(buffer, at + 1) * 4
        elif kind == 44:
            if at + 8 > end:
                return _failed(view, NETWORK, _IPV6_EXT)
            kind = octet(buffer, at)
            if be16(buffer, at + 2) & 0xFFF8:
                view[V_FRAGMENT] = 1
                view[V_TRANSPORT] = kind
                return _failed(view, NETWORK, _FRAGMENT)
            at += 8
        else:
            if at > end:
                return _failed(view, NETWORK, _IPV6_EXT)
            return _transport(buffer, at, end, kind, view)
    return _failed(view, NETWORK, _IPV6_EXT)


@inlined
def _transport(buffer: Buffer, at: int, end: int, kind: int, view: Integers) -> int:
    view[V_TRANSPORT] = kind
    view[V_SPORT] = 0
    view[V_DPORT] = 0
    view[V_FLAGS] = 0
    view[V_SEQUENCE] = 0
    view[V_PAYLOAD] = at
    view[V_END] = end
    if kind == 6:
        if at + 20 > end:
            return _failed(view, NETWORK, _TCP)
        header = (octet(buffer, at + 12) >> 4) * 4
        if header < 20 or at + header > end:
            return _failed(view, NETWORK, _TCP)
        view[V_FLAGS] = octet(buffer, at + 13)
        view[V_SEQUENCE] = be32(buffer, at + 4)
        view[V_PAYLOAD] = at + header
    elif kind == 17:
        if at + 8 > end:
            return _failed(view, NETWORK, _UDP)
        length = be16(buffer, at + 4)
        if 0 < length < 8:
            return _failed(view, NETWORK, _UDP)
        if length and at + length < end:
            view[V_END] = at + length
        view[V_PAYLOAD] = at + 8
    elif kind == 132:
        if at + 12 <= end:
            view[V_SPORT] = be16(buffer, at)
            view[V_DPORT] = be16(buffer, at + 2)
        view[V_OUTCOME] = TRANSPORT
        return -1
    else:
        if (kind == 1 or kind == 58) and at + 4 > end:
            return _failed(view, NETWORK, _ICMP)
        view[V_OUTCOME] = TRANSPORT
        return -1
    view[V_SPORT] = be16(buffer, at)
    view[V_DPORT] = be16(buffer, at + 2)
    view[V_OUTCOME] = TRANSPORT
    return -1
