"""Looks every few minutes whether devices renew."""

import asyncio
import logging

from bastide.core.error import BastideError
from bastide.flows.watch_renewals import RenewalWatch

LOG = logging.getLogger("bastide.renewals")

EVERY_S = 600.0
FIRST_S = 90.0


class Renewals:
    """The alarm is a record and a warning in the log."""

    def __init__(self, watch: RenewalWatch) -> None:
        self._watch = watch

    async def run(self) -> None:
        """Until cancelled."""
        await asyncio.sleep(FIRST_S)
        while True:
            try:
                for found in await self._watch.look():
                    LOG.warning("%s", found.sentence)
            except BastideError as error:
                LOG.warning("looking for renewals failed: %s", error.sentence)
            await asyncio.sleep(EVERY_S)
