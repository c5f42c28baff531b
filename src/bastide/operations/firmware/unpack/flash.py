"""File systems of small flashes: cramfs, romfs and jffs2. UBI volumes are put together; UBIFS inside is named and not read."""

import struct
import zlib
from collections.abc import Iterator

from bastide.operations.firmware.budget import Budget, Damaged
from bastide.operations.firmware.entry import Entry, Kind, clean, kind_of

MAX_DEPTH = 100


def is_cramfs(data: bytes) -> bool:
    return data[:4] in (b"\x45\x3d\xcd\x28", b"\x28\xcd\x3d\x45") and data[16:32] == b"Compressed ROMFS"


def cramfs(data: bytes, budget: Budget) -> Iterator[Entry]:
    """Linux, fs/cramfs/README; little and big endian."""
    little = data[:4] == b"\x45\x3d\xcd\x28"
    order = "<" if little else ">"
    todo: list[tuple[str, int, int]] = [("", 64, 0)]
    seen: set[int] = set()
    while todo:
        path, at, depth = todo.pop()
        try:
            mode, uid, size, _, offset = _cramfs_inode(data, at, order, little=little)
            kind = kind_of(mode)
            budget.count()
            if kind is Kind.FOLDER:
                if at in seen or depth > MAX_DEPTH:
                    budget.cut(path, "its folders go in a circle")
                    continue
                seen.add(at)
                if path:
                    yield Entry(path, kind, mode & 0o7777, uid)
                child, end = offset, offset + size
                while child < end and offset:
                    _, _, _, length, _ = _cramfs_inode(data, child, order, little=little)
                    name = data[child + 12 : child + 12 + length].rstrip(b"\0").decode("utf-8", "replace")
                    todo.append((clean(f"{path}/{name.replace('/', '_')}"), child, depth + 1))
                    child += 12 + length
                    if not length:
                        raise Damaged("a name has no length")
            elif kind in (Kind.FILE, Kind.LINK):
                content = _cramfs_content(data, offset, min(size, budget.file_bytes), order)
                budget.take(len(content))
                target = content.decode("utf-8", "replace") if kind is Kind.LINK else ""
                yield Entry(path, kind, mode & 0o7777, uid, content if kind is Kind.FILE else b"", target)
            else:
                yield Entry(path, kind, mode & 0o7777, uid)
        except (Damaged, struct.error, zlib.error) as error:
            budget.cut(path or "/", f"it cannot be read: {error}")


def _cramfs_inode(data: bytes, at: int, order: str, *, little: bool) -> tuple[int, int, int, int, int]:
    """(mode, uid, size, length of the name, offset of the content)."""
    mode, uid = struct.unpack_from(f"{order}HH", data, at)
    second, third = struct.unpack_from(f"{order}II", data, at + 4)
    if little:
        size, named, offset = second & 0xFFFFFF, (third & 0x3F) * 4, (third >> 6) * 4
    else:
        size, named, offset = second >> 8, (third >> 26) * 4, (third & 0x3FFFFFF) * 4
    return mode, uid, size, named, offset


def _cramfs_content(data: bytes, offset: int, size: int, order: str) -> bytes:
    blocks = (size + 4095) // 4096
    ends = struct.unpack_from(f"{order}{blocks}I", data, offset) if blocks else ()
    start, parts = offset + 4 * blocks, []
    for number, end in enumerate(ends):
        if not start <= end <= len(data):
            raise Damaged("its blocks lie behind the end")
        most = min(4096, size - number * 4096)
        parts.append(zlib.decompressobj().decompress(data[start:end], most) if end > start else bytes(most))
        start = end
    return b"".join(parts)


def is_romfs(data: bytes) -> bool:
    return data[:8] == b"-rom1fs-"


