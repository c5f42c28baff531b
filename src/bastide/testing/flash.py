"""Flash as it is when the power goes: writes that were not flushed are lost, in any order, and the last one is torn.

``Power`` counts the writes and erasures of all devices that it feeds, and cuts at the chosen one. What was waiting in the caches
then stays or is lost as the mode says; afterwards ``restore`` gives the power back and what is left can be read.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from random import Random


class PowerCut(BaseException):
    """The power went. Not an ``Exception``: no code on the device may catch it."""


class Mode(StrEnum):
    """What becomes of what was not flushed, and of the write that was under way."""

    LOST = "lost"
    KEPT = "kept"
    SOME = "some"
    NEWEST = "newest"
    TORN = "torn"
    GARBLED = "garbled"


@dataclass(slots=True)
class Power:
    """``cut_at`` is the number of the write or erasure, from 0, that the power does not outlast; None is mains."""

    seed: int = 0
    cut_at: int | None = None
    mode: Mode = Mode.LOST
    writes: int = 0
    on: bool = True
    devices: list["Flash"] = field(default_factory=list)

    def spend(self) -> bool:
        """Counts a write; True where it is the one that is cut."""
        if not self.on:
            raise PowerCut
        number, self.writes = self.writes, self.writes + 1
        return number == self.cut_at

    def cut(self) -> None:
        self.on = False
        chance = Random(f"{self.seed} {self.cut_at} {self.mode}")  # noqa: S311 - a simulation
        for device in self.devices:
            device.lose(self.mode, chance)
        raise PowerCut

    def restore(self) -> None:
        self.on, self.cut_at = True, None


@dataclass(slots=True)
class _Waiting:
    at: int
    content: bytes
    erased: bool


class Flash:
    """Implements ports.device.Storage."""

    def __init__(self, power: Power, blocks: int, block_bytes: int = 4096, page_bytes: int = 1024) -> None:
        self.size, self.block_bytes, self.page_bytes = blocks * block_bytes, block_bytes, page_bytes
        self._cells = bytearray(b"\xff" * self.size)
        self._waiting: list[_Waiting] = []
        self._power = power
        power.devices.append(self)

    def read(self, at: int, count: int) -> bytes:
        seen = bytearray(self._cells[at : at + count])
        for one in self._waiting:
            begin, end = max(at, one.at), min(at + count, one.at + len(one.content))
            if begin < end:
                part = one.content[begin - one.at : end - one.at]
                old = seen[begin - at : end - at]
                # Writing only clears bits; erasing sets them.
                seen[begin - at : end - at] = (
                    part if one.erased else bytes(a & b for a, b in zip(old, part, strict=True))
                )
        return bytes(seen)

    def erase(self, at: int) -> None:
        if at % self.block_bytes:
            raise ValueError("a block is erased at its beginning")
        self._do(_Waiting(at, b"\xff" * self.block_bytes, erased=True))

    def write(self, at: int, content: bytes) -> None:
        if at % self.page_bytes or not 0 < len(content) <= self.page_bytes or at + len(content) > self.size:
            raise ValueError("a page is written at its beginning, and no more than one")
        self._do(_Waiting(at, content, erased=False))

    def flush(self) -> None:
        if not self._power.on:
            raise PowerCut
        for one in self._waiting:
            self._apply(one)
        self._waiting.clear()

    def rot(self, at: int, bits: int = 1) -> None:
        """A bit that fell over."""
        self._cells[at] ^= bits

    def lose(self, mode: Mode, chance: Random) -> None:
        """What the caches still hold at the cut."""
        waiting, self._waiting = self._waiting, []
        for number, one in enumerate(waiting):
            last = number == len(waiting) - 1
            kept = mode is Mode.KEPT or (mode is Mode.NEWEST and number >= len(waiting) - 2)
            if kept or (mode is Mode.SOME and chance.random() < 0.5):
                self._apply(one)
            elif mode in (Mode.TORN, Mode.GARBLED):
                if last or chance.random() < 0.3:
                    self._apply(_broken(one, mode, chance))
                else:
                    self._apply(one)

    def _do(self, one: _Waiting) -> None:
        cut = self._power.spend()
        self._waiting.append(one)
        if cut:
            self._power.cut()

    def _apply(self, one: _Waiting) -> None:
        place = slice(one.at, one.at + len(one.content))
        if one.erased:
            self._cells[place] = one.content
        else:
            self._cells[place] = bytes(a & b for a, b in zip(self._cells[place], one.content, strict=True))


def _broken(one: _Waiting, mode: Mode, chance: Random) -> _Waiting:
    """Half a write: its beginning only, or each octet done or not."""
    if mode is Mode.TORN:
        done = chance.randrange(len(one.content))
        if one.erased:
            return _Waiting(one.at, one.content[:done] or b"\xff", erased=True)
        return _Waiting(one.at, one.content[:done] + b"\xff" * (len(one.content) - done), erased=False)
    if one.erased:
        return _Waiting(one.at, one.content[: chance.randrange(1, len(one.content))], erased=True)
    return _Waiting(one.at, bytes(octet if chance.random() < 0.5 else 0xFF for octet in one.content), erased=False)


class Fuses:
    """Implements ports.device.Counter: it outlasts every cut, and remembers each value that it had."""

    def __init__(self, power: Power, value: int = 0) -> None:
        self._power = power
        self.value = value
        self.history = [value]

    def raise_to(self, value: int) -> None:
        if not self._power.on:
            raise PowerCut
        if value > self.value:
            self.value = value
            self.history.append(value)
