"""Lessons end by themselves: at its deadline, what one heard becomes a proposal that waits for a person."""

import asyncio
import logging

from bastide.core.error import BastideError
from bastide.flows.govern_device import Governing
from bastide.flows.propose_reach import end_due_lessons

LOG = logging.getLogger("bastide.lessons")
EVERY_SECONDS = 5.0


class Lessons:
    """Looks for deadlines that have passed."""

    def __init__(self, governing: Governing) -> None:
        self._governing = governing

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                for one in await end_due_lessons(self._governing):
                    LOG.info("the lesson %s of %s ended: %s", one.id, one.profile, one.state)
            except BastideError as error:
                LOG.warning("%s", error.sentence)
            await asyncio.sleep(EVERY_SECONDS)
