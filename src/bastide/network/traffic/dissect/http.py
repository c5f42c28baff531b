"""HTTP/1 (RFC 9112) and what speaks like it: SSDP (UPnP Device Architecture 2.0, 1.2 and 1.3), RTSP (RFC 2326), SIP (RFC 3261).

Only the start line and the headers are read, and of a form only whether a password is in it. Credentials are recognised
and compared with the defaults that devices ship with; neither name nor password leaves this module.
"""

import base64
import binascii
from typing import Any
from urllib.parse import unquote_plus

from bastide.network.traffic.dissect.defaults import is_default
from bastide.network.traffic.dissect.message import Context, Dissector, Incomplete, Malformed, Message, Said, text

MAX_HEADERS = 96
_PASSWORD_FIELDS = ("password", "passwd", "pass", "pwd", "passphrase", "psk")
_USER_FIELDS = ("username", "user", "login", "uname", "email", "account")


def _headers(payload: bytes) -> tuple[str, dict[str, str], bytes, bool]:
    """Start line, headers with lower-case names (the first of each), the body so far, and whether the headers ended."""
    head, separator, body = payload.partition(b"\r\n\r\n")
    if not separator:
        head, separator, body = payload.partition(b"\n\n")
    lines = head.split(b"\n", MAX_HEADERS)
    headers: dict[str, str] = {}
    for line in lines[1:MAX_HEADERS]:
        key, colon, value = line.partition(b":")
        if colon and key:
            headers.setdefault(text(key).lower(), text(value))
    return text(lines[0]), headers, body, bool(separator)


def _credentials(headers: dict[str, str], body: bytes, scheme: str) -> list[Said]:
    said: list[Said] = []
    kind, _, value = headers.get("authorization", "").partition(" ")
    if kind.lower() == "basic":
        said.append(Said("credential", f"{scheme}-basic"))
        try:
            user, _, password = base64.b64decode(value.strip() + "==", validate=False).decode("latin-1").partition(":")
            if is_default(user, password):
                said.append(Said("default-credential", f"{scheme}-basic"))
        except (ValueError, binascii.Error):
            pass  # not base64: still an attempt to sign in, with nothing to compare
    elif kind.lower() == "bearer":
        said.append(Said("credential", f"{scheme}-bearer"))
    if "x-www-form-urlencoded" in headers.get("content-type", "") and body:
        values: dict[str, str] = {}
        for entry in body[:4096].decode("latin-1").split("&", 64)[:64]:
            key, _, value = entry.partition("=")
            values[key.lower()] = unquote_plus(value)
        password = next((values[key] for key in _PASSWORD_FIELDS if values.get(key)), "")
        if password:
            said.append(Said("credential", f"{scheme}-form"))
            if is_default(next((values[key] for key in _USER_FIELDS if key in values), ""), password):
                said.append(Said("default-credential", f"{scheme}-form"))
    return said


def dissect_http(payload: bytes, context: Context) -> Message:
    start, headers, body, ended = _headers(payload)
    parts = start.split(" ", 2)
    if len(parts) < 2:
        raise Malformed("The start line of an HTTP message has three parts.")
    if not ended and len(payload) < 4096 and context.transport == "tcp":
        more = True
    else:
        more = parts[0] == "POST" and not body and headers.get("content-length", "0") != "0"
    fields: dict[str, Any] = {"headers": headers}
    said: list[Said] = []
    if parts[0].startswith("HTTP/"):
        fields["protocol"] = parts[0]
        fields["status"] = int(parts[1]) if parts[1].isdigit() else 0
        if headers.get("server"):
            said.append(Said("server", headers["server"]))
        if fields["status"] == 401 and headers.get("www-authenticate"):
            said.append(Said("sign-in", headers["www-authenticate"]))
        if "text/html" in headers.get("content-type", ""):
            said.append(Said("page", "html"))
        if b"<deviceType>" in body or b"<modelName>" in body:
            said.extend(_description(body))
    else:
        fields["http_method"], fields["url"] = parts[0], parts[1]
        fields["protocol"] = parts[2] if len(parts) > 2 else ""
        if headers.get("user-agent"):
            fields["http_user_agent"] = headers["user-agent"]
            said.append(Said("user-agent", headers["user-agent"]))
        if headers.get("host"):
            fields["hostname"] = headers["host"]
            said.append(Said("http-host", headers["host"].split(":")[0].lower()))
        said.append(Said("http-path", parts[1].split("?")[0][:80]))
        if headers.get("soapaction"):
            action = headers["soapaction"].strip('"')
            said.append(Said("soap", action[:120]))
            if "PortMapping" in action and "AddPort" in action:
                said.append(Said("port-mapping", action[:120]))
        said.extend(_credentials(headers, body, "http"))
    return Message("http", fields, tuple(said), partial=more)


