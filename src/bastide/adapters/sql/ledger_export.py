"""Export bundles for whoever asks over the API: read in a snapshot and a thread of its own, handed over in pieces."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from bastide.adapters.sql.ledger_audit import exported_lines, opened_for_audit
from bastide.adapters.sql.ledger_reads import latest_checkpoint
from bastide.core.error import NotFound, Unavailable

# A long export holds a snapshot open and a core busy; the fleet comes first.
AT_ONCE = 2
PIECE_BYTES = 64 * 1024


class SQLBundles:
    """Implements ports.platform.ledger.Bundles. ``url`` is the database's."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._running = 0

    async def pieces(self, selection: str, show_personal: bool) -> AsyncIterator[bytes]:
        if self._running >= AT_ONCE:
            raise Unavailable(f"{AT_ONCE} exports are running already; try again when one is done.")
        self._running += 1
        stack = ExitStack()
        lines: Iterator[bytes] = iter(())

        def begin() -> None:
            nonlocal lines
            connection = stack.enter_context(opened_for_audit(self._url))
            newest = latest_checkpoint(connection)
            if newest is None:
                raise NotFound("The ledger has no signed checkpoint yet; try again in a second.")
            lines = exported_lines(connection, newest, selection, show_personal)

        def piece() -> bytes:
            gathered, size = [], 0
            for line in lines:
                gathered.append(line)
                size += len(line)
                if size >= PIECE_BYTES:
                    break
            return b"".join(gathered)

        # One thread for the whole of it: a connection of SQLite belongs to the thread that opened it.
        thread = ThreadPoolExecutor(1, thread_name_prefix="ledger-export")
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(thread, begin)
            while content := await loop.run_in_executor(thread, piece):
                yield content
        finally:
            self._running -= 1
            thread.submit(stack.close)
            thread.shutdown(wait=False)
