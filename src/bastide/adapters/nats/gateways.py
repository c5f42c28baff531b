"""Signed items on their way to gateways: the bucket ``gateways``, one subject for each thing of each gateway.

A gateway reads its own subjects through a consumer that it makes itself, and makes again after every reconnect and from time
to time: each gives the newest item of every key, and taking one twice changes nothing.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Literal

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NATSError
from nats.js.errors import Error as JetStreamError

from bastide.adapters.nats.provision import GATEWAYS, GATEWAYS_PREFIX
from bastide.core.error import Unavailable
from bastide.core.ids import DeviceId

LOG = logging.getLogger("bastide.gateways")

PUT_SECONDS = 5.0
APPLIED_SECONDS = 3.0
AGAIN_SECONDS = 30.0
Take = Callable[[bytes], Awaitable[None]]


class Applied(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a gateway says of an item: an empty code where it holds it."""

    version: Literal[1]
    key: str
    generation: int
    code: str
    sentence: str
    holds: str


_encoder = msgspec.json.Encoder()
_applied = msgspec.json.Decoder(Applied)


class GatewayItems:
    """The controller's side."""

    def __init__(self, client: Client, said: Callable[[DeviceId, bytes], Awaitable[None]]) -> None:
        self._client = client
        self._jetstream = client.jetstream(timeout=PUT_SECONDS)
        self._said = said
        self._waiting: dict[tuple[str, str, int], asyncio.Future[Applied]] = {}

    async def start(self) -> None:
        async def applied(message: Msg) -> None:
            try:
                found = _applied.decode(message.data)
            except msgspec.MsgspecError:
                return
            gateway = message.subject.split(".")[1]
            waiting = self._waiting.get((gateway, found.key, found.generation))
            if waiting is not None and not waiting.done():
                waiting.set_result(found)

        async def said(message: Msg) -> None:
            await self._said(DeviceId(message.subject.split(".")[1]), message.data)
            await message.respond(b"held")

        await self._client.subscribe("gateway.*.applied", cb=applied)
        await self._client.subscribe("gateway.*.said", cb=said)
        await self._client.flush()

    async def put(self, gateway: DeviceId, key: str, generation: int, item: bytes) -> Applied:
        """Keeps an item, and waits until the gateway said what became of it. ``Unavailable`` where it does not answer: it
        takes the item as soon as it is back."""
        waiting: asyncio.Future[Applied] = asyncio.get_running_loop().create_future()
        self._waiting[(gateway, key, generation)] = waiting
        try:
            await self._jetstream.publish(f"{GATEWAYS_PREFIX}.{gateway}.{key.replace('/', '.')}", item)
            async with asyncio.timeout(APPLIED_SECONDS):
                return await waiting
        except TimeoutError as error:
            raise Unavailable(
                f"The gateway {gateway} does not answer; it keeps its last plan, and takes this one when it is back.",
                code="gateway:unreachable",
            ) from error
        except (NATSError, JetStreamError) as error:
            raise Unavailable(
                f"The broker cannot keep what {gateway} must hold: {error or type(error).__name__}.",
                code="nats:gateways:unavailable",
            ) from error
        finally:
            del self._waiting[(gateway, key, generation)]


class OwnItems:
    """The gateway's side."""

    def __init__(self, client: Client, gateway: DeviceId) -> None:
        self._client = client
        self._gateway = gateway
        self._number = 0
        self._wake = asyncio.Event()

    def again(self) -> None:
        """After a reconnect."""
        self._wake.set()

    async def run(self, take: Take) -> None:
        """Hands every item on, for ever."""
        inbox = f"_INBOX_{self._gateway}.items"
        order: asyncio.Queue[bytes] = asyncio.Queue(1 << 16)

        async def arrived(message: Msg) -> None:
            await order.put(message.data)

        async def hand_on() -> None:
            while True:
                await take(await order.get())

        await self._client.subscribe(inbox, cb=arrived)
        async with asyncio.TaskGroup() as group:
            group.create_task(hand_on())
            while True:
                try:
                    await self._ask(inbox)
                    wait = AGAIN_SECONDS
                except (NATSError, JetStreamError, TimeoutError) as error:
                    LOG.warning("the plan cannot be read now: %s", error or type(error).__name__)
                    wait = 1.0
                self._wake.clear()
                try:
                    async with asyncio.timeout(wait):
                        await self._wake.wait()
                except TimeoutError:
                    continue

    async def _ask(self, inbox: str) -> None:
        """A consumer of our own subjects, by its name, so that the broker can tell whose it is."""
        self._number += 1
        name = f"{self._gateway}-{self._number % 2}-{id(self) & 0xFFFF}"
        subject = f"{GATEWAYS_PREFIX}.{self._gateway}.>"
        config: dict[str, Any] = {
            "name": name,
            "deliver_subject": inbox,
            "deliver_policy": "last_per_subject",
            "ack_policy": "none",
            "filter_subject": subject,
            "replay_policy": "instant",
            "mem_storage": True,
            "num_replicas": 1,
            "inactive_threshold": int((AGAIN_SECONDS + 5) * 1e9),
        }
        body = json.dumps({"stream_name": GATEWAYS, "config": config}).encode()
        answer = await self._client.request(
            f"$JS.API.CONSUMER.CREATE.{GATEWAYS}.{name}.{subject}", body, timeout=PUT_SECONDS
        )
        found = json.loads(answer.data)
        if "error" in found:
            raise JetStreamError(found["error"].get("description", "refused"))

    async def applied(self, key: str, generation: int, code: str, sentence: str, holds: str) -> None:
        said = _encoder.encode(Applied(1, key, generation, code, sentence[:1000], holds[:1000]))
        await self._client.publish(f"gateway.{self._gateway}.applied", said)

    async def said(self, data: bytes) -> None:
        """Tells the controller what happened; returns when it has it. ``Unavailable`` otherwise."""
        try:
            await self._client.request(f"gateway.{self._gateway}.said", data, timeout=PUT_SECONDS)
        except (NATSError, TimeoutError) as error:
            raise Unavailable("The controller does not answer.", code="gateway:controller:unavailable") from error
