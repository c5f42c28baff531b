"""Evidence on its way to the controller: the stream ``EVIDENCE``, at least once, and stored once by its id."""

import asyncio
from collections.abc import Sequence

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NATSError
from nats.js.api import AckPolicy, ConsumerConfig
from nats.js.errors import Error as JetStreamError
from nats.js.errors import FetchTimeoutError

from bastide.adapters.nats.provision import EVIDENCE, EVIDENCE_PREFIX
from bastide.core.error import Unavailable, Unreadable
from bastide.core.evidence import Evidence
from bastide.wire.evidence import decode_evidence, encode_evidence

DURABLE = "controller"
MAX_BATCH = 512
PUBLISH_SECONDS = 5.0


class EvidenceSink:
    """Where a process puts what it observed. ``put`` returns when the broker has it on its disk."""

    def __init__(self, client: Client) -> None:
        self._jetstream = client.jetstream(timeout=PUBLISH_SECONDS)

    async def put(self, facts: Sequence[Evidence]) -> None:
        try:
            await asyncio.gather(*(self._publish(fact) for fact in facts))
        except (NATSError, JetStreamError) as error:
            raise Unavailable(
                f"The broker does not take evidence: {error or type(error).__name__}.", code="nats:evidence:unavailable"
            ) from error

    async def _publish(self, fact: Evidence) -> None:
        await self._jetstream.publish(
            f"{EVIDENCE_PREFIX}.{fact.kind}", encode_evidence(fact), headers={"Nats-Msg-Id": fact.id}
        )


class EvidenceSource:
    """What processes observed, for the controller; several controllers share it."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._pull: object | None = None

    async def take(self, wait: float) -> tuple[Sequence[Evidence], Sequence[Msg]]:
        """Up to :data:`MAX_BATCH` facts and what acknowledges them; none where none came in time. Junk is thrown away."""
        try:
            jetstream = self._client.jetstream(timeout=PUBLISH_SECONDS)
            if self._pull is None:
                config = ConsumerConfig(ack_policy=AckPolicy.EXPLICIT, ack_wait=30.0, max_ack_pending=4096)
                self._pull = await jetstream.pull_subscribe(
                    f"{EVIDENCE_PREFIX}.>", durable=DURABLE, stream=EVIDENCE, config=config
                )
            messages: list[Msg] = await self._pull.fetch(MAX_BATCH, timeout=wait)  # type: ignore[attr-defined]
        except (FetchTimeoutError, TimeoutError):
            return (), ()
        except (NATSError, JetStreamError) as error:
            self._pull = None
            raise Unavailable(
                f"The broker does not give evidence: {error or type(error).__name__}.", code="nats:evidence:unavailable"
            ) from error
        facts: list[Evidence] = []
        kept: list[Msg] = []
        for message in messages:
            try:
                facts.append(decode_evidence(message.data))
                kept.append(message)
            except Unreadable:
                await message.term()
        return facts, kept

    async def done(self, messages: Sequence[Msg]) -> None:
        """After the facts were committed; a lost acknowledgement only brings them once more."""
        try:
            for message in messages:
                await message.ack()
        except NATSError as error:
            raise Unavailable("The broker went away; its evidence comes again.", code="nats:unavailable") from error
