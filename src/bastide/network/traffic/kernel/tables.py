"""The bounded tables of a scan: flows, devices, pairs (what a device was seen with), and the payloads already seen.

Each is set-associative: a key hashes to a bucket of eight ways; a full bucket gives up the way that was quiet the
longest, and counts it. So a table never grows, never needs rehashing, and a lookup touches one line of tags.
"""

from typing import NamedTuple

import numpy as np

from bastide.network.traffic.kernel.compiled import Integers, compiled, inlined
from bastide.network.traffic.kernel.octets import mix
from bastide.network.traffic.words import PROTOCOLS, REASONS

WAYS = 8

# A flow: two ends in a fixed order (end 0 sorts first), counters for each direction (0: from end 0).
F_ADDRESS0, F_ADDRESS1, F_KEY = 0, 2, 4
F_PACKETS, F_BYTES, F_FIRST, F_LAST = 5, 7, 9, 10
F_DEVICES, F_STATE, F_NEXT, F_WANT, F_PAYLOADS = 11, 12, 13, 14, 15
FLOW_COLUMNS = 16

# F_STATE: protocol (8 bits), client (2 bits: 0 not known, 1 end 0, 2 end 1), TCP flags of each direction (8 bits each).
CLIENT_SHIFT, FLAGS_SHIFT = 8, 16

# A device: what it is named by, counters, and the protocols it took part in as client (2 columns) and as server (2).
D_KIND, D_HIGH, D_LOW = 0, 1, 2
D_SENT, D_RECEIVED, D_BYTES_SENT, D_BYTES_RECEIVED, D_FIRST, D_LAST = 3, 4, 5, 6, 7, 8
D_PROTOCOLS, D_SERVED, D_DIALOGUES = 9, 11, 13
DEVICE_COLUMNS = 14
BY_MAC, BY_IPV4, BY_IPV6 = 1, 2, 3

# A pair: what a device was seen with.
P_DEVICE, P_HIGH, P_LOW, P_EXTRA, P_COUNT, P_BYTES, P_FIRST, P_LAST = 0, 1, 2, 3, 4, 5, 6, 7
PAIR_COLUMNS = 8
# Kinds of pair, in the upper bits of P_DEVICE.
SOURCE, BOUND, SERVICE, PEER = 1, 2, 3, 4
KIND_SHIFT = 40
IPV6_FLAG = 1 << 39

# Counters of a scan.
C_PACKETS, C_BYTES, C_FLOWS, C_FLOWS_EVICTED, C_DEVICES_EVICTED, C_PAIRS_EVICTED = 0, 1, 2, 3, 4, 5
C_SELECTED, C_FIRST, C_LAST, C_LIMITED, C_FRAGMENTS, C_TRUNCATED = 6, 7, 8, 9, 10, 11
COUNTERS = 12

# A selected payload, for Python: where it is, whose it is, what the kernel took it for.
S_OFFSET, S_LENGTH, S_FLOW, S_DIRECTION, S_PROTOCOL, S_TIME = 0, 1, 2, 3, 4, 5
S_SOURCE, S_TARGET, S_SEQUENCE, S_NUMBER, S_FRAME, S_TRANSPORT = 6, 7, 8, 9, 10, 11
SELECTED_COLUMNS = 12


class Tables(NamedTuple):
    """All state of a scan. Arrays are made zeroed, so unused parts of them take no memory."""

    flow_tags: Integers
    flows: Integers
    device_tags: Integers
    devices: Integers
    pair_tags: Integers
    pairs: Integers
    seen: Integers
    budget: Integers
    by_protocol: Integers
    counters: Integers
    reasons: Integers


def new_tables(*, flow_bits: int = 19, device_bits: int = 14, pair_bits: int = 17, seen_bits: int = 17) -> Tables:
    """Empty tables for ``2**bits`` rows each. The defaults hold 524,288 flows and 16,384
    devices; what is unused takes no memory."""
    return Tables(
        flow_tags=np.zeros(1 << flow_bits, np.int64),
        flows=np.zeros((1 << flow_bits, FLOW_COLUMNS), np.int64),
        device_tags=np.zeros(1 << device_bits, np.int64),
        devices=np.zeros((1 << device_bits, DEVICE_COLUMNS), np.int64),
        pair_tags=np.zeros(1 << pair_bits, np.int64),
        pairs=np.zeros((1 << pair_bits, PAIR_COLUMNS), np.int64),
        seen=np.zeros(1 << seen_bits, np.int64),
        budget=np.zeros((1 << device_bits, len(PROTOCOLS)), np.int64),
        by_protocol=np.zeros(len(PROTOCOLS), np.int64),
        counters=np.zeros(COUNTERS, np.int64),
        reasons=np.zeros(len(REASONS), np.int64),
    )


