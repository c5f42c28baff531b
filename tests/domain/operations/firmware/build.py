"""Trees and images to check, made of values; what a real tool makes is made in tests/processes."""

import struct
import time
import zlib
from datetime import UTC, datetime
from typing import Any

from bastide.operations.firmware.budget import Budget
from bastide.operations.firmware.check import check_image, check_tree
from bastide.operations.firmware.entry import Entry, Kind

NOW = datetime(2026, 11, 26, tzinfo=UTC)


def budget(**bounds: Any) -> Budget:
    return Budget(time.monotonic, **bounds)


def file(path: str, content: bytes | str, mode: int = 0o644, uid: int = 0) -> Entry:
    return Entry(path, Kind.FILE, mode, uid, content.encode() if isinstance(content, str) else content)


def checked(*entries: Entry) -> dict[str, Any]:
    return check_tree(iter(entries), budget(), NOW)


def codes(*entries: Entry) -> set[str]:
    return {one["code"] for one in checked(*entries)["findings"]}


def image(data: bytes, name: str = "image.bin", **bounds: Any) -> dict[str, Any]:
    return check_image(name, data, budget(**bounds), NOW)


def newc(*files: tuple[str, bytes, int]) -> bytes:
    """A cpio archive (newc) of (name, content, mode)."""
    parts = []
    for number, (name, content, mode) in enumerate((*files, ("TRAILER!!!", b"", 0))):
        raw = name.encode() + b"\0"
        fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(raw), 0)
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + raw
        head += b"\0" * (-len(head) % 4)
        parts.append(head + content + b"\0" * (-len(content) % 4))
    return b"".join(parts)


def elf(
    *,
    machine: int = 40,
    kind: int = 3,
    stack_executable: bool = False,
    relro: bool = True,
    now: bool = True,
    pie: bool = True,
    names: tuple[bytes, ...] = (b"__stack_chk_fail", b"__memcpy_chk"),
    run_path: bytes = b"",
    rodata: bytes = b"",
    symbols: bool = False,
    interpreter: bool = True,
    note: bytes = b"",
) -> bytes:
    """A little-endian 32-bit ELF with just the headers and tables that a check reads."""
    strings = b"\0" + b"".join(name + b"\0" for name in names) + run_path + b"\0"
    dynamic = [(5, 0x2000), (10, len(strings))]
    if now:
        dynamic.append((24, 0))
    if pie:
        dynamic.append((0x6FFFFFFB, 0x08000000))
    if run_path:
        dynamic.append((29, strings.index(run_path)))
    dynamic.append((0, 0))
    table = b"".join(struct.pack("<II", *entry) for entry in dynamic)
    programs = [(0x6474E551, 0, 0, 0, 0, 0, 6 | stack_executable, 0)]
    at = 52 + 32 * 6
    strings_at, table_at = at, at + len(strings)
    rodata_at = table_at + len(table)
    note_at = rodata_at + len(rodata)
    programs.append((1, strings_at, 0x2000, 0, len(strings), 0, 4, 0))
    programs.append((2, table_at, 0, 0, len(table), 0, 6, 0))
    if relro:
        programs.append((0x6474E552, 0, 0, 0, 0, 0, 4, 0))
    if interpreter:
        programs.append((3, 0, 0, 0, 0, 0, 4, 0))
    while len(programs) < 6:
        programs.append((0, 0, 0, 0, 0, 0, 0, 0))
    names_table = b"\0.rodata\0.shstrtab\0.symtab\0.note.package\0"
    names_at = note_at + len(note)
    sections = [
        (0, 0, 0, 0, 0, 0),
        (1, 1, 0, 0, rodata_at, len(rodata)),
        (9, 3, 0, 0, names_at, len(names_table)),
        (names_table.index(b".note.package"), 7, 0, 0, note_at, len(note)),
    ]
    if symbols:
        sections.append((names_table.index(b".symtab"), 2, 0, 0, 0, 0))
    sections_at = names_at + len(names_table)
    head = b"\x7fELF\x01\x01\x01" + bytes(9)
    head += struct.pack("<HHIIIIIHHHHHH", kind, machine, 1, 0, 52, sections_at, 0, 52, 32, 6, 40, len(sections), 2)
    return b"".join(
        (
            head,
            *(struct.pack("<IIIIIIII", *program) for program in programs),
            strings,
            table,
            rodata,
            note,
            names_table,
            *(struct.pack("<IIIIII", *section) + bytes(16) for section in sections),
        )
    )


def device_tree(nodes: dict[str, Any]) -> bytes:
    """A flattened device tree of nested dicts; bytes are properties."""
    strings = bytearray()

    def name_at(name: str) -> int:
        raw = name.encode() + b"\0"
        at = strings.find(raw)
        if at < 0:
            at = len(strings)
            strings.extend(raw)
        return at

    def node(name: str, content: dict[str, Any]) -> bytes:
        raw = name.encode() + b"\0"
        made = struct.pack(">I", 1) + raw + b"\0" * (-len(raw) % 4)
        for key, value in content.items():
            if isinstance(value, bytes):
                made += struct.pack(">III", 3, len(value), name_at(key)) + value + b"\0" * (-len(value) % 4)
        for key, value in content.items():
            if isinstance(value, dict):
                made += node(key, value)
        return made + struct.pack(">I", 2)

    structure = node("", nodes) + struct.pack(">I", 9)
    total = 56 + len(structure) + len(strings)
    head = struct.pack(
        ">IIIIIIIIII", 0xD00DFEED, total, 56, 56 + len(structure), 40, 17, 16, 0, len(strings), len(structure)
    )
    return head + bytes(16) + structure + bytes(strings)


def uimage(content: bytes, name: bytes = b"Linux-6.1") -> bytes:
    head = struct.pack(">IIIIIII", 0x27051956, 0, 0, len(content), 0, 0, zlib.crc32(content)) + bytes((5, 2, 2, 0))
    return head + name.ljust(32, b"\0") + content


def mcuboot(content: bytes = b"code" * 64, tlvs: tuple[tuple[int, bytes], ...] = ()) -> bytes:
    head = struct.pack("<IIHHIIBBHII", 0x96F3B83D, 0, 32, 0, len(content), 0, 1, 4, 2, 7, 0)
    body = b"".join(struct.pack("<HH", kind, len(value)) + value for kind, value in tlvs)
    return head + content + struct.pack("<HH", 0x6907, 4 + len(body)) + body
