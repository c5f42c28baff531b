"""The platform's CAs: which there are, the request for the next one, and what a ceremony made of it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from pydantic import Field

from bastide.controller.api.access import Asking
from bastide.controller.api.models import Answer, Asked
from bastide.controller.api.routes import Routes
from bastide.device.identity.certificate import algorithm
from bastide.device.identity.hierarchy import Hierarchy, key_id, used_from
from bastide.flows.roll_over import RollingOver, install, next_request
from bastide.governance.access.roles import Permission

State = Literal["waiting", "in use", "before"]


class AuthorityOut(Answer):
    """A root or an issuing CA. ``key`` is its key identifier; ``certificates`` counts the devices' that it issued and that have
    not ended, null for a root."""

    kind: Literal["root", "issuing"]
    state: State
    subject: str
    key: str
    algorithm: str
    used_from: datetime
    not_after: datetime
    sha256: str
    certificates: int | None


class AuthoritiesOut(Answer):
    """The newest first, roots last."""

    items: Sequence[AuthorityOut]


class RequestOut(Answer):
    """``request``: a PKCS#10 request in PEM, for `bastide ceremony sign`."""

    request: str


class OutcomeIn(Asked):
    """``certificates``: what `bastide ceremony sign` wrote (PEM)."""

    certificates: Annotated[str, Field(max_length=32_768)]


def authority_routes(with_: RollingOver) -> Routes:
    """The routes."""
    routes = Routes("", "enrolment")

    @routes.get("/authorities", needs=Permission.FLEET_READ)
    async def list_authorities(asking: Asking) -> AuthoritiesOut:
        """The roots and issuing CAs of the platform."""
        hierarchy, now = with_.hierarchy(), with_.clock.now()
        counts = await with_.reads.by_issuer(now) if asking.scope.boundless else None
        found = []
        for one in reversed(hierarchy.issuing):
            many = None if counts is None else sum(counts.get(name, 0) for name in hierarchy.noted_as(one))
            found.append(_out("issuing", _state(one, hierarchy, now), one, many))
        for one in reversed(hierarchy.roots):
            found.append(_out("root", "in use" if one is hierarchy.roots[-1] else "before", one, None))
        return AuthoritiesOut(items=found)

    @routes.post("/authorities/request", needs=Permission.AUTHORITY_CHANGE)
    async def request_next(asking: Asking) -> RequestOut:
        """The request for the next issuing CA; its key is made in the signer, and stays there."""
        der = await next_request(asking.actor, with_)
        pem = x509.load_der_x509_csr(der).public_bytes(Encoding.PEM)
        return RequestOut(request=pem.decode())

    @routes.post("/authorities", needs=Permission.AUTHORITY_CHANGE, status_code=201)
    async def install_next(asked: OutcomeIn, asking: Asking) -> AuthorityOut:
        """Installs the outcome of a ceremony: the next issuing CA, and the next root where it changes."""
        made = await install(asked.certificates.encode(), asking.actor, with_)
        now = with_.clock.now()
        return _out("issuing", "in use" if with_.hierarchy().current(now) == made else "waiting", made, 0)

    return routes


def _state(issuing: x509.Certificate, hierarchy: Hierarchy, now: datetime) -> State:
    if issuing == hierarchy.current(now):
        return "in use"
    return "waiting" if used_from(issuing) > now else "before"


def _out(
    kind: Literal["root", "issuing"],
    state: State,
    one: x509.Certificate,
    certificates: int | None,
) -> AuthorityOut:
    return AuthorityOut(
        kind=kind,
        state=state,
        subject=one.subject.rfc4514_string(),
        key=key_id(one),
        algorithm=algorithm(one.public_key()),
        used_from=used_from(one) if kind == "issuing" else one.not_valid_before_utc,
        not_after=one.not_valid_after_utc,
        sha256=one.fingerprint(SHA256()).hex(),
        certificates=certificates,
    )
