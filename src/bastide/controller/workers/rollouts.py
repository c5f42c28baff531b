"""Carries rollouts on, every few seconds."""

import asyncio
import logging

from bastide.core.error import BastideError
from bastide.flows.carry_rollouts import Carrying

LOG = logging.getLogger("bastide.rollouts")

EVERY_S = 2.0


class Rollouts:
    """Looks until cancelled; what cannot be done now is done at the next look."""

    def __init__(self, carrying: Carrying) -> None:
        self._carrying = carrying

    async def run(self) -> None:
        while True:
            try:
                await self._carrying.look()
            except BastideError as error:
                LOG.warning("carrying rollouts failed: %s", error.sentence)
            await asyncio.sleep(EVERY_S)
