"""When a certificate should have been renewed, and when it is an alarm that nobody renews.

A device renews at two thirds of its certificate's life. From five sixths on it is **late**: half of the time in which it could
renew is gone. One late device may be switched off; where half of those of a class that should have renewed did not, the way to
renew is broken, and waiting would end with all of them locked out.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from bastide.core.ids import DeviceClass, DeviceId, SiteName

DUE, LATE = (2, 3), (5, 6)
FEWEST = 5
SHARE = 0.5


class Life(StrEnum):
    """Where in its life a device's newest certificate is."""

    FRESH = "fresh"
    DUE = "due"
    LATE = "late"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Lives:
    """How many devices of a class at a site have a newest certificate of this algorithm, at this point of its life."""

    device_class: DeviceClass
    site: SiteName
    algorithm: str
    life: Life
    count: int


@dataclass(frozen=True, slots=True)
class LateDevice:
    """A device that should have renewed. Its newest certificate began and ends then."""

    device: DeviceId
    device_class: DeviceClass
    site: SiteName
    began: datetime
    ends: datetime


@dataclass(frozen=True, slots=True)
class Stopped:
    """Renewals of a class that stopped coming: so many are late, so many did renew meanwhile."""

    device_class: DeviceClass
    late: int
    renewed: int

    @property
    def sentence(self) -> str:
        return (
            f"Of {self.late + self.renewed} devices of class {self.device_class} that should have renewed their certificates, "
            f"{self.late} have not. If they cannot reach the device port, or do not try, they are locked out when these end."
        )


def stopped(device_class: DeviceClass, late: int, renewed: int) -> Stopped | None:
    """The alarm for a class, if it is one."""
    if late < FEWEST or late < (late + renewed) * SHARE:
        return None
    return Stopped(device_class, late, renewed)
