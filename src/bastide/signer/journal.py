"""The signer's own journal: what it signed, on disk before the signature leaves. Its form is in wire/journal.py.

Many requests share one fsync: each hands in its entry and waits, one committer numbers, writes and syncs all that wait.
Where the disk refuses (it is full), everything that waited is told so, the file is cut back to what is durable, and the
next request tries again.

``journal.log`` is the file that grows; at ``SEGMENT_BYTES`` it is closed as ``journal.00000001.log`` and so on. At a start
each closed file is held as a whole against the SHA-256 that the next one's first line names; the last closed one and the
open one are read line by line, so what is remembered of requests goes back at least that far.
"""

import asyncio
import os
import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

from bastide.core.error import Unavailable
from bastide.ports.clock import Clock
from bastide.signer.files import sync_folder, write_whole
from bastide.wire.journal import (
    GENESIS,
    Entry,
    JournalDamaged,
    Line,
    first_line,
    parse_line,
    read_lines,
    torn_tail,
    write_line,
)

# Two of these are read line by line at a start: about 25,000 lines, a quarter of a second.
SEGMENT_BYTES = 4 << 20
OPEN_NAME = "journal.log"
_CLOSED = re.compile(r"journal\.(\d{8})\.log")

Place = tuple[int, int]
"""Where a line is: the number of its file, and its offset there."""


class Memory(Protocol):
    """Who keeps what the journal says."""

    def remember(self, entry: Entry, place: Place) -> None:
        """Called for each durable line, in order."""
        ...

    def carried(self) -> Mapping[str, Any]:
        """What the first line of the next file repeats, because it must never be forgotten."""
        ...


