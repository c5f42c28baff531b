"""Small datagram protocols: NTP (RFC 5905), SNMP (RFC 1157, 3416, 3412), CoAP (RFC 7252), TP-Link smart
home, AMQP (OASIS 1.0, 0-9-1)."""

import json
from typing import Any

from bastide.network.traffic.dissect.cursor import Cursor
from bastide.network.traffic.dissect.message import Context, Dissector, Incomplete, Malformed, Message, Said, text

_SNMP_PDUS = {
    0: "get_request", 1: "get_next_request", 2: "response", 3: "set_request", 4: "trap_v1", 5: "get_bulk_request",
    6: "inform_request", 7: "trap_v2", 8: "report",
}  # fmt: skip
_DEFAULT_COMMUNITIES = ("public", "private", "community", "snmp", "cisco", "admin")
_COAP_CODES = {1: "GET", 2: "POST", 3: "PUT", 4: "DELETE", 5: "FETCH", 6: "PATCH", 7: "iPATCH"}


def dissect_ntp(payload: bytes, context: Context) -> Message:
    cursor = Cursor(payload)
    first = cursor.u8()
    mode, version = first & 7, (first >> 3) & 7
    fields: dict[str, Any] = {"version": version, "mode": mode}
    if mode <= 5:
        fields["stratum"] = cursor.u8()
        cursor.skip(46)
        said = (Said("ntp-version", str(version)),) if mode in (1, 3) else ()
    else:
        said = (Said("ntp-control", str(mode)),) if context.from_server else ()
    return Message("ntp", fields, said)


def _element(cursor: Cursor) -> tuple[int, Cursor]:
    """A BER element of definite length."""
    tag, size = cursor.u8(), cursor.u8()
    if size & 0x80:
        count = size & 0x7F
        if not 1 <= count <= 4:
            raise Malformed("A BER length has one to four octets.")
        size = int.from_bytes(cursor.take(count), "big")
    return tag, cursor.part(size)


