"""Operational technology: Modbus/TCP (Modbus messaging on TCP/IP 1.0b), DNP3 (IEEE 1815), S7comm over TPKT and COTP
(RFC 1006, ISO 8073), EtherNet/IP and CIP (ODVA volume 2), BACnet/IP (ASHRAE 135 annex J), IEC 60870-5-104.

Their messages carry no proof of who sent them: whoever reaches the port may command the machine.
"""

from typing import Any

from bastide.network.traffic.dissect.cursor import Cursor
from bastide.network.traffic.dissect.message import Context, Dissector, Malformed, Message, Said, text

MODBUS_FUNCTIONS = {
    1: "read_coils", 2: "read_discrete_inputs", 3: "read_holding_registers", 4: "read_input_registers",
    5: "write_single_coil", 6: "write_single_register", 7: "read_exception_status", 8: "diagnostics",
    11: "get_comm_event_counter", 12: "get_comm_event_log", 15: "write_multiple_coils", 16: "write_multiple_registers",
    17: "report_server_id", 20: "read_file_record", 21: "write_file_record", 22: "mask_write_register",
    23: "read_write_multiple_registers", 24: "read_fifo_queue", 43: "mei",
}  # fmt: skip
_MODBUS_WRITES = (5, 6, 15, 16, 21, 22, 23)
_S7_FUNCTIONS = {
    0x00: "cpu_services", 0x04: "read_var", 0x05: "write_var", 0x1A: "request_download", 0x1B: "download_block",
    0x1C: "download_ended", 0x1D: "start_upload", 0x1E: "upload", 0x1F: "end_upload", 0x28: "plc_control",
    0x29: "plc_stop", 0xF0: "setup_communication",
}  # fmt: skip
_S7_WRITES = (0x05, 0x1A, 0x1B, 0x28, 0x29)
_ENIP_COMMANDS = {
    0x04: "list_services", 0x63: "list_identity", 0x64: "list_interfaces", 0x65: "register_session",
    0x66: "unregister_session", 0x6F: "send_rr_data", 0x70: "send_unit_data",
}  # fmt: skip
_DNP3_FUNCTIONS = {
    0: "confirm", 1: "read", 2: "write", 3: "select", 4: "operate", 5: "direct_operate", 6: "direct_operate_nr",
    13: "cold_restart", 14: "warm_restart", 18: "stop_application", 20: "enable_unsolicited", 21: "disable_unsolicited",
    23: "delay_measure", 25: "open_file", 26: "close_file", 27: "delete_file", 129: "response",
    130: "unsolicited_response",
}  # fmt: skip
_DNP3_CONTROLS = (2, 3, 4, 5, 6, 13, 14, 18, 25, 27)


def dissect_modbus(payload: bytes, context: Context) -> Message:
    cursor = Cursor(payload)
    transaction, protocol, size = cursor.u16(), cursor.u16(), cursor.u16()
    if protocol or not 2 <= size <= 260:
        raise Malformed("A Modbus header has protocol 0 and a length of 2 to 260.")
    unit, function = cursor.u8(), cursor.u8()
    plain = function & 0x7F
    fields: dict[str, Any] = {
        "transaction_id": transaction,
        "protocol_id": protocol,
        "length": size,
        "unit_id": unit,
        "function_raw": plain,
        "function": MODBUS_FUNCTIONS.get(plain, f"function_{plain}"),
    }
    said: list[Said] = []
    if function & 0x80:
        fields["exception"] = cursor.u8() if cursor.left else 0
    elif not context.from_server:
        if plain in (1, 2, 3, 4, 5, 6, 15, 16) and cursor.left >= 4:
            fields["address"], fields["quantity"] = cursor.u16(), cursor.u16()
        said.append(Said("commands" if plain in _MODBUS_WRITES else "polls", "modbus"))
    elif plain == 43 and cursor.left >= 6 and cursor.u8() == 14:
        cursor.skip(4)
        objects = cursor.u8()
        for _ in range(min(objects, 16)):
            kind, value = cursor.u8(), text(cursor.take(cursor.u8()))
            word = {0: "manufacturer", 1: "product", 2: "firmware", 4: "model", 5: "model"}.get(kind)
            if word and value:
                said.append(Said(word, value))
    elif plain == 17 and cursor.left >= 1:
        value = text(cursor.take(min(cursor.u8(), cursor.left)))
        if value:
            said.append(Said("product", value))
    return Message("modbus", fields, tuple(said))


