"""Compressed streams: gzip, xz, lzma (alone), bzip2, zstandard, LZ4 blocks of a kernel are named but not read."""

import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import Final

import zstandard

from bastide.operations.firmware.budget import Budget, Damaged, Spent

GZIP, XZ, BZIP2, ZSTD = b"\x1f\x8b\x08", b"\xfd7zXZ\0", b"BZh", b"\x28\xb5\x2f\xfd"
MEMORY = 256 << 20
"""What an xz or lzma stream may ask for to be unpacked."""


def compression_of(data: bytes) -> str:
    """The name of the compression; empty for none."""
    for name, magic in (("gzip", GZIP), ("xz", XZ), ("zstd", ZSTD)):
        if data[: len(magic)] == magic:
            return name
    if data[:3] == BZIP2 and data[4:10] == b"\x31\x41\x59\x26\x53\x59":
        return "bzip2"
    return "lzma" if is_lzma(data) else ""


def is_lzma(data: bytes) -> bool:
    """LZMA alone has no magic: properties, a power of two as dictionary, and a size that makes sense."""
    if len(data) < 64 or data[0] not in (0x5D, 0x6D, 0x5E, 0x66):
        return False
    dictionary, size = int.from_bytes(data[1:5], "little"), int.from_bytes(data[5:13], "little")
    return (
        dictionary in {1 << bit for bit in range(12, 29)}
        and (size == 2**64 - 1 or 0 < size < 1 << 34)
        and data[13] == 0
    )


def unpacked(name: str, data: bytes, budget: Budget) -> tuple[bytes, bytes]:
    """(what came out, what stands behind the stream). ``Damaged`` and ``Spent`` where nothing did."""
    content, rest, cut = _UNPACK[name](data, budget.most(len(data)))
    budget.take(len(content))
    if cut:
        if not content:
            raise Damaged(cut)
        raise Partly(content, cut)
    return content, rest


class Partly(Spent):
    """A stream that gave something before it broke off or reached its bound."""

    def __init__(self, content: bytes, reason: str) -> None:
        super().__init__(reason)
        self.content = content


def _gzip(data: bytes, most: int) -> tuple[bytes, bytes, str]:
    return _zlib(data, most, 31)


def _zlib(data: bytes, most: int, window: int) -> tuple[bytes, bytes, str]:
    parts: list[bytes] = []
    while data[:3] == GZIP or not parts:
        unpacker = zlib.decompressobj(window)
        try:
            part = unpacker.decompress(data, most)
            parts.append(part)
        except zlib.error as error:
            # What can be had before the damage, piece by piece.
            parts.append(_piecewise(zlib.decompressobj(window), data, most))
            return b"".join(parts), b"", f"it is damaged: {error}"
        most -= len(part)
        if unpacker.unconsumed_tail or most <= 0:
            return b"".join(parts), b"", "it unpacks to more than the bound"
        if not unpacker.eof:
            return b"".join(parts), b"", "it is cut off"
        data = unpacker.unused_data
    return b"".join(parts), data, ""


def _piecewise(unpacker: "zlib._Decompress", data: bytes, most: int) -> bytes:
    parts, size = [], 0
    try:
        for at in range(0, len(data), 4096):
            part = unpacker.decompress(data[at : at + 4096], most - size)
            parts.append(part)
            size += len(part)
            if size >= most:
                break
    except zlib.error:
        pass
    return b"".join(parts)


def _lzma(data: bytes, most: int) -> tuple[bytes, bytes, str]:
    return _streamed(lambda: lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=MEMORY), data, most)


def _xz(data: bytes, most: int) -> tuple[bytes, bytes, str]:
    return _streamed(lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MEMORY), data, most)


def _bzip2(data: bytes, most: int) -> tuple[bytes, bytes, str]:
    return _streamed(bz2.BZ2Decompressor, data, most)


def _streamed(
    make: "Callable[[], lzma.LZMADecompressor | bz2.BZ2Decompressor]", data: bytes, most: int
) -> tuple[bytes, bytes, str]:
    unpacker = make()
    parts: list[bytes] = []
    size, given = 0, data
    try:
        while not unpacker.eof and size < most:
            part = unpacker.decompress(given, min(1 << 20, most - size))
            given = b""
            parts.append(part)
            size += len(part)
            if not part and unpacker.needs_input:
                return b"".join(parts), b"", "it is cut off"
    except (lzma.LZMAError, OSError, EOFError, MemoryError) as error:
        return b"".join(parts), b"", f"it is damaged: {error}"
    if not unpacker.eof:
        return b"".join(parts), b"", "it unpacks to more than the bound"
    return b"".join(parts), unpacker.unused_data, ""


def _zstd(data: bytes, most: int) -> tuple[bytes, bytes, str]:
    unpacker = zstandard.ZstdDecompressor(max_window_size=128 << 20).decompressobj()
    parts: list[bytes] = []
    size, at = 0, 0
    try:
        while at < len(data) and size < most and not unpacker.eof:
            part = unpacker.decompress(data[at : at + 65536])
            at += 65536
            parts.append(part)
            size += len(part)
    except zstandard.ZstdError as error:
        return b"".join(parts), b"", f"it is damaged: {error}"
    if not unpacker.eof:
        return b"".join(parts)[:most], b"", "it unpacks to more than the bound" if size >= most else "it is cut off"
    return b"".join(parts), unpacker.unused_data + data[at:], ""


_UNPACK: Final[dict[str, Callable[[bytes, int], tuple[bytes, bytes, str]]]] = {
    "gzip": _gzip,
    "xz": _xz,
    "lzma": _lzma,
    "bzip2": _bzip2,
    "zstd": _zstd,
}
