"""The platform's own certificates and keys: what each is for, and how long it holds."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from bastide.controller.api.credentials import Certificates

_FOR: Mapping[str, str] = {
    "root": "Signs issuing authorities; browsers and devices trust it",
    "issuing": "Signs devices and servers",
    "console": "This console and the API",
    "endpoints": "Where devices enrol and renew",
    "nats": "The message broker",
}
# A third of a life before its end, whatever renews by itself has done so.
_LATE = 4


@dataclass(frozen=True, slots=True)
class Kept:
    """``late``: it should have been renewed by now. ``renews``: Bastide renews it by itself."""

    name: str
    purpose: str
    subject: str
    not_after: datetime
    fingerprint: str
    renews: bool
    late: bool


def kept(certificates: Certificates, now: datetime) -> tuple[Kept, ...]:
    """The certificates, authorities first; one that cannot be read is left out, since its listener would not run."""
    found = []
    for name, pem in certificates().items():
        certificate = x509.load_pem_x509_certificates(pem)[0]
        life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
        kind = name.partition(" ")[0]
        renews = kind not in ("root", "issuing")
        margin = life / _LATE if renews else max(life / 20, timedelta(days=30))
        found.append(
            Kept(
                name=name,
                purpose=_FOR.get(kind, ""),
                subject=certificate.subject.rfc4514_string(),
                not_after=certificate.not_valid_after_utc,
                fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
                renews=renews,
                late=certificate.not_valid_after_utc - now < margin,
            )
        )
    return tuple(found)
