"""pcapng: from a window of the file to the same table of records (draft-ietf-opsawg-pcapng).

Reads section headers (both orders, many sections), interface descriptions with if_tsresol and if_tsoffset, enhanced,
simple and obsolete packet blocks; other blocks are passed over by their length. Damage: search for the next block that fits.
"""

from bastide.network.traffic.kernel.compiled import Buffer, Integers, compiled, inlined
from bastide.network.traffic.kernel.octets import be32, le32, octet, u16, u32
from bastide.network.traffic.kernel.records import CAPTURED, LINK, MAX_CAPTURED, OFFSET, TIME, WIRE
from bastide.network.traffic.words import Reason

SECTION = 0x0A0D0D0A
BYTE_ORDER = 0x1A2B3C4D
MAX_INTERFACES = 4096
MAX_BLOCK = 1 << 31

# State kept between windows, then one row for each interface of the section.
NG_LITTLE, NG_INTERFACES, NG_LAST, NG_STATE = 0, 1, 2, 3
IF_LINK, IF_SNAP, IF_RESOLUTION, IF_OFFSET, IF_COLUMNS = 0, 1, 2, 3, 4

_CUT = int(Reason.BLOCK_CUT)
_DAMAGED = int(Reason.BLOCK_HEADER)
_INTERFACE = int(Reason.BLOCK_INTERFACE)


