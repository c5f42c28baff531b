# ruff: noqa: E501  (a message of a protocol stays on one line)
"""Messages made by hand for each dissector: what they hold, and what they say of whoever sent them."""

import base64
import struct
from dataclasses import dataclass, field
from typing import Any

from bastide.network.traffic.dissect import Context

ASKS_TCP = Context("tcp", 40000, 4000, False)
ANSWERS_TCP = Context("tcp", 4000, 40000, True)
ASKS_UDP = Context("udp", 40000, 4000, False)
ANSWERS_UDP = Context("udp", 4000, 40000, True)
MULTICAST = Context("udp", 5353, 5353, False)
LINK = Context("link", 0, 0, False)


@dataclass(frozen=True, slots=True)
class Sample:
    """``fields`` must be among the message's (dotted names reach inside); ``said`` must be said, ``unsaid`` must not be
    anywhere in the message."""

    reads: str
    payload: bytes
    context: Context
    fields: dict[str, Any] = field(default_factory=dict)
    said: tuple[tuple[str, str], ...] = ()
    unsaid: str = ""


def name(text: str) -> bytes:
    return b"".join(bytes([len(part)]) + part.encode() for part in text.split(".")) + b"\0"


def record(owner: bytes, kind: int, data: bytes) -> bytes:
    return owner + struct.pack(">HHIH", kind, 1, 120, len(data)) + data


def netbios(text: str, suffix: int) -> bytes:
    raw = text.ljust(15).encode() + bytes([suffix])
    return b"\x20" + b"".join(bytes([0x41 + (octet >> 4), 0x41 + (octet & 15)]) for octet in raw) + b"\0"


def dhcp(*options: tuple[int, bytes], operation: int = 1) -> bytes:
    head = struct.pack(">BBBBIHH", operation, 1, 6, 0, 0x3903F326, 0, 0) + bytes(4)
    head += bytes([192, 168, 1, 50]) if operation == 2 else bytes(4)
    head += bytes(8) + bytes.fromhex("00178800000a") + bytes(10) + bytes(192) + b"\x63\x82\x53\x63"
    return head + b"".join(bytes([code, len(value)]) + value for code, value in options) + b"\xff"


def extension(kind: int, body: bytes) -> bytes:
    return struct.pack(">HH", kind, len(body)) + body


def client_hello(
    server: str = "cloud.example.com", *, version: int = 0x0303, versions: bytes = b"\x03\x04\x03\x03"
) -> bytes:
    extensions = extension(0, struct.pack(">HBH", len(server) + 3, 0, len(server)) + server.encode())
    extensions += extension(16, b"\x00\x0c\x02h2\x08http/1.1")
    extensions += extension(13, b"\x00\x04\x04\x03\x08\x04")
    extensions += extension(43, bytes([len(versions)]) + versions) if versions else b""
    extensions += extension(0x0A0A, b"")
    body = (
        struct.pack(">H", version) + bytes(range(32)) + b"\0" + b"\x00\x08\x1a\x1a\x13\x01\x13\x02\xc0\x2f" + b"\x01\0"
    )
    body += struct.pack(">H", len(extensions)) + extensions
    return b"\x01" + len(body).to_bytes(3, "big") + body


def tls_record(handshake: bytes) -> bytes:
    return b"\x16\x03\x01" + struct.pack(">H", len(handshake)) + handshake


def server_hello(version: int) -> bytes:
    body = struct.pack(">H", version) + bytes(32) + b"\0" + b"\xc0\x2f" + b"\0"
    return tls_record(b"\x02" + len(body).to_bytes(3, "big") + body)


def tplink(text: str) -> bytes:
    key, out = 171, bytearray()
    for octet in text.encode():
        key ^= octet
        out.append(key)
    return bytes(out)


def lldp(kind: int, value: bytes) -> bytes:
    return struct.pack(">H", (kind << 9) | len(value)) + value


