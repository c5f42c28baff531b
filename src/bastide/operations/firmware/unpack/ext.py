"""ext2, ext3 and ext4: block maps and extents, 32 and 64 bit, fast and slow links. Journals and encryption are not looked at."""

import struct
from collections.abc import Iterator

from bastide.operations.firmware.budget import Budget, Damaged
from bastide.operations.firmware.entry import Entry, Kind, clean, kind_of

_ROOT = 2
_EXTENTS, _INLINE = 0x80000, 0x10000000
MAX_DEPTH = 200


def is_ext(data: bytes) -> bool:
    return len(data) >= 2048 and data[1080:1082] == b"\x53\xef"


class _Ext:
    def __init__(self, data: bytes, budget: Budget) -> None:
        self.data, self.budget = data, budget
        (self.inodes,) = struct.unpack_from("<I", data, 1024)
        (first, log_block) = struct.unpack_from("<II", data, 1024 + 20)
        if log_block > 6:
            raise Damaged("an ext block size is none")
        self.block = 1024 << log_block
        (self.per_group,) = struct.unpack_from("<I", data, 1024 + 40)
        (self.inode_size,) = struct.unpack_from("<H", data, 1024 + 88)
        (incompatible,) = struct.unpack_from("<I", data, 1024 + 96)
        if struct.unpack_from("<I", data, 1024 + 76)[0] == 0:
            self.inode_size = 128
        wide = struct.unpack_from("<H", data, 1024 + 254)[0] if incompatible & 0x80 else 32
        if not self.per_group or not 128 <= self.inode_size <= self.block or wide < 32:
            raise Damaged("the ext superblock makes no sense")
        groups = (self.inodes + self.per_group - 1) // self.per_group
        table = (first + 1) * self.block
        self.tables: list[int] = []
        for group in range(min(groups, (len(data) - table) // wide)):
            low = struct.unpack_from("<I", data, table + group * wide + 8)[0]
            high = struct.unpack_from("<I", data, table + group * wide + 40)[0] if wide >= 64 else 0
            self.tables.append(low | high << 32)

    def inode(self, number: int) -> bytes:
        group, place = divmod(number - 1, self.per_group)
        if not 0 < number <= self.inodes or group >= len(self.tables):
            raise Damaged(f"there is no inode {number}")
        at = self.tables[group] * self.block + place * self.inode_size
        found = self.data[at : at + self.inode_size]
        if len(found) < 128:
            raise Damaged(f"inode {number} lies behind the end")
        return found

    def content(self, inode: bytes, most: int) -> bytes:
        size = struct.unpack_from("<I", inode, 4)[0] | struct.unpack_from("<I", inode, 108)[0] << 32
        size = min(size, most)
        (flags,) = struct.unpack_from("<I", inode, 32)
        if flags & _INLINE:
            return (inode[40:100] + _inline_rest(inode))[:size]
        place = inode[40:100]
        found = bytearray(size)
        spans = (
            self._extents(place, 0) if flags & _EXTENTS else self._mapped(place, (size + self.block - 1) // self.block)
        )
        for logical, physical, count in spans:
            start = logical * self.block
            if start >= size:
                continue
            octets = min(count * self.block, size - start)
            part = self.data[physical * self.block : physical * self.block + octets]
            found[start : start + len(part)] = part
            self.budget.take(0)
        return bytes(found)

    def _extents(self, node: bytes, depth: int) -> Iterator[tuple[int, int, int]]:
        magic, entries, _, levels = struct.unpack_from("<HHHH", node)
        if magic != 0xF30A or depth > 6:
            raise Damaged("an extent tree is none")
        for number in range(min(entries, (len(node) - 12) // 12)):
            logical, length, high, low = struct.unpack_from("<IHHI", node, 12 + 12 * number)
            if levels == 0:
                # More than 32,768 marks blocks that were set aside and never written: they read as zeros.
                if length <= 32768:
                    yield logical, high << 32 | low, length
                continue
            child_low, child_high = struct.unpack_from("<IH", node, 16 + 12 * number)
            at = (child_low | child_high << 32) * self.block
            yield from self._extents(self.data[at : at + self.block], depth + 1)

    def _mapped(self, place: bytes, blocks: int) -> Iterator[tuple[int, int, int]]:
        pointers = struct.unpack("<15I", place)
        for logical in range(min(12, blocks)):
            if pointers[logical]:
                yield logical, pointers[logical], 1
        each, logical = self.block // 4, 12
        for level in (1, 2, 3):
            if logical < blocks:
                yield from self._indirect(pointers[11 + level], level, logical, blocks)
            logical += each**level

    def _indirect(self, block: int, level: int, logical: int, blocks: int) -> Iterator[tuple[int, int, int]]:
        if not block:
            return
        each = self.block // 4
        table = self.data[block * self.block : (block + 1) * self.block]
        if len(table) < self.block:
            raise Damaged("a block map lies behind the end")
        for number, pointer in enumerate(struct.unpack(f"<{each}I", table)):
            at = logical + number * each ** (level - 1)
            if at >= blocks:
                return
            if not pointer:
                continue
            if level == 1:
                yield at, pointer, 1
            else:
                yield from self._indirect(pointer, level - 1, at, blocks)


def ext(data: bytes, budget: Budget) -> Iterator[Entry]:
    """Every entry, depth first."""
    fs = _Ext(data, budget)
    todo: list[tuple[str, int, int]] = [("", _ROOT, 0)]
    seen: set[int] = set()
    while todo:
        path, number, depth = todo.pop()
        try:
            inode = fs.inode(number)
            mode, uid = struct.unpack_from("<HH", inode)
            kind = kind_of(mode)
            budget.count()
            if kind is Kind.FOLDER:
                if number in seen or depth > MAX_DEPTH:
                    budget.cut(path, "its folders go in a circle")
                    continue
                seen.add(number)
                if path:
                    yield Entry(path, kind, mode & 0o7777, uid)
                content = fs.content(inode, 64 << 20)
                if struct.unpack_from("<I", inode, 32)[0] & _INLINE:
                    # The folder above, then entries; those that did not fit stand by themselves.
                    pieces: tuple[bytes, ...] = (content[4:60], content[60:])
                else:
                    pieces = (content,)
                for name, child in (one for piece in pieces for one in _listing(piece)):
                    todo.append((clean(f"{path}/{name}"), child, depth + 1))
            elif kind is Kind.FILE:
                content = fs.content(inode, min(budget.file_bytes, len(data)))
                budget.take(len(content))
                yield Entry(path, kind, mode & 0o7777, uid, content)
            elif kind is Kind.LINK:
                (size,) = struct.unpack_from("<I", inode, 4)
                target = inode[40 : 40 + size] if size < 60 else fs.content(inode, 65536)
                yield Entry(path, kind, mode & 0o7777, uid, target=target.decode("utf-8", "replace"))
            else:
                yield Entry(path, kind, mode & 0o7777, uid)
        except (Damaged, struct.error) as error:
            budget.cut(path or "/", f"it cannot be read: {error}")


def _inline_rest(inode: bytes) -> bytes:
    """What of inline data stands in the inode's own attribute ``system.data`` (index 7, name ``data``)."""
    if len(inode) < 132:
        return b""
    at = 128 + int(struct.unpack_from("<H", inode, 128)[0])
    if inode[at : at + 4] != b"\x00\x00\x02\xea":
        return b""
    first = at = at + 4
    while at + 16 <= len(inode) and inode[at : at + 4] != bytes(4):
        named, index, offset, _, size = struct.unpack_from("<BBHII", inode, at)
        if index == 7 and inode[at + 16 : at + 16 + named] == b"data":
            return inode[first + offset : first + offset + size]
        at += (16 + named + 3) // 4 * 4
    return b""


def _listing(content: bytes) -> list[tuple[str, int]]:
    found, at = [], 0
    while at + 8 <= len(content):
        number, length, named, _ = struct.unpack_from("<IHBB", content, at)
        if length < 8:
            break
        name = content[at + 8 : at + 8 + named].decode("utf-8", "replace").replace("/", "_")
        if number and name not in (".", "..", "lost+found"):
            found.append((name, number))
        at += length
    return found
