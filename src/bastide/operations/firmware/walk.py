"""Opens an image all the way down: every file in every container in it, one after the other, each seen once and let go.

Nothing is written anywhere and no more than the containers that are open at the moment is held. What is damaged or too large
ends there and is said; its neighbours are read on.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from bastide.operations.firmware.budget import Budget, Damaged, Spent
from bastide.operations.firmware.entry import Entry, Kind
from bastide.operations.firmware.unpack import archives, boot, compression, ext, flash, squashfs

Reader = Callable[[bytes, Budget], Iterator[Entry]]

READERS: Final[tuple[tuple[str, Callable[[bytes], bool], Reader], ...]] = (
    ("squashfs", squashfs.is_squashfs, squashfs.squashfs),
    ("cpio", archives.is_cpio, archives.cpio),
    ("zip", archives.is_zip, archives.zipped),
    ("ar", archives.is_ar, archives.ar),
    ("cramfs", flash.is_cramfs, flash.cramfs),
    ("romfs", flash.is_romfs, flash.romfs),
    ("ubi", flash.is_ubi, flash.ubi),
    ("jffs2", flash.is_jffs2, flash.jffs2),
    ("uimage", boot.is_uimage, boot.uimage),
    ("fit", boot.is_fit, boot.fit),
    ("sparse", boot.is_sparse, boot.sparse),
    ("uf2", boot.is_uf2, boot.uf2),
    ("intel-hex", boot.is_intel_hex, boot.intel_hex),
    ("ext", ext.is_ext, ext.ext),
    ("tar", archives.is_tar, archives.tar),
)

_CARVED: Final = re.compile(
    rb"hsqs|\x1f\x8b\x08[\x00\x08]|\xfd7zXZ\x00|\x28\xb5\x2f\xfd|\x27\x05\x19\x56|\xd0\x0d\xfe\xed|07070[12]|"
    rb"\x45\x3d\xcd\x28|-rom1fs-|UBI#|\x5d\x00\x00[\x01\x02\x04\x08\x10\x20\x40\x80]\x00|\x85\x19\x01\xe0|PK\x03\x04"
)
"""Where something that can be opened may begin inside what has no form of its own."""
MAX_CARVED = 64
LEAST_CARVED = 4096


@dataclass(frozen=True, slots=True)
class Seen:
    """A file (or folder, link, node) as it was found. ``within`` names the containers around it, outermost first."""

    within: str
    entry: Entry
    opened: bool = False
    """True where the content is a container that was opened: what is in it comes as files of its own."""

    @property
    def path(self) -> str:
        return f"{self.within}!/{self.entry.path}" if self.within else f"/{self.entry.path}"


def walk(name: str, data: bytes, budget: Budget) -> Iterator[Seen]:
    """Everything in an image called ``name``."""
    yield from _open("", Entry(name, Kind.FILE, content=data), budget, 0, top=True)


def walk_tree(entries: Iterator[Entry], budget: Budget) -> Iterator[Seen]:
    """Everything in a tree that somebody else lists (a folder), and in what its files contain."""
    for entry in entries:
        if entry.kind is Kind.FILE:
            yield from _open("", entry, budget, 0)
        else:
            yield Seen("", entry)


def _open(within: str, entry: Entry, budget: Budget, depth: int, *, top: bool = False) -> Iterator[Seen]:
    """The file itself, and what is in it."""
    data = entry.content
    reader = reader_of(data)
    packed = "" if reader else compression.compression_of(data)
    opens = (bool(reader) or bool(packed)) and depth < budget.depth
    if (reader or packed) and not opens:
        budget.cut(
            Seen(within, entry).path, f"containers inside each other more than {budget.depth} deep are not opened"
        )
    yield Seen(within, entry, opened=opens)
    inside = entry.path if not within else f"{within}!/{entry.path}"
    if opens and reader:
        yield from _read(reader, inside, data, budget, depth)
    elif opens:
        yield from _unpack(packed, inside, entry, budget, depth)
    elif depth < budget.depth and (top or _is_kernel(data)):
        yield from _carve(inside, data, budget, depth)


def reader_of(data: bytes) -> Reader | None:
    """The reader of a container, by its first octets (of ext and tar, by what stands further in)."""
    for _, recognises, reader in READERS:
        if recognises(data):
            return reader
    return None


def _read(reader: Reader, inside: str, data: bytes, budget: Budget, depth: int) -> Iterator[Seen]:
    try:
        for entry in reader(data, budget):
            if entry.kind is Kind.FILE:
                yield from _open(inside, entry, budget, depth + 1)
            else:
                yield Seen(inside, entry)
    except (Damaged, Spent) as error:
        budget.cut(inside, str(error))
    except (IndexError, ValueError, OverflowError, MemoryError, RecursionError) as error:
        budget.cut(inside, f"it does not follow its form: {error}"[:200])
    except Exception as error:
        if type(error).__name__ != "error":  # struct.error and zlib.error: more was named than there is
            raise
        budget.cut(inside, f"it is cut off or damaged: {error}")
    if reader is archives.cpio:
        rest = data[archives.cpio_end(data) :]
        if len(rest) > 64 and compression.compression_of(rest):
            yield from _open(inside, Entry("rest", Kind.FILE, content=rest), budget, depth + 1)


def _unpack(packed: str, inside: str, entry: Entry, budget: Budget, depth: int) -> Iterator[Seen]:
    try:
        content, rest = compression.unpacked(packed, entry.content, budget)
    except compression.Partly as cut:
        budget.cut(inside, str(cut))
        content, rest = cut.content, b""
    except (Damaged, Spent) as error:
        budget.cut(inside, str(error))
        return
    name = entry.path.rpartition("/")[2]
    for ending in (".gz", ".xz", ".lzma", ".bz2", ".zst", ".tgz"):
        name = name.removesuffix(ending)
    yield from _open(
        inside, Entry(name or "content", Kind.FILE, entry.mode, entry.uid, content), budget, depth + 1, top=depth == 0
    )
    if len(rest) > LEAST_CARVED and rest.count(0) < len(rest):
        yield from _carve(inside, rest, budget, depth)


def _is_kernel(data: bytes) -> bool:
    """A compressed Linux kernel: x86's and ARM's boot headers, ARM64's and RISC-V's, EFI zboot."""
    return len(data) > 1 << 18 and (
        data[514:518] == b"HdrS"
        or data[36:40] == b"\x18\x28\x6f\x01"
        or data[56:60] in (b"ARMd", b"RSC\x05")
        or data[4:8] == b"zimg"
    )


def _carve(inside: str, data: bytes, budget: Budget, depth: int) -> Iterator[Seen]:
    """Looks for beginnings in octets that have no form as a whole, and opens what opens."""
    at, tried = 0, 0
    while (found := _CARVED.search(data, at)) and tried < MAX_CARVED:
        start = found.start()
        at = start + 1
        rest = data[start:]
        if start == 0 and reader_of(data):
            continue
        if len(rest) < LEAST_CARVED and not boot.is_dtb(rest):
            continue
        reader, packed = reader_of(rest), compression.compression_of(rest)
        if not reader and not packed:
            if boot.is_dtb(rest):
                size = int.from_bytes(rest[4:8], "big")
                if 40 <= size <= len(rest):
                    yield Seen(inside, Entry(f"at-{start:08x}", Kind.FILE, content=rest[:size]))
                    at = start + size
            continue
        tried += 1
        taken = _length(rest)
        trial = replace(budget, cuts=[])
        inner = Entry(f"at-{start:08x}", Kind.FILE, content=rest[:taken])
        shown = False
        for seen in _open(inside, inner, trial, depth + 1):
            if seen.within == inside:
                continue
            if not shown:
                shown = True
                yield Seen(inside, inner, opened=True)
            yield seen
        budget.used_octets, budget.used_files = trial.used_octets, trial.used_files
        if shown:
            # A beginning that opened nothing was none: what it said of itself is noise.
            budget.cuts += trial.cuts
            at = start + max(taken if taken < len(rest) else 1, 1)


def _length(rest: bytes) -> int:
    """How much belongs to what begins here, where its header says it."""
    if squashfs.is_squashfs(rest):
        return min(len(rest), squashfs.length(rest))
    if boot.is_uimage(rest):
        return min(len(rest), 64 + int.from_bytes(rest[12:16], "big"))
    return len(rest)
