"""SquashFS 4.0 (Linux, Documentation/filesystems/squashfs.rst): gzip, xz, lzma and zstd; lzo and lz4 are named and not read."""

import lzma
import struct
import zlib
from collections.abc import Iterator

import zstandard

from bastide.operations.firmware.budget import Budget, Damaged
from bastide.operations.firmware.entry import Entry, Kind, clean

MAGIC = b"hsqs"
_METADATA = 8192
_NO_FRAGMENT = 0xFFFFFFFF
_COMPRESSIONS = {1: "gzip", 2: "lzma", 3: "lzo", 4: "xz", 5: "lz4", 6: "zstd"}
MAX_DEPTH = 200


def is_squashfs(data: bytes) -> bool:
    return data[:4] == MAGIC and data[28:32] == b"\x04\0\0\0"


def length(data: bytes) -> int:
    """How many octets the file system takes."""
    return int(struct.unpack_from("<Q", data, 40)[0])


class _Squashfs:
    def __init__(self, data: bytes, budget: Budget) -> None:
        if len(data) < 96:
            raise Damaged("the squashfs is cut off in its superblock")
        self.data = data
        self.budget = budget
        (self.inodes, _, self.block, self.fragments, method) = struct.unpack_from("<IIIIH", data, 4)
        self.method = _COMPRESSIONS.get(method, str(method))
        if self.method not in ("gzip", "xz", "lzma", "zstd"):
            raise Damaged(f"squashfs with {self.method} is not read")
        if not 4096 <= self.block <= 1 << 20:
            raise Damaged(f"a squashfs block of {self.block} octets is none")
        self.root, _, self.ids_at = struct.unpack_from("<QQQ", data, 32)
        (_, self.inode_at, self.directory_at, self.fragment_at) = struct.unpack_from("<QQQQ", data, 56)
        self.cache: dict[int, tuple[bytes, int]] = {}
        self.fragment_cache: dict[int, bytes] = {}
        self.ids = self._table(self.ids_at, struct.unpack_from("<H", data, 26)[0], 4)
        self.fragment_table = self._table(self.fragment_at, self.fragments, 16) if self.fragments else b""

    def unpack(self, packed: bytes, most: int) -> bytes:
        try:
            if self.method == "gzip":
                return zlib.decompressobj().decompress(packed, most)
            if self.method == "zstd":
                return zstandard.ZstdDecompressor(max_window_size=1 << 23).decompress(packed, max_output_size=most)
            form = lzma.FORMAT_XZ if self.method == "xz" else lzma.FORMAT_ALONE
            return lzma.LZMADecompressor(form, memlimit=64 << 20).decompress(packed, most)
        except (zlib.error, lzma.LZMAError, zstandard.ZstdError, EOFError) as error:
            raise Damaged(f"a squashfs block does not unpack: {error}") from error

    def metadata(self, at: int) -> tuple[bytes, int]:
        """(a metadata block, where the next one begins)."""
        if at not in self.cache:
            if at + 2 > len(self.data):
                raise Damaged("a squashfs table lies behind the end")
            head = struct.unpack_from("<H", self.data, at)[0]
            size = head & 0x7FFF
            packed = self.data[at + 2 : at + 2 + size]
            block = packed if head & 0x8000 else self.unpack(packed, _METADATA)
            if len(self.cache) > 4096:
                self.cache.clear()
            self.cache[at] = (block, at + 2 + size)
            self.budget.take(0)
        return self.cache[at]

    def read(self, at: int, offset: int, size: int) -> tuple[bytes, int, int]:
        """Octets of a table that goes over blocks: (octets, block, offset after them)."""
        if size > 1 << 24:
            raise Damaged("a squashfs record is larger than it may be")
        found = bytearray()
        while len(found) < size:
            block, after = self.metadata(at)
            part = block[offset : offset + size - len(found)]
            if not part and offset >= len(block) and after <= at:
                raise Damaged("a squashfs table ends too soon")
            found += part
            offset += len(part)
            if offset >= len(block):
                if len(found) < size or len(block) == _METADATA:
                    at, offset = after, 0
                elif len(found) < size:
                    raise Damaged("a squashfs table ends too soon")
            if not part and not block:
                raise Damaged("a squashfs table has an empty block")
        return bytes(found), at, offset

    def _table(self, at: int, count: int, width: int) -> bytes:
        if count > 1 << 22 or at + 8 > len(self.data):
            raise Damaged("a squashfs table lies behind the end")
        blocks = (count * width + _METADATA - 1) // _METADATA
        starts = struct.unpack_from(f"<{blocks}Q", self.data, at) if at + 8 * blocks <= len(self.data) else ()
        if len(starts) != blocks:
            raise Damaged("a squashfs table is cut off")
        return b"".join(self.metadata(start)[0] for start in starts)[: count * width]

    def inode(self, reference: int) -> tuple[int, int, int, bytes, int, int]:
        """(type, mode, uid, the fields behind the common ones so far as fixed, block, offset behind the common ones)."""
        at, offset = self.inode_at + (reference >> 16), reference & 0xFFFF
        head, block, offset = self.read(at, offset, 16)
        kind, mode, uid, _, _, _ = struct.unpack("<HHHHII", head)
        owner = struct.unpack_from("<I", self.ids, 4 * uid)[0] if 4 * uid + 4 <= len(self.ids) else 0
        return kind, mode, owner, head, block, offset


