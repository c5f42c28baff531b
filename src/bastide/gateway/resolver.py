"""The devices' resolver on their gateway: it forwards what a device's profile names, and nothing else.

* The order is the point: the keeper opens every address of an answer in the set of the name *before* the answer is released,
  for every answer, so also for one that the upstream had in its cache. One set for each name serves every profile that
  names it; an alias (CNAME) is followed, and its addresses are opened under the name that was asked for.
* A name that the device's profile does not hold is refused, and is evidence. So is a question of nobody that is known.
* An answer with an address inside our own network is refused (rebinding), by the keeper too.
* Upstream is TCP with TLS where a name is set for its certificate (RFC 7858), else UDP with TCP for long answers.
"""

import asyncio
import contextlib
import logging
import secrets
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Protocol

from bastide.core.error import BastideError, Unreadable
from bastide.network.segmentation.names import (
    AAAA,
    NOERROR,
    NXDOMAIN,
    REFUSED,
    SERVFAIL,
    A,
    Question,
    read_answer,
    read_question,
    refusal,
)
from bastide.wire.keeper import Word

LOG = logging.getLogger("bastide.gateway.resolver")
MAX_AT_ONCE = 512
UPSTREAM_SECONDS = 3.0
IDLE_SECONDS = 10.0
UDP_OCTETS = 1232


class Asked(Protocol):
    """See gateway.link.KeeperClient."""

    async def ask(self, word: Word, **fields: Any) -> Any: ...


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where answers come from. With ``tls`` over TLS, and the certificate must be for ``name``."""

    host: str
    port: int = 53
    name: str = ""
    tls: ssl.SSLContext | None = None


class Resolver:
    """``told`` takes what was refused, as an event for the controller."""

    def __init__(self, keeper: Asked, upstream: Upstream, told: Callable[[dict[str, Any]], None]) -> None:
        self._keeper, self._upstream, self._told = keeper, upstream, told
        self._at_once = asyncio.Semaphore(MAX_AT_ONCE)

    async def answer(self, data: bytes, source: str) -> bytes | None:
        """The answer for who asks from this address; None for what is no question."""
        try:
            question = read_question(data)
        except Unreadable:
            return None
        if self._at_once.locked():
            return refusal(question, SERVFAIL)
        async with self._at_once:
            try:
                return await self._answer(question, data, source)
            except BastideError as error:
                self._refused(question, source, error.reason)
                return refusal(question, SERVFAIL if error.reason.startswith("dns:upstream") else REFUSED)

    async def _answer(self, question: Question, data: bytes, source: str) -> bytes:
        known = await self._keeper.ask(Word.NAMES, name=source)
        if known is None or question.name not in known:
            self._refused(question, source, "dns:name:not-in-profile" if known is not None else "dns:device:unknown")
            return refusal(question, REFUSED)
        if question.type not in (A, AAAA):
            # Nothing but addresses opens anything; a hint of addresses elsewhere (HTTPS, SVCB) would go round the sets.
            return refusal(question, NOERROR)
        answer = await self._ask(data, question)
        found = read_answer(answer, question)
        if found.code not in (NOERROR, NXDOMAIN):
            return refusal(question, found.code)
        if found.addresses:
            addresses = [(str(address), ttl) for address, ttl in found.addresses.items()]
            await self._keeper.ask(Word.RESOLVED, name=question.name, addresses=addresses)
        return answer

    async def _ask(self, data: bytes, question: Question) -> bytes:
        """The upstream's answer, under an identifier of our own that nobody can guess."""
        own = secrets.token_bytes(2)
        asked = Question(int.from_bytes(own, "big"), question.name, question.type, question.octets, question.flags)
        try:
            async with asyncio.timeout(UPSTREAM_SECONDS):
                if self._upstream.tls is None:
                    answer = await self._over_udp(own + data[2:], asked)
                    if not answer[2] & 2:
                        return data[:2] + answer[2:]
                return data[:2] + (await self._over_stream(own + data[2:]))[2:]
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            raise BastideError(
                f"The upstream resolver {self._upstream.host} does not answer: {error or 'in time'}.",
                code="dns:upstream",
            ) from error

    async def _over_udp(self, data: bytes, asked: Question) -> bytes:
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[bytes] = loop.create_future()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _One(asked, waiting), remote_addr=(self._upstream.host, self._upstream.port)
        )
        try:
            transport.sendto(data)
            return await waiting
        finally:
            transport.close()

    async def _over_stream(self, data: bytes) -> bytes:
        upstream = self._upstream
        reader, writer = await asyncio.open_connection(
            upstream.host, upstream.port, ssl=upstream.tls, server_hostname=upstream.name or None
        )
        try:
            writer.write(len(data).to_bytes(2, "big") + data)
            answer = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
            if len(answer) < 12 or answer[:2] != data[:2]:
                raise OSError("it answered another question")
            return answer
        finally:
            writer.close()

    def _refused(self, question: Question, source: str, reason: str) -> None:
        LOG.info("refused %s to %s: %s", question.name, source, reason)
        self._told({"kind": "dns", "source": source, "name": question.name, "reason": reason, "count": 1})


class _One(asyncio.DatagramProtocol):
    """One question to the upstream: an answer to another one is not it."""

    def __init__(self, asked: Question, waiting: "asyncio.Future[bytes]") -> None:
        self._asked, self._waiting = asked, waiting

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if self._waiting.done():
            return
        truncated = len(data) >= 12 and data[2] & 2 and int.from_bytes(data[:2], "big") == self._asked.identifier
        if not truncated:
            try:
                read_answer(data, self._asked)
            except Unreadable as error:
                if int.from_bytes(data[:2], "big") == self._asked.identifier:
                    self._waiting.set_exception(error)
                return
        self._waiting.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self._waiting.done():
            self._waiting.set_exception(exc)


class Server(asyncio.DatagramProtocol):
    """The devices' side: UDP and TCP on one address."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if len(self._tasks) >= MAX_AT_ONCE:
            return
        task = asyncio.create_task(self._serve(data, addr))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, data: bytes, addr: Any) -> None:
        answer = await self._resolver.answer(data, str(ip_address(addr[0].partition("%")[0])))
        if answer is None:
            return
        if len(answer) > UDP_OCTETS:
            answer = answer[:2] + bytes([answer[2] | 2]) + answer[3:4] + b"\0\1\0\0\0\0\0\0" + _question_of(answer)
        self._transport.sendto(answer, addr)

    async def stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        source = str(ip_address(writer.get_extra_info("peername")[0].partition("%")[0]))
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
            while True:
                async with asyncio.timeout(IDLE_SECONDS):
                    data = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
                answer = await self._resolver.answer(data, source)
                if answer is None:
                    break
                writer.write(len(answer).to_bytes(2, "big") + answer)
                await writer.drain()
        writer.close()


def _question_of(answer: bytes) -> bytes:
    at = 12
    while answer[at]:
        at += answer[at] + 1
    return answer[12 : at + 5]