@inlined
def _nanoseconds(units: int, resolution: int) -> int:
    """Time units of if_tsresol as ns: a power of ten, or of two where the top bit is set (section 4.2)."""
    if resolution & 0x80:
        shift = resolution & 0x7F
        if shift > 62:
            return 0
        whole = units >> shift
        part = units & ((1 << shift) - 1)
        if shift > 30:
            part >>= shift - 30
            shift = 30
        return (whole % 9_000_000_000) * 1_000_000_000 + ((part * 1_000_000_000) >> shift)
    if resolution <= 9:
        scale = 1
        for _ in range(9 - resolution):
            scale *= 10
        return (units % (9_000_000_000_000_000_000 // scale)) * scale
    for _ in range(min(resolution - 9, 19)):
        units //= 10
    return units


@inlined
def _describe(buffer: Buffer, at: int, end: int, little: int, row: Integers) -> None:
    """One interface description; ``end`` is where its body ends."""
    row[IF_LINK] = u16(buffer, at + 8, little)
    row[IF_SNAP] = u32(buffer, at + 12, little)
    row[IF_RESOLUTION] = 6
    row[IF_OFFSET] = 0
    option = at + 16
    while option + 4 <= end:
        code = u16(buffer, option, little)
        size = u16(buffer, option + 2, little)
        if code == 0 or option + 4 + size > end:
            break
        if code == 9 and size >= 1:
            row[IF_RESOLUTION] = octet(buffer, option + 4)
        elif code == 14 and size == 8:
            low = u32(buffer, option + 4 if little else option + 8, little)
            high = u32(buffer, option + 8 if little else option + 4, little)
            if high == 0:  # seconds since 1970 beyond that are after 2106, and no date of a capture
                row[IF_OFFSET] = (high << 32) | low
        option += 4 + ((size + 3) & ~3)


@inlined
def _whole(buffer: Buffer, at: int, end: int, little: int) -> int:
    """The length of the block at ``at`` where it fits and both lengths agree; 0 where not; -1 where it runs past ``end``.

    Needs 12 octets there.
    """
    size = u32(buffer, at + 4, little)
    if size < 12 or size & 3 or size > MAX_BLOCK:
        return 0
    if at + size > end:
        return -1
    return size if u32(buffer, at + size - 4, little) == size else 0


@compiled
def _next_block(buffer: Buffer, at: int, end: int, little: int) -> int:
    """The next place where a block of a kind that carries packets, or a section, is whole; else ``end``."""
    while at + 12 <= end:
        if be32(buffer, at) == SECTION:
            return at
        kind = u32(buffer, at, little)
        if 1 <= kind <= 6 and _whole(buffer, at, end, little) > 0:
            return at
        at += 1
    return end


@compiled
def index_pcapng(
    buffer: Buffer,
    at: int,
    end: int,
    final: int,
    state: Integers,
    interfaces: Integers,
    records: Integers,
    reasons: Integers,
) -> tuple[int, int]:
    """Fills ``records`` from ``buffer[at:end]``; returns (rows filled, where to go on), which may lie past ``end`` where a
    block without packets is longer than the window."""
    rows = 0
    little = int(state[NG_LITTLE])
    while rows < records.shape[0]:
        if at + 12 > end:
            if final and at < end:
                reasons[_CUT] += 1
                at = end
            break
        if be32(buffer, at) == SECTION:
            if le32(buffer, at + 8) == BYTE_ORDER:
                little = 1
            elif be32(buffer, at + 8) == BYTE_ORDER:
                little = 0
            else:
                reasons[_DAMAGED] += 1
                at = _next_block(buffer, at + 1, end, little)
                if at + 12 > end and not final:
                    break
                continue
            state[NG_LITTLE] = little
            state[NG_INTERFACES] = 0
        kind = u32(buffer, at, little)
        size = _whole(buffer, at, end, little)
        if size < 0:
            if final:
                found = _next_block(buffer, at + 4, end, little)
                reasons[_CUT if found >= end else _DAMAGED] += 1
                at = found
                continue
            if kind == 2 or kind == 3 or kind == 6 or kind == 1 or kind == SECTION:
                if u32(buffer, at + 4, little) > 2 * MAX_CAPTURED:
                    reasons[_DAMAGED] += 1
                    at = _next_block(buffer, at + 4, end, little)
                    continue
                break
            at += u32(buffer, at + 4, little)
            break
        if size == 0:
            reasons[_DAMAGED] += 1
            at = _next_block(buffer, at + 4, end, little)
            if at + 12 > end and not final:
                break
            continue
        body_end = at + size - 4
        if kind == 1 and size >= 20:
            count = int(state[NG_INTERFACES])
            if count < interfaces.shape[0]:
                _describe(buffer, at, body_end, little, interfaces[count])
                state[NG_INTERFACES] = count + 1
        elif kind == 6 or kind == 2 or kind == 3:
            start = at + 28
            interface = 0
            captured = 0
            wire = 0
            if kind == 3:
                start = at + 12
                if size >= 16:
                    wire = u32(buffer, at + 8, little)
                    captured = min(wire, size - 16)
                    if state[NG_INTERFACES] > 0 and interfaces[0, IF_SNAP] > 0:
                        captured = min(captured, int(interfaces[0, IF_SNAP]))
            elif size >= 32:
                interface = u32(buffer, at + 8, little) if kind == 6 else u16(buffer, at + 8, little)
                captured = u32(buffer, at + 20, little)
                wire = u32(buffer, at + 24, little)
            else:
                captured = MAX_BLOCK
            if interface >= state[NG_INTERFACES]:
                reasons[_INTERFACE] += 1
            elif captured > MAX_CAPTURED or start + captured > body_end:
                reasons[_DAMAGED] += 1
            else:
                if kind != 3:
                    high = u32(buffer, at + 12, little) & 0x7FFFFFFF
                    units = (high << 32) | u32(buffer, at + 16, little)
                    moment = _nanoseconds(units, int(interfaces[interface, IF_RESOLUTION]))
                    offset = int(interfaces[interface, IF_OFFSET]) * 1_000_000_000
                    state[NG_LAST] = (moment & 0x3FFFFFFFFFFFFFFF) + offset
                records[rows, OFFSET] = start
                records[rows, CAPTURED] = captured
                records[rows, WIRE] = max(wire, captured)
                records[rows, TIME] = state[NG_LAST]
                records[rows, LINK] = interfaces[interface, IF_LINK]
                rows += 1
        at += size
    return rows, at
