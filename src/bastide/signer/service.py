"""One request to one answer: idempotency, the profile, the journal, and only then the signature leaves.

The order for a new request: the profile checks and signs; the journal has the line on disk; the answer is given. A crash before
the line is durable leaves nothing behind but a signature that nobody saw. Requests for tree heads, CRLs and CAs,
which build on the last one, go one at a time; all others overlap and share the journal's fsync.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, TypeVar

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from bastide.core.error import BastideError, Refused, Unavailable
from bastide.ports.clock import Clock
from bastide.ports.keys import KeyStore
from bastide.signer.authority import Authorities
from bastide.signer.journal import Journal
from bastide.signer.memory import Remembrance
from bastide.signer.profiles import (
    Again,
    Desk,
    Limits,
    Sign,
    authority,
    broker_user,
    checkpoint,
    crl,
    device,
    next_issuing,
    ocsp,
    plan,
    server,
)
from bastide.wire.journal import Entry
from bastide.wire.signing import (
    Answer,
    Authority,
    Head,
    Outcome,
    Profile,
    Request,
    correlation_of,
    decode_request,
    encode_answer,
    encode_head,
)

T = TypeVar("T")

PROFILES: Mapping[Profile, tuple[Sign, Again]] = {
    Profile.DEVICE: (device.sign, device.again),
    Profile.SERVER: (server.sign, server.again),
    Profile.OCSP: (ocsp.sign, ocsp.again),
    Profile.CRL: (crl.sign, crl.again),
    Profile.CHECKPOINT: (checkpoint.sign, checkpoint.again),
    Profile.BROKER_USER: (broker_user.sign, broker_user.again),
    Profile.PLAN: (plan.sign, plan.again),
    Profile.NEXT_ISSUING: (next_issuing.sign, next_issuing.again),
    Profile.AUTHORITY: (authority.sign, authority.again),
}
IN_ORDER = frozenset({Profile.CHECKPOINT, Profile.CRL, Profile.NEXT_ISSUING, Profile.AUTHORITY})

log = logging.getLogger("bastide.signer")


class Service:
    """Answers requests. ``executor`` is where signing runs when a token outside the process does it; None: right here.
    ``published`` hears of CAs that were installed."""

    def __init__(
        self,
        store: KeyStore,
        authorities: Authorities,
        journal: Journal,
        memory: Remembrance,
        limits: Limits,
        clock: Clock,
        executor: Executor | None = None,
        published: Callable[[Authorities], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._published = published
        self._authorities = authorities
        self._journal = journal
        self._memory = memory
        self._limits = limits
        self._clock = clock
        self._executor = executor
        self._in_order = asyncio.Lock()
        self._under_way: dict[str, asyncio.Future[None]] = {}

    async def answer(self, payload: bytes) -> bytes:
        """The encoded answer to an encoded request. Never raises for what a client sent."""
        correlation = 0
        try:
            request = decode_request(payload)
            correlation = request.correlation
            body = await self._body(request)
        except Refused as refused:
            correlation = correlation or correlation_of(payload)
            log.info("refused correlation=%d code=%s", correlation, refused.reason)
            return _failure(correlation, Outcome.REFUSED, refused)
        except BastideError as failed:
            log.warning("failed correlation=%d code=%s %s", correlation, failed.reason, failed.sentence)
            return _failure(correlation, Outcome.UNAVAILABLE, failed)
        except Exception:  # a bug or a token that failed: the client may try again, the log has the trace
            log.exception("failed correlation=%d", correlation)
            sentence = "The signer failed inside; its log says how. Nothing was signed."
            return _failure(correlation, Outcome.UNAVAILABLE, Unavailable(sentence, code="signer:internal"))
        return encode_answer(Answer(1, correlation, Outcome.DONE, body=body))

    async def _body(self, request: Request) -> bytes:
        if request.profile is Profile.LAST_CHECKPOINT:
            past = self._memory.past
            return encode_head(Head(past.tree_size, past.tree_root if past.tree_size else b""))
        while (under_way := self._under_way.get(request.request_id)) is not None:
            await asyncio.wait([under_way])
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._under_way[request.request_id] = done
        try:
            async with self._in_order if request.profile in IN_ORDER else nullcontext():
                body = await self._once(request)
                if request.profile is Profile.AUTHORITY:
                    await self._run(lambda: self._published(self._authorities))
                return body
        finally:
            del self._under_way[request.request_id]
            done.set_result(None)

    async def _once(self, request: Request) -> bytes:
        sign, again = PROFILES[request.profile]
        answered = self._memory.answered(request.request_id)
        if answered is not None:
            digest, place = answered
            if digest != request.digest[:16]:
                raise Refused(
                    f"Request {request.request_id} was used for something else. Ask under a new id.",
                    code="signer:request:reused",
                )
            what = self._journal.read(place).what
            return await self._run(lambda: again(request.body, what, self._authorities))
        past, now, entropy = self._memory.past, self._clock.now(), secrets.token_bytes(32)
        desk = Desk(self._authorities, self._limits, past, now, entropy, self._next_key)
        signed = await self._run(lambda: sign(request.body, desk))
        await self._journal.add(
            Entry(
                0,
                "",
                "signed",
                request=request.request_id,
                profile=request.profile.value,
                digest=request.digest.hex(),
                what=dict(signed.what),
            )
        )
        if isinstance(request.body, Authority):
            self._authorities = self._authorities.with_next(request.body.certificates)
        log.info("signed profile=%s request=%s", request.profile.value, request.request_id)
        return signed.body

    def _next_key(self) -> EllipticCurvePrivateKey:
        waiting = self._authorities.waiting_key()
        if waiting is None:
            more = self._store.with_next_issuing(self._authorities.keys)
            self._authorities = replace(self._authorities, keys=more)
            waiting = self._authorities.waiting_key()
            assert waiting is not None
        return waiting

    async def _run(self, act: Callable[[], T]) -> T:
        if self._executor is None:
            return act()
        return await asyncio.get_running_loop().run_in_executor(self._executor, act)


def _failure(correlation: int, outcome: Outcome, error: BastideError) -> bytes:
    answer: dict[str, Any] = {"code": error.reason[:128], "sentence": error.sentence[:2048]}
    return encode_answer(Answer(1, correlation, outcome, **answer))
