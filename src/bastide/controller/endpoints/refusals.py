"""How a refusal is answered, and that it is recorded: each with its reason, at a bounded rate.

A device that tries in a loop, or a scan, must not fill the ledger: past the burst, one record a second is written, and it
says how many it stands for.
"""

import asyncio
import logging
from dataclasses import dataclass, field
from datetime import datetime

from starlette.responses import PlainTextResponse, Response

from bastide.core.error import BastideError, Refused
from bastide.device.credential.admission import RETRY_AFTER, Waiting
from bastide.flows.issue_certificate import ACTOR
from bastide.ports.clock import Clock
from bastide.ports.platform.credentials import CredentialUnitsOfWork

BURST = 20
PER_SECOND = 1.0
RETRY_AFTER_SECONDS = "5"
_CHALLENGE = {"WWW-Authenticate": 'Basic realm="Bastide enrolment", charset="UTF-8"'}

# Codes by how HTTP says them; a longer prefix comes before a shorter one. All other refusals are 400.
_STATUS = (
    ("enrolment:credentials:", 401),
    ("enrolment:claim:unknown", 401),
    ("enrolment:claim:", 403),
    ("enrolment:manufacturer:", 403),
    ("enrolment:request:", 403),
    ("enrolment:tpm:secret", 401),
    ("enrolment:tpm:unreadable", 400),
    ("enrolment:tpm:", 403),
    ("enrolment:body:too-large", 413),
    ("enrolment:body:slow", 408),
    ("enrolment:media-type", 415),
    ("update:certificate", 403),
    ("update:target:", 403),
    ("renewal:subject", 400),
    ("renewal:", 403),
    ("identity:certificate:", 403),
    ("bastide:not-found", 404),
)


def answer(error: BastideError) -> Response:
    """The refusal as an answer: its sentence is the body, so that whoever sets up the device reads what to do."""
    if isinstance(error, Waiting):
        return PlainTextResponse(f"{error.sentence}\n", 202, {"Retry-After": f"{RETRY_AFTER.total_seconds():.0f}"})
    if not isinstance(error, Refused):
        return PlainTextResponse(f"{error.sentence}\n", 503, {"Retry-After": RETRY_AFTER_SECONDS})
    status = next((status for prefix, status in _STATUS if error.reason.startswith(prefix)), 400)
    return PlainTextResponse(f"{error.sentence}\n", status, _CHALLENGE if status == 401 else None)


log = logging.getLogger("bastide.enrolment")


@dataclass(slots=True)
class Refusals:
    """Records refusals in the ledger as ``enrolment:refused``."""

    units: CredentialUnitsOfWork
    clock: Clock
    _allowance: float = BURST
    _last: datetime | None = None
    _unrecorded: int = field(default=0)
    _recording: set[asyncio.Task[None]] = field(default_factory=set)

    async def record(self, operation: str, subject: str, refused: Refused, source: str) -> None:
        now = self.clock.now()
        if self._last is not None:
            passed = max(0.0, (now - self._last).total_seconds())
            self._allowance = min(BURST, self._allowance + passed * PER_SECOND)
        self._last = now
        if self._allowance < 1:
            self._unrecorded += 1
            return
        self._allowance -= 1
        others, self._unrecorded = self._unrecorded, 0
        async with self.units(ACTOR) as work:
            work.ledger.record(
                "enrolment:refused",
                subject,
                {
                    "operation": operation,
                    "code": refused.reason,
                    "reason": refused.sentence,
                    "source": source,
                    "unrecorded": others,
                },
            )

    def refused_in_handshake(self, why: str) -> None:
        """A client certificate did not verify. Its sender got a TLS alert; the reason is recorded here."""
        refused = Refused(
            f"A client certificate did not verify: {why}. The connection was ended in the handshake.",
            code="tls:certificate:foreign",
        )
        task = asyncio.get_running_loop().create_task(self._record_handshake(refused))
        self._recording.add(task)
        task.add_done_callback(self._recording.discard)

    async def _record_handshake(self, refused: Refused) -> None:
        try:
            await self.record("handshake", "enrolment", refused, "")
        except BastideError as error:
            log.warning("a refusal was not recorded: %s", error.sentence)
