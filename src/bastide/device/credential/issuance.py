"""Issuances: a certificate that was intended, and what became of it. Certificates: what was issued, and what each is now.

An issuance is stored with the intent and holds all that signing needs, so whoever finds it unfinished after a crash can finish it
and comes to the same certificate: its request id is the signer's.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from cryptography import x509

from bastide.core.ids import ClaimId, DeviceClass, DeviceId, OwnerName, RecordId, RequestId, SiteName
from bastide.core.plan import CredentialState
from bastide.device.identity.certificate import algorithm, fingerprint, issuer_key_id


class Purpose(StrEnum):
    ENROL = "enrol"
    RENEW = "renew"
    REENROL = "reenrol"


class Progress(StrEnum):
    INTENDED = "intended"
    ISSUED = "issued"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Issuance:
    """``key`` is the digest of the request's public key, in hex; ``record`` the intent in the ledger; ``way``
    what let the device in (``claim:c-…``, ``expected:x-…``, ``request:q-…``)."""

    request: RequestId
    purpose: Purpose
    device: DeviceId
    device_class: DeviceClass
    owner: OwnerName
    site: SiteName
    claim: ClaimId | None
    csr: bytes
    key: str
    not_before: datetime
    not_after: datetime
    record: RecordId
    name: str = ""
    progress: Progress = Progress.INTENDED
    way: str = ""

    def recorded_as(self, record: RecordId) -> "Issuance":
        return replace(self, record=record)


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate that was issued. ``serial`` and ``fingerprint`` (SHA-256 of the DER) are in hex, ``algorithm`` is
    the key's (``P-256``), ``issuer`` the CA's key identifier in hex; both empty for one that was issued before it was noted."""

    serial: str
    device: DeviceId
    fingerprint: str
    key: str
    not_before: datetime
    not_after: datetime
    issued_at: datetime
    request: RequestId
    der: bytes
    state: CredentialState = CredentialState.VALID
    changed_at: datetime | None = None
    algorithm: str = ""
    issuer: str = ""


def issued(issuance: Issuance, der: bytes, now: datetime) -> Certificate:
    """What is kept of a certificate that the signer made for an issuance."""
    certificate = x509.load_der_x509_certificate(der)
    return Certificate(
        serial=f"{certificate.serial_number:x}",
        device=issuance.device,
        fingerprint=fingerprint(der),
        key=issuance.key,
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        issued_at=now,
        request=issuance.request,
        der=der,
        algorithm=algorithm(certificate.public_key()),
        issuer=issuer_key_id(certificate),
    )
