"""Makers' MUD files are fetched again when their cache-validity ends; what changed waits for a person."""

import asyncio
import logging
from datetime import datetime

from bastide.core.error import BastideError
from bastide.core.ids import ProfileName
from bastide.flows.fetch_reach import Fetching, refresh
from bastide.flows.govern_device import Governing
from bastide.ports.clock import Ids

LOG = logging.getLogger("bastide.mud-files")
EVERY_SECONDS = 600.0


class MUDFileRefresh:
    """Looks every ten minutes for what is due."""

    def __init__(self, governing: Governing, fetching: Fetching, ids: Ids) -> None:
        self._governing, self._fetching, self._ids = governing, fetching, ids
        self._last: dict[ProfileName, datetime] = {}

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                done = await refresh(self._last, self._governing, self._fetching, self._ids)
                for one in done.made:
                    LOG.info("the maker of %s changed its MUD file: %s", one.profile, one.id)
                for sentence in done.failed:
                    LOG.warning("a maker's file was not fetched again: %s", sentence)
            except BastideError as error:
                LOG.warning("%s", error.sentence)
            await asyncio.sleep(EVERY_SECONDS)