def _description(body: bytes) -> list[Said]:
    """What a UPnP device description names (UPnP Device Architecture 2.0, 2.3), without an XML parser."""
    said: list[Said] = []
    for tag, word in (
        (b"friendlyName", "instance"),
        (b"manufacturer", "manufacturer"),
        (b"modelName", "model"),
        (b"modelNumber", "model-number"),
        (b"firmwareVersion", "firmware"),
    ):
        start = body.find(b"<" + tag + b">")
        end = body.find(b"</" + tag, start)
        if 0 <= start < end:
            value = text(body[start + len(tag) + 2 : end])
            if value:
                said.append(Said(word, value))
    return said


def dissect_ssdp(payload: bytes, _: Context) -> Message:
    start, headers, _body, _ended = _headers(payload)
    method = start.split(" ", 1)[0]
    fields = {"method": method, "headers": headers}
    said: list[Said] = []
    if method == "M-SEARCH":
        if headers.get("st"):
            said.append(Said("searches", headers["st"]))
        if headers.get("user-agent"):
            said.append(Said("user-agent", headers["user-agent"]))
        return Message("ssdp", fields, tuple(said))
    for key in ("nt", "st"):
        kind = headers.get(key, "")
        if kind.startswith("urn:"):
            said.append(Said("upnp", kind))
    if headers.get("server"):
        said.append(Said("upnp-server", headers["server"]))
    if headers.get("hue-bridgeid"):
        said.append(Said("upnp", "hue-bridgeid"))
    return Message("ssdp", fields, tuple(said))


def dissect_rtsp(payload: bytes, context: Context) -> Message:
    start, headers, _body, ended = _headers(payload)
    parts = start.split(" ", 2)
    if len(parts) < 2:
        raise Malformed("The start line of an RTSP message has three parts.")
    if not ended and len(payload) < 4096:
        raise Incomplete("The headers go on.")
    said = [Said("server", headers["server"])] if headers.get("server") else []
    if headers.get("user-agent"):
        said.append(Said("user-agent", headers["user-agent"]))
    said.extend(_credentials(headers, b"", "rtsp"))
    return Message("rtsp", {"start": parts[0], "target": parts[1], "headers": headers}, tuple(said))


def dissect_sip(payload: bytes, _: Context) -> Message:
    start, headers, _body, _ended = _headers(payload)
    parts = start.split(" ", 2)
    if len(parts) < 3:
        raise Malformed("The start line of a SIP message has three parts.")
    said = [
        Said(word, headers[key])
        for key, word in (("user-agent", "user-agent"), ("server", "server"))
        if headers.get(key)
    ]
    said.extend(_credentials(headers, b"", "sip"))
    return Message("sip", {"method": parts[0], "uri": parts[1], "version": parts[2], "headers": headers}, tuple(said))


HTTP = Dissector("http", ("http",), dissect_http)
SSDP = Dissector("ssdp", ("ssdp",), dissect_ssdp)
RTSP = Dissector("rtsp", ("rtsp",), dissect_rtsp)
SIP = Dissector("sip", ("sip",), dissect_sip)