def _crc(data: bytes) -> int:
    crc = 0
    for octet in data:
        crc ^= octet
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA6BC if crc & 1 else crc >> 1
    return crc ^ 0xFFFF


MAX_FRAMES = 16


def dissect_dnp3(payload: bytes, _: Context) -> Message:
    """The frames of a payload; the first one's fields are the message's, the others are under ``more``."""
    cursor = Cursor(payload)
    fields, said = _dnp3_frame(cursor)
    more: list[dict[str, Any]] = []
    while cursor.left >= 10 and len(more) < MAX_FRAMES:
        try:
            following, facts = _dnp3_frame(cursor)
        except Malformed:
            break  # what came whole stays
        more.append(following)
        said += facts
    if more:
        fields["more"] = more
    return Message("dnp3", fields, tuple(said))


def _dnp3_frame(cursor: Cursor) -> tuple[dict[str, Any], list[Said]]:
    """Link header with its CRC, transport octet, application header; objects by their headers (11.2)."""
    start = cursor.at
    if cursor.u16() != 0x0564:
        raise Malformed("A DNP3 frame begins with 05 64.")
    size, control = cursor.u8(), cursor.u8()
    target, source = cursor.le16(), cursor.le16()
    if cursor.le16() != _crc(cursor.data[start : start + 8]) or size < 5:
        raise Malformed("The DNP3 link header's checksum does not hold.")
    primary = bool(control & 0x40)
    fields: dict[str, Any] = {
        "src": source,
        "dst": target,
        "control": {
            "dir": bool(control & 0x80),
            "pri": primary,
            "fcb": bool(control & 0x20) and primary,
            "fcv": bool(control & 0x10) and primary,
            "function_code": control & 15,
        },
    }
    said = [Said("station", str(source))]
    user = size - 5
    data = bytearray()
    while user > 0 and cursor.left:
        block = cursor.take(min(16, user))
        cursor.skip(2)
        data += block
        user -= len(block)
    # A later fragment of a message begins without an application header (transport function, 8.2.1: FIR is 0x40).
    if len(data) >= 3 and data[0] & 0x40:
        transport, application, function = data[0], data[1], data[2]
        kind = {129: "response", 130: "unsolicited_response"}.get(function, "request")
        fields["type"] = kind
        fields["application"] = {
            "control": {
                "fir": bool(application & 0x80),
                "fin": bool(application & 0x40),
                "con": bool(application & 0x20),
                "uns": bool(application & 0x10),
                "sequence": application & 15,
            },
            "function_code": function,
            "complete": bool(transport & 0x80) and bool(transport & 0x40),
        }
        if kind == "request":
            said.append(Said("commands" if function in _DNP3_CONTROLS else "polls", "dnp3"))
        elif len(data) >= 5:
            fields["iin"] = {"indicators": _indicators(data[3], data[4])}
        at = 3 if kind == "request" else 5
        if at + 3 <= len(data):
            fields["application"]["objects"] = _objects(Cursor(bytes(data), at))
    return fields, said


def _indicators(first: int, second: int) -> list[str]:
    low = (
        "broadcast", "class_1_events", "class_2_events", "class_3_events", "need_time", "local_control", "device_trouble",
        "device_restart",
    )  # fmt: skip
    high = (
        "no_func_code_support", "object_unknown", "parameter_error", "event_buffer_overflow", "already_executing",
        "config_corrupt",
    )  # fmt: skip
    return [name for bit, name in enumerate(low) if first & (1 << bit)] + [
        name for bit, name in enumerate(high) if second & (1 << bit)
    ]