def squashfs(data: bytes, budget: Budget) -> Iterator[Entry]:
    """Every entry, depth first. What a damaged part takes with it is said; the rest goes on."""
    fs = _Squashfs(data, budget)
    todo: list[tuple[str, int, int]] = [("", fs.root, 0)]
    seen: set[int] = set()
    while todo:
        path, reference, depth = todo.pop()
        try:
            kind, mode, uid, _, block, offset = fs.inode(reference)
            if kind in (1, 8):
                if reference in seen or depth > MAX_DEPTH:
                    budget.cut(path, "its folders go in a circle")
                    continue
                seen.add(reference)
                budget.count()
                if path:
                    yield Entry(path, Kind.FOLDER, mode & 0o7777, uid)
                for name, child in _listing(fs, kind, block, offset):
                    todo.append((clean(f"{path}/{name}"), child, depth + 1))
            elif kind in (2, 9):
                budget.count()
                content = _content(fs, kind, block, offset, path)
                budget.take(len(content))
                yield Entry(path, Kind.FILE, mode & 0o7777, uid, content)
            elif kind in (3, 10):
                budget.count()
                head, block, offset = fs.read(block, offset, 8)
                size = min(struct.unpack("<II", head)[1], 65536)
                target, _, _ = fs.read(block, offset, size)
                yield Entry(path, Kind.LINK, mode & 0o7777, uid, target=target.decode("utf-8", "replace"))
            else:
                budget.count()
                yield Entry(path, Kind.NODE, mode & 0o7777, uid)
        except (Damaged, struct.error) as error:
            budget.cut(path or "/", f"it cannot be read: {error}")


def _listing(fs: _Squashfs, kind: int, block: int, offset: int) -> list[tuple[str, int]]:
    if kind == 1:
        fields, _, _ = fs.read(block, offset, 16)
        start, _, size, place, _ = struct.unpack("<IIHHI", fields)
    else:
        fields, _, _ = fs.read(block, offset, 24)
        _, size, start, _, _, place, _ = struct.unpack("<IIIIHHI", fields)
    if size <= 3:
        return []
    listing, _, _ = fs.read(fs.directory_at + start, place, size - 3)
    found: list[tuple[str, int]] = []
    at = 0
    while at + 12 <= len(listing):
        count, inodes, _ = struct.unpack_from("<III", listing, at)
        at += 12
        for _ in range(count + 1):
            if at + 8 > len(listing):
                return found
            shift, _, _, length_less_one = struct.unpack_from("<HhHH", listing, at)
            name = listing[at + 8 : at + 9 + length_less_one].decode("utf-8", "replace")
            at += 9 + length_less_one
            found.append((name.replace("/", "_"), (inodes << 16) | shift))
    return found


def _content(fs: _Squashfs, kind: int, block: int, offset: int, path: str) -> bytes:
    if kind == 2:
        fields, block, offset = fs.read(block, offset, 16)
        start, fragment, place, size = struct.unpack("<IIII", fields)
    else:
        fields, block, offset = fs.read(block, offset, 40)
        start, size, _, _, fragment, place, _ = struct.unpack("<QQQIIII", fields)
    if size > fs.budget.file_bytes:
        fs.budget.cut(path, f"only its first {fs.budget.file_bytes:,} octets were read")
        size, fragment = fs.budget.file_bytes, _NO_FRAGMENT
    blocks = size // fs.block if fragment != _NO_FRAGMENT else (size + fs.block - 1) // fs.block
    sizes = struct.unpack(f"<{blocks}I", fs.read(block, offset, 4 * blocks)[0]) if blocks else ()
    parts: list[bytes] = []
    for number, word in enumerate(sizes):
        packed = word & 0xFFFFFF
        if packed == 0:
            parts.append(bytes(min(fs.block, size - number * fs.block)))
            continue
        if start + packed > len(fs.data):
            raise Damaged("its blocks lie behind the end")
        raw = fs.data[start : start + packed]
        parts.append(raw if word & 1 << 24 else fs.unpack(raw, fs.block))
        start += packed
    if fragment != _NO_FRAGMENT and size % fs.block:
        parts.append(_fragment(fs, fragment)[place : place + size % fs.block])
    return b"".join(parts)


def _fragment(fs: _Squashfs, number: int) -> bytes:
    if number not in fs.fragment_cache:
        start, word, _ = struct.unpack_from("<QII", fs.fragment_table, 16 * number)
        packed = word & 0xFFFFFF
        raw = fs.data[start : start + packed]
        if len(fs.fragment_cache) > 64:
            fs.fragment_cache.clear()
        fs.fragment_cache[number] = raw if word & 1 << 24 else fs.unpack(raw, fs.block)
    return fs.fragment_cache[number]
