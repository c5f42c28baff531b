"""Live updates: what was committed to the ledger, told to every open page.

The database calls :meth:`LiveRecords.publish` with the records of each commit. A page that reads too slowly loses its
place and is told so (``behind``): it then reads the page again, which is always right.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

from bastide.core.audit import Record

# A page that is this many commits behind gains nothing from replaying them one by one.
BACKLOG = 256
# Open streams in all; each holds a small queue. More browsers than this on one controller are refused with 503.
STREAMS = 256


class LiveRecords:
    """One per process, for one event loop."""

    def __init__(self) -> None:
        self._queues: set[asyncio.Queue[Sequence[Record] | None]] = set()
        self._closed = False

    def publish(self, records: Sequence[Record]) -> None:
        """Hands committed records to every open stream. Never blocks; a full queue is emptied and marked behind."""
        for queue in self._queues:
            if queue.full():
                while not queue.empty():
                    queue.get_nowait()
                queue.put_nowait(())
            else:
                queue.put_nowait(records)

    @property
    def open_streams(self) -> int:
        return len(self._queues)

    async def stream(self, beat: float = 15.0) -> AsyncIterator[Sequence[Record] | None]:
        """Commits as they come; an empty sequence means that some were missed, None is a beat so that proxies stay."""
        queue: asyncio.Queue[Sequence[Record] | None] = asyncio.Queue(BACKLOG)
        self._queues.add(queue)
        try:
            while not self._closed:
                try:
                    async with asyncio.timeout(beat):
                        records = await queue.get()
                except TimeoutError:
                    yield None
                    continue
                if records is None:
                    return
                yield records
        finally:
            self._queues.discard(queue)

    def close(self) -> None:
        """Ends every stream, so that the server can stop."""
        self._closed = True
        for queue in self._queues:
            with suppress(asyncio.QueueFull):
                queue.put_nowait(None)