# Octets of one point by group and variation (IEEE 1815 annex A); 0 is one bit.
_POINT_SIZES = {
    (1, 1): 0, (1, 2): 1, (2, 1): 1, (2, 2): 7, (2, 3): 3, (3, 1): 0, (3, 2): 1, (4, 1): 1, (4, 2): 7, (4, 3): 3,
    (10, 1): 0, (10, 2): 1, (11, 1): 1, (11, 2): 7, (12, 1): 11, (20, 1): 5, (20, 2): 3, (20, 5): 4, (20, 6): 2,
    (21, 1): 5, (21, 2): 3, (21, 5): 11, (21, 6): 9, (21, 9): 4, (21, 10): 2, (22, 1): 5, (22, 2): 3, (22, 5): 11,
    (22, 6): 9, (23, 1): 5, (23, 2): 3, (23, 5): 11, (23, 6): 9, (30, 1): 5, (30, 2): 3, (30, 3): 4, (30, 4): 2,
    (30, 5): 5, (30, 6): 9, (32, 1): 5, (32, 2): 3, (32, 3): 11, (32, 4): 9, (32, 5): 5, (32, 7): 11, (33, 1): 5,
    (33, 2): 3, (40, 1): 5, (40, 2): 3, (40, 3): 5, (40, 4): 9, (41, 1): 5, (41, 2): 3, (41, 3): 5, (41, 4): 9,
    (42, 1): 5, (42, 2): 3, (42, 3): 11, (42, 4): 9, (50, 1): 6, (51, 1): 6, (51, 2): 6, (52, 1): 2, (52, 2): 2,
    (80, 1): 0,
}  # fmt: skip


def _objects(cursor: Cursor) -> list[dict[str, Any]]:
    """Object headers; the points are passed over by their size. Stops at the first whose size is not known."""
    found: list[dict[str, Any]] = []
    while cursor.left >= 3 and len(found) < 32:
        group, variation, qualifier = cursor.u8(), cursor.u8(), cursor.u8()
        prefix, ranging = (qualifier >> 4) & 7, qualifier & 15
        start = stop = count = 0
        if ranging in (0, 1, 2):
            width = (1, 2, 4)[ranging]
            if cursor.left < 2 * width:
                break
            start = int.from_bytes(cursor.take(width), "little")
            stop = int.from_bytes(cursor.take(width), "little")
            count = max(0, stop - start + 1)
        elif ranging in (7, 8, 9, 11):
            width = {7: 1, 8: 2, 9: 4, 11: 1}[ranging]
            if cursor.left < width:
                break
            count = int.from_bytes(cursor.take(width), "little")
        elif ranging != 6:
            break
        entry = {"group": group, "variation": variation, "qualifier": qualifier, "prefix_code": prefix}
        found.append(entry | {"range_code": ranging, "start": start, "stop": stop, "count": count})
        size = _POINT_SIZES.get((group, variation))
        if not count or size is None:
            if count:
                break
            continue
        whole = (count + 7) // 8 if size == 0 else count * (size + (0, 1, 2, 4, 1, 2, 4, 0)[prefix])
        if whole > cursor.left:
            break
        cursor.skip(whole)
    return found