def mqtt(kind: int, body: bytes) -> bytes:
    return bytes([kind, len(body)]) + body


def string(text: str) -> bytes:
    return struct.pack(">H", len(text)) + text.encode()


def ber(tag: int, body: bytes) -> bytes:
    return bytes([tag, len(body)]) + body


def snmp(community: bytes, oid: bytes, value: bytes, pdu: int = 0xA2) -> bytes:
    binding = ber(0x30, ber(6, oid) + value)
    inner = ber(2, b"\x01") + ber(2, b"\0") + ber(2, b"\0") + ber(0x30, binding)
    return ber(0x30, ber(2, b"\x01") + ber(4, community) + ber(pdu, inner))


def dnp3(data: bytes, control: int = 0xC4) -> bytes:
    def crc(octets: bytes) -> bytes:
        value = 0
        for octet in octets:
            value ^= octet
            for _ in range(8):
                value = (value >> 1) ^ 0xA6BC if value & 1 else value >> 1
        return (value ^ 0xFFFF).to_bytes(2, "little")

    head = bytes([5, 0x64, 5 + len(data), control]) + struct.pack("<HH", 2, 3)
    return head + crc(head) + data + crc(data)


def enip(command: int, body: bytes) -> bytes:
    return struct.pack("<HHII8sI", command, len(body), 7, 0, bytes(8), 0) + body


SECRET = "swordfish-in-the-clear"
_IDENTITY = struct.pack("<HHI", 1, 0, 0)[:2] + bytes(16) + struct.pack("<HHHBBHI", 1, 14, 54, 20, 11, 0x60, 0xC0FFEE)
_PRODUCT = b"1756-L61/B LOGIX5561"

