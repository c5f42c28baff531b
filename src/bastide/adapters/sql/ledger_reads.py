"""The ledger as flows and the console read it."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from heapq import merge
from itertools import islice

from sqlalchemy import Connection, select

from bastide.adapters.sql.database import Database, Unit
from bastide.adapters.sql.ledger import prune_bodies
from bastide.adapters.sql.ledger_keys import kinds, of_any, of_kind, of_subject, position_of
from bastide.adapters.sql.schema.ledger import ledger_checkpoints, ledger_personal, ledger_records, ledger_tiles
from bastide.core.audit import Checkpoint, Personal, Record
from bastide.core.ids import RecordId
from bastide.core.merkle import HASH_BYTES
from bastide.governance.audit.personal import Kept
from bastide.governance.audit.record import ERASED, Stored, commitments, opened, parse_instant, read_record
from bastide.governance.audit.tree import TILE_BYTES, TileReader, inclusion
from bastide.ports.platform.ledger import InclusionProof
from bastide.wire.checkpoint import peek

# Another controller may be the one that integrates; its checkpoints are seen by asking.
ASK_AGAIN_SECONDS = 0.1
# Among this many records, some are of a kind whose bodies are never pruned.
_NEAR = 10_000


class LedgerReads:
    """Implements ports.platform.ledger.Ledger and LedgerUpkeep. ``announce`` is for the sequencer of this process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._news = asyncio.Event()
        self._latest: Checkpoint | None = None

    def announce(self, checkpoint: Checkpoint) -> None:
        """Wakes everybody who waits for integration."""
        self._latest = checkpoint
        self._news.set()
        self._news = asyncio.Event()

    async def get(self, record: RecordId) -> Record:
        def ask(connection: Connection) -> Record:
            body = _body(connection, position_of(connection, record))
            return _opened(connection, [read_record(body)])[0]

        return await self._database.read(ask)

    async def about(self, subject: str, limit: int) -> Sequence[Record]:
        def ask(connection: Connection) -> Sequence[Record]:
            return _opened(connection, [stored for _, stored in islice(of_subject(connection, subject), limit)])

        return await self._database.read(ask)

    async def recent(self, limit: int, kind: str = "", before: RecordId | None = None) -> Sequence[Record]:
        def ask(connection: Connection) -> Sequence[Record]:
            edge = None if before is None else position_of(connection, before)
            if not kind:
                found = of_any(connection, edge)
            else:
                each = [of_kind(connection, one, edge) for one in kinds(connection, kind)]
                found = merge(*each, key=lambda one: -one[0])
            return _opened(connection, [stored for _, stored in islice(found, limit)])

        return await self._database.read(ask)

    async def checkpoint(self) -> Checkpoint | None:
        return await self._database.read(latest_checkpoint)

    async def integrated(self, record: RecordId) -> Checkpoint:
        position = await self._database.read(lambda connection: position_of(connection, record))
        while True:
            news = self._news
            known = self._latest
            if known is None or known.size <= position:
                known = await self.checkpoint()
            if known is not None and known.size > position:
                return known
            try:
                async with asyncio.timeout(ASK_AGAIN_SECONDS):
                    await news.wait()
            except TimeoutError:
                continue

    async def prove(self, record: RecordId) -> InclusionProof:
        checkpoint = await self.integrated(record)

        def ask(connection: Connection) -> InclusionProof:
            position = position_of(connection, record)
            path = inclusion(position, checkpoint.size, tiles_of(connection))
            return InclusionProof(record, _body(connection, position), position, tuple(path), checkpoint)

        return await self._database.read(ask)

    async def personal(self, value: str) -> Sequence[str]:
        """The commitments of every fact that is this value: what to erase when a person asks for it."""
        wanted = select(ledger_personal.c.commitment).where(ledger_personal.c.value == value)
        return await self._database.read(lambda connection: list(connection.scalars(wanted)))

    async def written_at(self, index: int) -> datetime | None:
        table = ledger_records.c
        near = select(table.body).where(
            table.position >= index, table.position < index + _NEAR, table.body.is_not(None)
        )
        first = near.order_by(table.position).limit(1)
        body = await self._database.read(lambda connection: connection.scalar(first))
        return None if body is None else parse_instant(read_record(bytes(body)).at)

    async def prune(self, first: int, end: int) -> int:
        went = 0

        def change(connection: Connection) -> None:
            nonlocal went
            went = prune_bodies(connection, first, end)

        unit = Unit()
        unit.change(change)
        await self._database.write(unit)
        return went


def latest_checkpoint(connection: Connection) -> Checkpoint | None:
    """The newest of the open shard."""
    newest = select(ledger_checkpoints.c.note).order_by(
        ledger_checkpoints.c.shard.desc(), ledger_checkpoints.c.size.desc()
    )
    note = connection.scalar(newest.limit(1))
    return None if note is None else peek(note)


def tiles_of(connection: Connection, shard: int = 0) -> TileReader:
    """Reads tiles by that connection."""
    table = ledger_tiles.c

    def read(level: int, number: int) -> bytes:
        where = (table.shard == shard, table.level == level, table.number == number)
        stored = connection.scalar(select(table.hashes).where(*where))
        hashes = b"" if stored is None else bytes(stored)
        return hashes if len(hashes) <= TILE_BYTES and len(hashes) % HASH_BYTES == 0 else b""

    return read


def kept_facts(connection: Connection, wanted: Sequence[str]) -> dict[str, Kept]:
    """What is still kept of these commitments, and holds."""
    found: dict[str, Kept] = {}
    for start in range(0, len(wanted), 500):
        some = select(ledger_personal).where(ledger_personal.c.commitment.in_(wanted[start : start + 500]))
        for row in connection.execute(some):
            kept = Kept(row.commitment, bytes(row.salt), row.value)
            if kept.holds:
                found[kept.commitment] = kept
    return found


def _body(connection: Connection, position: int) -> bytes:
    return bytes(connection.scalars(select(ledger_records.c.body).where(ledger_records.c.position == position)).one())


def _opened(connection: Connection, stored: Sequence[Stored]) -> Sequence[Record]:
    kept = kept_facts(connection, [one for record in stored for one in commitments(record)])
    return [opened(one, lambda known: Personal(kept[known].value) if known in kept else ERASED) for one in stored]
