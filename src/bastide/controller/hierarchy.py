"""What the platform's CAs are now, for all who rely on them: read from the file that the signer writes, and looked at again.

Another controller may have installed the next CA, and a CA comes into use at its own hour: so the file and the clock are looked
at each second, and whoever asked to hear is told of either.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from bastide.core.error import Unavailable
from bastide.device.identity.hierarchy import Hierarchy, key_id, read_hierarchy
from bastide.ports.clock import Clock

LOOK_S = 1.0
Heard = Callable[[], Awaitable[None]]

log = logging.getLogger("bastide.hierarchy")


class HierarchyFile:
    """``now()`` is what was read last. ``Unavailable`` where there is nothing to read at the start."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._pem = self._read()
        self._hierarchy = read_hierarchy(self._pem)
        self._in_use = key_id(self._hierarchy.current(clock.now()))
        self._hear: list[Heard] = []
        self._one = asyncio.Lock()

    def now(self) -> Hierarchy:
        return self._hierarchy

    def on_change(self, heard: Heard) -> None:
        """Hears, one after the other, when a CA was added and when one comes into use."""
        self._hear.append(heard)

    async def look(self) -> None:
        """Returns when all have heard of what holds."""
        async with self._one:
            pem = self._read()
            hierarchy = self._hierarchy if pem == self._pem else read_hierarchy(pem)
            in_use = key_id(hierarchy.current(self._clock.now()))
            if hierarchy is self._hierarchy and in_use == self._in_use:
                return
            self._hierarchy = hierarchy
            log.info("issuing CAs: %d, roots: %d, in use: %s", len(hierarchy.issuing), len(hierarchy.roots), in_use)
            for heard in self._hear:
                await heard()
            self._pem, self._in_use = pem, in_use

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            await self.look()

    def _read(self) -> bytes:
        try:
            return self._path.read_bytes()
        except OSError as error:
            raise Unavailable(f"{self._path} cannot be read: {error.strerror}.", code="hierarchy:unreadable") from error
