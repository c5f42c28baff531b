"""The names that kernel and dissectors share: protocols, transports, link types, and why something was not decoded.

Protocol numbers are ours and only live while a scan runs; what leaves is the name. Link types are those of the
LINKTYPE registry (tcpdump.org/linktypes.html), transports those of IANA.
"""

from enum import IntEnum
from typing import Final

PROTOCOLS: Final = (
    "unknown",
    "dns",
    "mdns",
    "llmnr",
    "nbns",
    "dhcp",
    "dhcpv6",
    "ssdp",
    "ntp",
    "snmp",
    "coap",
    "quic",
    "dtls",
    "sip",
    "bacnet",
    "enip",
    "tftp",
    "stun",
    "tplink-smarthome",
    "syslog",
    "ws-discovery",
    "nbds",
    "tls",
    "http",
    "rtsp",
    "ssh",
    "ftp",
    "telnet",
    "smtp",
    "pop3",
    "imap",
    "mqtt",
    "amqp",
    "modbus",
    "dnp3",
    "cotp",
    "s7comm",
    "s7comm-plus",
    "iec104",
    "opc-ua",
    "smb",
    "xmpp",
    "edimax-cloud",
    "arp",
    "eapol",
    "lldp",
    "cdp",
    "profinet",
    "goose",
    "tcp",
    "udp",
    "icmp",
    "icmpv6",
    "igmp",
    "gre",
    "esp",
    "sctp",
    "ip-other",
    "link-other",
)


class Protocol(IntEnum):
    """The numbers of ``PROTOCOLS``, for the kernel."""

    UNKNOWN = 0
    DNS = 1
    MDNS = 2
    LLMNR = 3
    NBNS = 4
    DHCP = 5
    DHCPV6 = 6
    SSDP = 7
    NTP = 8
    SNMP = 9
    COAP = 10
    QUIC = 11
    DTLS = 12
    SIP = 13
    BACNET = 14
    ENIP = 15
    TFTP = 16
    STUN = 17
    TPLINK = 18
    SYSLOG = 19
    WSD = 20
    NBDS = 21
    TLS = 22
    HTTP = 23
    RTSP = 24
    SSH = 25
    FTP = 26
    TELNET = 27
    SMTP = 28
    POP3 = 29
    IMAP = 30
    MQTT = 31
    AMQP = 32
    MODBUS = 33
    DNP3 = 34
    COTP = 35
    S7COMM = 36
    S7COMM_PLUS = 37
    IEC104 = 38
    OPCUA = 39
    SMB = 40
    XMPP = 41
    EDIMAX = 42
    ARP = 43
    EAPOL = 44
    LLDP = 45
    CDP = 46
    PROFINET = 47
    GOOSE = 48
    TCP = 49
    UDP = 50
    ICMP = 51
    ICMPV6 = 52
    IGMP = 53
    GRE = 54
    ESP = 55
    SCTP = 56
    IP_OTHER = 57
    LINK_OTHER = 58


class Reason(IntEnum):
    """Why something could not be decoded. The sentence is in ``REASONS``."""

    RECORD_CUT = 0
    RECORD_HEADER = 1
    BLOCK_CUT = 2
    BLOCK_HEADER = 3
    BLOCK_INTERFACE = 4
    LINK_UNKNOWN = 5
    LINK_SHORT = 6
    IEEE802154 = 7
    WIFI = 8
    VLAN_DEEP = 9
    LLC = 10
    ARP_SHORT = 11
    IP_VERSION = 12
    IPV4_HEADER = 13
    IPV6_HEADER = 14
    IPV6_EXTENSION = 15
    TCP_HEADER = 16
    UDP_HEADER = 17
    ICMP_HEADER = 18
    FRAGMENT = 19


REASONS: Final = (
    "record cut off at the end of the capture",
    "record header damaged, skipped to the next that fits",
    "block cut off at the end of the capture",
    "block damaged, skipped to the next that fits",
    "packet of an interface that the capture does not describe",
    "link type not supported",
    "frame shorter than its link header",
    "IEEE 802.15.4 frame (counted, not decoded)",
    "IEEE 802.11 frame (counted, not decoded)",
    "more than four VLAN tags",
    "802.3 frame with a payload that is not SNAP",
    "ARP shorter than its header or not for IPv4 on Ethernet",
    "neither IPv4 nor IPv6",
    "IPv4 header damaged or cut off",
    "IPv6 header damaged or cut off",
    "IPv6 extension headers damaged or cut off",
    "TCP header damaged or cut off",
    "UDP header damaged or cut off",
    "ICMP header damaged or cut off",
    "later fragment of an IP packet (counted for its device, in no flow)",
)


class Link(IntEnum):
    """LINKTYPE numbers."""

    NULL = 0
    ETHERNET = 1
    RAW_BSD = 12
    RAW_OPENBSD = 14
    RAW = 101
    WIFI = 105
    LOOP = 108
    SLL = 113
    PRISM = 119
    RADIOTAP = 127
    IEEE802154_FCS = 195
    IEEE802154_PHY = 215
    IPV4 = 228
    IPV6 = 229
    IEEE802154 = 230
    SLL2 = 276
    IEEE802154_TAP = 283


def name_of(protocol: int) -> str:
    """The name of a protocol number; ``unknown`` for one that is not ours."""
    return PROTOCOLS[protocol] if 0 <= protocol < len(PROTOCOLS) else PROTOCOLS[0]
