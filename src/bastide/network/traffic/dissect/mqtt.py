"""MQTT 3.1, 3.1.1 (OASIS, section 2 and 3) and 5.0. Passwords are recognised and compared with defaults, never kept."""

from typing import Any

from bastide.network.traffic.dissect.cursor import Cursor
from bastide.network.traffic.dissect.defaults import is_default
from bastide.network.traffic.dissect.message import Context, Dissector, Incomplete, Malformed, Message, Said, text

KINDS = {
    1: "connect", 2: "connack", 3: "publish", 4: "puback", 5: "pubrec", 6: "pubrel", 7: "pubcomp", 8: "subscribe",
    9: "suback", 10: "unsubscribe", 11: "unsuback", 12: "pingreq", 13: "pingresp", 14: "disconnect", 15: "auth",
}  # fmt: skip
MAX_PACKETS = 64


def _varint(cursor: Cursor) -> int:
    """A variable byte integer (5.0, 1.5.5)."""
    value = 0
    for shift in (0, 7, 14, 21):
        octet = cursor.u8()
        value |= (octet & 0x7F) << shift
        if octet < 0x80:
            return value
    raise Malformed("A variable byte integer is longer than four octets.")


def _string(cursor: Cursor) -> str:
    return cursor.take(cursor.u16()).decode("utf-8", "replace")


def _properties(cursor: Cursor) -> dict[str, Any]:
    """5.0, 2.2.2: only what is reported; the others are passed over by the length of all."""
    inside = cursor.part(_varint(cursor))
    found: dict[str, Any] = {}
    sizes = {
        1: 1, 2: 4, 17: 4, 19: 2, 23: 1, 24: 4, 25: 1, 33: 2, 34: 2, 35: 2, 36: 1, 37: 1, 39: 4, 40: 1, 41: 1, 42: 1,
    }  # fmt: skip
    names = {
        1: "payload_format_indicator", 2: "message_expiry_interval", 3: "content_type", 8: "response_topic",
        17: "session_expiry_interval", 18: "assigned_client_identifier", 19: "server_keep_alive",
        21: "authentication_method", 24: "will_delay_interval", 25: "request_response_information",
        33: "receive_maximum", 34: "topic_alias_maximum", 35: "topic_alias", 36: "maximum_qos", 37: "retain_available",
        39: "maximum_packet_size", 40: "wildcard_subscription_available", 41: "subscription_identifiers_available",
        42: "shared_subscription_available", 31: "reason_string",
    }  # fmt: skip
    while inside.left:
        kind = _varint(inside)
        value: Any
        if kind in sizes:
            value = int.from_bytes(inside.take(sizes[kind]), "big")
        elif kind in (3, 8, 18, 21, 26, 28, 31):
            value = text(inside.take(inside.u16()))
        elif kind in (9, 22):
            inside.skip(inside.u16())
            continue
        elif kind == 11:
            value = _varint(inside)
        elif kind == 38:
            key, value = text(inside.take(inside.u16())), text(inside.take(inside.u16()))
            found.setdefault("user_properties", []).append(f"{key}={value}")
            continue
        else:
            raise Malformed(f"MQTT has no property {kind}.")
        if kind in names:
            found[names[kind]] = value
    return found


def _connect(body: Cursor, said: list[Said]) -> dict[str, Any]:
    named = _string(body)
    version, flags = body.u8(), body.u8()
    body.skip(2)
    fields: dict[str, Any] = {
        "protocol_string": named,
        "protocol_version": version,
        "flags": {
            "username": bool(flags & 0x80),
            "password": bool(flags & 0x40),
            "will_retain": bool(flags & 0x20),
            "will": bool(flags & 0x04),
            "clean_session": bool(flags & 0x02),
        },
    }
    if version == 5:
        properties = _properties(body)
        if properties:
            fields["properties"] = properties
    client = _string(body)
    fields["client_id"] = client
    if client:
        said.append(Said("client-id", text(client.encode())))
    if flags & 0x04:
        will: dict[str, Any] = {}
        if version == 5:
            will["properties"] = _properties(body)
        will["topic"] = _string(body)
        body.skip(body.u16())
        fields["will"] = will
    user = ""
    if flags & 0x80:
        user = _string(body)
    if flags & 0x40:
        password = body.take(body.u16())
        said.append(Said("credential", "mqtt"))
        if is_default(user, password.decode("latin-1")):
            said.append(Said("default-credential", "mqtt"))
    elif flags & 0x80 == 0 and "authentication_method" not in fields.get("properties", {}):
        said.append(Said("anonymous", "mqtt"))
    said.append(Said("mqtt-version", {3: "3.1", 4: "3.1.1", 5: "5.0"}.get(version, str(version))))
    return fields


