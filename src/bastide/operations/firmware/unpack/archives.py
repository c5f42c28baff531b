"""Archives: tar (POSIX, GNU, old), cpio (newc, crc, odc), zip, ar (Debian packages)."""

import struct
import zlib
from collections.abc import Iterator

from bastide.operations.firmware.budget import Budget, Damaged
from bastide.operations.firmware.entry import Entry, Kind, clean, kind_of

_TAR_KINDS = {b"0": Kind.FILE, b"\0": Kind.FILE, b"7": Kind.FILE, b"1": Kind.LINK, b"2": Kind.LINK, b"5": Kind.FOLDER}


def is_tar(data: bytes) -> bool:
    return data[257:262] == b"ustar" or (len(data) >= 512 and _old_tar(data[:512]))


def _old_tar(head: bytes) -> bool:
    try:
        told = int(head[148:156].split(b"\0")[0].strip() or b"x", 8)
    except ValueError:
        return False
    return told == sum(head[:148]) + 8 * 32 + sum(head[156:]) and head[0] != 0


def tar(data: bytes, budget: Budget) -> Iterator[Entry]:
    """POSIX.1-1988 and -2001 (pax paths), GNU long names."""
    at, long_name, long_link = 0, "", ""
    hard: dict[str, bytes] = {}
    while at + 512 <= len(data):
        head = data[at : at + 512]
        if head == bytes(512):
            return
        size = _number(head[124:136])
        if size < 0 or at + 512 + size > len(data) + 512:
            raise Damaged(f"the tar header at {at} names {size} octets, more than there are")
        body = data[at + 512 : at + 512 + size]
        at += 512 + (size + 511) // 512 * 512
        kind = head[156:157]
        if kind == b"L":
            long_name = _text(body)
        elif kind == b"K":
            long_link = _text(body)
        elif kind in (b"x", b"g"):
            pax = _pax(body) if kind == b"x" else {}
            long_name, long_link = pax.get("path", long_name), pax.get("linkpath", long_link)
        else:
            prefix = _text(head[345:500]) if head[257:263] == b"ustar\0" else ""
            name = long_name or (f"{prefix}/{_text(head[:100])}" if prefix else _text(head[:100]))
            target = long_link or _text(head[157:257])
            long_name = long_link = ""
            budget.count()
            budget.take(len(body))
            path, which = clean(name), _TAR_KINDS.get(kind, Kind.NODE)
            if kind == b"1":
                # A hard link has the content of what came before under that name.
                which, body = Kind.FILE, hard.get(clean(target), b"")
            if which is Kind.FILE:
                hard[path] = body
            mode, uid = _number(head[100:108]), _number(head[108:116])
            yield Entry(path, which, max(mode, 0) & 0o7777, max(uid, 0), body if which is Kind.FILE else b"", target)


def _number(field: bytes) -> int:
    if field[:1] == b"\x80":
        return int.from_bytes(field[1:], "big")
    try:
        return int(field.split(b"\0")[0].strip() or b"0", 8)
    except ValueError as error:
        raise Damaged("a number in a tar header is none") from error


def _text(field: bytes) -> str:
    return (
        field.split(b"\0")[0].decode("utf-8", "surrogateescape").encode("utf-8", "replace").decode("utf-8", "replace")
    )


