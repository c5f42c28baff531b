"""Watches for a disk that was full: nats-server remembers a failed write for ever, and has to be started again.

Its file store keeps the error of a block that could not be written (2.15: server/filestore.go), and answers with it long after
there is room again: no device could connect, no message would be acknowledged. State, ledger, journal and samples go on by
themselves; only the broker needs this. Restarting it loses nothing, since what it acknowledged is on the disk.
"""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

EVERY_S = 1.0
FULL = b"no space left on device"
# The streams' blocks are up to 8 MiB each; with less room than this the broker would be back in the same state at once.
ROOM_BYTES = 64 * 1024 * 1024
READ_BYTES = 1024 * 1024


class DiskWatch:
    """``log`` is the broker's log, ``restart`` ends the broker so that it is brought back, ``say`` prints for people."""

    def __init__(self, log: Path, restart: Callable[[], None], say: Callable[[str], None]) -> None:
        self._log = log
        self._restart = restart
        self._say = say
        self._read_to = self._size()
        self._full = False

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            self.look()

    def look(self) -> None:
        """One look at what the broker has logged since the last."""
        if FULL in self._fresh() and not self._full:
            self._full = True
            self._say(
                f"The disk of {self._log.parent} is full: nothing new is acknowledged. Make room; all goes on by itself then."
            )
        if self._full and self._room() >= ROOM_BYTES:
            self._full = False
            self._say("There is room on the disk again; the broker is started anew.")
            self._restart()
            self._read_to = self._size()

    def _fresh(self) -> bytes:
        size = self._size()
        if size < self._read_to:  # it was rotated
            self._read_to = 0
        # What is older than the last piece says nothing of now.
        self._read_to = max(self._read_to, size - READ_BYTES)
        try:
            with self._log.open("rb") as file:
                file.seek(self._read_to)
                fresh = file.read(READ_BYTES)
        except OSError:
            return b""
        self._read_to += len(fresh)
        return fresh

    def _size(self) -> int:
        try:
            return self._log.stat().st_size
        except OSError:
            return 0

    def _room(self) -> int:
        try:
            found = os.statvfs(self._log.parent)
        except OSError:
            return 0
        return found.f_bavail * found.f_frsize
