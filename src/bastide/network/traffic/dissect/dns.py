"""DNS (RFC 1035), multicast DNS (RFC 6762) with service discovery (RFC 6763), LLMNR (RFC 4795), NetBIOS names (RFC 1002 4.2).

Compression pointers must point backwards and at most 32 are followed for a name; names are at most 255 octets.
"""

from ipaddress import IPv6Address
from struct import Struct
from typing import Any

from bastide.network.traffic.dissect.cursor import Cursor
from bastide.network.traffic.dissect.message import Context, Dissector, Malformed, Message, Said, text

TYPES = {
    1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 10: "NULL", 12: "PTR", 13: "HINFO", 15: "MX", 16: "TXT", 28: "AAAA",
    32: "NB", 33: "SRV", 35: "NAPTR", 41: "OPT", 43: "DS", 46: "RRSIG", 47: "NSEC", 64: "SVCB", 65: "HTTPS", 255: "ANY",
}  # fmt: skip
RCODES = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}
MAX_RECORDS = 96
_HEADER, _RECORD = Struct(">6H"), Struct(">HHIH")
MAX_QUESTIONS = 16

# TXT keys of service discovery that name the thing (Apple's, Google's and common makers' lists).
_MODEL_KEYS = ("model", "md", "am", "ty", "product", "mdl")
_FIRMWARE_KEYS = ("fv", "firmware", "fw", "version", "srcvers", "bv", "vers", "swversion")
_MAKER_KEYS = ("manufacturer", "mf", "usb_mfg", "vendor")


Known = dict[int, tuple[list[str], int]]
"""Where each label of the names that were read begins: the labels of its name, and which of them it is."""


def name(cursor: Cursor, known: Known) -> str:
    """A domain name at the cursor, dots between labels, without the last one. ``known`` is of this message, and grows: most names
    of a message end in one that was read before."""
    labels: list[str] = []
    size = jumps = 0
    data, at, end = cursor.data, cursor.at, cursor.end
    lowest = at
    after = -1
    while True:
        if at >= end:
            raise Malformed("A domain name runs past the end of the message.")
        count = data[at]
        if count >= 0xC0:
            if at + 2 > end:
                raise Malformed("A compression pointer is cut off.")
            target = ((count & 0x3F) << 8) | data[at + 1]
            jumps += 1
            if target >= lowest or jumps > 32:
                raise Malformed("A compression pointer does not point backwards.")
            if after < 0:
                after = at + 2
            ends_in = known.get(target)
            if ends_in is not None:
                rest = ends_in[0][ends_in[1] :]
                size += sum(map(len, rest)) + len(rest)
                if size > 255:
                    raise Malformed("A domain name is longer than 255 octets.")
                labels += rest
                break
            lowest = target
            at = target
            continue
        if count >= 0x40:
            raise Malformed("A label is longer than 63 octets.")
        start = at
        at += 1
        if count == 0:
            break
        if at + count > end:
            raise Malformed("A label runs past the end of the message.")
        size += count + 1
        if size > 255:
            raise Malformed("A domain name is longer than 255 octets.")
        known[start] = (labels, len(labels))
        labels.append(data[at : at + count].decode("utf-8", "replace"))
        at += count
    cursor.at = after if after >= 0 else at
    joined = ".".join(labels)
    return joined if joined.isprintable() else "".join(filter(str.isprintable, joined))


def _netbios(encoded: str) -> tuple[str, int]:
    """First-level decoding (RFC 1001 14.1): the name and its type octet."""
    label = encoded.split(".", 1)[0]
    if len(label) != 32:
        return encoded, 0
    raw = bytes(((ord(label[i]) - 0x41) & 15) << 4 | ((ord(label[i + 1]) - 0x41) & 15) for i in range(0, 32, 2))
    return text(raw[:15]), raw[15]


def _data(cursor: Cursor, kind: int, size: int, known: Known) -> Any:
    """The data of a record in a form to show."""
    end = cursor.at + size
    if kind == 1 and size == 4:
        return ".".join(map(str, cursor.take(4)))
    if kind == 28 and size == 16:
        return str(IPv6Address(cursor.take(16)))
    if kind in (2, 5, 12) and size:
        return name(cursor, known)
    if kind == 33 and size >= 7:
        cursor.skip(4)
        port = cursor.u16()
        return {"port": port, "target": name(cursor, known)}
    if kind == 16:
        strings: list[str] = []
        while cursor.at < end and len(strings) < 64:
            strings.append(text(cursor.take(min(cursor.u8(), end - cursor.at))))
        return strings
    if kind == 13 and size >= 2:
        return [
            text(cursor.take(min(cursor.u8(), end - cursor.at))),
            text(cursor.take(min(cursor.u8(), end - cursor.at))),
        ]
    return None


