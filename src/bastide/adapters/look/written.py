"""What a look heard, as a capture: so that it is read by the same sandboxed parser as any other, and can be kept and opened.

The packets are put together from what went over the sockets (their true addresses, ports, times and octets); they are not
those of the wire. A host's hardware address is the one that the kernel's neighbour table has for it; where it has none (the
host is behind a router), the capture tells of the address only.
"""

import struct
from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from pathlib import Path

from bastide.adapters.look.sockets import Answer, Exchange

OURS = bytes.fromhex("02b057000001")
_SEGMENT = 1400
_SYN, _ACK, _PUSH, _FIN = 0x02, 0x10, 0x08, 0x01


def neighbours(table: Path = Path("/proc/net/arp")) -> dict[str, bytes]:
    """The hardware address of each IPv4 neighbour that the kernel knows."""
    try:
        lines = table.read_text().splitlines()[1:]
    except OSError:
        return {}
    found = {}
    for line in lines:
        parts = line.split()
        if len(parts) >= 4 and parts[3] != "00:00:00:00:00:00":
            found[parts[0]] = bytes.fromhex(parts[3].replace(":", ""))
    return found


def capture(exchanges: Iterable[Exchange], hardware: Mapping[str, bytes]) -> tuple[bytes, bytes]:
    """Two captures: of hosts whose hardware address is known (Ethernet), of the others (raw IP). Empty where there are none."""
    near: list[tuple[float, bytes]] = []
    far: list[tuple[float, bytes]] = []
    told: set[str] = set()
    for exchange in exchanges:
        if exchange.answer is not Answer.OPEN:
            continue
        mac = hardware.get(exchange.host)
        if mac is not None and exchange.host not in told:
            # What the neighbour table says was said by ARP: whose address it is.
            told.add(exchange.host)
            near.append((exchange.began - 1e-6, _arp_reply(mac, exchange.host)))
        for ours, at, packet in _packets(exchange):
            if mac is None:
                far.append((at, packet))
            else:
                kind = b"\x86\xdd" if ":" in exchange.host else b"\x08\x00"
                near.append((at, (mac + OURS if ours else OURS + mac) + kind + packet))
    return _file(near, 1), _file(far, 101)


def _arp_reply(mac: bytes, host: str) -> bytes:
    here = ip_address("192.0.2.1").packed
    return OURS + mac + struct.pack("!HHHBBH", 0x0806, 1, 0x0800, 6, 4, 2) + mac + ip_address(host).packed + OURS + here


def _file(packets: list[tuple[float, bytes]], link: int) -> bytes:
    if not packets:
        return b""
    parts = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, link)]
    for at, packet in sorted(packets, key=lambda one: one[0]):
        parts.append(struct.pack("<IIII", int(at), int(at % 1 * 1e6), len(packet), len(packet)) + packet)
    return b"".join(parts)


def _packets(exchange: Exchange) -> Iterable[tuple[bool, float, bytes]]:
    """(ours, when, IP packet)."""
    port, local = exchange.probe.port, exchange.local_port
    if exchange.probe.transport == "udp":
        for ours, at, said in exchange.said:
            yield ours, at, _ip(exchange.host, ours, 17, _udp(local, port, ours, said))
        return
    sequence = {True: 1000, False: 5000}

    def segment(ours: bool, flags: int, said: bytes = b"") -> bytes:
        ports = (local, port) if ours else (port, local)
        acknowledged = sequence[not ours] if flags & _ACK else 0
        header = struct.pack("!HHIIBBHHH", *ports, sequence[ours], acknowledged, 5 << 4, flags, 64240, 0, 0)
        sequence[ours] += len(said) + (1 if flags & (_SYN | _FIN) else 0)
        return _ip(exchange.host, ours, 6, header + said)

    began = exchange.began
    yield True, began, segment(True, _SYN)
    yield False, began + 1e-6, segment(False, _SYN | _ACK)
    yield True, began + 2e-6, segment(True, _ACK)
    end = began + 3e-6
    for ours, at, said in exchange.said:
        end = max(end, at)
        for start in range(0, len(said), _SEGMENT):
            yield ours, end, segment(ours, _ACK | _PUSH, said[start : start + _SEGMENT])
    yield True, end + 1e-6, segment(True, _FIN | _ACK)


def _udp(local: int, port: int, ours: bool, said: bytes) -> bytes:
    ports = (local, port) if ours else (port, local)
    return struct.pack("!HHHH", *ports, 8 + len(said), 0) + said


def _ip(host: str, ours: bool, protocol: int, content: bytes) -> bytes:
    """With checksums, as a reader may want them. Our own address is one of documentation: it is nobody's device."""
    there = ip_address(host).packed
    here = ip_address("2001:db8::1" if len(there) == 16 else "192.0.2.1").packed
    source, target = (here, there) if ours else (there, here)
    place = 16 if protocol == 6 else 6
    pseudo = source + target + struct.pack("!II", len(content), protocol)
    content = content[:place] + struct.pack("!H", _checksum(pseudo + content) or 0xFFFF) + content[place + 2 :]
    if len(there) == 16:
        return struct.pack("!IHBB", 6 << 28, len(content), protocol, 64) + source + target + content
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(content), 0, 0x4000, 64, protocol, 0) + source + target
    return header[:10] + struct.pack("!H", _checksum(header)) + header[12:] + content


def _checksum(content: bytes) -> int:
    if len(content) % 2:
        content += b"\0"
    total: int = sum(struct.unpack(f"!{len(content) // 2}H", content))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
