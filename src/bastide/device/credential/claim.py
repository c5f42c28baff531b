"""Claims: the right to enrol one device, once, until it expires, as one class, for one owner, at one site; or to enrol again as a
device that there is, after a reset or a long absence.

A claim's name is public; its secret has 100 random bits and is kept only as SHA-256, which with that much randomness nobody
can search. Secrets are compared in constant time, and a claim that does not exist takes as long as one that does.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from hmac import compare_digest

from bastide.core.error import Refused
from bastide.core.ids import ClaimId, DeviceClass, DeviceId, OwnerName, RequestId, SiteName

SHORTEST = timedelta(minutes=1)
LONGEST = timedelta(days=90)
_NO_DIGEST = "0" * 64


class ClaimState(StrEnum):
    OPEN = "open"
    USED = "used"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Claim:
    """``name`` is what people shall call the device. ``request`` is the signing request that used the claim,
    ``device`` the device that its holder is, where it is known already."""

    id: ClaimId
    digest: str
    device_class: DeviceClass
    owner: OwnerName
    site: SiteName
    created_at: datetime
    created_by: str
    expires_at: datetime
    name: str = ""
    state: ClaimState = ClaimState.OPEN
    used_at: datetime | None = None
    request: RequestId | None = None
    device: DeviceId | None = None

    def standing_at(self, now: datetime) -> str:
        """``open``, ``used``, ``revoked`` or ``expired``."""
        return "expired" if self.state is ClaimState.OPEN and now >= self.expires_at else self.state.value


class ClaimRefused(Refused):
    """A claim that does not let its holder enrol."""

    code = "enrolment:claim:refused"


def secret_digest(secret: str) -> str:
    """What is kept of a claim's secret."""
    return sha256(secret.encode()).hexdigest()


def check_secret(claim: Claim | None, secret: str) -> Claim:
    """The claim, if the secret is its own; ``ClaimRefused`` otherwise, with the same words for both ways to be wrong."""
    matches = compare_digest(claim.digest if claim else _NO_DIGEST, secret_digest(secret))
    if claim is None or not matches:
        raise ClaimRefused(
            "The user name or password is not that of a claim. Use both exactly as `bastide claim create` printed them.",
            code="enrolment:claim:unknown",
        )
    return claim


def check_usable(claim: Claim, label: str, now: datetime) -> None:
    """Raises ``ClaimRefused`` where the claim is not for this path label, was revoked, or is over."""
    if label and label != claim.device_class:
        raise ClaimRefused(
            f"The claim is for devices of class {claim.device_class!r}, and the path asks for {label!r}. Enrol without a path "
            "label, or under the claim's class.",
            code="enrolment:claim:class",
        )
    if claim.state is ClaimState.REVOKED:
        raise ClaimRefused(
            f"The claim {claim.id} was revoked. Ask whoever runs this platform for a new one.",
            code="enrolment:claim:revoked",
        )
    if now >= claim.expires_at:
        raise ClaimRefused(
            f"The claim {claim.id} expired at {claim.expires_at:%Y-%m-%d %H:%M:%S}Z. Make a new one with "
            "`bastide claim create`.",
            code="enrolment:claim:expired",
        )


def used(claim: Claim) -> ClaimRefused:
    """The refusal of a claim that another key has used."""
    return ClaimRefused(
        f"The claim {claim.id} was already used, by a device with another key. A claim enrols one device: make a new one with "
        "`bastide claim create`. If you did not use it, its password was read by somebody else.",
        code="enrolment:claim:used",
    )


def spent(claim: Claim) -> ClaimRefused:
    """The refusal of a claim whose certificate the signer would not make."""
    return ClaimRefused(
        f"The claim {claim.id} was used, and the signer refused the certificate; the ledger says why. Make a new one with "
        "`bastide claim create`.",
        code="enrolment:claim:spent",
    )


def check_ttl(ttl: timedelta) -> None:
    """Raises ``Refused`` where a claim would be open for too short or too long."""
    if not SHORTEST <= ttl <= LONGEST:
        raise Refused(
            f"A claim may be open from one minute to {LONGEST.days} days, and {ttl} was asked for.", code="claim:ttl"
        )
