"""What devices say, and the journal that makes it durable: two connections for the ingest worker.

- From the devices' account come QoS 0 messages on ``up.<device>.<channel>`` and QoS 1 and 2 messages on
  ``$MQTT.msgs.up.…``, each with a reply subject: the MQTT side of the server sends PUBACK (or PUBCOMP) to the device when
  it is answered there as a stream would answer, and ends the connection when it is not (server/mqtt.go, ``mqttAckLoop``).
- QoS 1 and 2 messages come on ``up.…`` too, as any NATS subscriber would see them; the header ``Nmqtt-Pub`` tells.
- The journal is a stream per partition. A batch carries an id, so that one sent again after a lost answer is kept once.
"""

import asyncio
import json
from base64 import b64decode
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from secrets import token_hex
from typing import Any

from nats.aio.client import Client
from nats.errors import Error as NATSError

from bastide.adapters.nats.connection import Cluster
from bastide.adapters.nats.pipe import Arrived, Pipe, headed_publication, open_pipe, publication
from bastide.adapters.nats.provision import JOURNAL_PREFIX, journal_stream, provision_journal
from bastide.adapters.nats.seeds import Part
from bastide.core.error import Unavailable
from bastide.network.broker.topics import uplink_of

QUEUE = "ingest"
ANSWER_SECONDS = 10.0
# Subjects of a fleet, with the device and channel that each names.
MAX_SUBJECTS = 1 << 17

# (device, channel, payload, token); the token is empty for QoS 0.
Message = tuple[str, str, bytes, bytes]

_STORED = b"$MQTT.msgs."
_QOS0 = (b"Nmqtt-Pub:0", b"Nmqtt-Pub: 0")
_ANSWER = b'{"stream":"INGEST","seq":1}'
_ANSWERED = b" %d\r\n%b\r\n" % (len(_ANSWER), _ANSWER)


class Uplink:
    """Opened by :func:`open_uplink`. ``broken`` is done, with the reason, when one of its connections ends."""

    def __init__(self, partition: str, take: Callable[[Sequence[Message]], None]) -> None:
        self._partition = partition
        self._take = take
        self._subjects: dict[bytes, tuple[str, str] | None] = {}
        self._inbox = f"_INBOX.{token_hex(8)}"
        self._waiting: dict[bytes, asyncio.Future[int]] = {}
        self._asked = 0
        self.devices: Pipe | None = None
        self.platform: Pipe | None = None
        self.broken: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def open(self, cluster: Cluster) -> None:
        self.platform = await open_pipe(cluster, Part.INGEST, self._answered)
        self._watch(self.platform)
        self.platform.subscribe(f"{self._inbox}.*")
        self.devices = await open_pipe(cluster, Part.UPLINK, self._arrived)
        self._watch(self.devices)

    def listen(self) -> None:
        """From now on messages come."""
        assert self.devices is not None
        self.devices.subscribe("$MQTT.msgs.up.>", QUEUE)
        self.devices.subscribe("up.>", QUEUE)

    def acknowledge(self, tokens: Iterable[bytes]) -> None:
        """The broker tells the devices that these messages are kept."""
        if self.devices is not None:
            self.devices.write(b"".join([b"PUB %b%b" % (token, _ANSWERED) for token in tokens]))

    def republish(self, messages: Iterable[tuple[bytes, bytes]]) -> None:
        """Publishes (subject, payload) pairs in the platform's account, for whoever listens."""
        if self.platform is not None:
            self.platform.write(b"".join([publication(subject, payload) for subject, payload in messages]))

    def journal(self, batch: bytes, batch_id: str) -> asyncio.Future[int]:
        """Done with the batch's number when it is on the broker's disk; ``Unavailable`` where it is not known to be."""
        assert self.platform is not None
        self._asked += 1
        reply = f"{self._inbox}.{self._asked}".encode()
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting[reply] = answer
        subject = f"{JOURNAL_PREFIX}.{self._partition}".encode()
        headers = f"NATS/1.0\r\nNats-Msg-Id: {batch_id}\r\n\r\n".encode()
        self.platform.write(headed_publication(subject, reply, headers, batch))
        return answer

    def pause(self) -> None:
        """Takes no more messages until :meth:`resume`; the broker holds them."""
        if self.devices is not None:
            self.devices.pause()

    def resume(self) -> None:
        if self.devices is not None:
            self.devices.resume()

    def close(self) -> None:
        for pipe in (self.devices, self.platform):
            if pipe is not None:
                pipe.close()

    def _watch(self, pipe: Pipe) -> None:
        def ended(closed: asyncio.Future[str]) -> None:
            if not self.broken.done():
                self.broken.set_result(closed.result())
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(Unavailable("The broker went away.", code="nats:unavailable"))
            self._waiting.clear()

        pipe.closed.add_done_callback(ended)

    def _arrived(self, arrived: Sequence[Arrived]) -> None:
        messages: list[Message] = []
        known = self._subjects
        for subject, reply, headers, payload in arrived:
            if reply:
                subject = subject.removeprefix(_STORED)
            elif _QOS0[0] not in headers and _QOS0[1] not in headers:
                continue
            named = known.get(subject, _UNKNOWN)
            if named is _UNKNOWN:
                if len(known) >= MAX_SUBJECTS:
                    known.clear()
                named = known[subject] = uplink_of(subject.decode("utf-8", "replace"))
            if named is not None:
                messages.append((named[0], named[1], payload, reply))
        if messages:
            self._take(messages)

    def _answered(self, arrived: Sequence[Arrived]) -> None:
        for subject, _, headers, payload in arrived:
            answer = self._waiting.pop(subject, None)
            if answer is None or answer.done():
                continue
            try:
                said = json.loads(payload) if payload else {}
                error = said.get("error", {}).get("description") or headers.split(b"\r\n", 1)[0].decode()
                if "seq" in said and "error" not in said:
                    answer.set_result(int(said["seq"]))
                else:
                    answer.set_exception(
                        Unavailable(f"The broker does not take the journal: {error}.", code="nats:journal:refused")
                    )
            except (ValueError, AttributeError, TypeError):
                answer.set_exception(Unavailable("The broker's answer cannot be read.", code="nats:journal:unreadable"))


