"""Publishes with QoS 1 at a steady rate over many TLS connections and keeps its own log of what was acknowledged.

Every message carries a number of its own and is sent once: one whose acknowledgement got lost is not sent again, so that
each number that was acknowledged must be stored exactly once, and each other one at most once. (A client that repeats,
as QoS 1 allows, could not tell a stored duplicate from a fault.) MQTT 3.1.1 (OASIS), sections 3.1 to 3.4, by hand: a
client library would be the limit.
"""

import asyncio
import ssl
import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from bastide.testing.fleet.identity import Identity

CONNACK, PUBACK = 2, 4
TICK_S = 0.01
# Unacknowledged at once on one connection: above it the publisher waits, as a client with little memory does.
IN_FLIGHT = 512
CONNECT_TIMEOUT_S = 15.0
FIRST_BACK_OFF_S, LONGEST_BACK_OFF_S = 0.05, 2.0
BEHIND_S = 0.25


@dataclass(slots=True)
class Log:
    """One device's truth: how many numbers it gave out (0 up to ``sent``), and which were acknowledged."""

    sent: int = 0
    acknowledged: set[int] = field(default_factory=set)
    connects: int = 0
    refused: int = 0


class Load:
    """``rate`` is messages a second over all devices. Use :meth:`run` as a task and cancel it to stop."""

    def __init__(
        self, identities: Sequence[Identity], host: str, port: int, rate: float, *, channel: str = "telemetry"
    ) -> None:
        self.logs = {identity.device: Log() for identity in identities}
        self._publishers = [
            _Publisher(identity, host, port, rate / len(identities), channel, self.logs[identity.device])
            for identity in identities
        ]

    @property
    def sent(self) -> int:
        return sum(log.sent for log in self.logs.values())

    @property
    def acknowledged(self) -> int:
        return sum(len(log.acknowledged) for log in self.logs.values())

    @property
    def connected(self) -> int:
        return sum(publisher.up for publisher in self._publishers)

    async def run(self) -> None:
        await asyncio.gather(*(publisher.run() for publisher in self._publishers))


class _Connection(asyncio.Protocol):
    """Reads what the broker says; only CONNACK and PUBACK concern a publisher."""

    def __init__(self, log: Log) -> None:
        self.in_flight: dict[int, int] = {}
        self.accepted: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.closed = asyncio.Event()
        self._log = log
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data
        place = 0
        while len(buffer) - place >= 2:
            length = buffer[place + 1]
            if length > 127 or len(buffer) - place < 2 + length:  # neither answer is longer than 127 bytes
                break
            kind, body = buffer[place] >> 4, buffer[place + 2 : place + 2 + length]
            place += 2 + length
            if kind == PUBACK:
                number = self.in_flight.pop(int.from_bytes(body[:2], "big"), None)
                if number is not None:
                    self._log.acknowledged.add(number)
            elif kind == CONNACK and not self.accepted.done():
                self.accepted.set_result(body[1])
        self._buffer = buffer[place:]

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set()
        if not self.accepted.done():
            self.accepted.set_result(-1)


class _Publisher:
    def __init__(self, identity: Identity, host: str, port: int, rate: float, channel: str, log: Log) -> None:
        self._address = (host, port)
        self._rate = rate
        self._log = log
        self._connect = _connect_packet(identity.device)
        self._topic = _text(f"devices/{identity.device}/{channel}")
        self._context = ssl.create_default_context(cafile=str(identity.trust))
        self._context.load_cert_chain(identity.certificate, identity.key)
        self.up = False

    async def run(self) -> None:
        back_off = FIRST_BACK_OFF_S
        while True:
            opened = await self._open()
            if opened is None:
                self._log.refused += 1
            else:
                back_off = FIRST_BACK_OFF_S
                self._log.connects += 1
                await self._publish(*opened)
            await asyncio.sleep(back_off)
            back_off = min(2 * back_off, LONGEST_BACK_OFF_S)

    async def _open(self) -> tuple[asyncio.WriteTransport, _Connection] | None:
        """A connection that the broker accepted; None where it does not answer or refuses."""
        transport: asyncio.WriteTransport | None = None
        accepted = -1
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                transport, connection = await asyncio.get_running_loop().create_connection(
                    lambda: _Connection(self._log), *self._address, ssl=self._context
                )
                transport.write(self._connect)
                accepted = await connection.accepted
                return (transport, connection) if accepted == 0 else None
        except (OSError, TimeoutError):
            return None
        finally:
            if transport is not None and accepted != 0:
                transport.abort()

    async def _publish(self, transport: asyncio.WriteTransport, connection: _Connection) -> None:
        """Sends at the rate until the connection ends. What could not be sent in time is not made up for."""
        loop = asyncio.get_running_loop()
        due_from, sent, packet = loop.time(), 0, 0
        self.up = True
        try:
            while not connection.closed.is_set():
                now = loop.time()
                due = int((now - due_from) * self._rate) - sent
                if due > self._rate * BEHIND_S:
                    due_from, sent, due = now, 0, 0
                room = IN_FLIGHT - len(connection.in_flight)
                batch = []
                for _ in range(min(due, room)):
                    packet = packet % 0xFFFF + 1
                    batch.append(self._message(packet, self._log.sent))
                    connection.in_flight[packet] = self._log.sent
                    self._log.sent += 1
                    sent += 1
                if batch:
                    transport.write(b"".join(batch))
                with suppress(TimeoutError):
                    await asyncio.wait_for(connection.closed.wait(), TICK_S)
        finally:
            self.up = False
            transport.abort()

    def _message(self, packet: int, number: int) -> bytes:
        body = self._topic + struct.pack("!H", packet) + b'{"n":%d}' % number
        return b"\x32" + _length(len(body)) + body


def _connect_packet(client_id: str) -> bytes:
    body = _text("MQTT") + bytes([4, 0x02]) + struct.pack("!H", 60) + _text(client_id)
    return b"\x10" + _length(len(body)) + body


def _text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("!H", len(data)) + data


def _length(value: int) -> bytes:
    """Remaining Length, MQTT 3.1.1 section 2.2.3."""
    out = bytearray()
    while True:
        value, digit = divmod(value, 128)
        out.append(digit | (0x80 if value else 0))
        if not value:
            return bytes(out)
