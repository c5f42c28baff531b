"""Who may connect to the broker, and with which rights: asked for every connection, answered from the plan that it holds.

- The device is the one that the verified certificate names. The certificate must be known and not revoked.
- The rights are those of the plan that the broker holds *now*. Between looking and answering nothing else runs where it
  matters: the generation is compared again after the signer answered, and the session is known before the answer is sent,
  so a plan that comes in between finds it and ends it.
- A refusal has a reason, is counted, and becomes evidence about the device.
"""

import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Protocol

from bastide.controller.workers.tally import Tally
from bastide.core.error import BastideError, Refused, Unavailable
from bastide.core.ids import DeviceId, RequestId
from bastide.core.plan import CredentialState
from bastide.network.broker.connect import ConnectRequest, Presented, answer_claims, presented
from bastide.ports.clock import Clock, Ids
from bastide.ports.keys import Signer
from bastide.wire.desired import Desired

LOG = logging.getLogger("bastide.callout")

REFUSED = "broker.connect.refused"
# A device that is kept out tries again every few seconds; one fact for each minute of that says as much.
TELL_EVERY = timedelta(seconds=30)
FRESH_FOR = timedelta(days=1)
TRIES = 3


class Held(Protocol):
    def held(self, device: DeviceId) -> Desired | None: ...


CertificateState = Callable[[bytes], Awaitable[CredentialState | None]]
"""The state of a certificate (DER) that we issued; None for one that we did not."""

LetIn = Callable[[ConnectRequest, DeviceId, int], None]
"""Called just before a connection is let in, with the device and the generation of its plan."""


class Callout:
    """``decide`` gives the broker's answer, or raises ``Refused`` with the reason."""

    def __init__(
        self,
        plans: Held,
        certificate_state: CertificateState,
        signer: Signer,
        let_in: LetIn,
        clock: Clock,
        ids: Ids,
        *,
        issuer: str,
        account: str,
    ) -> None:
        self._plans = plans
        self._certificate_state = certificate_state
        self._signer = signer
        self._let_in = let_in
        self._clock = clock
        self._issuer = issuer
        self._account = account
        self.refusals = Tally("broker", TELL_EVERY, FRESH_FOR, ids)
        self.answered = 0
        self.refused = 0

    async def decide(self, request: ConnectRequest) -> str:
        """The signed answer that lets a connection in."""
        who: Presented | None = None
        try:
            who = presented(request.certificate)
            user = await self._user(request, who)
        except BastideError as error:
            self.refused += 1
            LOG.info("refused %s from %s: %s", who.device if who else "a connection", request.host, error.sentence)
            # That the signer or the database is away says nothing of the device.
            if who is not None and not isinstance(error, Unavailable):
                body = {"reason": error.reason, "from": request.host}
                self.refusals.add(who.device, REFUSED, body, self._clock.now())
            raise
        self.answered += 1
        return user

    async def _user(self, request: ConnectRequest, who: Presented) -> str:
        device = who.device
        await self._must_be_valid(request.certificate, device)
        for attempt in range(TRIES):
            desired = self._plans.held(device)
            if desired is None:
                raise Refused(
                    f"{device} has no plan that the broker holds; it is enrolled and not yet decided on, or unknown.",
                    code="broker:plan:missing",
                )
            plan = desired.plan
            if not plan.broker.may_connect:
                raise Refused(
                    f"{device} is {plan.standing}, and may not connect; see `bastide device explain {device}`.",
                    code=f"broker:standing:{plan.standing}",
                )
            claims = answer_claims(
                request,
                device,
                plan.generation,
                plan.broker,
                issuer=self._issuer,
                account=self._account,
                at=int(self._clock.now().timestamp()),
            )
            request_id = RequestId(f"broker-user:{request.user_key}:{plan.generation}:{attempt}")
            user = await self._signer.broker_user(request_id, claims=claims)
            now_held = self._plans.held(device)
            if now_held is not None and now_held.plan.generation == plan.generation:
                self._let_in(request, device, plan.generation)
                return user
        raise Refused(f"The plan of {device} keeps changing; connect again.", code="broker:plan:changing")

    async def _must_be_valid(self, certificate: bytes, device: DeviceId) -> None:
        match await self._certificate_state(certificate):
            case None:
                raise Refused(
                    f"The certificate for {device} is not one that was issued here; enrol the device again.",
                    code="broker:certificate:unknown",
                )
            case CredentialState.REVOKED:
                raise Refused(f"The certificate of {device} is revoked.", code="broker:certificate:revoked")
            case _:
                # A suspended one may not be renewed; what its device may still do, if anything, the plan says.
                return