def romfs(data: bytes, budget: Budget) -> Iterator[Entry]:
    """Linux, Documentation/filesystems/romfs.rst. romfs keeps no permissions but *executable*."""
    first = 16 + (data.find(b"\0", 16) - 16 + 16) // 16 * 16
    todo: list[tuple[str, int, int]] = [("", first, 0)]
    seen: set[int] = set()
    while todo:
        path, at, depth = todo.pop()
        while at:
            if at in seen or depth > MAX_DEPTH or at + 16 > len(data):
                budget.cut(path or "/", "its headers go in a circle or behind the end")
                break
            seen.add(at)
            following, special, size, _ = struct.unpack_from(">IIII", data, at)
            ends = data.find(b"\0", at + 16, at + 16 + 4096)
            if ends < 0:
                budget.cut(path or "/", "a name has no end")
                break
            name = data[at + 16 : ends].decode("utf-8", "replace").replace("/", "_")
            start = at + 16 + (ends - at - 16 + 16) // 16 * 16
            kind, mode = following & 7, 0o755 if following & 8 else 0o644
            inner = clean(f"{path}/{name}")
            if name not in (".", ".."):
                budget.count()
                body = data[start : start + size]
                if kind == 1:
                    yield Entry(inner, Kind.FOLDER, mode)
                    todo.append((inner, special, depth + 1))
                elif kind == 2:
                    budget.take(len(body))
                    yield Entry(inner, Kind.FILE, mode, content=body)
                elif kind == 3:
                    yield Entry(inner, Kind.LINK, mode, target=body.decode("utf-8", "replace"))
                elif kind in (4, 5, 6, 7):
                    yield Entry(inner, Kind.NODE, mode)
            at = following & 0xFFFFFFF0


_JFFS2 = (b"\x85\x19", b"\x19\x85")
_DIRENT, _INODE = 0xE001, 0xE002


def is_jffs2(data: bytes) -> bool:
    if data[:2] not in _JFFS2 or len(data) < 12:
        return False
    order = "<" if data[:2] == b"\x85\x19" else ">"
    kind, size = struct.unpack_from(f"{order}HI", data, 2)
    return kind in (_DIRENT, _INODE, 0x2003, 0x2004, 0xE008, 0xE009) and 12 <= size < 1 << 20


def jffs2(data: bytes, budget: Budget) -> Iterator[Entry]:
    """The log is read from end to end (Woodhouse, JFFS2): of each inode's pieces the higher version wins."""
    order = "<" if data[:2] == b"\x85\x19" else ">"
    magic = data[:2]
    names: dict[tuple[int, str], tuple[int, int]] = {}
    pieces: dict[int, list[tuple[int, int, int, int, int, int, int, int]]] = {}
    at = 0
    while at + 12 <= len(data):
        if data[at : at + 2] != magic:
            found = data.find(magic, at + 1)
            if found < 0:
                break
            at = found if found % 4 == 0 else found + 1
            continue
        kind, size = struct.unpack_from(f"{order}HI", data, at + 2)
        if size < 12 or at + size > len(data):
            at += 4
            continue
        if kind == _DIRENT and size >= 40:
            parent, version, inode = struct.unpack_from(f"{order}III", data, at + 12)
            name = data[at + 40 : at + 40 + data[at + 28]].decode("utf-8", "replace").replace("/", "_")
            if names.get((parent, name), (0, 0))[0] <= version:
                names[(parent, name)] = (version, inode)
            budget.count()
        elif kind == _INODE and size >= 68:
            inode, version, mode, uid, _ = struct.unpack_from(f"{order}IIIHH", data, at + 12)
            (whole,) = struct.unpack_from(f"{order}I", data, at + 28)
            offset, packed, length = struct.unpack_from(f"{order}III", data, at + 44)
            method = data[at + 56]
            pieces.setdefault(inode, []).append((version, mode, uid, whole, offset, packed, length, at << 8 | method))
            budget.count()
        at += (size + 3) // 4 * 4
    yield from _jffs2_tree(data, names, pieces, budget)


