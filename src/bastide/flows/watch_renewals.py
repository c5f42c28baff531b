"""Renewals that do not come: evidence on each device that is late, and an alarm where a whole class stopped."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from bastide.core.evidence import Evidence, Subject, SubjectKind, Trust
from bastide.core.ids import DeviceClass, EvidenceId, mint
from bastide.device.credential.renewal import LateDevice, Life, Lives, Stopped, stopped
from bastide.flows.issue_certificate import LIFETIME, observe
from bastide.ports.clock import Clock
from bastide.ports.platform.credentials import CredentialReads, CredentialUnitsOfWork
from bastide.ports.platform.ledger import Ledger
from bastide.ports.platform.stores import EvidenceReads

ACTOR = "system:renewals"
STOPPED = "identity:renewals:stopped"
PAGE = 200
# Those who are late now should have renewed within this time.
WINDOW = LIFETIME / 6
AGAIN_AFTER = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class RenewalWatch:
    """What this works with."""

    units: CredentialUnitsOfWork
    reads: CredentialReads
    evidence: EvidenceReads
    ledger: Ledger
    clock: Clock

    async def look(self) -> Sequence[Stopped]:
        """Notes who is late, once each, and says which classes stopped."""
        now = self.clock.now()
        after = ""
        while page := await self.reads.late(now, PAGE, after):
            after = page[-1].device
            await self._note(page, now)
        found = alarms(await self.reads.lives(now), await self.reads.renewed(now - WINDOW))
        for one in found:
            await self._alarm(one, now)
        return found

    async def _note(self, page: Sequence[LateDevice], now: datetime) -> None:
        facts = [_late(one, now) for one in page]
        known = {fact.id for fact in await self.evidence.get([fact.id for fact in facts])}
        new = [fact for fact in facts if fact.id not in known]
        if new:
            async with self.units(ACTOR) as work:
                for fact in new:
                    observe(work, fact)

    async def _alarm(self, found: Stopped, now: datetime) -> None:
        """A record of the class's, once a day, whichever controller comes first."""
        subject = f"class:{found.device_class}"
        said = await self.ledger.recent(PAGE, STOPPED)
        if any(record.subject == subject and now - record.at < AGAIN_AFTER for record in said):
            return
        async with self.units(ACTOR) as work:
            told = {"late": found.late, "renewed": found.renewed, "what": found.sentence}
            work.ledger.record(STOPPED, subject, told)


def alarms(lives: Sequence[Lives], renewed: Mapping[DeviceClass, int]) -> Sequence[Stopped]:
    """The classes whose renewals stopped, by name."""
    late: Counter[DeviceClass] = Counter()
    for one in lives:
        if one.life is Life.LATE:
            late[one.device_class] += one.count
    return [found for name in sorted(late) if (found := stopped(name, late[name], renewed.get(name, 0)))]


def _late(one: LateDevice, now: datetime) -> Evidence:
    return Evidence(
        id=EvidenceId(mint("e", _digest(f"{one.device} identity.renewal.late {one.ends.isoformat()}"))),
        kind="identity.renewal.late",
        subject=Subject(SubjectKind.DEVICE, one.device),
        source="renewals",
        trust=Trust.MEASURED,
        observed_at=now,
        received_at=now,
        fresh_for=one.ends - now,
        body={"what": f"its certificate ends {one.ends:%Y-%m-%d %H:%M} UTC and was not renewed"},
    )


def _digest(text: str) -> bytes:
    return sha256(text.encode()).digest()[:13]
