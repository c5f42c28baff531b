"""Asks hosts over ordinary sockets (no privilege is needed), at the pace of the rules, and keeps what was said."""

import asyncio
import errno
import socket
import struct
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum

from bastide.adapters.look.requests import goodbye, request
from bastide.operations.inventory.looking import SILENT_AFTER, Pace, Probe

ANSWER_SECONDS = 0.9
"""A connection that is not answered by then is given up before the kernel would send its first packet again (1 s)."""
READ_SECONDS = 2.0
MOST_READ = 8192
HOSTS_AT_ONCE = 128


class Answer(StrEnum):
    """What became of a probe."""

    OPEN = "open"
    CLOSED = "closed"
    SILENT = "silent"
    UNREACHABLE = "unreachable"


@dataclass(slots=True)
class Exchange:
    """One probe of one host: ``said`` is what went over, as (ours, seconds since 1970, octets)."""

    host: str
    probe: Probe
    began: float
    answer: Answer = Answer.SILENT
    local_port: int = 0
    said: list[tuple[bool, float, bytes]] = field(default_factory=list)


async def look(hosts: Sequence[str], probes: Sequence[Probe], pace: Pace, told: Callable[[Exchange], None]) -> None:
    """Asks every host every probe, one after the other for each host; ``told`` hears of each at its end."""
    gate = asyncio.Semaphore(HOSTS_AT_ONCE)

    async def ask_all(host: str) -> None:
        async with gate:
            heard = False
            for number, probe in enumerate(probes):
                if number >= SILENT_AFTER and not heard:
                    return
                begins = pace.begins(host, probe.packets, time.monotonic())
                await asyncio.sleep(max(0.0, begins - time.monotonic()))
                exchange = await _ask(host, probe)
                heard = heard or exchange.answer in (Answer.OPEN, Answer.CLOSED)
                told(exchange)
                if exchange.answer is Answer.UNREACHABLE:
                    return

    await asyncio.gather(*(ask_all(host) for host in hosts))


async def _ask(host: str, probe: Probe) -> Exchange:
    exchange = Exchange(host, probe, time.time())
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    kind = socket.SOCK_DGRAM if probe.transport == "udp" else socket.SOCK_STREAM
    with socket.socket(family, kind) as asking:
        asking.setblocking(False)
        if kind == socket.SOCK_STREAM:
            asking.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, MOST_READ)
        await (_ask_tcp if kind == socket.SOCK_STREAM else _ask_udp)(asking, exchange)
    return exchange


async def _ask_tcp(asking: socket.socket, exchange: Exchange) -> None:
    loop = asyncio.get_running_loop()
    probe = exchange.probe
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await loop.sock_connect(asking, (exchange.host, probe.port))
    except TimeoutError:
        # Given up without a trace: nothing more is sent for it.
        return
    except OSError as error:
        exchange.answer = _refusal(error)
        return
    exchange.answer, exchange.local_port = Answer.OPEN, asking.getsockname()[1]
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(READ_SECONDS):
            first = request(probe.asks, exchange.host)
            if first:
                await loop.sock_sendall(asking, first)
                exchange.said.append((True, time.time(), first))
            await _read(asking, exchange)
            last = goodbye(probe.asks)
            if last:
                await loop.sock_sendall(asking, last)
    with suppress(OSError):
        # One packet ends it, whatever the other side would still have said.
        asking.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def _ask_udp(asking: socket.socket, exchange: Exchange) -> None:
    loop = asyncio.get_running_loop()
    try:
        await loop.sock_connect(asking, (exchange.host, exchange.probe.port))
        first = request(exchange.probe.asks, exchange.host)
        exchange.local_port = asking.getsockname()[1]
        await loop.sock_sendall(asking, first)
        exchange.said.append((True, time.time(), first))
        async with asyncio.timeout(ANSWER_SECONDS):
            await _read(asking, exchange)
    except TimeoutError:
        pass
    except OSError as error:
        exchange.answer = _refusal(error)
        return
    if any(not ours for ours, _, _ in exchange.said):
        exchange.answer = Answer.OPEN


async def _read(asking: socket.socket, exchange: Exchange) -> None:
    """Reads until the other side has said what it has to say, by its own end or by a pause."""
    loop = asyncio.get_running_loop()
    left = MOST_READ
    while left > 0:
        try:
            async with asyncio.timeout(READ_SECONDS if left == MOST_READ else 0.3):
                said = await loop.sock_recv(asking, min(left, 4096))
        except TimeoutError:
            return
        if not said:
            return
        exchange.said.append((False, time.time(), said))
        left -= len(said)


def _refusal(error: OSError) -> Answer:
    if error.errno in (errno.ECONNREFUSED, errno.ECONNRESET):
        return Answer.CLOSED
    if error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EACCES, errno.EPERM, errno.EHOSTDOWN):
        return Answer.UNREACHABLE
    return Answer.SILENT
