"""Names of sample files, and what follows from them. Pure.

``<level>-<first>-<last>-<since>-<until>.parquet``: the file holds all samples of the journal's batches ``first`` to ``last``
(one partition), measured between ``since`` and ``until`` (seconds since 1970, outward rounded). Level 0 is what one flush
wrote; a file of level n+1 holds what several neighbours of level n held. A file appears whole (rename) and never changes.

While neighbours are merged, both the merged file and its parts may exist: a part whose batches a higher level covers does
not count. So every reader sees each sample once, and a crash between the two steps leaves nothing wrong.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# So many neighbours become one file of the next level: a day of half-second flushes is about forty files.
MERGE = 16
MAX_LEVEL = 5
# Larger files gain nothing, and merging them would need more memory than the writer may have.
MAX_MERGED_BYTES = 48 * 1024 * 1024


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """One file. ``first`` and ``last`` are batches of the journal, both included."""

    first: int
    last: int
    level: int
    since: int
    until: int

    @property
    def name(self) -> str:
        return f"{self.level}-{self.first:016x}-{self.last:016x}-{self.since}-{self.until}.parquet"

    def covers(self, other: "Segment") -> bool:
        return self.level > other.level and self.first <= other.first and other.last <= self.last


_NAME = re.compile(r"([0-9])-([0-9a-f]{16})-([0-9a-f]{16})-([0-9]{1,12})-([0-9]{1,12})\.parquet")


def read_name(name: str) -> Segment | None:
    """The segment that a file name says; None for any other file."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    level, first, last, since, until = found.groups()
    return Segment(int(first, 16), int(last, 16), int(level), int(since), int(until))


def visible(segments: Iterable[Segment]) -> tuple[Segment, ...]:
    """The segments that count, in the order of their batches."""
    ordered = sorted(segments, key=lambda one: (one.first, -one.last, -one.level))
    kept: list[Segment] = []
    for one in ordered:
        if not any(other.covers(one) for other in kept[-MAX_LEVEL:]):
            kept.append(one)
    return tuple(kept)


def next_merge(segments: Sequence[Segment], sizes: Sequence[int]) -> tuple[Segment, ...]:
    """The neighbours that should become one file now, lowest level first; none where there is nothing to gain.

    ``segments`` are the visible ones in order, ``sizes`` their bytes."""
    for level in range(MAX_LEVEL):
        run: list[Segment] = []
        total = 0
        for one, size in zip(segments, sizes, strict=True):
            if one.level == level and total + size <= MAX_MERGED_BYTES:
                run.append(one)
                total += size
                if len(run) == MERGE:
                    return tuple(run)
            else:
                run, total = ([one], size) if one.level == level and size <= MAX_MERGED_BYTES else ([], 0)
    return ()


def merged(parts: Sequence[Segment]) -> Segment:
    """The segment that holds what neighbours held."""
    return Segment(
        first=parts[0].first,
        last=parts[-1].last,
        level=parts[0].level + 1,
        since=min(one.since for one in parts),
        until=max(one.until for one in parts),
    )
