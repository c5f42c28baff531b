"""What the broker holds for each device: the bucket ``plans``, mirrored in memory in every process that asks it.

A change is durable before it is announced, and announced by a request that ingest workers answer when they hold it.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NATSError
from nats.errors import NoRespondersError
from nats.errors import TimeoutError as NATSTimeoutError
from nats.js.api import DeliverPolicy
from nats.js.errors import Error as JetStreamError

from bastide.adapters.nats.provision import PLANS, PLANS_PREFIX
from bastide.core.error import Unavailable, Unreadable
from bastide.core.ids import DeviceId, ProfileName
from bastide.wire.desired import Desired, decode_desired, encode_desired

LOG = logging.getLogger("bastide.plans")

# Ingest workers answer on one; controllers only listen on the other, so that "nobody answers" shows at once.
ASKED, TOLD = "ingest.plan", "plans.changed"
PUT_SECONDS = 5.0
LOAD_SECONDS = 30.0
# Ingest answers in about a millisecond; while it restarts nobody does, and it loads the bucket before it takes messages.
# An answer that takes longer is not waited for: a session that should end is worse than a last will that is counted.
TOLD_SECONDS = 0.15


class Plans:
    """The mirror. ``on_change`` is called for each newer plan that arrives, with the one held before."""

    def __init__(self, client: Client, on_change: Callable[[Desired, Desired | None], None] | None = None) -> None:
        self._client = client
        self._jetstream = client.jetstream(timeout=PUT_SECONDS)
        self._held: dict[DeviceId, Desired] = {}
        self._on_change = on_change

    def held(self, device: DeviceId) -> Desired | None:
        return self._held.get(device)

    def with_profile(self, name: ProfileName) -> Sequence[Desired]:
        """What is held for the devices of a profile."""
        return [desired for desired in self._held.values() if desired.profile.name == name]

    def __len__(self) -> int:
        return len(self._held)

    async def start(self, *, answer: bool) -> None:
        """Listens for announcements, then loads the bucket. Ingest workers ``answer``; controllers only listen."""

        async def announced(message: Msg) -> None:
            self._read(message.data)
            if answer and message.reply:
                await message.respond(b"held")

        heard = await self._client.subscribe(ASKED if answer else TOLD, cb=announced)
        try:
            await self._client.flush()
            await self.load()
        except BaseException:
            # Whoever tries again must not listen twice: the server lets a request be answered once.
            await heard.unsubscribe()
            raise

    async def load(self) -> None:
        """Reads the whole bucket; also after a reconnect, when announcements may have been missed."""
        try:
            state = (await self._jetstream.stream_info(PLANS)).state
            if not state.messages:
                return
            values = await self._jetstream.subscribe(
                f"{PLANS_PREFIX}.>", stream=PLANS, ordered_consumer=True, deliver_policy=DeliverPolicy.LAST_PER_SUBJECT
            )
            try:
                async with asyncio.timeout(LOAD_SECONDS):
                    while True:
                        message = await values.next_msg(timeout=PUT_SECONDS)
                        self._read(message.data)
                        if message.metadata.num_pending == 0:
                            return
            finally:
                await values.unsubscribe()
        except (NATSError, JetStreamError, TimeoutError) as error:
            raise Unavailable(
                f"The broker does not give the plans that it holds: {error or type(error).__name__}.",
                code="nats:plans:unavailable",
            ) from error

    def _read(self, data: bytes) -> None:
        """A value that cannot be read is a device without a plan: it is refused until the plan is put again."""
        try:
            self.hold(decode_desired(data))
        except Unreadable as error:
            LOG.error("%s", error.sentence)

    def hold(self, desired: Desired) -> None:
        """Takes a plan into the mirror unless a newer one is there."""
        device = desired.plan.device
        before = self._held.get(device)
        if before is not None and before.plan.generation > desired.plan.generation:
            return
        self._held[device] = desired
        if self._on_change is not None:
            self._on_change(desired, before)

    async def put(self, desired: Desired) -> None:
        """Makes it durable, then tells whoever mirrors the bucket. From the first moment no older plan is used here."""
        self.hold(desired)
        data = encode_desired(desired)
        try:
            await self._jetstream.publish(f"{PLANS_PREFIX}.{desired.plan.device}", data)
            await self._client.publish(TOLD, data)
            try:
                await self._client.request(ASKED, data, timeout=TOLD_SECONDS)
            except NoRespondersError:
                pass  # no ingest worker runs; one that starts reads the bucket before it takes messages
            except NATSTimeoutError:
                LOG.warning("ingest did not say in time that it holds the plan of %s", desired.plan.device)
        except (NATSError, JetStreamError) as error:
            raise Unavailable(
                f"The broker cannot keep the plan of {desired.plan.device}: {error or type(error).__name__}.",
                code="nats:plans:unavailable",
            ) from error
