"""ELF (System V gABI, 4): what a binary was built with. Headers and tables only; nothing is disassembled.

NX is a PT_GNU_STACK without the right to execute; PIE a shared object that says so or has an interpreter; full RELRO a
PT_GNU_RELRO with immediate binding; the canary and FORTIFY show in the symbols that they need; BTI, PAC, IBT and shadow stacks
in the GNU property note.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

MACHINES: Final = {
    2: "sparc", 3: "x86", 8: "mips", 20: "powerpc", 21: "powerpc64", 40: "arm", 42: "sh", 62: "x86-64", 94: "xtensa",
    93: "arc", 106: "blackfin", 183: "aarch64", 195: "arc", 243: "riscv", 258: "loongarch",
}  # fmt: skip
_EXECUTABLE, _SHARED, _RELOCATABLE = 2, 3, 1
_LOAD, _DYNAMIC, _INTERPRETER, _NOTE, _STACK, _RELRO, _PROPERTY = 1, 2, 3, 4, 0x6474E551, 0x6474E552, 0x6474E553
_FORTIFIED: Final = tuple(
    b"__" + name + b"_chk"
    for name in (
        b"memcpy", b"strcpy", b"sprintf", b"snprintf", b"printf", b"fprintf", b"vsnprintf", b"strncpy", b"read", b"memset",
        b"strcat", b"fread", b"memmove",
    )
)  # fmt: skip
_FORTIFIABLE: Final = (
    b"memcpy", b"strcpy", b"sprintf", b"snprintf", b"printf", b"fprintf", b"strncpy", b"memset", b"strcat", b"memmove",
)  # fmt: skip
MAX_SECTIONS = 20_000


@dataclass(frozen=True, slots=True)
class Section:
    name: str
    kind: int
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Elf:
    """What a binary is and was built with. ``fortify`` is None where it calls nothing that could be fortified."""

    machine: str
    bits: int
    kind: str
    nx: bool
    pie: bool
    relro: str
    canary: bool
    fortify: bool | None
    cfi: bool
    stripped: bool
    static: bool
    run_paths: tuple[str, ...]
    needed: tuple[str, ...]
    sections: tuple[Section, ...]

    def octets(self, data: bytes, *names: str) -> Iterator[bytes]:
        """The content of the sections whose names begin so."""
        for section in self.sections:
            if section.name.startswith(names) and section.kind != 8:
                yield data[section.offset : section.offset + section.size]


def is_elf(data: bytes) -> bool:
    return data[:4] == b"\x7fELF" and len(data) >= 52


def read_elf(data: bytes) -> Elf | None:
    """None where the headers do not hold together."""
    try:
        return _read(data)
    except (struct.error, IndexError, ValueError):
        return None


def _read(data: bytes) -> Elf | None:
    wide, order = data[4] == 2, "<" if data[5] == 1 else ">"
    if data[4] not in (1, 2) or data[5] not in (1, 2):
        return None
    kind, machine = struct.unpack_from(f"{order}HH", data, 16)
    if wide:
        program_at, section_at = struct.unpack_from(f"{order}QQ", data, 32)
        each, programs, section_each, sections, names = struct.unpack_from(f"{order}HHHHH", data, 54)
    else:
        program_at, section_at = struct.unpack_from(f"{order}II", data, 28)
        each, programs, section_each, sections, names = struct.unpack_from(f"{order}HHHHH", data, 42)
    found = _sections(data, section_at, section_each, sections, names, order, wide=wide)
    nx, relro, interpreter, dynamic, properties, loads = False, False, False, None, b"", []
    for number in range(min(programs, 1000)):
        at = program_at + number * each
        if wide:
            which, flags, offset, address, _, size = struct.unpack_from(f"{order}IIQQQQ", data, at)
        else:
            which, offset, address, _, size, _, flags = struct.unpack_from(f"{order}IIIIIII", data, at)
        if which == _STACK:
            nx = not flags & 1
        elif which == _RELRO:
            relro = True
        elif which == _INTERPRETER:
            interpreter = True
        elif which == _DYNAMIC:
            dynamic = (offset, size)
        elif which == _PROPERTY:
            properties += data[offset : offset + min(size, 4096)]
        elif which == _LOAD:
            loads.append((address, offset, size))
    entries = _dynamic(data, dynamic, order, wide=wide)
    strings = _strings(data, entries, loads)
    flags_1, flags_0 = entries.get(0x6FFFFFFB, [0])[0], entries.get(30, [0])[0]
    now = 24 in entries or bool(flags_0 & 8) or bool(flags_1 & 1)
    symbols = strings if strings else _symbol_names(data, found)
    fortified = any(name in symbols for name in _FORTIFIED)
    fortifiable = any(b"\0" + name + b"\0" in symbols for name in _FORTIFIABLE)
    return Elf(
        machine=MACHINES.get(machine, f"machine-{machine}"),
        bits=64 if wide else 32,
        kind={_EXECUTABLE: "executable", _SHARED: "shared", _RELOCATABLE: "relocatable"}.get(kind, "other"),
        nx=nx,
        pie=kind == _SHARED and (bool(flags_1 & 0x08000000) or interpreter),
        relro=("full" if now else "partial") if relro else "none",
        canary=b"__stack_chk_fail" in symbols or b"__stack_chk_guard" in symbols,
        fortify=True if fortified else False if fortifiable else None,
        cfi=_has_cfi(properties, machine, order),
        stripped=not any(section.kind == 2 for section in found),
        static=dynamic is None and kind == _EXECUTABLE,
        run_paths=tuple(_at(strings, place) for tag in (15, 29) for place in entries.get(tag, ())),
        needed=tuple(_at(strings, place) for place in entries.get(1, ())),
        sections=found,
    )


def _sections(
    data: bytes, at: int, each: int, count: int, names: int, order: str, *, wide: bool
) -> tuple[Section, ...]:
    if not at or not count or count > MAX_SECTIONS or at + each * count > len(data):
        return ()
    form, width = (f"{order}IIQQQQ", 40) if wide else (f"{order}IIIIII", 24)
    if each < width:
        return ()
    heads = [struct.unpack_from(form, data, at + each * number) for number in range(count)]
    if names >= count:
        return ()
    text = data[heads[names][4] : heads[names][4] + min(heads[names][5], 1 << 20)]
    return tuple(Section(_at(text, head[0]), head[1], head[4], head[5]) for head in heads)


def _dynamic(data: bytes, where: tuple[int, int] | None, order: str, *, wide: bool) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    if where is None:
        return found
    form, width = (f"{order}QQ", 16) if wide else (f"{order}II", 8)
    for number in range(min(where[1] // width, 4096)):
        tag, value = struct.unpack_from(form, data, where[0] + number * width)
        if tag == 0:
            break
        found.setdefault(tag, []).append(value)
    return found


def _strings(data: bytes, entries: dict[int, list[int]], loads: list[tuple[int, int, int]]) -> bytes:
    """The dynamic string table, found by its address."""
    if 5 not in entries or 10 not in entries:
        return b""
    address, size = entries[5][0], min(entries[10][0], 1 << 24)
    for start, offset, length in loads:
        if start <= address < start + length:
            return data[offset + address - start : offset + address - start + size]
    return b""


def _symbol_names(data: bytes, sections: tuple[Section, ...]) -> bytes:
    for section in sections:
        if section.name == ".strtab":
            return data[section.offset : section.offset + min(section.size, 1 << 24)]
    return b""


def _at(text: bytes, place: int) -> str:
    end = text.find(b"\0", place)
    return text[place : end if end >= 0 else None].decode("utf-8", "replace") if 0 <= place < len(text) else ""


def _has_cfi(properties: bytes, machine: int, order: str) -> bool:
    """GNU_PROPERTY_X86_FEATURE_1_AND with IBT, or GNU_PROPERTY_AARCH64_FEATURE_1_AND with BTI."""
    wanted = {62: 0xC0000002, 3: 0xC0000002, 183: 0xC0000000}.get(machine)
    if wanted is None or len(properties) < 16:
        return False
    at = properties.find(struct.pack(f"{order}I", wanted), 16)
    if at < 0 or at + 12 > len(properties):
        return False
    return bool(struct.unpack_from(f"{order}I", properties, at + 8)[0] & 1)