def dissect_s7(payload: bytes, context: Context) -> Message:
    cursor = Cursor(payload)
    if cursor.u8() != 3:
        raise Malformed("TPKT has version 3.")
    cursor.skip(1)
    cursor.u16()
    cotp = cursor.part(cursor.u8())
    kind = cotp.u8() & 0xF0
    fields: dict[str, Any] = {"cotp": {0xE0: "connect", 0xD0: "confirm", 0xF0: "data"}.get(kind, f"0x{kind:02x}")}
    if kind != 0xF0:
        return Message("cotp", fields)
    magic = cursor.u8() if cursor.left else 0
    if magic == 0x72:
        return Message("s7comm-plus", fields | {"version": cursor.u8()})
    if magic != 0x32:
        return Message("cotp", fields)
    operation = cursor.u8()
    cursor.skip(2)
    fields["pdu_reference"] = cursor.u16()
    parameters, data = cursor.u16(), cursor.u16()
    if operation in (2, 3):
        cursor.skip(2)
    fields["rosctr"] = {1: "job", 2: "ack", 3: "ack_data", 7: "user_data"}.get(operation, str(operation))
    said: list[Said] = []
    if parameters and cursor.left:
        function = cursor.u8()
        if operation != 7:
            fields["function"] = _S7_FUNCTIONS.get(function, f"0x{function:02x}")
            if operation == 1:
                said.append(Said("commands" if function in _S7_WRITES else "polls", "s7comm"))
        else:
            fields["function"] = "user_data"
            said.extend(_system_status(cursor, parameters, data))
    return Message("s7comm", fields, tuple(said))


def _system_status(cursor: Cursor, parameters: int, data: int) -> list[Said]:
    """SZL 0x0011 and 0x001c answers: order number and names of a CPU."""
    said: list[Said] = []
    body = cursor.data[cursor.at + parameters - 1 : cursor.at + parameters - 1 + data]
    if len(body) < 12 or body[0] != 0xFF:
        return said
    identifier = int.from_bytes(body[4:6], "big") & 0xFF
    size, count = int.from_bytes(body[8:10], "big"), int.from_bytes(body[10:12], "big")
    for index in range(min(count, 16)):
        row = body[12 + index * size : 12 + (index + 1) * size]
        if len(row) < size or size < 22:
            break
        number = int.from_bytes(row[:2], "big")
        value = text(row[2:22].split(b"\0")[0])
        if identifier == 0x11 and value and number == 1:
            said.append(Said("model", value))
        elif identifier == 0x1C and value and number in (1, 2, 7):
            said.append(Said({1: "hostname", 2: "instance", 7: "product"}[number], value))
    return said


def dissect_enip(payload: bytes, context: Context) -> Message:
    cursor = Cursor(payload)
    command, size = cursor.le16(), cursor.le16()
    session, status = cursor.le32(), cursor.le32()
    cursor.skip(12)
    named = _ENIP_COMMANDS.get(command)
    if named is None or size > cursor.left:
        raise Malformed("An EtherNet/IP message has a known command and all of its data.")
    fields: dict[str, Any] = {"command": named, "session": session, "status": status}
    said: list[Said] = []
    body = cursor.part(size)
    if command == 0x63 and body.left >= 2:
        items = body.le16()
        for _ in range(min(items, 4)):
            kind, item = body.le16(), body.part(body.le16())
            if kind == 0x0C and item.left >= 33:
                item.skip(18)
                vendor, kind_of_device, product = item.le16(), item.le16(), item.le16()
                major, minor = item.u8(), item.u8()
                item.skip(6)
                name = text(item.take(item.u8()))
                fields["identity"] = {
                    "vendor_id": vendor, "device_type": kind_of_device, "product_code": product,
                    "revision": f"{major}.{minor}", "product_name": name,
                }  # fmt: skip
                if name:
                    said.append(Said("model", name))
                said.append(Said("firmware", f"{major}.{minor}"))
                said.append(Said("cip-vendor", str(vendor)))
    elif command in (0x6F, 0x70) and body.left >= 8:
        body.skip(6)
        for _ in range(min(body.le16(), 8)):
            kind, item = body.le16(), body.part(body.le16())
            if kind == 0xB1 and item.left >= 2:
                item.skip(2)
            if kind in (0xB1, 0xB2) and item.left >= 2:
                service = item.u8()
                fields["cip_service"] = service & 0x7F
                fields["cip_response"] = bool(service & 0x80)
                if not service & 0x80:
                    said.append(
                        Said("commands" if service in (0x05, 0x06, 0x07, 0x10, 0x4D, 0x53) else "polls", "enip")
                    )
    return Message("enip", fields, tuple(said))


