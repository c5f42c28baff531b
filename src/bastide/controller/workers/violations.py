"""The broker's own log, followed: each forbidden publish or subscription becomes evidence about the device within a second.

A forbidden QoS 1 publish is acknowledged and dropped by the server, and shows nowhere else. Rotation is survived: the old
file is read to its end before the new one is begun.
"""

import asyncio
import logging
import os
import re
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO

from bastide.controller.workers.tally import Tally
from bastide.core.error import BastideError
from bastide.core.evidence import Evidence
from bastide.core.ids import DeviceId
from bastide.network.broker.topics import topic_of
from bastide.network.broker.violations import MAX_LINE_BYTES, LoggedViolation, read_line
from bastide.ports.clock import Clock, Ids

LOG = logging.getLogger("bastide.violations")

LOOK_SECONDS = 0.1
# Half of the second within which a violation must be evidence: rules count several, and the first is told by itself.
TELL_EVERY = timedelta(seconds=0.5)
FRESH_FOR = timedelta(days=1)
MAX_READ = 1024 * 1024
# The event that a connection began may come a moment after its first line.
UNKNOWN_SECONDS = 3.0
MAX_UNKNOWN = 4096

_SERVER_ID = re.compile(rb"\[INF\]\s+ID:\s+(N[A-Z2-7]{55})\s*$")

Whose = Callable[[str, int], DeviceId | None]


class LogFollower:
    """Reads what is appended to a file that is rotated by renaming. ``lines`` never blocks for long."""

    def __init__(self, path: Path, *, from_start: bool = False) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._rest = b""
        self._from_start = from_start

    def lines(self) -> Sequence[bytes]:
        """The whole lines that were appended since the last call."""
        found: list[bytes] = []
        if self._file is None and not self._open(at_end=not self._from_start):
            # A file that is made later is new from its first line.
            self._from_start = True
            return found
        self._from_start = True
        assert self._file is not None
        found += self._read()
        if self._rotated():
            found += self._read()
            self._file.close()
            self._file, self._rest = None, b""
            if self._open(at_end=False):
                found += self._read()
        return found

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self, *, at_end: bool) -> bool:
        try:
            self._file = self._path.open("rb")
        except FileNotFoundError:
            return False
        if at_end:
            self._file.seek(0, os.SEEK_END)
        return True

    def _rotated(self) -> bool:
        assert self._file is not None
        try:
            now = self._path.stat()
        except FileNotFoundError:
            return False
        held = os.fstat(self._file.fileno())
        return (now.st_ino, now.st_dev) != (held.st_ino, held.st_dev)

    def _read(self) -> Sequence[bytes]:
        assert self._file is not None
        data = self._rest + self._file.read(MAX_READ)
        *whole, self._rest = data.split(b"\n")
        if len(self._rest) > MAX_LINE_BYTES:
            # More than the server writes in one line, so this is not its log.
            self._rest = b""
        return whole


class Violations:
    """``run`` follows one server's log. ``whose`` says which device a connection of a server is."""

    def __init__(
        self,
        log: Path,
        server: Callable[[], str],
        whose: Whose,
        put_evidence: Callable[[Sequence[Evidence]], Awaitable[None]],
        clock: Clock,
        ids: Ids,
    ) -> None:
        self._follower = LogFollower(log)
        self._server = server
        self._whose = whose
        self._put_evidence = put_evidence
        self._clock = clock
        self._unknown: deque[tuple[float, str, LoggedViolation]] = deque(maxlen=MAX_UNKNOWN)
        self._current = ""
        self._kept: list[Evidence] = []
        self.tally = Tally("broker", TELL_EVERY, FRESH_FOR, ids)
        self.unattributed = 0

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                await self.step()
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            self.close()

    def close(self) -> None:
        self._follower.close()

    async def step(self) -> None:
        """Reads what is new, and tells what is due."""
        try:
            lines = await asyncio.to_thread(self._follower.lines)
        except OSError as error:
            LOG.warning("the broker's log cannot be read: %s", error)
            lines = ()
        now = asyncio.get_running_loop().time()
        waiting, self._unknown = self._unknown, deque(maxlen=MAX_UNKNOWN)
        for since, server, violation in waiting:
            self._attribute(server, violation, since, now)
        for line in lines:
            if (began := _SERVER_ID.search(line)) is not None:
                self._current = began[1].decode()
            elif (found := read_line(line)) is not None:
                self._attribute(self._current or self._server(), found, now, now)
        self._kept += self.tally.due(self._clock.now())
        if self._kept:
            try:
                await self._put_evidence(self._kept)
                self._kept = []
            except BastideError as error:
                LOG.warning("%s", error.sentence)
                del self._kept[:-MAX_UNKNOWN]

    def _attribute(self, server: str, violation: LoggedViolation, since: float, now: float) -> None:
        device = self._whose(server, violation.client)
        if device is not None and violation.is_last_will_of(device):
            return
        if device is not None:
            body = {"topic": topic_of(violation.subject)}
            self.tally.add(device, violation.violation.value, body, self._clock.now())
        elif now - since < UNKNOWN_SECONDS:
            self._unknown.append((since, server, violation))
        else:
            self.unattributed += 1
            LOG.warning("connection %d of the broker broke its rules, and is not known", violation.client)
