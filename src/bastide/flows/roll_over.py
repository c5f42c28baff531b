"""The next issuing CA and the next root: asked for and installed while everything runs.

What the root signs is signed elsewhere, by people with its shares (``bastide ceremony``). Here the request comes from the signer
and the outcome goes to it; both are intended and told in the ledger. Who relies on the CAs hears of it before this ends.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from bastide.core.error import BastideError, Refused, Unreadable
from bastide.core.ids import RequestId
from bastide.device.identity.hierarchy import Hierarchy, path_length, used_from
from bastide.ports.clock import Clock, Ids
from bastide.ports.keys import Signer
from bastide.ports.platform.credentials import CredentialReads, CredentialUnitsOfWork
from bastide.ports.platform.ledger import Ledger

log = logging.getLogger("bastide.hierarchy")

SUBJECT = "authority:issuing"


@dataclass(frozen=True, slots=True)
class RollingOver:
    """``hierarchy`` is what holds now; ``spread`` makes those who rely on it know what holds, and returns then. Where it
    fails it is done again soon, by whoever hands ``spread`` in."""

    units: CredentialUnitsOfWork
    reads: CredentialReads
    ledger: Ledger
    signer: Signer
    clock: Clock
    ids: Ids
    hierarchy: Callable[[], Hierarchy]
    spread: Callable[[], Awaitable[None]]


async def next_request(actor: str, with_: RollingOver) -> bytes:
    """The request (PKCS#10, DER) that goes to the ceremony. Asked again before its outcome is here, it is over the same key."""
    request = RequestId(f"next-issuing:{with_.ids.mint('q')}")
    await _intend("next-issuing", request, {}, actor, with_)
    der = await with_.signer.next_issuing(request)
    async with with_.units(actor) as work:
        body = {"request": request, "key": sha256(der).hexdigest()}
        work.ledger.record("signing:next-issuing:issued", SUBJECT, body)
    return der


async def install(pem: bytes, actor: str, with_: RollingOver) -> x509.Certificate:
    """The issuing CA that a ceremony made is installed, with the next root where it changes; the CA.

    ``Refused`` where it is not the outcome of a ceremony over this installation's request. It is used from an hour after its
    notBefore; its issuing CAs before stay trusted, and their revocation lists go on.
    """
    try:
        certificates = x509.load_pem_x509_certificates(pem)
        made = next(one for one in certificates if path_length(one) == 0)
        ders = [one.public_bytes(Encoding.DER) for one in certificates]
    except StopIteration:
        raise Refused("There is no issuing CA among the certificates.", code="authority:refused") from None
    except ValueError as error:
        raise Unreadable(
            "This is not the outcome of a ceremony: no certificates in PEM. `bastide ceremony sign` writes it.",
            code="authority:unreadable",
        ) from error
    if not 1 <= len(ders) <= 4:
        raise Refused("A ceremony gives one to four certificates.", code="authority:refused")
    request = RequestId(f"authority:{with_.ids.mint('q')}")
    digests = [sha256(der).hexdigest() for der in ders]
    await _intend("authority", request, {"certificates": digests}, actor, with_)
    try:
        identifier = await with_.signer.take_authority(request, certificates=ders)
    except Refused as refused:
        async with with_.units(actor) as work:
            said = {"request": request, "code": refused.reason, "reason": refused.sentence}
            work.ledger.record("signing:authority:refused", SUBJECT, said)
        raise
    async with with_.units(actor) as work:
        body = {"request": request, "serial": f"{made.serial_number:x}", "issuer": identifier}
        work.ledger.record("signing:authority:issued", SUBJECT, {**body, "used_from": used_from(made).isoformat()})
    try:
        await with_.spread()
    except BastideError as error:
        log.warning("%s is installed, and not known everywhere yet: %s", made.subject.rfc4514_string(), error.sentence)
    return made


async def _intend(profile: str, request: RequestId, more: dict[str, object], actor: str, with_: RollingOver) -> None:
    async with with_.units(actor) as work:
        record = work.ledger.record(f"signing:{profile}:intended", SUBJECT, {"request": request, **more})
    await with_.ledger.integrated(record)