_NO_MESSAGE = 10037
_UNKNOWN: tuple[str, str] = ("", "")


async def open_uplink(cluster: Cluster, partition: str, take: Callable[[Sequence[Message]], None]) -> Uplink:
    """Both connections; ``Unavailable`` where the broker does not answer."""
    uplink = Uplink(partition, take)
    try:
        await uplink.open(cluster)
    except BaseException:
        uplink.close()
        raise
    return uplink


class Journal:
    """The journal's other end: what is in it at start, and forgetting what is in a file."""

    def __init__(self, client: Client, partition: str) -> None:
        self._client = client
        self._stream = journal_stream(partition)
        self._partition = partition

    async def prepare(self) -> None:
        await provision_journal(self._client, self._partition)

    async def bounds(self) -> tuple[int, int]:
        """The numbers of the first batch and of the last one ever; the first is larger where it is empty."""
        state = (await self._api(f"STREAM.INFO.{self._stream}", {}))["state"]
        return int(state["first_seq"]), int(state["last_seq"])

    async def read(self, number: int) -> tuple[bytes, datetime] | None:
        """One batch and when it came; None where the journal has none of that number."""
        said = await self._ask(f"STREAM.MSG.GET.{self._stream}", {"seq": number})
        if said.get("error", {}).get("err_code") == _NO_MESSAGE:
            return None
        _refuse(said)
        message = said["message"]
        return b64decode(message.get("data", "")), datetime.fromisoformat(message["time"][:19] + "+00:00")

    async def forget(self, upto: int) -> None:
        """Removes the batches up to a number, that one included."""
        await self._api(f"STREAM.PURGE.{self._stream}", {"seq": upto + 1})

    async def _api(self, what: str, body: dict[str, int]) -> dict[str, Any]:
        said = await self._ask(what, body)
        _refuse(said)
        return said

    async def _ask(self, what: str, body: dict[str, int]) -> dict[str, Any]:
        try:
            answer = await self._client.request(f"$JS.API.{what}", json.dumps(body).encode(), timeout=ANSWER_SECONDS)
        except NATSError as error:
            raise Unavailable(
                f"The journal does not answer: {error or type(error).__name__}.", code="nats:unavailable"
            ) from error
        said: dict[str, Any] = json.loads(answer.data)
        return said


def _refuse(said: dict[str, Any]) -> None:
    if "error" in said:
        raise Unavailable(
            f"The journal refuses: {said['error'].get('description')}. See nats/server.log.",
            code="nats:journal:refused",
        )