def _pax(body: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    while body:
        length, _, _ = body.partition(b" ")
        if not length.isdigit() or not 0 < int(length) <= len(body):
            return found
        record, body = body[len(length) + 1 : int(length)], body[int(length) :]
        name, _, value = record.rstrip(b"\n").partition(b"=")
        found[name.decode("utf-8", "replace")] = value.decode("utf-8", "replace")
    return found


def is_cpio(data: bytes) -> bool:
    return data[:6] in (b"070701", b"070702", b"070707")


def cpio(data: bytes, budget: Budget) -> Iterator[Entry]:
    """newc and crc (ASCII, hexadecimal) and odc (octal). Archives one after the other, as in an initramfs, are read on."""
    at = 0
    while at + 76 <= len(data):
        magic = data[at : at + 6]
        if magic in (b"070701", b"070702"):
            fields = [_hexadecimal(data[at + 6 + 8 * place : at + 14 + 8 * place]) for place in range(13)]
            mode, uid, size, named = fields[1], fields[2], fields[6], fields[11]
            start = at + 110
            body_at = (start + named + 3) // 4 * 4
            end = (body_at + size + 3) // 4 * 4
        elif magic == b"070707":
            octal = data[at + 6 : at + 76]
            mode, uid, named, size = (_octal(octal[a:b]) for a, b in ((12, 18), (18, 24), (53, 59), (59, 70)))
            start = at + 76
            body_at = start + named
            end = body_at + size
        else:
            at = _next(data, at)
            if at < 0:
                return
            continue
        if body_at + size > len(data) or named == 0:
            raise Damaged(f"the cpio header at {at} names more than there is")
        name = _text(data[start : start + named])
        body = data[body_at : body_at + size]
        at = end
        if name == "TRAILER!!!":
            continue
        budget.count()
        budget.take(size)
        kind = kind_of(mode)
        target = _text(body) if kind is Kind.LINK else ""
        yield Entry(clean(name), kind, mode & 0o7777, uid, body if kind is Kind.FILE else b"", target)


def _next(data: bytes, at: int) -> int:
    """Where the next archive begins after padding of zeros; -1 where there is none."""
    while at < len(data) and data[at : at + 4096].count(0) == len(data[at : at + 4096]):
        at += 4096
    step = data.find(b"0707", at, at + 8192)
    return step if step >= 0 and data[step : step + 6] in (b"070701", b"070702", b"070707") else -1


def cpio_end(data: bytes) -> int:
    """Where what is no cpio any more begins: an initramfs may have a compressed one after a plain one."""
    trailer = data.rfind(b"TRAILER!!!")
    at = (trailer + 11 + 3) // 4 * 4
    while trailer >= 0 and at < len(data) and data[at] == 0:
        at += 1
    return at if trailer >= 0 else len(data)


def _hexadecimal(field: bytes) -> int:
    try:
        return int(field, 16)
    except ValueError as error:
        raise Damaged("a number in a cpio header is none") from error


def _octal(field: bytes) -> int:
    try:
        return int(field, 8)
    except ValueError as error:
        raise Damaged("a number in a cpio header is none") from error


def is_zip(data: bytes) -> bool:
    return data[:4] in (b"PK\x03\x04", b"PK\x05\x06")


def zipped(data: bytes, budget: Budget) -> Iterator[Entry]:
    """By the central directory (APPNOTE 6.3.9); stored and deflated, no encryption."""
    end = data.rfind(b"PK\x05\x06", max(0, len(data) - 66_000))
    if end < 0 or end + 22 > len(data):
        raise Damaged("the zip has no central directory")
    count, _, at = struct.unpack_from("<HII", data, end + 10)
    for _ in range(count):
        if data[at : at + 4] != b"PK\x01\x02" or at + 46 > len(data):
            raise Damaged("an entry of the zip's central directory is none")
        flags, method = struct.unpack_from("<HH", data, at + 8)
        packed, size, named, extra, comment = struct.unpack_from("<IIHHH", data, at + 20)
        attributes, offset = struct.unpack_from("<II", data, at + 38)
        name = data[at + 46 : at + 46 + named].decode("utf-8", "replace")
        at += 46 + named + extra + comment
        budget.count()
        mode = attributes >> 16
        if name.endswith("/"):
            yield Entry(clean(name), Kind.FOLDER, mode & 0o7777)
            continue
        if data[offset : offset + 4] != b"PK\x03\x04":
            raise Damaged(f"{name[:80]} is not where the zip says")
        inner_name, inner_extra = struct.unpack_from("<HH", data, offset + 26)
        body = data[offset + 30 + inner_name + inner_extra :][:packed]
        if flags & 1 or method not in (0, 8):
            budget.cut(name, "it is encrypted" if flags & 1 else f"compression {method} of zip is not read")
            continue
        if method == 8:
            most = min(budget.most(packed), size or budget.file_bytes)
            unpacker = zlib.decompressobj(-15)
            try:
                body = unpacker.decompress(body, most)
            except zlib.error as error:
                budget.cut(name, f"it does not unpack: {error}")
                continue
            if unpacker.unconsumed_tail:
                budget.cut(name, f"only its first {len(body):,} octets were unpacked")
        budget.take(len(body))
        kind = kind_of(mode)
        target = body.decode("utf-8", "replace") if kind is Kind.LINK else ""
        yield Entry(clean(name), kind, mode & 0o7777, 0, body if kind is Kind.FILE else b"", target)


def is_ar(data: bytes) -> bool:
    return data[:8] == b"!<arch>\n"


def ar(data: bytes, budget: Budget) -> Iterator[Entry]:
    """System V and BSD names; a Debian package is one of three members."""
    at, names = 8, b""
    while at + 60 <= len(data):
        head = data[at : at + 60]
        if head[58:60] != b"`\n":
            raise Damaged(f"the ar header at {at} is none")
        try:
            size = int(head[48:58].strip())
        except ValueError as error:
            raise Damaged("a size in an ar header is no number") from error
        name, body = head[:16].rstrip(), data[at + 60 : at + 60 + size]
        at += 60 + size + size % 2
        if name == b"//":
            names = body
            continue
        if name in (b"/", b"/SYM64/"):
            continue
        if name.startswith(b"#1/") and name[3:].isdigit():
            length = int(name[3:])
            name, body = body[:length].rstrip(b"\0"), body[length:]
        elif name[:1] == b"/" and name[1:].isdigit():
            name = names[int(name[1:]) :].split(b"\n")[0]
        budget.count()
        budget.take(len(body))
        yield Entry(clean(name.rstrip(b"/").decode("utf-8", "replace")), Kind.FILE, content=body)
