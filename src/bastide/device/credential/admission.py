"""Being let in without a claim: as a device that is expected, or because a person approved.

- An **expected** device is one line of a purchase list: the maker's certificate and the serial number in it are the proof.
- A **window** is a while in which devices that prove nothing may ask for approval. Nobody may outside one.
- A **request** is a device that asked and waits for a person: kept by its key, so that the same device asking again is the
  same request, and an approval is for that key and no other.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NewType

from bastide.core.error import BastideError, Refused
from bastide.core.ids import DeviceClass, DeviceId, OwnerName, SiteName

ExpectedId = NewType("ExpectedId", str)
WindowId = NewType("WindowId", str)
EnrolmentRequestId = NewType("EnrolmentRequestId", str)

LONGEST_WINDOW = timedelta(days=7)
WAITS = timedelta(days=2)
MOST_WAITING = 1000
MOST_OF_A_WINDOW = 200
RETRY_AFTER = timedelta(seconds=10)


class Waiting(BastideError):
    """The device was heard, and a person must approve: it asks again later (RFC 7030 4.2.3, 202 with Retry-After)."""

    code = "enrolment:waiting"


@dataclass(frozen=True, slots=True)
class Expected:
    """A device that will come: ``vendor`` and ``serial`` are its proof. ``device`` is what it became; it may come again, after
    a reset to factory state, and stays the same device."""

    id: ExpectedId
    vendor: str
    serial: str
    device_class: DeviceClass
    owner: OwnerName
    site: SiteName
    added_at: datetime
    added_by: str
    name: str = ""
    device: DeviceId | None = None
    arrived_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """While it is open, devices of this class may ask without any proof. ``most`` bounds how many."""

    id: WindowId
    device_class: DeviceClass
    owner: OwnerName
    site: SiteName
    opened_at: datetime
    opened_by: str
    ends_at: datetime
    most: int


class Answered(StrEnum):
    WAITING = "waiting"
    APPROVED = "approved"
    DECLINED = "declined"
    ENROLLED = "enrolled"


@dataclass(frozen=True, slots=True)
class EnrolmentRequest:
    """``key`` is the digest of the request's public key, in hex: what a person compares with what the device shows.
    ``vendor`` and ``serial`` are proven where they are given, ``asked_for`` (the subject's common name) is not."""

    id: EnrolmentRequestId
    key: str
    device_class: DeviceClass
    owner: OwnerName
    site: SiteName
    source: str
    asked_at: datetime
    ends_at: datetime
    vendor: str = ""
    serial: str = ""
    asked_for: str = ""
    window: WindowId | None = None
    name: str = ""
    answer: Answered = Answered.WAITING
    answered_by: str = ""
    answered_at: datetime | None = None

    def state_at(self, now: datetime) -> str:
        """``waiting``, ``approved``, ``declined``, ``enrolled`` or ``ended``."""
        open_still = self.answer in (Answered.WAITING, Answered.APPROVED)
        return "ended" if open_still and now >= self.ends_at else self.answer.value

    def answered(self, answer: Answered, by: str, at: datetime, **settled: str) -> "EnrolmentRequest":
        """The request with a person's answer; an approved one has :data:`WAITS` to be fetched."""
        return replace(self, answer=answer, answered_by=by, answered_at=at, ends_at=at + WAITS, **settled)  # type: ignore[arg-type]


def check_window(span: timedelta, most: int) -> None:
    """Raises ``Refused`` where a window would be open for too long, or for too many."""
    if not timedelta(minutes=1) <= span <= LONGEST_WINDOW:
        raise Refused(
            f"A window is open from one minute to {LONGEST_WINDOW.days} days, and {span} was asked for.",
            code="enrolment:window:span",
        )
    if not 1 <= most <= MOST_OF_A_WINDOW:
        raise Refused(f"A window lets 1 to {MOST_OF_A_WINDOW} devices ask, not {most}.", code="enrolment:window:most")
