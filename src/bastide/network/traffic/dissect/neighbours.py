"""Who is on the link: ARP (RFC 826), LLDP (IEEE 802.1AB, RFC 8520 12), CDP (Cisco), DHCPv6 (RFC 8415, RFC 8520 10)."""

from ipaddress import IPv4Address, IPv6Address
from typing import Any

from bastide.network.traffic.dissect.cursor import Cursor
from bastide.network.traffic.dissect.message import Context, Dissector, Malformed, Message, Said, mac, mud_url, text

_DHCPV6 = {
    1: "solicit", 2: "advertise", 3: "request", 4: "confirm", 5: "renew", 6: "rebind", 7: "reply", 8: "release",
    9: "decline", 10: "reconfigure", 11: "information_request",
}  # fmt: skip


def dissect_arp(payload: bytes, _: Context) -> Message:
    cursor = Cursor(payload)
    hardware, protocol, sizes = cursor.u16(), cursor.u16(), cursor.u16()
    if (hardware, protocol, sizes) != (1, 0x0800, 0x0604):
        raise Malformed("Only ARP for IPv4 on Ethernet is read.")
    operation = cursor.u16()
    sender, address = mac(cursor.take(6)), str(IPv4Address(cursor.take(4)))
    target, wanted = mac(cursor.take(6)), str(IPv4Address(cursor.take(4)))
    fields = {
        "hw_type": "ethernet",
        "proto_type": "ipv4",
        "opcode": {1: "request", 2: "reply"}.get(operation, str(operation)),
        "src_mac": sender,
        "src_ip": address,
        "dest_mac": target,
        "dest_ip": wanted,
    }
    return Message("arp", fields, (Said("address", address, sender),) if address != "0.0.0.0" else ())  # noqa: S104


def dissect_lldp(payload: bytes, _: Context) -> Message:
    cursor = Cursor(payload)
    fields: dict[str, Any] = {}
    said: list[Said] = []
    for _tlv in range(64):
        if cursor.left < 2:
            break
        head = cursor.u16()
        kind, value = head >> 9, cursor.part(head & 0x1FF)
        if kind == 0:
            break
        if kind == 1 and value.left > 1:
            fields["chassis"] = value.rest()[1:].hex(":")
        elif kind in (4, 5, 6) and value.left:
            name = {4: "port", 5: "system_name", 6: "system_description"}[kind]
            fields[name] = text(value.rest())
            if kind == 5:
                said.append(Said("hostname", fields[name]))
            elif kind == 6:
                said.append(Said("platform", fields[name]))
        elif kind == 127 and value.left > 4:
            said += _organisational(value.take(3), value.u8(), value.rest())
    if not fields:
        raise Malformed("An LLDP frame begins with the chassis that sends it.")
    return Message("lldp", fields, tuple(said))


def _organisational(owner: bytes, subtype: int, value: bytes) -> tuple[Said, ...]:
    if owner == b"\x00\x12\xbb":  # LLDP-MED inventory (ANSI/TIA-1057 10.2.6)
        word = {6: "firmware", 9: "manufacturer", 10: "model"}.get(subtype)
        return (Said(word, text(value)),) if word else ()
    if owner == b"\x00\x00\x5e" and subtype == 1 and mud_url(value):  # IANA's (RFC 8520, section 12)
        return (Said("mud-url", mud_url(value)),)
    return ()


def dissect_cdp(payload: bytes, _: Context) -> Message:
    cursor = Cursor(payload)
    fields: dict[str, Any] = {"version": cursor.u8()}
    cursor.skip(3)
    said: list[Said] = []
    for _tlv in range(64):
        if cursor.left < 4:
            break
        kind, size = cursor.u16(), cursor.u16()
        if size < 4:
            raise Malformed("A CDP field is at least four octets long.")
        value = cursor.take(min(size - 4, cursor.left))
        word = {1: "hostname", 5: "firmware", 6: "model"}.get(kind)
        if word and text(value):
            fields[word] = text(value)
            said.append(Said(word, text(value)))
    return Message("cdp", fields, tuple(said))


def dissect_dhcpv6(payload: bytes, _: Context) -> Message:
    cursor = Cursor(payload)
    kind = cursor.u8()
    transaction = cursor.u24()
    fields: dict[str, Any] = {"type": _DHCPV6.get(kind, str(kind)), "id": transaction}
    said: list[Said] = []
    request = kind in (1, 3, 4, 5, 6, 8, 9, 11)
    codes: list[int] = []
    for _option in range(64):
        if cursor.left < 4:
            break
        code = cursor.u16()
        value = cursor.part(cursor.u16())
        codes.append(code)
        if code == 1:
            raw = value.rest()
            fields["client_id"] = raw.hex(":")
        elif code == 6 and request:
            fields["params"] = [value.u16() for _ in range(value.left // 2)]
            said.append(Said("dhcpv6-parameters", ",".join(map(str, fields["params"]))))
        elif code == 16 and value.left > 6 and request:
            value.skip(4)
            name = text(value.take(min(value.u16(), value.left)))
            if name:
                fields["vendor_class"] = name
                said.append(Said("vendor-class", name))
        elif code == 39 and value.left > 2 and request:
            value.skip(1)
            label = text(value.take(min(value.u8(), value.left)))
            if label:
                fields["hostname"] = label
                said.append(Said("hostname", label))
        elif code == 112 and request:
            url = mud_url(value.rest())
            if url:
                said.append(Said("mud-url", url))
        elif code == 3 and value.left >= 12 and kind == 7:
            value.skip(12)
            if value.left >= 28 and value.u16() == 5:
                value.skip(2)
                fields["address"] = str(IPv6Address(value.take(16)))
    return Message("dhcpv6", fields, tuple(said))


ARP = Dissector("arp", ("arp",), dissect_arp)
LLDP = Dissector("lldp", ("lldp",), dissect_lldp)
CDP = Dissector("cdp", ("cdp",), dissect_cdp)
DHCPV6 = Dissector("dhcpv6", ("dhcpv6",), dissect_dhcpv6)