def dissect_bacnet(payload: bytes, _: Context) -> Message:
    cursor = Cursor(payload)
    if cursor.u8() != 0x81:
        raise Malformed("BACnet/IP begins with 81.")
    function = cursor.u8()
    cursor.u16()
    fields: dict[str, Any] = {"function": function}
    if function == 4:
        cursor.skip(6)
    if function in (4, 9, 10, 11) and cursor.left >= 2:
        cursor.skip(1)
        control = cursor.u8()
        if control & 0x20:
            cursor.skip(2)
            cursor.skip(cursor.u8())
        if control & 0x08:
            cursor.skip(2)
            cursor.skip(cursor.u8())
        if control & 0x20:
            cursor.skip(1)
        if control & 0x80:
            return Message("bacnet", fields | {"network_message": cursor.u8()})
        if cursor.left >= 2:
            kind = cursor.u8() >> 4
            fields["pdu"] = (
                "confirmed",
                "unconfirmed",
                "simple_ack",
                "complex_ack",
                "segment_ack",
                "error",
                "reject",
                "abort",
            )[kind & 7]
            if kind == 1:
                service = cursor.u8()
                fields["service"] = {0: "i_am", 1: "i_have", 8: "who_is", 7: "who_has"}.get(service, str(service))
                if service == 0 and cursor.left >= 5 and cursor.u8() == 0xC4:
                    instance = cursor.u32() & 0x3FFFFF
                    fields["instance"] = instance
                    return Message("bacnet", fields, (Said("station", str(instance)),))
            elif kind == 0 and cursor.left >= 3:
                cursor.skip(2)
                service = cursor.u8()
                fields["service"] = str(service)
                writes = service in (7, 8, 10, 15, 16, 17, 20)
                return Message("bacnet", fields, (Said("commands" if writes else "polls", "bacnet"),))
    return Message("bacnet", fields)


def dissect_iec104(payload: bytes, context: Context) -> Message:
    cursor = Cursor(payload)
    if cursor.u8() != 0x68:
        raise Malformed("An IEC 104 APDU begins with 68.")
    size = cursor.u8()
    if size < 4:
        raise Malformed("An IEC 104 APDU has at least four octets of control.")
    body = cursor.part(size)
    control = body.take(4)
    if control[0] & 3 == 3:
        kind = {
            0x07: "startdt_act",
            0x0B: "startdt_con",
            0x13: "stopdt_act",
            0x23: "stopdt_con",
            0x43: "testfr_act",
            0x83: "testfr_con",
        }.get(control[0], "u")
        return Message("iec104", {"frame": "U", "function": kind})
    if control[0] & 3 == 1:
        return Message("iec104", {"frame": "S"})
    asdu = body.u8()
    body.skip(1)
    cause = body.u8() & 0x3F
    body.skip(1)
    station = body.le16()
    said = [Said("station", str(station))]
    if not context.from_server:
        said.append(Said("commands" if 45 <= asdu <= 69 else "polls", "iec104"))
    return Message("iec104", {"frame": "I", "type_id": asdu, "cause": cause, "station": station}, tuple(said))


MODBUS = Dissector("modbus", ("modbus",), dissect_modbus)
DNP3 = Dissector("dnp3", ("dnp3",), dissect_dnp3)
S7 = Dissector("s7comm", ("cotp", "s7comm", "s7comm-plus"), dissect_s7)
ENIP = Dissector("enip", ("enip",), dissect_enip)
BACNET = Dissector("bacnet", ("bacnet",), dissect_bacnet)
IEC104 = Dissector("iec104", ("iec104",), dissect_iec104)
