"""The journal: found where it was changed, mended where a crash tore it, durable before anybody is told."""

import asyncio
import errno
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from bastide.core.error import Unavailable
from bastide.signer.journal import Journal, Place
from bastide.testing import FakeClock
from bastide.wire.journal import GENESIS, Entry, JournalDamaged, read_lines

KEYS = {"keys": {"root": "aa"}}


class Listener:
    """Remembers what it is told, and carries how much that was."""

    def __init__(self) -> None:
        self.told: list[tuple[Entry, Place]] = []

    def remember(self, entry: Entry, place: Place) -> None:
        self.told.append((entry, place))

    def carried(self) -> Mapping[str, Any]:
        return KEYS

    @property
    def requests(self) -> list[str]:
        return [entry.request for entry, _ in self.told if entry.kind == "signed"]


def opened(folder: Path, segment_bytes: int = 1 << 20) -> tuple[Journal, Listener]:
    listener = Listener()
    journal = Journal(folder, FakeClock(), listener, segment_bytes)
    journal.open(KEYS)
    return journal, listener


def signed(number: int) -> Entry:
    return Entry(0, "", "signed", request=f"request-{number}", profile="plan", digest="00" * 32)


async def written(folder: Path, count: int, segment_bytes: int = 1 << 20) -> None:
    journal, _ = opened(folder, segment_bytes)
    for number in range(count):
        await journal.add(signed(number))
    await journal.close()


async def test_lines_are_numbered_chained_and_read_again(tmp_path: Path) -> None:
    await written(tmp_path, 5)
    journal, listener = opened(tmp_path)
    assert listener.requests == [f"request-{number}" for number in range(5)]
    assert journal.lines == 6
    assert [
        journal.read(place).request for entry, place in listener.told if entry.kind == "signed"
    ] == listener.requests
    await journal.close()


async def test_many_share_one_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal, listener = opened(tmp_path)
    synced = []
    sync = os.fdatasync

    def counted(file: int) -> None:
        synced.append(file)
        sync(file)

    monkeypatch.setattr(os, "fdatasync", counted)
    await asyncio.gather(*(journal.add(signed(number)) for number in range(500)))
    assert len(listener.requests) == 500
    assert len(synced) < 10
    await journal.close()


def _flips(path: Path) -> Iterator[int]:
    """Every byte of the file, but not all in one test run of a big one."""
    size = path.stat().st_size
    yield from range(0, size, max(1, size // 400))
    yield from range(size - 80, size)


async def test_a_flipped_byte_anywhere_is_found(tmp_path: Path) -> None:
    await written(tmp_path, 12)
    path = tmp_path / "journal.log"
    whole = path.read_bytes()
    for at in _flips(path):
        changed = bytearray(whole)
        changed[at] ^= 0x20
        path.write_bytes(changed)
        with pytest.raises(JournalDamaged):
            opened(tmp_path)
        assert path.read_bytes() == bytes(changed), "a damaged journal must stay as it is found"


async def test_a_missing_or_repeated_line_is_found(tmp_path: Path) -> None:
    await written(tmp_path, 5)
    path = tmp_path / "journal.log"
    lines = path.read_bytes().splitlines(keepends=True)
    for changed in (lines[:2] + lines[3:], [*lines, lines[-1]], [lines[0], lines[2], lines[1], *lines[3:]], lines[1:]):
        path.write_bytes(b"".join(changed))
        with pytest.raises(JournalDamaged):
            opened(tmp_path)


async def test_what_a_crash_tore_is_cut_off_and_said(tmp_path: Path) -> None:
    await written(tmp_path, 5)
    path = tmp_path / "journal.log"
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    for cut in (1, 30, 65, 66, 100, len(lines[-1]) - 2):
        path.write_bytes(whole + lines[-1][:cut])
        journal, listener = opened(tmp_path)
        await journal.add(signed(5))
        await journal.close()
        assert listener.requests == [f"request-{number}" for number in range(6)]
        assert [entry.kind for entry, _ in listener.told].count("repaired") == 1
        list(read_lines(path.read_bytes(), GENESIS, 0, "journal"))
    path.write_bytes(whole + bytes(4096))  # what a power loss leaves
    journal, _ = opened(tmp_path)
    await journal.close()


async def test_files_are_closed_and_chained_and_a_change_in_a_closed_one_is_found(tmp_path: Path) -> None:
    await written(tmp_path, 60, segment_bytes=3000)
    files = sorted(tmp_path.glob("journal.*.log"))  # noqa: ASYNC240
    assert len(files) > 3
    journal, listener = opened(tmp_path, 3000)
    assert listener.requests[-1] == "request-59"
    assert journal.lines == 60 + 1 + len(files)
    await journal.close()
    for path in files:
        whole = path.read_bytes()
        for at in range(0, len(whole), 97):
            changed = bytearray(whole)
            changed[at] ^= 1
            path.write_bytes(changed)
            with pytest.raises(JournalDamaged):
                opened(tmp_path, 3000)
        path.write_bytes(whole)
    shutil.move(files[1], tmp_path / "away")
    with pytest.raises(JournalDamaged, match="missing"):
        opened(tmp_path, 3000)


async def test_a_crash_between_closing_a_file_and_beginning_the_next_is_mended(tmp_path: Path) -> None:
    await written(tmp_path, 5)
    (tmp_path / "journal.log").rename(tmp_path / "journal.00000001.log")
    journal, _ = opened(tmp_path)
    await journal.add(signed(5))
    await journal.close()
    _, again = opened(tmp_path)
    assert again.requests == [f"request-{number}" for number in range(6)]


async def test_a_full_disk_is_said_to_all_who_wait_and_forgotten_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal, listener = opened(tmp_path)
    await journal.add(signed(0))
    write = os.write

    def full(file: int, data: bytes) -> int:
        write(file, bytes(data)[:20])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(os, "write", full)
        answers = await asyncio.gather(*(journal.add(signed(9)) for _ in range(10)), return_exceptions=True)
    assert all(isinstance(answer, Unavailable) for answer in answers)
    await journal.add(signed(1))
    await journal.close()
    _, again = opened(tmp_path)
    assert again.requests == listener.requests == ["request-0", "request-1"]


async def test_a_journal_of_other_keys_is_refused(tmp_path: Path) -> None:
    await written(tmp_path, 2)
    with pytest.raises(JournalDamaged, match="other authority keys"):
        Journal(tmp_path, FakeClock(), Listener()).open({"keys": {"root": "bb"}})
