"""A live capture inside the sandbox: packets as they come, and every so often what was seen since."""

import time
from collections.abc import Callable
from typing import Protocol

from bastide.network.traffic.conversations import Told, as_json
from bastide.network.traffic.devices import Vendor, devices_of
from bastide.network.traffic.identity.match import Matcher
from bastide.network.traffic.kernel.compiled import Buffer, Integers
from bastide.network.traffic.report import report_of
from bastide.network.traffic.survey import Survey

NAP_SECONDS = 0.005
"""How long to wait for the next block: shorter than the kernel keeps one that is not full."""


class Ring(Protocol):
    """See adapters.capture.ring."""

    @property
    def buffer(self) -> Buffer: ...

    def take(self, records: Integers) -> int: ...


def follow(
    ring: Ring,
    matcher: Matcher | None,
    vendor: Vendor,
    every_seconds: float,
    say: Callable[..., None],
    *,
    survey: Survey | None = None,
    windows: int = 0,
) -> None:
    """Until ended (or ``windows`` were told): one ``window`` line after each span of time, also where nothing was heard."""
    survey = survey if survey is not None else Survey()
    told = Told()
    due = time.monotonic() + every_seconds
    number = 0
    while True:
        rows = ring.take(survey.records)
        if rows:
            survey.absorb(ring.buffer, rows)
        else:
            time.sleep(NAP_SECONDS)
        if time.monotonic() < due:
            continue
        due += every_seconds
        number += 1
        devices = devices_of(survey, vendor)
        talks, left_out = told.since(survey, devices)
        say(
            window=number,
            report=report_of(survey, vendor, matcher, devices=devices),
            conversations=[as_json(talk) for talk in talks],
            conversations_left_out=left_out,
        )
        if number == windows:
            return
