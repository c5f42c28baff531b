"""Large captures for measuring, made from the shared ones.

All Ethernet captures of the shared data are merged in time order into one template. Each copy of it gets other MAC
addresses (the maker's part stays), other IPv4 addresses, other client ports, and other identifiers (IP id, TCP sequence
numbers, DNS and DHCP transaction ids, DHCP hardware address, ARP), so that no copy repeats what another one said. IPv4
header checksums are computed anew; TCP checksums are left wrong, UDP ones are zero (no tool here checks them by default).
"""

import struct
from pathlib import Path

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bastide.network.traffic.reading import reader_of
from bastide.network.traffic.survey import Survey

SHARED = Path(__file__).resolve().parents[1] / ".." / "shared" / "data" / "captures"


def template(limit: int = 1 << 30) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """(octets of all frames, rows of (offset, length, time in ns from 0)), in time order."""
    parts: list[bytes] = []
    rows: list[tuple[int, int, int]] = []
    at = 0
    for path in sorted(SHARED.rglob("*.pcap*")):
        data = path.read_bytes()
        buffer = np.frombuffer(data, np.uint8)
        survey = Survey(deep=0)
        reader = reader_of(data[:24], path.name)
        position = reader.start
        first = -1
        while position < len(buffer):
            count, position = reader.index(buffer, position, len(buffer), True, survey.records, survey.reasons)
            for offset, captured, _, moment, link in survey.records[:count].tolist():
                if link != 1:
                    continue
                first = moment if first < 0 else first
                parts.append(data[offset : offset + captured])
                rows.append((at, captured, max(0, moment - first)))
                at += captured
            if not count:
                break
    table = np.array(rows, np.int64)
    return np.frombuffer(b"".join(parts), np.uint8), table[np.argsort(table[:, 2], kind="stable")]


@njit(cache=False)
def _write(frames, rows, copy, base_seconds, out):  # type: ignore[no-untyped-def]
    """One copy of the template as pcap records. Returns the octets written."""
    o = 0
    for r in range(rows.shape[0]):
        at, size, moment = rows[r, 0], rows[r, 1], rows[r, 2]
        seconds = base_seconds + moment // 1_000_000_000
        micros = (moment % 1_000_000_000) // 1000
        for value in (seconds, micros, size, size):
            for k in range(4):
                out[o + k] = (value >> (8 * k)) & 0xFF
            o += 4
        for k in range(size):
            out[o + k] = frames[at + k]
        p = o
        end = o + size
        o = end
        if size < 34:
            continue
        for side in (p, p + 6):
            if not out[side] & 1:
                out[side + 3] ^= copy & 0xFF
                out[side + 4] ^= (copy >> 8) & 0xFF
        kind = (np.int64(out[p + 12]) << 8) | out[p + 13]
        if kind == 0x0806 and size >= 42:
            for side in (p + 22, p + 32):
                if out[side] or out[side + 1] or out[side + 2]:
                    out[side + 3] ^= copy & 0xFF
                    out[side + 4] ^= (copy >> 8) & 0xFF
            for side in (p + 28, p + 38):
                if out[side]:
                    out[side + 2] ^= copy & 0xFF
                    out[side + 1] ^= (copy >> 8) & 0xFF
        if kind != 0x0800:
            continue
        ip = p + 14
        header = (out[ip] & 15) * 4
        if ip + header + 8 > end:
            continue
        for side in (ip + 12, ip + 16):
            if 0 < out[side] < 224:
                out[side + 2] ^= copy & 0xFF
                out[side + 1] ^= (copy >> 8) & 0xFF
        out[ip + 4] ^= copy & 0xFF
        out[ip + 10] = 0
        out[ip + 11] = 0
        total = 0
        for k in range(0, header, 2):
            total += (np.int64(out[ip + k]) << 8) | out[ip + k + 1]
        while total >> 16:
            total = (total & 0xFFFF) + (total >> 16)
        total ^= 0xFFFF
        out[ip + 10] = total >> 8
        out[ip + 11] = total & 0xFF
        transport = out[ip + 9]
        l4 = ip + header
        if transport == 6 or transport == 17:
            for side in (l4, l4 + 2):
                port = (np.int64(out[side]) << 8) | out[side + 1]
                if port >= 10000 and port != 20000 and port != 44818 and port != 47808:
                    port = 10000 + (port - 10000 + copy * 131) % 55535
                    out[side] = port >> 8
                    out[side + 1] = port & 0xFF
        if transport == 6 and l4 + 12 <= end:
            out[l4 + 4] ^= copy & 0xFF
            out[l4 + 8] ^= copy & 0xFF
        if transport == 17 and l4 + 10 <= end:
            out[l4 + 6] = 0
            out[l4 + 7] = 0
            low = (np.int64(out[l4]) << 8) | out[l4 + 1]
            high = (np.int64(out[l4 + 2]) << 8) | out[l4 + 3]
            if low == 53 or high == 53:
                out[l4 + 8] ^= copy & 0xFF
            if (low == 67 or low == 68) and l4 + 44 <= end:
                out[l4 + 12] ^= copy & 0xFF
                out[l4 + 39] ^= copy & 0xFF
                out[l4 + 40] ^= (copy >> 8) & 0xFF
    return o


def make(path: Path, packets: int) -> int:
    """Writes a capture of at least ``packets`` packets; returns how many. An existing one is used again."""
    frames, rows = template()
    copies = -(-packets // len(rows))
    count = copies * len(rows)
    size = 24 + copies * (16 * len(rows) + int(rows[:, 1].sum()))
    if path.exists() and path.stat().st_size == size:
        return count
    out = np.empty(16 * len(rows) + int(rows[:, 1].sum()), np.uint8)
    length = int(rows[-1, 2] // 1_000_000_000) + 1
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
        for copy in range(copies):
            written = _write(frames, rows, copy, 1_700_000_000 + copy * length, out)
            file.write(out[:written].tobytes())
    return count
