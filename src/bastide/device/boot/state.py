"""What the boot code remembers between two starts, as a record that is there whole or not at all.

Two places hold it in turn: a record goes over the *older* one, with the next number and a CRC-32, so that a cut while it is
written leaves the newer one. What neither place holds is the state of a device that was never updated.
"""

import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum

RECORD_BYTES = 32
_FORM = "<4sIBBBB"
_MAGIC = b"BOOT"


class Trial(IntEnum):
    """What is to be made of the other slot: nothing; start it at the next boot; it was started and waits to be confirmed."""

    NONE = 0
    PENDING = 1
    RUNNING = 2


@dataclass(frozen=True, slots=True)
class BootState:
    """``active`` is the slot whose image was confirmed last, ``tries`` how many starts of a trial are left."""

    active: int = 0
    trial: Trial = Trial.NONE
    tries: int = 0
    number: int = 0

    def encode(self) -> bytes:
        body = struct.pack(_FORM, _MAGIC, self.number, self.active, self.trial, self.tries, 0)
        body = body.ljust(RECORD_BYTES - 4, b"\0")
        return body + struct.pack("<I", zlib.crc32(body))


def decode(record: bytes) -> BootState | None:
    """None for what is not a whole record."""
    if len(record) < RECORD_BYTES or record[:4] != _MAGIC:
        return None
    body, (check,) = record[: RECORD_BYTES - 4], struct.unpack_from("<I", record, RECORD_BYTES - 4)
    if zlib.crc32(body) != check:
        return None
    _, number, active, trial, tries, _ = struct.unpack_from(_FORM, record)
    if active > 1 or trial > 2:
        return None
    return BootState(active, Trial(trial), tries, number)


def newest(records: tuple[bytes, bytes]) -> tuple[BootState, int]:
    """(the state, the place that the next record goes to)."""
    first, second = (decode(record) for record in records)
    if first is None and second is None:
        return BootState(), 0
    if second is None or (first is not None and first.number >= second.number):
        assert first is not None
        return first, 1
    return second, 0
