"""A board over files or block devices: two slots, the boot record's two places, a counter. Implements ports.device.

``board.json`` in its folder describes it:

    {"hardware": "rev-b", "hardware_number": 2, "version": "1.0", "image_key": "BASE64", "slots": "slots.img",
     "states": "states.img"}

``image_key`` is the Ed25519 key (32 octets) that images must be signed with, ``version`` what the factory's image is called.
``slots`` holds two slots of the same size; both may be block devices. The counter is a file here; on hardware that has fuses, a
TPM or replay-protected memory it belongs there, or whoever writes to this folder can set it back.
"""

import base64
import json
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from bastide.core.error import Unreadable

BLOCK_BYTES, PAGE_BYTES = 65_536, 4096


class FileStorage:
    """Implements ports.device.Storage over one file that is there already."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self._size = os.lseek(self._file, 0, os.SEEK_END) // BLOCK_BYTES * BLOCK_BYTES

    @property
    def size(self) -> int:
        return self._size

    @property
    def block_bytes(self) -> int:
        return BLOCK_BYTES

    @property
    def page_bytes(self) -> int:
        return PAGE_BYTES

    def read(self, at: int, count: int) -> bytes:
        return os.pread(self._file, count, at)

    def erase(self, at: int) -> None:
        self._put(at, b"\xff" * BLOCK_BYTES)

    def write(self, at: int, content: bytes) -> None:
        self._put(at, content)

    def flush(self) -> None:
        os.fsync(self._file)

    def _put(self, at: int, content: bytes) -> None:
        if at + len(content) > self._size:
            raise OSError(f"{at + len(content)} is past the end of the storage")
        while content:
            written = os.pwrite(self._file, content, at)
            at, content = at + written, content[written:]


@dataclass(frozen=True, slots=True)
class FileCounter:
    """Implements ports.device.Counter over a file that is replaced whole."""

    path: Path

    @property
    def value(self) -> int:
        try:
            return int(self.path.read_text())
        except FileNotFoundError:
            return 0
        except ValueError as error:
            raise Unreadable(f"{self.path} holds no counter.", code="board:counter") from error

    def raise_to(self, value: int) -> None:
        if value <= self.value:
            return
        aside = self.path.with_name(f"{self.path.name}.new")
        with aside.open("w") as made:
            made.write(f"{value}\n")
            made.flush()
            os.fsync(made.fileno())
        aside.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@dataclass(frozen=True, slots=True)
class Described:
    """A board's parts, and what its makers call it."""

    images: FileStorage
    states: FileStorage
    counter: FileCounter
    key: Ed25519PublicKey
    number: int
    hardware: str
    version: str


def open_board(folder: Path) -> Described:
    """The board that a folder describes; ``Unreadable`` names what is wrong with it."""
    try:
        told = json.loads((folder / "board.json").read_text())
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(told["image_key"], validate=True))
        slots, states = (FileStorage(folder / str(told[name])) for name in ("slots", "states"))
        number, hardware, version = int(told.get("hardware_number", 0)), str(told["hardware"]), str(told["version"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Unreadable(f"{folder / 'board.json'} describes no board: {error!r}.", code="board:unreadable") from error
    if slots.size < 2 * BLOCK_BYTES or slots.size % (2 * BLOCK_BYTES) or states.size < 2 * BLOCK_BYTES:
        raise Unreadable(
            f"{folder}: slots must be two of whole blocks of {BLOCK_BYTES:,} octets, and states two blocks.",
            code="board:unreadable",
        )
    return Described(slots, states, FileCounter(folder / "counter"), key, number, hardware, version)
