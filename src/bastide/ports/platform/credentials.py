"""Claims, issuances and certificates: reading them, and changing them within a unit of work."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from bastide.core.audit import Personal
from bastide.core.ids import ClaimId, DeviceClass, DeviceId, RequestId
from bastide.core.plan import CredentialState, UpdateEligibility
from bastide.device.credential.claim import Claim
from bastide.device.credential.issuance import Certificate, Issuance
from bastide.device.credential.renewal import LateDevice, Lives
from bastide.ports.platform.admissions import AdmissionWrites
from bastide.ports.platform.units import DeviceWrites, EvidenceWrites, LedgerWrites


class CredentialReads(Protocol):
    async def holder(self, key: str) -> DeviceId | None:
        """The device that has, or is getting, a certificate over the key of this digest."""
        ...

    async def claim(self, id: ClaimId) -> Claim | None: ...

    async def claims(self, limit: int, after: str = "") -> Sequence[Claim]:
        """Newest first; ``after`` is the id that the last page ended with."""
        ...

    async def issuance(self, request: RequestId) -> Issuance | None: ...

    async def unfinished(self, limit: int) -> Sequence[Issuance]:
        """Issuances that were intended and neither issued nor refused, oldest first."""
        ...

    async def certificate(self, fingerprint: str) -> Certificate | None: ...

    async def certificate_by_serial(self, serial: str) -> Certificate | None:
        """``serial`` is in hex, as in :class:`Certificate`."""
        ...

    async def certificate_for(self, request: RequestId) -> Certificate | None: ...

    async def certificates(self, device: DeviceId, limit: int) -> Sequence[Certificate]:
        """Newest first."""
        ...

    async def revoked(self, now: datetime, limit: int, issuers: Sequence[str]) -> Sequence[tuple[int, datetime]]:
        """Serial and time of those revoked and not yet expired, by serial, of the issuers named (``Certificate.issuer``)."""
        ...

    async def by_issuer(self, now: datetime) -> Mapping[str, int]:
        """How many certificates that have not ended each issuer has."""
        ...

    async def lives(self, now: datetime) -> Sequence[Lives]:
        """Where the newest certificate of every device is in its life, counted. Retired devices are left out."""
        ...

    async def late(self, now: datetime, limit: int, after: str = "") -> Sequence[LateDevice]:
        """Devices that should have renewed and whose certificate has not ended, by id; ``after`` ended the last page."""
        ...

    async def renewed(self, since: datetime) -> Mapping[DeviceClass, int]:
        """How many renewals each class has had since then."""
        ...

    async def held(self, device: DeviceId) -> tuple[CredentialState, UpdateEligibility] | None:
        """What the credential and update points hold for the device; None before its first plan."""
        ...


class CredentialWrites(Protocol):
    def add_claim(self, claim: Claim) -> None: ...

    def revoke_claim(self, id: ClaimId, at: datetime) -> None:
        """Conflict unless it is open."""
        ...

    def use_claim(self, id: ClaimId, request: RequestId, at: datetime) -> None:
        """Conflict unless it is open and not expired: of any number of units that use one claim, one is committed."""
        ...

    def intend(self, issuance: Issuance) -> None:
        """Conflict where the request is known; ``Refused`` (``enrolment:key:shared``) where another device has the key."""
        ...

    def must_be_valid(self, serial: str) -> None:
        """Conflict unless the certificate is valid when the unit is committed."""
        ...

    def issued(self, certificate: Certificate) -> None:
        """Ends the issuance of ``certificate.request``. Conflict where it is not unfinished."""
        ...

    def refused(self, request: RequestId) -> None:
        """Ends an issuance that the signer refused. Conflict where it is not unfinished."""
        ...

    def supersede(self, device: DeviceId, serial: str, at: datetime) -> None:
        """Revokes every other certificate of the device: it begins again, with this one."""
        ...

    def forget(self, before: datetime) -> None:
        """Drops claims, issuances and certificates that ended before that time. The ledger keeps their records."""
        ...


class CredentialUnitOfWork(Protocol):
    """A unit of work as enrolment uses it."""

    @property
    def credentials(self) -> CredentialWrites: ...
    @property
    def admissions(self) -> AdmissionWrites: ...
    @property
    def devices(self) -> DeviceWrites: ...
    @property
    def evidence(self) -> EvidenceWrites: ...
    @property
    def ledger(self) -> LedgerWrites: ...


class CredentialUnitsOfWork(Protocol):
    def __call__(self, actor: str | Personal) -> AbstractAsyncContextManager[CredentialUnitOfWork]: ...