def dissect(payload: bytes, context: Context) -> Message:
    """One message. Over TCP the length before it is passed over."""
    cursor = Cursor(payload)
    if context.transport == "tcp":
        cursor.skip(2)
        cursor = Cursor(payload[2:])
    identifier, flags, *counts = _HEADER.unpack(cursor.take(12))
    known: Known = {}
    questions: list[dict[str, Any]] = []
    for _ in range(min(counts[0], MAX_QUESTIONS)):
        asked = name(cursor, known)
        kind = cursor.u16()
        cursor.skip(2)
        questions.append({"rrname": asked, "rrtype": TYPES.get(kind, str(kind))})
    records: list[dict[str, Any]] = []
    for _ in range(min(sum(counts[1:]), MAX_RECORDS)):
        if cursor.left < 11:
            break
        owner = name(cursor, known)
        kind, _, ttl, size = _RECORD.unpack(cursor.take(10))
        if size > cursor.left:
            break
        after = cursor.at + size
        records.append(
            {
                "rrname": owner,
                "rrtype": TYPES.get(kind, str(kind)),
                "ttl": ttl,
                "rdata": _data(cursor, kind, size, known),
            }
        )
        cursor.at = after
    response = bool(flags & 0x8000)
    fields: dict[str, Any] = {
        "type": "response" if response else "request",
        "id": identifier,
        "opcode": (flags >> 11) & 15,
        "rcode": RCODES.get(flags & 15, str(flags & 15)),
        "queries": questions,
        "answers": records,
    }
    port = {context.source_port, context.target_port}
    first = questions[0] if questions else (records[0] if records else None)
    if first and first["rrtype"] in ("NB", "33", "SRV") and len(first["rrname"].split(".", 1)[0]) == 32:
        return _name_service(fields, questions, records, response)
    if 5353 in port:
        return Message("mdns", fields, tuple(_discovered(questions, records, response)))
    if 5355 in port:
        said = tuple(Said("llmnr", record["rrname"]) for record in (records if response else []))
        return Message("llmnr", fields, said)
    said = () if response else tuple(Said("query", question["rrname"].lower()) for question in questions[:4])
    return Message("dns", fields, said)


def _name_service(
    fields: dict[str, Any], questions: list[dict[str, Any]], records: list[dict[str, Any]], response: bool
) -> Message:
    opcode = fields["opcode"]
    said: list[Said] = []
    for entry in questions + records:
        decoded, suffix = _netbios(entry["rrname"])
        entry["rrname"] = decoded
        # A registration or refresh (opcodes 5, 8) names the sender; a group name (1e, 1d, 01) does not.
        if opcode in (5, 8, 9, 15) and suffix in (0x00, 0x20) and decoded and entry in questions:
            said.append(Said("hostname", decoded))
            said.append(Said("netbios", decoded))
    return Message("nbns", fields, tuple(said))


def _discovered(questions: list[dict[str, Any]], records: list[dict[str, Any]], response: bool) -> list[Said]:
    """What a multicast message tells about its sender."""
    said: list[Said] = []
    if not response:
        # A question tells what the sender looks for; a probe's authority section holds what it wants to be called.
        said.extend(Said("asks", question["rrname"].lower()) for question in questions[:8])
    for record in records:
        kind, owner, data = record["rrtype"], record["rrname"], record["rdata"]
        if kind in ("A", "AAAA") and data and owner.endswith(".local"):
            said.append(Said("hostname", owner[:-6]))
            said.append(Said("address", data))
        elif kind == "PTR" and isinstance(data, str) and (response or record["ttl"] > 0) and response:
            if owner.startswith("_") and not owner.startswith("_services."):
                said.append(Said("service", owner.removesuffix(".local").lower()))
                if data.endswith(owner) and len(data) > len(owner):
                    said.append(Said("instance", data[: -len(owner) - 1]))
        elif kind == "SRV" and isinstance(data, dict) and "._" in owner:
            instance, _, service = owner.partition("._")
            said.append(Said("instance", instance))
            said.append(Said("service", "_" + service.removesuffix(".local").lower()))
            if data["target"].endswith(".local"):
                said.append(Said("hostname", data["target"][:-6]))
        elif kind == "TXT" and isinstance(data, list):
            for entry in data[:32]:
                key, _, value = entry.partition("=")
                key = key.lower()
                if not value:
                    continue
                if key in _MODEL_KEYS:
                    said.append(Said("model", value))
                elif key in _FIRMWARE_KEYS:
                    said.append(Said("firmware", value))
                elif key in _MAKER_KEYS:
                    said.append(Said("manufacturer", value))
        elif kind == "HINFO" and isinstance(data, list):
            said.extend(Said("platform", value) for value in data if value)
    return said


DISSECTOR = Dissector("dns", ("dns", "mdns", "llmnr", "nbns"), dissect)
