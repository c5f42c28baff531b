"""The link: items from the broker to the keeper, what the keeper says to the controller, and the devices' questions for names."""

import asyncio
import itertools
import logging
import socket
from collections import deque
from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from bastide.core.error import BastideError, Refused, Unavailable
from bastide.wire.keeper import Answer, Request, Word, frame, length, read_answer

LOG = logging.getLogger("bastide.gateway.link")
MAX_EVENTS = 10_000
BATCH = 200
RETRY_SECONDS = 1.0


class Items(Protocol):
    """See adapters.nats.gateways."""

    async def applied(self, key: str, generation: int, code: str, sentence: str, holds: str) -> None: ...
    async def said(self, data: bytes) -> None: ...


class KeeperClient:
    """The keeper at the other end of a socket pair. ``events`` collects what happened, bounded; ``lost`` counts the rest."""

    def __init__(self, pair: socket.socket) -> None:
        self._pair = pair
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self.events: deque[Mapping[str, Any]] = deque()
        self.lost = 0
        self.happened = asyncio.Event()
        self._ready = asyncio.Event()

    async def run(self) -> None:
        """Until the keeper is gone."""
        reader, self._writer = await asyncio.open_connection(sock=self._pair)
        self._ready.set()
        try:
            while True:
                payload = await reader.readexactly(length(await reader.readexactly(4)))
                self._took(read_answer(payload))
        except asyncio.IncompleteReadError:
            raise Unavailable("The keeper of the rules is gone.", code="gateway:keeper:gone") from None

    def _took(self, answer: Answer) -> None:
        if answer.number:
            waiting = self._waiting.pop(answer.number, None)
            if waiting is not None and not waiting.done():
                waiting.set_result(answer)
        elif isinstance(answer.value, dict):
            self.event(answer.value)

    def event(self, event: Mapping[str, Any]) -> None:
        """Something that the controller must hear of."""
        if len(self.events) >= MAX_EVENTS:
            self.lost += 1
            return
        self.events.append(event)
        self.happened.set()

    async def ask(self, word: Word, **fields: Any) -> Any:
        """What the keeper answers; its refusals as ``Refused``."""
        await self._ready.wait()
        number = next(self._numbers)
        waiting: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[number] = waiting
        self._writer.write(frame(Request(number, word, **fields)))
        answer = await waiting
        if answer.code:
            raise Refused(answer.sentence, code=answer.code)
        return answer.value


class Link:
    """Between the broker and the keeper."""

    def __init__(self, keeper: KeeperClient, items: Items) -> None:
        self._keeper, self._items = keeper, items

    async def take(self, data: bytes) -> None:
        """One item: handed to the keeper, which alone judges it, and what became of it told."""
        key, generation = _about(data)
        try:
            applied = await self._keeper.ask(Word.ITEM, data=data)
            said = ("", "", str(applied["holds"]))
        except BastideError as error:
            LOG.warning("%s: %s", key or "an item", error.sentence)
            said = (error.reason, error.sentence, "")
        try:
            await self._items.applied(key, generation, *said)
        except Exception as error:  # whatever the client raises while it reconnects; the item is asked for again
            LOG.info("what was applied could not be told: %s", error)

    async def tell(self) -> None:
        """Tells the controller what happened, in batches, until it has it. For ever."""
        while True:
            await self._keeper.happened.wait()
            self._keeper.happened.clear()
            while self._keeper.events:
                batch = list(itertools.islice(self._keeper.events, BATCH))
                try:
                    await self._items.said(msgspec.json.encode(batch))
                except BastideError as error:
                    LOG.info("%s", error.sentence)
                    await asyncio.sleep(RETRY_SECONDS)
                    continue
                for _ in batch:
                    self._keeper.events.popleft()


def _about(data: bytes) -> tuple[str, int]:
    """What an item says that it is, only to name it in the answer; the keeper checks it."""
    try:
        statement = msgspec.json.decode(msgspec.msgpack.decode(data)[1])
        return str(statement["key"])[:128], int(statement["generation"])
    except (msgspec.MsgspecError, ValueError, TypeError, KeyError, IndexError):
        return "", 0
