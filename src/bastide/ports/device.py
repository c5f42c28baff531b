"""What a device's boot code and updater touch: storage that erases in blocks, a counter that only goes up.

Both let out ``OSError`` where the hardware fails. A write that returned may still be lost, and lost before an earlier one, until
``flush`` has returned: that is how real flash with a cache behaves, and what the code over this port must survive.
"""

from typing import Protocol


class Storage(Protocol):
    """One flash device. Bits are set by erasing a block and cleared by writing; a page is written once between erasures."""

    @property
    def size(self) -> int: ...
    @property
    def block_bytes(self) -> int: ...
    @property
    def page_bytes(self) -> int: ...

    def read(self, at: int, count: int) -> bytes: ...

    def erase(self, at: int) -> None:
        """The block that begins there, to all ones."""
        ...

    def write(self, at: int, content: bytes) -> None:
        """One page at most, at the beginning of a page."""
        ...

    def flush(self) -> None:
        """Returns when all that was written to this device before is there to stay."""
        ...


class Counter(Protocol):
    """A security counter in fuses, a TPM's NV index or replay-protected memory: raised atomically, and there to stay at once."""

    @property
    def value(self) -> int: ...

    def raise_to(self, value: int) -> None:
        """To a higher value; a lower one changes nothing."""
        ...
