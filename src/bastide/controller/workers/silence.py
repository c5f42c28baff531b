"""Devices that were seen and are silent for long: noted as evidence, once each time."""

import asyncio
import logging
from datetime import timedelta

from bastide.core.error import BastideError
from bastide.flows.govern_device import Governing
from bastide.flows.keep_inventory import note_vanished

LOG = logging.getLogger("bastide.silence")

ACTOR = "system:inventory"
AFTER = timedelta(days=14)
"""Longer than holidays between two scans of a site; telemetry's own silence is judged by the profile."""

EVERY_S = 3600.0
FIRST_S = 60.0
"""Not at once: a start has better things to do."""


class Silence:
    """Looks through the fleet every hour."""

    def __init__(self, governing: Governing) -> None:
        self._governing = governing

    async def run(self) -> None:
        """Until cancelled."""
        await asyncio.sleep(FIRST_S)
        while True:
            try:
                gone = await note_vanished(AFTER, ACTOR, self._governing)
                if gone:
                    LOG.info("devices have vanished", extra={"devices": len(gone)})
            except BastideError as error:
                LOG.warning("looking for vanished devices failed: %s", error.sentence)
            await asyncio.sleep(EVERY_S)
