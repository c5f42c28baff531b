"""The revocation list of each issuing CA (RFC 5280 5): made when it is asked for and something changed, or its time is half over.

It is signed by the signer's ``crl`` profile and kept in memory; at most one is made at a time and at most one a second, so a
crowd of clients costs one signature.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256

from bastide.core.error import NotFound
from bastide.core.ids import RequestId
from bastide.device.identity.hierarchy import Hierarchy, key_id
from bastide.flows.issue_certificate import ACTOR
from bastide.ports.clock import Clock, Ids
from bastide.ports.keys import Signer
from bastide.ports.platform.credentials import CredentialReads, CredentialUnitsOfWork
from bastide.ports.platform.ledger import Ledger

MOST_ENTRIES = 30_000
RENEWED_AFTER = timedelta(days=1)
LOOKED_AT = timedelta(seconds=1)


@dataclass(slots=True)
class RevocationLists:
    """``current(issuer)`` gives the list (DER) of that issuing CA that holds now. ``hierarchy`` is what holds now."""

    hierarchy: Callable[[], Hierarchy]
    units: CredentialUnitsOfWork
    reads: CredentialReads
    ledger: Ledger
    signer: Signer
    clock: Clock
    ids: Ids
    _lists: dict[str, "_List"] = field(default_factory=dict)

    async def current(self, issuer: str = "") -> bytes:
        """The list of the issuing CA with that key identifier (hex), or of the one in use; at most a second behind the state."""
        hierarchy = self.hierarchy()
        identifier = issuer or key_id(hierarchy.current(self.clock.now()))
        of = next((one for one in hierarchy.issuing if key_id(one) == identifier), None)
        if of is None:
            raise NotFound(f"There is no issuing CA with the key identifier {identifier[:40]}.")
        one = self._lists.setdefault(identifier, _List(identifier, hierarchy.noted_as(of), self))
        return await one.current()


@dataclass(slots=True)
class _List:
    """The list of one CA."""

    issuer: str
    noted_as: tuple[str, ...]
    of: RevocationLists
    _der: bytes = b""
    _revoked: Sequence[tuple[int, datetime]] = ()
    _made_at: datetime | None = None
    _looked_at: datetime | None = None
    _one: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def current(self) -> bytes:
        async with self._one:
            now = self.of.clock.now()
            if self._looked_at is not None and now - self._looked_at < LOOKED_AT:
                return self._der
            revoked = await self.of.reads.revoked(now, MOST_ENTRIES, self.noted_as)
            if self._made_at is None or revoked != self._revoked or now - self._made_at > RENEWED_AFTER:
                self._der = await self._make(revoked, now)
                self._revoked, self._made_at = revoked, now
            self._looked_at = now
            return self._der

    async def _make(self, revoked: Sequence[tuple[int, datetime]], now: datetime) -> bytes:
        request = RequestId(f"crl:{self.of.ids.mint('q')}")
        noted = {"request": request, "issuer": self.issuer, "entries": len(revoked)}
        async with self.of.units(ACTOR) as work:
            record = work.ledger.record("signing:crl:intended", "authority:issuing", noted)
        await self.of.ledger.integrated(record)
        der = await self.of.signer.crl(request, revoked=revoked, this_update=now, issuer=self.issuer)
        async with self.of.units(ACTOR) as work:
            work.ledger.record("signing:crl:issued", "authority:issuing", {**noted, "sha256": sha256(der).hexdigest()})
        return der