SAMPLES = (
    Sample(
        "dns",
        struct.pack(">HHHHHH", 9, 0x8180, 1, 1, 0, 0) + name("time.example.com") + b"\0\1\0\1" + record(b"\xc0\x0c", 1, bytes([10, 0, 0, 7])),
        Context("udp", 53, 40000, True),
        {"type": "response", "rcode": "NOERROR", "queries.0.rrname": "time.example.com", "answers.0.rdata": "10.0.0.7"},
    ),
    Sample(
        "dns",
        struct.pack(">HHHHHH", 9, 0x0100, 1, 0, 0, 0) + name("Time.Example.com") + b"\0\1\0\1",
        Context("udp", 40000, 53, False),
        {"type": "request"},
        (("query", "time.example.com"),),
    ),
    Sample(
        "mdns",
        struct.pack(">HHHHHH", 0, 0x8400, 0, 4, 0, 0)
        + record(name("_hue._tcp.local"), 12, name("Philips Hue - 24.76FF._hue._tcp.local"[:11] + "._hue._tcp.local"))
        + record(name("Philips Hue._hue._tcp.local"), 33, struct.pack(">HHH", 0, 0, 443) + name("Philips-hue.local"))
        + record(name("Philips-hue.local"), 1, bytes([192, 168, 1, 9]))
        + record(name("Philips Hue._hue._tcp.local"), 16, b"\x0dmodelid=BSB00\x06md=BSB"),
        MULTICAST,
        {"type": "response"},
        (("hostname", "Philips-hue"), ("address", "192.168.1.9"), ("service", "_hue._tcp"), ("model", "BSB")),
    ),
    Sample(
        "llmnr",
        struct.pack(">HHHHHH", 3, 0, 1, 0, 0, 0) + name("printer") + b"\0\1\0\1",
        Context("udp", 40000, 5355, False),
        {"queries.0.rrname": "printer"},
    ),
    Sample(
        "nbns",
        struct.pack(">HHHHHH", 3, 0x2910, 1, 0, 0, 0) + netbios("WORKSHOP", 0x00) + b"\0\x20\0\1",
        Context("udp", 137, 137, False),
        {"queries.0.rrname": "WORKSHOP"},
        (("hostname", "WORKSHOP"),),
    ),
    Sample(
        "dhcp",
        dhcp((53, b"\1"), (12, b"camera-7"), (60, b"udhcp 1.19.4"), (55, b"\1\3\6\x0c"), (61, b"\1" + bytes.fromhex("00178800000a"))),
        Context("udp", 68, 67, False),
        {"dhcp_type": "discover", "hostname": "camera-7", "client_mac": "00:17:88:00:00:0a", "client_id": "00:17:88:00:00:0a", "params": ["subnet_mask", "router", "dns_server", "hostname"]},
        (("hostname", "camera-7"), ("vendor-class", "udhcp 1.19.4"), ("dhcp-parameters", "1,3,6,12")),
    ),
    Sample(
        "dhcp",
        dhcp((53, b"\3"), (161, b"https://lamps.example/lamp.json reserved")),
        Context("udp", 68, 67, False),
        {"dhcp_type": "request"},
        (("mud-url", "https://lamps.example/lamp.json"),),
    ),
    Sample(
        "dhcp",
        dhcp((53, b"\5"), (51, b"\0\0\x0e\x10"), (3, bytes([192, 168, 1, 1])), operation=2),
        Context("udp", 67, 68, True),
        {"dhcp_type": "ack", "assigned_ip": "192.168.1.50", "lease_time": 3600, "routers": ["192.168.1.1"]},
        (("address", "192.168.1.50"),),
    ),
    Sample(
        "dhcpv6",
        b"\x01\x00\x00\x07" + extension(1, b"\x00\x03\x00\x01" + bytes(6)) + extension(6, b"\x00\x17\x00\x18") + extension(16, struct.pack(">IH", 311, 4) + b"MSFT"),
        Context("udp", 546, 547, False),
        {"type": "solicit", "params": [23, 24]},
        (("vendor-class", "MSFT"),),
    ),
    Sample(
        "dhcpv6",
        b"\x01\x00\x00\x08" + extension(1, b"\x00\x03\x00\x01" + bytes(6)) + extension(112, b"https://lamps.example/lamp6.json"),
        Context("udp", 546, 547, False),
        {"type": "solicit"},
        (("mud-url", "https://lamps.example/lamp6.json"),),
    ),
    Sample(
        "arp",
        struct.pack(">HHBBH", 1, 0x0800, 6, 4, 2) + bytes.fromhex("00178800000a") + bytes([10, 0, 0, 1]) + bytes(6) + bytes([10, 0, 0, 2]),
        LINK,
        {"opcode": "reply", "src_mac": "00:17:88:00:00:0a", "src_ip": "10.0.0.1", "dest_ip": "10.0.0.2"},
        (("address", "10.0.0.1"),),
    ),
    Sample(
        "lldp",
        lldp(1, b"\4" + bytes(6)) + lldp(5, b"switch-3") + lldp(6, b"Acme OS 4.2") + lldp(127, b"\x00\x12\xbb\x0aAS-24") + lldp(0, b""),
        LINK,
        {"system_name": "switch-3"},
        (("hostname", "switch-3"), ("platform", "Acme OS 4.2"), ("model", "AS-24")),
    ),
    Sample(
        "lldp",
        lldp(1, b"\4" + bytes(6)) + lldp(127, b"\x00\x00\x5e\x01https://lamps.example/lamp.json") + lldp(0, b""),
        LINK,
        {"chassis": "00:00:00:00:00:00"},
        (("mud-url", "https://lamps.example/lamp.json"),),
    ),
    Sample(
        "lldp",
        lldp(1, b"\4" + bytes(6)) + lldp(127, b"\x00\x00\x5e\x01http://lamps.example/lamp.json") + lldp(5, b"hall") + lldp(0, b""),
        LINK,
        {"system_name": "hall"},
        (("hostname", "hall"),),
    ),
    Sample(
        "cdp",
        b"\x02\xb4\0\0" + struct.pack(">HH", 1, 9) + b"phone" + struct.pack(">HH", 6, 12) + b"CP-7960G",
        LINK,
        {"version": 2},
        (("hostname", "phone"), ("model", "CP-7960G")),
    ),
    Sample(
        "ssdp",
        b"NOTIFY * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nNT: urn:schemas-upnp-org:device:basic:1\r\nSERVER: Linux/3.14 UPnP/1.0 IpBridge/1.26\r\n\r\n",
        ASKS_UDP,
        {"method": "NOTIFY"},
        (("upnp", "urn:schemas-upnp-org:device:basic:1"), ("upnp-server", "Linux/3.14 UPnP/1.0 IpBridge/1.26")),
    ),
    Sample(
        "http",
        b"GET /admin HTTP/1.1\r\nHost: cam.local:80\r\nUser-Agent: app/7\r\nAuthorization: Basic " + base64.b64encode(f"admin:{SECRET}".encode()) + b"\r\n\r\n",
        ASKS_TCP,
        {"http_method": "GET", "url": "/admin", "hostname": "cam.local:80"},
        (("credential", "http-basic"), ("user-agent", "app/7"), ("http-host", "cam.local")),
        SECRET,
    ),
    Sample(
        "http",
        b"POST /login HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 28\r\n\r\nusername=admin&password=admin",
        ASKS_TCP,
        {"http_method": "POST"},
        (("credential", "http-form"), ("default-credential", "http-form")),
    ),
    Sample(
        "http",
        b'POST /ctl HTTP/1.1\r\nSOAPAction: "urn:schemas-upnp-org:service:WANIPConnection:1#AddPortMapping"\r\n\r\n',
        ASKS_TCP,
        said=(("port-mapping", "urn:schemas-upnp-org:service:WANIPConnection:1#AddPortMapping"),),
    ),
    Sample(
        "http",
        b'HTTP/1.1 401 Unauthorized\r\nServer: tiny/1\r\nWWW-Authenticate: Basic realm="cam"\r\n\r\n',
        ANSWERS_TCP,
        {"status": 401},
        (("server", "tiny/1"), ("sign-in", 'Basic realm="cam"')),
    ),
    Sample(
        "rtsp",
        b"DESCRIBE rtsp://10.0.0.9/live RTSP/1.0\r\nCSeq: 2\r\nUser-Agent: nvr\r\nAuthorization: Basic YWRtaW46\r\n\r\n",
        ASKS_TCP,
        {"start": "DESCRIBE"},
        (("user-agent", "nvr"), ("credential", "rtsp-basic"), ("default-credential", "rtsp-basic")),
    ),
    Sample("sip", b"REGISTER sip:pbx SIP/2.0\r\nUser-Agent: phone/3\r\n\r\n", ASKS_UDP, {"method": "REGISTER"}, (("user-agent", "phone/3"),)),
    Sample(
        "tls",
        tls_record(client_hello()),
        ASKS_TCP,
        {"sni": "cloud.example.com", "client_version": "TLS 1.3", "client_alpns": ["h2", "http/1.1"]},
        (("sni", "cloud.example.com"), ("alpn", "h2")),
    ),
    Sample("tls", server_hello(0x0301), ANSWERS_TCP, {"version": "TLSv1"}, (("tls", "TLSv1"), ("peer-tls", "TLSv1"))),
    Sample(
        "tls",
        b"\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10" + bytes(37),
        ASKS_TCP,
        {"client_version": "TLSv1", "ssl2_hello": True},
        (("tls-offered", "SSLv2 hello"),),
    ),
    Sample(
        "dtls",
        b"\x16\xfe\xff" + bytes(8) + struct.pack(">H", 12 + 48) + b"\x01\0\0\x30\0\0" + bytes(3) + b"\0\0\x30" + b"\xfe\xfd" + bytes(32) + b"\0\0" + b"\0\x04\xc0\x2b\x00\x2f" + b"\x01\0" + b"\0\x02\0\0",
        ASKS_UDP,
        {"client_version": "DTLS 1.2"},
    ),
    Sample("quic", b"\xc0\0\0\0\0\x04abcd\x04efgh" + bytes(8), ANSWERS_UDP, {"packet": "version_negotiation"}),
    Sample("ssh", b"SSH-1.5-OpenSSH_2.9\r\n", ANSWERS_TCP, {"proto_version": "1.5", "software_version": "OpenSSH_2.9"}, (("ssh1", "1.5"), ("server", "SSH-1.5-OpenSSH_2.9"))),
    Sample("ftp", f"PASS {SECRET}\r\n".encode(), ASKS_TCP, {"command": "PASS"}, (("credential", "ftp"),), SECRET),
    Sample("ftp", b"USER root\r\nPASS root\r\n", ASKS_TCP, said=(("default-credential", "ftp"),)),
    Sample("ftp", b"220 camera FTP 1.3 ready\r\n", ANSWERS_TCP, {"completion_code": "220"}, (("server", "camera FTP 1.3 ready"),)),
    Sample("telnet", b"\xff\xfb\x01BusyBox v1.12 login: ", ANSWERS_TCP, {"commands": 1}, (("software", "BusyBox"),)),
    Sample("telnet", b"\r\nPassword: ", ANSWERS_TCP, said=(("credential", "telnet"),)),
    Sample("smtp", b"220 mx.example ESMTP\r\n", ANSWERS_TCP, said=(("server", "220 mx.example ESMTP"),)),
    Sample("pop3", f"PASS {SECRET}\r\n".encode(), ASKS_TCP, said=(("credential", "pop3"),), unsaid=SECRET),
    Sample("imap", f"a1 LOGIN joe {SECRET}\r\n".encode(), ASKS_TCP, said=(("credential", "imap"),), unsaid=SECRET),
    Sample(
        "mqtt",
        mqtt(0x10, string("MQTT") + b"\x04\xc2\0\x3c" + string("sensor-1") + string("joe") + string(SECRET)),
        ASKS_TCP,
        {"type": "connect", "packets.0.protocol_version": 4, "packets.0.client_id": "sensor-1"},
        (("credential", "mqtt"), ("client-id", "sensor-1"), ("mqtt-version", "3.1.1")),
        SECRET,
    ),
    Sample(
        "mqtt",
        mqtt(0x10, string("MQTT") + b"\x05\x02\0\x3c" + b"\x05\x11\0\0\0\x0a" + string("")) + mqtt(0x30, string("a/b") + b"\0" + b"21.5"),
        ASKS_TCP,
        {"packets.0.properties.session_expiry_interval": 10, "packets.1.topic": "a/b", "packets.1.message": "21.5"},
        (("anonymous", "mqtt"), ("topic", "a/b")),
    ),
    Sample("mqtt", mqtt(0x10, string("MQIsdp") + b"\x03\x02\0\x3c" + string("old")), ASKS_TCP, {"packets.0.protocol_string": "MQIsdp"}, (("mqtt-version", "3.1"),)),
    Sample("mqtt", mqtt(0x82, b"\0\1" + string("+/up") + b"\1"), ASKS_TCP, {"packets.0.topics.0.topic": "+/up"}, (("subscribes", "+/up"),)),
    Sample("amqp", b"AMQP\0\0\x09\x01", ASKS_TCP, {"version": "0.9.1"}, (("amqp-version", "0.9.1"),)),
    Sample("ntp", b"\x1b" + bytes(47), Context("udp", 40000, 123, False), {"version": 3, "mode": 3}, (("ntp-version", "3"),)),
    Sample(
        "snmp",
        snmp(b"public", bytes.fromhex("2b06010201010100"), ber(4, b"AcmeOS 4")),
        ANSWERS_UDP,
        {"version": 2, "pdu_type": "response", "vars": ["1.3.6.1.2.1.1.1.0"], "community": "***"},
        (("credential", "snmp-v2c"), ("default-credential", "snmp"), ("platform", "AcmeOS 4")),
    ),
    Sample(
        "coap",
        b"\x44\x01\x00\x01abcd\xb5light\x04lamp\x41a",
        ASKS_UDP,
        {"type": "CON", "code": "GET", "path": "/light/lamp", "query": ["a"]},
        (("coap-path", "/light/lamp"),),
    ),
    Sample(
        "tplink-smarthome",
        tplink('{"system":{"get_sysinfo":{"model":"HS110(EU)","sw_ver":"1.0.8","alias":"desk"}}}'),
        ANSWERS_UDP,
        {"model": "HS110(EU)"},
        (("model", "HS110(EU)"), ("firmware", "1.0.8"), ("control", "tplink-smarthome")),
    ),
    Sample("edimax-cloud", b'<param><code value="1010" /><model value="SP2101W" /><devfwver value="2.03" /></param>', ASKS_UDP, {"model": "SP2101W"}, (("model", "SP2101W"), ("firmware", "2.03"))),
    Sample(
        "modbus",
        b"\0\1\0\0\0\x06\x01\x03\x00\x10\x00\x02",
        ASKS_TCP,
        {"unit_id": 1, "function": "read_holding_registers", "address": 16, "quantity": 2},
        (("polls", "modbus"),),
    ),
    Sample("modbus", b"\0\1\0\0\0\x06\x01\x06\x00\x10\x00\x02", ASKS_TCP, {"function": "write_single_register"}, (("commands", "modbus"),)),
    Sample(
        "modbus",
        b"\0\1\0\0\0\x11\x01\x2b\x0e\x01\x01\0\0\x02\0\x04Acme\x02\x021a",
        ANSWERS_TCP,
        {"function": "mei"},
        (("manufacturer", "Acme"), ("firmware", "1a")),
    ),
    Sample(
        "dnp3",
        dnp3(b"\xc0\xc4\x17"),
        ASKS_TCP,
        {"src": 3, "dst": 2, "type": "request", "application.function_code": 23, "application.control.sequence": 4},
        (("station", "3"),),
    ),
    Sample(
        "s7comm",
        b"\x03\0\0\x1f\x02\xf0\x80\x32\x01\0\0\0\x05\0\x0e\0\0\x05\x01" + bytes(12),
        ASKS_TCP,
        {"rosctr": "job", "function": "write_var"},
        (("commands", "s7comm"),),
    ),
    Sample(
        "enip",
        enip(0x63, b"\x01\0" + struct.pack("<HH", 0x0C, 33 + len(_PRODUCT) + 1) + _IDENTITY + bytes([len(_PRODUCT)]) + _PRODUCT + b"\x03"),
        ANSWERS_UDP,
        {"command": "list_identity", "identity.product_name": "1756-L61/B LOGIX5561", "identity.revision": "20.11"},
        (("model", "1756-L61/B LOGIX5561"), ("firmware", "20.11")),
    ),
    Sample("bacnet", b"\x81\x0b\0\x0c\x01\x20\xff\xff\0\xff\x10\x08", ASKS_UDP, {"service": "who_is"}),
    Sample("bacnet", b"\x81\x0b\0\x14\x01\0\x10\0\xc4\x02\0\x01\x2c\x22\x01\xe0\x91\x03\x21\x05", ASKS_UDP, {"service": "i_am", "instance": 300}, (("station", "300"),)),
    Sample("iec104", b"\x68\x0e\0\0\0\0\x2d\x01\x06\0\x05\0\x01\0\0\x01", ASKS_TCP, {"frame": "I", "type_id": 45, "station": 5}, (("commands", "iec104"),)),
    Sample("iec104", b"\x68\x04\x07\0\0\0", ASKS_TCP, {"frame": "U", "function": "startdt_act"}),
)  # fmt: skip