def _oid(raw: bytes) -> str:
    if not raw:
        return ""
    parts = [min(raw[0] // 40, 2), raw[0] - 40 * min(raw[0] // 40, 2)]
    value = 0
    for octet in raw[1:128]:
        value = ((value << 7) | (octet & 0x7F)) & 0xFFFFFFFF
        if octet < 0x80:
            parts.append(value)
            value = 0
    return ".".join(str(part) for part in parts)


def dissect_snmp(payload: bytes, context: Context) -> Message:
    tag, outer = _element(Cursor(payload))
    if tag != 0x30:
        raise Malformed("An SNMP message is a SEQUENCE.")
    _, version_octets = _element(outer)
    version = int.from_bytes(version_octets.rest(), "big")
    if version == 3:
        _, header = _element(outer)
        _element(header)
        _element(header)
        _, flags = _element(header)
        level = flags.u8()
        fields: dict[str, Any] = {"version": 3, "encrypted": bool(level & 2), "authenticated": bool(level & 1)}
        _, wrapped = _element(outer)
        try:
            _, security = _element(wrapped)
            _, engine = _element(security)
            engine_octets = engine.rest()
            _element(security)
            _element(security)
            _, user = _element(security)
            fields["usm"] = text(user.rest())
            if engine_octets:
                fields["engine_id"] = engine_octets.hex()
        except Malformed:
            pass  # another security model: the header is what there is to say
        fields["pdu_type"] = "encrypted"
        if not level & 2:
            _, scoped = _element(outer)
            _element(scoped)
            _element(scoped)
            tag, _pdu = _element(scoped)
            fields["pdu_type"] = _SNMP_PDUS.get(tag & 0x1F, "unknown")
        return Message("snmp", fields, ())
    _, community = _element(outer)
    shared = community.rest()
    tag, pdu = _element(outer)
    kind = _SNMP_PDUS.get(tag & 0x1F, "unknown")
    fields = {"version": version + 1, "pdu_type": kind, "community": "***"}
    said = [Said("credential", f"snmp-v{version + 1 if version == 0 else '2c'}")]
    if shared.decode("latin-1").lower() in _DEFAULT_COMMUNITIES:
        said.append(Said("default-credential", "snmp"))
    if kind == "trap_v1":
        _, enterprise = _element(pdu)
        fields["trap_oid"] = _oid(enterprise.rest())
    else:
        for _ in range(3):
            _element(pdu)
        _, bindings = _element(pdu)
        names: list[str] = []
        while bindings.left and len(names) < 32:
            _, binding = _element(bindings)
            _, oid = _element(binding)
            names.append(_oid(oid.rest()))
            tag, value = _element(binding)
            if names[-1] == "1.3.6.1.2.1.1.1.0" and tag == 4 and kind == "response" and value.left:
                said.append(Said("platform", text(value.rest())))
            elif names[-1] == "1.3.6.1.2.1.1.5.0" and tag == 4 and kind == "response" and value.left:
                said.append(Said("hostname", text(value.rest())))
            elif names[-1] == "1.3.6.1.6.3.1.1.4.1.0" and tag == 6:
                fields["trap_oid"] = _oid(value.rest())
        fields["vars"] = names
    return Message("snmp", fields, tuple(said))


def dissect_coap(payload: bytes, context: Context) -> Message:
    cursor = Cursor(payload)
    first, code = cursor.u8(), cursor.u8()
    if first >> 6 != 1 or first & 15 > 8:
        raise Malformed("A CoAP message has version 1 and a token of at most 8 octets.")
    identifier = cursor.u16()
    cursor.skip(first & 15)
    number = 0
    path: list[str] = []
    query: list[str] = []
    host = ""
    options = 0
    while cursor.left and options < 64:
        head = cursor.u8()
        if head == 0xFF:
            break
        sizes = []
        for nibble in (head >> 4, head & 15):
            if nibble == 13:
                sizes.append(13 + cursor.u8())
            elif nibble == 14:
                sizes.append(269 + cursor.u16())
            elif nibble == 15:
                raise Malformed("A CoAP option's length is reserved.")
            else:
                sizes.append(nibble)
        number += sizes[0]
        value = cursor.take(sizes[1])
        options += 1
        if number == 11:
            path.append(text(value))
        elif number == 15:
            query.append(text(value))
        elif number == 3:
            host = text(value)
    named = _COAP_CODES.get(code, f"{code >> 5}.{code & 31:02}")
    fields = {
        "type": ("CON", "NON", "ACK", "RST")[(first >> 4) & 3],
        "code": named,
        "message_id": identifier,
        "path": "/" + "/".join(path),
        "query": query,
    }
    said = [Said("coap-path", ("/" + "/".join(path))[:120])] if path else []
    if host:
        said.append(Said("http-host", host))
    return Message("coap", fields, tuple(said))


def dissect_tplink(payload: bytes, context: Context) -> Message:
    """JSON under an autokey XOR that starts with 171; over TCP with a length before it (not a cipher, so readable)."""
    if context.transport == "tcp":
        cursor = Cursor(payload)
        size = cursor.u32()
        if size > 16384:
            raise Malformed("The TP-Link message is longer than 16 KiB.")
        if size > cursor.left:
            raise Incomplete("The TP-Link message goes on in the next segment.")
        payload = cursor.take(size)
    key = 171
    plain = bytearray()
    for octet in payload:
        plain.append(octet ^ key)
        key = octet
    try:
        document = json.loads(plain.decode("utf-8", "replace"))
    except (ValueError, RecursionError) as error:
        raise Malformed("The TP-Link message is not JSON.") from error
    system = document.get("system", {}) if isinstance(document, dict) else {}
    info = system.get("get_sysinfo") if isinstance(system, dict) else None
    said: list[Said] = [Said("control", "tplink-smarthome")]
    fields: dict[str, Any] = {"modules": sorted(map(str, document))[:16] if isinstance(document, dict) else []}
    if isinstance(info, dict):
        for key_name, word in (
            ("model", "model"),
            ("dev_name", "product"),
            ("sw_ver", "firmware"),
            ("alias", "instance"),
        ):
            value = info.get(key_name)
            if isinstance(value, str) and value:
                fields[key_name] = text(value.encode())
                said.append(Said(word, text(value.encode())))
    return Message("tplink-smarthome", fields, tuple(said))


def dissect_amqp(payload: bytes, context: Context) -> Message:
    if payload[:4] != b"AMQP" or len(payload) < 8:
        raise Malformed("AMQP begins with its name and version.")
    version = ".".join(str(octet) for octet in payload[5:8])
    return Message("amqp", {"version": version, "protocol": payload[4]}, (Said("amqp-version", version),))


NTP = Dissector("ntp", ("ntp",), dissect_ntp)
SNMP = Dissector("snmp", ("snmp",), dissect_snmp)
COAP = Dissector("coap", ("coap",), dissect_coap)
TPLINK = Dissector("tplink-smarthome", ("tplink-smarthome",), dissect_tplink)
AMQP = Dissector("amqp", ("amqp",), dissect_amqp)
