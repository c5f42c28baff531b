"""Workers that must not end: each is run again when it fails, with back-off and one line that says why."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from bastide.core.error import BastideError

LOG = logging.getLogger("bastide.workers")

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 5.0
WELL_AFTER_S = 30.0


async def steady(name: str, run: Callable[[], Awaitable[None]]) -> None:
    """Until cancelled."""
    loop, pause = asyncio.get_running_loop(), FIRST_PAUSE_S
    while True:
        started = loop.time()
        try:
            await run()
            LOG.warning("%s ended; running it again", name)
        except BastideError as error:
            LOG.warning("%s stopped: %s Running it again in %.1f s.", name, error.sentence, pause)
        except Exception:
            LOG.exception("%s failed; running it again in %.1f s", name, pause)
        pause = FIRST_PAUSE_S if loop.time() - started > WELL_AFTER_S else min(pause * 2, LONGEST_PAUSE_S)
        await asyncio.sleep(pause)
