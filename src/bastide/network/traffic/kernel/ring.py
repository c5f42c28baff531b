"""A block of a live capture's ring (Linux TPACKET_V3, packet_mmap.rst): from the block to the same table of records.

The kernel writes the headers; their offsets are checked all the same, so that a row never points outside the block.
"""

from bastide.network.traffic.kernel.compiled import Buffer, Integers, compiled, inlined
from bastide.network.traffic.kernel.records import CAPTURED, LINK, MAX_CAPTURED, OFFSET, TIME, WIRE

# struct tpacket_hdr_v1, after version and offset_to_priv (linux/if_packet.h)
BLOCK_STATUS, BLOCK_PACKETS, BLOCK_FIRST = 8, 12, 16
# struct tpacket3_hdr
_NEXT, _SECONDS, _NANOSECONDS, _CAPTURED, _WIRE, _MAC = 0, 4, 8, 12, 16, 24
HEADER = 48

# Where the next packet of a block is, and how many it still has.
AT, LEFT, RING_STATE = 0, 1, 2


@inlined
def _native32(buffer: Buffer, at: int) -> int:
    """The byte order of the machine that this runs on: x86-64 and AArch64 are little-endian."""
    return int(buffer[at]) | int(buffer[at + 1]) << 8 | int(buffer[at + 2]) << 16 | int(buffer[at + 3]) << 24


@compiled
def index_block(buffer: Buffer, base: int, end: int, link: int, state: Integers, records: Integers) -> int:
    """Fills ``records`` from the block at ``base``; gives the rows filled. Called again while ``state[LEFT]`` is not 0."""
    rows = 0
    while state[LEFT] > 0 and rows < records.shape[0]:
        at = int(state[AT])
        if at < base or at + HEADER > end:
            state[LEFT] = 0
            break
        start = at + int(buffer[at + _MAC]) + (int(buffer[at + _MAC + 1]) << 8)
        captured = min(_native32(buffer, at + _CAPTURED), MAX_CAPTURED)
        after = _native32(buffer, at + _NEXT)
        state[LEFT] -= 1
        state[AT] = at + after
        if after == 0:
            state[LEFT] = 0
        if start + captured > end:
            continue
        records[rows, OFFSET] = start
        records[rows, CAPTURED] = captured
        records[rows, WIRE] = max(_native32(buffer, at + _WIRE), captured)
        records[rows, TIME] = _native32(buffer, at + _SECONDS) * 1_000_000_000 + _native32(buffer, at + _NANOSECONDS)
        records[rows, LINK] = link
        rows += 1
    return rows
