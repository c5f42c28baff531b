"""The reading side: any process, while writers write. Nothing but the files' names says what there is."""

import asyncio
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Any

from bastide.adapters.samples.engine import engine, engine_errors, io_errors
from bastide.adapters.samples.segments import read_name, visible
from bastide.core.error import Unavailable
from bastide.core.ids import DeviceId

MEMORY_MIB = 128
# A file may be merged away between listing and opening; the next listing has what it held.
TRIES = 5


class SampleStore:
    """Implements ports.platform.samples.Samples over the files of all partitions."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = Lock()
        self._engine: Any = None

    def close(self) -> None:
        with self._lock:
            if self._engine is not None:
                self._engine.close()
                self._engine = None

    async def series(
        self, device: DeviceId, field: str, since: datetime, until: datetime, points: int
    ) -> Sequence[tuple[datetime, float]]:
        """See the port; a point is the mean of an equal slice of the time asked for, at its first sample."""
        if points < 1 or until <= since:
            return []
        width = max(1, (until - since) // timedelta(microseconds=1) // points)
        query = """
            SELECT epoch_us(min(measured_at)), avg(number) FROM {files}
            WHERE device = $device AND field = $field AND number IS NOT NULL AND measured_at >= $since AND measured_at < $until
            GROUP BY least((epoch_us(measured_at) - epoch_us($since::TIMESTAMP)) // $width, $last) ORDER BY 1
        """
        values = {
            "device": device,
            "field": field,
            "since": _naive(since),
            "until": _naive(until),
            "width": width,
            "last": points - 1,
        }
        rows = await self._ask(query, values, since, until)
        return [(_aware(at), float(mean)) for at, mean in rows]

    async def fields(self, device: DeviceId, since: datetime) -> Sequence[str]:
        query = "SELECT DISTINCT field FROM {files} WHERE device = $device AND measured_at >= $since ORDER BY 1"
        rows = await self._ask(query, {"device": device, "since": _naive(since)}, since)
        return [str(row[0]) for row in rows]

    async def count(self, device: DeviceId | None, since: datetime) -> int:
        rows = await self._ask(_COUNT.format(what="*", files="{files}"), _about(device, since), since)
        return int(rows[0][0]) if rows else 0

    async def messages(self, device: DeviceId | None, since: datetime) -> int:
        """How many messages are stored: a message has one sample for each of its fields."""
        query = _COUNT.format(what="DISTINCT sequence", files="{files}")
        rows = await self._ask(query, _about(device, since), since)
        return int(rows[0][0]) if rows else 0

    async def latest(self, device: DeviceId, limit: int) -> Sequence[tuple[datetime, str, float | str | bool]]:
        """The newest samples of a device: time, field, value."""
        query = """
            SELECT epoch_us(measured_at), field, number, text, flag FROM {files} WHERE device = $device
            ORDER BY measured_at DESC, sequence DESC LIMIT $limit
        """
        rows = await self._ask(query, {"device": device, "limit": limit}, None)
        return [
            (_aware(at), name, text if text is not None else flag if flag is not None else number)
            for at, name, number, text, flag in rows
        ]

    async def _ask(
        self, query: str, values: dict[str, Any], since: datetime | None, until: datetime | None = None
    ) -> Sequence[tuple[Any, ...]]:
        return await asyncio.to_thread(self._answer, query, values, since, until)

    def _answer(
        self, query: str, values: dict[str, Any], since: datetime | None, until: datetime | None
    ) -> Sequence[tuple[Any, ...]]:
        with self._lock:
            for attempt in range(1, TRIES + 1):
                files = self._files(since, until)
                if not files:
                    return ()
                listed = ", ".join("'" + name.replace("'", "''") + "'" for name in files)
                try:
                    if self._engine is None:
                        self._engine = engine(self._folder, MEMORY_MIB)
                    return _rows(self._engine, query.format(files=f"read_parquet([{listed}])"), values)
                except io_errors() as error:
                    if attempt == TRIES:
                        raise _unreadable(error) from error
                except engine_errors() as error:
                    raise _unreadable(error) from error
        return ()

    def _files(self, since: datetime | None, until: datetime | None) -> list[str]:
        found: list[str] = []
        first = since.timestamp() if since else 0.0
        last = until.timestamp() if until else float("inf")
        for partition in _folders(self._folder):
            segments = [one for name in os.listdir(partition) if (one := read_name(name)) is not None]
            kept = [one for one in visible(segments) if one.until >= first and one.since <= last]
            found += [str(partition / one.name) for one in kept]
        return found


_COUNT = "SELECT count({what}) FROM {files} WHERE ($device = '' OR device = $device) AND measured_at >= $since"


def _about(device: DeviceId | None, since: datetime) -> dict[str, Any]:
    return {"device": device or "", "since": _naive(since)}


def _folders(folder: Path) -> Sequence[Path]:
    try:
        return sorted(Path(entry.path).resolve() for entry in os.scandir(folder) if entry.is_dir())
    except FileNotFoundError:
        return ()


def _rows(connection: Any, query: str, values: dict[str, Any]) -> Sequence[tuple[Any, ...]]:
    rows: Sequence[tuple[Any, ...]] = connection.execute(query, values).fetchall()
    return rows


def _unreadable(error: Exception) -> Unavailable:
    return Unavailable(f"The sample store cannot be read: {str(error)[:200]}.", code="samples:unreadable")


def _naive(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(tzinfo=None)


def _aware(microseconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
