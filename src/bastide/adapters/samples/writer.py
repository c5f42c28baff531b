"""The writing side of one partition: flushes become files, files become larger files, old ones go.

Everything here blocks (fsync, DuckDB) and is called on a thread. One writer per partition, kept so by a lock on the folder
that dies with the process. Steps of a flush: write aside, fsync, rename, fsync the folder; only then may the journal forget.
"""

import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from bastide.adapters.samples.engine import engine, engine_errors
from bastide.adapters.samples.segments import Segment, merged, next_merge, read_name, visible
from bastide.core.error import BastideError, Unavailable
from bastide.wire.batch import sequence_of

MEMORY_MIB = 192
MICROSECONDS = 1_000_000
ASIDE = ".new"

Value = float | int | str | bool
Entry = tuple[str, str, int, Mapping[str, Value]]  # device, channel, microseconds, fields


class PartitionTaken(BastideError):
    """Another process writes this partition."""

    code = "samples:partition:taken"


@dataclass(slots=True)
class Columns:
    """Samples by column, as they are collected: cheap to append to, and what the engine takes."""

    device: list[str] = field(default_factory=list)
    channel: list[str] = field(default_factory=list)
    name: list[str] = field(default_factory=list)
    at: list[int] = field(default_factory=list)
    number: list[float] = field(default_factory=list)
    text: list[str | None] = field(default_factory=list)
    kind: list[int] = field(default_factory=list)
    sequence: list[int] = field(default_factory=list)

    def add(self, device: str, channel: str, at: int, fields: Mapping[str, Value], sequence: int) -> None:
        """One message: a row for each field. ``at`` is microseconds since 1970."""
        for name, value in fields.items():
            self.device.append(device)
            self.channel.append(channel)
            self.name.append(name)
            self.at.append(at)
            self.sequence.append(sequence)
            if value.__class__ is str:
                self.number.append(0.0)
                self.text.append(value)
                self.kind.append(_TEXT)
            else:
                self.number.append(float(value))
                self.text.append(None)
                self.kind.append(_FLAG if value.__class__ is bool else _NUMBER)

    def __len__(self) -> int:
        return len(self.at)


_NUMBER, _TEXT, _FLAG = 0, 1, 2
_ORDER = "ORDER BY device, field, measured_at"
_PARQUET = "(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 65536)"


class PartitionWriter:
    """One partition of the store. ``last_batch`` is the newest batch of the journal that is in a file, 0 for none."""

    def __init__(self, folder: Path, partition: str) -> None:
        self._folder = folder / partition
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = os.open(self._folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise PartitionTaken(
                f"Another ingest worker writes {self._folder}; stop it, or give this one another partition."
            ) from error
        for left in self._folder.glob(f"*{ASIDE}"):
            left.unlink(missing_ok=True)
        self._drop_covered()
        self.last_batch = max((one.last for one in self.segments()), default=0)
        self._opened: Any = None

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()
        os.close(self._lock)

    @property
    def _engine(self) -> Any:
        if self._opened is None:
            self._opened = engine(self._folder, MEMORY_MIB)
        return self._opened

    def segments(self) -> tuple[Segment, ...]:
        return visible(_segments(self._folder))

    def store(self, batches: Sequence[tuple[int, Sequence[Entry]]]) -> None:
        """Makes batches, oldest first, durable as one file; ``Unavailable`` where the disk does not take them."""
        columns = Columns()
        for number, entries in batches:
            for index, (device, channel, at, fields) in enumerate(entries):
                columns.add(device, channel, at, fields, sequence_of(number, index))
        self.write(columns, batches[0][0], batches[-1][0])

    def write(self, columns: Columns, first: int, last: int) -> None:
        """The same for samples that are already columns."""
        if len(columns):
            import numpy as np  # with the engine, and not before

            at = np.array(columns.at, dtype="int64")
            segment = Segment(first, last, 0, int(at.min()) // MICROSECONDS, int(at.max()) // MICROSECONDS + 1)
            arrays: dict[str, Any] = {
                "device": np.array(columns.device, dtype=object),
                "channel": np.array(columns.channel, dtype=object),
                "name": np.array(columns.name, dtype=object),
                "moment": at,
                "number": np.array(columns.number, dtype="float64"),
                "words": np.array(columns.text, dtype=object),
                "kind": np.array(columns.kind, dtype="int8"),
                "sequence": np.array(columns.sequence, dtype="int64"),
            }
            self._engine.register("arrived", arrays)
            try:
                self._copy(_FROM_ARRIVED, segment)
            finally:
                self._engine.unregister("arrived")
        self.last_batch = last

    def merge(self) -> bool:
        """Merges one run of neighbours where that is worth it; True where there may be more to do."""
        segments = self.segments()
        parts = next_merge(segments, [self._size(one) for one in segments])
        if not parts:
            return False
        names = ", ".join("'" + str(self._folder.resolve() / one.name).replace("'", "''") + "'" for one in parts)
        self._copy(f"SELECT * FROM read_parquet([{names}]) {_ORDER}", merged(parts))  # noqa: S608  # our own file names
        self._drop_covered()
        return True

    def expire(self, now: datetime, keep: timedelta, max_bytes: int) -> int:
        """Removes files past their time, then the oldest until the partition is within its bytes; gives how many."""
        oldest_kept = int((now - keep).timestamp())
        removed = 0
        segments = self.segments()
        total = sum(self._size(one) for one in segments)
        for one in segments[:-1]:  # the newest stays: it says which batches are stored
            if one.until >= oldest_kept and total <= max_bytes:
                continue
            total -= self._size(one)
            (self._folder / one.name).unlink(missing_ok=True)
            removed += 1
        return removed

    def _copy(self, query: str, segment: Segment) -> None:
        target = self._folder / segment.name
        aside = target.with_name(target.name + ASIDE)
        try:
            quoted = str(aside.resolve()).replace("'", "''")
            self._engine.execute(f"COPY ({query}) TO '{quoted}' {_PARQUET}")
            _fsync(aside)
            aside.replace(target)
            _fsync(self._folder)
        except engine_errors() as error:
            with suppress(OSError):
                aside.unlink(missing_ok=True)
            raise Unavailable(
                f"The sample store {self._folder} cannot be written: {str(error)[:200]}. Make room; nothing is lost meanwhile.",
                code="samples:unwritable",
            ) from error

    def _drop_covered(self) -> None:
        found = _segments(self._folder)
        for one in set(found) - set(visible(found)):
            (self._folder / one.name).unlink(missing_ok=True)

    def _size(self, segment: Segment) -> int:
        try:
            return (self._folder / segment.name).stat().st_size
        except FileNotFoundError:
            return 0


_FROM_ARRIVED = f"""
SELECT device, channel, name AS field, make_timestamp(moment) AS measured_at,
       CASE WHEN kind = {_NUMBER} THEN number END AS number,
       words::VARCHAR AS text, -- where a flush holds no text, the type would be that of NULL
       CASE WHEN kind = {_FLAG} THEN number <> 0 END AS flag,
       sequence
FROM arrived {_ORDER}
"""  # noqa: S608  # constants only


def _segments(folder: Path) -> Sequence[Segment]:
    def found() -> Iterator[Segment]:
        for entry in os.scandir(folder):
            if (segment := read_name(entry.name)) is not None:
                yield segment

    return tuple(found())


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
