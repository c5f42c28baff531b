"""From an intent to a certificate: under a signed tree head, signed, recorded. What enrolment and renewal share.

    intent in the ledger, with the state        one transaction, made by enrol_device or renew_device
    wait until the ledger has integrated it     no certificate is issued unseen
    the signer signs, and journals it           idempotent by the issuance's request id
    result in the ledger, with the state        one transaction

A crash between any two steps leaves an issuance that :func:`finish_issuances` ends, with the same certificate.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from bastide.core.device import Device
from bastide.core.error import BastideError, Conflict, NotFound, Refused
from bastide.core.evidence import Evidence, Subject, SubjectKind, Trust
from bastide.core.ids import DeviceId, EvidenceId, ProfileName, ZoneName
from bastide.core.standing import Stage, Standing
from bastide.device.credential.issuance import Certificate, Issuance, Purpose, issued
from bastide.ports.clock import Clock, Ids
from bastide.ports.keys import Signer
from bastide.ports.platform.catalogue import CatalogueReads
from bastide.ports.platform.credentials import CredentialReads, CredentialUnitOfWork, CredentialUnitsOfWork
from bastide.ports.platform.ledger import Ledger

ACTOR = "system:enrolment"
LIFETIME = timedelta(days=30)
# Devices whose clocks are a little behind must not find their new certificate not yet valid.
BACKDATED = timedelta(minutes=5)
_GENERIC = ProfileName("generic")
_DEFAULT_ZONE = ZoneName("default")

_OBSERVED = {
    Purpose.ENROL: "identity.enrolled",
    Purpose.RENEW: "identity.renewed",
    Purpose.REENROL: "identity.reenrolled",
}

log = logging.getLogger("bastide.enrolment")


@dataclass(frozen=True, slots=True)
class Enrolling:
    """What the enrolment flows work with. ``lifetime`` is that of a device's certificate.

    With ``settle`` (the governor's) a new device is decided on before it gets its certificate, so that it may connect at once.
    """

    units: CredentialUnitsOfWork
    reads: CredentialReads
    catalogue: CatalogueReads
    ledger: Ledger
    signer: Signer
    clock: Clock
    ids: Ids
    lifetime: timedelta = LIFETIME
    settle: Callable[[DeviceId], Awaitable[None]] | None = None

    def validity(self) -> tuple[datetime, datetime]:
        """When a certificate that is made now begins and ends, in whole seconds."""
        begins = (self.clock.now() - BACKDATED).replace(microsecond=0)
        return begins, begins + BACKDATED + self.lifetime


def intend(work: CredentialUnitOfWork, issuance: Issuance) -> Issuance:
    """Adds the intent to a unit of work: the issuance, and the record that it must wait for."""
    record = work.ledger.record(
        "signing:device:intended",
        f"device:{issuance.device}",
        {
            "request": issuance.request,
            "purpose": issuance.purpose.value,
            "class": issuance.device_class,
            "claim": issuance.claim,
            "way": issuance.way,
            "key": issuance.key,
            "not_before": issuance.not_before.isoformat(),
            "not_after": issuance.not_after.isoformat(),
        },
    )
    recorded = issuance.recorded_as(record)
    work.credentials.intend(recorded)
    return recorded


async def finish_issuance(issuance: Issuance, with_: Enrolling) -> Certificate:
    """Takes an intended issuance to its certificate; the same one however often and by whomever it is finished."""
    await with_.ledger.integrated(issuance.record)
    try:
        der = await with_.signer.device_certificate(
            issuance.request,
            csr=issuance.csr,
            device=issuance.device,
            device_class=issuance.device_class,
            not_before=issuance.not_before,
            not_after=issuance.not_after,
        )
    except Refused as refused:
        await _give_up(issuance, refused, with_)
        raise
    certificate = issued(issuance, der, with_.clock.now())
    profile = await _profile(issuance, with_)
    try:
        async with with_.units(ACTOR) as work:
            work.credentials.issued(certificate)
            if issuance.purpose is Purpose.ENROL:
                work.devices.add(_device(issuance, profile, certificate.issued_at))
            if issuance.purpose is Purpose.REENROL:
                work.credentials.supersede(issuance.device, certificate.serial, certificate.issued_at)
            _observe(work, issuance, certificate, with_)
            work.ledger.record(
                "signing:device:issued",
                f"device:{issuance.device}",
                {
                    "request": issuance.request,
                    "serial": certificate.serial,
                    "fingerprint": certificate.fingerprint,
                    "not_after": certificate.not_after.isoformat(),
                },
            )
    except Conflict:
        # Another attempt at the same issuance was first; what it stored is the answer.
        stored = await with_.reads.certificate_for(issuance.request)
        if stored is None:
            raise
        return stored
    return certificate


async def admit(issuance: Issuance, with_: Enrolling) -> Certificate:
    """Takes an intended issuance to its certificate, and lets the loop decide before the device is answered: it will connect the
    moment it has it."""
    certificate = await finish_issuance(issuance, with_)
    if with_.settle is not None:
        await with_.settle(certificate.device)
    return certificate


async def finish_issuances(with_: Enrolling) -> int:
    """Ends what a crash left unfinished; how many there were. One that cannot be ended now does not stop the others."""
    finished = 0
    for issuance in await with_.reads.unfinished(1000):
        try:
            await finish_issuance(issuance, with_)
            finished += 1
        except BastideError as error:
            log.warning("issuance request=%s not finished: %s", issuance.request, error.sentence)
    return finished


async def _give_up(issuance: Issuance, refused: Refused, with_: Enrolling) -> None:
    try:
        async with with_.units(ACTOR) as work:
            work.credentials.refused(issuance.request)
            work.ledger.record(
                "signing:device:refused",
                f"device:{issuance.device}",
                {"request": issuance.request, "code": refused.reason, "reason": refused.sentence},
            )
    except Conflict:
        log.info("issuance request=%s had ended", issuance.request)


async def _profile(issuance: Issuance, with_: Enrolling) -> ProfileName:
    try:
        return (await with_.catalogue.device_class(issuance.device_class)).profile
    except NotFound:
        return _GENERIC


def _device(issuance: Issuance, profile: ProfileName, now: datetime) -> Device:
    """The device as it enters the inventory. What it may do is the governor's to decide."""
    return Device(
        id=issuance.device,
        device_class=issuance.device_class,
        owner=issuance.owner,
        site=issuance.site,
        zone=_DEFAULT_ZONE,
        profile=profile,
        standing=Standing.PENDING,
        stage=Stage.COMMISSIONED,
        created_at=now,
        name=issuance.name,
    )


def _observe(work: CredentialUnitOfWork, issuance: Issuance, certificate: Certificate, with_: Enrolling) -> None:
    """The proof of identity as evidence, in the form in which all evidence is recorded."""
    now = certificate.issued_at
    fact = Evidence(
        id=EvidenceId(with_.ids.mint("e")),
        kind=_OBSERVED[issuance.purpose],
        subject=Subject(SubjectKind.DEVICE, issuance.device),
        source="est",
        trust=Trust.AUTHENTICATED,
        observed_at=now,
        received_at=now,
        body={
            "fingerprint": certificate.fingerprint,
            "key": certificate.key,
            "claim": issuance.claim,
            "way": issuance.way,
        },
    )
    observe(work, fact)


def observe(work: CredentialUnitOfWork, fact: Evidence) -> None:
    """Adds a fact and its record to a unit of work."""
    work.evidence.add([fact])
    work.ledger.record(
        "evidence:observed",
        str(fact.subject),
        {
            "evidence": fact.id,
            "kind": fact.kind,
            "count": fact.count,
            "source": fact.source,
            "trust": fact.trust.value,
            "observed_at": fact.observed_at.isoformat(),
        },
    )
