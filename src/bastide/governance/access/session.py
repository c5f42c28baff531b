"""Sessions of the console: a cookie that ends by itself, and a token that no other site can guess (CSRF).

Idle for two hours or twelve hours old, whichever is first (NIST SP 800-63B 4.2.3: at AAL2 at most 12 h and 30 min idle;
a watch keeper's screen receives live events all shift, hence the longer idle time, and it is stated in docs/access.md).
"""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NewType

from bastide.governance.access.person import Person, PersonId
from bastide.governance.access.principal import Means, Principal, permissions

SessionId = NewType("SessionId", str)

IDLE_LIMIT = timedelta(hours=2)
ABSOLUTE_LIMIT = timedelta(hours=12)
TOUCH_EVERY = timedelta(minutes=1)
"""``last_used`` is written at most this often, so that reading a page is not a write."""
SESSIONS_EACH = 20
"""Sessions that one person may have at once; opening one more ends the oldest."""


@dataclass(frozen=True, slots=True)
class Session:
    """One signed-in browser as it is kept. ``address`` and ``agent`` help its owner to know it again."""

    id: SessionId
    person: PersonId
    digest: bytes
    means: Means
    created_at: datetime
    last_used: datetime
    address: str = ""
    agent: str = ""
    ended_at: datetime | None = None

    def live_at(self, now: datetime) -> bool:
        return self.ended_at is None and now < min(self.created_at + ABSOLUTE_LIMIT, self.last_used + IDLE_LIMIT)

    def ends_at(self) -> datetime:
        """When it ends if nothing is asked any more."""
        return min(self.created_at + ABSOLUTE_LIMIT, self.last_used + IDLE_LIMIT)

    def worth_touching(self, now: datetime) -> bool:
        return now >= self.last_used + TOUCH_EVERY


def csrf_token(session_text: str) -> str:
    """The CSRF token of a session: it follows from the cookie's secret, so nothing more is stored, and from no other."""
    mac = hmac.new(session_text.encode(), b"bastide csrf v1", hashlib.sha256).digest()
    return urlsafe_b64encode(mac).decode().rstrip("=")


def csrf_holds(session_text: str, offered: str) -> bool:
    """True where the offered token is the session's. Constant time."""
    return hmac.compare_digest(csrf_token(session_text).encode(), offered.encode())


def principal(session: Session, person: Person) -> Principal:
    """In whose name a session acts now."""
    return Principal(
        actor=f"person:{person.id}",
        person=person.id,
        name=person.name,
        role=person.role,
        scope=person.scope,
        means=session.means,
        permissions=permissions(person.role, person.scope),
        session=session.id,
    )
