"""The items that a gateway was handed, one file: ``length, CRC-32, octets`` each, on the disk before the kernel is told.

A record that was cut off by a crash ends the reading; whatever it was, the controller hands it out again.
"""

import errno
import os
import struct
import zlib
from collections.abc import Collection
from pathlib import Path

from bastide.core.error import Unavailable

_HEAD = struct.Struct("!II")
_LONGEST = 4 * 1024 * 1024


class ItemFile:
    """Implements flows.on_gateway.keep_rules.Journal. Readable by its owner alone."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> list[bytes]:
        """All whole records, in their order; none where there is no file yet."""
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._unavailable(error) from error
        found: list[bytes] = []
        at = 0
        while at + _HEAD.size <= len(data):
            size, check = _HEAD.unpack_from(data, at)
            content = data[at + _HEAD.size : at + _HEAD.size + size]
            if size > _LONGEST or len(content) != size or zlib.crc32(content) != check:
                break
            found.append(content)
            at += _HEAD.size + size
        return found

    def append(self, item: bytes) -> None:
        try:
            with open(self._opened(os.O_APPEND), "ab", buffering=0) as file:
                whole = os.fstat(file.fileno()).st_size
                try:
                    record = _record(item)
                    if file.write(record) != len(record):
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                    os.fsync(file.fileno())
                except OSError:
                    os.ftruncate(file.fileno(), whole)  # half a record would hide what comes after it
                    raise
        except OSError as error:
            raise self._unavailable(error) from error

    def rewrite(self, items: Collection[bytes]) -> None:
        aside = self._path.with_suffix(".new")
        try:
            with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.writelines(_record(item) for item in items)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(self._path)
            folder = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise self._unavailable(error) from error

    def _opened(self, flags: int) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_CREAT | flags, 0o600)

    def _unavailable(self, error: OSError) -> Unavailable:
        return Unavailable(
            f"The gateway's plan {self._path} cannot be kept: {error.strerror}; the rules stay as they are.",
            code="gateway:journal:unavailable",
        )


def _record(item: bytes) -> bytes:
    return _HEAD.pack(len(item), zlib.crc32(item)) + item
