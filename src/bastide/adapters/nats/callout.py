"""nats-server's auth callout: its question arrives as a request; its answer is a JWT of the devices' account, or empty."""

import asyncio
from collections.abc import Awaitable, Callable

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NATSError

from bastide.core.error import BastideError
from bastide.network.broker.connect import ConnectRequest, read_request

SUBJECT = "$SYS.REQ.USER.AUTH"
# Several controllers share the questions.
QUEUE = "bastide"
# Answers in the making at once. More would only wait for the signer, and the server's time-out waits with them.
MAX_AT_ONCE = 256

Decide = Callable[[ConnectRequest], Awaitable[str]]


class CalloutService:
    """Answers with the JWT that ``decide`` gives; empty, a refusal, where it raises."""

    def __init__(self, client: Client, decide: Decide) -> None:
        self._client = client
        self._decide = decide
        self._at_once = asyncio.Semaphore(MAX_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        subscription = await self._client.subscribe(SUBJECT, queue=QUEUE, cb=self._asked, pending_msgs_limit=1 << 17)
        del subscription  # it lives as long as the connection
        await self._client.flush()

    async def _asked(self, message: Msg) -> None:
        await self._at_once.acquire()
        task = asyncio.create_task(self._answer(message))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._at_once.release()

    async def _answer(self, message: Msg) -> None:
        try:
            answer = await self._decide(read_request(message.data))
        except BastideError:
            answer = ""
        try:
            await self._client.publish(message.reply, answer.encode())
        except NATSError:
            return  # the broker went away, and the connection that waited with it
