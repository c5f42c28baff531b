"""Credentials of the fleet and of the platform: where each is in its life, of which algorithm, and who is late to renew."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from fastapi import Query

from bastide.controller.api.access import Asking
from bastide.controller.api.models import Answer, Limit, Page, page
from bastide.controller.api.routes import Routes
from bastide.device.credential.renewal import Life
from bastide.device.identity.certificate import algorithm
from bastide.flows.watch_renewals import WINDOW, alarms
from bastide.governance.access.roles import Permission
from bastide.ports.clock import Clock
from bastide.ports.platform.credentials import CredentialReads

After = Annotated[str, Query(pattern=r"^(d-[a-z2-7]{20})?$", description="The id that the last page ended with.")]
# Named PEM certificates of the platform itself, as they are now: root, issuing, console, endpoints, nats.
Certificates = Callable[[], Mapping[str, bytes]]


class LivesOut(Answer):
    """So many devices of a class at a site have a newest certificate of this algorithm, at this point of its life: fresh, due
    from two thirds, late from five sixths, ended. ``algorithm`` is empty for one that was issued before it was noted."""

    device_class: str
    site: str
    algorithm: str
    life: Life
    count: int


class OwnOut(Answer):
    """A certificate of the platform's own. ``sha256`` is its fingerprint."""

    name: str
    subject: str
    algorithm: str
    not_before: datetime
    not_after: datetime
    sha256: str


class CredentialsOut(Answer):
    """``alarms``: for each class whose renewals stopped, a sentence. They are the fleet's, so a limited account gets none."""

    devices: Sequence[LivesOut]
    algorithms: Mapping[str, int]
    platform: Sequence[OwnOut]
    alarms: Sequence[str]


class LateOut(Answer):
    """A device that should have renewed, and when its newest certificate ends."""

    device: str
    device_class: str
    site: str
    began: datetime
    ends: datetime


def credential_routes(reads: CredentialReads, clock: Clock, certificates: Certificates) -> Routes:
    """The routes."""
    routes = Routes("", "enrolment")

    @routes.get("/credentials", needs=Permission.FLEET_READ)
    async def show_credentials(asking: Asking) -> CredentialsOut:
        """Every credential by algorithm and point of life, those of devices counted, the platform's own one by one."""
        now = clock.now()
        lives = await reads.lives(now)
        seen = [one for one in lives if asking.scope.holds(one.device_class, one.site)]
        algorithms: Counter[str] = Counter()
        for one in seen:
            algorithms[one.algorithm] += one.count
        renewed = await reads.renewed(now - WINDOW) if asking.scope.boundless else {}
        found = alarms(lives, renewed) if asking.scope.boundless else []
        return CredentialsOut(
            devices=[LivesOut.model_validate(one) for one in seen],
            algorithms=dict(algorithms),
            platform=[_own(name, pem) for name, pem in certificates().items()],
            alarms=[one.sentence for one in found],
        )

    @routes.get("/credentials/late", needs=Permission.FLEET_READ)
    async def list_late(asking: Asking, limit: Limit = 100, after: After = "") -> Page[LateOut]:
        """Devices that should have renewed."""
        found = await reads.late(clock.now(), limit, after)
        seen = [LateOut.model_validate(one) for one in found if asking.scope.holds(one.device_class, one.site)]
        return Page(items=seen, next=page(found, limit, found[-1].device if found else "").next)

    return routes


def _own(name: str, pem: bytes) -> OwnOut:
    certificate = x509.load_pem_x509_certificates(pem)[0]
    return OwnOut(
        name=name,
        subject=certificate.subject.rfc4514_string(),
        algorithm=algorithm(certificate.public_key()),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        sha256=certificate.fingerprint(SHA256()).hex(),
    )
