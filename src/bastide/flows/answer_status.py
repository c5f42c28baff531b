"""OCSP (RFC 6960): what a certificate is now, signed by a delegated responder of its CA that lives as long as this process.

The state is read for each question, so an answer is never older than the state; a signature is made once for each state, and
given again while it is fresh. Answers with a nonce are made for one question and not kept.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.ocsp import OCSPResponseStatus

from bastide.core.error import Unavailable, Unreadable
from bastide.core.ids import RequestId
from bastide.device.credential.ocsp import (
    Question,
    Responder,
    Status,
    asks_about,
    read_question,
    signed_answer,
    unsigned_answer,
)
from bastide.device.identity.certificate import common_name
from bastide.device.identity.hierarchy import Hierarchy, key_id
from bastide.flows.issue_certificate import ACTOR
from bastide.ports.clock import Clock, Ids
from bastide.ports.keys import Signer
from bastide.ports.platform.credentials import CredentialReads, CredentialUnitsOfWork
from bastide.ports.platform.ledger import Ledger

# How long a relying party may keep an answer: what a revocation needs to reach one that does not ask again.
FRESH = timedelta(hours=1)
# Relying parties wait for seconds, not for a signer to come back.
PATIENCE = timedelta(seconds=3)
# About 1 KB each; past this the one that was used longest ago is made again when it is asked for.
MOST_KEPT = 20_000

Kept = tuple[str, int, str, Status | None]


@dataclass(slots=True)
class StatusAnswers:
    """``answer()`` is the answer (DER) to a request (DER), and whether caches may keep it. ``hierarchy`` is what holds now."""

    hierarchy: Callable[[], Hierarchy]
    units: CredentialUnitsOfWork
    reads: CredentialReads
    ledger: Ledger
    signer: Signer
    clock: Clock
    ids: Ids
    new_key: Callable[[], ec.EllipticCurvePrivateKey]
    _responders: dict[str, Responder] = field(default_factory=dict)
    _kept: OrderedDict[Kept, tuple[datetime, bytes]] = field(default_factory=OrderedDict)
    _one: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def answer(self, request: bytes) -> tuple[bytes, bool]:
        """Lets out ``Unavailable`` where neither signer nor state can be reached: the answer is then ``tryLater``."""
        try:
            question = read_question(request)
        except Unreadable:
            return unsigned_answer(OCSPResponseStatus.MALFORMED_REQUEST), False
        hierarchy = self.hierarchy()
        issuer = next((one for one in hierarchy.issuing if asks_about(question, one)), None)
        if issuer is None:
            return unsigned_answer(OCSPResponseStatus.UNAUTHORIZED), False
        certificate = await self.reads.certificate_by_serial(f"{question.serial:x}")
        known = certificate is not None and certificate.issuer in hierarchy.noted_as(issuer)
        status = Status(certificate.state, certificate.changed_at) if certificate is not None and known else None
        identifier = key_id(issuer)
        responder = await self._current(identifier)
        if question.nonce is not None or status is None:
            return self._sign(question, status, responder), False
        return self._kept_answer(identifier, question, status, responder), True

    def _kept_answer(self, issuer: str, question: Question, status: Status, responder: Responder) -> bytes:
        key = (issuer, question.serial, question.algorithm, status)
        now = self.clock.now()
        kept = self._kept.get(key)
        if kept is not None and now - kept[0] < FRESH / 2:
            self._kept.move_to_end(key)
            return kept[1]
        signed = self._sign(question, status, responder)
        self._kept[key] = (now, signed)
        if len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        return signed

    def _sign(self, question: Question, status: Status | None, responder: Responder) -> bytes:
        now = self.clock.now().replace(microsecond=0)
        return signed_answer(question, status, responder, this_update=now, next_update=now + FRESH)

    async def _current(self, issuer: str) -> Responder:
        """The issuing CA's responder, made anew when two thirds of its life are over."""
        async with self._one:
            now, held = self.clock.now(), self._responders.get(issuer)
            if held is not None:
                begins, ends = held.certificate.not_valid_before_utc, held.certificate.not_valid_after_utc
                if now < begins + (ends - begins) * 2 / 3:
                    return held
            try:
                async with asyncio.timeout(PATIENCE.total_seconds()):
                    made = await self._make(issuer)
            except TimeoutError as error:
                raise Unavailable(
                    f"The OCSP responder got no certificate within {PATIENCE.seconds} seconds; its signer or the ledger does not "
                    "answer. It is tried again with the next question.",
                    code="revocation:ocsp:unavailable",
                ) from error
            self._responders[issuer] = made
            for key in [key for key in self._kept if key[0] == issuer]:
                del self._kept[key]
            return made

    async def _make(self, issuer: str) -> Responder:
        key = self.new_key()
        subject = common_name("Bastide OCSP responder")
        csr = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
        request = RequestId(f"ocsp:{self.ids.mint('q')}")
        async with self.units(ACTOR) as work:
            record = work.ledger.record(
                "signing:ocsp:intended", "authority:issuing", {"request": request, "issuer": issuer}
            )
        await self.ledger.integrated(record)
        der = await self.signer.ocsp_certificate(request, csr=csr.public_bytes(Encoding.DER), issuer=issuer)
        certificate = x509.load_der_x509_certificate(der)
        async with self.units(ACTOR) as work:
            body = {"request": request, "serial": f"{certificate.serial_number:x}"}
            work.ledger.record("signing:ocsp:issued", "authority:issuing", body)
        return Responder(certificate, key)
