"""What nats-server's log says of a connection that tried what it may not (its server/client.go and server/mqtt.go).

    [7] 2026/11/23 02:44:22.509383 [ERR] 127.0.0.1:45920 - mid:31 - "any text" - Publish Violation - Subject "up.d-….x"
    [7] 2026/11/23 02:44:22.551675 [ERR] 127.0.0.1:45938 - mid:33 - "any text" - Subscription Violation - Subject "x", SID x

What a client publishes is mapped to ``up.`` before it is judged; a last will is not, and shows as ``devices.…``. The server never
lets one out. A will on the device's own topics is what every library sets, and says no more than that the connection broke.

The client id in quotes is whatever the device chose; the server quotes it, so it can neither end the quotes nor the line.
Only ``mid``, the server's own number of the connection, says who it was.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from bastide.core.ids import DeviceId
from bastide.network.broker.topics import DOWN

# The server quotes topics of any length; what is kept of one must stay small.
MAX_SUBJECT = 200
# Client id and topic have up to 65,535 bytes each, and the server's quoting makes up to four of one: a device must not be able to
# hide what it does behind a line that is too long to be read.
MAX_LINE_BYTES = 1024 * 1024


class Violation(StrEnum):
    """What was tried; the value is the kind of the evidence."""

    PUBLISH = "broker.publish.denied"
    SUBSCRIBE = "broker.subscribe.denied"


@dataclass(frozen=True, slots=True)
class LoggedViolation:
    """One line. ``client`` is the server's number of the connection, ``subject`` what was tried (shortened)."""

    violation: Violation
    client: int
    subject: str

    def is_last_will_of(self, device: DeviceId) -> bool:
        """True where it is the device's own last will: a lost connection, and no misuse."""
        return self.violation is Violation.PUBLISH and self.subject.startswith(f"{DOWN}.{device}.")


_LINE = re.compile(
    rb'\[\d+\] [0-9/]{10} [0-9:.]{8,18} \[ERR\] \S{1,80} - mid:(\d{1,18}) - "[^"\\]*(?:\\.[^"\\]*)*" - '
    rb'(Publish|Subscription) Violation - (?:User "[^"\\]*(?:\\.[^"\\]*)*", )?(?:Subject|Reply) "([^"\\]*(?:\\.[^"\\]*)*)"'
)


def read_line(line: bytes) -> LoggedViolation | None:
    """The violation that a line of the log tells of; None for any other line."""
    if b"Violation" not in line or len(line) > MAX_LINE_BYTES:
        return None
    found = _LINE.match(line)
    if found is None:
        return None
    client, what, subject = found.groups()
    kind = Violation.PUBLISH if what == b"Publish" else Violation.SUBSCRIBE
    return LoggedViolation(kind, int(client), subject.decode("utf-8", "replace")[:MAX_SUBJECT])
