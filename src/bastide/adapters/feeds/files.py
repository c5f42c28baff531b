"""The documents in a folder of feeds: plain, compressed (gz, xz, bz2), or in archives (tar, zip). Nothing is written to disk.

Bounds: one document, all of them together, and their number. What is passed over because of a bound is said, by name.
"""

import bz2
import gzip
import io
import lzma
import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from bastide.core.error import NotFound, Unavailable

MAX_DOCUMENT = 1 << 30  # NVD's yearly files and Debian's tracker are some 100 MB
MAX_TOTAL = 16 << 30
MAX_DOCUMENTS = 2_000_000

Document = tuple[str, bytes]
Told = Callable[[str], None]


class _Spent(Exception):
    """The bound on all documents together is reached."""


class _Budget:
    def __init__(self, told: Told) -> None:
        self.told = told
        self.octets = 0
        self.documents = 0

    def read(self, name: str, stream: IO[bytes]) -> Iterator[Document]:
        content = stream.read(MAX_DOCUMENT + 1)
        if len(content) > MAX_DOCUMENT:
            self.told(f"{name} is larger than {MAX_DOCUMENT >> 20} MiB and is passed over.")
            return
        self.octets += len(content)
        self.documents += 1
        if self.octets > MAX_TOTAL or self.documents > MAX_DOCUMENTS:
            raise _Spent
        yield name, content


def documents(folder: Path, told: Told) -> Iterator[Document]:
    """Each document with its name below the folder, in a fixed order. A file may be given instead of a folder."""
    if not folder.exists():
        raise NotFound(f"There is no folder {folder}; name the folder that holds the feeds.")
    budget = _Budget(told)
    try:
        for path in [folder] if folder.is_file() else _files(folder):
            name = str(path.relative_to(folder)) if path != folder else path.name
            try:
                with path.open("rb") as stream:
                    yield from _opened(name, stream, budget, depth=0)
            except PermissionError as error:
                raise Unavailable(f"{path} may not be read by this user; change its permissions.") from error
            except (
                OSError,
                EOFError,
                zlib.error,
                lzma.LZMAError,
                tarfile.TarError,
                zipfile.BadZipFile,
                NotImplementedError,
            ) as error:
                told(f"{name} could not be read to its end: {error or type(error).__name__}.")
    except _Spent:
        told(f"More than {MAX_TOTAL >> 30} GiB or {MAX_DOCUMENTS:,} documents: the rest is passed over.")


def _files(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder, followlinks=False):
        folders.sort()
        for name in sorted(names):
            path = Path(root, name)
            if path.is_file() and not path.is_symlink() and not name.startswith("."):
                yield path


def _opened(name: str, stream: IO[bytes], budget: _Budget, depth: int) -> Iterator[Document]:
    start = stream.read(512)
    stream.seek(0)
    if depth < 3:
        if start.startswith(b"\x1f\x8b"):
            with gzip.GzipFile(fileobj=stream) as inner:
                yield from _unpacked(name.removesuffix(".gz"), inner, budget, depth)
            return
        if start.startswith(b"\xfd7zXZ\x00"):
            with lzma.LZMAFile(stream) as inner:
                yield from _unpacked(name.removesuffix(".xz"), inner, budget, depth)
            return
        if start.startswith(b"BZh"):
            with bz2.BZ2File(stream) as inner:
                yield from _unpacked(name.removesuffix(".bz2"), inner, budget, depth)
            return
        if start.startswith(b"PK\x03\x04"):
            with zipfile.ZipFile(stream) as archive:
                for entry in archive.infolist():
                    if not entry.is_dir():
                        with archive.open(entry) as inner:
                            yield from budget.read(f"{name}/{entry.filename}", inner)
            return
        if start[257:262] == b"ustar":
            yield from _tar(name, stream, budget)
            return
    yield from budget.read(name, stream)


def _unpacked(name: str, stream: io.BufferedIOBase, budget: _Budget, depth: int) -> Iterator[Document]:
    # A compressed stream cannot go back: what stands first is read, and put in front again.
    start = stream.read(512)
    joined = io.BufferedReader(_Joined(start, stream), 1 << 16)
    if start[257:262] == b"ustar":
        yield from _tar(name, joined, budget)
    else:
        yield from budget.read(name, joined)


class _Joined(io.RawIOBase):
    def __init__(self, start: bytes, rest: io.BufferedIOBase) -> None:
        self._start = start
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        taken = self._start[: len(view)] or self._rest.read(len(view))
        self._start = self._start[len(view) :]
        view[: len(taken)] = taken
        return len(taken)


def _tar(name: str, stream: IO[bytes], budget: _Budget) -> Iterator[Document]:
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        for entry in archive:
            inner = archive.extractfile(entry) if entry.isfile() else None
            if inner is not None:
                yield from budget.read(f"{name}/{entry.name}", inner)
