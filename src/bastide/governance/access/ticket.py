"""Tickets: secrets good for one use within a short time: sign-in links and the challenges of passkeys."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NewType

from bastide.governance.access.person import PersonId

TicketId = NewType("TicketId", str)


class Purpose(StrEnum):
    SIGN_IN_LINK = "sign-in-link"
    PASSKEY_REGISTRATION = "passkey-registration"
    PASSKEY_SIGN_IN = "passkey-sign-in"


LIFE = {
    Purpose.SIGN_IN_LINK: timedelta(hours=24),
    Purpose.PASSKEY_REGISTRATION: timedelta(minutes=5),
    Purpose.PASSKEY_SIGN_IN: timedelta(minutes=5),
}


@dataclass(frozen=True, slots=True)
class Ticket:
    """One ticket as it is kept. ``person`` is None where the answer will say who it is (sign-in by passkey)."""

    id: TicketId
    purpose: Purpose
    person: PersonId | None
    digest: bytes
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None = None

    def good_at(self, now: datetime) -> bool:
        return self.used_at is None and self.created_at <= now < self.expires_at
