"""nats-server's auth callout: its question arrives as a request, its answer is a JWT of an account key.

The server checks the user JWT inside the answer against the issuer of its configuration, the signer's key. The envelope
around it may be signed by any account key (the server only reads what it says), so this process makes one that dies with it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NATSError

from bastide.core.error import BastideError
from bastide.network.broker.connect import ConnectRequest, read_request, response_claims
from bastide.wire.nkeys import Kind, encode_public, sign_jwt

SUBJECT = "$SYS.REQ.USER.AUTH"
# Several controllers share the questions.
QUEUE = "bastide"
# Answers in the making at once. More would only wait for the signer, and the server's time-out waits with them.
MAX_AT_ONCE = 256

Decide = Callable[[ConnectRequest], Awaitable[str]]


class CalloutService:
    """Answers with the user JWT that ``decide`` gives, or with the code of the error that it raises."""

    def __init__(self, client: Client, decide: Decide) -> None:
        self._client = client
        self._decide = decide
        self._key = Ed25519PrivateKey.generate()
        self._issuer = encode_public(Kind.ACCOUNT, self._key.public_key().public_bytes_raw())
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
            request = read_request(message.data)
        except BastideError:
            return  # without the names in it there is nobody to answer; the server's time-out refuses the connection
        at = int(time.time())
        try:
            user = await self._decide(request)
            claims = response_claims(request, issuer=self._issuer, at=at, user=user)
        except BastideError as error:
            claims = response_claims(request, issuer=self._issuer, at=at, error=error.reason)
        try:
            await self._client.publish(message.reply, sign_jwt(claims, self._key).encode())
        except NATSError:
            return  # the broker went away, and the connection that waited with it
