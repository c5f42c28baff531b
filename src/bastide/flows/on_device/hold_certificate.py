"""A device keeps itself certified: what it does next, and when.

It renews at two thirds of its certificate's life and up to a twelfth later, at random, so that a fleet that was made in one hour
does not come back in one hour. What fails is tried again after a pause that doubles, at random within it, so that a fleet whose
server was away does not come back in one second.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from bastide.device.credential.renewal import DUE

JITTER = 1 / 12
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=30), timedelta(hours=6)


class Life(Protocol):
    @property
    def began(self) -> datetime: ...
    @property
    def ends(self) -> datetime: ...


class Act(StrEnum):
    ENROL = "enrol"
    RENEW = "renew"
    WAIT = "wait"


@dataclass(frozen=True, slots=True)
class Next:
    """What to do, and from when on."""

    act: Act
    at: datetime


def next_act(held: Life | None, now: datetime, chance: float) -> Next:
    """``chance`` is from 0 to 1, drawn once for a certificate."""
    if held is None or now >= held.ends:
        return Next(Act.ENROL, now)
    at = renew_at(held, chance)
    return Next(Act.RENEW, now) if now >= at else Next(Act.WAIT, at)


def renew_at(held: Life, chance: float) -> datetime:
    """Two thirds of the life, and up to a twelfth more."""
    life = held.ends - held.began
    return held.began + life * DUE[0] / DUE[1] + life * JITTER * chance


def pause(failures: int, chance: float) -> timedelta:
    """How long to wait after so many failures in a row (one or more): half of a doubling pause, and up to all of it."""
    doubled: timedelta = FIRST_PAUSE * 2 ** min(failures - 1, 20)
    whole = min(doubled, LONGEST_PAUSE)
    return whole / 2 + whole / 2 * chance
