"""The sequence of ingest: take, journal, acknowledge, republish, store, forget. Each step waits for the one before.

- At most :data:`IN_FLIGHT` batches are on their way to the journal. While they are, messages gather for the next one, so
  batches grow with the load by themselves (group commit).
- A message is acknowledged when its batch is on the broker's disk. A flush puts what was journalled into a file; then the
  journal forgets it. After a crash the journal is read from where the files end: nothing twice, nothing lost.
- Where the journal or the disk does not take more, nothing is acknowledged and nothing more is read, until it does.
"""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

import msgspec

from bastide.controller.workers.ingest.intake import Counted, Entry, Intake
from bastide.core.error import BastideError, Unavailable, Unreadable
from bastide.core.evidence import Evidence, Subject, SubjectKind, Trust
from bastide.core.ids import EvidenceId
from bastide.network.broker.admission import Fault
from bastide.ports.clock import Clock, Ids
from bastide.wire.batch import decode_batch, encode_batch

LOG = logging.getLogger("bastide.ingest")

IN_FLIGHT = 3
BATCH = 1024
FLUSH_SECONDS = 0.4
REPORT_SECONDS = 1.0
RETRY_SECONDS = 0.5
# What devices send while nobody listens runs into the broker's time-out (5 s), so be back soon.
RECONNECT_SECONDS = 0.05
# In memory and not in a file yet. At 15,000 a second that is ten seconds of a disk that does not answer.
MAX_WAITING = 150_000
# Batches whose acknowledgements may have been lost with a process that died, and how old they may be.
UNSURE_BATCHES = IN_FLIGHT + 1
UNSURE_AGE = timedelta(seconds=15)
UNSURE_SECONDS = 0.25
FRESH_FOR = timedelta(days=1)
EXPIRE_SECONDS = 60.0

Taken = tuple[str, str, bytes, bytes]


class Uplink(Protocol):
    """See adapters.nats.uplink."""

    @property
    def broken(self) -> asyncio.Future[str]: ...
    def listen(self) -> None: ...
    def acknowledge(self, tokens: Iterable[bytes]) -> None: ...
    def republish(self, messages: Iterable[tuple[bytes, bytes]]) -> None: ...
    def journal(self, batch: bytes, batch_id: str) -> asyncio.Future[int]: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def close(self) -> None: ...


class Journal(Protocol):
    async def prepare(self) -> None: ...
    async def bounds(self) -> tuple[int, int]: ...
    async def read(self, number: int) -> tuple[bytes, datetime] | None: ...
    async def forget(self, upto: int) -> None: ...


class Writer(Protocol):
    last_batch: int

    def store(self, batches: Sequence[tuple[int, Sequence[Entry]]]) -> None: ...
    def merge(self) -> bool: ...
    def expire(self, now: datetime, keep: timedelta, max_bytes: int) -> int: ...


@dataclass(frozen=True, slots=True)
class World:
    """What the worker touches."""

    open_uplink: Callable[[Callable[[Sequence[Taken]], None]], Awaitable[Uplink]]
    journal: Journal
    writer: Writer
    put_evidence: Callable[[Sequence[Evidence]], Awaitable[None]]
    tell_seen: Callable[[bytes], Awaitable[None]]
    clock: Clock
    ids: Ids
    keep: timedelta
    max_bytes: int


@dataclass(slots=True)
class _Batch:
    id: str
    entries: Sequence[Entry]
    tokens: Sequence[bytes]
    data: bytes
    answer: asyncio.Future[int] | None = None


