"""DHCP for IPv4 (RFC 2131, options of RFC 2132, 3396, 4702, 8520; overload of RFC 2132 9.3)."""

from ipaddress import IPv4Address
from typing import Any

from bastide.network.traffic.dissect.cursor import Cursor
from bastide.network.traffic.dissect.message import Context, Dissector, Malformed, Message, Said, mac, mud_url, text

MAGIC = 0x63825363
KINDS = {
    1: "discover", 2: "offer", 3: "request", 4: "decline", 5: "ack", 6: "nak", 7: "release", 8: "inform",
    10: "leasequery", 11: "leaseunassigned", 12: "leaseunknown", 13: "leaseactive",
}  # fmt: skip
PARAMETERS = {
    1: "subnet_mask", 2: "time_offset", 3: "router", 4: "time_server", 6: "dns_server", 12: "hostname", 15: "domain",
    23: "ip_ttl", 26: "interface_mtu", 28: "broadcast_address", 31: "router_discovery", 33: "static_route",
    42: "ntp_server", 43: "vendor_specific", 44: "netbios_name_server", 46: "netbios_node_type", 47: "netbios_scope",
    50: "requested_ip", 51: "lease_time", 52: "option_overload", 53: "dhcp_type", 54: "server_id", 55: "params",
    57: "max_message", 58: "renewal_time", 59: "rebinding_time", 60: "vendor_class", 61: "client_id",
    66: "tftp_server", 67: "bootfile", 119: "domain_search", 121: "classless_route", 161: "mud_url", 252: "wpad",
}  # fmt: skip
_TIMES = {51: "lease_time", 58: "renewal_time", 59: "rebinding_time"}
_ADDRESS_LISTS = {3: "routers", 6: "dns_servers", 42: "ntp_servers"}


def _options(payload: bytes, at: int, end: int, found: dict[int, bytes]) -> None:
    """Collects options; one that is repeated is concatenated (RFC 3396)."""
    cursor = Cursor(payload, at, end)
    while cursor.left:
        code = cursor.u8()
        if code == 0:
            continue
        if code == 255:
            return
        if cursor.left < 1:
            return
        size = cursor.u8()
        if size > cursor.left:
            return
        found[code] = found.get(code, b"") + cursor.take(size)


def _addresses(raw: bytes) -> list[str]:
    return [str(IPv4Address(raw[i : i + 4])) for i in range(0, len(raw) - len(raw) % 4, 4)][:16]


def dissect(payload: bytes, _: Context) -> Message:
    cursor = Cursor(payload)
    operation, hardware, size = cursor.u8(), cursor.u8(), cursor.u8()
    cursor.skip(1)
    transaction = cursor.u32()
    cursor.skip(4)
    client, yours, server, relay = (str(IPv4Address(cursor.take(4))) for _ in range(4))
    address = cursor.take(16)
    if operation not in (1, 2) or size > 16:
        raise Malformed("A DHCP message has operation 1 or 2 and a hardware address of at most 16 octets.")
    cursor.skip(192)
    if cursor.u32() != MAGIC:
        raise Malformed("The DHCP magic cookie is missing.")
    options: dict[int, bytes] = {}
    _options(payload, 240, len(payload), options)
    overload = options.get(52, b"\0")[:1]
    if overload in (b"\1", b"\3"):
        _options(payload, 108, 236, options)
    if overload in (b"\2", b"\3"):
        _options(payload, 44, 108, options)

    kind = options.get(53, b"\0")
    fields: dict[str, Any] = {
        "type": "request" if operation == 1 else "reply",
        "id": transaction,
        "client_mac": mac(address),
        "assigned_ip": yours,
        "client_ip": client,
        "relay_ip": relay,
        "next_server_ip": server,
        "dhcp_type": KINDS.get(kind[0] if kind else 0, "unknown"),
    }
    for code, named in _TIMES.items():
        if len(options.get(code, b"")) == 4:
            fields[named] = int.from_bytes(options[code], "big")
    for code, named in _ADDRESS_LISTS.items():
        if code in options:
            fields[named] = _addresses(options[code])
    if len(options.get(1, b"")) == 4:
        fields["subnet_mask"] = str(IPv4Address(options[1]))
    if len(options.get(50, b"")) == 4:
        fields["requested_ip"] = str(IPv4Address(options[50]))
    if 12 in options:
        fields["hostname"] = options[12].decode("utf-8", "replace")
    if 60 in options:
        fields["vendor_class_identifier"] = text(options[60])
    if 61 in options:
        raw = options[61]
        fields["client_id"] = mac(raw[1:]) if len(raw) == 7 and raw[0] == 1 else raw.hex(":")
    if 55 in options:
        fields["params"] = [PARAMETERS.get(code, str(code)) for code in options[55]]
        fields["params_numbers"] = list(options[55])
    return Message("dhcp", fields, tuple(_said(fields, options, operation, hardware, size, address)))


def _said(
    fields: dict[str, Any], options: dict[int, bytes], operation: int, hardware: int, size: int, address: bytes
) -> list[Said]:
    if hardware != 1 or size != 6:
        return []
    about = mac(address)
    said: list[Said] = []
    if operation == 1:
        # What a client says of itself; a server's copy of the host name adds nothing.
        if 12 in options and text(options[12]):
            said.append(Said("hostname", text(options[12]), about))
            said.append(Said("dhcp-hostname", text(options[12]), about))
        if 81 in options and len(options[81]) > 3:
            said.append(Said("hostname", text(options[81][3:]), about))
        if text(options.get(60, b"")):
            said.append(Said("vendor-class", text(options[60]), about))
        if 55 in options:
            said.append(Said("dhcp-parameters", ",".join(str(code) for code in options[55]), about))
        if mud_url(options.get(161, b"")):
            said.append(Said("mud-url", mud_url(options[161]), about))
        said.append(Said("dhcp-options", ",".join(str(code) for code in sorted(options)), about))
    elif fields["dhcp_type"] == "ack" and fields["assigned_ip"] != "0.0.0.0":  # noqa: S104 - compared, not bound
        said.append(Said("address", fields["assigned_ip"], about))
    return said


DISSECTOR = Dissector("dhcp", ("dhcp",), dissect)