class Journal:
    """Open with :meth:`open`, add with :meth:`add`, close with :meth:`close`."""

    def __init__(self, folder: Path, clock: Clock, memory: Memory, segment_bytes: int = SEGMENT_BYTES) -> None:
        self._folder = folder
        self._clock = clock
        self._memory = memory
        self._segment_bytes = segment_bytes
        self._file = -1
        self._segment = 1
        self._number = 0
        self._head = GENESIS
        self._size = 0
        self._waiting: list[tuple[Entry, asyncio.Future[None]]] = []
        self._committer: asyncio.Task[None] | None = None
        self._broken = ""

    @property
    def lines(self) -> int:
        return self._number

    def open(self, opened: Mapping[str, Any]) -> None:
        """Reads and checks the journal, and cuts off what a crash tore; where there is none it is begun with ``opened``.

        ``JournalDamaged`` where it is not what was written, or was begun by another than ``opened`` says.
        """
        closed = self._closed()
        path = self._folder / OPEN_NAME
        files = [*closed, *([(closed[-1][0] + 1 if closed else 1, path)] if path.exists() else [])]
        repaired = 0
        for index, (segment, one) in enumerate(files):
            data = one.read_bytes()
            self._check_first(one.name, data, segment, opened)
            if index >= len(files) - 2:
                self._replay(data, segment, one.name)
            if one == path:
                repaired = len(torn_tail(data, self._head, one.name, self._number))
                self._size = len(data) - repaired
            elif not data.endswith(b"\n"):
                raise JournalDamaged(f"The closed journal {one.name} ends in half a line. Restore it from a backup.")
            else:
                self._check_next(data, one.name, files[index + 1 :])
        if path.exists():
            self._segment = files[-1][0]
        else:  # the first start, or a crash between closing a file and beginning the next
            self._segment = files[-1][0] + 1 if files else 1
            self._begin(opened, files[-1][1] if files else None)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        if repaired:
            os.ftruncate(self._file, self._size)
            self._write_entries([Entry(0, self._now(), "repaired", what={"bytes": repaired})])

    async def add(self, entry: Entry) -> None:
        """Adds a line (its ``n`` and ``at`` are set here) and waits until it is on disk; ``Unavailable`` where it cannot be."""
        if self._broken:
            raise Unavailable(self._broken, code="signer:journal:unwritable")
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((entry, waiter))
        if self._committer is None or self._committer.done():
            self._committer = asyncio.create_task(self._commit())
        await waiter

    def read(self, place: Place) -> Entry:
        """The line at a place that was handed to :meth:`Memory.remember`."""
        segment, offset = place
        path = self._folder / (OPEN_NAME if segment == self._segment else _closed_name(segment))
        with path.open("rb") as file:
            file.seek(offset)
            return parse_line(file.readline(), path.name)

    async def close(self) -> None:
        if self._committer is not None:
            await asyncio.wait([self._committer])
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    async def _commit(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                await loop.run_in_executor(None, self._write_entries, [entry for entry, _ in batch])
            except OSError as error:
                self._refuse(batch, error)
            else:
                for _, waiter in batch:
                    if not waiter.done():
                        waiter.set_result(None)

    def _write_entries(self, entries: Sequence[Entry]) -> None:
        """Numbers, writes and syncs; then tells the memory. Nothing of it counts where it raises OSError."""
        if self._size >= self._segment_bytes:
            self._rotate()
        at, head, number, offset = self._now(), self._head, self._number, self._size
        lines: list[bytes] = []
        written: list[tuple[Entry, Place]] = []
        for entry in entries:
            number += 1
            numbered = Entry(number, at, entry.kind, entry.request, entry.profile, entry.digest, entry.what)
            line, head = write_line(head, numbered)
            lines.append(line)
            written.append((numbered, (self._segment, offset)))
            offset += len(line)
        remaining = memoryview(b"".join(lines))
        while remaining:
            remaining = remaining[os.write(self._file, remaining) :]
        os.fdatasync(self._file)
        self._head, self._number, self._size = head, number, offset
        for numbered, place in written:
            self._memory.remember(numbered, place)

    def _refuse(self, batch: Sequence[tuple[Entry, asyncio.Future[None]]], error: OSError) -> None:
        sentence = (
            f"The signer cannot write its journal ({error.strerror}). Nothing was signed; make room and try again."
        )
        try:
            os.ftruncate(self._file, self._size)
            os.fsync(self._file)
        except OSError as worse:
            self._broken = f"{sentence} It could not be cut back either ({worse.strerror}): restart the signer."
        for _, waiter in batch:
            if not waiter.done():
                waiter.set_exception(Unavailable(sentence, code="signer:journal:unwritable"))

    def _rotate(self) -> None:
        closed = self._folder / _closed_name(self._segment)
        (self._folder / OPEN_NAME).rename(closed)
        sync_folder(self._folder)
        self._segment += 1
        try:
            self._begin({}, closed)
        except OSError:  # no room for the next file: go on with this one
            self._segment -= 1
            closed.rename(self._folder / OPEN_NAME)
            raise
        os.close(self._file)
        self._file = os.open(self._folder / OPEN_NAME, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)

    def _begin(self, opened: Mapping[str, Any], after: Path | None) -> None:
        """Writes the open file with its first line."""
        if after is None:
            entry = Entry(1, self._now(), "opened", what=dict(opened))
        else:
            what = {
                **self._memory.carried(),
                "file": self._segment,
                "follows": self._head.hex(),
                "sha256": sha256(after.read_bytes()).hexdigest(),
            }
            entry = Entry(self._number + 1, self._now(), "segment", what=what)
        line, head = write_line(self._head, entry)
        write_whole(self._folder / OPEN_NAME, line, 0o600)
        self._head, self._number, self._size = head, entry.n, len(line)
        self._memory.remember(entry, (self._segment, 0))

    def _replay(self, data: bytes, segment: int, name: str) -> None:
        first = first_line(data, name)
        follows, number = GENESIS, 0
        if first.kind == "segment":
            follows, number = bytes.fromhex(str(first.what.get("follows", ""))), first.n - 1
        line: Line | None = None
        for line in read_lines(data, follows, number, name):
            self._memory.remember(line.entry, (segment, line.offset))
        assert line is not None  # first_line found it
        self._head, self._number = line.hash, line.entry.n

    def _check_first(self, name: str, data: bytes, segment: int, opened: Mapping[str, Any]) -> None:
        first = first_line(data, name)
        expected = ("opened", 1) if segment == 1 else ("segment", segment)
        if (first.kind, first.what.get("file", 1)) != expected:
            raise JournalDamaged(
                f"The journal {name} is not file {segment} of this journal. Restore the signer's folder."
            )
        if first.what.get("keys") != opened.get("keys"):
            raise JournalDamaged(
                f"The journal {name} belongs to other authority keys than those of this signer. Keys and journal belong "
                "together: restore both from one backup.",
                code="signer:journal:foreign",
            )

    def _check_next(self, data: bytes, name: str, later: Sequence[tuple[int, Path]]) -> None:
        if not later:
            return
        _, following = later[0]
        with following.open("rb") as file:
            named = first_line(file.readline(), following.name).what.get("sha256")
        if named != sha256(data).hexdigest():
            raise JournalDamaged(
                f"The closed journal {name} was changed: its SHA-256 is not the one that {following.name} names. The signer "
                "signs nothing on top of it; restore the signer's folder from a backup."
            )

    def _closed(self) -> list[tuple[int, Path]]:
        found = sorted(
            (int(match[1]), path)
            for path in self._folder.iterdir()
            if (match := _CLOSED.fullmatch(path.name)) is not None
        )
        for (number, path), (following, _) in pairwise(found):
            if following != number + 1:
                raise JournalDamaged(f"The journal's file after {path.name} is missing. Restore the signer's folder.")
        return found

    def _now(self) -> str:
        return self._clock.now().isoformat(timespec="milliseconds")


def _closed_name(segment: int) -> str:
    return f"journal.{segment:08}.log"
