"""A capture file, read by windows of a few MB into one buffer.

Read, not mapped: a file that somebody truncates while it is mapped kills the reader with SIGBUS, and mapped pages of a long
capture count as the reader's memory. One copy at memory speed costs some ten nanoseconds a packet.
"""

import os
import stat
from pathlib import Path
from types import TracebackType

import numpy as np

from bastide.core.error import NotFound, Unavailable, Unreadable
from bastide.network.traffic.kernel.compiled import Buffer

WINDOW = 4 * 1024 * 1024
"""Larger than any record (262,144 octets), small enough to stay near the processor."""


def open_capture(path: Path) -> int:
    """A descriptor for reading. ``NotFound``, ``Unreadable`` or ``Unavailable`` with a sentence."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise NotFound(f"There is no file {path}; check the name.") from error
    except PermissionError as error:
        raise Unavailable(
            f"{path} may not be read by this user; change its permissions or use another user."
        ) from error
    except OSError as error:
        raise Unavailable(f"{path} cannot be opened: {error.strerror}.") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Unreadable(f"{path} is not a file; name a capture that was written to disk.")
    return descriptor


def read_whole(descriptor: int, most: int = 64 * 1024 * 1024) -> bytes:
    """All octets of a file, which it closes. ``Unreadable`` where there are more than ``most``."""
    with os.fdopen(descriptor, "rb") as file:
        octets = file.read(most + 1)
    if len(octets) > most:
        raise Unreadable(f"The file is longer than {most // 1024**2} MiB; that is no fingerprint base.")
    return octets


class CaptureFile:
    """One file behind a descriptor, which it closes."""

    def __init__(self, name: str, descriptor: int) -> None:
        self.name = name
        self._descriptor = descriptor
        # Asked once: the sandbox has no call for it later, and a file that grows is read up to here.
        self.size = os.fstat(descriptor).st_size
        self._memory = bytearray(WINDOW)
        whole = np.frombuffer(self._memory, np.uint8)
        whole.flags.writeable = False
        self._whole: Buffer = whole

    def window(self, offset: int) -> Buffer:
        """Octets from ``offset``, at most ``WINDOW``; valid until the next call. Empty at the end."""
        filled = 0
        view = memoryview(self._memory)
        while filled < WINDOW:
            count = os.preadv(self._descriptor, [view[filled:]], offset + filled)
            if count == 0:
                break
            filled += count
        return self._whole[:filled]

    def close(self) -> None:
        os.close(self._descriptor)

    def __enter__(self) -> "CaptureFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
