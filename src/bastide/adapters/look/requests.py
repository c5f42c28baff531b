"""What is said first on a port: well-formed requests that ask for nothing but what everybody may read."""

import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

USER_AGENT = "bastide-look"


def _http(host: str) -> bytes:
    name = f"[{host}]" if ":" in host else host
    return f"GET / HTTP/1.1\r\nHost: {name}\r\nUser-Agent: {USER_AGENT}\r\nAccept: */*\r\nConnection: close\r\n\r\n".encode()


def _rtsp(host: str) -> bytes:
    name = f"[{host}]" if ":" in host else host
    return f"OPTIONS rtsp://{name}/ RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: {USER_AGENT}\r\n\r\n".encode()


def _tls(_host: str) -> bytes:
    """A client hello for TLS 1.0 to 1.2: up to then the certificate is sent in the clear, and what is obsolete shows itself."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.options &= ~(ssl.OP_NO_TLSv1 | ssl.OP_NO_TLSv1_1)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing).do_handshake()
    return outgoing.read()


def _mqtt(_host: str) -> bytes:
    """CONNECT of MQTT 3.1.1 (3.1), clean session, keep-alive 10 s, without name or password."""
    client = USER_AGENT.encode()
    variable = b"\x00\x04MQTT\x04\x02\x00\x0a" + len(client).to_bytes(2, "big") + client
    return b"\x10" + bytes([len(variable)]) + variable


def _ssdp(host: str) -> bytes:
    """M-SEARCH to one host (UPnP Device Architecture 2.0, 1.3.2): unicast, so without MX."""
    name = f"[{host}]" if ":" in host else host
    return f'M-SEARCH * HTTP/1.1\r\nHOST: {name}:1900\r\nMAN: "ssdp:discover"\r\nST: ssdp:all\r\n\r\n'.encode()


def _mdns(_host: str) -> bytes:
    """Which services there are (RFC 6763, 9), asked of one host and to be answered to it alone (RFC 6762, 5.4 and 5.5)."""
    labels = b"".join(bytes([len(label)]) + label for label in (b"_services", b"_dns-sd", b"_udp", b"local"))
    return b"\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00" + labels + b"\x00\x00\x0c\x80\x01"


def _coap(_host: str) -> bytes:
    """Confirmable GET of /.well-known/core (RFC 7252, RFC 6690)."""
    return b"\x40\x01\xba\x57" + b"\xbb.well-known" + b"\x04core"


REQUESTS: Final[Mapping[str, Callable[[str], bytes]]] = {
    "http": _http,
    "tls": _tls,
    "rtsp": _rtsp,
    "mqtt": _mqtt,
    "ssdp": _ssdp,
    "mdns": _mdns,
    "coap": _coap,
}


def request(asks: str, host: str) -> bytes:
    """The bytes to send first; empty where one only listens."""
    return REQUESTS[asks](host) if asks else b""


def goodbye(asks: str) -> bytes:
    """What ends a session properly, where the protocol has such a thing."""
    return b"\xe0\x00" if asks == "mqtt" else b""
