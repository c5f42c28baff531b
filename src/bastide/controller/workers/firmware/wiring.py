"""The adapters of the firmware process."""

import os

from bastide.adapters.sandbox.lockdown import bound, lock_down, separate

__all__ = ["bound", "lock_down", "read_all", "separate"]


def read_all(descriptor: int, most: int) -> bytes:
    """All of an open file."""
    parts: list[bytes] = []
    size = 0
    while size < most and (part := os.read(descriptor, min(1 << 24, most - size))):
        parts.append(part)
        size += len(part)
    return b"".join(parts)