def _jffs2_tree(
    data: bytes,
    names: dict[tuple[int, str], tuple[int, int]],
    pieces: dict[int, list[tuple[int, int, int, int, int, int, int, int]]],
    budget: Budget,
) -> Iterator[Entry]:
    children: dict[int, list[tuple[str, int]]] = {}
    for (parent, name), (_, inode) in names.items():
        if inode:
            children.setdefault(parent, []).append((name, inode))
    todo: list[tuple[str, int, int]] = [(name, inode, 0) for name, inode in children.get(1, ())]
    seen: set[int] = set()
    while todo:
        path, inode, depth = todo.pop()
        parts = sorted(pieces.get(inode, ()))
        mode, uid = (parts[-1][1], parts[-1][2]) if parts else (0o040755, 0)
        kind = kind_of(mode)
        if kind is Kind.FOLDER:
            if inode in seen or depth > MAX_DEPTH:
                budget.cut(path, "its folders go in a circle")
                continue
            seen.add(inode)
            yield Entry(clean(path), kind, mode & 0o7777, uid)
            todo += [(f"{path}/{name}", child, depth + 1) for name, child in children.get(inode, ())]
            continue
        size = min(parts[-1][3], budget.file_bytes)
        content = bytearray(size)
        for _, _, _, _, offset, packed, length, where in parts:
            body = data[(where >> 8) + 68 : (where >> 8) + 68 + packed]
            try:
                piece = _jffs2_piece(body, where & 0xFF, min(length, size))
            except (Damaged, zlib.error) as error:
                budget.cut(path, f"a piece cannot be read: {error}")
                continue
            if offset < size:
                content[offset : offset + len(piece)] = piece[: size - offset]
        budget.take(size)
        target = bytes(content).decode("utf-8", "replace") if kind is Kind.LINK else ""
        yield Entry(clean(path), kind, mode & 0o7777, uid, bytes(content) if kind is Kind.FILE else b"", target)


def _jffs2_piece(body: bytes, method: int, length: int) -> bytes:
    if method == 0:
        return body[:length]
    if method == 1:
        return bytes(length)
    if method == 6:
        return zlib.decompressobj().decompress(body, length)
    if method == 2:
        return _rtime(body, length)
    raise Damaged(f"compression {method} of jffs2 is not read")


def _rtime(body: bytes, length: int) -> bytes:
    """Arjan van de Ven's rtime: octet, then how many octets from where that octet stood last are repeated."""
    places, found, at = [0] * 256, bytearray(), 0
    while len(found) < length and at + 1 < len(body):
        value, repeat = body[at], body[at + 1]
        at += 2
        found.append(value)
        back, places[value] = places[value], len(found)
        for _ in range(repeat):
            if len(found) >= length or back >= len(found):
                break
            found.append(found[back])
            back += 1
    return bytes(found)


def is_ubi(data: bytes) -> bool:
    return data[:4] == b"UBI#"


def ubi(data: bytes, budget: Budget) -> Iterator[Entry]:
    """Each volume of a UBI image as a file: the erase blocks in their logical order (Linux, drivers/mtd/ubi/ubi-media.h)."""
    block = data.find(b"UBI#", 64)
    while block > 0 and block % 1024:
        block = data.find(b"UBI#", block + 1)
    size = block if block > 0 else len(data)
    volumes: dict[int, dict[int, tuple[int, bytes]]] = {}
    for at in range(0, len(data), size):
        if data[at : at + 4] != b"UBI#":
            continue
        header, content = struct.unpack_from(">II", data, at + 16)
        if data[at + header : at + header + 4] != b"UBI!":
            continue
        volume, number = struct.unpack_from(">II", data, at + header + 8)
        (sequence,) = struct.unpack_from(">Q", data, at + header + 40)
        if volume >= 0x7FFFEFFF:
            continue
        known = volumes.setdefault(volume, {})
        if known.get(number, (-1, b""))[0] < sequence:
            known[number] = (sequence, data[at + content : at + size])
    for volume, blocks in sorted(volumes.items()):
        budget.count()
        whole = b"".join(blocks[number][1] for number in sorted(blocks))
        budget.take(len(whole))
        if whole[:4] == b"\x31\x18\x10\x06":
            budget.cut(f"volume-{volume}", "UBIFS is not read")
        yield Entry(f"volume-{volume}", Kind.FILE, content=whole)