@dataclass(slots=True)
class Ingest:
    """One partition's worker."""

    world: World
    intake: Intake
    _uplink: Uplink | None = None
    _flying: deque[_Batch] = field(default_factory=deque)
    _journalled: deque[tuple[int, Sequence[Entry]]] = field(default_factory=deque)
    _recent: deque[tuple[float, Sequence[Entry]]] = field(default_factory=deque)
    _waiting: int = 0
    _flushing: int = 0
    _landed: asyncio.Event = field(default_factory=asyncio.Event)
    _deadline: float = 0.0

    async def recover(self) -> None:
        """Stores what the journal holds beyond the files. Before anything new is taken."""
        await self.world.journal.prepare()
        first, last = await self.world.journal.bounds()
        if last < self.world.writer.last_batch:
            # The broker's store is new, or an older copy: its numbers would begin again, and files hold those already.
            await self.world.journal.forget(self.world.writer.last_batch)
            first, last = await self.world.journal.bounds()
            LOG.warning("the broker's journal is not the one that was stored from; it goes on at batch %d", last + 1)
        start = max(first, self.world.writer.last_batch + 1)
        unsure: deque[tuple[datetime, Sequence[Entry]]] = deque(maxlen=UNSURE_BATCHES)
        for number in range(start, last + 1):
            stored = await self.world.journal.read(number)
            if stored is None:
                continue
            try:
                entries: Sequence[Entry] = decode_batch(stored[0])
            except Unreadable as error:
                LOG.error("batch %d of the journal is not ours: %s", number, error.sentence)
                continue
            self._journalled.append((number, entries))
            self._waiting += len(entries)
            unsure.append((stored[1], entries))
            if self._waiting >= MAX_WAITING // 2:
                await self._flush()
        await self._flush()
        now = self.world.clock.now()
        self.intake.expect_again(
            [entry for came, entries in unsure if now - came < UNSURE_AGE for entry in entries], now.timestamp()
        )

    async def run(self, on_ready: Callable[[], None]) -> None:
        """Until cancelled. What was taken and not journalled then is not acknowledged, and comes again."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._serve(on_ready))
            group.create_task(self._flush_for_ever())
            group.create_task(self._report_for_ever())
            group.create_task(self._expire_for_ever())
            group.create_task(self._release_for_ever())

    async def _serve(self, on_ready: Callable[[], None]) -> None:
        """Holds the uplink open."""
        said = False
        while True:
            try:
                self._uplink = await self.world.open_uplink(self._take)
            except Unavailable as error:
                LOG.info("%s", error.sentence)
                await asyncio.sleep(RECONNECT_SECONDS)
                continue
            for batch in self._flying:
                self._send(batch)
            self._uplink.listen()
            self._settle_flow()
            if not said:
                on_ready()
                said = True
            landing = asyncio.create_task(self._land())
            try:
                reason = await asyncio.shield(self._uplink.broken)
                LOG.warning("the broker ended the connection: %s", reason)
            finally:
                landing.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await landing
                self._uplink.close()
                self._uplink = None
            self._lost()

    def _lost(self) -> None:
        """The broker died or dropped us. What was acknowledged just now may not have reached the devices."""
        now = time.time()
        unsure = [entry for at, entries in self._recent if now - at < UNSURE_SECONDS for entry in entries]
        flying = [entry for batch in self._flying for entry in batch.entries]
        self.intake.expect_again([*unsure, *flying], now)
        self.intake.forget_held()
        # What gathered for the next batch was never promised to anybody, and will be sent again.
        self.intake.cut(len(self.intake.entries))
        for batch in self._flying:
            batch.tokens = ()
            batch.answer = None

    def _take(self, messages: Sequence[Taken]) -> None:
        self.intake.take(messages, time.time())
        self._advance()

    def _advance(self) -> None:
        uplink = self._uplink
        if uplink is None:
            return
        intake = self.intake
        if intake.refused:
            uplink.acknowledge(intake.refused)
            intake.refused = []
        while intake.entries and len(self._flying) < IN_FLIGHT:
            entries, tokens = intake.cut(BATCH)
            batch = _Batch(self.world.ids.mint("b"), entries, tokens, encode_batch(entries))
            self._flying.append(batch)
            self._waiting += len(entries)
            self._send(batch)
        self._settle_flow()

    def _settle_flow(self) -> None:
        if self._uplink is None:
            return
        if self._waiting + len(self.intake.entries) >= MAX_WAITING:
            self._uplink.pause()
        else:
            self._uplink.resume()

    def _send(self, batch: _Batch) -> None:
        assert self._uplink is not None
        batch.answer = self._uplink.journal(batch.data, batch.id)
        batch.answer.add_done_callback(lambda _: self._landed.set())
        self._deadline = time.monotonic() + 10.0

    async def _land(self) -> None:
        """Takes answers in the order of the batches, so that the files never overtake the journal."""
        while True:
            while self._flying and (answer := self._flying[0].answer) is not None and answer.done():
                batch = self._flying[0]
                try:
                    number = answer.result()
                except Unavailable as error:
                    LOG.warning("%s", error.sentence)
                    await asyncio.sleep(RETRY_SECONDS)
                    self._send(batch)
                    continue
                self._flying.popleft()
                self._stored(number, batch)
            self._advance()
            self._landed.clear()
            if self._flying and (answer := self._flying[0].answer) is not None and answer.done():
                continue
            await self._landed.wait()

    def _stored(self, number: int, batch: _Batch) -> None:
        uplink = self._uplink
        assert uplink is not None
        uplink.acknowledge([token for token in batch.tokens if token])
        prefix, encode = self.intake.prefix, _encoder.encode
        uplink.republish(
            [((prefix(device) + channel).encode(), encode(fields)) for device, channel, _, fields in batch.entries]
        )
        self._journalled.append((number, batch.entries))
        now = time.time()
        self._recent.append((now, batch.entries))
        while self._recent and now - self._recent[0][0] > UNSURE_SECONDS:
            self._recent.popleft()

    async def _flush_for_ever(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            try:
                await self._flush()
            except (Unavailable, OSError) as error:
                LOG.warning("%s", error)
                await asyncio.sleep(RETRY_SECONDS)

    async def _flush(self) -> None:
        """One file of all that was journalled since the last; then the journal forgets it."""
        if not self._journalled:
            return
        batches = list(self._journalled)
        await asyncio.to_thread(self.world.writer.store, batches)
        for _ in batches:
            self._journalled.popleft()
        self._waiting -= sum(len(entries) for _, entries in batches)
        self._settle_flow()
        await self.world.journal.forget(batches[-1][0])
        await asyncio.to_thread(self.world.writer.merge)

    async def _report_for_ever(self) -> None:
        while True:
            await asyncio.sleep(REPORT_SECONDS)
            counted, seen = self.intake.report()
            try:
                if seen:
                    await self.world.tell_seen(_encoder.encode(seen))
                if counted:
                    await self.world.put_evidence(self._facts(counted))
            except BastideError as error:
                LOG.warning("%s", error.sentence)

    def _facts(self, counted: Mapping[tuple[str, Fault], Counted]) -> Sequence[Evidence]:
        now = self.world.clock.now()
        return [
            Evidence(
                id=EvidenceId(self.world.ids.mint("e")),
                kind=fault.value,
                subject=Subject(SubjectKind.DEVICE, device),
                source="ingest",
                trust=Trust.AUTHENTICATED,
                observed_at=now,
                received_at=now,
                fresh_for=FRESH_FOR,
                count=one.count,
                body={"channel": one.channel, "found": one.detail},
            )
            for (device, fault), one in counted.items()
        ]

    async def _release_for_ever(self) -> None:
        """Messages that wait for their rate."""
        while True:
            await asyncio.sleep(0.02 if self.intake.holding else 0.2)
            if self.intake.holding:
                self.intake.release(time.time())
                self._advance()

    async def _expire_for_ever(self) -> None:
        while True:
            await asyncio.sleep(EXPIRE_SECONDS)
            try:
                await asyncio.to_thread(
                    self.world.writer.expire, datetime.now(UTC), self.world.keep, self.world.max_bytes
                )
            except OSError as error:
                LOG.warning("old samples could not be removed: %s", error)


_encoder = msgspec.json.Encoder()