@inlined
def _oldest(tags: Integers, rows: Integers, base: int, last: int) -> int:
    """A free way of the bucket, or the one whose ``last`` column is lowest."""
    oldest = base
    for way in range(base, base + WAYS):
        if tags[way] == 0:
            return way
        if rows[way, last] < rows[oldest, last]:
            oldest = way
    return oldest


@compiled
def device_row(tables: Tables, kind: int, high: int, low: int, now: int) -> int:
    """The row of a device, made where it is new."""
    state = mix(mix(mix(kind, high), low), 0x2545F491)
    tag = state | 1
    base = ((state >> 8) & (tables.device_tags.shape[0] // WAYS - 1)) * WAYS
    devices = tables.devices
    for way in range(base, base + WAYS):
        if (
            tables.device_tags[way] == tag
            and devices[way, D_KIND] == kind
            and devices[way, D_HIGH] == high
            and devices[way, D_LOW] == low
        ):
            return way
    way = _oldest(tables.device_tags, devices, base, D_LAST)
    if tables.device_tags[way] != 0:
        tables.counters[C_DEVICES_EVICTED] += 1
        tables.budget[way, :] = 0
    tables.device_tags[way] = tag
    devices[way, :] = 0
    devices[way, D_KIND] = kind
    devices[way, D_HIGH] = high
    devices[way, D_LOW] = low
    devices[way, D_FIRST] = now
    devices[way, D_LAST] = now
    return way


@compiled
def note_pair(tables: Tables, kind: int, device: int, high: int, low: int, extra: int, octets: int, now: int) -> None:
    """Counts that a device was seen with something."""
    owner = (kind << KIND_SHIFT) | device
    state = mix(mix(mix(owner, high), low), extra)
    tag = state | 1
    base = ((state >> 8) & (tables.pair_tags.shape[0] // WAYS - 1)) * WAYS
    pairs = tables.pairs
    for way in range(base, base + WAYS):
        if (
            tables.pair_tags[way] == tag
            and pairs[way, P_DEVICE] == owner
            and pairs[way, P_HIGH] == high
            and pairs[way, P_LOW] == low
            and pairs[way, P_EXTRA] == extra
        ):
            pairs[way, P_COUNT] += 1
            pairs[way, P_BYTES] += octets
            pairs[way, P_LAST] = max(now, int(pairs[way, P_LAST]))
            return
    way = _oldest(tables.pair_tags, pairs, base, P_LAST)
    if tables.pair_tags[way] != 0:
        tables.counters[C_PAIRS_EVICTED] += 1
    tables.pair_tags[way] = tag
    pairs[way, P_DEVICE] = owner
    pairs[way, P_HIGH] = high
    pairs[way, P_LOW] = low
    pairs[way, P_EXTRA] = extra
    pairs[way, P_COUNT] = 1
    pairs[way, P_BYTES] = octets
    pairs[way, P_FIRST] = now
    pairs[way, P_LAST] = now


@inlined
def first_time(tables: Tables, state: int) -> bool:
    """True where this hash was not seen lately. Forgets by overwriting; a false True costs one more dissection."""
    tag = state | 1
    slot = ((state >> 7) & (tables.seen.shape[0] // 2 - 1)) * 2
    if tables.seen[slot] == tag or tables.seen[slot + 1] == tag:
        return False
    tables.seen[slot + 1] = tables.seen[slot]
    tables.seen[slot] = tag
    return True


@compiled
def relabel(tables: Tables, flow: int, protocol: int) -> None:
    """Gives a flow another protocol and keeps the counts by protocol right."""
    state = int(tables.flows[flow, F_STATE])
    tables.by_protocol[state & 0xFF] -= 1
    tables.by_protocol[protocol] += 1
    tables.flows[flow, F_STATE] = (state & ~0xFF) | protocol
