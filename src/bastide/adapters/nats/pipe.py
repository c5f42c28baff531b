"""A connection for many small messages: the NATS client protocol, and no more of it than the ingest worker needs.

- ``INFO``, ``CONNECT``, ``SUB``, ``PUB``, ``MSG``, ``HMSG``, ``PING``, ``PONG``, ``-ERR`` (docs.nats.io, client protocol),
  over TLS that begins with the first byte.
- Messages are handed over in the batches that the socket gave, and what is sent in answer is written at once: the client
  library costs about five times as much for each message, measured, and this is the path of every message of a fleet.
- A connection that breaks stays broken: :func:`open_pipe` makes another.
"""

import asyncio
import json
from base64 import b64encode
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bastide.adapters.nats.connection import CONNECT_SECONDS, Cluster
from bastide.adapters.nats.seeds import Part, public_key
from bastide.core.error import Unavailable

# (subject, reply, headers, payload); reply and headers are empty where there are none.
Arrived = tuple[bytes, bytes, bytes, bytes]
Handler = Callable[[Sequence[Arrived]], None]

# The server's configuration allows a payload of 8 MiB; more than that without a message means that the stream is broken.
MAX_BUFFER_BYTES = 16 * 1024 * 1024


class Pipe(asyncio.Protocol):
    """One connection. ``closed`` is done when it ends, with the reason as its result."""

    def __init__(self, key: Ed25519PrivateKey, name: str, handle: Handler) -> None:
        loop = asyncio.get_running_loop()
        self._key = key
        self._name = name
        self._handle = handle
        self._rest = b""
        self._sids = 0
        self._transport: asyncio.Transport | None = None
        self.ready: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[str] = loop.create_future()

    def subscribe(self, subject: str, queue: str = "") -> None:
        self._sids += 1
        self.write(f"SUB {subject} {queue} {self._sids}\r\n".encode())

    def write(self, data: bytes) -> None:
        """Sends protocol bytes; see :func:`publication`. Lost where the connection has ended."""
        if self._transport is not None and not self.closed.done():
            try:
                self._transport.write(data)
            except RuntimeError as error:  # uvloop's word for a socket that ended a moment ago
                self.abort(str(error))

    def pause(self) -> None:
        """Reads no more until :meth:`resume`; the broker then waits."""
        if self._transport is not None and self._transport.is_reading():
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._transport is not None and not self.closed.done() and not self._transport.is_reading():
            self._transport.resume_reading()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def abort(self, reason: str) -> None:
        self._end(reason)
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a stream protocol is given a stream transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(str(exc) if exc else "closed")

    def data_received(self, data: bytes) -> None:
        buffer = self._rest + data if self._rest else data
        position, size = 0, len(buffer)
        arrived: list[Arrived] = []
        try:
            while (end := buffer.find(b"\r\n", position)) >= 0:
                first = buffer[position]
                if first == 72 or first == 77:  # HMSG, MSG
                    headed = first == 72
                    words = buffer[position + (5 if headed else 4) : end].split(b" ")
                    total = int(words[-1])
                    start = end + 2
                    after = start + total + 2
                    if after > size:
                        break
                    if headed:
                        split = start + int(words[-2])
                        reply = words[2] if len(words) == 5 else b""
                        arrived.append((words[0], reply, buffer[start:split], buffer[split : after - 2]))
                    else:
                        reply = words[2] if len(words) == 4 else b""
                        arrived.append((words[0], reply, b"", buffer[start : after - 2]))
                    position = after
                else:
                    self._said(buffer[position:end])
                    position = end + 2
        except (ValueError, IndexError):
            self.abort("the broker sent what is not the NATS protocol")
            return
        self._rest = buffer[position:]
        if len(self._rest) > MAX_BUFFER_BYTES:
            self.abort("the broker sent a message larger than it may")
            return
        if arrived:
            self._handle(arrived)

    def _said(self, line: bytes) -> None:
        verb = line[:5].upper()
        if verb.startswith(b"PING"):
            self.write(b"PONG\r\n")
        elif verb.startswith(b"PONG"):
            if not self.ready.done():
                self.ready.set_result(None)
        elif verb.startswith(b"INFO"):
            if not self.ready.done():
                self._introduce(json.loads(line[5:]))
        elif verb.startswith(b"-ERR"):
            self.abort(line.decode(errors="replace"))

    def _introduce(self, info: dict[str, object]) -> None:
        signature = b64encode(self._key.sign(str(info.get("nonce", "")).encode())).decode()
        introduction = {
            "verbose": False,
            "pedantic": False,
            "protocol": 1,
            "headers": True,
            "no_responders": True,
            "lang": "bastide",
            "version": "1",
            "name": self._name,
            "nkey": public_key(self._key),
            "sig": signature,
        }
        self.write(f"CONNECT {json.dumps(introduction)}\r\nPING\r\n".encode())

    def _end(self, reason: str) -> None:
        if not self.closed.done():
            self.closed.set_result(reason)
        if not self.ready.done():
            self.ready.set_exception(Unavailable(f"The broker refused the connection: {reason}.", code="nats:refused"))
            self.ready.exception()


def publication(subject: bytes, payload: bytes, reply: bytes = b"") -> bytes:
    """The protocol bytes that publish a message."""
    if reply:
        return b"PUB %b %b %d\r\n%b\r\n" % (subject, reply, len(payload), payload)
    return b"PUB %b %d\r\n%b\r\n" % (subject, len(payload), payload)


def headed_publication(subject: bytes, reply: bytes, headers: bytes, payload: bytes) -> bytes:
    """The same with a header block (``NATS/1.0\\r\\n…\\r\\n\\r\\n``)."""
    total = len(headers) + len(payload)
    return b"HPUB %b %b %d %d\r\n%b%b\r\n" % (subject, reply, len(headers), total, headers, payload)


async def open_pipe(cluster: Cluster, part: Part, handle: Handler) -> Pipe:
    """A connection that the server has accepted; ``Unavailable`` where it does not within a few seconds."""
    address = urlsplit(cluster.url)
    key, context = cluster.key(part), cluster.context()
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            _, pipe = await loop.create_connection(
                lambda: Pipe(key, f"bastide-{part}", handle),
                address.hostname or "localhost",
                address.port or 4222,
                ssl=context,
            )
            try:
                await pipe.ready
            except BaseException:
                pipe.abort("not accepted")
                raise
    except (OSError, TimeoutError) as error:
        raise Unavailable(
            f"The broker at {cluster.url} does not answer: {error or type(error).__name__}. See nats/server.log.",
            code="nats:unavailable",
        ) from error
    return pipe