def _packet(kind: int, flags: int, body: Cursor, version: int, said: list[Said]) -> dict[str, Any]:
    fields: dict[str, Any] = {"qos": (flags >> 1) & 3, "retain": bool(flags & 1), "dup": bool(flags & 8)}
    if kind == 1:
        fields.update(_connect(body, said))
    elif kind == 2:
        fields["session_present"] = bool(body.u8() & 1)
        fields["return_code"] = body.u8()
        if version == 5 and body.left:
            fields["properties"] = _properties(body)
    elif kind == 3:
        fields["topic"] = _string(body)
        said.append(Said("topic", text(fields["topic"].encode())))
        if fields["qos"]:
            fields["message_id"] = body.u16()
        if version == 5:
            properties = _properties(body)
            if properties:
                fields["properties"] = properties
        fields["message_length"] = body.left
        fields["message"] = body.data[body.at : min(body.end, body.at + 256)].decode("utf-8", "replace")
    elif kind in (4, 5, 6, 7) and body.left >= 2:
        fields["message_id"] = body.u16()
        if body.left:
            fields["reason_code"] = body.u8()
    elif kind in (8, 10):
        fields["message_id"] = body.u16()
        if version == 5:
            _properties(body)
        topics: list[Any] = []
        while body.left and len(topics) < 64:
            topic = _string(body)
            topics.append({"topic": topic, "qos": body.u8() & 3} if kind == 8 else topic)
            said.append(Said("subscribes" if kind == 8 else "unsubscribes", text(topic.encode())))
        fields["topics"] = topics
    elif kind in (9, 11):
        fields["message_id"] = body.u16()
        if version == 5:
            _properties(body)
        codes = list(body.data[body.at : min(body.end, body.at + 64)])
        fields["qos_granted" if kind == 9 else "reason_codes"] = codes
    elif kind == 14 and version == 5:
        fields["reason_code"] = body.u8() if body.left else 0
    return fields


def dissect(payload: bytes, context: Context) -> Message:
    """All packets of the payload, in ``packets``; the first one's name is the message's ``type``.

    Only CONNECT tells the version: the flow remembers it. Without it 5.0 is tried where 3.1.1 does not fit.
    """
    cursor = Cursor(payload)
    packets: list[dict[str, Any]] = []
    said: list[Said] = []
    version = context.remembered or 4
    while cursor.left and len(packets) < MAX_PACKETS:
        first = cursor.u8()
        kind = first >> 4
        if kind == 0:
            raise Malformed("MQTT has no packet of type 0.")
        size = _varint(cursor)
        if size > cursor.left:
            if packets:
                break
            if kind == 3 and cursor.left > 2:
                # A long payload: its topic is at the start, and what it carries is not looked at anyway.
                body = Cursor(payload, cursor.at)
                packets.append({"type": "publish", **_packet(kind, first & 15, body, version, said), "cut": True})
                break
            raise Incomplete("The MQTT packet goes on in the next segment.")
        body = cursor.part(size)
        before = body.at
        try:
            fields = _packet(kind, first & 15, body, version, said)
        except Malformed:
            if version == 5 or kind == 1:
                raise
            version = 5
            body.at = before
            fields = _packet(kind, first & 15, body, version, said)
        if kind == 1:
            version = fields["protocol_version"]
        elif kind == 2 and size > 2:
            version = 5
        packets.append({"type": KINDS[kind], **fields})
    if not packets:
        raise Incomplete("The MQTT packet goes on in the next segment.")
    fields = {"type": packets[0]["type"], "packets": packets}
    return Message("mqtt", fields, tuple(said), remember=version)


DISSECTOR = Dissector("mqtt", ("mqtt",), dissect)
