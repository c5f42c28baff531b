"""Ends issuances that a crash left between intent and result, and forgets what has long ended."""

import asyncio
import logging
from datetime import timedelta

from bastide.core.error import BastideError
from bastide.flows.issue_certificate import ACTOR, Enrolling, finish_issuances

# Longer than a device waits for its answer, so that a request under way is seldom finished twice (which is harmless).
LOOK_S = 60.0
FORGET_EVERY = timedelta(hours=24)
# The ledger keeps the records; these are the rows that enrolment, renewal and the revocation list look at.
KEPT_AFTER_END = timedelta(days=30)

log = logging.getLogger("bastide.enrolment")


class Issuances:
    """A worker: :meth:`run` until cancelled."""

    def __init__(self, enrolling: Enrolling, look_s: float = LOOK_S) -> None:
        self._enrolling = enrolling
        self._look_s = look_s

    async def run(self) -> None:
        forget_at = self._enrolling.clock.now()
        while True:
            try:
                finished = await finish_issuances(self._enrolling)
                if finished:
                    log.info("finished %d issuances that were cut off", finished)
                now = self._enrolling.clock.now()
                if now >= forget_at:
                    async with self._enrolling.units(ACTOR) as work:
                        work.credentials.forget(now - KEPT_AFTER_END)
                        work.admissions.forget(now - KEPT_AFTER_END)
                    forget_at = now + FORGET_EVERY
            except BastideError as error:
                log.warning("issuances wait: %s", error.sentence)
            await asyncio.sleep(self._look_s)
