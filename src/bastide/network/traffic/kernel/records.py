"""pcap: from a window of the file to a table of records (draft-ietf-opsawg-pcap, section 4 and 5).

Tolerates damage: a header that cannot be one is skipped by searching for the next place where two records in a row fit.
Each row of ``records`` is (offset in the window, captured length, length on the wire, time in ns, link type).
"""

from bastide.network.traffic.kernel.compiled import Buffer, Integers, compiled, inlined
from bastide.network.traffic.kernel.octets import u32
from bastide.network.traffic.words import Reason

OFFSET, CAPTURED, WIRE, TIME, LINK = 0, 1, 2, 3, 4
RECORD_COLUMNS = 5

MAX_CAPTURED = 262_144
"""libpcap's MAXIMUM_SNAPLEN: no record that a capture tool wrote is longer."""

MAX_STEP_SECONDS = 86_400 * 366
"""A record a year away from the last one is taken for damage unless nothing better is found."""

_CUT = int(Reason.RECORD_CUT)
_HEADER = int(Reason.RECORD_HEADER)

# State of a pcap reader, kept between windows.
LITTLE, NANO, LINK_TYPE, EXTRA, LAST_SECONDS, PCAP_STATE = 0, 1, 2, 3, 4, 5


@inlined
def _fits(buffer: Buffer, at: int, end: int, state: Integers) -> bool:
    """A record header at ``at`` may be one: lengths and time are possible. Needs 16 octets there."""
    little = int(state[LITTLE])
    captured = u32(buffer, at + 8, little)
    wire = u32(buffer, at + 12, little)
    if captured > MAX_CAPTURED or wire > 16_777_216 or captured > wire + 64:
        return False
    fraction = u32(buffer, at + 4, little)
    if fraction >= (1_000_000_000 if state[NANO] else 2_000_000):
        return False
    last = int(state[LAST_SECONDS])
    seconds = u32(buffer, at, little)
    return last < 0 or (seconds - last < MAX_STEP_SECONDS and last - seconds < MAX_STEP_SECONDS)


@compiled
def index_pcap(
    buffer: Buffer, at: int, end: int, final: int, state: Integers, records: Integers, reasons: Integers
) -> tuple[int, int]:
    """Fills ``records`` from ``buffer[at:end]``; returns (rows filled, where to go on).

    Stops where the table is full or the next record is not whole. ``final`` says that the file ends at ``end``: what is
    not whole there is counted and passed over.
    """
    rows = 0
    header = 16 + int(state[EXTRA])
    little = int(state[LITTLE])
    unit = 1 if state[NANO] else 1000
    while rows < records.shape[0]:
        if at + header > end:
            if final and at < end:
                reasons[_CUT] += 1
                at = end
            break
        if not _fits(buffer, at, end, state):
            reasons[_HEADER] += 1
            at = _next_fitting(buffer, at + 1, end, header, state)
            if at + header > end and not final:
                break
            continue
        captured = u32(buffer, at + 8, little)
        if at + header + captured > end:
            if final:
                # Either the file was cut here, or this header is damaged and names too much: look for whole ones.
                found = _next_fitting(buffer, at + 1, end, header, state)
                reasons[_CUT if found >= end else _HEADER] += 1
                at = found
                continue
            break
        seconds = u32(buffer, at, little)
        state[LAST_SECONDS] = seconds
        records[rows, OFFSET] = at + header
        records[rows, CAPTURED] = captured
        records[rows, WIRE] = max(u32(buffer, at + 12, little), captured)
        records[rows, TIME] = seconds * 1_000_000_000 + u32(buffer, at + 4, little) * unit
        records[rows, LINK] = state[LINK_TYPE]
        rows += 1
        at += header + captured
    return rows, at


@compiled
def _next_fitting(buffer: Buffer, at: int, end: int, header: int, state: Integers) -> int:
    """The next place where a record fits and is followed by another that fits or by the exact end; else ``end``."""
    little = int(state[LITTLE])
    while at + header <= end:
        if _fits(buffer, at, end, state):
            captured = u32(buffer, at + 8, little)
            after = at + header + captured
            if captured >= 14 and (after == end or (after + header <= end and _fits(buffer, after, end, state))):
                return at
        at += 1
    return end
