"""The revocation list (RFC 5280 5): made when it is asked for and something changed, or its time is half over.

It is signed by the signer's ``crl`` profile and kept in memory; at most one is made at a time and at most one a second, so a
crowd of clients costs one signature.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256

from bastide.core.ids import RequestId
from bastide.flows.issue_certificate import ACTOR
from bastide.ports.clock import Clock, Ids
from bastide.ports.keys import Signer
from bastide.ports.platform.credentials import CredentialReads, CredentialUnitsOfWork
from bastide.ports.platform.ledger import Ledger

MOST_ENTRIES = 30_000
RENEWED_AFTER = timedelta(days=1)
LOOKED_AT = timedelta(seconds=1)


@dataclass(slots=True)
class RevocationList:
    """``current()`` gives the list (DER) that holds now."""

    units: CredentialUnitsOfWork
    reads: CredentialReads
    ledger: Ledger
    signer: Signer
    clock: Clock
    ids: Ids
    _der: bytes = b""
    _revoked: Sequence[tuple[int, datetime]] = ()
    _made_at: datetime | None = None
    _looked_at: datetime | None = None
    _one: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def current(self) -> bytes:
        """The list; at most a second behind the state."""
        async with self._one:
            now = self.clock.now()
            if self._looked_at is not None and now - self._looked_at < LOOKED_AT:
                return self._der
            revoked = await self.reads.revoked(now, MOST_ENTRIES)
            if self._made_at is None or revoked != self._revoked or now - self._made_at > RENEWED_AFTER:
                self._der = await self._make(revoked, now)
                self._revoked, self._made_at = revoked, now
            self._looked_at = now
            return self._der

    async def _make(self, revoked: Sequence[tuple[int, datetime]], now: datetime) -> bytes:
        request = RequestId(f"crl:{self.ids.mint('q')}")
        async with self.units(ACTOR) as work:
            record = work.ledger.record(
                "signing:crl:intended", "authority:issuing", {"request": request, "entries": len(revoked)}
            )
        await self.ledger.integrated(record)
        der = await self.signer.crl(request, revoked=revoked, this_update=now)
        async with self.units(ACTOR) as work:
            body = {"request": request, "entries": len(revoked), "sha256": sha256(der).hexdigest()}
            work.ledger.record("signing:crl:issued", "authority:issuing", body)
        return der
