"""Reading octets in order, with every bound checked."""

from bastide.network.traffic.dissect.message import Incomplete, Malformed


class Cursor:
    """A position in a payload. A read past the end raises ``Incomplete``; past the end of a part, whose length the message
    itself gave, ``Malformed``."""

    __slots__ = ("at", "data", "end", "wrong")

    def __init__(self, data: bytes, at: int = 0, end: int | None = None) -> None:
        self.data = data
        self.at = at
        self.end = len(data) if end is None else min(end, len(data))
        self.wrong: type[Malformed] = Incomplete

    @property
    def left(self) -> int:
        return self.end - self.at

    def take(self, size: int) -> bytes:
        at = self.at
        if size < 0 or at + size > self.end:
            raise self.wrong(f"{size} octets were expected at {at}, {max(self.end - at, 0)} are there.")
        self.at = at + size
        return self.data[at : at + size]

    def skip(self, size: int) -> None:
        if size < 0 or self.at + size > self.end:
            raise self.wrong(f"{size} octets were expected at {self.at}, {max(self.end - self.at, 0)} are there.")
        self.at += size

    def u8(self) -> int:
        at = self.at
        if at >= self.end:
            raise self.wrong(f"An octet was expected at {at}; the message ends there.")
        self.at = at + 1
        return self.data[at]

    def u16(self) -> int:
        # Read more often than all else: no slice, no call.
        at = self.at
        if at + 2 > self.end:
            raise self.wrong(f"2 octets were expected at {at}, {max(self.end - at, 0)} are there.")
        self.at = at + 2
        return self.data[at] << 8 | self.data[at + 1]

    def u24(self) -> int:
        return int.from_bytes(self.take(3), "big")

    def u32(self) -> int:
        return int.from_bytes(self.take(4), "big")

    def le16(self) -> int:
        return int.from_bytes(self.take(2), "little")

    def le32(self) -> int:
        return int.from_bytes(self.take(4), "little")

    def rest(self) -> bytes:
        return self.take(self.end - self.at)

    def part(self, size: int) -> "Cursor":
        """A cursor over the next ``size`` octets, which this one passes over."""
        self.skip(size)
        inner = Cursor(self.data, self.at - size, self.at)
        inner.wrong = Malformed
        return inner
